"""Whole fibers, beyond a neighbourhood of one parameter.

`assignments` lists every parameter of a function of one hidden layer, with dimensions and components; `largest` finds
the largest dimension without the list. `connection` asks whether two parameters of one function are joined inside its fiber: a path, the invariant that separates, or
undecided. `joining` makes the paths, in rationals.
"""
