"""Cells of small complexes: inequalities -> vertices and rays by cdd equal those of the complex."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from tests.oracles.exact_faces import below


def inequalities(net: pf.ReLUNetwork, signs: Any) -> np.ndarray:
    """Rows (b, a) with b + a x >= 0 of the closed region with these signs, from the weights alone."""
    n0 = net.architecture[0]
    a, c = np.eye(n0), np.zeros(n0)
    rows, start = [], 0
    for w, b in list(zip(net.weights, net.biases))[:-1]:
        part = signs[start : start + len(b)]
        start += len(b)
        forms, offsets = w @ a, w @ c + b
        rows.append(part[:, None] * np.column_stack([offsets, forms]))
        a, c = forms * (part > 0)[:, None], offsets * (part > 0)
    every = np.vstack(rows)
    scale = np.abs(every[:, 1:]).max(axis=1)
    return every[scale > 0] / scale[scale > 0, None]


def convert(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cdd = pytest.importorskip("cdd")
    found = cdd.copy_generators(
        cdd.polyhedron_from_matrix(cdd.matrix_from_array(rows.tolist(), rep_type=cdd.RepType.INEQUALITY))
    )
    assert not found.lin_set
    generators = np.array(found.array).reshape(-1, rows.shape[1])
    is_vertex = generators[:, 0] == 1
    rays = generators[~is_vertex, 1:]
    return generators[is_vertex, 1:], rays / np.linalg.norm(rays, axis=1, keepdims=True)


def same_rows(one: np.ndarray, two: np.ndarray, tolerance: float = 1e-6) -> bool:
    if one.shape != two.shape:
        return False
    if not len(one):
        return True
    gap = np.abs(one[:, None, :] - two[None, :, :]).max(axis=2) / (1 + np.abs(two).max(axis=1))
    return bool((gap.min(axis=1) < tolerance).all() and (gap.min(axis=0) < tolerance).all())


@pytest.mark.parametrize(
    ("architecture", "seed"),
    [((2, 5, 4, 1), 0), ((2, 3, 3, 3, 1), 1), ((3, 4, 3, 1), 2), ((3, 5, 2, 1), 3), ((4, 5, 1), 4)],
)
def test_cells(architecture: tuple[int, ...], seed: int) -> None:
    net = pf.ReLUNetwork.random(architecture, rng=seed)
    cx = pf.canonical_complex(net)
    d = len(cx.f_vector) - 1
    corners, points = [tuple(r) for r in cx.signs(0).tolist()], cx.vertices
    edges = [tuple(r) for r in cx.signs(1).tolist()]
    ends = {e: [i for i, v in enumerate(corners) if below(v, e)] for e in edges}
    regions = cx.signs(d)
    for region in regions[:: max(1, len(regions) // 60)]:
        label = tuple(region.tolist())
        vertices, rays = convert(inequalities(net, region))
        mine = [i for i, v in enumerate(corners) if below(v, label)]
        assert same_rows(points[mine], vertices)
        unbounded = [e for e in edges if len(ends[e]) == 1 and below(e, label)]
        assert len({tuple(np.round(r, 9)) for r in rays}) == len(rays)
        # parallel rays of a cell are one ray of its recession cone: compare as directions
        directions = {tuple(np.round(direction(net, e, points[ends[e][0]]), 6)) for e in unbounded}
        expected = {tuple(np.round(r, 6)) for r in rays}
        assert expected <= directions
        assert all(in_cone(np.array(u), rays) for u in directions - expected)


def direction(net: pf.ReLUNetwork, edge: tuple[int, ...], base: np.ndarray) -> np.ndarray:
    """Unit direction of an unbounded edge, from the null space of its zero forms."""
    n0 = net.architecture[0]
    signs = np.array(edge)
    a = np.eye(n0)
    zero_rows, start, other = [], 0, []
    for w, b in list(zip(net.weights, net.biases))[:-1]:
        part = signs[start : start + len(b)]
        start += len(b)
        forms = w @ a
        zero_rows.append(forms[part == 0])
        other.append((part[:, None] * forms)[part != 0])
        a = forms * (part > 0)[:, None]
    _, _, vt = np.linalg.svd(np.vstack(zero_rows)) if n0 > 1 else (None, None, np.eye(1))
    u = vt[-1]
    slopes = np.vstack(other) @ u
    return u if slopes[np.argmax(np.abs(slopes))] > 0 else -u


def in_cone(u: np.ndarray, rays: np.ndarray) -> bool:
    from scipy.optimize import nnls

    return bool(nnls(rays.T, u)[1] < 1e-7)


def test_domain_cells() -> None:
    """In a box every region is bounded; vertices from the region's and the box's inequalities."""
    net = pf.ReLUNetwork.random((3, 4, 3, 1), rng=5)
    box = pf.Box([-1, -1, -1], [1, 2, 0.5])
    cx = pf.canonical_complex(net, domain=box)
    corners, points = [tuple(r) for r in cx.signs(0).tolist()], cx.vertices
    sides = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, -1, 0, 0], [2, 0, -1, 0], [0.5, 0, 0, -1]])
    for region in cx.signs(3):
        vertices, rays = convert(np.vstack([inequalities(net, region[: net.n_hidden]), sides]))
        assert not len(rays)
        label = tuple(region.tolist())
        assert same_rows(points[[i for i, v in enumerate(corners) if below(v, label)]], vertices)
