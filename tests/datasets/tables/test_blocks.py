"""What a row of the table of blocks says of the layers that its path has passed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

import polyfiber as pf
from polyfiber.complexes.blocks.block import Block
from polyfiber.datasets.tables.base import Unsure
from polyfiber.datasets.tables.blocks import _wrongly_active


def item(domain: Any = None) -> Any:
    """Neurons x, y, then x + y - 1."""
    net = pf.ReLUNetwork([np.eye(2), [[1.0, 1.0]], [[1.0]]], [np.zeros(2), [-1.0], [0.0]])
    return SimpleNamespace(network=net, domain=domain)


def test_paths_in_the_first_layer_pass_none() -> None:
    path = ((0, 1),)
    assert _wrongly_active(item(), Block(path)) is None
    assert "of 1 layers" in str(_wrongly_active(item(), Block(path, ((0,),))))


def test_active_neurons_are_those_at_a_point_inside() -> None:
    path = ((0, 1), (1, -1), (2, 1))  # x > 1 below the axis
    box = pf.Box(-5, 5, dimension=2)
    assert _wrongly_active(item(box), Block(path, ((0,),))) is None
    assert "at a point inside" in str(_wrongly_active(item(box), Block(path, ((0, 1),))))
    assert "of 0 layers" in str(_wrongly_active(item(box), Block(path)))


def test_blocks_without_an_inside_are_left_open() -> None:
    box = pf.Box(1, 5, dimension=2)
    nowhere = ((0, -1), (1, 1), (2, 1))
    assert isinstance(_wrongly_active(item(box), Block(nowhere, ((1,),))), Unsure)
    assert "neurons with walls" in str(_wrongly_active(item(box), Block(((0, -1), (1, -1), (2, 1)), ((),))))
