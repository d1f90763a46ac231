"""All faces of a small complex from the weights alone: what the checks of counts and margins compare with.

Nothing here uses the complex. Regions are found neuron by neuron with linear programs; the faces of a region are the
closed sets of its vertices and rays, by cdd; a face is known by its signs, so regions that share it agree. Everything
is in floats: what lies within rounding of a degenerate position makes `Unclear`, never an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...domain import Polyhedron
from ...network.model import ReLUNetwork
from ...network.piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork
from .cell_geometry import Network, generators, halfspaces, inner_ball, masked_forms, parts_of

MOST_REGIONS = 160
MOST_WORK = 4000
"""Linear programs for one network."""


class Unclear(Exception):
    """Too large, or too close to a degenerate position for floats."""


@dataclass(frozen=True)
class Faces:
    """Signs of all faces by dimension, in the essential quotient.

    Attributes
    ----------
    dimension, lineality : int
    signs : tuple of (f_k, N + D) int8
    bounded : tuple of (f_k,) bool
    points : (f_0, d) float64
        The vertices, in coordinates of the section `section`.
    section : (n0, d) float64
        Orthonormal basis of the directions that walls cut.
    """

    dimension: int
    lineality: int
    signs: tuple[Any, ...]
    bounded: tuple[Any, ...]
    points: FloatArray
    section: FloatArray

    @property
    def breaking(self) -> int:
        """Faces on more walls than their codimension."""
        return sum(int(((s == 0).sum(axis=1) != self.dimension - k).sum()) for k, s in enumerate(self.signs))


def all_faces(network: Network, domain: Polyhedron | None) -> Faces:
    """Enumerate the faces.

    Raises
    ------
    Unclear
    """
    net = network.rounded()
    n0 = net.architecture[0]
    section = section_of(net, domain)
    d = section.shape[1]
    small = _restricted(net, section)
    box = None if domain is None else Polyhedron(np.asarray(domain.A, dtype=np.float64) @ section, domain.b)
    found: dict[bytes, tuple[int, bool, Any]] = {}
    for signs in _regions(small, box):
        for key, face in _faces_of(small, box, signs, d):
            if key in found and found[key][:2] != face[:2]:
                raise Unclear("two regions disagree about a face")
            found[key] = face
    by = [[(k, f) for k, f in found.items() if f[0] == dim] for dim in range(d + 1)]
    if sum((-1) ** k * len(f) for k, f in enumerate(by)) != (-1) ** d and domain is None:
        raise Unclear("the faces found in floats do not satisfy Euler's relation")
    columns = net.n_hidden + (0 if domain is None else len(domain.b))
    signs_ = tuple(np.array([np.frombuffer(k, np.int8) for k, _ in f], dtype=np.int8).reshape(-1, columns) for f in by)
    bounded = tuple(np.array([b for _, (_, b, _) in f], dtype=bool) for f in by)
    points = np.array([p for _, (_, _, p) in by[0]]).reshape(-1, d)
    return Faces(d, n0 - d, signs_, bounded, points, section)


def section_of(net: Network, domain: Polyhedron | None) -> FloatArray:
    """(n0, d): an orthonormal basis of the directions that walls cut.

    Raises
    ------
    Unclear
    """
    n0 = net.architecture[0]
    own = [part.reads[0] for part in parts_of(net)[:-1] if 0 in part.reads]
    walls = np.concatenate(
        [np.zeros((0, n0)), *own, *([] if domain is None else [np.asarray(domain.A, dtype=np.float64)])]
    )
    size = np.linalg.norm(walls, axis=1)
    _, values, vt = np.linalg.svd(walls[size > 0] / size[size > 0, None])
    d = int((values > 1e-9).sum())
    if ((values > 1e-13) & (values < 1e-6)).any() or d == 0:
        raise Unclear("the directions that walls cut are not clear in floats")
    section: FloatArray = vt[:d].T
    return section


def _restricted(net: Network, section: FloatArray) -> Network:
    """The network on the section."""
    if isinstance(net, ReLUNetwork):
        return ReLUNetwork([net.weights[0] @ section, *net.weights[1:]], net.biases)
    *hidden, last = parts_of(net)
    maps = [{j: w if j else w @ section for j, w in part.reads.items()} for part in (*hidden, last)]
    blocks = [GateBlock(m, part.bias, slopes=part.slopes) for m, part in zip(maps, hidden)]
    return PiecewiseLinearNetwork(section.shape[1], blocks, AffineMap(maps[-1], last.bias))


def _regions(net: Network, domain: Polyhedron | None) -> list[Any]:
    """Sign vectors of all full-dimensional regions, domain facets included, by splitting one neuron after another."""
    N = net.n_hidden
    extra = 0 if domain is None else len(domain.b)
    done: list[Any] = []
    programs = 0
    waiting: list[Any] = [np.zeros(0, dtype=np.int8)]
    while waiting:
        known = waiting.pop()
        if len(known) == N:
            done.append(np.concatenate([known, np.ones(extra, dtype=np.int8)]))
            if len(done) > MOST_REGIONS:
                raise Unclear(f"more than {MOST_REGIONS} regions")
            continue
        padded = np.concatenate([known, np.zeros(N - len(known), dtype=np.int8)])
        forms, _ = masked_forms(net, padded)
        form = forms[len(known)]
        A, b = halfspaces(net, domain, np.concatenate([padded, np.ones(extra, dtype=np.int8)]))
        keep = np.r_[0 : len(known), N : N + extra]
        norm = float(np.linalg.norm(form[:-1]))
        if norm <= 1e-9 * (1.0 + abs(form[-1])):
            if norm > 0 or 0 < abs(form[-1]) < 1e-9:
                raise Unclear("a neuron is nearly constant on a region")
            waiting.append(np.append(known, np.int8(np.sign(form[-1]))))
            continue
        for side in (1, -1):
            programs += 1
            if programs > MOST_WORK:
                raise Unclear(f"more than {MOST_WORK} linear programs")
            rows = np.concatenate([A[keep], -side * form[None, :-1] / norm])
            bounds = np.append(b[keep], side * form[-1] / norm)
            ball = inner_ball(rows, bounds)
            if ball is not None and ball[1] < 1e-6:
                raise Unclear("a region is thinner than floats can tell from none")
            if ball is not None:
                waiting.append(np.append(known, np.int8(side)))
    return done


def _faces_of(net: Network, domain: Polyhedron | None, signs: Any, d: int) -> list[tuple[bytes, tuple[int, bool, Any]]]:
    A, b = halfspaces(net, domain, signs)
    vertices, rays = generators(A, b)
    scale = 1.0 + np.abs(vertices).max(axis=1, initial=0.0)[:, None]
    slack = np.abs(b - vertices @ A.T) / scale
    level = np.abs(rays @ A.T)
    for gaps in (slack, level):
        if ((gaps > 1e-9) & (gaps < 1e-6)).any():
            raise Unclear("a vertex is within rounding of a wall that it does not lie on")
    live = np.abs(A).max(axis=1) > 0
    tight = np.concatenate([slack < 1e-8, level < 1e-8]) & live
    nv = len(vertices)
    masks = [sum(1 << i for i in np.flatnonzero(tight[:, c]).tolist()) for c in range(len(b))]
    whole = (1 << len(tight)) - 1
    points_only = (1 << nv) - 1
    seen, waiting = {whole}, [whole]
    while waiting:
        face = waiting.pop()
        for wall in set(masks):
            part = face & wall
            if part & points_only and part not in seen:
                seen.add(part)
                waiting.append(part)
    found = []
    for face in seen:
        members = [i for i in range(len(tight)) if face >> i & 1]
        zero = tight[members].all(axis=0)
        own = np.array(signs, dtype=np.int8)
        own[zero] = 0
        at = [i for i in members if i < nv]
        spread = np.concatenate([vertices[at] - vertices[at[0]], rays[[i - nv for i in members if i >= nv]]])
        rank = (
            int(np.linalg.matrix_rank(spread, tol=1e-7 * (1.0 + np.abs(spread).max(initial=0.0)))) if len(spread) else 0
        )
        found.append((own.tobytes(), (rank, len(at) == len(members), vertices[at[0]])))
    if max(f[1][0] for f in found) != d:
        raise Unclear("a region is not full-dimensional in floats")
    return found


# ---- numbers that follow from the faces ------------------------------------------------------------
def lipschitz(net: Network, faces: Faces) -> float:
    """Largest spectral norm over the regions."""
    return max(float(np.linalg.norm(masked_forms(net, s)[1][:, :-1], 2)) for s in faces.signs[-1])


def vertex_margin(net: Network, faces: Faces) -> float:
    """Least distance of a vertex to a wall that it does not lie on, along the gradient where its own walls are
    inactive.
    """
    best = np.inf
    for signs, point in zip(faces.signs[0], faces.points):
        forms = masked_forms(net, signs)[0]
        norms = np.linalg.norm(forms[:, :-1], axis=1)
        away = (signs[: len(forms)] != 0) & (norms > 0)
        values = np.abs(forms[away, :-1] @ (faces.section @ point) + forms[away, -1]) / norms[away]
        best = min(best, float(values.min(initial=np.inf)))
    return best


def product_margin(net: ReLUNetwork, faces: Faces) -> tuple[float | None, bool]:
    """Least relative singular value of a masked product that need not vanish, and whether all have full rank."""
    least, full = None, True
    ends = np.cumsum([0, *net.hidden_widths])
    for signs in faces.signs[-1]:
        masks = [signs[a:b] > 0 for a, b in zip(ends[:-1], ends[1:])]
        for first in range(len(net.weights)):
            product, most = net.weights[first], min(net.weights[first].shape)
            for last in range(first, len(net.weights)):
                if last > first:
                    product = net.weights[last] @ (product * masks[last - 1][:, None])
                    most = min(most, int(masks[last - 1].sum()), net.weights[last].shape[0])
                if most == 0:
                    continue
                values = np.linalg.svd(product, compute_uv=False)
                ratio = float(values[most - 1] / values[0]) if values[0] > 0 else 0.0
                if 1e-13 < ratio < 1e-8:
                    raise Unclear("a singular value is within rounding of zero")
                least = ratio if least is None else min(least, ratio)
                full &= ratio >= 1e-8
    return least, full


def _kinks(net: Network) -> FloatArray:
    """(N + outputs, N): how gates and outputs change with ``relu(z)`` of a gate in front, the rest below their walls.

    A gate is ``s⁻ z + (s⁺ - s⁻) relu(z)``; of a chain these are its weights.
    """
    parts = parts_of(net)
    ends = np.cumsum([0, *net.hidden_widths, net.architecture[-1]])
    N = net.n_hidden
    found, behind = np.zeros((ends[-1], N)), [np.zeros((net.architecture[0], N))]
    for l, (reads, _, slopes) in enumerate(parts):
        rows = found[ends[l] : ends[l + 1]]
        for j, matrix in reads.items():
            rows += matrix @ behind[j]
        if l < len(parts) - 1:
            jump = np.zeros_like(rows)
            jump[:, ends[l] : ends[l + 1]] = np.diag(slopes[:, 1] - slopes[:, 0])
            behind.append(slopes[:, :1] * rows + jump)
    return found


def _ways(net: Network, kinks: FloatArray, signs: Any, neuron: int) -> FloatArray:
    """(N + outputs,): how everything behind changes with ``relu(z)`` of a gate, where gates have these signs."""
    ends = np.cumsum([0, *net.hidden_widths])
    result: FloatArray = kinks[:, neuron].copy()
    for start, stop in zip(ends[:-1], ends[1:]):
        if start > neuron:
            result += kinks[:, start:stop] @ (result[start:stop] * (signs[start:stop] > 0))
    return result


def _vanishes(value: float, size: float, what: str) -> bool:
    """Whether a sum of terms of this size is zero."""
    if 1e-13 * size < value < 1e-9 * size:
        raise Unclear(f"{what} is within rounding of zero")
    return value <= 1e-13 * size


def weight_margin(net: Network, faces: Faces) -> tuple[int, float | None]:
    """Facets with an active path and weight zero, and the least relative weight of the others."""
    cancelling, least = 0, None
    kinks, N = _kinks(net), net.n_hidden
    for signs in faces.signs[-2]:
        own = np.flatnonzero(signs[: net.n_hidden] == 0)
        if not len(own):
            continue
        weight = float(np.linalg.norm(_ways(net, kinks, signs, int(own[0]))[N:]))
        paths = float(np.linalg.norm(_ways(net, np.abs(kinks), signs, int(own[0]))[N:]))
        if paths and _vanishes(weight, paths, "a weight"):
            cancelling += 1
        elif paths:
            least = weight / paths if least is None else min(least, weight / paths)
    return cancelling, least


def unbent_ridges(net: Network, faces: Faces) -> int:
    """Ridges on visible walls of two layers where the deeper wall does not bend."""
    if faces.dimension < 2:
        return 0
    ends = np.cumsum([0, *net.hidden_widths])
    kinks, N = _kinks(net), net.n_hidden
    count = 0
    for signs in faces.signs[-3]:
        own = np.flatnonzero(signs[: net.n_hidden] == 0)
        if len(own) != 2:
            continue
        layers = np.searchsorted(ends, own, side="right")
        if layers[0] == layers[1]:
            continue
        below, above = (_ways(net, kinks, signs, int(k)) for k in own)
        sizes = [_ways(net, np.abs(kinks), signs, int(k)) for k in own]
        seen = not all(_vanishes(abs(v), s, "a weight") for v, s in zip(above[N:], sizes[1][N:]))
        count += seen and _vanishes(abs(below[own[1]]), sizes[0][own[1]], "a kink")
    return count


__all__ = [
    "Faces",
    "Unclear",
    "all_faces",
    "lipschitz",
    "product_margin",
    "section_of",
    "unbent_ridges",
    "vertex_margin",
    "weight_margin",
]
