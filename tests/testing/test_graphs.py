"""Networks of gates: wirings, slopes and weights are as asked; a maximum is the maximum."""

from __future__ import annotations

import numpy as np
import pytest

from polyfiber.testing import graphs as module


@pytest.mark.parametrize("wiring", module.WIRINGS)
def test_what_blocks_read(wiring: str) -> None:
    net = module.random_graph(0, 2, (3, 2, 4), wiring=wiring)
    reads = [sorted(block.affine.weights) for block in net.blocks]
    expected = {
        "chain": [[0], [1], [2]],
        "residual": [[0], [0, 1], [1, 2]],
        "dense": [[0], [0, 1], [0, 1, 2]],
        "parallel": [[0], [0], [1]],
    }
    assert reads == expected.get(wiring, reads)
    assert all(0 <= j <= l for l, own in enumerate(reads) for j in own)
    assert net.hidden_widths == (3, 2, 4)


@pytest.mark.parametrize("kind", module.KINDS)
def test_slopes(kind: str) -> None:
    net = module.random_graph(1, 2, (3,), kind=kind, outputs=2)
    assert net.blocks[0].slopes.tolist() == [list(module.KINDS[kind])] * 3
    x = np.random.default_rng(0).standard_normal((20, 2))
    block = net.blocks[0].affine
    z = x @ np.asarray(block.dense(0, 2)).T + block.bias
    below, above = module.KINDS[kind]
    values = np.where(z > 0, above * z, below * z)
    out = net.output
    np.testing.assert_allclose(
        net(x),
        sum(
            (v @ np.asarray(out.dense(j, v.shape[1])).T for j, v in ((0, x), (1, values)) if j in out.weights), out.bias
        ),
    )


def test_weights_make_coincidences() -> None:
    assert not np.any(module.random_graph(0, 2, (4,), weights="zero bias").blocks[0].affine.bias)
    repeated = np.asarray(module.random_graph(0, 2, (4,), weights="repeated").blocks[0].affine.dense(0, 2), dtype=float)
    assert np.linalg.matrix_rank(repeated[[0, -1]]) == 1
    integers = np.asarray(module.random_graph(0, 2, (4,), weights="integer").blocks[0].affine.dense(0, 2), dtype=float)
    assert (integers == np.round(integers)).all()


@pytest.mark.parametrize("operands", [1, 2, 3, 5, 8])
def test_a_tree_of_gates_is_the_maximum(operands: int) -> None:
    net, A, a = module.maximum(3, operands, rng=operands)
    X = 3 * np.random.default_rng(0).standard_normal((50, 3))
    np.testing.assert_allclose(net(X)[:, 0], (X @ A.T + a).max(axis=1), atol=1e-12)
    assert sum(net.hidden_widths) == operands - 1
