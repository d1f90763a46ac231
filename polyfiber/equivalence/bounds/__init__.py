"""How far apart two networks can be at most.

`difference_network` stacks both into one network that computes f - g; `difference` looks for its maximum on a domain;
`everywhere` bounds it on all of R^n, from the weights. `near_equal` decides whether it is within an allowance, with
what `polyfiber.bounds` has; `side_by_side` deals the boxes of that search out: to processes, which are a `crew`, or by
a scheduler; `shared_boxes` is what both have in common.
"""
