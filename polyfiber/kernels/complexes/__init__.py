"""Kernels of complexes.

`forms` evaluates affine forms of neurons on cells with certified signs; on it stand `skeleton` (cutting edges),
`layer_filter` (signs at the entry of a layer) and `lattice` (cutting faces). `faces` counts and writes faces,
`polytopes` and `affine_maps` measure them, `incidence` orients them; `cell_facets` and `segments` work around one
point. `gate_values` bounds combinations of the outputs at vertices.
"""
