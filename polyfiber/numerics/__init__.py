"""Exact and floating algebra; faces of the solvers.

`rounding` bounds what floats lose, `floats` stand for rationals, `exact` and `products` work in rationals, `dyadic` in
integers; `predicates`
decides ranks, `independent` picks rows that certainly are; `lp` is the one door to linear programs.
`implied` tells whether
rows imply another; `digits` writes rationals as texts; `hulls` and `polyhedra` are exact geometry of polyhedra,
`directions` extreme
points of unit balls; `modular` and `smith` are linear algebra modulo a prime and over the integers; `search` is the
one best-first queue.
"""
