"""Complexes of networks of gates with slopes and skips, against exact brute force that shares nothing with the engine."""

from __future__ import annotations

import contextlib
import copy
import inspect
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.complexes.archive import verify_archive
from polyfiber.complexes.blocks.verify import verify_cells
from polyfiber.complexes.complex import PolyhedralComplex
from polyfiber.complexes.skeleton.arrays import make_frame
from polyfiber.complexes.skeleton.build import build_skeleton
from polyfiber.errors import GenericityError, InputError, PolyfiberError
from polyfiber.testing.graphs import KINDS, WEIGHTS, WIRINGS, maximum, random_graph
from scripts.attacks.complexes.piecewise import attack, draw
from tests.oracles.graph_faces import Graph, graph_complex


def agree(net: pf.PiecewiseLinearNetwork, box: pf.Box | None = None) -> PolyhedralComplex:
    """Faces, affine maps, weights and balancing as the oracle says, and a certificate that holds."""
    truth = graph_complex(net, domain=None if box is None else (box.A, box.b))
    cx = pf.canonical_complex(net, box)
    assert cx.f_vector == truth.f_vector
    assert pf.face_counts(net, box) == truth.f_vector
    for k in range(cx.dimension + 1):
        assert {tuple(row) for row in cx.signs(k).tolist()} == {f.signs for f in truth.of_dim(k)}
    for row, A, a in zip(cx.signs(cx.dimension).tolist(), *cx.affine_maps()):
        forms = truth.faces[tuple(row)].outputs
        assert np.allclose(np.c_[A, a], np.array(forms, dtype=float), rtol=1e-9, atol=1e-9)
    if not cx.lineality_dimension:
        for row, point in zip(cx.signs(0).tolist(), cx.vertices):
            (corner,) = truth.faces[tuple(row)].vertices
            assert np.allclose(point, np.array(corner, dtype=float), rtol=1e-7, atol=1e-9)
    check_weights(cx, truth)
    assert cx.certificate.verify(everything=True).ok
    return cx


def check_weights(cx: PolyhedralComplex, truth: Graph) -> None:
    if not cx.dimension:
        return
    bp = cx.breakpoint_complex()
    found = {tuple(row): w for row, w in zip(cx.signs(cx.dimension - 1)[bp.facets].tolist(), bp.weights)}
    expected = {signs: w for signs, w in truth.weights().items() if max(map(abs, w)) > 1e-12}
    assert found.keys() == expected.keys()
    assert all(np.allclose(found[s], expected[s], rtol=1e-8, atol=1e-9) for s in expected)
    assert bp.balancing_residual() < 1e-9
    A, a = bp.reconstruct()
    B, b = cx.affine_maps()
    assert np.allclose(A, B, atol=1e-8)
    assert np.allclose(a, b, atol=1e-8)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("wiring", WIRINGS)
def test_every_wiring(wiring: str, weights: str) -> None:
    seed = 10 * WIRINGS.index(wiring) + WEIGHTS.index(weights)
    net = random_graph(seed, 2, (3, 2, 1), kind="mixed", wiring=wiring, weights=weights, outputs=1 + seed % 2)
    flat = np.linalg.matrix_rank(net.blocks[0].affine.dense(0, 2)) == 2
    agree(net, None if flat and seed % 3 else pf.Box([-2, -1], [1, 2]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_gate(kind: str) -> None:
    seed = list(KINDS).index(kind)
    agree(random_graph(seed, 2, (3, 2), kind=kind, wiring="chain"))
    agree(random_graph(seed, 1, (2, 2, 2), kind=kind, wiring="residual", weights="integer"), pf.Box([-3], [2]))
    agree(random_graph(seed, 3, (3, 2), kind=kind, wiring="any"), pf.Box([-1, -1, 0], [1, 2, 1]))


def test_flat_boxes_and_free_directions() -> None:
    net = random_graph(3, 3, (4, 3), kind="mixed", wiring="dense")
    cx = pf.canonical_complex(net, pf.Box([-1, 0.5, 0], [1, 0.5, 2]))
    assert cx.dimension == 2
    assert cx.certificate.verify(everything=True).ok
    assert abs(cx.volumes().sum() - 4.0) < 1e-9
    narrow = random_graph(5, 3, (2, 3), kind="leaky", wiring="chain")
    cx = pf.canonical_complex(narrow)
    assert (cx.dimension, cx.lineality_dimension) == (2, 1)
    assert cx.f_vector == graph_complex(narrow).f_vector


def test_walls_that_bend_in_a_direction_no_flat_wall_cuts() -> None:
    block = pf.GateBlock({0: [[1.0, 0.0]]}, [0.0])
    behind = pf.GateBlock({0: [[0.0, 1.0]], 1: [[1.0]]}, [-1.0])
    net = pf.PiecewiseLinearNetwork(2, [block, behind], pf.AffineMap({2: [[1.0]]}, [0.0]))
    agree(net, None)
    agree(net, pf.Box([-2, -2], [2, 2]))


def test_slopes_zero_one_and_minus_one() -> None:
    chain = pf.ReLUNetwork.random((2, 5, 4, 1), rng=2)
    wired = pf.PiecewiseLinearNetwork.from_chain(chain)
    assert pf.canonical_complex(wired).network == chain  # a chain goes the chain's way
    frame = make_frame(wired, None)  # and is the same on the other one
    other, cx = PolyhedralComplex(frame, build_skeleton(frame, Monitor())), pf.canonical_complex(chain)
    assert [other.fingerprint(d) for d in range(3)] == [cx.fingerprint(d) for d in range(3)]
    with pytest.raises(InputError, match="not a gate"):
        pf.GateBlock({0: [[1.0]]}, [0.0], slopes=(1, 1))
    leaky = [pf.GateBlock(b.weights, b.bias, slopes=(-1, 1)) for b in wired.blocks]
    absolute = pf.PiecewiseLinearNetwork(2, leaky, wired.output)
    x = np.random.default_rng(0).standard_normal((50, 2))
    y = np.abs(np.abs(x @ chain.weights[0].T + chain.biases[0]) @ chain.weights[1].T + chain.biases[1])
    regions = pf.canonical_complex(absolute)
    A, a = regions.affine_maps(regions.locate(x))
    assert np.allclose(np.einsum("moi,mi->mo", A, x) + a, y @ chain.weights[2].T + chain.biases[2])


@pytest.mark.parametrize("operands", [3, 4, 5])
def test_maximum_of_several_against_argmax(operands: int) -> None:
    net, M, c = maximum(2, operands, rng=operands)
    cx = agree(net, pf.Box([-4, -4], [4, 4]))
    X = np.random.default_rng(1).uniform(-4, 4, (300, 2))
    A, a = cx.affine_maps(cx.locate(X))
    best = np.argmax(X @ M.T + c, axis=1)
    assert np.allclose(A[:, 0], M[best])
    assert np.allclose(a[:, 0], c[best])


def test_the_breakpoint_complex_of_a_maximum_does_not_depend_on_the_tree() -> None:
    net, M, c = maximum(2, 3, rng=7)
    turned = [pf.GateBlock({0: [M[1] - M[2]]}, [c[1] - c[2]])]  # max(max(b, c), a)
    turned.append(pf.GateBlock({0: [M[2] - M[0]], 1: [[1.0]]}, [c[2] - c[0]]))
    other = pf.PiecewiseLinearNetwork(2, turned, pf.AffineMap({0: [M[0]], 2: [[1.0]]}, [c[0]]))
    X = np.random.default_rng(0).standard_normal((100, 2))
    assert np.allclose(net(X), other(X))
    box = pf.Box([-40, -40], [40, 40])
    corners = []
    for one in (net, other):
        bp = pf.breakpoint_complex(one, box)
        visible = bp.complex.signs(1)[bp.facets]
        corners.append(sorted(np.abs(bp.weights).sum(axis=1).round(9).tolist()))
        assert len(visible) == 3
        assert bp.complex.n_regions == 4
    assert corners[0] == corners[1]


def test_the_chain_that_emulates_it_has_the_same_pieces() -> None:
    net = random_graph(11, 2, (4, 3), kind="leaky", wiring="residual")
    box = pf.Box([-2, -2], [2, 2])
    cx, chain = pf.canonical_complex(net, box), pf.canonical_complex(net.to_chain(), box)
    middle = chain.interior_points()
    for (A, a), region in zip(zip(*chain.affine_maps()), cx.locate(middle)):
        B, b = cx.affine_maps([region])
        assert np.allclose(A, B[0])
        assert np.allclose(a, b[0])
    assert len(np.unique(cx.locate(middle))) == cx.n_regions


def test_archives_and_copies(tmp_path: Path) -> None:
    for seed, weights in enumerate(("gaussian", "zero bias")):
        net = random_graph(seed, 2, (4, 3, 2), kind="mixed", wiring="dense", weights=weights)
        cx = pf.canonical_complex(net)
        for twin in (pickle.loads(pickle.dumps(cx)), copy.deepcopy(cx)):
            assert twin.network == net
            assert twin.f_vector == cx.f_vector
        cx.save(tmp_path / "c.npz")
        loaded = PolyhedralComplex.load(tmp_path / "c.npz")
        assert loaded.network == net
        assert loaded.f_vector == cx.f_vector
        assert loaded.fingerprint(1) == cx.fingerprint(1)
        assert verify_archive(tmp_path / "c.npz", network=net).ok
        assert not verify_archive(tmp_path / "c.npz", network=random_graph(9, 2, (4, 3, 2))).ok


def test_exact_networks_and_inflated_bounds() -> None:
    net = random_graph(4, 2, (3, 2, 2), kind="leaky", wiring="dense")
    cx, exact = pf.canonical_complex(net), pf.canonical_complex(net.exact())
    inflated = pf.canonical_complex(net, inflate=1e12)
    assert inflated.stats.exact > 0
    for other in (exact, inflated):
        assert [other.fingerprint(d) for d in range(3)] == [cx.fingerprint(d) for d in range(3)]


def test_a_degenerate_network_is_refused_by_name() -> None:
    lines: Any = [[1, 0], [0, 1], [1, 1]]
    net = pf.PiecewiseLinearNetwork(
        2, [pf.GateBlock({0: lines}, [0, 0, 0], slopes=(-1, 1))], pf.AffineMap({1: [[1, 1, 1]]}, [0])
    )
    with pytest.raises(GenericityError, match="gate block 1"):
        pf.canonical_complex(net, on_degenerate="refuse")
    assert pf.canonical_complex(net).f_vector == (1, 6, 6)
    assert pf.canonical_complex(net.exact()).exact_vertices().tolist() == [[Fraction(0), Fraction(0)]]


def test_the_attack_finds_nothing() -> None:
    tried, wrong = attack(seed=7, count=12, seconds=np.inf)
    assert wrong == []
    assert tried["graphs"] > 6


def test_single_regions_walks_and_segments() -> None:
    net = random_graph(21, 2, (4, 3, 2), kind="mixed", wiring="dense")
    box = pf.Box([-1, -1], [1.5, 1.5])
    cx = pf.canonical_complex(net, box)
    start, end = np.array([-0.9, 0.3]), np.array([1.4, -0.7])
    found = pf.region(net, start, domain=box)
    (own,) = cx.locate(start[None])
    assert (found.signs == cx.signs(2)[own]).all()
    assert found.n_facets == len(cx.facets_of(own))
    assert found.verify().ok
    assert np.allclose(found.affine_map[0], cx.affine_maps([own])[0][0])
    walk = pf.explore(net, start, domain=box)
    assert walk.complete
    assert walk.n_regions == cx.n_regions
    pieces = pf.segment_regions(net, start, end)
    middle = pieces.points((np.r_[0, pieces.t] + np.r_[pieces.t, 1]) / 2)
    assert (cx.signs(2)[cx.locate(middle)][:, : net.n_hidden] == pieces.signs).all()
    steps = np.diff(pieces.values, axis=0) / np.diff(np.r_[0, pieces.t, 1])[:, None]
    assert np.allclose(pieces.slopes, steps, atol=1e-7)


def test_slices() -> None:
    net = random_graph(3, 6, (5, 4), kind="leaky", wiring="residual")
    D = np.random.default_rng(0).standard_normal((2, 6))
    box = pf.Box([-1, -1], [1, 1])
    cut, exact = (pf.slice_complex(net, np.zeros(6), D, domain=box, arithmetic=a) for a in ("rounded", "exact"))
    assert cut.f_vector == exact.f_vector
    assert exact.is_exact
    t = np.random.default_rng(1).uniform(-1, 1, (20, 2))
    assert np.allclose(cut.network(t), net(cut.points(t)))


def test_level_sets() -> None:
    net = random_graph(5, 2, (4, 3), kind="mixed", wiring="dense", outputs=2)
    box = pf.Box([-2, -2], [2, 2])
    cx = pf.canonical_complex(net, box)
    curve = cx.level_set(0.1)
    other = pf.canonical_complex(net.to_chain(), box).level_set(0.1)
    assert np.allclose(net(curve.vertices)[:, 0], 0.1)
    assert curve.betti_numbers("bounded") == other.betti_numbers("bounded")
    assert cx.decision_boundary().betti_numbers("bounded") is not None


def test_questions_about_functions_go_through_the_chain() -> None:
    net = random_graph(2, 2, (3, 2), kind="quarter", wiring="residual", outputs=2)
    box = pf.Box([-1, -1], [1, 1])
    shifted = pf.PiecewiseLinearNetwork(
        2, net.blocks, pf.AffineMap(net.output.weights, net.output.bias + np.array([0.25, 0.0]))
    )
    assert pf.are_equivalent(net, net.to_chain(), box).verdict == pf.Verdict.YES
    assert pf.are_equivalent(net, shifted, box).verdict == pf.Verdict.NO
    assert abs(pf.difference(net, shifted, box).maximum - 0.25) < 1e-9


@pytest.mark.parametrize("ask", [pf.classify_fiber, pf.canonical_form], ids=lambda f: f.__name__)
def test_theorems_for_chains_say_so(ask: Any) -> None:
    with pytest.raises(InputError, match="ReLU chains"):
        ask(random_graph(0, 2, (3, 2), kind="leaky", wiring="dense"))


def test_every_public_function_answers_or_says_why_not() -> None:
    net, other = (random_graph(seed, 2, (3, 2), kind="leaky", wiring="residual", outputs=2) for seed in (0, 1))
    box, x = pf.Box(-1, 1, dimension=2), np.array([0.1, 0.2])
    given = {
        **dict.fromkeys(("network", "net", "a"), net), "b": other, "networks": [net, other], "x": x, "domain": box,
        "x0": x, "x1": -x, "points": np.array([x, -x]), "starts": np.array([x]), "origin": x, "directions": np.eye(2)[:1],
        "layer": 1, "block": pf.Block(),
    }  # fmt: skip
    answered = set()
    for name in pf.__all__:
        ask = getattr(pf, name, None)
        if isinstance(ask, type) or not callable(ask):
            continue
        parameters = inspect.signature(ask).parameters.values()
        wanted = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
        if not wanted or not set(wanted) <= given.keys():
            continue
        with contextlib.suppress(PolyfiberError):
            ask(**{w: given[w] for w in wanted})
            answered.add(name)
    assert answered >= {
        "activation_bounds", "are_equivalent", "breakpoint_complex", "canonical_complex", "difference", "estimate_size",
        "explore", "face_counts", "feasibility", "functional_dimension", "genericity", "is_injective", "local_fiber",
        "minimize", "pilot_estimate", "plan_blocks", "region", "segment_regions", "simplify_on", "top1_agreement",
    }  # fmt: skip


def test_on_one_input_critical_points_and_persistence_are_those_of_the_graph() -> None:
    bumps = pf.GateBlock({0: [[1.0], [1.0], [1.0]]}, [1.0, 0.0, -2.0], slopes=(-1, 1))
    net = pf.PiecewiseLinearNetwork(1, [bumps], pf.AffineMap({1: [[1.0, -2.0, 1.5]]}, [0.0]))
    cx = pf.canonical_complex(net, pf.Box([-3.0], [3.0]))  # 0 at -1, 6 - 2 at 0, 0.5 at 2, and larger at the ends
    found = cx.critical_points(0)
    assert found.counts == (2, 1)
    assert sorted(found.values.tolist()) == sorted(float(v) for v in net(np.array([[-1.0], [0.0], [2.0]])).ravel())
    bars = cx.persistence(0)
    assert (bars.dimension == 0).sum() == 2
    assert bars.betti(3.9)[0] == 2
    assert bars.betti(4.1)[0] == 1


def test_settled_signs_change_nothing() -> None:
    net = random_graph(3, 2, (48, 48), kind="leaky", wiring="residual")
    box = pf.Box(-0.1, 0.1, dimension=2)
    cx = pf.canonical_complex(net, box)
    assert len(cx.certificate.settled) > 40
    assert cx.certificate.verify(everything=True).ok
    small = pf.simplify_on(net, box)
    assert pf.face_counts(small.network, box) == cx.f_vector
    rows = small.expand(pf.canonical_complex(small.network, box).signs(2))
    assert {r.tobytes() for r in rows} == {r.tobytes() for r in cx.signs(2)}


def test_cells_on_disk(tmp_path: Path) -> None:
    net = random_graph(1, 2, (4, 3), kind="mixed", wiring="dense")
    total = pf.write_cells(net, tmp_path / "cells", file_format="npz")
    assert total.f_vector == pf.canonical_complex(net).f_vector
    assert verify_cells(tmp_path / "cells", network=net).verdict == pf.Verdict.YES


def test_a_slope_that_floats_hold_only_nearly_is_put_in_exactly() -> None:
    net, box, _ = draw(2125)  # walls that meet in a point, behind slopes of 0.1
    agree(net, box)
