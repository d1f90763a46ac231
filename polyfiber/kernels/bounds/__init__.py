"""Bounds of two networks together on boxes, and the search that splits the boxes.

`pair` lays both out as flat arrays and names every rounding that is charged; `zonotopes` carries affine forms forward,
`planes` substitutes planes backward; `boxes` drives both, closes what is proved and halves the rest.
"""
