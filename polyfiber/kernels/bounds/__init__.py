"""Bounds of two networks together on boxes, and the search that splits the boxes."""
