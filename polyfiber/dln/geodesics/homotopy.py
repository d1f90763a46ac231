"""Homotopy classes of paths of m x n matrices of rank r between two of them.

Matrices of rank r are, up to stretching, ``U V^T`` with orthonormal r-frames U of R^m and V of R^n, turned together or
not at all: ``(St(m, r) x St(n, r)) / O(r)``. What tells paths between two of them apart:

* ``r = m = n``: the lift of the polar factor to the spin group (two classes; for r = 2 its number of turns);
* ``r = m = n - 1``: the same for the partial isometry, completed by a row; ``r = m <= n - 2``: nothing, there is one
  class;
* ``r < m, n``: whether the orientation of the column space comes back reversed, and for ``m = n = r + 1`` also whether
  the lifts of the completed frames of columns and rows agree (four classes).

The lift is followed through principal logarithms: where one jumps, an angle has passed pi, and it changes sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..._typing import FloatArray
from ..space.balanced import polar_factor
from .guesses import rotation_logarithm, turn_by
from .reduction import End

Homotopy = tuple[int, ...]
"""Label of a class, counted from the shortest turn of the frames; (0,) or () there."""
_STEP = 0.8
_MOST = 1024


class Attempt(NamedTuple):
    """A starting curve that was solved from: its kind, the length found (NaN: none), and the class of what was
    found.
    """

    curve: str
    length: float
    homotopy: Homotopy | None


def class_count(m: int, n: int, rank: int) -> float:
    """Number of homotopy classes of paths between two m x n matrices of this rank, in one component.

    Examples
    --------
    >>> from polyfiber.dln.geodesics.homotopy import class_count
    >>> class_count(2, 2, 2), class_count(3, 3, 3), class_count(3, 5, 3), class_count(3, 3, 2)
    (inf, 2, 1, 4)
    """
    a, b = sorted((m - rank, n - rank))
    if a == 0:
        whole = min(m, n) + b if b <= 1 else 0  # size of the rotations whose lift counts
        return {0: 1, 1: 1, 2: math.inf}.get(whole, 2)
    if rank == 1:
        return math.inf if a == 1 else 2
    return 4 if b == 1 else 2


def homotopy_class(
    curve: Callable[[FloatArray], FloatArray], start: End, finish: End, shape: tuple[int, int]
) -> Homotopy | None:
    """Class of a curve of matrices (s, s) from ``start`` to ``finish``; None where it turns too fast to be followed.

    ``shape`` is (m, n) of the matrices before they were cut to (s, s). Curves have one label iff they are homotopic,
    except at rank one, where turns of a plane are counted modulo two.
    """
    pieces = 32
    while pieces <= _MOST:
        label = _follow(curve(np.linspace(0.0, 1.0, pieces + 1)), start, finish, shape)
        if label is not None:
            return label
        pieces *= 2
    return None


def _follow(points: FloatArray, start: End, finish: End, shape: tuple[int, int]) -> Homotopy | None:
    r = start.rank
    rows, columns = start.shape
    u, _, vt = np.linalg.svd(points[:, :rows, :columns])
    u, v = u[:, :, :r].copy(), np.swapaxes(vt, -1, -2)[:, :, :r].copy()
    u[0], v[0] = start.left[:rows, :r], start.right[:columns, :r]
    u[-1], v[-1] = finish.left[:rows, :r], finish.right[:columns, :r]
    deficits = sorted((shape[0] - r, shape[1] - r))
    if deficits[0] == 0:
        if deficits[1] > 1:
            return ()
        isometries = u @ np.swapaxes(v, -1, -2)
        if rows > columns:
            isometries = np.swapaxes(isometries, -1, -2)
        turns = _turns([_completed(p.T).T for p in isometries])
        return None if turns is None else (turns,)
    g = np.eye(r)
    frames: list[tuple[FloatArray, FloatArray]] = [(u[0], v[0])]
    for i in range(1, len(u)):
        overlap = u[i].T @ frames[-1][0]
        if np.linalg.svd(overlap, compute_uv=False)[-1] < _STEP:
            return None
        g = polar_factor(overlap)
        frames.append((u[i] @ g, v[i] @ g))
    direct = polar_factor(u[-1].T @ u[0])
    kept = float(np.linalg.det(direct.T @ g)) > 0
    if r == 1 or deficits != [1, 1]:
        return (0 if kept else 1,)
    if not kept:
        direct[:, -1] *= -1.0
    # both frames go on to those that all curves of this orientation end with
    turned = turn_by(rotation_logarithm(g.T @ direct))
    frames += [(u[-1] @ (h := g @ turned(t)), v[-1] @ h) for t in np.linspace(0.0, 1.0, 9)[1:]]
    paths = [[_completed(f[side]) for f in frames] for side in (0, 1)]
    if not kept:  # they end about half a turn away, where no way back is the shortest: all go on by the same half turn
        half = np.zeros((r + 1, r + 1))
        half[r, r - 1], half[r - 1, r] = math.pi, -math.pi
        paths = [[*path, *(path[-1] @ turn_by(half)(t) for t in np.linspace(0.0, 1.0, 9)[1:])] for path in paths]
    lifts = [_turns(path) for path in paths]
    if lifts[0] is None or lifts[1] is None:
        return None
    return (0 if kept else 1, (lifts[0] + lifts[1]) % 2)


def _completed(frame: FloatArray) -> FloatArray:
    """An orthogonal matrix whose first columns are the frame (k, k) or (k, k - 1), of determinant 1 if one is added."""
    k, r = frame.shape
    if r == k:
        return frame
    last = np.linalg.svd(frame)[0][:, -1:]
    full = np.hstack([frame, last])
    full[:, -1] *= np.sign(np.linalg.det(full))
    return full


def _turns(path: list[FloatArray]) -> int | None:
    """Turns of a path of rotations (k, k) beyond the shortest way: a number for k = 2, 0 or 1 for k >= 3."""
    k = len(path[0])
    if k == 1:
        return 0
    if any(np.linalg.norm(b - a, 2) > _STEP for a, b in zip(path, path[1:])):
        return None
    first = path[0].T
    if k == 2:
        steps = [_angle(b @ a.T) for a, b in zip(path, path[1:])]
        return round((sum(steps) - _angle(path[-1] @ first)) / (2.0 * math.pi))
    logs = [rotation_logarithm(p @ first) for p in path]
    jumps = [int((np.linalg.svd(b - a, compute_uv=False) > math.pi).sum()) // 2 for a, b in zip(logs, logs[1:])]
    return sum(jumps) % 2


def _angle(rotation: FloatArray) -> float:
    return math.atan2(rotation[1, 0], rotation[0, 0])
