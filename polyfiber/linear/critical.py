"""Critical points of the square loss ``(1/2) |W_L … W_1 - Y|^2`` on rank strata: their types and signatures.

At a critical point the product is Y cut down to some of its singular triples, ``W = sum over S of s_i u_i v_i^T``
(K. Kawaguchi 2016; M. Trager, K. Kohn, J. Bruna 2020), up to rotations among equal singular values. E. M. Achour, F.
Malgouyres and S. Gerchinovitz (arXiv 2107.13289) tell the type from ranks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import index as index_of
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .._typing import FloatArray, RngLike
from ..budget import Budget, heed, heed_memory, within_budget
from ..errors import InputError, ShapeError
from ..numerics.rounding import UNIT
from ..verdict import Verdict
from .curvature import hessian
from .sampling import sample
from .strata import Stratum
from .weights import as_matrix, product, unflatten, widths_of

_ZERO = 1e-12
_CLEAR = 1e-7
"""Eigenvalues between these parts of the largest one are not told from zero."""


@dataclass(frozen=True, eq=False)
class CriticalType:
    """What the points of one stratum over one product are for the square loss.

    Attributes
    ----------
    stratum : Stratum
    selection : tuple of int
        Singular triples of the target that the product keeps, from 0.
    critical : Verdict
        Whether the stratum carries critical points over that product: YES or NO.
    everywhere : bool
        All its points over that product are critical; else, where `critical` is YES, generic ones are not and special
        ones are.
    kind : str
        Of `point`: "global minimum", "strict saddle" (the Hessian has a negative eigenvalue), "saddle" (it has none,
        yet no local minimum), "none" (there are no critical points). A strict saddle if there is one; where all points
        are critical, the kind of generic points.
    kinds : tuple of str
        All kinds of critical points on the stratum over that product: strict saddles can have limits that are not
        strict.
    loss : float
        NaN where the rank is above that of the target.
    index, nullity : int
        Negative and zero eigenvalues of the Hessian at `point`: by formula where all points are critical, else from its
        eigenvalues; -1 without a point, or where its eigenvalues are not clearly zero or not.
    descent : tuple of arrays or None
        At that point, a direction of negative curvature of norm 1.
    point : tuple of arrays or None
        A critical point, random as far as criticality leaves it free.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import critical_type, stratify
    >>> found = critical_type(stratify((2, 2, 2), rank=1)[0], np.diag([2.0, 1.0]))
    >>> found.critical.value, found.kind, found.loss
    ('yes', 'strict saddle', 0.5)
    """

    stratum: Stratum
    selection: tuple[int, ...]
    critical: Verdict
    everywhere: bool
    kind: str
    kinds: tuple[str, ...]
    loss: float
    index: int
    nullity: int
    descent: tuple[FloatArray, ...] | None = field(repr=False)
    point: tuple[FloatArray, ...] | None = field(repr=False)

    def __repr__(self) -> str:
        where = f"ranks of stratum {self.stratum.id}, triples {', '.join(map(str, self.selection[:8])) or 'none'}"
        return f"CriticalType({self.kind}, {where}, loss {self.loss:.6g}, index {self.index}, nullity {self.nullity})"


def whitened_target(X: npt.ArrayLike, Y: npt.ArrayLike) -> FloatArray:
    """The matrix T for which ``(1/2)|W X - Y|^2`` is ``(1/2)|W' - T|^2`` plus a constant, ``W' = W (X X^T)^{1/2}``.

    Only the first layer changes, by an invertible matrix: ranks, critical points and signatures are the same. Where
    some inputs are combinations of others the loss sees ``W U`` alone, U an orthonormal basis of the column space of X,
    and T is that of the data ``U^T X``.

    Parameters
    ----------
    X : array_like (d_0, samples)
        Of rank k >= 1.
    Y : array_like (d_L, samples)

    Returns
    -------
    float64 (d_L, k)
        For networks whose first width is k; for k = d_0 that is the width of the data. Each critical point of theirs
        stands for those of the data whose first layer is ``W_1 U`` on the column space of X and anything across it:
        with ``index`` and kind the same, and ``nullity`` greater by ``d_1 (d_0 - k)``.

    Raises
    ------
    ShapeError
        Other numbers of samples.
    InputError
        X = 0; data of which it is not clear in floats whether they depend on each other.

    Examples
    --------
    >>> from polyfiber.linear import whitened_target
    >>> whitened_target([[2.0, 0.0]], [[4.0, 1.0]]).tolist()
    [[4.0]]
    >>> bool(abs(whitened_target([[2.0, 0.0], [2.0, 0.0]], [[4.0, 1.0]])[0, 0]) > 3.99)     # one input, twice
    True
    """
    x, y = as_matrix(X, "X"), as_matrix(Y, "Y")
    if x.shape[1] != y.shape[1]:
        raise ShapeError(f"X has {x.shape[1]} samples and Y {y.shape[1]}; expected one column of each per sample")
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    k = int((s > 1e-12 * s[0]).sum()) if s.size else 0
    if k == 0:
        raise InputError(f"X of shape {x.shape} is zero or empty: the loss does not see the network")
    if k < x.shape[0]:
        if _rank_of_rows(x) != k:
            raise InputError(
                f"X has singular values from {s[0]:.3g} down to {s[-1]:.3g}, and it is not clear which of them are rounding: "
                "below 1e-12 of the largest their directions are lost. Rescale the inputs (rows of X, and columns of the "
                "first layer against them)"
            )
        return np.asarray(y @ vt[:k].T)
    return np.asarray(y @ vt.T @ u.T)


def _rank_of_rows(x: FloatArray) -> int:
    """The rank of rows of one size, whatever their units; -1 where a singular value is neither rounding nor clear of
    it.
    """
    sizes = np.linalg.norm(x, axis=1)
    s = np.linalg.svd(x[sizes > 0] / sizes[sizes > 0][:, None], compute_uv=False)
    clear = int((s > 1e-12 * s[0]).sum())
    return clear if not (s[clear:] > 8.0 * max(x.shape) * UNIT * s[0]).any() else -1


@within_budget
def critical_type(
    stratum: Stratum,
    target: npt.ArrayLike,
    *,
    selection: Iterable[int] | None = None,
    rng: RngLike = 0,
    budget: Budget | None = None,
) -> CriticalType:
    """Which points of a stratum are critical for ``(1/2) |product - target|^2``, and of which type.

    Parameters
    ----------
    stratum : Stratum
    target : array_like (d_L, d_0)
        For data see :func:`whitened_target`.
    selection : ints, optional
        Which singular triples of the target the product keeps; as many as its rank. By default the largest.
    rng
        For the point at which the Hessian is taken.
    budget : Budget, optional
        Looked at before each step (sampling, the Hessian, its eigenvalues); a Hessian has to fit its memory.

    Returns
    -------
    CriticalType

    Raises
    ------
    ShapeError, InputError
        A target of another shape or not finite; a selection that does not fit the rank.
    BudgetExceededError

    Notes
    -----
    With E = product - target, all points are critical iff E = 0 or for each layer j one of ``rank W_{L~j}`` and
    ``rank W_{j-1~0}`` is the rank of the product (then one of them is orthogonal to E). Else special points are critical
    iff ``rank W_{L~j} + rank W_{j-1~0} <= d_L + d_0 - rank E`` for the other layers j: their column spaces beyond that of
    the product form a flag, their row spaces another one, the group that keeps the stratum and the product turns each
    into every flag of the same dimensions, and two flags filled from the null spaces of E first, then with its singular
    vectors from either end, meet E in zero under exactly these inequalities.

    The type: a global minimum iff the product is the best approximation of its widths; else a strict saddle if the
    selection is not the largest triples, or if for some i > j none of ``E^T W_{L~i}``, ``E W_{j-1~0}^T`` vanishes and
    ``rank W_{i-1~j}`` is above that of the product; else a saddle without a direction of negative curvature. Whether
    the two vanish is again a matter of flags: they need not where ``W_{L~i}`` and ``W_{j-1~0}`` have a rank above that
    of the product, and cannot where their ranks are above ``d_L - rank E`` and ``d_0 - rank E``. In particular every
    local minimum is global. That saddles called strict are so is seen from `descent`; that the others have no negative
    curvature is proven below where all points are critical, and the theorem of the source (distinct singular values)
    elsewhere.

    Signature where all points are critical and E is not 0: let m be the first j with ``rank W_{L~j}`` above rho, the
    rank of the product. Only layers i >= m and j < m meet in the second derivative, and it is that of two factors
    ``W_{L~m-1}``, ``W_{m-1~0}`` of rank rho, on the images of their own differentials. In bases that fit W it falls
    apart into a square of rank rho^2, a 2 x 2 form for each triple kept and each other one (its determinant has the
    sign of ``s_kept - s_other``), squares for the rest of the blocks beside W, and a pairing of the blocks off W. Four
    flags (two in the complements of W, generic to E; two in layer m - 1, whose position is told by ranks) make that
    pairing monomial, and its rank is counted.

    Singular values count as zero, or as equal, within rounding of the entries of the target: 8 max(d_0, d_L) units of
    2^-53 times the largest. Cost: L^2 small singular value decompositions; for special points the eigenvalues of a
    Hessian.

    Examples
    --------
    >>> import numpy as np, polyfiber as pf
    >>> strata = pf.linear.stratify((3, 2, 2, 3), rank=1)
    >>> s = next(s for s in strata if s.label == (1, 1, 1, 1, 1, 1))
    >>> t = pf.linear.critical_type(s, np.diag([3.0, 2.0, 1.0]))
    >>> t.critical.value, t.kind, t.index
    ('yes', 'saddle', 0)
    """
    Y = as_matrix(target, "target")
    if not isinstance(stratum, Stratum):
        raise InputError(f"expected a stratum of `stratify`, found a {type(stratum).__name__}")
    d, r, rho = stratum.widths, stratum.ranks, int(stratum.ranks[-1, 0])
    if Y.shape != (d[-1], d[0]):
        raise ShapeError(f"target has shape {Y.shape}; widths {d} give products of shape {(d[-1], d[0])}")
    size = float(np.abs(Y).max()) if Y.size else 0.0
    if size and not 1e-140 < size < 1e140:
        raise InputError(
            f"the target has entries of size {size:.3g}; rescale it (its loss would leave the range of floats)"
        )
    size = size or 1.0
    Y = Y / size
    u, s, vt = np.linalg.svd(Y, full_matrices=False)
    slack = 8.0 * max(Y.shape) * UNIT * float(s[0]) if s.size else 0.0
    own = int((s > slack).sum())
    if selection is None and rho > own:
        return CriticalType(stratum, (), Verdict.NO, False, "none", (), float("nan"), -1, -1, None, None)
    try:
        kept = list(range(rho)) if selection is None else sorted(index_of(i) for i in selection)
    except TypeError:
        raise InputError(f"selection is {selection!r}; expected numbers of singular triples, from 0") from None
    if len(kept) != rho or len(set(kept)) != rho or (kept and not 0 <= kept[0] <= kept[-1] < own):
        raise InputError(
            f"selection {tuple(kept)} does not fit: expected {rho} different singular triples among the {own} of the target"
        )
    others = np.delete(s, kept)
    loss = 0.5 * float((others**2).sum()) * size**2
    rest = [i for i in range(own) if i not in kept]
    last = len(d) - 1
    everywhere = not rest or all(min(r[last, j], r[j - 1, 0]) == rho for j in range(1, last + 1))
    place = _meeting(stratum, len(rest), None)
    if place is None:
        return CriticalType(stratum, tuple(kept), Verdict.NO, False, "none", (), loss, -1, -1, None, None)
    pairs = [(k, i) for k in kept for i in rest if s[i] > s[k] + slack]
    if not pairs and rho == min(*d, own):
        kinds: tuple[str, ...] = ("global minimum",)
    elif pairs or place.strict:
        kinds = ("strict saddle",)
    else:
        pivots = ((i, j) for i in range(2, last + 1) for j in range(1, i) if r[i - 1, j] > rho)
        strict = next((m for p in pivots if (m := _meeting(stratum, len(rest), p)) is not None), None)
        place = strict or place
        kinds = ("saddle",) if strict is None else ("strict saddle", "saddle")
    W = (u[:, kept] * s[kept]) @ vt[kept]
    heed("the types of critical points")
    point = [np.asarray(w, np.float64) for w in sample(stratum, product=W, rng=rng)]
    descent = None
    if not everywhere:
        point = _turned(point, Y, W, stratum, place)
        heed_memory(32 * sum(w.size for w in point) ** 2, "the Hessian at a critical point")
        index, nullity = _signature(hessian(point, Y), point)
    elif not rest:
        product_rank = sum(int(r[last, j]) * int(r[j - 1, 0]) for j in range(1, last + 1))
        product_rank -= sum(int(r[last, j]) * int(r[j, 0]) for j in range(1, last))
        index, nullity = 0, int(sum(w.size for w in point) - product_rank)
    else:
        ties = sum(int(abs(s[i] - s[k]) <= slack) for k in kept for i in rest)
        meet = _pairs_that_meet(stratum, len(rest))
        index = int(len(pairs) + meet)
        positive = rho * (d[0] + d[-1] - rho) - len(pairs) - ties + meet
        nullity = int(sum(w.size for w in point) - index - positive)
    if kinds[0] == "strict saddle":
        descent = _exchange(point, u, s, vt, rest[0], kept[-1]) if pairs else _through_a_pivot(point, Y, stratum)
    return CriticalType(
        stratum, tuple(kept), Verdict.YES, everywhere, kinds[0], kinds, loss, index, nullity,
        None if descent is None else tuple(descent), tuple(w * size ** (1.0 / last) for w in point),
    )  # fmt: skip


def _signature(H: FloatArray, point: list[FloatArray]) -> tuple[int, int]:
    """Negative and zero eigenvalues, (-1, -1) where one is not clearly zero or not."""
    values = np.linalg.eigvalsh(H)
    made_of = max([1.0, *(float(np.linalg.norm(w)) for w in point)]) ** max(0, len(point) - 2)
    parts = np.abs(values) / max(float(np.abs(values).max()), made_of)
    if bool(((parts > _ZERO) & (parts < _CLEAR)).any()):
        return -1, -1
    return int(((values < 0) & (parts > _ZERO)).sum()), int((parts <= _ZERO).sum())


def _pairs_that_meet(stratum: Stratum, e: int) -> int:
    """Rank of the second derivative between what leaves the column space of W and what leaves its row space.

    All points of the stratum are critical, E has rank e > 0 and lies generic to the flags.
    """
    d, r, rho = stratum.widths, stratum.ranks, stratum.rank
    last = len(d) - 1
    m = next(j for j in range(1, last + 1) if r[last, j] > rho)

    def within(i: int, j: int) -> int:  # vectors of layer m - 1 alive from layer j to layer i - 1, beyond those of W
        return int(r[i - 1, j]) - rho if i <= last and j >= 1 else 0

    def seen(
        i: int, j: int
    ) -> int:  # of pairs that E makes of the column space of W_{L~i} and the row space of W_{j-1~0}
        return min(int(r[last, i]) - rho, int(r[j - 1, 0]) - rho, e) if i >= m and j < m else 0

    total = 0
    for p, x in itertools.product(range(m, last + 1), repeat=2):
        for q, y in itertools.product(range(1, m), repeat=2):
            if x <= p and q <= y:
                alive = within(p, q) - within(p + 1, q) - within(p, q - 1) + within(p + 1, q - 1)
                total += alive * (seen(x, y) - seen(x - 1, y) - seen(x, y + 1) + seen(x - 1, y + 1))
    return total


def _exchange(
    point: list[FloatArray], u: FloatArray, s: FloatArray, vt: FloatArray, i: int, k: int
) -> list[FloatArray]:
    """A direction of norm 1 that turns triple k, which the product keeps, to the larger triple i."""
    below = product(point[:-1])
    y, z = np.linalg.pinv(below).T @ vt[k], point[0] @ vt[k]
    size = float(np.linalg.norm(y)), float(np.linalg.norm(z))
    # along c u_i y^T in the last layer and b z v_i^T in the first: c^2 + s_k^2 b^2 - 2 s_i b c
    form = np.array([[1.0 / size[0] ** 2, -s[i] / (size[0] * size[1])], [0.0, (s[k] / size[1]) ** 2]])
    form[1, 0] = form[0, 1]
    c, b = np.linalg.eigh(form)[1][:, 0]
    out = [np.zeros_like(w) for w in point]
    out[-1] += (c / size[0]) * np.outer(u[:, i], y)
    out[0] += (b / size[1]) * np.outer(z, vt[i])
    return out


def _through_a_pivot(point: list[FloatArray], Y: FloatArray, stratum: Stratum) -> list[FloatArray]:
    """A direction of norm 1, in two layers i > j if there is one, along which the loss has negative curvature."""
    r, last, rho = stratum.ranks, len(point), stratum.rank
    above = [np.eye(Y.shape[0])]
    for w in reversed(point):
        above.insert(0, above[0] @ w)
    below = [np.eye(Y.shape[1])]
    for w in point:
        below.append(w @ below[-1])
    least, best = 0.0, [np.zeros_like(w) for w in point]
    for i in range(2, last + 1):
        between = np.eye(point[i - 2].shape[0])
        for j in range(i - 1, 0, -1):
            if r[i - 1, j] > rho:
                outer = np.linalg.svd(above[i].T @ (below[-1] - Y) @ below[j - 1].T)
                x, w = outer[0][:, 0], outer[2][0]
                fixed = _off(below[i - 1], int(r[i - 1, 0])), _off(above[j].T, int(r[last, j]))
                for left, right in (fixed, (fixed[0], np.eye(len(fixed[1]))), (np.eye(len(fixed[0])), fixed[1])):
                    inner = np.linalg.svd(left @ between @ right)
                    y, z = inner[0][:, 0], inner[2][0]
                    # |a f + b g|^2 + 2 a b c along a x y^T in layer i and b z w^T in layer j
                    f = np.outer(above[i] @ x, y @ below[i - 1])
                    g = np.outer(above[j] @ z, w @ below[j - 1])
                    off = float((f * g).sum()) + float(outer[1][0]) * float(inner[1][0])
                    values, vectors = np.linalg.eigh([[float((f * f).sum()), off], [off, float((g * g).sum())]])
                    if values[0] < least:
                        least, best = float(values[0]), [np.zeros_like(layer) for layer in point]
                        best[i - 1] += vectors[0, 0] * np.outer(x, y)
                        best[j - 1] += vectors[1, 0] * np.outer(z, w)
            between = between @ point[j - 1]
    if least < 0.0:
        return best
    return unflatten(np.linalg.eigh(hessian(point, Y))[1][:, 0], widths_of(point))


def _off(matrix: FloatArray, rank: int) -> FloatArray:
    """Projector on the complement of a column space of known dimension."""
    q = np.linalg.svd(matrix)[0][:, :rank]
    return np.asarray(np.eye(len(matrix)) - q @ q.T)


class _Meeting(NamedTuple):
    """How the flags of column spaces of ``W_{L~j}`` and of row spaces of ``W_{j-1~0}``, beyond those of W, lie to E.

    ``left``, ``right``: of how many directions of the null space of E come before one that E sees; ``strict``: whether
    some pair i > j has both spaces seen by E and a middle factor of rank above that of W.
    """

    rank: int
    left: int
    right: int
    strict: bool


def _meeting(stratum: Stratum, e: int, pivot: tuple[int, int] | None) -> _Meeting | None:
    """Flags that make the weights critical, E of rank e; None if there are none.

    E sees as little of them as can be, but at a pivot (i, j) something of ``W_{L~i}`` and of ``W_{j-1~0}``.
    """
    d, r, rho = stratum.widths, stratum.ranks, stratum.rank
    last = len(d) - 1
    a = [int(r[last, k]) - rho for k in range(last + 1)]  # dimensions of the flags; a[0] = 0
    b = [int(r[k, 0]) - rho for k in range(last + 1)]
    left, right = d[-1] - rho - e, d[0] - rho - e  # of the null spaces of E
    if pivot is not None:
        i, j = pivot
        if e == 0 or not (a[i] and b[j - 1]):
            return None
        left = min(left, max((x for x in a if x < a[i]), default=0))
        right = min(right, max((x for x in b if x < b[j - 1]), default=0))
    free = d[-1] - rho - e, d[0] - rho - e
    seen_left = [_seen(x, left, free[0]) for x in a]
    seen_right = [_seen(x, right, free[1]) for x in b]
    if any(seen_left[k] + seen_right[k - 1] > e for k in range(1, last + 1)):
        return None
    strict = any(
        seen_left[i] and seen_right[j - 1] and r[i - 1, j] > rho for i in range(2, last + 1) for j in range(1, i)
    )
    return _Meeting(e, left, right, strict)


def _seen(dim: int, first: int, free: int) -> int:
    """Directions that E sees in a space of a flag filled with ``first`` null ones, a seen one, the other null ones, the
    rest.
    """
    return 0 if dim <= first else max(1, dim - free)


def _turned(
    point: list[FloatArray], Y: FloatArray, W: FloatArray, stratum: Stratum, place: _Meeting
) -> list[FloatArray]:
    """The weights with first and last layer turned in the complements of W, so that the flags lie as said."""
    r, last, rho = stratum.ranks, len(point), stratum.rank
    u, _, vt = np.linalg.svd(W - Y)
    k, _, lt = np.linalg.svd(W)
    below: FloatArray = np.eye(W.shape[1])
    rows: list[tuple[FloatArray, int]] = []
    for j in range(last):
        rows.insert(0, (below.T, int(r[j, 0])))  # the smallest space first
        below = point[j] @ below
    above: FloatArray = np.eye(W.shape[0])
    columns: list[tuple[FloatArray, int]] = []
    for j in range(last, 0, -1):
        columns.insert(0, (above, int(r[last, j])))
        above = above @ point[j - 1]

    def turn(used: FloatArray, spaces: list[tuple[FloatArray, int]], of_e: FloatArray, first: int) -> FloatArray:
        """Takes the flag of spaces to one of null and singular vectors of E, and is the identity on the space of W."""
        frame = used
        for space, dim in spaces:
            beyond = space - frame @ (frame.T @ space)
            frame = np.hstack([frame, np.linalg.svd(beyond)[0][:, : dim - frame.shape[1]]])
        seen, null = of_e[:, : place.rank], of_e[:, place.rank :]
        null = np.linalg.svd(null - used @ (used.T @ null))[0][:, : len(used) - place.rank - rho]
        goal = np.hstack([null[:, :first], seen[:, :1], null[:, first:], seen[:, 1:]])
        return np.asarray(used @ used.T + goal @ frame[:, rho:].T)

    # singular vectors of E: the first ones on the left, the last ones on the right, so that they do not meet
    backwards = np.vstack([vt[: place.rank][::-1], vt[place.rank :]]).T
    point = list(point)
    point[-1] = turn(k[:, :rho], columns, u, place.left) @ point[-1]
    point[0] = point[0] @ turn(lt[:rho].T, rows, backwards, place.right).T
    return point
