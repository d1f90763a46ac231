"""A complex in parts: blocks that are built alone and together own every face once.

`block` is the value, a path of signs; `plan` halves until a block fits its memory; `contents` builds one and counts
what it owns; `run` walks over all of them, here or in `workers`, and adds up. `estimate` extrapolates from a few.
`write` keeps cells on disk as they come (`parts` knows the file formats), `read` reads them back. `verify` enumerates
the blocks of such a store anew.
"""
