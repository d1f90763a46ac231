"""One clear error for each function that takes a complex, a value, an output, a class, a support, a dimension or a file."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.blocks.block import Block
from polyfiber.complexes.topology import exchange
from polyfiber.errors import InputError
from polyfiber.testing.graphs import maximum

NET = pf.ReLUNetwork.random((2, 4, 2), rng=1)
BOX = pf.Box([-2, -2], [2, 2])
CX, ON_BOX = pf.canonical_complex(NET), pf.canonical_complex(NET, BOX)
MIDDLE = float(np.median(NET(ON_BOX.vertices)[:, 0]))
LINE, CURVE, NOTHING = CX.superlevel_set(MIDDLE), ON_BOX.level_set(MIDDLE), ON_BOX.level_set(1e6)
STRIP = pf.canonical_complex(pf.ReLUNetwork([[[1, 0], [2, 0]], [[1, -1]]], [[0, -1], [0]])).level_set(0.25)
AFFINE = pf.canonical_complex(pf.ReLUNetwork([[[1.0, 2.0]]], [[0.0]]))
COUNTS: Any = pf.face_counts(NET)
BLOCK = next(iter(pf.iter_blocks(NET, blocks=Block().split(0))))
ANY: Any = None
SLICE: Any = pf.slice_through(NET, [0, 0], [1, 0], [0, 1])


def asked(level: Callable[..., Any]) -> list[tuple[Callable[[], Any], str]]:
    """What level, sublevel and superlevel sets refuse."""
    return [
        (lambda: level(np.nan), "finite number"),
        (lambda: level(float("inf")), "finite number"),
        (lambda: level(np.float32("nan")), "finite number"),
        (lambda: level("a lot"), "finite number"),
        (lambda: level("1/0"), "finite number"),
        (lambda: level(np.ma.masked), "finite number"),
        (lambda: level([[0.0]]), "finite number"),
        (lambda: level(None), "finite number"),
        (lambda: level(1j), "finite number"),
        (lambda: level(0, 2), "output 2 does not exist; the network has outputs 0 to 1"),
        (lambda: level(0, -1), "output -1 does not exist"),
        (lambda: level(0, 0.5), "named by its number"),
        (lambda: level(0, True), "named by its number"),
        (lambda: level(0, None), "named by its number"),
        (lambda: level([0, 1], [0]), "2 values and 1 output"),
        (lambda: level([], []), "one value for each output"),
    ]


REFUSED: dict[str, list[tuple[Callable[[], Any], str]]] = {
    "level_set": asked(CX.level_set),
    "sublevel_set": asked(CX.sublevel_set),
    "superlevel_set": asked(CX.superlevel_set),
    "class_region": [
        (lambda: CX.class_region(2), "class 2 does not exist; the classes are 0 to 1"),
        (lambda: CX.class_region(-1), "class -1 does not exist"),
        (lambda: CX.class_region(True), "class True does not exist"),
        (lambda: CX.class_region(ANY), "class None does not exist"),
    ],
    "critical_points": [
        (lambda: CX.critical_points(2), "output 2 does not exist"),
        (lambda: CX.critical_points(np.nan), "named by its number"),  # type: ignore[arg-type]
    ],
    "persistence": [
        (lambda: ON_BOX.persistence(2), "output 2 does not exist"),
        (lambda: CX.persistence(), "bounded domain"),
        (lambda: ON_BOX.persistence().betti(np.nan), "finite number"),
        (lambda: ON_BOX.persistence().betti("a"), "finite number"),  # type: ignore[arg-type]
        (lambda: ON_BOX.persistence().betti("1/0"), "finite number"),  # type: ignore[arg-type]
    ],
    "slices": [
        (lambda: SLICE.level_set("a"), "finite number"),
        (lambda: SLICE.level_set(None), "finite number"),
        (lambda: SLICE.level_set(np.nan), "finite number"),
        (lambda: SLICE.level_set(10**400), "finite number"),
        (lambda: SLICE.level_set(0, output="a"), "named by its number"),
        (lambda: SLICE.level_set(0, output=None), "named by its number"),
        (lambda: SLICE.level_set(0, output=2), "output 2 does not exist"),
    ],
    "points and files": [
        (lambda: CURVE.nearest_point([10**400, 0]), "points must be numbers"),
        (lambda: CURVE.save(None), "named by its path"),
        (lambda: CURVE.save(5), "named by its path"),
        (lambda: CURVE.save("a\0.obj"), "holds no NUL"),
        (lambda: exchange.write_text("x", None), "named by its path"),
        (lambda: exchange.region_text(CX, ANY, "lp"), "of their ids"),
        (lambda: exchange.region_text(CX, 1.0, "lp"), "of their ids"),  # type: ignore[arg-type]
        (lambda: exchange.region_text(CX, "1", "lp"), "of their ids"),  # type: ignore[arg-type]
        (lambda: exchange.region_text(CX, True, "lp"), "of their ids"),
    ],
    "preimage": [
        (lambda: CX.preimage([0, 1]), "a Box or a Polyhedron of outputs, found list"),  # type: ignore[arg-type]
        (lambda: CX.preimage(pf.Box([0], [1])), "1 coordinate but the network has 2 outputs"),
    ],
    "image": [
        (lambda: CX.image().exact(10**6), "have ids 0.."),
        (lambda: CX.image().exact("a"), "of their ids"),  # type: ignore[arg-type]
        (lambda: CX.image().exact("1"), "of their ids"),  # type: ignore[arg-type]
        (lambda: CX.image().exact([0, 1]), "named by its id"),
        (lambda: CX.image().points["1"], "named by their ids"),
        (lambda: CX.image().points[None], "their ids"),
        (lambda: CX.image().points[0.5], "their ids"),
    ],
    "is_injective": [
        (lambda: pf.is_injective(COUNTS), "expected a polyfiber.ReLUNetwork"),
        (lambda: pf.is_injective(NET, pf.Box([0, 0], [0, 1])), "flat"),
    ],
    "betti_numbers": [
        (lambda: CURVE.betti_numbers("open"), "support must be one of 'bounded', 'compactified', 'borel-moore'"),  # type: ignore[arg-type]
        (lambda: CURVE.betti_numbers(ANY), "support must be one of"),
        (lambda: STRIP.betti_numbers(), "no cell is bounded; use support='borel-moore'"),
        (lambda: CURVE.betti_numbers(field=3), "field must be 2"),
        (lambda: CURVE.betti_numbers(budget=3), "budget must be"),  # type: ignore[arg-type]
        (lambda: ON_BOX.breakpoint_complex().betti_numbers("open"), "support must be one of"),  # type: ignore[arg-type]
    ],
    "euler_characteristic": [
        (lambda: CURVE.euler_characteristic("open"), "support must be one of"),  # type: ignore[arg-type]
        (lambda: STRIP.euler_characteristic(), "no cell is bounded"),
    ],
    "dimensions": [
        (lambda: CURVE.signs(2), "dimension 2 does not exist; the set has dimensions 0 to 1"),
        (lambda: CURVE.signs("a"), "dimension 'a' does not exist"),  # type: ignore[arg-type]
        (lambda: NOTHING.signs(0), "the set has no cells"),
        (lambda: CURVE.faces(-1), "dimension -1"),
        (lambda: CURVE.facets_of(2), "dimension 2"),
        (lambda: CURVE.is_unbounded(0.5), "dimension 0.5"),  # type: ignore[arg-type]
        (lambda: CURVE.sizes(2), "dimension 2"),
        (lambda: CURVE.boundary_matrix(0), "vertices have no boundary"),
        (lambda: CURVE.boundary_matrix(2), "dimension 2"),
        (lambda: CURVE.classes(0), "not about classes"),
        (lambda: CURVE.exact_vertex(10**6), "vertex ids lie in"),
        (lambda: CURVE.exact_vertex("a"), "vertex ids lie in"),  # type: ignore[arg-type]
        (lambda: NOTHING.strata, "the set is empty"),
    ],
    "nearest_point": [
        (lambda: CURVE.nearest_point([np.nan, 0]), "finite"),
        (lambda: CURVE.nearest_point([0, 0, 0]), "do not fit 2 inputs"),
        (lambda: CURVE.nearest_point("abc"), "must be numbers"),
    ],
    "mesh": [
        (lambda: LINE.mesh(), "unbounded; take the complex on a box"),
        (lambda: NOTHING.mesh(), "the set is empty"),
        (lambda: STRIP.mesh(), "depend on all inputs"),
        (lambda: CURVE.mesh(cap="inside"), "cap must be 'below'"),  # type: ignore[arg-type]
        (lambda: CURVE.mesh(cap=3), "cap must be 'below'"),
        (lambda: ON_BOX.decision_boundary().mesh(cap=9), "class 9 does not exist"),
        (lambda: CURVE.save("s.stl"), "written as .obj, .ply or .vtu, found '.stl'"),
        (lambda: CURVE.save("/nowhere/at/all/s.obj"), "cannot write"),
    ],
    "exchange": [
        (lambda: exchange.to_gudhi(LINE), "unbounded"),
        (lambda: exchange.to_toponetx(LINE), "unbounded"),
        (lambda: exchange.to_gudhi(COUNTS), "expected a set such as"),
        (lambda: exchange.to_networkx(COUNTS), "expected a set such as"),
        (lambda: exchange.region_text(COUNTS, 0, "lp"), "counts alone hold no regions"),
        (lambda: exchange.region_text(ON_BOX, 10**6, "lp"), "have ids 0.."),
        (lambda: exchange.region_text(ON_BOX, 0, "cdd"), "form must be"),
        (lambda: exchange.network_text(NET, BOX, "cdd"), "form must be"),  # type: ignore[arg-type]
        (lambda: exchange.network_text(NET, pf.Box([0], [1]), "lp"), "a domain of 2 coordinates"),
        (lambda: exchange.network_text(NET, ANY, "lp"), "a domain of 2 coordinates"),
        (lambda: exchange.network_text(NET, pf.Polyhedron([[1, 1]], [0]), "lp"), "needs a Box"),
        (lambda: exchange.network_text(COUNTS, BOX, "lp"), "expected a polyfiber.ReLUNetwork"),
    ],
    "networks without walls": [
        (call, "the network is affine")
        for call in (
            AFFINE.level_set,
            AFFINE.sublevel_set,
            AFFINE.superlevel_set,
            AFFINE.decision_boundary,
            lambda: AFFINE.class_region(0),
            AFFINE.critical_points,
            AFFINE.image,
            lambda: AFFINE.preimage(pf.Box([0], [1])),
        )
    ],
    "blocks that were counted": [
        (call, "enumerate the whole complex")
        for call in (
            BLOCK.complex.level_set,
            BLOCK.complex.decision_boundary,
            lambda: BLOCK.complex.class_region(0),
            BLOCK.complex.critical_points,
            BLOCK.complex.image,
            lambda: BLOCK.complex.preimage(pf.Box([0, 0], [1, 1])),
        )
    ],
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_clear_error(name: str) -> None:
    for i, (call, text) in enumerate(REFUSED[name]):
        with pytest.raises((pf.errors.InputError, pf.errors.MissingDependencyError)) as error:
            call()
        message = str(error.value)
        assert text in message or isinstance(error.value, pf.errors.MissingDependencyError), (i, message)
        assert "\n" not in message


def test_levels_beyond_floats_are_levels() -> None:
    large, small = Fraction(10) ** 400, Fraction(1, 10**400)
    far = CX.level_set(large)
    assert all(
        NET.exact()(np.array([far.exact_vertex(i)], dtype=object))[0, 0] == large for i in range(far.f_vector[0])
    )
    assert far.nearest_point([0, 0]).distance == np.inf  # beyond floats; the exact one is there
    assert far.nearest_point([0, 0]).squared > large
    assert ON_BOX.sublevel_set(large).f_vector == ON_BOX.f_vector
    assert ON_BOX.sublevel_set(large).description == "f_0 <= 1e400"
    tent = pf.canonical_complex(pf.ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]]))  # |x|
    assert sorted(tent.level_set(small).exact_vertex(i) for i in range(2)) == [(-small,), (small,)]
    assert tent.level_set(small).certificate.verify().ok


def test_outputs_that_change_where_no_wall_cuts() -> None:
    net = maximum(2, 2, rng=7)[0]  # the larger of two affine functions: one wall in the plane
    cx = pf.canonical_complex(net)
    for ask in (cx.critical_points, cx.image, lambda: cx.preimage(pf.Box([0], [1]))):
        with pytest.raises(InputError, match="give a bounded domain"):
            ask()
    assert cx.breakpoint_complex().as_set().dimension == 0
    inside = pf.canonical_complex(net, pf.Box([-9, -9], [9, 9]))
    assert inside.level_set(0.0).dimension == 1
