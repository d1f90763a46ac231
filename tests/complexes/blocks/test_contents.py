"""Blocks where flat walls leave directions uncut, and blocks without regions, against brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.blocks.block import Block
from polyfiber.complexes.blocks.contents import run_block
from polyfiber.complexes.blocks.run import run_blocks
from polyfiber.complexes.blocks.verify import verify_cells
from polyfiber.testing.graphs import maximum
from scripts.attacks.complexes.piecewise import draw
from tests.oracles.graph_faces import Graph, graph_complex


def agree(parts: Any, truth: Graph) -> bool:
    """Whether the blocks own every face once, and no other."""
    if tuple(map(sum, zip(*(part.f_vector for part in parts)))) != truth.f_vector:
        return False
    return all(
        {tuple(row) for part in parts for row in part.signs(k).tolist()} == {p.signs for p in truth.of_dim(k)}
        for k in range(len(truth.f_vector))
    )


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (2, 5), (3, 3), (3, 4)])
def test_maxima_on_all_of_space(shape: tuple[int, int], tmp_path: Path) -> None:
    net = maximum(*shape, rng=7)[0]
    truth = graph_complex(net)
    total = pf.count_blocks(net, verify=True)
    assert total.f_vector == truth.f_vector
    assert total.complete
    assert total.verified
    pf.write_cells(net, tmp_path / "cells", file_format="npz", maps=True, vertices=True)
    (cells,) = pf.read_cells(tmp_path / "cells").cells(len(truth.f_vector) - 1)
    regions = {p.signs: p.outputs for p in truth.regions()}
    assert {tuple(row) for row in cells.signs.tolist()} == set(regions)
    assert cells.A is not None
    assert cells.a is not None
    for row, A, a in zip(cells.signs.tolist(), cells.A, cells.a):
        assert np.allclose(np.append(A[0], a[0]), np.array(regions[tuple(row)][0], dtype=float))
    assert verify_cells(tmp_path / "cells").verdict is pf.Verdict.YES


@pytest.mark.parametrize("seed", [43, 98, 99, 170])
def test_blocks_of_degenerate_graphs(seed: int) -> None:
    net = draw(seed)[0]
    truth = graph_complex(net)
    parts = [run_block(net, block) for left in Block().split(0) for block in left.split(1)]
    assert agree(parts, truth)
    assert all(part.complex is None or part.complex.certificate.verify().ok for part in parts)
    assert any(
        part.complex is not None and not part.complex.n_regions for part in parts
    )  # on a wall that two gates share


def test_blocks_are_split_where_they_do_not_fit() -> None:
    rng = np.random.default_rng(0)
    first = pf.GateBlock({0: [[1.0, 0.0]] * 7}, rng.standard_normal(7))  # parallel walls
    second = pf.GateBlock({0: rng.standard_normal((4, 2)), 1: rng.standard_normal((4, 7))}, rng.standard_normal(4))
    net = pf.PiecewiseLinearNetwork(2, [first, second], pf.AffineMap({2: [[1.0] * 4]}, [0.0]))
    truth = graph_complex(net)
    parts = list(run_blocks(net, None, [Block()], lambda part: part, room=100))
    assert agree(parts, truth)
    assert any(neuron >= 7 for part in parts for neuron, _ in part.block.path)  # a wall of the second block too
    for part in parts:
        closed = part.block.polyhedron(net)
        assert closed is not None
        A, b = (np.array(side, dtype=float) for side in (closed.A, closed.b))
        assert (part.complex.interior_points(2) @ A.T <= b + 1e-9).all()


def test_general_position_is_asked_of_blocks_too() -> None:
    net = maximum(2, 3, rng=7)[0]
    assert pf.count_blocks(net, on_degenerate="refuse").f_vector == pf.count_blocks(net).f_vector == (1, 4, 4)
