"""Walks over the regions of a network on a polygon.

`walk` goes from region to region across walls; on each, `forms` keeps the affine forms of all gates up to date,
`polygons` cuts the domain by them with certified signs, and `doubled` repeats a doubtful sign in twice the precision.
"""
