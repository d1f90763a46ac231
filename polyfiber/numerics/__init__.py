"""Exact and floating algebra; faces of the solvers.

`rounding` bounds what floats lose, `exact` and `products` work in rationals, `dyadic` in integers; `predicates` decides signs and
ranks, `independent` picks rows that certainly are; `lp` is the one door to linear programs.
"""
