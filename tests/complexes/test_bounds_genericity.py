"""Activation bounds hold and are tight where they say so; genericity finds what was planted; feasibility is pure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import polyfiber as pf
from polyfiber.bounds.relaxation import bounding_box
from polyfiber.cli.app import app
from polyfiber.errors import InputError, ShapeError

TRIANGLE = pf.Polyhedron(np.r_[-np.eye(3), np.ones((1, 3))], [0.3, 0.3, 0.3, 0.4])


@pytest.mark.parametrize("domain", [pf.Box(-0.6, 0.8, dimension=3), TRIANGLE], ids=["box", "polyhedron"])
@pytest.mark.parametrize("seed", range(4))
def test_bounds_hold_at_every_vertex(domain: pf.Polyhedron, seed: int) -> None:
    """The extremes of a piecewise affine function lie at vertices of its complex."""
    net = pf.ReLUNetwork.random((3, 7, 6, 5, 2), rng=seed)
    cx = pf.canonical_complex(net, domain)
    values = net.preactivations(cx.vertices)
    z = np.concatenate(values[:-1], axis=1)
    widths = []
    for method in ("interval", "relaxation", "lp"):
        b = pf.activation_bounds(net, domain, method=method)
        slack = 1e-12 * np.abs(z).max()
        assert (b.lower <= z.min(axis=0) + slack).all()
        assert (b.upper >= z.max(axis=0) - slack).all()
        assert (b.output_lower <= values[-1].min(axis=0) + slack).all()
        assert (b.output_upper >= values[-1].max(axis=0) - slack).all()
        if b.exact.any():
            assert np.allclose(b.lower[b.exact], z.min(axis=0)[b.exact], atol=1e-12)
            assert np.allclose(b.upper[b.exact], z.max(axis=0)[b.exact], atol=1e-12)
        constant = b.signs != 0
        assert (np.where(b.signs > 0, z >= -slack, z <= slack)[:, constant]).all()
        widths.append(b.upper - b.lower)
    assert (widths[1] <= widths[0] * (1 + 1e-12)).all()
    assert (widths[2] <= widths[1] * (1 + 1e-12)).all()
    assert widths[2].sum() < widths[0].sum()


@pytest.mark.parametrize("domain", [pf.Box(-0.2, 0.3, dimension=3), TRIANGLE], ids=["box", "polyhedron"])
@pytest.mark.parametrize("seed", range(4))
def test_simplified_network_has_the_same_complex_there(domain: pf.Polyhedron, seed: int) -> None:
    net = pf.ReLUNetwork.random((3, 8, 8, 8, 2), rng=seed)
    small = pf.simplify_on(net, domain)
    if isinstance(domain, pf.Box):
        assert small.network.n_hidden < net.n_hidden
    assert small.network.n_hidden + len(small.inactive) == net.n_hidden
    big, less = pf.canonical_complex(net, domain), pf.canonical_complex(small.network, domain)
    assert big.f_vector == less.f_vector
    for k in range(4):
        assert {r.tobytes() for r in small.expand(less.signs(k))} == {r.tobytes() for r in big.signs(k)}
    points = big.vertices
    assert np.allclose(net(points), small.network(points), atol=1e-12)


def test_a_layer_that_dies_keeps_one_neuron() -> None:
    net = pf.ReLUNetwork([[[1.0], [-1.0]], [[-1.0, -1.0], [-1.0, -2.0]], [[1.0, 1.0]]], [[0, 0], [-1, -2], [3.0]])
    box = pf.Box(-1, 1, dimension=1)
    small = pf.simplify_on(net, box)
    assert small.network.architecture == (1, 2, 1, 1)
    assert small.network([[0.3]]).tolist() == [[3.0]]


def test_bounding_boxes() -> None:
    low, high = bounding_box(TRIANGLE)
    assert np.allclose(low, -0.3)
    assert np.allclose(high, 1.0)
    assert (low <= -0.3).all()
    assert (high >= 1.0 - 1e-15).all()
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    with pytest.raises(InputError, match="unbounded"):
        pf.activation_bounds(net, pf.Polyhedron([[1, 0], [-1, 0], [0, 1]], [1, 1, 1]))
    with pytest.raises(InputError, match="empty or flat"):
        pf.activation_bounds(net, pf.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [1, -2, 1, 1]))
    with pytest.raises(ShapeError):
        pf.activation_bounds(net, pf.Box(0, 1, dimension=3))
    with pytest.raises(InputError, match="method"):
        pf.activation_bounds(net, pf.Box(0, 1, dimension=2), method="guess")


@pytest.mark.parametrize("shape", [(2, 6, 6, 1), (3, 5, 4, 2), (4, 3, 3, 2)], ids=str)
def test_random_networks_are_generic(shape: tuple[int, ...]) -> None:
    g = pf.genericity(pf.ReLUNetwork.random(shape, rng=0))
    assert g.supertransversal is pf.Verdict.YES
    assert g.honest is pf.Verdict.YES
    assert g.cancellation_free is pf.Verdict.YES
    assert g.full_rank_products is pf.Verdict.YES
    assert g.vertex_margin is not None
    assert g.vertex_margin > 0
    assert "supertransversal: yes" in str(g)


def test_planted_failures_are_found() -> None:
    # W2 of rank one: a masked product of too small a rank, exactly
    net = pf.ReLUNetwork([np.eye(2), [[1.0, 2.0], [2.0, 4.0]], [[1.0, 1.0]]], [[0, 0], [-1, -1], [0.0]])
    g = pf.genericity(net)
    assert g.full_rank_products is pf.Verdict.NO
    assert g.worst_product is not None
    assert g.worst_product.rank == 1
    assert g.worst_product.expected == 2
    # three lines through one point
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1.0, 1.0, 1.0]]], [[0.0] * 3, [0.0]])
    g = pf.genericity(net)
    assert g.supertransversal is pf.Verdict.NO
    assert g.n_breaking >= 1
    # two active neurons whose contributions cancel on the outputs, through one neuron of layer 1
    net = pf.ReLUNetwork(
        [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.5], [1.0, -0.25]], [[1.0, -1.0]]], [[0.0, 0.0], [5.0, 7.0], [0.0]]
    )
    g = pf.genericity(net, pf.Box(-1, 1, dimension=2))
    assert g.supertransversal is pf.Verdict.YES
    assert g.cancellation_free is pf.Verdict.NO
    assert g.cancelling_facets == 2


def test_large_networks_get_margins_but_no_verdict() -> None:
    net = pf.ReLUNetwork.random((16, 40, 30, 10), rng=0)
    g = pf.genericity(net, max_regions=16)
    assert g.supertransversal is pf.Verdict.UNDECIDED
    assert g.full_rank_products is pf.Verdict.UNDECIDED
    assert not g.enumerated
    assert g.products > 0
    assert g.worst_product is not None
    assert 0 < g.worst_product.singular_value < 1


def test_feasibility_is_about_size() -> None:
    small = {f.name: f for f in pf.feasibility(pf.ReLUNetwork.random((2, 8, 8, 1), rng=0))}
    large = {f.name: f for f in pf.feasibility(pf.ReLUNetwork.random((784, 128, 64, 10), rng=0))}
    assert all(f.fits for f in small.values())
    assert not large["canonical_complex"].fits
    assert large["region"].fits
    assert large["slice_complex"].fits
    assert small.keys() == large.keys()


@pytest.fixture
def file(tmp_path):  # type: ignore[no-untyped-def]
    path = tmp_path / "net.npz"
    pf.ReLUNetwork.random((4, 8, 8, 2), rng=0).save(path)
    return str(path)


def run(*arguments: str) -> dict:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_commands(file: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    region = run("region", file, "--at", "0.1,0.2,0.3,0.4")
    assert region["facets"] == len(region["facet_columns"])
    s = run("slice", file, "--axes", "1,3", "--box", "-1,1")
    assert s["euler_characteristic"] == 1
    assert s["restriction_exact"]
    t = run("segment", file, "--from", "-1", "--to", "1")["t"]
    assert t == sorted(t)
    b = run("bounds", file, "--box", "-0.1,0.1")
    assert len(b["lower"]) == 16
    for arguments in (
        ["region", file, "--box", "-1,1"],
        ["slice", file],
        ["segment", file, "--from", "0", "--to", "1"],
        ["bounds", file, "--box", "-1,1", "--method", "interval"],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    for arguments in (["slice", file, "--axes", "0,9"], ["region", file, "--at", "x"], ["slice", file, "--axes", "a"]):
        assert isinstance(CliRunner().invoke(app, arguments).exception, InputError)


def test_slice_picture(file: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("matplotlib")
    out = tmp_path / "slice.png"
    result = CliRunner().invoke(app, ["slice", file, "--plot", str(out)])
    assert result.exit_code == 0, result.output
    assert out.stat().st_size > 1000
