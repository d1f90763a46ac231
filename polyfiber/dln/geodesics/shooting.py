"""Shooting: the initial momentum of a geodesic that ends where it should, from a guess."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ..._typing import FloatArray
from ...budget import heed
from .guesses import Guess, guesses
from .hamilton import BoundaryError, carry
from .reduction import End, end_of, raised

_DERIVATIVES = 6
"""Derivatives in one run of Newton steps: a run that needs more seldom ends well."""
ALLOWANCE = 1.9e7
"""Numbers that all integrations of one search may move, evaluations times entries: a few seconds."""
_FEWEST = 25
"""Evaluations that an integration takes at least: what is beyond the allowance for certain is not begun."""


@dataclass
class Shooter:
    """The boundary value problem ``X(1; start, P) = start + difference``, in metric coordinates at both ends.

    Attributes
    ----------
    start, finish : End
    difference : float64 (s, s)
        ``finish.W - start.W`` before rounding.
    depth : float
    tolerance : float
        Miss at the end relative to the length.
    shape : (int, int)
        Rows and columns that are not padding.
    work : list of one float
        Used up so far, shared by the problems that are derived from this one.
    """

    start: End
    finish: End
    difference: FloatArray
    depth: float
    tolerance: float
    shape: tuple[int, int]
    work: list[float] = field(default_factory=lambda: [0.0])
    stats: dict[str, int] = field(
        default_factory=lambda: {"integrations": 0, "jacobians": 0, "continuation_steps": 0, "guesses": 0}
    )

    @property
    def limit(self) -> int:
        """Evaluations of one integration: near lower rank small matrices are cheap enough for many."""
        return max(4000, 400_000 // self.start.W.size)

    @property
    def floor(self) -> float:
        """Least singular value, of that of the start, below which a path has come to lower rank: well below that of the
        end.
        """
        last = self.start.rank - 1
        return float(min(1e-7, 1e-3 * self.finish.values[last] / self.start.values[last]))

    @property
    def accuracy(self) -> float:
        """Of the integration."""
        return min(1e-10, 0.03 * self.tolerance)

    @property
    def feasible(self) -> bool:
        """Whether one derivative is within the allowance: up to size 29 at full rank."""
        return _FEWEST * (self.start.dimension + 1) * self.start.W.size <= ALLOWANCE

    def ends(self, z: FloatArray, *, accuracy: float | None = None) -> FloatArray:
        """Displacements (n, s, s) at time 1 for initial coordinates (n, D)."""
        self.stats["integrations"] += 1
        heed("the search for a geodesic")
        p = self.start.momentum(z)
        if self.work[0] + _FEWEST * p.size > ALLOWANCE:
            raise BoundaryError("the search for a geodesic has used up its allowance of integrations", evaluations=0)
        accuracy = self.accuracy if accuracy is None else accuracy
        rank, once, zero = self.start.rank, np.array([1.0]), np.zeros_like(p)
        calls = self.limit
        try:
            found = carry(
                self.start.W,
                zero,
                p,
                self.depth,
                once,
                rank=rank,
                tolerance=accuracy,
                floor=self.floor,
                limit=self.limit,
            )
            calls = found.evaluations
        except BoundaryError as error:
            calls = int(getattr(error, "evaluations", self.limit))
            raise
        finally:
            self.work[0] += calls * p.size
        return np.asarray(found.D[0])

    def jacobian(self, z: FloatArray, target: End, difference: FloatArray) -> FloatArray:
        """Derivative of the end point, in coordinates of the target: differences of neighbours that share their
        steps.
        """
        self.stats["jacobians"] += 1
        apart = float(np.linalg.norm(target.vector(difference)))
        h = 1e-6 * min(max(float(np.linalg.norm(z)), apart), self.start.reach(self.depth), target.reach(self.depth))
        moved = np.concatenate([z[None], z + h * np.eye(z.size)])
        places = target.position(self.ends(moved, accuracy=1e-7) - difference, self.depth)
        return np.asarray((places[1:] - places[0]).T / h)

    def shoot(
        self, z: FloatArray, target: End, difference: FloatArray, *, goal: float | None = None
    ) -> tuple[FloatArray, float] | None:
        """Damped Newton steps with Broyden updates; the derivative is taken afresh when a step helps too little."""
        goal = self.tolerance if goal is None else goal
        if not self.feasible:
            return None
        try:
            r = -target.position(self.ends(z[None])[0] - difference, self.depth)
            j = self.jacobian(z, target, difference)
        except BoundaryError:
            return None
        size = float(np.linalg.norm(r))
        fresh, taken = True, 1
        for _ in range(60):
            scale = max(float(np.linalg.norm(z)), 1e-300)
            if size <= goal * scale:
                return z, size / scale
            if not np.isfinite(j).all():  # what lies near lower rank is out of the range of numbers
                return None
            dz = np.linalg.lstsq(j, r, rcond=1e-10)[0]
            reach = 0.5 * scale + 2.0 * size
            length = float(np.linalg.norm(dz))
            if not np.isfinite(length):
                return None
            if length > reach:
                dz *= reach / length
            step, accepted = 1.0, False
            while step > (1e-3 if fresh else 0.2):
                try:
                    moved = self.ends((z + step * dz)[None])[0]
                    trial = -target.position(moved - difference, self.depth)
                except BoundaryError:
                    step *= 0.4
                    continue
                trial_size = float(np.linalg.norm(trial))
                if trial_size < (1.0 - 0.3 * step) * size:
                    accepted = True
                    break
                step *= 0.4
            if accepted:
                s = step * dz
                j = j + np.outer(r - trial - j @ s, s) / float(s @ s)
                z, r, size, fresh = z + s, trial, trial_size, False
                continue
            if fresh or taken >= _DERIVATIVES:
                return (z, size / scale) if size <= 10.0 * goal * scale else None
            taken += 1
            try:
                j = self.jacobian(z, target, difference)
            except BoundaryError:
                return None
            fresh = True
        return None

    def continuation(self, curve: Callable[[float], FloatArray], z: FloatArray) -> tuple[FloatArray, float] | None:
        """Move the end point from the start along a curve of matrices of the rank, solving on the way."""
        s, ds, steps = 0.0, 0.25, 0
        current, before = np.zeros_like(z), None
        residual = 0.0
        while s < 1.0:
            nxt = min(1.0, s + ds)
            if nxt < 1.0:
                x = curve(nxt)
                target, difference = end_of(x, self.start.rank, self.depth, self.shape), x - self.start.W
                if target.values[target.rank - 1] <= 1e-12 * target.values[0]:
                    return None
            else:
                target, difference = self.finish, self.difference
            if s == 0.0:
                guess = nxt * z
            elif before is None:
                guess = current * (nxt / s)
            else:  # through the last two solutions
                guess = current + (current - before[1]) * ((nxt - s) / (s - before[0]))
            found = self.shoot(guess, target, difference, goal=self.tolerance if nxt == 1.0 else 1e-4)
            self.stats["continuation_steps"] += 1
            steps += 1
            if found is None:
                ds *= 0.5
                if ds < 4e-3 or steps > 60:
                    return None
                continue
            before = (s, current)
            current, residual = found
            s = nxt
            ds *= 1.5
        return current, residual

    def solve(self, guess: Guess, *, patient: bool = True) -> tuple[FloatArray, float, str] | None:
        """Coordinates, relative miss and method, from one guess; continuation only where ``patient``."""
        self.stats["guesses"] += 1
        z = self.start.vector(guess.velocity)
        found = self.shoot(z, self.finish, self.difference)
        if found is not None:
            return *found, "shooting"
        if not patient:
            return None
        found = self.continuation(guess.at, z)
        return None if found is None else (*found, "continuation")

    def from_above(self) -> Iterator[tuple[str, FloatArray, float]]:
        """Solutions reached from pairs with larger least singular values, which are lowered step by step.

        In metric coordinates the solution has a limit as the least singular value goes to 0, so steps are few; from the
        pair itself it cannot be seen, because every starting curve misses the end by many times that value.
        """
        ends = (self.start, self.finish)
        rank, n = self.start.rank, 8.0 if math.isinf(self.depth) else self.depth
        top = min(float(e.values[0]) for e in ends) ** (1.0 / n)
        bottom = min(float(e.values[rank - 1]) for e in ends) ** (1.0 / n)
        ratio = 0.1
        if bottom >= 0.5 * ratio * top:
            return
        solver = self.raised(ratio * top, n)
        for curve in guesses(solver.start, solver.finish, solver.difference, self.depth):
            if curve.name == "straight":
                continue
            first = solver.solve(curve, patient=False)
            if first is None:
                continue
            z, miss, level, factor = first[0], first[1], ratio * top, 0.5
            while level > bottom:
                lower = level * factor
                below = self.raised(lower, n) if lower > bottom else self
                end: tuple[FloatArray, float] | None = below.shoot(z, below.finish, below.difference)
                self.stats["continuation_steps"] += 1
                if end is None:
                    factor = factor**0.5
                    if factor > 0.95:
                        break
                    continue
                z, miss = end
                level = lower
            else:
                yield curve.name, z, miss

    def raised(self, least: float, n: float) -> Shooter:
        """The problem with singular values of both ends at least ``least^n``."""
        a, b = (raised(e, least**n, self.depth) for e in (self.start, self.finish))
        return replace(self, start=a, finish=b, difference=b.W - a.W)
