"""Tangent and normal spaces of a stratum and of the fiber, and retractions.

In the bases of the canonical form a change of weights has blocks ``(a, b)``: from bar b at layer
j - 1 to bar a at layer j. Being tangent means that for certain pairs the blocks add up to zero
over the layers where they exist; the normal space is spanned by rank-one weights, one for each
such pair of copies. Both are handled without forming any matrix of the size of parameter space.

    space      pairs (b = [i, k], a = [s, t]) whose sums vanish
    orbit      i < s <= k + 1 <= t                      (Ext^1(b, a) != 0)
    stratum    those of the orbit, and i = 0, t = L with a = [0, L] or b = [0, L]
    fiber      i = 0, t = L, s <= k + 1                 (kernel of the differential of the product)

The first two rows are the paper's bases (arXiv 2404.14855); the third is derived here: in these
bases the differential of the product is the sum over layers of exactly those blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from .._once import cached_property
from .._typing import Array, BoolArray, FloatArray
from .._values.checked import real, whole
from ..budget import Budget, Monitor
from ..errors import InputError, NumericalError
from .bars import Barcode, barcode, make_barcode
from .strata import n_parameters
from .weights import as_matrix, check_step, flatten, float_weights, norm, unflatten

Space: TypeAlias = Literal["stratum", "fiber", "orbit"]
_DENSE = 2 * 10**6  # entries of the normal basis up to which the projector is direct
_DEFAULT_MEMORY = 4 << 30


def constrained_pairs(bars: Sequence[tuple[int, int]], last: int, of: Space) -> BoolArray:
    """Mask ``[a, b]`` of the pairs of bar copies whose block sums vanish on tangent vectors."""
    if not (isinstance(of, str) and of in ("stratum", "fiber", "orbit")):
        raise InputError(f"of must be 'stratum', 'fiber' or 'orbit', found {of!r}")
    born = np.array([i for i, _ in bars], np.int64)
    dead = np.array([k for _, k in bars], np.int64)
    s, t, i, k = born[:, None], dead[:, None], born[None, :], dead[None, :]
    through = (i == 0) & (t == last)
    if of == "fiber":
        mask: BoolArray = through & (s <= k + 1)
        return mask
    mask = (i < s) & (s <= k + 1) & (k + 1 <= t)
    if of == "stratum":
        mask = mask | (through & ((s == 0) | (k == last)))
    return mask


@dataclass(frozen=True, eq=False)
class WeightSpace:
    """Linear space of weight changes: tangent or normal to a stratum, a fiber or an orbit.

    Attributes
    ----------
    at : Barcode
        Canonical form of the base point.
    of : 'stratum', 'fiber' or 'orbit'
    kind : 'tangent' or 'normal'

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import tangent_space
    >>> tangent_space([np.eye(2), np.diag([1.0, 0.0])]).dim
    4
    """

    at: Barcode
    of: Space
    kind: Literal["tangent", "normal"]

    @cached_property
    def _J(self) -> tuple[list[FloatArray], list[FloatArray]]:
        return (
            [np.asarray(j, np.float64) for j in self.at.J],
            [np.asarray(j, np.float64) for j in self.at.J_inv],
        )

    @cached_property
    def _mask(self) -> BoolArray:
        return constrained_pairs(self.at.bars, self.at.n_layers, self.of)

    @property
    def widths(self) -> tuple[int, ...]:
        """(d_0, …, d_L)."""
        return self.at.widths

    @property
    def ambient_dim(self) -> int:
        """Number of weights."""
        return n_parameters(self.at.widths)

    @cached_property
    def normal_dim(self) -> int:
        """Number of constrained pairs: the dimension of the normal space."""
        return int(self._mask.sum())

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.normal_dim if self.kind == "normal" else self.ambient_dim - self.normal_dim

    def complement(self) -> WeightSpace:
        """The orthogonal complement."""
        other = WeightSpace(self.at, self.of, "tangent" if self.kind == "normal" else "normal")
        for shared in ("_J", "_mask", "normal_dim", "_normal_basis", "_turned"):
            if shared in self.__dict__:
                other.__dict__[shared] = self.__dict__[shared]
        return other

    def __repr__(self) -> str:
        return f"WeightSpace({self.kind} to the {self.of} at widths {self.widths}: dimension {self.dim} of {self.ambient_dim})"

    def spread(self, coefficients: Array) -> list[FloatArray]:
        """Normal vector with the given coefficients (copies, copies), zero off the constrained pairs."""
        J, inverse = self._J
        c = coefficients * self._mask
        out = []
        for j in range(1, len(self.widths)):
            rows, cols = self.at.layers[j], self.at.layers[j - 1]
            out.append(inverse[j].T @ c[np.ix_(rows, cols)] @ J[j - 1].T)
        return out

    # projection --------------------------------------------------------------------------------------

    def project(self, step: Any, *, tolerance: float = 1e-12, max_iterations: int = 2000) -> list[FloatArray]:
        """Orthogonal projection of a weight change onto the space.

        Parameters
        ----------
        step : list of arrays, shaped like the weights
        tolerance : float
            Matrix-free path: stop when the remaining component outside the space, measured on
            unit normal vectors, is this small relative to the step.
        max_iterations : int

        Returns
        -------
        list of float64 arrays

        Raises
        ------
        ShapeError
            Shapes unlike the weights.
        NumericalError
            The iteration did not reach the tolerance; the message says what it reached.

        Notes
        -----
        Up to a few thousand dimensions: one factorisation, then O(D codim) per call. Beyond:
        conjugate gradients on scaled normal vectors, a few products of layer size each.
        """
        z = check_step(step, self.widths)
        normal = self._project_normal(z, tolerance, max_iterations)
        if self.kind == "normal":
            return normal
        return [a - b for a, b in zip(z, normal)]

    def _project_normal(self, z: Sequence[FloatArray], tolerance: float, max_iterations: int) -> list[FloatArray]:
        if self.normal_dim == 0:
            return [np.zeros_like(v) for v in z]
        if self.normal_dim * self.ambient_dim <= _DENSE:
            q = self._normal_basis
            flat = flatten(z)
            return unflatten(q @ (q.T @ flat), self.widths)
        return self._conjugate_gradients(z, tolerance, max_iterations)

    @cached_property
    def _turned(self) -> tuple[list[FloatArray], list[FloatArray], FloatArray, list[tuple[Array, Array]]]:
        """Scaled coordinates in which the Gram operator of the normal vectors is near the identity.

        Equal bars may be mixed freely, on the side of a and on the side of b. For each bar the
        mix diagonalises the Gram matrices of its first and of its last layer at once; then
        each coordinate is scaled to a unit normal vector. Returns the turned ``J_j^{-1}`` and
        ``J_j``, the scales, and the two factors of each layer's Gram term (vectors where they
        came out diagonal).
        """
        from scipy.linalg import block_diag, solve_triangular

        J, inverse = self._J
        bars, last = self.at.bars, self.at.n_layers

        def turn(rows: list[Array], first: int, final: int, own: list[int]) -> FloatArray:
            """T with orthogonal rows of ``T rows[first]`` and of ``T rows[final]``, own rows."""
            if len(own) == 1 or first > final:
                return np.eye(len(own))
            a, b = (rows[j][np.searchsorted(self.at.layers[j], own)] for j in (first, final))
            r = np.linalg.qr(b.T, mode="r")
            q = np.linalg.svd(solve_triangular(r, a, trans="T"), full_matrices=False)[0]
            out: FloatArray = solve_triangular(r, q).T
            return out

        left_turn, right_turn = [], []
        for i, k in sorted(set(bars)):
            own = [c for c, bar in enumerate(bars) if bar == (i, k)]
            left_turn.append(turn(inverse, max(i, 1), k, own))
            right_turn.append(turn([m.T for m in J], i, min(k, last - 1), own))
        u, v = block_diag(*left_turn), block_diag(*right_turn)
        left = [u[np.ix_(at, at)] @ m for at, m in zip(self.at.layers, inverse)]
        right = [m @ v[np.ix_(at, at)].T for at, m in zip(self.at.layers, J)]
        terms: list[tuple[Array, Array]] = []
        squares = np.zeros((len(bars), len(bars)))
        for j in range(1, last + 1):
            a, b = left[j] @ left[j].T, right[j - 1].T @ right[j - 1]
            rows, cols = self.at.layers[j], self.at.layers[j - 1]
            squares[np.ix_(rows, cols)] += np.outer(np.diagonal(a), np.diagonal(b))
            terms.append((_thinned(a), _thinned(b)))
        squares[squares == 0.0] = 1.0
        return left, right, self._mask / np.sqrt(squares), terms

    def _conjugate_gradients(self, z: Sequence[FloatArray], tolerance: float, max_iterations: int) -> list[FloatArray]:
        """Normal component by conjugate gradients on the Gram operator, then refined."""
        left, right, scale, terms = self._turned
        layers = self.at.layers
        full = [len(r) == len(scale) == len(c) for r, c in zip(layers[1:], layers)]
        size = norm(z)
        out = [np.zeros_like(v) for v in z]
        if size == 0.0:
            return out

        def sums(step: Sequence[FloatArray]) -> FloatArray:
            total = np.zeros_like(scale)
            for j, v in enumerate(step, 1):
                total[np.ix_(layers[j], layers[j - 1])] += left[j] @ v @ right[j - 1]
            return total * scale

        def gram(x: FloatArray) -> FloatArray:
            c = scale * x
            total = np.zeros_like(c)
            for j, (a, b) in enumerate(terms, 1):
                if full[j - 1]:
                    total += _sandwich(a, c, b)
                else:
                    block = np.ix_(layers[j], layers[j - 1])
                    total[block] += _sandwich(a, c[block], b)
            total *= scale
            return total

        rest = [v / size for v in z]
        used, reached = 0, np.inf
        while used < max_iterations:
            residual = sums(rest)
            power = float(np.vdot(residual, residual))
            if np.sqrt(power) <= tolerance:
                return [v * size for v in out]
            if np.sqrt(power) > 0.5 * reached:
                reached = np.sqrt(power)
                break
            reached = np.sqrt(power)
            goal = max(tolerance * 0.1, reached * 1e-9) ** 2
            x = np.zeros_like(scale)
            direction = residual.copy()
            while used < max_iterations and power > goal:
                image = gram(direction)
                length = power / float(np.vdot(direction, image))
                x += length * direction
                residual -= length * image
                new = float(np.vdot(residual, residual))
                direction *= new / power
                direction += residual
                power = new
                used += 1
            c = scale * x
            for j in range(1, len(layers)):
                change = left[j].T @ c[np.ix_(layers[j], layers[j - 1])] @ right[j - 1].T
                out[j - 1] += change
                rest[j - 1] -= change
        raise NumericalError(
            f"the projection stopped at a relative error of {reached:.2g} after {used} iterations, "
            f"wanted {tolerance:.2g}; the bases have condition {self.at.condition:.2g}: raise max_iterations or tolerance",
            reached=reached,
            wanted=tolerance,
        )

    def contains(self, step: Any, *, tolerance: float = 1e-8) -> bool:
        """Whether the component of a step outside the space is at most ``tolerance`` of it."""
        z = check_step(step, self.widths)
        outside = self.complement().project(z)
        return norm(outside) <= tolerance * max(norm(z), 1e-300)

    # bases --------------------------------------------------------------------------------------------

    @cached_property
    def _normal_basis(self) -> FloatArray:
        """Orthonormal columns spanning the normal space, float64 (D, codim)."""
        J, inverse = self._J
        a, b = np.nonzero(self._mask)
        parts = []
        for j in range(1, len(self.widths)):
            block = np.zeros((len(a), self.widths[j], self.widths[j - 1]))
            on = np.isin(a, self.at.layers[j]) & np.isin(b, self.at.layers[j - 1])
            left = inverse[j][np.searchsorted(self.at.layers[j], a[on])]
            right = J[j - 1].T[np.searchsorted(self.at.layers[j - 1], b[on])]
            block[on] = left[:, :, None] * right[:, None, :]
            parts.append(block.reshape(len(a), self.widths[j] * self.widths[j - 1]))
        columns = np.concatenate(parts, axis=1).T
        columns /= np.linalg.norm(columns, axis=0)
        q: FloatArray = np.linalg.qr(columns)[0]
        return q

    def _explicit_normal(self) -> Any:
        J, inverse = self._J
        for a, b in np.argwhere(self._mask):
            out = []
            for j in range(1, len(self.widths)):
                p, q = np.flatnonzero(self.at.layers[j] == a), np.flatnonzero(self.at.layers[j - 1] == b)
                if len(p) and len(q):
                    out.append(np.outer(inverse[j][p[0]], J[j - 1][:, q[0]]))
                else:
                    out.append(np.zeros((self.widths[j], self.widths[j - 1])))
            yield out

    def _explicit_tangent(self) -> Any:
        J, inverse = self._J
        n = len(self.at.bars)
        for a in range(n):
            for b in range(n):
                units = []
                for j in range(1, len(self.widths)):
                    p, q = np.flatnonzero(self.at.layers[j] == a), np.flatnonzero(self.at.layers[j - 1] == b)
                    if len(p) and len(q):
                        units.append((j, np.outer(J[j][:, p[0]], inverse[j - 1][q[0]])))
                if not self._mask[a, b]:
                    for j, unit in units:
                        yield self._at_layers({j: unit})
                else:
                    for (j, unit), (j2, unit2) in zip(units, units[1:]):
                        yield self._at_layers({j: unit, j2: -unit2})

    def _at_layers(self, parts: dict[int, FloatArray]) -> list[FloatArray]:
        return [parts.get(j, np.zeros((self.widths[j], self.widths[j - 1]))) for j in range(1, len(self.widths))]

    def explicit_basis(self) -> Any:
        """The basis of the paper, lazily: lists of layers, rank one in each layer.

        Normal vectors ``(J_j^{-T} e_a)(J_{j-1} e_b)^T`` over the layers of a constrained pair;
        tangent vectors ``(J_j e_a)(J_{j-1}^{-T} e_b)^T`` alone, or differences of two
        consecutive layers for a constrained pair. Independent, `dim` many, not orthonormal.
        """
        return self._explicit_normal() if self.kind == "normal" else self._explicit_tangent()

    def basis(self, *, budget: Budget | None = None) -> FloatArray:
        """Orthonormal basis as columns, float64 (D, dim); row-major layers, first layer first.

        Raises
        ------
        BudgetExceededError
            If it does not fit (4 GiB by default); `project` needs no basis.
        """
        monitor = Monitor(Budget(memory=_DEFAULT_MEMORY) if budget is None else budget)
        monitor.check_memory(
            24 * self.ambient_dim * max(self.normal_dim, self.dim),
            f"a basis of {self.dim} vectors of {self.ambient_dim}",
        )
        if self.kind == "normal":
            return self._normal_basis.copy()
        q = np.linalg.qr(self._normal_basis, mode="complete")[0]
        out: FloatArray = q[:, self.normal_dim :]
        return out


def _thinned(gram: FloatArray) -> FloatArray:
    """The diagonal of a Gram matrix that is diagonal up to rounding, else the matrix.

    What is neglected is made up for by the refinement against the true residual.
    """
    d = np.diagonal(gram)
    off = gram - np.diag(d)
    if bool((np.abs(off) <= 1e-9 * np.sqrt(np.outer(d, d))).all()):
        return d.copy()
    return gram


def _sandwich(a: Array, c: FloatArray, b: Array) -> FloatArray:
    """``a c b`` for matrices, or diagonals given as vectors."""
    out = a[:, None] * c if a.ndim == 1 else a @ c
    result: FloatArray = out * b if b.ndim == 1 else out @ b
    return result


def _barcode(weights: Any, options: dict[str, Any]) -> Barcode:
    if isinstance(weights, Barcode):
        if options:
            raise InputError(f"a Barcode is located already; found the options {sorted(options)}")
        return weights
    return barcode(weights, **options)


def tangent_space(weights: Any, *, of: Space = "stratum", **options: Any) -> WeightSpace:
    """Tangent space at given weights.

    Parameters
    ----------
    weights : [W_1, …, W_L], or a Barcode
    of : 'stratum', 'fiber' or 'orbit'
        The rank stratum of the fiber (default); the fiber itself, in the sense of Zariski: the
        kernel of the differential of the product (dimension dof); or the rank stratum of all
        of parameter space, products varying.
    options
        ``ranks``, ``tolerance``, ``noise``, ``gap``, ``exact`` of `barcode`.

    Returns
    -------
    WeightSpace
        ``dim``, ``project``, ``basis``, ``explicit_basis``, ``contains``.

    Raises
    ------
    RankAmbiguityError
        When the stratum is not decided.

    Examples
    --------
    >>> import polyfiber as pf
    >>> w = [[[1.0, 0.0]], [[0.0]]]
    >>> t = pf.linear.tangent_space(w)
    >>> t, pf.linear.tangent_space(w, of="fiber").dim
    (WeightSpace(tangent to the stratum at widths (2, 1, 1): dimension 2 of 3), 2)
    >>> [v.round(12).tolist() for v in t.project([[[3.0, 4.0]], [[5.0]]])]
    [[[3.0, 4.0]], [[0.0]]]
    """
    return WeightSpace(_barcode(weights, options), _space(of), "tangent")


def normal_space(weights: Any, *, of: Space = "stratum", **options: Any) -> WeightSpace:
    """Normal space at given weights: the orthogonal complement of `tangent_space`.

    Examples
    --------
    >>> import polyfiber as pf
    >>> abs(pf.linear.normal_space([[[1.0, 0.0]], [[0.0]]]).basis()).round(12).ravel().tolist()
    [0.0, 0.0, 1.0]
    """
    return WeightSpace(_barcode(weights, options), _space(of), "normal")


def _space(of: Any) -> Space:
    if not (isinstance(of, str) and of in ("stratum", "fiber", "orbit")):
        raise InputError(f"of must be 'stratum', 'fiber' or 'orbit', found {of!r}")
    return cast("Space", of)


def infinitesimal_action(at: Barcode, step: Sequence[Array]) -> list[FloatArray]:
    """Generators ``X_0, …, X_L`` of a tangent step, in the bases J: ``X_j I_j - I_j X_{j-1}``.

    The step must be tangent to the stratum or the orbit. Where the solution is not unique the
    sum over the layers is centred. For a step tangent to the stratum, the generators keep the
    product: ``X_L I = I X_0``.
    """
    n = len(at.bars)
    born = np.array([i for i, _ in at.bars], np.int64)
    dead = np.array([k for _, k in at.bars], np.int64)
    s, t, i, k = born[:, None], dead[:, None], born[None, :], dead[None, :]
    last = at.n_layers
    J = [np.asarray(v, np.float64) for v in at.J]
    inverse = [np.asarray(v, np.float64) for v in at.J_inv]
    blocks = np.zeros((last + 1, n, n))
    for j in range(1, last + 1):
        blocks[j][np.ix_(at.layers[j], at.layers[j - 1])] = inverse[j] @ step[j - 1] @ J[j - 1]
    total = blocks.sum(axis=0)
    overlap = np.minimum(t, k) - np.maximum(s, i) + 1
    start = np.zeros((n, n))
    must = (s <= i) & (k + 1 <= t)  # b dies inside a: the last equation fixes the start
    start[must] = -total[must]
    free = (s <= i) & (k >= t) & (overlap > 0)
    running = np.cumsum(blocks, axis=0)
    mean = np.zeros((n, n))
    for j in range(last + 1):
        both = free & (np.maximum(s, i) <= j) & (j <= np.minimum(t, k))
        mean[both] += running[j][both]
    start[free] = -mean[free] / overlap[free]
    out = []
    for j in range(last + 1):
        rows = at.layers[j]
        out.append((start + running[j])[np.ix_(rows, rows)])
    return out


def move_along(at: Barcode, generators: Sequence[Array], *, time: float = 1.0) -> Barcode:
    """Follow generators for a time: ``J_j exp(time X_j)``; exactly on the stratum."""
    from scipy.linalg import expm

    largest = max((abs(time) * float(np.linalg.norm(x, 2)) for x in generators if x.size), default=0.0)
    if not largest <= 200.0:
        raise NumericalError(
            f"the generators of this step have norm {largest:.2g}, whose exponential leaves the range of float64; "
            f"take a smaller step (the bases have condition {at.condition:.2g})"
        )
    J = [np.asarray(j, np.float64) @ expm(time * np.asarray(x)) if j.size else j for j, x in zip(at.J, generators)]
    return make_barcode(at.widths, at.ranks, J, None)


def retract(
    weights: Any, step: Any, *, onto: Space = "stratum", max_iterations: int = 50, **options: Any
) -> list[FloatArray]:
    """Move along a tangent step and stay on the stratum, or return to the fiber.

    Parameters
    ----------
    weights : [W_1, …, W_L], or a Barcode
    step : list of arrays, shaped like the weights
        Projected to the tangent space first.
    onto : 'stratum', 'orbit' or 'fiber'
        'stratum': the group action of the step's generators; the ranks and the product are
        kept for a step of any size. 'orbit': the same with the product varying. 'fiber':
        Gauss-Newton on the product from ``weights + step``, ranks free to rise.
    max_iterations : int
        For 'fiber'.

    Returns
    -------
    list of float64 arrays
        Agrees with ``weights + step`` to first order.

    Raises
    ------
    NumericalError
        'fiber': no convergence (a large step, or a singular point); take a smaller step.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import retract
    >>> W1, W2 = retract([np.eye(2), np.eye(2)], [np.eye(2), -np.eye(2)])
    >>> (W2 @ W1).round(12).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    at = _barcode(weights, options)
    space = WeightSpace(at, _space(onto), "tangent")
    tangent = space.project(step)
    if onto != "fiber":
        return move_along(at, infinitesimal_action(at, tangent)).reconstruct()
    here = at.reconstruct() if isinstance(weights, Barcode) else [np.asarray(w, np.float64) for w in weights]
    target = _float_product(here)
    return to_fiber([w + z for w, z in zip(here, tangent)], target, max_iterations=max_iterations)


def _float_product(layers: Sequence[Array]) -> FloatArray:
    out = np.asarray(layers[0], np.float64)
    for w in layers[1:]:
        out = w @ out
    return out


def partial_products(layers: Sequence[FloatArray]) -> tuple[list[FloatArray], list[FloatArray]]:
    """``W_{L~j}`` for j = 1..L and ``W_{j-1~0}`` for j = 1..L."""
    widths = (layers[0].shape[1], *(w.shape[0] for w in layers))
    right = [np.eye(widths[0])]
    for w in layers[:-1]:
        right.append(w @ right[-1])
    left = [np.eye(widths[-1])]
    for w in reversed(layers[1:]):
        left.append(left[-1] @ w)
    return left[::-1], right


def to_fiber(
    weights: Sequence[Array], product: Any, *, tolerance: float = 1e-13, max_iterations: int = 50
) -> list[FloatArray]:
    """Weights near the given ones whose product is W: Gauss-Newton steps of least norm.

    Parameters
    ----------
    weights : [W_1, …, W_L]
    product : (d_L, d_0) array
    tolerance : float
        Relative to the larger of ``||W||`` and the product of the norms of the layers.
    max_iterations : int

    Raises
    ------
    NumericalError
        No convergence, with the error reached.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import to_fiber
    >>> W1, W2 = to_fiber([np.eye(2), np.eye(2)], 1.21 * np.eye(2))
    >>> W1.round(9).tolist()
    [[1.1, 0.0], [0.0, 1.1]]
    """
    layers = float_weights(weights)
    target = as_matrix(product, "the product")
    tolerance = real(tolerance, "tolerance", least=0.0)
    max_iterations = whole(max_iterations, "max_iterations", least=1)
    if target.shape != (layers[-1].shape[0], layers[0].shape[1]):
        raise InputError(
            f"the product has shape {target.shape}; the weights give {(layers[-1].shape[0], layers[0].shape[1])}"
        )
    scale = max(float(np.linalg.norm(target)), float(np.prod([np.linalg.norm(w) for w in layers])) * 1e-3, 1e-300)
    error = np.inf
    for _ in range(max_iterations):
        off = target - _float_product(layers)
        before, error = error, float(np.linalg.norm(off)) / scale
        if error <= tolerance or (error <= 1e-11 and error >= 0.9 * before):
            return layers
        step = _least_change(*partial_products(layers), off)
        layers = [w + z for w, z in zip(layers, step)]
    raise NumericalError(
        f"the product stays {error:.2g} (relative) away from W after {max_iterations} steps; "
        "start closer to the fiber or raise max_iterations",
        reached=error,
    )


def _least_change(left: Sequence[FloatArray], right: Sequence[FloatArray], off: FloatArray) -> list[FloatArray]:
    """Weight change of least norm that changes the product by ``off`` to first order.

    ``Z_j = A_j^T Y B_j^T`` with ``sum A_j A_j^T Y B_j^T B_j = off``: densely when small, else by
    conjugate gradients in the singular bases of the outermost factors.
    """
    widths = (right[0].shape[1], *(b.shape[0] for b in right[1:]), left[-1].shape[0])
    if off.size * n_parameters(widths) <= 10**5:
        rows = np.concatenate([np.kron(a, b.T) for a, b in zip(left, right)], axis=1)
        return unflatten(np.linalg.lstsq(rows, off.ravel(), rcond=1e-12)[0], widths)
    u = np.linalg.svd(left[0], full_matrices=True)[0]
    v = np.linalg.svd(right[-1], full_matrices=True)[2].T
    a = [u.T @ m for m in left]
    b = [m @ v for m in right]
    diagonal: FloatArray = np.zeros(off.shape) + sum(
        np.outer((x**2).sum(axis=1), (y**2).sum(axis=0)) for x, y in zip(a, b)
    )
    scale = 1.0 / np.sqrt(np.where(diagonal > 1e-24 * diagonal.max(initial=1e-300), diagonal, np.inf))
    grams = [(_thinned(x @ x.T), _thinned(y.T @ y)) for x, y in zip(a, b)]
    residual = scale * (u.T @ off @ v)
    x = np.zeros_like(residual)
    direction = residual.copy()
    power = float(np.vdot(residual, residual))
    goal = 1e-20 * power
    for _ in range(1000):
        if power <= goal:
            break
        c = scale * direction
        image = scale * sum(_sandwich(p, c, q) for p, q in grams)
        length = power / float(np.vdot(direction, image))
        x += length * direction
        residual = residual - length * image
        new = float(np.vdot(residual, residual))
        direction = residual + (new / power) * direction
        power = new
    y = scale * x
    return [p.T @ y @ q.T for p, q in zip(a, b)]


def along(weights: Any, direction: Any, **options: Any) -> Callable[[float], list[FloatArray]]:
    """Curve on the stratum through given weights: ``t -> weights``, product constant.

    The one-parameter subgroup of the projected direction, defined for all real t.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import along
    >>> curve = along([np.eye(2), np.eye(2)], [np.eye(2), -np.eye(2)])
    >>> W1, W2 = curve(0.5)
    >>> (W2 @ W1).round(12).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    at = _barcode(weights, options)
    tangent = WeightSpace(at, "stratum", "tangent").project(direction)
    generators = infinitesimal_action(at, tangent)
    return partial(_moved, at, generators)


def _moved(at: Barcode, generators: Any, time: float) -> list[FloatArray]:
    return move_along(at, generators, time=float(time)).reconstruct()
