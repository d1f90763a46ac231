"""Slow, obvious programs that say what is true. They share no code with the library."""
