"""What weights and a domain say before anything is enumerated: certified ranges, fixed signs, differences of two
networks.

Rooms: `relaxation` bounds the neurons of one network layer by layer, for every answer that asks; `fixed_signs` asks it
which neurons a domain settles, before a complex is built, and `mixed_integer` begins with its ranges. `pairing` brings
two networks into one shape, `goals` says what is asked of both, `split` drives the compiled search over boxes
(`kernels.bounds`: one relaxation of two networks together), and `tree` keeps what it halved, as evidence; `signs`
splits signs of neurons with bounds by `multipliers` (the lines of the compiled relaxation with slopes that may be
chosen), `programs` by certified linear programs, `settle` says when. `enclosing` puts boxes around domains. The
relaxations that check all these live apart, in `equivalence.checks`: `planes` for one network, `leaves` for two.
"""
