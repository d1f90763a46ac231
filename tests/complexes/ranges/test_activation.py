"""Activation bounds hold and are tight where they say so; what they settle can be left out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import polyfiber as pf
from polyfiber.bounds.relaxation import bounding_box
from polyfiber.cli.app import app
from polyfiber.errors import InputError, ShapeError
from polyfiber.testing.graphs import random_graph
from scripts.attacks.complexes.gates import attack as gates_attack

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
        if b.is_exact.any():
            assert np.allclose(b.lower[b.is_exact], z.min(axis=0)[b.is_exact], atol=1e-12)
            assert np.allclose(b.upper[b.is_exact], z.max(axis=0)[b.is_exact], atol=1e-12)
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
    with pytest.raises(InputError, match="empty"):
        pf.activation_bounds(net, pf.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [1, -2, 1, 1]))
    with pytest.raises(ShapeError):
        pf.activation_bounds(net, pf.Box(0, 1, dimension=3))
    with pytest.raises(InputError, match="method"):
        pf.activation_bounds(net, pf.Box(0, 1, dimension=2), method="guess")


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
    assert isinstance(CliRunner().invoke(app, ["slice", file, "--axes", "0,9"]).exception, InputError)
    for arguments in (["region", file, "--at", "x"], ["slice", file, "--axes", "a"]):
        assert CliRunner().invoke(app, arguments).exit_code in (2, 4)


def test_slice_picture(file: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("matplotlib")
    out = tmp_path / "slice.png"
    result = CliRunner().invoke(app, ["slice", file, "--plot", str(out)])
    assert result.exit_code == 0, result.output
    assert out.stat().st_size > 1000


def test_networks_of_gates_against_corners_of_all_regions() -> None:
    _, wrong = gates_attack(seed=100, count=20, seconds=60.0, parts=("ranges",))
    assert not wrong


def test_a_network_of_gates_on_a_slanted_flat_and_over_a_region() -> None:
    net = random_graph(4, 2, (4, 3), kind="mixed", wiring="dense", outputs=2)
    diagonal = pf.Polyhedron([[1, -1], [-1, 1], [1, 0], [-1, 0]], [0, 0, 1, 1])
    t = np.linspace(-1, 1, 201)
    z = np.concatenate(net.preactivations(np.stack([t, t], axis=1)), axis=1)
    b = pf.activation_bounds(net, diagonal, method="exact")
    low, high = np.r_[b.lower, b.output_lower], np.r_[b.upper, b.output_upper]
    assert (low <= z.min(axis=0) + 1e-12).all()
    assert (high >= z.max(axis=0) - 1e-12).all()
    assert (high - z.max(axis=0) < 0.1 * (1 + np.abs(high))).all()
    assert b.verify()
