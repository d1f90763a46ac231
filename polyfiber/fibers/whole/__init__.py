"""Whole fibers: every parameter of one hidden layer (`assignments`), and whether two parameters are joined (`connection`)."""
