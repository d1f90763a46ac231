"""From the nodes of a file to a network.

`slots` numbers the values of tensors, so that moving them costs nothing, and keeps affine maps and gates; `units` says
which gates a file's nonlinear units are; `assembly` drops what is dead and multiplies out the affine maps between
gates, exactly, with `exact_rows`.
"""
