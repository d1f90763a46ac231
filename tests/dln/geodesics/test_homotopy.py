"""Homotopy classes: lifts to the spin group by Clifford matrices, known fundamental groups, turns of known length."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.linalg import expm, logm

import polyfiber as pf
from polyfiber.dln.geodesics.guesses import rotation_logarithm
from polyfiber.dln.geodesics.homotopy import _turns, class_count, homotopy_class
from polyfiber.dln.geodesics.reduction import end_of, reduce

RNG = np.random.default_rng(11)


def clifford(d: int) -> list[np.ndarray]:
    """Anticommuting matrices with square 1 (Jordan and Wigner)."""
    x, y, z, one = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1]), np.eye(2)
    size = (d + 1) // 2
    found = []
    for i in range(size):
        for p in (x, y):
            m = np.eye(1)
            for j in range(size):
                m = np.kron(m, z if j < i else p if j == i else one)
            found.append(m)
    return found[:d]


def lifted(log: np.ndarray, g: list[np.ndarray]) -> np.ndarray:
    d = len(log)
    return expm(0.25 * sum(log[a, b] * g[a] @ g[b] for a in range(d) for b in range(d)))


@pytest.mark.parametrize("d", [3, 4, 5, 6])
def test_the_lift_to_the_spin_group(d: int) -> None:
    g = clifford(d)
    logs = [(m := RNG.standard_normal((d, d))) - m.T for _ in range(2)]
    unit = [log / np.linalg.norm(log, 2) for log in logs]
    for speed in (4.0, 8.0):
        path = [expm(speed * s * unit[0]) @ expm(3.0 * s * s * unit[1]) for s in np.linspace(0, 1, 60)]
        spin = np.eye(len(g[0]), dtype=complex)
        for a, b in zip(path, path[1:]):
            spin = lifted(np.real(logm(b @ a.T)), g) @ spin
        shortest = lifted(rotation_logarithm(path[-1] @ path[0].T), g)
        assert _turns(path) == (0 if np.trace(spin @ shortest.conj().T).real > 0 else 1)


def label(curve: Callable[[float], np.ndarray], rank: int) -> tuple[int, ...] | None:
    """Class of a curve of full-size matrices, by way of the reduction."""
    a, b = curve(0.0), curve(1.0)
    room = reduce(a, b - a, rank)
    shape = room.left.shape[1], room.right.shape[1]
    ends = [end_of(room.inside(w), rank, 3, shape) for w in (a, b)]
    return homotopy_class(
        lambda times: np.stack([room.inside(curve(float(t))) for t in times]),
        *ends,
        a.shape,
    )


def plane(d: int, i: int, j: int, angle: float) -> np.ndarray:
    out = np.zeros((d, d))
    out[i, j], out[j, i] = -angle, angle
    return expm(out)


@pytest.mark.parametrize(("m", "n", "r"), [(2, 2, 2), (3, 3, 3), (4, 3, 3), (3, 3, 2), (5, 5, 2), (4, 4, 4), (5, 3, 3)])
def test_turns_of_frames_have_the_classes_of_the_fundamental_group(m: int, n: int, r: int) -> None:
    core = RNG.standard_normal((m, r)) @ RNG.standard_normal((r, n))
    if r == m == n and np.linalg.det(core) < 0:
        core[0] *= -1
    u, s, vt = np.linalg.svd(core)
    S = np.zeros((m, n))
    S[range(r), range(r)] = s[:r]

    def curve(t: float, whole: int, half: int) -> np.ndarray:
        left, right = plane(m, 0, 1, 2 * math.pi * whole * t), np.eye(n)
        if half and m > r and n > r:  # reverse a column of U with a new direction, and of V with another
            left = left @ plane(m, r - 1, m - 1, math.pi * t)
            right = plane(n, r - 1, n - 1, -math.pi * t)
        return u @ left @ S @ right @ vt

    # full turns of the first two axes on the left, and half turns of a direction on both sides
    found = {label(partial(curve, whole=whole, half=half), r) for whole in range(3) for half in (0, 1)}
    assert None not in found
    count = class_count(m, n, r)
    assert len(found) == (3 if math.isinf(count) else count)


@pytest.mark.parametrize("seed", range(4))
def test_reversed_turns_have_classes_that_rounding_does_not_choose(seed: int) -> None:
    """Frames that come back reversed end half a turn away, where no way back is the shortest."""
    rng = np.random.default_rng(seed)
    u, s, vt = np.linalg.svd(rng.standard_normal((3, 2)) @ rng.standard_normal((2, 3)))
    S = np.diag([s[0], s[1], 0.0])

    def curve(t: float, whole: int, half: int, bend: float) -> np.ndarray:
        left, right = plane(3, 0, 1, 2 * math.pi * whole * t), plane(3, 0, 2, bend * math.sin(math.pi * t))
        if half:
            left, right = left @ plane(3, 1, 2, math.pi * t), right @ plane(3, 1, 2, -math.pi * t)
        return u @ left @ plane(3, 0, 2, -bend * math.sin(math.pi * t)) @ S @ right @ vt

    found = {
        (whole % 2, half): {
            label(partial(curve, whole=whole + n, half=half, bend=b), 2) for n in (0, 2) for b in (0.0, 0.4)
        }
        for whole in (0, 1)
        for half in (0, 1)
    }
    assert all(len(labels) == 1 for labels in found.values())
    assert len(set.union(*found.values())) == 4


def test_counts_of_classes() -> None:
    assert [class_count(d, d, d) for d in (1, 2, 3, 8)] == [1, math.inf, 2, 2]
    assert [class_count(2, n, 2) for n in (3, 4, 5)] == [
        2,
        1,
        1,
    ]  # frames of two vectors: a rotation group, then S^3 over
    assert [class_count(n, 1, 1) for n in (1, 2, 3)] == [1, math.inf, 1]  # spheres
    assert [class_count(n, n, 1) for n in (2, 3)] == [math.inf, 2]
    assert class_count(4, 4, 3) == 4


@pytest.mark.parametrize("d", [2, 3])
def test_the_long_way_round_has_its_known_length(d: int) -> None:
    # turns by an angle: length^2 = 4 N (1 - cos(angle / N)), by 2.5 or by 2.5 - 2 pi
    depth, angle = 4, 2.5
    X1 = plane(d, 0, 1, angle)
    path = pf.dln.geodesic(np.eye(d), X1, depth, explicit=False)
    lengths = sorted(path.classes_tried.values())
    known = [math.sqrt(4 * depth * (1 - math.cos(a / depth))) for a in (angle, 2 * math.pi - angle)]
    assert path.classes == (math.inf if d == 2 else 2)
    assert lengths[:2] == pytest.approx(known, rel=1e-8)
    assert path.length == pytest.approx(known[0], rel=1e-8)
    assert path.homotopy == (0,)
