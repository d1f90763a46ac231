"""Answers to queries about one or two networks: is there an input where all that is asserted holds?

The cases of a query that have the same conditions on inputs are one search over boxes; in each case one of its
conditions on outputs must fail for a proof that it has no input. Answers are about real arithmetic with the numbers of
the files. A query about one network is one about it and the zero network. Two networks whose inputs are asserted to be
equal share them; where the inputs of the second are asserted to be near those of the first they are written as those
and a small difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ... import words
from ..._typing import Array, FloatArray, ProgressLike
from ...bounds.enclosing import enclosing_box
from ...bounds.goals import Alternative
from ...bounds.pairing import Side, paired_sides
from ...bounds.settle import settle
from ...bounds.split import BoxSearch, Outcome
from ...budget import Budget, Monitor
from ...domain import Polyhedron
from ...errors import InputError, ShapeError, old_name
from ...network.model import ReLUNetwork
from ...numerics.floats import as_float, directed
from ...numerics.rounding import TINY
from ..bounds.near_equal import folding_effect
from ..bounds.side_by_side import check_workers, shared
from ..witness import exact_output
from .formulas import Atom, Formula, Variable, cases, conjuncts, decimal, holds, rounded
from .vnnlib import Query, read_query

SLICES = 4
"""In how many turns several domains share the time."""

Row = tuple[dict[int, Fraction], Fraction]
"""``sum c z <= side``."""


@dataclass(frozen=True, eq=False)
class Proof:
    """Whether a query has an input, and what that rests on.

    Attributes
    ----------
    status : {'sat', 'unsat', 'unknown'}
        'sat': an input was found where all assertions hold, in rational arithmetic. 'unsat': there is none among all
        real inputs.
    reason : str
    inputs, outputs : tuple of (n,) arrays of Fraction
        For 'sat': of each network.
    boxes : int
    share : float
        Of the volume on which it is proved that there is no input.
    seconds : float
    """

    query: Query = field(repr=False)
    status: str
    reason: str
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    boxes: int
    share: float
    seconds: float

    def to_text(self) -> str:
        """The answer as the command-line interface of VNN-LIB has it: the status and, for 'sat', every declared tensor.

        Inputs are written so that they are read back as they are, outputs rounded to float64.
        """
        lines = [self.status]
        if self.status == "sat" and self.query.version == 1:
            x, y = self.inputs[0], self.outputs[0]
            pairs = [f"(X_{i} {decimal(v)})" for i, v in enumerate(x)] + [
                f"(Y_{i} {rounded(v)})" for i, v in enumerate(y)
            ]
            lines += ["(" + "\n ".join(pairs) + ")"]
        elif self.status == "sat":
            for net, x, y in zip(self.query.networks, self.inputs, self.outputs):
                for tensors, values, written in ((net.inputs, x, decimal), (net.outputs, y, rounded)):
                    for t in tensors:
                        lines.append(f"{t.name} {t.kind} [{','.join(map(str, t.shape))}]")
                        lines += [written(v) for v in values[t.first : t.first + t.size]]
        return "\n".join(lines)

    text = old_name("to_text")


def prove(
    query: Query | str | Path, networks: Sequence[ReLUNetwork], *, budget: Budget | None = None, progress: ProgressLike = None,
    workers: int = 1, scheduler: Any = None,
) -> Proof:  # fmt: skip
    """Decide whether a query has an input where all that it asserts holds.

    Parameters
    ----------
    query : Query or path
        See `vnnlib.read_query`.
    networks : sequence of ReLUNetwork
        One for each declared network that is not ``equal-to`` another, in their order.
    budget : Budget, optional
        Without one the search goes on until it is settled.
    progress : bool or callable, optional
    workers : int
        Processes of this machine that share the boxes.
    scheduler : optional
        Instead of processes a Dask client, the address of a Dask scheduler, or an executor; ``workers`` are then the
        parts of a round.

    Raises
    ------
    InputError
        Inputs without bounds, more cases than are worked through.
    ShapeError
        Networks that do not fit the declarations.

    Notes
    -----
    Exponential in the inputs that matter at worst, as `near_equal`.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.queries.prove import prove
    >>> from polyfiber.equivalence.queries.vnnlib import parse_query
    >>> net = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])  # |x|
    >>> ask = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 -1))(assert (>= Y_0 {}))"
    >>> prove(parse_query(ask.format(1.25)), [net]).status
    'unsat'
    >>> print(prove(parse_query(ask.format(0.5)), [net]).to_text().split()[0])
    sat
    """
    if not isinstance(query, Query):
        query = read_query(query)
    monitor = Monitor(budget, progress)
    asked = _Asked.of(query, networks)
    groups: dict[frozenset[tuple[Any, ...]], tuple[list[Atom], list[list[Atom]]]] = {}
    for case in cases(query.formula):
        inside = [atom for atom in case if not any(v.output for v in atom.terms)]
        key = frozenset((tuple(sorted(a.terms.items())), a.constant, a.strict) for a in inside)
        groups.setdefault(key, (inside, []))[1].append([a for a in case if any(v.output for v in a.terms)])
    check_workers(workers, scheduler)
    domains = [part for part in groups.values() if asked.domain(part[0]) is not None]
    with ExitStack() as opened:
        makers = [partial(asked.search, *part) for part in domains]
        searches = [opened.enter_context(shared(make, workers, scheduler)) for make in makers]
        return asked.answered(searches, monitor)


@dataclass
class _Asked:
    """A query with its networks, and how their inputs depend on the free numbers z."""

    query: Query
    networks: tuple[ReLUNetwork, ...]
    parts: tuple[tuple[tuple[int, ...], ...], ...]
    """For each network and input the entries of z whose sum it is."""
    size: int
    witness: list[Fraction] | None = None

    @classmethod
    def of(cls, query: Query, networks: Sequence[ReLUNetwork]) -> _Asked:
        needed = [net for net in query.networks if not net.equal_to]
        if len(networks) != len(needed):
            names = ", ".join(net.name for net in needed)
            raise ShapeError(f"the query needs {words.count(len(needed), 'network')} ({names}), found {len(networks)}")
        given = {net.name: network for net, network in zip(needed, networks)}
        nets = tuple(given[net.equal_to or net.name] for net in query.networks)
        for net, network in zip(query.networks, nets):
            ends = network.architecture[0], network.architecture[-1]
            if ends != (net.n_inputs, net.n_outputs):
                raise ShapeError(
                    f"network {net.name} is declared with {words.count(net.n_inputs, 'input')} and {words.count(net.n_outputs, 'output')}; the one given has "
                    f"{ends[0]} and {ends[1]}"
                )
        parts: list[tuple[tuple[int, ...], ...]] = [tuple((i,) for i in range(query.networks[0].n_inputs))]
        size = query.networks[0].n_inputs
        if len(nets) == 2:
            more, size = _second_inputs(query.formula, query.networks[1].n_inputs, size)
            parts.append(more)
        return cls(query, nets, tuple(parts), size)

    def point(self, z: Sequence[Fraction]) -> dict[Variable, Fraction]:
        """All inputs and outputs, exactly."""
        at: dict[Variable, Fraction] = {}
        for k, net in enumerate(self.networks):
            x = [sum((z[i] for i in own), Fraction(0)) for own in self.parts[k]]
            floats = np.array([as_float(v) for v in x])
            exact = bool(np.isfinite(floats).all()) and all(Fraction(f) == v for f, v in zip(floats.tolist(), x))
            y = exact_output(net, floats if exact else np.array(x, dtype=object))
            at |= {Variable(k, False, i): v for i, v in enumerate(x)}
            at |= {Variable(k, True, i): Fraction(v) for i, v in enumerate(y)}
        return at

    def moved(self, atom: Atom) -> tuple[dict[int, Fraction], dict[Variable, Fraction]]:
        """An atom's coefficients of z and of outputs."""
        of_z: dict[int, Fraction] = {}
        of_y: dict[Variable, Fraction] = {}
        for v, c in atom.terms.items():
            if v.output:
                of_y[v] = c
            else:
                for i in self.parts[v.network][v.place]:
                    of_z[i] = of_z.get(i, Fraction(0)) + c
        return {i: c for i, c in of_z.items() if c}, of_y

    def search(self, inside: list[Atom], over: list[list[Atom]]) -> BoxSearch:
        """The search on one domain, which is not empty."""
        domain = self.domain(inside)
        assert domain is not None
        low, high, rows = domain
        lo = np.array([directed(v, up=False) for v in low])
        hi = np.array([directed(v, up=True) for v in high])
        passed = sorted({i for case in over for atom in case for i in self.moved(atom)[0]})
        sides = [self.side(k, passed, lo) for k in range(len(self.networks))]
        alone = len(sides) == 1
        if alone:
            sides.append(_zero(sides[0]))
        m = max(len(s.biases[-1]) for s in sides)
        pair = [s if len(s.biases[-1]) == m else _padded(s, m, len(passed)) for s in sides]
        x, y = (pair[0], pair[1]) if alone else paired_sides(pair[0], pair[1])
        reach = np.maximum(*(_reach(s, np.maximum(np.abs(lo), np.abs(hi))) for s in (x, y)))
        groups = [[self.alternative(atom, m, passed, reach) for atom in case] or [({}, 1.0, 0.0)] for case in over]

        def confirm(point: FloatArray) -> bool:
            return self.confirmed(point, low, high)

        return BoxSearch((x, y), groups, lo, hi, rows=_floats(rows, lo, hi), confirm=confirm, alone=alone)

    def domain(self, inside: list[Atom]) -> tuple[list[Fraction], list[Fraction], list[Row]] | None:
        """Ends of a box in rationals and further inequalities; None where that is empty."""
        low: list[Fraction | None] = [None] * self.size
        high: list[Fraction | None] = [None] * self.size
        rows: list[Row] = []
        for atom in inside:
            of_z, _ = self.moved(atom)
            if not of_z:
                if atom.constant > 0 or (atom.constant == 0 and atom.strict):
                    return None
            elif len(of_z) == 1:
                ((i, c),) = of_z.items()
                end = -atom.constant / c
                if c > 0:
                    high[i] = end if high[i] is None else min(high[i], end)  # type: ignore[type-var]
                else:
                    low[i] = end if low[i] is None else max(low[i], end)  # type: ignore[type-var]
            else:
                rows.append((of_z, -atom.constant))
        if any(v is None for v in (*low, *high)):
            found = self._bounded(low, high, rows)
            if found is None:
                return None
            low, high = [*map(Fraction, found[0].tolist())], [*map(Fraction, found[1].tolist())]
        ends = [(a, b) for a, b in zip(low, high) if a is not None and b is not None]
        if any(a > b for a, b in ends):
            return None
        return [a for a, _ in ends], [b for _, b in ends], rows

    def _bounded(
        self, low: list[Fraction | None], high: list[Fraction | None], rows: list[Row]
    ) -> tuple[FloatArray, FloatArray] | None:
        """A box around what all inequalities leave."""
        every = list(rows)
        every += [({i: Fraction(1)}, v) for i, v in enumerate(high) if v is not None]
        every += [({i: Fraction(-1)}, -v) for i, v in enumerate(low) if v is not None]
        free = [i for i in range(self.size) if not any(i in row for row, _ in every)]
        if free or not every:
            raise InputError(
                f"input {free[0] if free else 0} has no bounds in the query; only bounded domains are decided"
            )
        A = np.array([[row.get(i, Fraction(0)) for i in range(self.size)] for row, _ in every], dtype=object)
        try:
            return enclosing_box(Polyhedron(A, np.array([side for _, side in every], dtype=object)))
        except InputError as error:
            if getattr(error, "empty", False):
                return None
            raise

    def side(self, k: int, passed: list[int], lo: FloatArray) -> Side:
        """A network as a function of z, which hands on some entries of z as further outputs."""
        side = Side.of(self.networks[k])
        W, E = side.weights[0], side.weight_errors[0]
        first, error = np.zeros((len(W), self.size)), np.zeros((len(W), self.size))
        for j, own in enumerate(self.parts[k]):
            for i in own:
                first[:, i], error[:, i] = W[:, j], E[:, j]
        side = side.replaced(0, [first, side.biases[0], error, side.bias_errors[0]])
        n, depth = len(passed), len(side.weights)
        for l in range(depth if n else 0):
            W, b, E, e = (part[l] for part in (side.weights, side.biases, side.weight_errors, side.bias_errors))
            columns = W.shape[1] + (n if l else 0)
            wide, wider = np.zeros((len(W) + n, columns)), np.zeros((len(W) + n, columns))
            wide[: len(W), : W.shape[1]], wider[: len(W), : W.shape[1]] = W, E
            for t, i in enumerate(passed):
                wide[len(W) + t, W.shape[1] + t if l else i] = 1.0
            shift = (-lo[passed] if l == 0 else np.zeros(n)) + (lo[passed] if l == depth - 1 else np.zeros(n))
            side = side.replaced(l, [wide, np.concatenate([b, shift]), wider, np.concatenate([e, np.zeros(n)])])
        return side

    def alternative(self, atom: Atom, m: int, passed: list[int], reach: FloatArray) -> Alternative:
        """What holds where an atom fails: an upper bound of minus its left side."""
        of_z, of_y = self.moved(atom)
        exact: dict[int, Fraction] = {}
        for v, c in of_y.items():
            exact[v.place] = exact.get(v.place, Fraction(0)) - c
            if v.network:  # g = f - (f - g)
                exact[m + v.place] = exact.get(m + v.place, Fraction(0)) + c
        for t, i in enumerate(passed):
            if i in of_z:
                exact[m - len(passed) + t] = -of_z[i]
        exact = {k: c for k, c in exact.items() if c}
        scale = Fraction(1)
        for c in exact.values():
            scale *= (c * scale).denominator
        if any(Fraction(as_float(c * scale)) != c * scale for c in exact.values()):
            scale = 1 / max(map(abs, exact.values()))
        terms = {k: as_float(c * scale) for k, c in exact.items()}
        limit = atom.constant * scale
        for k, c in exact.items():  # what rounded coefficients change
            off = abs(Fraction(terms[k]) - c * scale)
            if off:
                if not np.isfinite(reach[k % m]):
                    limit = Fraction(-(10**400))
                    break
                limit -= off * 2 * Fraction(float(reach[k % m]))
        if abs(limit) > 10**300:
            return terms, 0.0, -float(np.finfo(float).max)
        down = directed(limit, up=False)
        if not atom.strict and Fraction(down) == limit:
            down = float(np.nextafter(down, -np.inf))
        return terms, 0.0, down

    def confirmed(self, point: FloatArray, low: list[Fraction], high: list[Fraction]) -> bool:
        """Whether all that is asserted holds at a point or at one beside it, also for the networks as the files have
        them.
        """
        candidates = [point.astype(np.float32).astype(np.float64), point]
        for candidate in candidates:
            if not np.isfinite(candidate).all():
                continue
            z = [min(max(Fraction(float(v)), a), b) for v, a, b in zip(candidate, low, high)]
            at = self.point(z)
            if holds(self.query.formula, at) and self._beyond_folding(at):
                self.witness = z
                return True
        return False

    def _beyond_folding(self, at: Mapping[Variable, Fraction]) -> bool:
        """Whether it holds as well when outputs move by what their files' readers may have rounded."""
        slack = []
        for k, net in enumerate(self.networks):
            x = np.array([as_float(at[Variable(k, False, i)]) for i in range(net.architecture[0])])
            slack.append(Fraction(folding_effect(Side.of(net), x)))
        return not any(slack) or _firm(self.query.formula, at, slack)

    def answered(self, searches: list[tuple[BoxSearch, Any]], monitor: Monitor) -> Proof:
        """Run the searches, each with what runs it, in turns when there are several."""
        found: list[Outcome | None] = [None] * len(searches)
        for turn in range(SLICES if len(searches) > 1 and monitor.left is not None else 1):
            for number, (search, run) in enumerate(searches):
                before = found[number]
                if before is not None and before.status == "proved":
                    continue
                left = monitor.left
                last = turn == SLICES - 1 or len(searches) == 1 or left is None
                share = None if last and number == len(searches) - 1 else left
                if share is not None and len(searches) > 1:
                    waiting = sum(o is None or o.status != "proved" for o in found[number:])
                    share /= waiting * (1 if last else SLICES - turn)
                outcome = (
                    settle(search, monitor, seconds=share, run=run)
                    if before is None
                    else run(monitor, seconds=share, attack=False)
                )
                found[number] = outcome
                if outcome.status == "violated" and self.witness is not None:
                    return self._said("sat", "an input was found, and checked in rational arithmetic", found, monitor)
                if outcome.stopped == "interrupted":
                    return self._said("unknown", "interrupted", found, monitor)
        open_ = [o for o in found if o is None or o.status != "proved"]
        if not open_:
            boxes = sum(o.boxes for o in found if o is not None)
            return self._said("unsat", f"no input on any of {words.count(boxes, 'box', 'boxes')}", found, monitor)
        stopped = next((o.stopped for o in open_ if o is not None and o.stopped), "no input is certain")
        return self._said("unknown", stopped, found, monitor)

    def _said(self, status: str, reason: str, found: Sequence[Outcome | None], monitor: Monitor) -> Proof:
        inputs: list[Array] = []
        outputs: list[Array] = []
        if status == "sat" and self.witness is not None:
            at = self.point(self.witness)
            for k, net in enumerate(self.networks):
                ends = net.architecture[0], net.architecture[-1]
                inputs.append(np.array([at[Variable(k, False, i)] for i in range(ends[0])], dtype=object))
                outputs.append(np.array([at[Variable(k, True, i)] for i in range(ends[1])], dtype=object))
        shares = [0.0 if o is None else o.share for o in found]
        return Proof(
            self.query, status, reason, tuple(inputs), tuple(outputs), sum(o.boxes for o in found if o is not None),
            float(np.mean(shares)) if shares else 1.0, monitor.elapsed,
        )  # fmt: skip


def _second_inputs(formula: Formula, n: int, size: int) -> tuple[tuple[tuple[int, ...], ...], int]:
    """The inputs of the second network as sums of entries of z: equal to one of the first, near one, or free."""
    below: dict[tuple[int, int], Fraction] = {}
    above: dict[tuple[int, int], Fraction] = {}
    for atom in conjuncts(formula):
        if not isinstance(atom, Atom) or len(atom.terms) != 2 or any(v.output for v in atom.terms):
            continue
        (u, c), (v, d) = sorted(atom.terms.items())
        if (u.network, v.network) == (0, 1) and c == -d:  # d (v - u) + constant <= 0
            end = -atom.constant / d
            ends, pick = (above, min) if d > 0 else (below, max)
            ends[u.place, v.place] = pick(ends.get((u.place, v.place), end), end)
    parts: list[tuple[int, ...] | None] = [None] * n
    used: set[int] = set()
    both = [(i, j) for i, j in above if (i, j) in below]
    for i, j in sorted(both, key=lambda p: (above[p] != below[p], p[0] != p[1])):
        if parts[j] is None and i not in used:
            used.add(i)
            if above[i, j] == below[i, j] == 0:
                parts[j] = (i,)
            else:
                parts[j] = (i, size)
                size += 1
    for j in range(n):
        if parts[j] is None:
            parts[j] = (size,)
            size += 1
    return tuple(part for part in parts if part is not None), size


def _firm(formula: Formula, at: Mapping[Variable, Fraction], slack: Sequence[Fraction]) -> bool:
    """Whether a formula holds for all outputs that are within their slack."""
    if isinstance(formula, Atom):
        off = sum((abs(c) * slack[v.network] for v, c in formula.terms.items() if v.output), Fraction(0))
        value = formula.value(at) + off
        return value < 0 or (value == 0 and not formula.strict)
    every = [_firm(part, at, slack) for part in formula.parts]
    return any(every) if type(formula).__name__ == "Either" else all(every)


def _zero(side: Side) -> Side:
    """The zero network of the same shape."""
    parts = [tuple(np.zeros_like(p) for p in part) for part in (side.weights, side.biases)]
    return Side(parts[0], parts[1], parts[0], parts[1])


def _padded(side: Side, m: int, kept: int) -> Side:
    """With outputs that are zero before the last ``kept`` ones."""
    W, b, E, e = (part[-1] for part in (side.weights, side.biases, side.weight_errors, side.bias_errors))
    at, more = len(b) - kept, m - len(b)
    moved = [np.insert(W, [at] * more, 0.0, axis=0), np.insert(b, [at] * more, 0.0)]
    moved += [np.insert(E, [at] * more, 0.0, axis=0), np.insert(e, [at] * more, 0.0)]
    return side.replaced(len(side.weights) - 1, moved)


def _reach(side: Side, inputs: FloatArray) -> FloatArray:
    """Above the sizes of all outputs for inputs of this size."""
    y = inputs
    with np.errstate(over="ignore", invalid="ignore"):
        for W, b, E, e in zip(side.weights, side.biases, side.weight_errors, side.bias_errors):
            y = ((np.abs(W) + E) @ y + np.abs(b) + e) * (1 + 1e-9) + TINY
    return np.where(np.isnan(y), np.inf, y)


def _floats(rows: list[Row], lo: FloatArray, hi: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Inequalities with rounded numbers, loosened by what rounding may have cut off."""
    if not rows:
        return None
    reach = [Fraction(float(v)) for v in np.maximum(np.abs(lo), np.abs(hi))]
    A, sides = np.zeros((len(rows), len(lo))), np.zeros(len(rows))
    for r, (row, side) in enumerate(rows):
        for i, c in row.items():
            A[r, i] = as_float(c)
            side += abs(Fraction(A[r, i]) - c) * reach[i]
        sides[r] = directed(side, up=True)
    return A, sides


__all__ = ["Proof", "prove"]
