"""Kernels of linear networks: rank arrays and their covers, Langevin steps."""
