"""What weights and a domain say before anything is enumerated: certified ranges, fixed signs, differences of two networks.

Rooms: `relaxation` bounds the neurons of one network layer by layer; `fixed_signs` asks it which neurons a domain settles,
before a complex is built. `boxes` is a second relaxation, written apart and over many boxes at once: it
checks what the others say, and `equivalence.bounds` asks it where a bound on a box is all that is needed. `pairing` brings two networks
into one shape, `goals` says what is asked of both, `split` drives the compiled search over boxes (`kernels.bounds`), and
`tree` keeps what it halved, as evidence; `signs` splits signs of neurons with bounds by `multipliers`, `programs` by
certified linear programs, `settle` says when. `enclosing` puts boxes around domains.
"""
