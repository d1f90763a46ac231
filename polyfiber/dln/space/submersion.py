"""The balanced manifold above GL_d: lifts, vertical and horizontal spaces, Riemannian submersion, retraction.

Upstairs points are arrays (..., N, d, d), first layer first, with the Frobenius metric. All projections work
without singular vectors, from the constraint map ``c_p = W_{p+1}^T W_{p+1} - W_p W_p^T`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from ..._typing import Array, FloatArray
from ...errors import InputError, NumericalError
from ...words import one_line
from .._inputs import LAYERS, as_depth, as_like, as_matrix, as_positive, as_stack, as_stack_like, transpose
from ..spectral import singular_frame
from .metrics import metric


def product(weights: npt.ArrayLike) -> FloatArray:
    """End-to-end matrix ``W_N ... W_1``, shape (..., d, d).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import product
    >>> product([np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])]).tolist()
    [[3.0, 6.0], [4.0, 8.0]]
    """
    from .._inputs import as_layers

    layers = as_layers(weights)
    result = layers[0]
    for layer in layers[1:]:
        result = layer @ result
    return result


def lift(W: npt.ArrayLike, depth: int, *, gauge: npt.ArrayLike | None = None) -> FloatArray:
    """A balanced network over a square W: ``W_p = Q_p Lambda Q_{p-1}^T`` with ``Lambda = Sigma^{1/N}``.

    Parameters
    ----------
    W : array_like (..., d, d)
    depth : int
    gauge : array_like (..., N-1, d, d), optional
        Orthogonal ``Q_1, ..., Q_{N-1}``; all equal to Q_0 (the right singular vectors) by default.

    Returns
    -------
    float64 (..., N, d, d)

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import lift, product
    >>> W = np.array([[1.0, 2.0], [0.0, 3.0]])
    >>> bool(np.allclose(product(lift(W, 3)), W))
    True
    """
    matrix = as_matrix(W, square=True)
    n = int(as_depth(depth, most=LAYERS))
    d = matrix.shape[-1]
    frame = singular_frame(matrix)
    roots = frame.values ** (1.0 / n)
    frames = [frame.right]
    if gauge is None:
        frames += [frame.right] * (n - 1)
    elif n == 1:
        raise InputError("a network of depth 1 has no gauge: leave gauge out")
    else:
        q = as_stack(gauge)
        if q.shape[-3:] != (n - 1, d, d):
            raise InputError(f"gauge has shape {q.shape}; expected (..., {n - 1}, {d}, {d})", shape=q.shape)
        if np.abs(transpose(q) @ q - np.eye(d)).max() > 1e-8:
            raise InputError("gauge matrices must be orthogonal (Q^T Q = I to 1e-8)")
        frames += [q[..., p, :, :] for p in range(n - 1)]
    frames.append(frame.left)
    layers = [(frames[p] * roots[..., None, :]) @ transpose(frames[p - 1]) for p in range(1, n + 1)]
    return np.stack(np.broadcast_arrays(*layers), axis=-3)


def partial_products(stack: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``(W_N...W_{p+1}, W_{p-1}...W_1)`` for p = 1..N, each (..., N, d, d)."""
    n, d = stack.shape[-3], stack.shape[-1]
    identity = np.broadcast_to(np.eye(d), stack[..., 0, :, :].shape)
    above = [identity]
    below = [identity]
    for p in range(n - 1):
        above.append(above[-1] @ stack[..., n - 1 - p, :, :])
        below.append(stack[..., p, :, :] @ below[-1])
    return np.stack(above[::-1], axis=-3), np.stack(below, axis=-3)


def push(weights: npt.ArrayLike, V: npt.ArrayLike) -> FloatArray:
    """Differential of the product: ``d phi(V) = sum_p (W_N..W_{p+1}) V_p (W_{p-1}..W_1)``, shape (..., d, d).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> dln.push([np.eye(2), 2 * np.eye(2)], [np.eye(2), np.zeros((2, 2))])
    array([[2., 0.],
           [0., 2.]])
    """
    stack = as_stack(weights)
    v = as_stack_like(V, stack)
    above, below = partial_products(stack)
    return (above @ v @ below).sum(axis=-3)


def pull(weights: npt.ArrayLike, Z: npt.ArrayLike) -> FloatArray:
    """Adjoint of :func:`push`: ``(d phi^* Z)_p = (W_N..W_{p+1})^T Z (W_{p-1}..W_1)^T``, shape (..., N, d, d).

    Minus this, at Z = E'(W), is the upstairs gradient flow (Menon (3.6)).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> dln.pull([np.eye(2), 2 * np.eye(2)], np.eye(2))[0]
    array([[2., 0.],
           [0., 2.]])
    """
    stack = as_stack(weights)
    z = as_like(Z, stack[..., 0, :, :], name="Z")
    above, below = partial_products(stack)
    return transpose(above) @ z[..., None, :, :] @ transpose(below)


def horizontal_lift(weights: npt.ArrayLike, Z: npt.ArrayLike) -> FloatArray:
    """The horizontal vector over Z at a balanced network: ``d phi^*(A_W^{-1} Z)``; its norm is ``g^N(Z, Z)^{1/2}``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import horizontal_lift, lift, metric
    >>> W, Z = np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 1.0]])
    >>> bool(np.isclose(np.linalg.norm(horizontal_lift(lift(W, 3), Z)), metric(W, 3).norm(Z)))
    True
    """
    stack = as_stack(weights)
    g = metric(product(stack), stack.shape[-3])
    return pull(stack, g.solve(Z))


def constraint(stack: FloatArray) -> FloatArray:
    """``c_p = W_{p+1}^T W_{p+1} - W_p W_p^T``, p = 1..N-1 (minus the invariants G_p), shape (..., N-1, d, d)."""
    upper, lower = stack[..., 1:, :, :], stack[..., :-1, :, :]
    return transpose(upper) @ upper - lower @ transpose(lower)


def constraint_push(stack: FloatArray, v: FloatArray) -> FloatArray:
    """Differential of :func:`constraint` at ``stack`` in the direction ``v``."""
    a = transpose(stack[..., 1:, :, :]) @ v[..., 1:, :, :] - v[..., :-1, :, :] @ transpose(stack[..., :-1, :, :])
    return a + transpose(a)


def constraint_pull(stack: FloatArray, s: FloatArray) -> FloatArray:
    """Adjoint of :func:`constraint_push` on symmetric matrices: ``2 W_p S_{p-1} - 2 S_p W_p``."""
    result = np.zeros(np.broadcast_shapes(stack.shape, (*s.shape[:-3], *stack.shape[-3:])))
    result[..., 1:, :, :] += 2.0 * stack[..., 1:, :, :] @ s
    result[..., :-1, :, :] -= 2.0 * s @ stack[..., :-1, :, :]
    return result


@cache
def _symmetric_basis(d: int) -> Array:
    """Orthonormal basis of the symmetric d x d matrices, (d(d+1)/2, d, d)."""
    k, l = np.triu_indices(d)
    basis = np.zeros((k.size, d, d))
    scale = np.where(k == l, 1.0, np.sqrt(0.5))
    basis[np.arange(k.size), k, l] = scale
    basis[np.arange(k.size), l, k] = scale
    basis.setflags(write=False)
    return basis


@dataclass(frozen=True)
class ConstraintSystem:
    """The linearised constraint at a balanced network, factored once and used for all projections.

    ``jacobian`` has shape (..., n_c, N d^2), n_c = (N-1) d(d+1)/2; rows are an orthonormal basis of the normal
    directions pulled back. The Gram matrix is invertible exactly where the network has full rank.
    """

    stack: FloatArray
    jacobian: FloatArray
    gram: FloatArray

    def multipliers(self, right: FloatArray) -> FloatArray:
        """Solve ``(Dc Dc^*) x = right``, both in coordinates (..., n_c)."""
        try:
            return np.asarray(np.linalg.solve(self.gram, right[..., None])[..., 0], dtype=np.float64)
        except np.linalg.LinAlgError:
            raise NumericalError("the network is rank deficient: the balanced variety is singular there") from None

    def normal(self, x: FloatArray) -> FloatArray:
        """``Dc^* x`` as a stack (..., N, d, d)."""
        v = (transpose(self.jacobian) @ x[..., None])[..., 0]
        return v.reshape(*v.shape[:-1], *self.stack.shape[-3:])

    def coordinates(self, s: FloatArray) -> FloatArray:
        """Coordinates of symmetric matrices (..., N-1, d, d) in the orthonormal basis."""
        basis = _symmetric_basis(self.stack.shape[-1])
        c: FloatArray = np.einsum("bij,...pij->...pb", basis, s)
        return c.reshape(*c.shape[:-2], -1)

    def project_normal(self, v: FloatArray) -> FloatArray:
        """Orthogonal projection onto the normal space."""
        flat = v.reshape(*v.shape[:-3], -1)
        return self.normal(self.multipliers((self.jacobian @ flat[..., None])[..., 0]))


def constraint_system(weights: npt.ArrayLike) -> ConstraintSystem:
    """Factor the linearised balance constraint at a network of square layers; N = 1 has no constraint."""
    stack = as_stack(weights)
    n, d = stack.shape[-3], stack.shape[-1]
    basis = _symmetric_basis(d)
    m = basis.shape[0]
    jacobian = np.zeros((*stack.shape[:-3], n - 1, m, n, d, d))
    for p in range(n - 1):
        jacobian[..., p, :, p, :, :] = -2.0 * basis @ stack[..., p, None, :, :]
        jacobian[..., p, :, p + 1, :, :] = 2.0 * stack[..., p + 1, None, :, :] @ basis
    jacobian = jacobian.reshape(*stack.shape[:-3], (n - 1) * m, n * d * d)
    return ConstraintSystem(stack, jacobian, jacobian @ transpose(jacobian))


def project_normal(weights: npt.ArrayLike, V: npt.ArrayLike) -> FloatArray:
    """Component of V normal to the balanced manifold.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> W = dln.lift(np.diag([4.0, 1.0]), 2)
    >>> V = np.array([np.eye(2), -np.eye(2)])
    >>> bool(np.allclose(dln.project_normal(W, V) + dln.project_tangent(W, V), V))
    True
    """
    stack = as_stack(weights)
    v = as_stack_like(V, stack)
    if stack.shape[-3] == 1:
        return np.zeros(np.broadcast_shapes(v.shape, stack.shape))
    return constraint_system(stack).project_normal(v)


def project_tangent(weights: npt.ArrayLike, V: npt.ArrayLike) -> FloatArray:
    """Component of V tangent to the balanced manifold.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> W = dln.lift(np.diag([4.0, 1.0]), 2)
    >>> V = dln.project_tangent(W, np.array([np.eye(2), np.zeros((2, 2))]))
    >>> V.round(9).tolist()
    [[[0.5, 0.0], [0.0, 0.5]], [[0.5, 0.0], [0.0, 0.5]]]
    """
    return as_stack_like(V, as_stack(weights)) - project_normal(weights, V)


def project_horizontal(weights: npt.ArrayLike, V: npt.ArrayLike) -> FloatArray:
    """Component of V in the horizontal space: ``d phi^* A^{-1} d phi V``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> W = dln.lift(np.diag([4.0, 1.0]), 2)
    >>> V = np.array([[[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    >>> H = dln.project_horizontal(W, V)
    >>> bool(np.allclose(dln.push(W, H), dln.push(W, V)))
    True
    """
    stack = as_stack(weights)
    tangent = project_tangent(stack, V)
    return horizontal_lift(stack, push(stack, tangent))


def project_vertical(weights: npt.ArrayLike, V: npt.ArrayLike) -> FloatArray:
    """Component of V tangent to the orbit of the gauge group.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> W = dln.lift(np.diag([4.0, 1.0]), 2)
    >>> V = dln.project_vertical(W, np.array([[[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]))
    >>> bool(np.allclose(dln.push(W, V), 0))
    True
    """
    stack = as_stack(weights)
    tangent = project_tangent(stack, V)
    return tangent - horizontal_lift(stack, push(stack, tangent))


def horizontal_defect(weights: npt.ArrayLike, V: npt.ArrayLike) -> float:
    """Largest entry of ``V_p W_p^T - W_{p+1}^T V_{p+1}``: zero exactly for horizontal vectors (no SVD needed).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> W = dln.lift(np.diag([4.0, 1.0]), 2)
    >>> dln.horizontal_defect(W, dln.pull(W, np.eye(2))) < 1e-12
    True
    """
    stack = as_stack(weights)
    v = as_stack_like(V, stack)
    if stack.shape[-3] == 1:
        return 0.0
    gap = v[..., :-1, :, :] @ transpose(stack[..., :-1, :, :]) - transpose(stack[..., 1:, :, :]) @ v[..., 1:, :, :]
    return float(np.abs(gap).max())


def second_fundamental_form(weights: npt.ArrayLike, V: npt.ArrayLike) -> FloatArray:
    """``II(V, V)`` of the balanced manifold in weight space, for tangent V, shape (..., N, d, d).

    Geodesics upstairs solve ``d^2 W / dt^2 = II(dW/dt, dW/dt)``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> W = dln.lift(np.diag([4.0, 1.0]), 2)
    >>> V = dln.project_tangent(W, np.array([np.eye(2), np.eye(2)]))
    >>> dln.second_fundamental_form(W, V).shape
    (2, 2, 2)
    """
    stack = as_stack(weights)
    v = as_stack_like(V, stack)
    if stack.shape[-3] == 1:
        return np.zeros(np.broadcast_shapes(v.shape, stack.shape))
    upper, lower = v[..., 1:, :, :], v[..., :-1, :, :]
    bend = 2.0 * (transpose(upper) @ upper - lower @ transpose(lower))
    system = constraint_system(stack)
    return -system.normal(system.multipliers(system.coordinates(bend)))


@dataclass(frozen=True)
class RetractionResult:
    """Where a retraction arrived: ``weights``, ``converged`` per path, the balance ``residual`` and iterations used."""

    weights: FloatArray
    converged: Array
    residual: FloatArray
    iterations: int


def try_retract(
    stack: FloatArray,
    v: FloatArray,
    *,
    system: ConstraintSystem | None = None,
    tolerance: float = 1e-12,
    limit: int = 30,
) -> RetractionResult:
    """Orthographic retraction of ``stack + v``, reporting instead of raising where it does not converge."""
    current = stack + v
    size = np.maximum((current**2).sum(axis=(-3, -2, -1)), np.finfo(float).tiny)
    if stack.shape[-3] == 1:
        return RetractionResult(current, np.ones(size.shape, dtype=bool), np.zeros(size.shape), 0)
    system = constraint_system(stack) if system is None else system
    residual = np.full(size.shape, np.inf)
    lost = np.zeros(size.shape, dtype=bool)
    count = 0
    for count in range(limit + 1):
        c = constraint(current)
        residual = np.where(lost, np.inf, np.abs(c).max(axis=(-3, -2, -1)) / size)
        active = (residual > tolerance) & ~lost
        if not active.any() or count == limit:
            break
        step = system.normal(system.multipliers(system.coordinates(c)))
        trial = np.where(active[..., None, None, None], current - step, current)
        # a chord iteration that leaves the ball of ten times the step's size has diverged
        far = (trial**2).sum(axis=(-3, -2, -1)) > 100.0 * size
        lost |= far
        current = np.where(far[..., None, None, None], current, trial)
    return RetractionResult(current, np.asarray(residual <= tolerance), np.asarray(residual), count)


def retract(weights: npt.ArrayLike, V: npt.ArrayLike, *, tolerance: float = 1e-12) -> FloatArray:
    """Orthographic retraction: the balanced network of the form ``W + V + (normal vector at W)``; second order.

    Parameters
    ----------
    weights : array_like (..., N, d, d)
        Balanced, of full rank.
    V : array_like (..., N, d, d)
        Tangent vector.
    tolerance : float
        Balance residual ``max |c| / ||W + V||^2`` to reach.

    Raises
    ------
    NumericalError
        If the chord Newton iteration does not reach the tolerance (V too long, or W nearly singular).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import lift, retract
    >>> W = lift(np.diag([2.0, 1.0]), 2)
    >>> R = retract(W, 0.01 * W)
    >>> bool(np.allclose(R, 1.01 * W))      # the balanced manifold is a cone
    True
    """
    stack, tolerance = as_stack(weights), as_positive(tolerance, name="tolerance")
    v = as_stack_like(V, stack)
    result = try_retract(stack, v, tolerance=tolerance)
    if not result.converged.all():
        raise NumericalError(
            f"the retraction stopped at a balance residual {float(result.residual.max()):.3g} > {tolerance:.3g}: "
            "the step is too long for the curvature at this point; halve it",
            residual=result.residual,
        )
    return result.weights


@dataclass(frozen=True)
class SubmersionReport:
    """How well the product map is a Riemannian submersion at a point; every entry is a largest absolute defect.

    Attributes
    ----------
    balance : float
        ``||c(W)||``: how far the point is from balanced.
    surjectivity : float
        Smallest singular value of ``d phi`` on the tangent space divided by the largest; positive at full rank.
    isometry : float
        Largest ``| ||horizontal lift of Z||^2 - g(Z, Z) | / g(Z, Z)`` over a basis of Z and all sums of two.
    vertical : float
        Largest ``|d phi(V)|`` over unit vertical vectors.
    orthogonality : float
        Largest inner product of unit horizontal and unit vertical vectors.
    dimensions : tuple of int
        (tangent, vertical, horizontal), as numerical ranks.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> report = dln.verify_submersion(dln.lift(np.diag([4.0, 1.0]), 2))
    >>> report.dimensions, report.isometry < 1e-9
    ((5, 1, 4), True)
    """

    __repr__ = one_line

    balance: float
    surjectivity: float
    isometry: float
    vertical: float
    orthogonality: float
    dimensions: tuple[int, int, int]


def verify_submersion(weights: npt.ArrayLike) -> SubmersionReport:
    """Measure at one network that ``phi: (M, Frobenius) -> (GL_d, g^N)`` is a Riemannian submersion.

    Builds the tangent space as the null space of the linearised constraint, independently of any frame formula.
    Cost: one SVD of a matrix of order N d^2.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import lift, verify_submersion
    >>> report = verify_submersion(lift(np.array([[2.0, 1.0], [0.5, 1.0]]), 3))
    >>> report.dimensions, report.isometry < 1e-12
    ((6, 2, 4), True)
    """
    stack = as_stack(weights)
    if stack.ndim != 3:
        raise InputError(f"one network at a time: expected (N, d, d), found {stack.shape}", shape=stack.shape)
    n, d = stack.shape[0], stack.shape[-1]
    size = n * d * d
    if n == 1:
        tangent = np.eye(size)
    else:
        _, values, vt = np.linalg.svd(constraint_system(stack).jacobian)
        rank = int((values > 1e-10 * values[0]).sum())
        tangent = vt[rank:]
    images = push(stack, tangent.reshape(-1, n, d, d)).reshape(-1, d * d)
    u, values, _ = np.linalg.svd(images)
    horizontal_rank = int((values > 1e-10 * values[0]).sum())
    vertical = u[:, horizontal_rank:].T @ tangent
    horizontal = u[:, :horizontal_rank].T @ tangent
    g = metric(product(stack), n)
    basis = np.eye(d * d).reshape(-1, d, d)
    k, l = np.triu_indices(d * d, 1)
    probes = np.concatenate([basis, basis[k] + basis[l]])
    lifts = horizontal_lift(stack, probes)
    wanted = np.asarray(g.inner(probes, probes))
    isometry = float((np.abs((lifts**2).sum(axis=(-3, -2, -1)) - wanted) / wanted).max())
    lifted = lifts[: d * d].reshape(d * d, size)
    lifted = lifted / np.linalg.norm(lifted, axis=1, keepdims=True)
    return SubmersionReport(
        balance=0.0 if n == 1 else float(np.abs(constraint(stack)).max()),
        surjectivity=float(values[horizontal_rank - 1] / values[0]) if horizontal_rank == d * d else 0.0,
        isometry=isometry,
        vertical=float(np.abs(push(stack, vertical.reshape(-1, n, d, d))).max()) if len(vertical) else 0.0,
        orthogonality=float(np.abs(lifted @ vertical.T).max()) if len(vertical) else 0.0,
        dimensions=(len(tangent), len(vertical), len(horizontal)),
    )
