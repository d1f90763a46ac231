"""Geodesics of the deep linear network: curves, lengths, and the evidence for both.

Initial values: `hamilton` integrates, `conjugate` counts the index. Closed forms: `explicit`, `rank_one`, `straight`.
Two ends: `boundary` is the question, `reduction` brings any shape and rank to square matrices and `cone` both ends to
one size; `search` shoots (`shooting`) from `guesses`, one homotopy class (`homotopy`) after the other; `carried` serves
nearly singular ends; `result` holds the answer. On top: `distances` with logarithms and interpolation, and Fréchet
`means`.
"""
