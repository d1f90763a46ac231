"""How far apart two networks can be at most.

`difference_network` stacks both into one network that computes f - g; `difference` looks for its maximum on a domain;
`everywhere` bounds it on all of R^n, from the weights.
"""
