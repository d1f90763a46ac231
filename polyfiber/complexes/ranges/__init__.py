"""Certified ranges of neurons and outputs over a domain.

`activation` is the question, `answer` the value with what can be checked of it. Bounds come from `polyfiber.bounds`,
are tightened by `exact_ranges` (vertices or branching) and, over one region, by two linear programs a neuron
(`over_region`). `simplify` uses them: neurons whose sign is fixed are taken out. `over_flat` brings a network and a
polyhedron in a flat to the flat's own coordinates and back.
"""
