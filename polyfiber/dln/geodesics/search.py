"""The search for a geodesic between two matrices of one rank: from which curves to shoot, and which solution to
keep.
"""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ..._typing import FloatArray
from ...budget import heed_memory
from ...errors import BudgetExceededError, SolverError
from ...verdict import Verdict
from ..space.metrics import metric
from .carried import Carried, cut, kept_ranks
from .conjugate import ConjugateTest, conjugate_test
from .guesses import Guess, Turning, aligned_chords, guesses, longer_turns
from .hamilton import BoundaryError, carry
from .homotopy import Attempt, Homotopy, class_count, homotopy_class
from .rank_one import rank_one_path
from .reduction import end_of, reduce
from .result import Embedded, Geodesic, lower_bound
from .shooting import ALLOWANCE, Shooter

_SUSPICIOUS = 1.25
"""A geodesic this much longer than the shortest chord is probably not the shortest; among solved pairs most are within
1.1.
"""
_NEIGHBOURS = 2
"""Further classes to try where there are infinitely many."""
_SHARE = 0.3
"""Of the allowance of integrations, for other classes."""
_PATIENCE = 2
"""Curves of a class to start from before it is given up."""


class Solution(NamedTuple):
    """Initial metric coordinates of a geodesic that ends where it should, its relative miss, and how it was found."""

    z: FloatArray
    miss: float
    method: str

    @property
    def size(self) -> float:
        """Its length inside the reduction."""
        return float(np.linalg.norm(self.z))


class Joined(NamedTuple):
    """A curve that joins the ends and is no geodesic: length, velocity and points inside the reduction, and its
    name.
    """

    length: float
    velocity: FloatArray
    curve: Carried | Turning
    name: str
    miss: float = 0.0


@dataclass
class Search:
    """One boundary value problem between matrices (m, n) of one rank at depth N >= 2; `run` solves it.

    ``starts``: how many starting curves to solve from; ``check``: whether solutions with conjugate points count less.
    """

    a: FloatArray
    b: FloatArray
    depth: float
    rank: int
    tolerance: float
    starts: int = 2
    check: bool = True
    shallow: bool = False
    tried: list[Attempt] = field(default_factory=list)
    best: Solution | None = None
    chord: float = math.nan
    joined: Joined | None = None
    tests: dict[bytes, ConjugateTest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.room = reduce(self.a, self.b - self.a, self.rank)
        self.shape = self.room.left.shape[1], self.room.right.shape[1]
        self.start, self.finish = (
            end_of(self.room.inside(w), self.rank, self.depth, self.shape) for w in (self.a, self.b)
        )
        size = self.start.W.size
        heed_memory(256 * size * (self.start.dimension + 1), "the derivative of the end of a geodesic")
        self.difference = self.room.inside(self.b - self.a)
        self.solver = Shooter(self.start, self.finish, self.difference, self.depth, self.tolerance, self.shape)
        self.whole = (self.a.shape[0], self.a.shape[1])
        self.classes = class_count(*self.whole, self.rank)

    def run(self, guess: FloatArray | None, *, closed: bool) -> Geodesic | None:
        """The shortest geodesic found, or None; ``closed``: a closed form is at hand, so do not look from the other
        end.
        """
        try:
            if not (self.solver.feasible or closed):
                self._along_lower_rank()
                return self._shortest()
            if guess is not None:
                self._from_guess(guess)
            if self.best is None:
                curves = guesses(self.start, self.finish, self.difference, self.depth)
                if curves[0].name != "straight":
                    curves = sorted(curves + self._along_lower_rank(), key=lambda g: g.length)
                for turn in (g.at for g in curves if isinstance(g.at, Turning)):
                    velocity, length = turn.measured()
                    self._join(Joined(length, velocity, turn, "turning frames"))
                self.chord = self._chord_of(curves)
                self._from_curves(curves)
                if not closed and (self.best is None or self._length(self.best.size) > _SUSPICIOUS * self.chord):
                    self._from_the_other_end()
                self._other_classes(curves)
        except BudgetExceededError as error:
            self.check = False
            if error.partial is None:
                error.partial = self._shortest()
            raise
        return self._shortest()

    def _shortest(self) -> Geodesic | None:
        """The shortest geodesic, or curve along lower rank if none is shorter."""
        if self.joined is not None and (self.best is None or self.joined.length < self.best.size * (1.0 - 1e-7)):
            return self._joined_answer(self.joined)
        return None if self.best is None else self.answer(self.best)

    def answer(self, solution: Solution) -> Geodesic:
        """The result, with its evidence."""
        n, room = self.depth, self.room
        length = self._length(solution.size)
        deep = math.isinf(n)
        slack = 0.0 if deep else 1e-14 * self._length(self.start.reach(n) + self.finish.reach(n))
        proven = n == 2 and slack < 1e-9 * length and length <= self.chord * (1.0 + 1e-9)
        bound = lower_bound(metric(self.a, n), metric(self.b, n), self.chord if n == 2 else 0.0)
        return Geodesic(
            self.a, self.b, n, room.outside(self.start.tangent(solution.z)),
            room.covector_outside(self.start.momentum(solution.z), n), length, solution.method, solution.miss,
            self.chord, n == 2, bool(proven), self.rank, bound,
            self._conjugate(solution.z) if self.check else None,
            tuple(self.tried), self._class_of(solution), self.classes, dict(self.solver.stats),
        )  # fmt: skip

    def _along_lower_rank(self) -> list[Guess]:
        """Curves along geodesics of lower rank, from every rank below a gap of the singular values of both ends."""
        out: list[Guess] = []
        if math.isinf(self.depth) or self.shallow:
            return out
        (m, n), size = self.shape, self.start.W.shape[0]
        a, b = (e.W[:m, :n] for e in (self.start, self.finish))

        def pad(M: FloatArray) -> FloatArray:
            return np.pad(M, ((0, size - m), (0, size - n)))

        for kept in kept_ranks(a, b, self.rank):
            first, last = cut(a, kept), cut(b, kept)
            if kept == 1:
                path = rank_one_path(first, last, self.depth)
                if path is None:
                    continue
                momentum, miss = metric(first, self.depth).solve(path.velocity, tolerance=1e-6), 0.0
            else:
                inner = Search(first, last, self.depth, kept, self.tolerance, starts=1, check=False)
                inner.shallow = True
                core = inner.run(None, closed=True)
                if core is None:
                    continue
                momentum, miss = core.momentum, core.residual
            curve = Carried(a, b, self.depth, self.rank, kept, first, momentum, miss)
            try:
                velocity, length = curve.measured()
            except (BoundaryError, ArithmeticError):
                continue
            out.append(Guess("carried", lambda t, c=curve: pad(c(t)), pad(velocity), length))  # type: ignore[misc]
            self._join(Joined(length, pad(velocity), curve, f"along rank {kept}", miss))
        return out

    def _join(self, found: Joined) -> None:
        """Keep the shortest curve that is no geodesic."""
        if self.joined is None or found.length < self.joined.length:
            self.joined = found

    def _joined_answer(self, found: Joined) -> Geodesic:
        """The curve that is no geodesic as a result."""
        n, room = self.depth, self.room
        momentum = self.start.momentum(self.start.vector(found.velocity))
        bound = lower_bound(metric(self.a, n), metric(self.b, n), self.chord if n == 2 else 0.0)
        return Geodesic(
            self.a, self.b, n, room.outside(found.velocity), room.covector_outside(momentum, n),
            self._length(found.length), found.name, found.miss, self.chord, n == 2, False, self.rank, bound,
            ConjugateTest(Verdict.UNDECIDED, -1, math.nan, 0), tuple(self.tried), None, self.classes,
            dict(self.solver.stats), False, Embedded(found.curve, room.left * room.scale, room.right),
        )  # fmt: skip

    def support(self, direct: Geodesic) -> Geodesic:
        """A closed form with the evidence of the search."""
        z = self.start.covector(self.room.covector_inside(direct.momentum, self.depth))
        test = self._conjugate(z) if self.check else None
        found = Solution(z, direct.residual, direct.method)
        return replace(
            direct, minimum=test, tried=tuple(self.tried), homotopy=self._class_of(found), stats=dict(self.solver.stats)
        )

    def failure(self) -> SolverError:
        """What was tried in vain."""
        if not self.solver.feasible:
            return SolverError(
                f"matrices of rank {self.rank} are too large for the search between {self.a.shape[0]} x {self.a.shape[1]} "
                f"matrices: one derivative moves more than {ALLOWANCE:.2g} numbers, and no closed form joins these",
                status="failed",
                stats=dict(self.solver.stats),
            )
        least = [e.values[self.rank - 1] * self.room.scale for e in (self.start, self.finish)]
        return SolverError(
            f"no geodesic found between the matrices at depth {self.depth}: shooting and continuation from "
            f"{len(self.tried)} curves failed ({self.solver.stats['integrations']} integrations); least singular values "
            f"{least[0]:.3g} and {least[1]:.3g}. Try an intermediate matrix",
            status="failed",
            stats=dict(self.solver.stats),
        )

    def _length(self, size: float) -> float:
        return self.room.length_outside(size, self.depth)

    def _keep(self, curve: str, solution: Solution) -> None:
        """Note a solution, and keep it if it is the shortest."""
        self.tried.append(Attempt(curve, self._length(solution.size), self._class_of(solution)))
        if self.best is None or solution.size < self.best.size * (1.0 - 1e-9):
            self.best = solution

    def _class_of(self, solution: Solution) -> Homotopy | None:
        if self.classes == 1:
            return ()
        if not self.solver.feasible:
            return None
        P = self.start.momentum(solution.z)[None]

        def curve(times: FloatArray) -> FloatArray:
            flown = carry(
                self.start.W,
                np.zeros_like(P),
                P,
                self.depth,
                times,
                rank=self.rank,
                tolerance=1e-7,
                floor=self.solver.floor,
            )
            return self.start.W + flown.D[:, 0]

        try:
            return homotopy_class(curve, self.start, self.finish, self.whole)
        except BoundaryError:
            return None

    def _from_guess(self, momentum: FloatArray) -> None:
        z = self.start.covector(self.room.covector_inside(momentum, self.depth))
        found = self.solver.shoot(z, self.finish, self.difference)
        if found is not None:
            self._keep("guess", Solution(*found, "shooting"))

    def _chord_of(self, curves: list[Guess]) -> float:
        """Length of the shortest chord among the curves; NaN at infinite depth."""
        if math.isinf(self.depth):
            return math.nan
        lengths = [c.length for c in curves if c.name == "chord"]
        if not lengths:  # very close ends: one alignment
            lengths = [c.length for c in aligned_chords(self.start, self.finish, self.depth, starts=1)]
        return self._length(min(lengths))

    def _from_curves(self, curves: list[Guess]) -> None:
        """The shortest solution from the first ``starts`` curves that lead to one, and from more if it is not
        minimal.
        """

        def solutions() -> Iterator[tuple[str, Solution]]:
            # ends near lower rank hide what lies on the other side: come from above first
            for name, z, miss in self.solver.from_above():
                yield f"{name} from above", Solution(z, miss, "continuation")
            for curve in curves:
                if self.best is not None and len(self.tried) >= self.starts + 3:
                    return
                found = self.solver.solve(curve, patient=self.best is None)
                if found is None:
                    self.tried.append(Attempt(curve.name, math.nan, None))
                else:
                    yield curve.name, Solution(*found)

        for solved, (name, solution) in enumerate(solutions(), 1):
            self._keep(name, solution)
            assert self.best is not None
            if solved >= self.starts and self._minimal(self.best):
                break

    def _minimal(self, solution: Solution) -> bool:
        if not self.check:
            return True
        return self._conjugate(solution.z).verdict is not Verdict.NO

    def _conjugate(self, z: FloatArray) -> ConjugateTest:
        """The test for conjugate points, once for each solution."""
        key = z.tobytes()
        if key not in self.tests:
            self.tests[key] = conjugate_test(self.start, z, self.depth, self.shape)
        return self.tests[key]

    def _from_the_other_end(self) -> None:
        """What cannot be seen from one end may be seen from the other; run backwards and polished."""
        other = Search(self.b, self.a, self.depth, self.rank, self.tolerance, starts=1, check=False)
        other.room, other.start, other.finish, other.difference = self.room, self.finish, self.start, -self.difference
        other.solver = Shooter(self.finish, self.start, -self.difference, self.depth, self.tolerance, self.shape)
        other._from_curves(guesses(self.finish, self.start, -self.difference, self.depth))
        if other.best is None:
            return
        P = self.finish.momentum(other.best.z)[None]
        try:
            flown = carry(
                self.finish.W,
                np.zeros_like(P),
                P,
                self.depth,
                np.array([1.0]),
                rank=self.rank,
                floor=other.solver.floor,
            )
        except BoundaryError:
            return
        self.solver.work[0] = 0.0
        found = self.solver.shoot(self.start.covector(-flown.P[0, 0]), self.finish, self.difference)
        if found is not None:
            self._keep("from the other end", Solution(*found, "continuation"))

    def _other_classes(self, curves: list[Guess]) -> None:
        """Shoot from a curve of each homotopy class that has none yet; of infinitely many, from two further ones.

        Ends close to each other are left alone: a path of another class goes round matrices of lower rank, far away.
        """
        if self.best is None or self.classes == 1 or curves[0].name == "straight":
            return
        if self.depth == 2 and self._length(self.best.size) <= self.chord * (1.0 + 1e-9):
            return  # the shortest of all
        self.solver.work[0] = max(self.solver.work[0], (1.0 - _SHARE) * ALLOWANCE)
        found = {a.homotopy for a in self.tried if a.homotopy is not None}
        most = len(found) + _NEIGHBOURS if math.isinf(self.classes) else int(self.classes)
        failures: collections.Counter[Homotopy] = collections.Counter()
        for curve in itertools.chain(curves, longer_turns(self.start, self.finish, self.depth)):
            if len(found) >= most:
                return

            def along(times: FloatArray, curve: Guess = curve) -> FloatArray:
                return np.stack([curve.at(float(t)) for t in times])

            label = homotopy_class(along, self.start, self.finish, self.whole)
            if label is None or label in found or failures[label] == _PATIENCE:
                continue
            solution = self.solver.solve(curve)
            if solution is None:
                failures[label] += 1
                self.tried.append(Attempt(curve.name, math.nan, label))
            else:
                self._keep(curve.name, Solution(*solution))
                found |= {a.homotopy for a in self.tried[-1:] if a.homotopy is not None}
