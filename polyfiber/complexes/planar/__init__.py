"""Exact subdivisions of polygons in slices of large networks.

`restrict` puts a network on a slice, exactly, and merges gates that are the same function there; `exact_forms`
answers in integers what floats cannot; `walk` goes from region to region with the kernels of ``kernels/planar``;
`subdivision` is the result, `statistics` and `levels` read it. `build` is the door; `meetings` gives signs where two
lines meet and floats leave them open; `verify` checks a subdivision by other code.
"""
