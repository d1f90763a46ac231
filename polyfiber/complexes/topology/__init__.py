"""Level sets, sublevel sets, decision boundaries, and their topology.

A network is affine on every cell of its canonical complex. So a set such as ``{f = c}`` meets the relative interior of
a cell in one convex piece or not at all, and signs at vertices and at the ends of rays say which. Data walks through
the rooms like this: `gates` asks for those signs, certified, with the engine's own filters and its exact arithmetic;
`cells` cuts the face lattice with them, cell by cell, and makes the new vertices; `sets` gives the result meaning
(faces, labels, certificate); `homology` and `surfaces` take its incidences and its points.

`values` are the signs at vertices of combinations of outputs. `build` makes the sets; beside them stand `critical`
points and persistence, `distance` to a boundary, `images` and preimages, `normals` of surfaces, and `exchange` with
other programs.
"""
