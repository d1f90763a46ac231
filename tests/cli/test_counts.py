"""Sentences that count one thing say so in the singular: every command on networks where there is one of everything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import polyfiber as pf

from .cases import run

ONE = re.compile(
    r"(?<![\w.,/^+\-\[x])1 (?!(?:is|was|has|this|takes|class|plus|minus|less|across|its|bias|as)\b)[a-z]+s\b"
)
MANY = re.compile(
    r"(?<![\w.,/^+\-\[x])(?:[02-9]|\d\d+) (?:region|vertex|facet|face|neuron|edge|cell|gate|input|layer|piece)\b(?! of size)"
)
LINES = (
    "info {f} --box -1,1",
    "info {f}",
    "complex {f} --count",
    "complex {f} --verify",
    "complex {f} --domain -1,1 --verify",
    "region {f} --at 0.25",
    "explore {f}",
    "explore {f} --regions 1",
    "slice {f} --axes 0 --domain -1,1",
    "segment {f} --from -1 --to 1",
    "segment {f} --from 2 --to 3",
    "bounds {f} --domain -1,1",
    "bounds {f} --domain 1,2 --at 1.5",
    "levelset {f} --value 1/4",
    "levelset {f} --value 1/4 --domain -1,1 --verify",
    "boundary {two}",
    "classify {f}",
    "classify {f} --local",
    "classify {f} --domain -1,1 --local",
    "classify {idle} --components 2",
    "minimize {f}",
    "minimize {wide}",
    "equiv {f} {wide}",
    "equiv {f} {g}",
    "equiv {f} {g} --domain -1,1 --epsilon 0.5",
    "dedupe {folder}",
    "strata 1,1",
    "strata 1,1,1",
    "strata 1,1 --rank 1",
    "critical 1,1,1 --values 1",
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("ones")
    nets = {
        "f": pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.5], [0.0]]),
        "idle": pf.ReLUNetwork.random((2, 6, 4, 1), rng=0),
        "g": pf.ReLUNetwork([[[1.0]], [[1.25]]], [[0.5], [0.0]]),
        "wide": pf.ReLUNetwork([[[1.0], [1.0]], [[0.5, 0.5]]], [[0.5, 0.5], [0.0]]),
        "two": pf.ReLUNetwork([[[1.0]], [[1.0], [0.5]]], [[0.5], [0.0, 0.25]]),
    }
    for name, net in nets.items():
        net.save(folder / f"{name}.npz")
    return {"folder": str(folder), **{name: str(folder / f"{name}.npz") for name in nets}}


@pytest.mark.parametrize("line", LINES)
def test_one_is_singular(line: str, places: dict[str, str], tmp_path: Path) -> None:
    code, out, err = run(line, {**places, "new": str(tmp_path / "new")})
    assert code in (0, 1, 3), err
    for text in out.splitlines() + err.splitlines():
        assert not ONE.search(text), text
        assert not MANY.search(text), text
