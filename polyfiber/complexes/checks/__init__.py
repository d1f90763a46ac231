"""Checks of a complex by other code than made it: numpy where kernels built, rationals where numpy cannot tell.

`certificate.verify` walks through them: `skeleton` (signs, edges, whether all hangs together), `points` (coordinates
within their bounds, which end of an edge is higher), `tables` (counts and faces), `volumes`, `maps`, `weights` of
breakpoints, and `given`, what was handed out in input coordinates. `flats` proves in rationals which inequalities of a
domain are equalities.
"""
