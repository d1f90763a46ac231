"""Exact and floating algebra; faces of the solvers."""
