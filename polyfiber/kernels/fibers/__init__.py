"""Kernels of fibers: normal forms and their comparison, labels, regimes, cones of rows, Jacobians."""
