"""Networks compared over the functions that they share, and what follows: proofs, splitting, smaller networks.

`joint`: two networks over one list of functions.
"""
