"""What must hold of every complex, known table or not."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.testing import simple_arrangement_f_vector
from tests.oracles.planar import planar_counts

NETWORKS = [
    ((2, 6, 5, 1), 0),
    ((3, 5, 4, 1), 1),
    ((3, 2, 4, 3, 1), 2),
    ((1, 5, 5, 1), 3),
    ((4, 4, 3, 1), 4),
    ((2, 4, 4, 4, 1), 5),
]


@pytest.mark.parametrize(("m", "n"), [(1, 1), (9, 1), (3, 2), (12, 2), (7, 3), (2, 3), (8, 4), (7, 5), (3, 6)])
def test_one_layer_is_a_simple_arrangement(m: int, n: int) -> None:
    net = pf.ReLUNetwork.random((n, m, 1), rng=m)
    assert tuple(pf.face_counts(net)) == simple_arrangement_f_vector(m, n)
    assert tuple(pf.canonical_complex(net).f_vector) == simple_arrangement_f_vector(m, n)


@pytest.mark.parametrize(
    ("m", "n"), [(63, 2), (64, 2), (65, 2), (100, 2), (128, 2), (130, 2), (65, 3), (70, 3), (130, 1)]
)
def test_wide_layers(m: int, n: int) -> None:
    """A weak hash once showed only from 63 neurons on."""
    net = pf.ReLUNetwork.random((n, m, 1), rng=m + n)
    assert tuple(pf.face_counts(net)) == simple_arrangement_f_vector(m, n)
    assert tuple(pf.canonical_complex(net).f_vector) == simple_arrangement_f_vector(m, n)


@pytest.mark.parametrize(("m1", "m2"), [(65, 20), (20, 65), (10, 130), (66, 66), (100, 7)])
def test_two_wide_layers_in_the_plane(m1: int, m2: int) -> None:
    net = pf.ReLUNetwork.random((2, m1, m2, 1), rng=m1 * m2)
    counts = planar_counts(net.weights, net.biases)
    assert tuple(pf.face_counts(net)) == counts
    assert tuple(pf.canonical_complex(net).f_vector) == counts


@pytest.mark.parametrize(("architecture", "seed"), NETWORKS, ids=str)
def test_euler_and_strata(architecture: tuple[int, ...], seed: int) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random(architecture, rng=seed))
    d = len(cx.f_vector) - 1
    assert sum((-1) ** k * f for k, f in enumerate(cx.f_vector)) == (-1) ** d
    strata = cx.strata
    strata.validate()
    labels = [cx.signs(k) for k in range(d + 1)]
    # in general position a cell is simple: a k-face has 2 (d - k) cofaces one dimension up
    offset = np.cumsum([0, *cx.f_vector])
    for k in range(d):
        for i in range(0, cx.f_vector[k], max(1, cx.f_vector[k] // 50)):
            above = strata.above(offset[k] + i)
            assert len(above) == 2 * (d - k)
            for j in above:
                label = labels[k + 1][j - offset[k + 1]]
                small = labels[k][i]
                assert ((small == 0) | (small == label)).all()


@pytest.mark.parametrize(("architecture", "seed"), NETWORKS, ids=str)
def test_diamonds(architecture: tuple[int, ...], seed: int) -> None:
    """Between a face and another two dimensions up there are exactly two."""
    cx = pf.canonical_complex(pf.ReLUNetwork.random(architecture, rng=seed))
    strata = cx.strata
    d = len(cx.f_vector) - 1
    if d < 2:
        return
    offset = np.cumsum([0, *cx.f_vector])
    for k in range(d - 1):
        for i in range(offset[k], offset[k + 1], max(1, cx.f_vector[k] // 40)):
            seen: dict[int, int] = {}
            for j in strata.above(i):
                for top in strata.above(j):
                    seen[int(top)] = seen.get(int(top), 0) + 1
            assert seen
            assert set(seen.values()) == {2}


def fingerprint(cx: pf.PolyhedralComplex) -> list[int]:
    """Order-independent: per dimension the sum of a mix of each sign vector."""
    rng = np.random.default_rng(0)
    width = cx.signs(0).shape[1]
    keys = rng.integers(0, 2**63, size=(3, width), dtype=np.int64).astype(object)
    out = []
    for k in range(len(cx.f_vector)):
        total = 0
        for row in cx.signs(k).tolist():
            word = 0
            for column, s in enumerate(row):
                word ^= keys[s + 1][column]
            total += word * (word + 2 * k + 1)
        out.append(total % 2**64)
    return out


def test_neuron_order_does_not_matter() -> None:
    """Permuting neurons permutes the columns of the sign vectors and nothing else."""
    rng = np.random.default_rng(1)
    for architecture, seed in NETWORKS[:4]:
        net = pf.ReLUNetwork.random(architecture, rng=seed)
        weights, biases = [np.array(w) for w in net.weights], [np.array(b) for b in net.biases]
        columns, start = [], 0
        for layer, width in enumerate(net.hidden_widths):
            order = rng.permutation(width)
            weights[layer], biases[layer] = weights[layer][order], biases[layer][order]
            weights[layer + 1] = weights[layer + 1][:, order]
            columns += [start + int(o) for o in order]
            start += width
        one, two = pf.canonical_complex(net), pf.canonical_complex(pf.ReLUNetwork(weights, biases))
        for k in range(len(one.f_vector)):
            assert {tuple(r) for r in one.signs(k)[:, columns].tolist()} == {tuple(r) for r in two.signs(k).tolist()}


def test_input_coordinates_do_not_matter() -> None:
    """An affine change of input (exact in floats) keeps every sign vector."""
    for architecture, seed in NETWORKS[:3]:
        net = pf.ReLUNetwork.random(architecture, rng=seed)
        n = architecture[0]
        change = np.eye(n)[::-1] * np.array([4.0, -0.5, 2.0, 1.0])[:n]
        weights = [net.weights[0] @ change, *net.weights[1:]]
        one, two = pf.canonical_complex(net), pf.canonical_complex(pf.ReLUNetwork(weights, net.biases))
        assert fingerprint(one) == fingerprint(two)


def test_exact_and_float_modes_agree() -> None:
    for architecture, seed in [((2, 4, 3, 1), 0), ((3, 3, 3, 1), 1)]:
        net = pf.ReLUNetwork.random(architecture, rng=seed)
        assert fingerprint(pf.canonical_complex(net)) == fingerprint(pf.canonical_complex(net.exact()))


def test_every_face_is_seen_by_samples() -> None:
    """Signs of random points are regions of the complex."""
    for architecture, seed in NETWORKS:
        net = pf.ReLUNetwork.random(architecture, rng=seed)
        cx = pf.canonical_complex(net)
        rows = {tuple(r) for r in cx.signs(len(cx.f_vector) - 1).tolist()}
        points = np.random.default_rng(seed).standard_normal((2000, architecture[0])) * 5
        z = np.concatenate(net.preactivations(points)[:-1], axis=1)
        sure = (np.abs(z) > 1e-9).all(axis=1)
        assert {tuple(r) for r in np.sign(z[sure]).astype(int).tolist()} <= rows


def test_faces_have_two_sides_in_every_pair_of_layers() -> None:
    """Facet pairs: flipping the single zero of a facet gives two regions."""
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 5, 4, 1), rng=9))
    top = {tuple(r) for r in cx.signs(3).tolist()}
    for row in cx.signs(2).tolist():
        (zero,) = [i for i, s in enumerate(row) if s == 0]
        for side in (-1, 1):
            assert (*row[:zero], side, *row[zero + 1 :]) in top
