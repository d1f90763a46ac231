"""Faces of a two-layer network in the plane, counted without building its complex.

Vertices are counted by kind: two lines of the first layer; a line of the first layer and a neuron
of the second (zeros of a piecewise linear function along the line); two neurons of the second
layer inside a region of the first. Unbounded edges are counted on the circle at infinity. In general
position every vertex has four edge ends, so 4 V = 2 E - R, and V - E + F = 1.
Float arithmetic; a decision closer than `tolerance` to a tie raises.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class TooClose(ArithmeticError):
    """A decision of the count is not clear in floating point."""


def _clear(values: Any, tolerance: float) -> Any:
    if values.size and float(np.abs(values).min()) < tolerance:
        raise TooClose(f"a value {float(np.abs(values).min()):.1e} is too close to 0")
    return values


def line_regions(w: Any, b: Any) -> np.ndarray:
    """Signs (F, m) of all regions of m lines in general position."""
    m = len(b)
    found = set()
    for i in range(m):
        normal = w[i] / np.linalg.norm(w[i])
        base = -b[i] / np.linalg.norm(w[i]) * normal
        along = np.array([-normal[1], normal[0]])
        others = np.delete(np.arange(m), i)
        stops = np.sort(-(w[others] @ base + b[others]) / (w[others] @ along))
        if len(stops):
            middles = np.concatenate([[stops[0] - 1], (stops[1:] + stops[:-1]) / 2, [stops[-1] + 1]])
        else:
            middles = np.zeros(1)
        signs = np.sign((base + middles[:, None] * along) @ w.T + b).astype(np.int8)
        for side in (-1, 1):
            signs[:, i] = side
            found.update(row.tobytes() for row in signs)
    return np.array([np.frombuffer(row, dtype=np.int8) for row in sorted(found)])


def planar_counts(weights: Any, biases: Any, *, tolerance: float = 1e-12) -> tuple[int, int, int]:
    """(V, E, F) of the canonical complex of a generic 2-m1-m2-… network with two hidden layers."""
    (w1, w2), (b1, b2) = (np.asarray(v, dtype=float) for v in weights[:2]), biases[:2]
    b1, b2 = np.asarray(b1, dtype=float), np.asarray(b2, dtype=float)
    m1, m2 = len(b1), len(b2)
    vertices = m1 * (m1 - 1) // 2
    # neurons of layer 2 along each line of layer 1
    for i in range(m1):
        normal = w1[i] / np.linalg.norm(w1[i])
        base = -b1[i] / np.linalg.norm(w1[i]) * normal
        along = np.array([-normal[1], normal[0]])
        others = np.delete(np.arange(m1), i)
        stops = np.sort(-(w1[others] @ base + b1[others]) / (w1[others] @ along))
        ends = np.concatenate([[stops[0] - 1], stops, [stops[-1] + 1]]) if m1 > 1 else np.array([-1.0, 1.0])
        z1 = (base + ends[:, None] * along) @ w1.T + b1
        z1[:, i] = 0.0
        z = np.maximum(z1, 0) @ w2.T + b2  # (stops, m2)
        inner = z[1:-1] if m1 > 1 else z[:0]
        if m1 > 1:
            _clear(inner, tolerance)
            vertices += int((np.sign(inner[1:]) != np.sign(inner[:-1])).sum())
            first, last = inner[0], inner[-1]
            left, right = z[0] - z[1], z[-1] - z[-2]  # slopes on the two unbounded pieces, outwards
            vertices += int((left * first < 0).sum() + (right * last < 0).sum())
        else:
            slope = z[1] - z[0]
            vertices += int((slope != 0).sum())
    # pairs of layer 2 inside each region of layer 1
    p, q = np.triu_indices(m2, 1)
    for signs in line_regions(w1, b1):
        on = signs > 0
        forms = w2[:, on] @ w1[on]
        constants = w2[:, on] @ b1[on] + b2
        determinant = forms[p, 0] * forms[q, 1] - forms[p, 1] * forms[q, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            x = (forms[p, 1] * constants[q] - forms[q, 1] * constants[p]) / determinant
            y = (forms[q, 0] * constants[p] - forms[p, 0] * constants[q]) / determinant
        parallel = np.abs(determinant) <= 1e-9 * np.linalg.norm(forms[p], axis=1) * np.linalg.norm(forms[q], axis=1)
        if int(on.sum()) > 1 and parallel.any():
            raise TooClose("nearly parallel walls of layer 2 in a region")
        points = np.stack([x, y], axis=1)[~parallel]
        values = signs * (points @ w1.T + b1)
        near = (np.abs(values) < tolerance * (1 + np.abs(points).max(axis=1, keepdims=True, initial=0))).any(axis=1)
        if (near & (values > -tolerance).all(axis=1)).any():
            raise TooClose("a crossing of layer 2 lies nearly on a line of layer 1")
        vertices += int((values > 0).all(axis=1).sum())
    # zeros on the circle at infinity
    angles = np.arctan2(w1[:, 1], w1[:, 0]) + np.pi / 2
    angles = np.sort(np.concatenate([angles, angles + np.pi]) % (2 * np.pi))
    rays = 2 * m1
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    slopes = np.maximum(np.round(directions @ w1.T, 14), 0) @ w2.T
    following = np.roll(slopes, -1, axis=0)
    rays += int(((slopes * following) < 0).sum())
    edges = (4 * vertices + rays) // 2
    return vertices, edges, 1 - vertices + edges
