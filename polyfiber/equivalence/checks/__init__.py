"""Answers confirmed another way: `recheck` by other proofs, `sample` at points, `bounds` by another relaxation.

Each says what it shares with the answer that it checks. `near`, `leaves`: near-equal networks, every leaf of the
search proved again, by planes (`substitution`) and linear programs (`duals`). `bounds`: a bound of the difference, by the relaxation of `planes`. `cells`, `functions`: what
was claimed on cells and of shared functions, multiplied out in rationals. `regions`: over the regions of one network,
certified anew.
"""
