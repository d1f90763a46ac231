"""Level sets, decision boundaries and their topology against known shapes, a second derivation, and identities."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.topology.sets import PolyhedralSet
from scripts.attacks.complexes.topology import attack, in_boxes

GOLDEN = Path(__file__).parents[4] / "shared" / "golden"


def pyramid(n: int) -> pf.ReLUNetwork:
    """``|x_1| + … + |x_n|``."""
    W = np.vstack([np.eye(n), -np.eye(n)])
    return pf.ReLUNetwork([W, np.ones((1, 2 * n))], [np.zeros(2 * n), np.zeros(1)])


def two_tents(n: int) -> pf.ReLUNetwork:
    """The distance (sum of absolute values) to the nearer one of two points: min(|x - p|, |x + p|), p = (3, 0, …)."""
    W, b = [], []
    for p in (3.0, -3.0):
        for i in range(n):
            for s in (1.0, -1.0):
                row = np.zeros(n)
                row[i] = s
                W.append(row)
                b.append(-s * p if i == 0 else 0.0)
    first = np.r_[np.ones(2 * n), np.zeros(2 * n)]
    second = np.r_[np.zeros(2 * n), np.ones(2 * n)]
    # min(u, v) = u - relu(u - v), and u >= 0
    return pf.ReLUNetwork(
        [np.array(W), np.vstack([first, first - second]), np.array([[1.0, -1.0]])],
        [np.array(b), np.zeros(2), np.zeros(1)],
    )


@pytest.mark.parametrize(("n", "expected"), [(1, (2,)), (2, (1, 1)), (3, (1, 0, 1)), (4, (1, 0, 0, 1))])
def test_spheres(n: int, expected: tuple[int, ...]) -> None:
    sphere = pf.canonical_complex(pyramid(n)).level_set(1)
    for support in ("bounded", "compactified", "borel-moore"):
        for field in (2, 0):
            assert sphere.betti_numbers(support, field) == expected  # type: ignore[arg-type]
    assert sphere.is_compact
    assert sphere.f_vector[0] == 2 * n
    assert sphere.euler_characteristic() == 1 + (-1) ** (n - 1)
    ball = pf.canonical_complex(pyramid(n)).sublevel_set(1)
    assert ball.betti_numbers() == (1,) + (0,) * n
    assert ball.sizes().sum() == pytest.approx(2**n / np.prod(np.arange(1, n + 1)))


def test_two_components_and_an_annulus() -> None:
    cx = pf.canonical_complex(two_tents(2))
    circles = cx.level_set(1)
    assert circles.betti_numbers() == (2, 2)
    assert circles.connected_components()[0] == 2
    assert cx.sublevel_set(1).betti_numbers() == (2, 0, 0)
    assert cx.superlevel_set(1).betti_numbers("bounded")[1] >= 1
    ring = pf.canonical_complex(pyramid(2), pf.Box([-2, -2], [2, 2])).superlevel_set(1)
    assert ring.betti_numbers() == (1, 1, 0)  # the box without the open ball


def line_like() -> PolyhedralSet:
    """A line bent at two vertices."""
    return pf.canonical_complex(pf.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [1]])).level_set(2)


def test_a_line_in_all_supports() -> None:
    line = line_like()
    # relu(x) + relu(y) = 1: a ray, a segment, a ray
    assert line.f_vector == (2, 3)
    assert line.betti_numbers("bounded") == (1, 0)
    assert line.betti_numbers("compactified") == (1, 1)
    assert line.betti_numbers("borel-moore") == (0, 1)
    assert line.euler_characteristic("bounded") == 1
    assert line.euler_characteristic("borel-moore") == -1
    ids, directions = line.rays
    assert sorted(map(tuple, directions.tolist())) == [(-1.0, 0.0), (0.0, -1.0)]
    assert len(ids) == 2


def test_level_through_vertices_and_whole_cells() -> None:
    net = pf.ReLUNetwork([[[1], [1]], [[1, -1]]], [[0, -1], [0]])  # 0 for x <= 0, 1 for x >= 1
    cx = pf.canonical_complex(net)
    assert cx.level_set(0).f_vector == (1, 1)
    assert cx.level_set(1).f_vector == (1, 1)
    assert cx.level_set(Fraction(1, 3)).exact_vertex(0) == (Fraction(1, 3),)
    assert cx.level_set(2).f_vector == ()
    assert cx.level_set(2).betti_numbers() == (0,)
    assert cx.level_set(2).certificate.verify().ok


def test_lineality_moves_locally_finite_homology_up() -> None:
    flat = pf.canonical_complex(pf.ReLUNetwork([[[1, 0], [2, 0]], [[1, -1]]], [[0, -1], [0]])).level_set(0.25)
    assert flat.lineality_dimension == 1
    points = len(flat.vertices)
    assert (
        "of dimension up to 1; the table counts them across the direction along which nothing changes" in flat.sentence
    )
    zero = pf.canonical_complex(pf.ReLUNetwork([[[1, 0], [2, 0]], [[0, 0]]], [[0, -1], [0]])).level_set(0)
    assert (zero.dimension + zero.lineality_dimension, zero.lineality_dimension) == (2, 1)
    still = pf.canonical_complex(pf.ReLUNetwork([[[0, 0]], [[1]]], [[1], [-1]])).level_set(0)
    assert still.sentence.startswith("The set f_0 = 0 is all of R^2, proved; ")
    assert flat.betti_numbers("borel-moore") == (0, points)
    with pytest.raises(pf.errors.InputError, match="no cell is bounded"):
        flat.betti_numbers("bounded")


@pytest.mark.parametrize(("name", "expected"), [("2-8-6-1", (2, 1)), ("3-10-8-1", (1, 1, 0))])
def test_betti_numbers_that_two_programs_agree_on(name: str, expected: tuple[int, ...]) -> None:
    path = GOLDEN / f"betti_{name}.npz"
    if not path.exists():
        pytest.skip("golden values are not here")
    with np.load(path) as z:
        net = pf.ReLUNetwork([z[f"W{i}"] for i in range(3)], [z[f"B{i}"].ravel() for i in range(3)])
    surface = pf.canonical_complex(net).level_set()
    assert surface.betti_numbers() == expected
    assert surface.betti_numbers(field=0) == expected


def test_a_trained_torus() -> None:
    net = pf.read_network(Path(__file__).parents[3] / "data" / "torus_distance.onnx")
    cx = pf.canonical_complex(net, pf.Box([-1.6, -1.6, -0.8], [1.6, 1.6, 0.8]))
    surface = cx.level_set()
    assert surface.betti_numbers() == surface.betti_numbers(field=0) == (1, 2, 1)
    # Alexander duality: the inside is a solid torus; the outside of the box minus it has the complementary homology
    assert cx.sublevel_set().betti_numbers() == (1, 1, 0, 0)
    assert cx.superlevel_set().betti_numbers() == (1, 1, 1, 0)


@pytest.mark.parametrize("seed", range(6))
def test_complements_in_a_box_are_dual(seed: int) -> None:
    """For a level set that misses the border: b_k of one side and b_{n-1-k} of the other belong together."""
    rng = np.random.default_rng(seed)
    n = 2 + seed % 2
    base = two_tents(n) if seed % 3 else pyramid(n)
    W = [w.copy() for w in base.weights]
    W[0] = W[0] + 0.02 * rng.standard_normal(W[0].shape)
    cx = pf.canonical_complex(pf.ReLUNetwork(W, base.biases), pf.Box([-8.0] * n, [8.0] * n))
    inside, outside = cx.sublevel_set(1), cx.superlevel_set(1)
    a, b = inside.betti_numbers() + (0,) * n, outside.betti_numbers() + (0,) * n
    # in the sphere (box and its outside): reduced b_k(inside) = reduced b_{n-1-k}(outside), the border sphere taken off
    reduced = [b[k] - (k == 0) - (k == n - 1) for k in range(n)]
    assert [a[k] for k in range(n)] == [reduced[n - 1 - k] + 1 if k == 0 else reduced[n - 1 - k] for k in range(n)]


def test_decision_boundary_of_three_classes_meets_in_a_point() -> None:
    # outputs relu(x), relu(y), relu(-x - y): near the origin three classes meet
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [-1, -1]], np.eye(3)], [[0, 0, 0], [0, 0, 0]])
    cx = pf.canonical_complex(net)
    boundary = cx.decision_boundary()
    assert boundary.classes(0).all(axis=1).any()
    assert (boundary.classes(1).sum(axis=1) >= 2).all()
    values = net(boundary.vertices)
    for row, tie in zip(values, boundary.classes(0)):
        assert np.ptp(row[tie]) < 1e-12
        assert row.max() == pytest.approx(row[tie][0])
    assert boundary.certificate.verify().ok
    for label in range(3):
        assert cx.class_region(label).certificate.verify().ok


def test_classes_fill_the_box() -> None:
    net = pf.ReLUNetwork.random((2, 8, 5, 4), rng=3)
    cx = pf.canonical_complex(net, pf.Box([-2, -2], [2, 2]))
    assert sum(cx.class_region(c).sizes().sum() for c in range(4)) == pytest.approx(16.0)
    points = np.random.default_rng(0).uniform(-2, 2, (4000, 2))
    shares = np.bincount(net(points).argmax(axis=1), minlength=4) / 4000
    assert np.allclose(shares, [cx.class_region(c).sizes().sum() / 16 for c in range(4)], atol=0.03)


def test_mesh_of_a_regular_surface(tmp_path: Path) -> None:
    cx = pf.canonical_complex(two_tents(3), pf.Box([-6, -3, -3], [6, 3, 3]))
    mesh = cx.level_set(1).mesh()
    _, uses = mesh.edge_use()
    assert (uses == 2).all()
    assert not len(mesh.border)
    # normals point out of the two balls
    corners, owner = mesh.triangles()
    centre = mesh.points[corners].mean(axis=1)
    middle = np.where(centre[:, :1] > 0, 3.0, -3.0) * np.array([[1.0, 0, 0]])
    assert (np.einsum("ij,ij->i", mesh.normals[owner], centre - middle) > 0).all()
    cross = np.cross(
        mesh.points[corners[:, 1]] - mesh.points[corners[:, 0]], mesh.points[corners[:, 2]] - mesh.points[corners[:, 0]]
    )
    assert (np.einsum("ij,ij->i", cross, mesh.normals[owner]) > 0).all()
    # divergence theorem: the volume of two octahedra
    volume = np.einsum("ij,ij->i", mesh.points[corners[:, 0]], cross).sum() / 6
    assert volume == pytest.approx(2 * 8 / 6)
    for suffix in ("obj", "ply", "vtu"):
        cx.level_set(1).save(tmp_path / f"s.{suffix}")
        assert (tmp_path / f"s.{suffix}").stat().st_size > 200
    with pytest.raises(pf.errors.InputError, match="obj"):
        cx.level_set(1).save(tmp_path / "s.stl")


def test_intersection_of_two_outputs() -> None:
    net = pf.ReLUNetwork.random((3, 6, 5, 2), rng=1)
    cx = pf.canonical_complex(net)
    curve = cx.level_set([0.0, 0.1], [0, 1])
    assert curve.dimension <= 1
    assert np.allclose(net(curve.vertices), [0.0, 0.1])
    assert curve.certificate.verify().ok


def test_numbers_of_numpy_are_numbers() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0))
    expected = cx.level_set(0.5).f_vector
    for value in (np.float32(0.5), np.float64(0.5), np.array(0.5), np.array([0.5]), Fraction(1, 2)):
        assert cx.level_set(value, [0] if np.ndim(value) else 0).f_vector == expected
    assert cx.level_set(np.int64(0)).f_vector == cx.level_set(0).f_vector


def test_the_attack_finds_nothing() -> None:
    networks, sets, problems = attack(60.0, 2026, most=3)
    assert networks >= 2
    assert sets >= 10
    assert not problems


def test_what_holds_of_every_level_set_in_a_box() -> None:
    networks, problems = in_boxes(60.0, 2026, most=3)
    assert networks >= 2
    assert not problems


def test_breakpoints_of_networks_on_all_scales_are_checked() -> None:
    """Regions that no float lies in: the check takes rational points inside of them."""
    for seed in (7, 15):
        rng = np.random.default_rng([11, seed])
        net = pf.ReLUNetwork.random((int(rng.integers(2, 4)), 5, 4, 2), rng=rng)
        W = [w * 10.0 ** rng.integers(-12, 13, (len(w), 1)) for w in net.weights]
        cx = pf.canonical_complex(pf.ReLUNetwork(W, net.biases))
        assert cx.breakpoint_complex().as_set().certificate.verify().ok
