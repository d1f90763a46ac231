"""Two networks compared piece by piece, on cells where both are affine.

`cover` cuts a domain into such cells in compiled code and bounds the difference on each, `exact` decides equality over
the regions of one complex in rationals, `pieces` gives affine maps on activation patterns, at points and by vertices.
"""
