"""Linear relations among the features of a layer: which are sums of others, in rationals or in floats with margins.

`features`: `feature_relations`, the kernels of one layer and what they save. `grouping`: which rows share a hyperplane.
`image`: relations that hold on what the layers before reach.
"""
