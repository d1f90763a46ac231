"""Walks over the regions of a network on a polygon: forms that change at walls, polygons, tables of faces."""
