"""Are two networks the same function, how far apart are they, which of many are the same.

`decide` asks, from the cheapest proof to the dearest, and gives an `answer` with its ground: equal ``forms``
(parameters in normal form), equal pieces (``regions``), or ``bounds`` of the difference; for NO a `witness`, computed
exactly; for what a budget cut short, a `partial` proof. ``top1`` asks the same of the largest output alone. `minimize`
looks for a smaller network with the same function and `moves_between` for moves that turn one into the other.
``collections`` sorts many networks; ``checks`` confirms answers by other ways than they were found.

`grounds` are all that a YES may rest on, and `allowance` is the tolerance that YES and NO go by; ``relations``
compares over the functions that both networks share. `minimize_gates` and `reductions` are steps of `minimize`;
`align` brings one network nearest to another; `copies` makes the half-precision, quantised and pruned ones that
deployment does, `execution` those that run in integers. ``queries`` are questions in the language of verifiers;
`saved` keeps answers in files.
"""
