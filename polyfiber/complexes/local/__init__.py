"""Around one point, without the whole complex.

`cell_arrays` makes the affine forms of one cell with their errors; `facets` finds which of them bound it; `region` is
the answer, a polytope with its neighbours. `explore` walks from region to region, `segments` along a line, `slices`
cuts by a plane; `projections` asks convex programs for centres and nearest points. `gate_arrays` prepares the forms
of networks with slopes and skips.
"""
