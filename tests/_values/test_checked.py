"""Arguments that do not fit raise one of our errors, whatever they are."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber._values.checked import array_of, dimension_of, id_within, ids_within, path_of, points_of, unmasked, whole
from polyfiber.errors import InputError, PolyfiberError
from scripts.attacks.arguments import HOSTILE, attack

HUGE = Fraction(10) ** 400
NET = pf.ReLUNetwork.random((2, 5, 4, 1), rng=0)
CX = pf.canonical_complex(NET, pf.Box([-1, -1], [1, 1]))


@pytest.mark.parametrize("only", ["complex.", "box.", "Box", "Polyhedron", "ReLUNetwork", "region", "slice_complex"])
@pytest.mark.filterwarnings("ignore")
def test_every_argument_may_be_anything(only: str) -> None:
    tried, wrong = attack(only)
    assert wrong == []
    assert tried > len(HOSTILE) // 2


RAW: dict[str, Any] = {
    "generators": lambda: pf.Polyhedron.hull([[HUGE, Fraction(1)]]),
    "contains": lambda: pf.Box([0, 0], [1, 1]).contains([HUGE, Fraction(0)]),
    "contains three": lambda: pf.Box([0, 0], [1, 1]).contains([1, 2, 3]),
    "locate": lambda: CX.locate([HUGE, Fraction(0)]),
    "sharpened": lambda: CX.sharpened([99]),
    "exact vertices": lambda: CX.exact_vertices(10**6),
    "rows": lambda: list(CX.iter_signs(2, rows=0)),
    "maps": lambda: CX.affine_maps([[1]]),
    "volumes": lambda: CX.volumes(np.array([1, 2])),
    "lipschitz": lambda: CX.lipschitz(np.array([1, 2])),
    "widths": lambda: pf.ReLUNetwork.random((2, 10**30, 1)),
    "region": lambda: pf.region(NET, ["a", "b"]),
    "dimension -1": lambda: pf.Box(-1, 1, dimension=-1),
    "dimension 2.5": lambda: pf.Box(-1, 1, dimension=2.5),
    "dimension True": lambda: pf.Box(-1, 1, dimension=True),
    "path": lambda: CX.save(b"\0"),
}


@pytest.mark.parametrize("name", RAW)
def test_one_error_for_what_does_not_fit(name: str) -> None:
    with pytest.raises(PolyfiberError):
        RAW[name]()


def test_rationals_beyond_floats_are_points_where_nothing_is_rounded() -> None:
    distance, _ = CX.distance([Fraction(3), Fraction(0)], 0)
    assert 0 < distance < 4
    assert pf.Polyhedron([[HUGE, Fraction(1)]], [Fraction(0)]).generators()[1].shape[1] == 2
    assert CX.distance([HUGE, Fraction(0)], 0)[0] == np.inf


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: type(v).__name__)
def test_checkers_answer_or_refuse(value: Any) -> None:
    for check in (
        lambda v: whole(v, "n"), lambda v: dimension_of(v, 3), lambda v: ids_within(v, 5, "cells"), lambda v: id_within(v, 5, "cell"),
        lambda v: points_of(v, 2), lambda v: points_of(v, 2, exact=True), path_of, lambda v: array_of(v, "values"),
    ):  # fmt: skip
        try:
            check(value)
        except InputError as error:
            assert len(str(error)) < 300  # noqa: PT017


def test_numbers_that_fit() -> None:
    assert ids_within([3, 1], 4, "cells").tolist() == [3, 1]
    assert id_within(np.int32(2), 4, "cell") == 2
    assert points_of([[1, Fraction(1, 2)]], 2).tolist() == [[1.0, 0.5]]
    assert points_of([HUGE, 1], 2, exact=True)[0] == HUGE


MASKED = np.ma.masked_array([1.0, 2.0], mask=[False, True])
TAKING: dict[str, Any] = {
    "call": lambda x: NET(x),
    "list": lambda x: NET([x, x]),
    "preactivations": lambda x: NET.preactivations(x),
    "weights": lambda x: pf.ReLUNetwork([[x]], [[0.0]]),
    "biases": lambda x: pf.ReLUNetwork([np.eye(2)], [x]),
    "box": lambda x: pf.Box(-x, x),
    "polyhedron": lambda x: pf.Polyhedron([x], [1.0]),
    "gates": lambda x: pf.GateBlock({0: np.eye(2)}, [0.0, 0.0], slopes=x),
    "state": lambda x: pf.from_torch({"weight": np.eye(2), "bias": x}),
    "locate": lambda x: CX.locate(x),
    "array": lambda x: array_of(x, "it"),
}


@pytest.mark.parametrize("name", TAKING)
def test_masked_entries_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="masked"):
        TAKING[name](MASKED)


def test_arrays_without_masked_entries_are_arrays() -> None:
    full = np.ma.masked_array([1.0, 2.0], mask=[False, False])
    assert unmasked(full) is full
    np.testing.assert_array_equal(NET(full), NET([1.0, 2.0]))
