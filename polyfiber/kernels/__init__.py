"""Compiled kernels: arrays in, arrays out; no classes, no files, no randomness.

`jit`, `linking`, `lanes`, and `apart`, which compiles in processes that end, alone know the compiler; `rounding` holds
the unit of floats, `rows` sign words and the one hash table, `reach` walks over CSR arrays, `jacobi` rotations. The
rooms are those of the packages above that call them: ``complexes``, ``planar``, ``bounds``, ``equivalence``,
``fibers``, ``linear``.
"""
