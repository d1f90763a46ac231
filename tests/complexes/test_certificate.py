"""The check of a certificate passes on what was built and fails on what was tampered with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.skeleton import layout as records
from polyfiber.errors import FileFormatError, GenericityError

NETWORKS = [((2, 6, 5, 1), 0), ((3, 5, 4, 1), 1), ((3, 2, 4, 3, 1), 2), ((1, 5, 4, 1), 3), ((4, 4, 3, 1), 4)]


@pytest.mark.parametrize(("architecture", "seed"), NETWORKS, ids=str)
def test_built_complexes_verify(architecture: tuple[int, ...], seed: int) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random(architecture, rng=seed))
    certificate = cx.certificate
    result = certificate.verify()
    assert result.ok
    assert not result.problems
    assert certificate.vertices == cx.f_vector[0]
    assert result.signs > 0
    assert certificate.filtered + certificate.structural + certificate.exact > 0
    assert certificate.euler == (-1) ** cx.dimension


def test_a_flipped_sign_is_found() -> None:
    rng = np.random.default_rng(0)
    net = pf.ReLUNetwork.random((2, 6, 5, 1), rng=0)
    for _ in range(10):
        cx = pf.canonical_complex(net)
        certificate = cx.certificate
        state, nv, n = cx._skeleton.state, cx._skeleton.nv, 2
        vertex = int(rng.integers(nv))
        free = [k for k in range(net.n_hidden) if k not in state.star[vertex, 2 * n :]]
        k = int(rng.choice(free))
        state.words[vertex, k >> 6] ^= np.uint64(1) << np.uint64(k & 63)
        assert not certificate.verify().ok


def test_a_cut_edge_is_found() -> None:
    for seed in range(5):
        cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 5, 4, 1), rng=seed))
        certificate = cx.certificate
        star: Any = cx._skeleton.state.star
        star[0, seed % 6] = star[0, (seed + 1) % 6]
        assert not certificate.verify().ok


def covered_twice(cx: pf.PolyhedralComplex) -> None:
    """Replace a skeleton by a connected double cover: every vertex twice, one edge crossed."""
    sk = cx._skeleton
    n, nv, n_inf, shift, old = sk.frame.n, sk.nv, sk.n_inf, sk.frame.net.shift, sk.state
    new = records.new_state(sk.frame, 2 * nv, 2 * n_inf)
    for column, values in zip(new, old):
        size = n_inf if column is new.base or column is new.base_err else nv
        column[: 2 * size] = np.concatenate([values[:size], values[:size]])
    new.at_inf[nv:][new.at_inf[nv:] >= 0] += n_inf
    new.star[nv:, : 2 * n][new.star[nv:, : 2 * n] >= 0] += nv << shift
    for v, h in np.argwhere(old.star[:nv, : 2 * n] >= 0).tolist():
        w, g = old.star[v, h] >> shift, old.star[v, h] & ((1 << shift) - 1)
        if old.at_inf[v] < 0 and old.at_inf[w] < 0:
            break
    for a, b in ((v, w + nv), (v + nv, w)):
        new.star[a, h], new.star[b, g] = b << shift | g, a << shift | h
    sk.state, sk.nv, sk.n_inf = new, 2 * nv, 2 * n_inf


@pytest.mark.parametrize(("architecture", "seed"), [((2, 4, 3, 1), 0), ((3, 5, 4, 1), 1)], ids=str)
def test_a_double_cover_is_found(architecture: tuple[int, ...], seed: int) -> None:
    """Right signs, every edge closed, connected: only that vertices are there twice gives it away."""
    cx = pf.canonical_complex(pf.ReLUNetwork.random(architecture, rng=seed))
    certificate = cx.certificate
    assert certificate.verify().ok
    covered_twice(cx)
    assert certificate.verify().problems == ("a vertex is there twice",)


def test_stored_coordinates_are_not_believed(tmp_path: Path) -> None:
    """Archives whose weights were exchanged verify exactly when the complexes agree."""
    agreed = 0
    for seed in range(30):
        cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 6, 5, 1), rng=seed))
        _ = cx.vertices  # solved, with small errors
        other = exchanged(cx, tmp_path, seed)
        if other is None:
            continue
        truth = pf.canonical_complex(other.network)
        same = [truth.fingerprint(k) for k in range(3)] == [other.fingerprint(k) for k in range(3)]
        agreed += same
        before = other._skeleton.state.x[: other._skeleton.nv].copy()
        assert other.certificate.verify().ok == same
        assert np.array_equal(other._skeleton.state.x[: other._skeleton.nv], before)
        if same:  # vertices are those of the network that is there
            assert np.abs(truth.vertices - other.vertices).max() <= (truth.vertex_errors + other.vertex_errors).max()
    assert 0 < agreed < 30


def exchanged(cx: pf.PolyhedralComplex, tmp_path: Path, seed: int) -> pf.PolyhedralComplex | None:
    """Read again with other weights, and without the digests that would tell; None where that is refused."""
    rng = np.random.default_rng(seed)
    cx.save(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as store:
        arrays = dict(store)
    for name in ("weight_0", "weight_1"):
        arrays[name] = arrays[name] * (1 + 1e-2 * rng.standard_normal(arrays[name].shape))
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(FileFormatError, match="digest"):
        pf.PolyhedralComplex.load(tmp_path / "c.npz")
    header = json.loads(str(arrays["header"]))
    del header["digests"]
    np.savez(tmp_path / "c.npz", **{**arrays, "header": np.array(json.dumps(header))})
    try:
        return pf.PolyhedralComplex.load(tmp_path / "c.npz")
    except FileFormatError:
        return None


def test_stored_coordinates_of_lattices_are_not_believed(tmp_path: Path) -> None:
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1], [1, -3]], [[1, 1, 1, 1]]], [[-1, -1, -2, 1], [0]])
    cx = pf.canonical_complex(net)
    assert not cx.is_simple
    assert cx.certificate.verify().ok
    other = exchanged(cx, tmp_path, 0)
    assert other is None or not other.certificate.verify().ok


def test_inflated_bounds_send_every_kind_of_decision_to_exact_arithmetic() -> None:
    for architecture, seed in NETWORKS:
        net = pf.ReLUNetwork.random(architecture, rng=seed)
        plain, hard = pf.canonical_complex(net), pf.canonical_complex(net, inflate=1e14)
        assert [plain.fingerprint(k) for k in range(plain.dimension + 1)] == [
            hard.fingerprint(k) for k in range(hard.dimension + 1)
        ]
        assert plain.certificate.exact == 0
        assert hard.certificate.exact > plain.certificate.exact


def test_refusals_name_the_cell_and_the_neurons() -> None:
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, 0], [0]])
    with pytest.raises(GenericityError, match="layer 1") as caught:
        pf.canonical_complex(net, on_degenerate="refuse")
    assert len(caught.value.facts["facets"]) >= 3


# ---- regions as given out ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    "domain", [pf.Box([-1] * 3, [1] * 3), pf.Box([-1, 0.25, -1], [1, 0.25, 1]), None], ids=["box", "flat", "all"]
)
def test_volumes_and_incidences_of_regions_are_covered(domain: Any) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 5, 3, 1), rng=2), domain)
    cx.volumes(), cx.facets_of(0), cx.dual_graph, cx.polytopes.vertices, cx.polytopes.rays, cx.polytopes.facets
    assert cx.certificate.verify().verdict is pf.Verdict.YES
    sizes, errors = cx.polytopes._sizes[cx.dimension]
    (some, *_) = np.flatnonzero(np.isfinite(sizes))

    def changed(array: Any, at: Any, value: Any) -> Any:
        other = np.array(array)
        other[at] = value
        return other

    damages = [
        (cx.polytopes._sizes, cx.dimension, (changed(sizes, some, sizes[some] * (1 + 1e-5)), errors)),
        (cx.polytopes._sizes, cx.dimension, (changed(sizes, some, np.nan), errors)),
        (cx.polytopes._sizes, cx.dimension, (sizes, changed(errors, some, -1.0))),
    ]
    for kept, name in ((cx._kept, "_facet_sides"), (cx.polytopes._kept, "facets"), (cx.polytopes._kept, "vertices")):
        ptr, idx = kept[name]
        damages.append((kept, name, (ptr, changed(idx, 0, idx[0] + 1))))
    graph = cx._kept["dual_graph"]
    damages.append(
        (
            cx._kept,
            "dual_graph",
            pf.complexes.answers.DualGraph(graph.indptr, graph.indices, changed(graph.facet, 0, graph.facet[0] + 1)),
        )
    )
    for place, name, value in damages:
        true, place[name] = place[name], value
        assert cx.certificate.verify().verdict is pf.Verdict.NO, name
        place[name] = true
    assert cx.certificate.verify().verdict is pf.Verdict.YES


@pytest.mark.parametrize(
    "domain", [None, pf.Box([-1, -1], [1, 1]), pf.Box([0.5, -1], [0.5, 1]), pf.Box([0.5, 0.25], [0.5, 0.25])]
)
@pytest.mark.parametrize(
    "weights", [[[1, 0], [0, 1], [1, 1]], [[0.3, -0.7], [1.1, 0.4], [-0.2, 0.9]], [[1, 0], [2, 0], [3, 0]]]
)
@pytest.mark.parametrize("bound", [np.inf, 1e-3])
def test_bounds_much_wider_than_needed_are_noticed(weights: Any, domain: Any, bound: float) -> None:
    """They hold, but they are not those of these vertices."""
    cx = pf.canonical_complex(pf.ReLUNetwork([weights, [[1, -1, 1]]], [[0.1, -0.2, 0.4], [0]]), domain)
    points, errors = cx.vertices, cx.vertex_errors.copy()
    assert cx.certificate.verify().ok
    errors[-1] = bound
    cx._kept["_points"] = points, errors
    found = cx.certificate.verify()
    assert any("wider than needed" in problem for problem in found.problems), found
