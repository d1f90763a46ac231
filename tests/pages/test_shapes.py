"""Columns of a page against the complex and the network."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.bounds.difference_network import difference_network
from polyfiber.pages import shapes
from polyfiber.plots.windows import window_of

TYPES = {"u1": "<u1", "u4": "<u4", "f4": "<f4", "f8": "<f8"}


def read(columns: shapes.Columns) -> dict[str, np.ndarray]:
    raw = zlib.decompress(base64.b64decode(columns.text()))
    return {
        c["name"]: np.frombuffer(raw, TYPES[c["type"]], count=c["length"], offset=c["offset"]) for c in columns.layout
    }


def packed(net: pf.ReLUNetwork, box: pf.Box, **options):
    cx = pf.canonical_complex(net, box)
    columns = shapes.Columns()
    told = shapes.planar(window_of(cx), columns, **options)
    return cx, told, read(columns)


NETWORKS = {
    "generic": pf.ReLUNetwork.random((2, 6, 5, 3), rng=0),
    "one output": pf.ReLUNetwork.random((2, 6, 1), rng=1),
    "no biases": pf.ReLUNetwork(
        list(pf.ReLUNetwork.random((2, 5, 4, 2), rng=2).weights), [np.zeros(5), np.zeros(4), np.zeros(2)]
    ),
    "equal rows and a dead neuron": pf.ReLUNetwork(
        [[[1, 0], [1, 0], [0, 0]], [[1, -1, 1], [0, 1, 0]]], [[0, 0, -1], [0, 0]]
    ),
    "ties": pf.ReLUNetwork([[[1, 1]], [[1], [1]]], [[0], [0, 0]]),
}


@pytest.fixture(params=NETWORKS, scope="module")
def page(request):
    return packed(NETWORKS[request.param], pf.Box([-2, -1], [1, 2]))


def polygon(cols, i):
    start = int(cols["corners"][:i].sum())
    return cols["vertex"].reshape(-1, 2)[cols["corner"][start : start + cols["corners"][i]]].astype(float)


def area(shape) -> float:
    x, y = shape.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def test_regions_cover_the_window_and_have_their_area(page) -> None:
    cx, told, cols = page
    areas = np.array([area(polygon(cols, i)) for i in range(told["regions"])])
    assert areas.sum() == pytest.approx(1.0, abs=1e-5)
    assert areas * 9.0 == pytest.approx(cols["area"], abs=1e-4)
    assert told["regions"] == cx.n_regions


def test_patterns_are_those_of_the_network(page) -> None:
    cx, told, cols = page
    row = -(-told["hidden"] // 8)
    active = np.unpackbits(cols["active"].reshape(-1, row), axis=1, bitorder="little")[:, : told["hidden"]]
    for i in range(told["regions"]):
        x = np.array(told["low"]) + polygon(cols, i).mean(axis=0) * (np.array(told["high"]) - told["low"])
        z = np.concatenate(cx.network.preactivations(x)[:-1])
        assert (active[i] == (z > 1e-6)).all()


def test_classes_are_the_largest_outputs(page) -> None:
    cx, told, cols = page
    low, span = np.array(told["low"]), np.array(told["high"]) - told["low"]

    def largest(shape, label):
        y = cx.network(low + shape.mean(axis=0) * span)
        if len(y) == 1:
            y = np.array([0.0, y[0]])
        return y[label] >= y.max() - 1e-5 and len(shape) > 2

    for i, label in enumerate(cols["owner"]):
        assert label == shapes.UNDRAWN or largest(polygon(cols, i), label)
    parts = np.split(cols["part"].reshape(-1, 2).astype(float), np.cumsum(cols["partSize"])[:-1])
    for shape, label in zip(parts, cols["partClass"]):
        assert len(shape) == 0 or largest(shape, label)
    whole = sum(area(polygon(cols, i)) for i, label in enumerate(cols["owner"]) if label != shapes.UNDRAWN)
    ties = cols.get("tieSize", np.zeros(0, int))
    covered = whole + sum(area(s) for s in parts if len(s))
    shared = sum(
        area(s) for s in np.split(cols["tie"].reshape(-1, 2).astype(float), np.cumsum(ties)[:-1])
    ) if len(ties) else 0.0  # fmt: skip
    assert 1.0 - 1e-4 <= covered <= 1.0 + shared + 1e-4


def test_shades_run_over_the_gradients(page) -> None:
    cx, told, cols = page
    A, _ = cx.affine_maps()
    for c in told["colours"]:
        if c["text"].startswith("gradient"):
            norms = np.linalg.norm(A[:, int(c["column"].removeprefix("gradient"))], axis=1)
            back = c["low"] + cols[c["column"]] / 255 * (c["high"] - c["low"])
            assert back == pytest.approx(norms, abs=(c["high"] - c["low"]) / 200 + 1e-12)


def test_walls_belong_to_their_layers(page) -> None:
    cx, told, cols = page
    zero = cx.signs(1)[:, : told["hidden"]] == 0
    first = np.concatenate([[0], np.cumsum(cx.network.hidden_widths)])
    for k in range(len(told["groups"])):
        assert ((cols["edgeGroups"] >> k) & 1).sum() == zero[:, first[k] : first[k + 1]].any(axis=1).sum()


def test_walls_of_a_pair_are_told_apart() -> None:
    a, b = pf.ReLUNetwork.random((2, 3, 1), rng=0), pf.ReLUNetwork.random((2, 4, 2, 1), rng=1)
    both = difference_network(a, b)
    groups = shapes.pair_groups(a, b, both)
    assert [g.name for g in groups] == ["first, layer 1", "second, layer 1", "second, layer 2"]
    _, _, cols = packed(both, pf.Box([-2, -2], [2, 2]), groups=groups, classes=False)
    own = pf.canonical_complex(a, pf.Box([-2, -2], [2, 2]))
    mine = (cols["edgeGroups"] & 1).astype(bool)
    ends = cols["vertex"].reshape(-1, 2)[cols["edge"].reshape(-1, 2)[mine]].astype(float) * 4 - 2
    length = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).sum()
    walls = (own.signs(1)[:, :3] == 0).any(axis=1)
    e = own.vertices[own.edges[walls]]
    assert length == pytest.approx(np.linalg.norm(e[:, 0] - e[:, 1], axis=1).sum(), abs=1e-4)


def test_a_graph_passes_through_the_values() -> None:
    net = pf.ReLUNetwork.random((1, 5, 4, 2), rng=3)
    columns = shapes.Columns()
    told = shapes.line(window_of(pf.canonical_complex(net)), columns)
    cols = read(columns)
    assert len(cols["x"]) == told["regions"] + 1
    assert (np.diff(cols["x"]) > 0).all()
    middle = (cols["x"][1:] + cols["x"][:-1]) / 2
    y = cols["y"].reshape(-1, 2)
    assert net(middle[:, None]) == pytest.approx((y[1:] + y[:-1]) / 2)


def test_patterns_of_a_graph_whose_breaks_are_one_float() -> None:
    net = pf.ReLUNetwork([[[-1e99]], [[-1e99], [-3e99]], [[1, 1]]], [[-1], [1, 2], [0]])
    columns = shapes.Columns()
    told = shapes.line(window_of(pf.canonical_complex(net, pf.Box([-2], [3]))), columns)
    active = np.unpackbits(read(columns)["active"].reshape(-1, 1), axis=1, bitorder="little")[:, :3]
    assert told["regions"] == 4
    assert active.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 1, 1]]


def test_weights_beyond_the_limit_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    net = NETWORKS["generic"]
    monkeypatch.setattr(shapes, "MOST_WEIGHTS", net.n_parameters)
    assert packed(net, pf.Box([-1, -1], [1, 1]))[1]["maps"]
    monkeypatch.setattr(shapes, "MOST_WEIGHTS", net.n_parameters - 1)
    _, told, cols = packed(net, pf.Box([-1, -1], [1, 1]))
    assert not told["maps"]
    assert "weights" not in cols
