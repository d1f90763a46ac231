"""Kernels of equivalence: cells that cover a domain, on which two networks are affine."""
