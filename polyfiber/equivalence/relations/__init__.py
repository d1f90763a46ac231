"""Networks compared over the functions that they share, and what follows: proofs, splitting, smaller networks.

`joint`: two networks over one list of functions. `claims` holds what such a list says, as matrices that multiply out;
`prove` shows equality by it, on all of R^n; `split` does so on cells, cut only where outputs disagree; `units` are
the neurons that may be dead or linear on a whole domain.
"""
