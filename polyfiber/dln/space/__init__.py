"""The space of deep linear networks: balanced ones over each matrix, and the metric that this gives the matrices.

`balanced` holds the varieties and their invariants, `submersion` what lies above an invertible matrix, `frames`
explicit bases there; `metrics` is the metric downstairs, `entropies` the volume of what lies above, `projection` the
nearest network with given invariants.
"""
