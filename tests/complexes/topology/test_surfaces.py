"""Meshes: closed or with a named rim, oriented, enclosing the volume of their solid; files read by other programs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.topology.surfaces import Mesh
from polyfiber.testing.graphs import random_graph


def regular(shape: tuple[int, ...], seed: int, side: float = 2.0) -> tuple[Any, Any]:
    """A complex on a box, and its level set of a value that no vertex has."""
    net = pf.ReLUNetwork.random(shape, rng=seed)
    cx = pf.canonical_complex(net, pf.Box([-side] * shape[0], [side] * shape[0]))
    values = np.sort(net(cx.vertices)[:, 0])
    quarter = len(values) // 4
    gap = quarter + int(np.argmax(np.diff(values[quarter:-quarter])))
    assert values[gap + 1] - values[gap] > 1e-6
    return cx, cx.level_set(float(values[gap] + values[gap + 1]) / 2)


def directed(mesh: Mesh) -> list[tuple[int, int]]:
    following = np.arange(len(mesh.indices)) + 1
    following[mesh.ptr[1:] - 1] = mesh.ptr[:-1]
    return list(zip(mesh.indices.tolist(), mesh.indices[following].tolist()))


def enclosed(mesh: Mesh) -> float:
    if mesh.points.shape[1] == 2:
        ends = mesh.points[mesh.indices.reshape(-1, 2)]
        return float((ends[:, 0, 0] * ends[:, 1, 1] - ends[:, 0, 1] * ends[:, 1, 0]).sum() / 2)
    return float(np.linalg.det(mesh.points[mesh.triangles()[0]]).sum() / 6)


@pytest.mark.parametrize("seed", range(8))
def test_every_inner_edge_lies_in_two_polygons_and_the_rim_is_listed(seed: int) -> None:
    _, surface = regular((3, 6, 5, 1), seed)
    mesh = surface.mesh()
    edges, uses = mesh.edge_use()
    rim = {tuple(sorted(e)) for e in mesh.border_edges.tolist()}
    assert len(rim) == len(mesh.border_edges)
    assert all(n == (1 if tuple(e) in rim else 2) for e, n in zip(edges.tolist(), uses.tolist()))
    net = surface.complex.network
    slopes = net(mesh.points[mesh.triangles()[0]].mean(axis=1) + 1e-7 * mesh.normals[mesh.triangles()[1]])
    assert (slopes[:, 0] > float(-surface._cells.gates.exact_gate(0)[1])).all()  # normals point where f grows


@pytest.mark.parametrize("cap", ["below", "above"])
@pytest.mark.parametrize("seed", range(6))
def test_capped_surfaces_are_closed_and_enclose_their_side(seed: int, cap: Any) -> None:
    cx, surface = regular((3, 6, 5, 1), seed)
    mesh = surface.mesh(cap=cap)
    value = -surface._cells.gates.exact_gate(0)[1]
    solid = (cx.sublevel_set if cap == "below" else cx.superlevel_set)(value)
    edges, uses = mesh.edge_use()
    assert (uses == 2).all()
    around = directed(mesh)
    assert len(set(around)) == len(around)
    assert {(b, a) for a, b in around} == set(around)  # neighbours go round the same way
    assert enclosed(mesh) == pytest.approx(float(solid.sizes().sum()), rel=1e-9)
    assert len(mesh.points) - len(edges) + mesh.n_polygons == 2 * solid.euler_characteristic()
    assert 0 < len(mesh.border) < mesh.n_polygons
    assert np.abs(mesh.points[mesh.polygon(int(mesh.border[0]))]).max(axis=1) == pytest.approx(2.0)
    corners, owner = mesh.triangles()
    cross = np.cross(
        mesh.points[corners[:, 1]] - mesh.points[corners[:, 0]], mesh.points[corners[:, 2]] - mesh.points[corners[:, 0]]
    )
    assert (np.einsum("ij,ij->i", cross, mesh.normals[owner]) > -1e-12).all()


@pytest.mark.parametrize("seed", range(6))
def test_capped_curves_are_closed(seed: int) -> None:
    cx, curve = regular((2, 8, 5, 1), seed)
    mesh = curve.mesh(cap="below")
    solid = cx.sublevel_set(-curve._cells.gates.exact_gate(0)[1])
    ends = mesh.indices.reshape(-1, 2)
    assert sorted(ends[:, 0].tolist()) == sorted(ends[:, 1].tolist()) == list(range(len(mesh.points)))
    assert enclosed(mesh) == pytest.approx(float(solid.sizes().sum()))
    open_ = curve.mesh()
    free = np.flatnonzero(np.bincount(open_.indices.ravel(), minlength=len(open_.points)) == 1)
    assert sorted(open_.border_edges[:, 0].tolist()) == free.tolist()


def test_the_surface_of_a_class() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 6, 3), rng=1), pf.Box([-1.0] * 3, [1.0] * 3))
    total = 0.0
    for label in range(3):
        region = cx.class_region(label)
        if region.dimension == 3:
            mesh = region.mesh()
            assert (mesh.edge_use()[1] % 2 == 0).all()
            assert (mesh.cell_data[f"class_{label}"] == 1).all()
            total += enclosed(mesh)
    assert total == pytest.approx(8.0)


def test_the_torus_capped_at_half_of_it() -> None:
    net = pf.read_network(Path(__file__).parents[3] / "data" / "torus_distance.onnx")
    half = pf.canonical_complex(net, pf.Box([0, -1.6, -0.8], [1.6, 1.6, 0.8])).level_set()
    for cap, euler in (("below", 2), ("above", 0)):  # half a solid torus is a ball; a box without it has a handle
        mesh = half.mesh(cap=cap)  # type: ignore[arg-type]
        edges, uses = mesh.edge_use()
        assert (uses == 2).all()
        assert len(mesh.points) - len(edges) + mesh.n_polygons == euler


def exact_gradients(net: Any, points: Any, combination: Any) -> Any:
    """Unit gradients by exact differences around points inside of pieces, in rationals scaled before they are rounded."""
    step = Fraction(1, 2**60)
    rows = []
    for x in points:
        middle = np.array([Fraction(v) for v in x.tolist()], dtype=object)
        ends = net.exact()(np.stack([middle + side * step * e for e in np.eye(3, dtype=int) for side in (1, -1)]))
        slope = [sum(c * (a - b) for c, a, b in zip(combination, p, q)) for p, q in zip(ends[::2], ends[1::2])]
        rows.append([float(v / max(map(abs, slope))) for v in slope])
    return np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)


def follows(mesh: Mesh, net: Any, combination: Any) -> None:
    """Normals are the gradients, corners go round them, and neighbours go round the same way."""
    corners, owner = mesh.triangles()
    x = mesh.points[corners]
    cross = np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0])
    wide = np.unique(owner[np.linalg.norm(cross, axis=1) > 1e-3])
    assert len(wide)
    middles = np.array([mesh.points[mesh.polygon(int(p))].mean(axis=0) for p in wide])
    assert np.allclose(mesh.normals[wide], exact_gradients(net, middles, combination), atol=1e-6)  # type: ignore[index]
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1)  # type: ignore[arg-type]
    assert (np.einsum("ij,ij->i", cross, mesh.normals[owner]) > -1e-12).all()  # type: ignore[index]
    assert len(set(directed(mesh))) == len(mesh.indices)


def test_normals_of_decision_boundaries_are_gradients() -> None:
    box = pf.Box([-1.0] * 3, [1.0] * 3)
    net = pf.ReLUNetwork.random((3, 8, 6, 1), rng=2)
    net = pf.ReLUNetwork(net.weights, [*net.biases[:-1], net.biases[-1] - net(np.zeros((1, 3)))[0]])
    cx = pf.canonical_complex(net, box)
    follows(cx.decision_boundary().mesh(), net, [1])
    assert np.array_equal(cx.decision_boundary().mesh().indices, cx.level_set(0).mesh().indices)
    pair = pf.ReLUNetwork([*net.weights[:-1], np.vstack([0 * net.weights[-1], net.weights[-1]])], [
        *net.biases[:-1], np.concatenate([0 * net.biases[-1], net.biases[-1]])
    ])  # fmt: skip
    follows(pf.canonical_complex(pair, box).decision_boundary().mesh(), pair, [-1, 1])
    three = pf.ReLUNetwork.random((3, 10, 10, 3), rng=1)
    mesh = pf.canonical_complex(three, box).decision_boundary().mesh()
    tied = np.stack([mesh.cell_data[f"class_{c}"] for c in range(3)], axis=1)
    assert len(tied) > 5
    for p, row in enumerate(tied):
        i, j = np.flatnonzero(row)[[0, -1]]
        middle = mesh.points[mesh.polygon(p)].mean(axis=0)
        ahead, behind = three(np.stack([middle + s * 1e-7 * mesh.normals[p] for s in (1, -1)]))
        assert ahead[j] - ahead[i] > behind[j] - behind[i]


def test_normals_with_skips() -> None:
    net = random_graph(3, 3, (4, 4), kind="leaky", wiring="residual")
    cx = pf.canonical_complex(net, pf.Box([-1.0] * 3, [1.0] * 3))
    follows(cx.level_set(float(net(np.zeros((1, 3)))[0, 0])).mesh(), net, [1])


def test_normals_of_flat_solids_agree() -> None:
    net = pf.ReLUNetwork.random((3, 8, 8, 1), rng=0)
    mesh = pf.canonical_complex(net, pf.Box([-1, -1, 0], [1, 1, 0])).sublevel_set(0).mesh()
    assert mesh.n_polygons > 10
    assert np.array_equal(mesh.normals, np.tile([0, 0, 1], (mesh.n_polygons, 1)))
    assert len(set(directed(mesh))) == len(mesh.indices)


def test_normals_of_thin_polygons() -> None:
    """Levels through a vertex, rounded: some polygons are as thin as rounding; their pieces tell the normals."""
    net = pf.ReLUNetwork.random((3, 8, 8, 1), rng=0)
    cx = pf.canonical_complex(net, pf.Box([-3.0] * 3, [3.0] * 3))
    for v in range(1, 60, 5):
        surface = cx.level_set(float(net(cx.vertices)[v, 0]))
        mesh, faces = surface.mesh(), surface.faces(2)
        inside = np.flatnonzero(faces[:, 0] == 3)
        slopes = cx.affine_maps(faces[inside, 1])[0][:, 0]
        slopes /= np.linalg.norm(slopes, axis=1, keepdims=True)
        assert np.allclose(mesh.normals[inside], slopes, atol=1e-7)


@pytest.mark.parametrize("below", [1e-5, 1e-9, 1e-14, 0.0])
@pytest.mark.parametrize("n", [2, 3])
def test_solids_as_thin_as_rounding_face_outwards(n: int, below: float) -> None:
    """Convex tips of a function: every polygon has their middle, in rationals, behind it."""
    seen = 0
    for seed in range(8):
        net = pf.ReLUNetwork.random((n, 8, 8, 1), rng=seed)
        cx = pf.canonical_complex(net, pf.Box([-1.0] * n, [1.0] * n))
        level = float(net(cx.vertices)[:, 0].max()) - below
        tip = cx.superlevel_set(level if below else float(np.nextafter(level, -9)))
        if tip.dimension < n or tip.f_vector[n] > 1:
            continue
        seen += 1
        mesh, rows = tip.mesh(), [tip.exact_vertex(v) for v in range(tip.f_vector[0])]
        corners = np.array(rows, dtype=object)
        assert len(mesh.points) == len(corners)
        middle = corners.sum(axis=0) / len(corners)
        for p in range(mesh.n_polygons):
            around = corners[mesh.polygon(p)]
            if n == 2:
                (x, y), (u, v) = around - middle
                assert x * v - y * u > 0
            else:
                assert sum(Fraction(float(a)) * b for a, b in zip(mesh.normals[p], around[0] - middle)) > 0  # type: ignore[index]
    assert seen > 2


def test_normals_of_gradients_beyond_floats() -> None:
    W = [np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]), np.array([[1.0, 2, 3, -1]])]
    for size in (1.0, 2.0**600, 2.0**-500):
        net = pf.ReLUNetwork([size * W[0], size * W[1]], [np.zeros(4), np.zeros(1)])
        cx = pf.canonical_complex(net, pf.Box([-1.0] * 3, [1.0] * 3))
        mesh = cx.level_set(Fraction(size) ** 2).mesh()
        assert mesh.n_polygons == 12
        follows(mesh, net, [1])


def test_other_programs_read_the_files(tmp_path: Path) -> None:
    meshio = pytest.importorskip("meshio")
    _, surface = regular((3, 6, 5, 1), 0)
    mesh = surface.mesh(cap="above")
    for suffix in ("obj", "ply", "vtu"):
        surface.save(tmp_path / f"s.{suffix}", cap="above")
        found = meshio.read(tmp_path / f"s.{suffix}")
        assert np.array_equal(found.points, mesh.points)
        polygons = [tuple(row) for block in found.cells for row in block.data.tolist()]
        assert sorted(polygons) == sorted(tuple(mesh.polygon(i).tolist()) for i in range(mesh.n_polygons))
    shown = meshio.read(tmp_path / "s.vtu")
    order = {tuple(mesh.polygon(i).tolist()): i for i in range(mesh.n_polygons)}
    rows = [order[tuple(row)] for block in shown.cells for row in block.data.tolist()]
    for name, values in [*mesh.cell_data.items(), ("normal", mesh.normals)]:
        assert np.array_equal(np.concatenate(shown.cell_data[name]), np.asarray(values)[rows]), name


def test_curves_are_read_by_other_programs(tmp_path: Path) -> None:
    meshio = pytest.importorskip("meshio")
    _, curve = regular((2, 8, 5, 1), 0)
    mesh = curve.mesh()
    for suffix in ("obj", "vtu"):  # meshio reads no edges from PLY
        curve.save(tmp_path / f"s.{suffix}")
        found = meshio.read(tmp_path / f"s.{suffix}")
        assert np.array_equal(found.points[:, :2], mesh.points)
        assert suffix == "obj" or np.array_equal(found.cells[0].data, mesh.indices.reshape(-1, 2))
    text = (tmp_path / "s.obj").read_text()
    assert text.count("\nl ") == mesh.n_polygons


def test_what_cannot_be_capped() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 5, 2), rng=0), pf.Box([-1, -1], [1, 1]))
    curve = cx.level_set(float(np.median(cx.network(cx.vertices)[:, 0])))
    for call, match in (
        (lambda: curve.mesh(cap="inside"), "below"),
        (lambda: cx.decision_boundary().mesh(cap="below"), "number of a class"),
        (lambda: cx.level_set([0, 0], [0, 1]).mesh(cap="below"), "level set of one output"),
        (lambda: cx.sublevel_set(0).mesh(cap="below"), "its mesh is its surface"),
        (lambda: cx.level_set(1e6).mesh(), "empty"),
        (
            lambda: pf.canonical_complex(pf.ReLUNetwork.random((2, 5, 1), rng=0)).level_set().mesh(cap="below"),
            "unbounded",
        ),
    ):
        with pytest.raises(pf.errors.InputError, match=match):
            call()
