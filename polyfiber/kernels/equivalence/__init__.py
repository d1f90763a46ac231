"""Kernels of equivalence: `cover` cuts a polyhedron into cells on which two networks are affine, and bounds their
difference there.
"""
