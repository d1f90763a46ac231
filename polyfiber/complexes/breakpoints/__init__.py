"""Where the function bends: visible facets, their weights, and the balance around ridges.

`simple` computes weights along active paths, for generic networks; `shared_walls` does so where several neurons share a
wall; `ridges` adds the weights up around ridges, which proves them.
"""
