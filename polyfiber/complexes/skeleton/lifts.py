"""From the coordinates of the quotient to points and directions of the inputs, with bounds that hold of what is given
out.

A point of the quotient stands for the point of least norm in the inputs, an affine function ``M q + c``. Its entries
are rationals; where their products would be long, floats with a proof that they are near (`_by_products`). What floats
cannot tell is worked out in rationals, point by point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..._typing import Array, FloatArray, IntArray
from ...numerics.floats import nearest
from ...numerics.rounding import TINY, UNIT, gamma
from .arrays import Frame

SHARP = 1e-9
"""Relative bound of a lifted point above which it is worked out in rationals."""
DIRECT = 1e-10
"""The same of a unit direction; those that are given out are within ten times that."""
LONG = 1 << 17
"""Products of rationals above which floats are tried first."""


class Lift(NamedTuple):
    """``M q + c`` in floats, with bounds of the entries."""

    linear: FloatArray
    """(n0, d)"""
    linear_errors: FloatArray
    shift: FloatArray
    """(n0,)"""
    shift_errors: FloatArray
    single: FloatArray
    """(n0,) 0.0 where a coordinate is copied, which rounds nothing, else 1.0."""

    @classmethod
    def of(cls, frame: Frame) -> Lift:
        """The lift of a frame."""
        n0 = frame.network.architecture[0]
        if frame.n * frame.n * n0 > LONG and frame.hull is None and frame.rows.dtype != object:
            near = _by_products(frame)
            if near is not None:
                return near
        exact = frame.lift
        floats = nearest(exact)
        off = np.array([[f != v for f, v in zip(*row)] for row in zip(floats.tolist(), exact.tolist())])
        with np.errstate(over="ignore"):
            errors = np.where(off, 2 * UNIT * np.abs(floats) + TINY, 0.0)
        count = (floats != 0).sum(axis=1)
        copied = (count == 0) | ((count == 1) & ((np.abs(floats[:, :-1]) == 1).any(axis=1) | (floats[:, -1] != 0)))
        return cls(floats[:, :-1], errors[:, :-1], floats[:, -1], errors[:, -1], np.where(copied, 0.0, 1.0))

    def points(self, q: FloatArray, err: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points (m, n0) and bounds (m,) of their errors from those of the quotient; infinite where floats overflow."""
        return self._lifted(q, err, self.shift, self.shift_errors)

    def directions(self, q: FloatArray, err: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Unit directions (m, n0) and bounds (m,), maximum norm."""
        none = np.zeros_like(self.shift)
        found, bound = self._lifted(q, err, none, none)
        with np.errstate(all="ignore"):
            size = np.abs(found).max(axis=1, initial=0.0)
            found = found / size[:, None]
            length = np.linalg.norm(found, axis=1)
            bound = 2 * np.sqrt(found.shape[1]) * bound / size / length + (found.shape[1] + 8) * UNIT
            return found / length[:, None], np.where(np.isfinite(bound), bound, np.inf)

    def _lifted(
        self, q: FloatArray, err: FloatArray, shift: FloatArray, shift_errors: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        size, d = np.abs(self.linear), self.linear.shape[1]
        with np.errstate(all="ignore"):
            found = q @ self.linear.T + shift
            off = np.abs(q) @ self.linear_errors.T + shift_errors
            off += self.single * (gamma(2 * d + 4) * (np.abs(q) @ size.T + np.abs(shift)))
            off += err[:, None] * (size + self.linear_errors).sum(axis=1)
            bound = off.max(axis=1, initial=0.0) * (1 + gamma(4 * d + 16)) + (d + 2) * TINY * self.single.max(
                initial=0.0
            )
            good = np.isfinite(bound) & np.isfinite(found).all(axis=1)
            return found, np.where(good, bound, np.inf)

    def surely(
        self, q: FloatArray, err: FloatArray, exact: Callable[[IntArray], Array], *, rtol: float = SHARP
    ) -> tuple[FloatArray, FloatArray]:
        """`points`; those whose bound exceeds ``rtol`` of their size are ``exact(rows)``, rounded once."""
        found, bound = self.points(q, err)
        with np.errstate(invalid="ignore"):
            lost = np.flatnonzero(~(bound <= rtol * np.abs(found).max(axis=1, initial=0.0)) | ~np.isfinite(bound))
        if len(lost):
            found[lost] = nearest(exact(lost))
            bound[lost] = rounding_of(found[lost])
        return found, bound

    def surely_directions(self, q: FloatArray, err: FloatArray, exact: Callable[[IntArray], Array]) -> FloatArray:
        """`directions`, each within 1e-9 of the true one: those of a bound above `DIRECT` from ``exact(rows)``."""
        found, bound = self.directions(q, err)
        for i in np.flatnonzero(~(bound <= DIRECT)).tolist():
            found[i] = unit(exact(np.array([i]))[0])
        return found


def unit(direction: Array) -> FloatArray:
    """A rational direction (n,), rounded to one of length 1."""
    near = nearest(direction / max(abs(direction)))
    result: FloatArray = near / np.linalg.norm(near)
    return result


def rounding_of(points: FloatArray) -> FloatArray:
    """Bounds (m,) of what rounding rationals to these points (m, n) did; infinite beyond the range of floats."""
    with np.errstate(over="ignore"):
        return np.abs(points).max(axis=1, initial=0.0) * UNIT + TINY


def _by_products(frame: Frame) -> Lift | None:
    """``N^T (N N^T)^-1 N_c`` in floats, N the starting forms and N_c their columns in the quotient; None where it is
    not near.

    The approximate inverse R of ``N N^T`` is one for sure where ``|I - R N N^T| < 1/2``, and the residual then bounds
    the error.
    """
    n0, d = frame.network.architecture[0], frame.n
    rows = frame.rows_of(frame.start)[:, :-1].astype(np.float64)
    with np.errstate(all="ignore"):
        rows = np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1, keepdims=True))[1])
        size, own = np.abs(rows), rows[:, frame.columns]
        gram = rows @ rows.T
        slack = gamma(n0 + 2) * (size @ size.T) + n0 * TINY
        try:
            inverse = np.linalg.inv(gram)
        except np.linalg.LinAlgError:
            return None
        scale = np.abs(inverse)
        theta = np.abs(np.eye(d) - inverse @ gram) + gamma(d + 4) * (scale @ np.abs(gram) + 1) + scale @ slack
        theta = float(theta.sum(axis=1).max() * (1 + 1e-9))
        if not theta < 0.5:
            return None
        solved = inverse @ own
        wide = np.abs(solved)
        left = np.abs(own - gram @ solved) + gamma(d + 4) * (np.abs(gram) @ wide + np.abs(own)) + slack @ wide
        off = (scale @ left).max(axis=0) / (1 - theta) * (1 + 1e-9)
        linear = rows.T @ solved
        errors = size.T @ np.broadcast_to(off, solved.shape) + gamma(d + 4) * (size.T @ wide) + (d + 2) * TINY
        errors = errors * (1 + 1e-9)
        if not errors.max() <= 1e-12 * np.abs(linear).max():
            return None
    return Lift(linear, errors, np.zeros(n0), np.zeros(n0), np.ones(n0))


__all__ = ["Lift", "rounding_of", "unit"]
