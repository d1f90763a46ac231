"""What moves in the deep linear network, in the weights and in the end-to-end matrix.

`flows` integrates gradient flow, `langevin` its stochastic companion, `completion` is the example of matrix completion;
`training` reads a trained path as a curve in the geometry, from what `checkpoints` finds in files.
"""
