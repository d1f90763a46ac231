"""The choices of options are the words that the library takes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, get_args

import pytest

import polyfiber as pf
from polyfiber._typing import BoundMethod
from polyfiber.cli.grammar import choices as module
from polyfiber.errors import InputError

CHOICES = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, StrEnum) and v is not StrEnum]


@pytest.mark.parametrize("kind", CHOICES, ids=lambda k: k.__name__)
def test_a_choice_is_its_text(kind: type[StrEnum]) -> None:
    for member in kind:
        assert str(member) == member.value == f"{member}"
        assert kind(member.value) is member
    with pytest.raises(ValueError, match="is not a valid"):
        kind("another")


def test_methods_of_bounds_are_those_of_the_library() -> None:
    assert {m.value for m in module.Method} == set(get_args(BoundMethod))


@pytest.mark.parametrize("support", list(module.Support))
@pytest.mark.parametrize("field", list(module.Field))
def test_homology_takes_every_support_and_field(support: module.Support, field: module.Field) -> None:
    net = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [-1.0]])
    boundary: Any = pf.canonical_complex(net).level_set(0.5)
    assert boundary.betti_numbers(support=support.value, field=int(field.value)) is not None
    with pytest.raises(InputError):
        boundary.betti_numbers(support="another")
