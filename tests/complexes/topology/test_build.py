"""Level sets where outputs change along directions that no wall cuts, against brute force."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.testing.graphs import maximum
from tests.oracles.graph_faces import graph_complex

KEEP = {"level_set": (0,), "sublevel_set": (-1, 0), "superlevel_set": (0, 1)}


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (3, 3), (4, 3)])
def test_maxima_of_few_functions_of_many_inputs(shape: tuple[int, int]) -> None:
    net, A, a = maximum(*shape, rng=7)
    cx = pf.canonical_complex(net)
    gate = pf.GateBlock(net.output.weights, np.asarray(net.output.bias) - 0.5)
    truth = graph_complex(pf.PiecewiseLinearNetwork(net.n_inputs, [*net.blocks, gate], net.output))
    for name, keep in KEEP.items():
        found = getattr(cx, name)(0.5)
        for dim in range(found.dimension + 1):
            right = {part.signs for part in truth.of_dim(dim) if part.signs[-1] in keep}
            assert {tuple(row) for row in found.signs(dim).tolist()} == right
            assert found.f_vector[dim] == len(right)
        assert not any(part.signs[-1] in keep for part in truth.of_dim(found.dimension + 1))
        assert found.certificate.verify().ok
        assert pickle.loads(pickle.dumps(found)).f_vector == found.f_vector
    border = cx.level_set(0.5)
    assert border.f_vector == cx.f_vector  # a graph over the quotient
    assert np.allclose((border.vertices @ A.T + a).max(axis=1), 0.5)
    assert border.betti_numbers("borel-moore") == (*(0,) * (shape[0] - 1), 1)  # a copy of R^(n - 1)


def test_two_outputs_of_which_one_changes() -> None:
    gate = pf.GateBlock({0: [[1.0, 0.0]]}, [0.0])
    net = pf.PiecewiseLinearNetwork(
        2, [gate], pf.AffineMap({0: [[0.0, 1.0], [0.0, 0.0]], 1: [[1.0], [1.0]]}, [0.0, 0.0])
    )
    cx = pf.canonical_complex(net)  # y + relu(x), and relu(x)
    assert cx.level_set(2, 1).f_vector == (1,)
    point = cx.level_set([3, 2], [0, 1])
    assert point.f_vector == (1,)
    assert point.exact_vertex(0) == (2, 1)
