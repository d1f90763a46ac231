"""Kernels of linear networks.

`rank_strata` enumerates rank arrays, dimensions and covers; `langevin` steps many small matrices, `geodesics`
integrates Hamilton's equations for bundles of curves, `chords` aligns the gauges of balanced networks.
"""
