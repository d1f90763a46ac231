"""Are two networks the same function, how far apart are they, which of many are the same.

`decide` asks, from the cheapest proof to the dearest, and gives an `answer` with its ground: equal ``forms`` (parameters in
normal form), equal pieces (``regions``), or ``bounds`` of the difference; for NO a `witness`, computed exactly; for what a budget
cut short, a `partial` proof. ``top1`` asks the same of the largest output alone. `minimize` looks for a smaller network with
the same function and `moves_between` for moves that turn one into the other. ``collections`` sorts many networks; ``checks``
confirms answers by other ways than they were found.
"""
