"""Fibers: all parameters that compute the same function; equivalence of networks."""
