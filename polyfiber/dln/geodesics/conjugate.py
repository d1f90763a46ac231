"""Conjugate points along a geodesic: the Morse index of its energy, from the linearised flow on short pieces.

Cut the geodesic into pieces too short for conjugate points. The energy of broken geodesics is a function of the break
points alone; the number of negative eigenvalues of its Hessian is the number of conjugate points before the end, with
multiplicity (Morse). The second derivatives of the energy of a piece come from its linearised flow
``(A B; C D)``: ``B^{-1} A`` and ``D B^{-1}`` on the diagonal, ``-B^{-1}`` beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..._typing import FloatArray
from ...budget import heed, time_left
from ...verdict import Verdict
from .hamilton import BoundaryError, carry
from .reduction import End, end_of

_SHORT = 0.3
_FLAT = 1e-4
_LARGEST = 3000
"""Rows of a Hessian: its eigenvalues take seconds. A third of it where there is a budget, as nothing stops them."""


@dataclass(frozen=True)
class ConjugateTest:
    """Whether a geodesic is a local minimum of length among curves with its ends, by floating-point linear algebra.

    Attributes
    ----------
    verdict : Verdict
        YES: no conjugate point up to the end. NO: at least one before it, so a shorter curve is near. UNDECIDED: the
        end is conjugate to the start or nearly so, or the linearised flow could not be cut into short pieces, or not
        into few enough for the size (3000 rows of the Hessian; 1000 where there is a budget).
    index : int
        Conjugate points before the end, with multiplicity; -1 where undecided for want of short pieces.
    least : float
        Least eigenvalue of the Hessian; about ``pi^2 / pieces`` in flat space.
    pieces : int

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> path = dln.geodesic(np.diag([2.0, 1.0]), np.array([[2.0, 0.3], [0.0, 1.0]]), 2)
    >>> path.minimum.verdict.value, path.minimum.index
    ('yes', 0)
    """

    verdict: Verdict
    index: int
    least: float
    pieces: int


def conjugate_test(start: End, z: FloatArray, depth: float, shape: tuple[int, int]) -> ConjugateTest:
    """Morse index of the geodesic from ``start`` with initial coordinates z (D,), inside a reduction."""
    test = ConjugateTest(Verdict.UNDECIDED, -1, math.nan, 0)
    for step in (1e-7, 1e-9):  # the smaller one where matrices on the way are near lower rank
        try:
            test = _count(start, z, depth, shape, step)
        except np.linalg.LinAlgError:  # the linearised flow is singular, or beyond the range of floats
            continue
        if test.verdict is not Verdict.UNDECIDED:
            break
    return test


def _count(start: End, z: FloatArray, depth: float, shape: tuple[int, int], step: float) -> ConjugateTest:
    """The test with derivatives from differences of relative size ``step``."""
    size, length = z.size, float(np.linalg.norm(z))
    most = _LARGEST if time_left() is None else _LARGEST // 3
    for pieces in (4, 8, 16, 32):
        heed("the test for conjugate points")
        if (pieces - 1) * size > most:
            return ConjugateTest(Verdict.UNDECIDED, -1, math.nan, pieces)
        times = np.linspace(0.0, 1.0, pieces + 1)
        h = step * min(length, start.reach(depth))
        eye = np.eye(size)
        along = start.momentum(z)
        D = np.concatenate([np.zeros((1, *along.shape)), start.tangent(h * eye), np.zeros((size, *along.shape))])
        P = along + np.concatenate([np.zeros((1 + size, *along.shape)), start.momentum(h * eye)])
        try:
            bundle = carry(start.W, D, P, depth, times, rank=start.rank, tolerance=1e-9, floor=1e-12)
        except BoundaryError:
            return ConjugateTest(Verdict.UNDECIDED, -1, math.nan, pieces)
        flows = []
        for i in range(pieces + 1):
            here = end_of(start.W + bundle.D[i, 0], start.rank, depth, shape) if i else start
            x = here.vector(bundle.D[i, 1:] - bundle.D[i, 0]) / h
            p = here.covector(bundle.P[i, 1:] - bundle.P[i, 0]) / h
            flows.append(np.concatenate([x, p], axis=1).T)
        flown = [np.linalg.solve(a.T, b.T).T for a, b in zip(flows, flows[1:])]
        inverse = []
        short = True
        for s in flown:
            b = s[:size, size:] * pieces  # near the identity on a short piece
            values = np.linalg.svd(b, compute_uv=False)
            if not (values[-1] > _SHORT and values[0] < 1.0 / _SHORT**2):
                short = False
                break
            inverse.append(np.linalg.inv(s[:size, size:]))
        if not short:
            continue
        hessian = np.zeros(((pieces - 1) * size,) * 2)
        noise = 0.0
        for i in range(pieces - 1):
            block = slice(i * size, (i + 1) * size)
            block_here = flown[i][size:, size:] @ inverse[i] + inverse[i + 1] @ flown[i + 1][:size, :size]
            hessian[block, block] = block_here
            noise = max(noise, float(np.linalg.norm(block_here - block_here.T, 2)))  # symmetric but for errors
            if i + 1 < pieces - 1:
                after = slice((i + 1) * size, (i + 2) * size)
                hessian[block, after] = -inverse[i + 1]
                hessian[after, block] = -inverse[i + 1].T
        values = np.linalg.eigvalsh(0.5 * (hessian + hessian.T))
        flat = max(_FLAT * pieces, 4.0 * noise)
        index = int((values < -flat).sum())
        verdict = Verdict.NO if index else Verdict.UNDECIDED if values[0] <= flat else Verdict.YES
        return ConjugateTest(verdict, index, float(values[0]), pieces)
    return ConjugateTest(Verdict.UNDECIDED, -1, math.nan, 32)
