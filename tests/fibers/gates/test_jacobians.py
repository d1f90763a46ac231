"""Functional dimension of networks of gates: exact differences, and chains the other way."""

from __future__ import annotations

from typing import Any

import numpy as np

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.fibers.dimension import local_fiber
from polyfiber.fibers.gates.jacobians import WiredParameters
from polyfiber.network.sparse import SparseMatrix
from scripts.attacks.complexes.gates import attack


def test_the_attack_finds_nothing() -> None:
    _, wrong = attack(seed=500, count=8, seconds=60.0, parts=("dimension",))
    assert not wrong


def test_a_chain_counts_as_its_kernels_count_it() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        chain = pf.ReLUNetwork.random((2, 3, 2, 1), rng=rng)
        if seed % 2:
            chain = pf.ReLUNetwork([np.round(w) for w in chain.weights], [np.round(b) for b in chain.biases])
        cx = pf.canonical_complex(chain)
        found = local_fiber(chain, regions=cx)
        wired = WiredParameters(pf.PiecewiseLinearNetwork.from_chain(chain))
        masks = (cx.signs(cx.dimension)[:, :5] > 0).astype(np.int8)
        assert wired.count == found.n_parameters
        assert wired.rank(masks, upper=wired.count, rng=0, monitor=Monitor())[0] == found.functional_dimension
        assert wired.count - wired.certain_freedom(masks) == found.upper_bound
        assert wired.scaling_dimension() == found.scaling_dimension


def test_sparse_matrices_count_what_they_keep() -> None:
    dense = pf.GateBlock({0: [[1.0, 0.0]]}, [0.5], slopes=(0.25, 1))
    sparse = pf.GateBlock({0: SparseMatrix.of([[1.0, 0.0]])}, [0.5], slopes=(0.25, 1))
    counts = [
        local_fiber(pf.PiecewiseLinearNetwork(2, [block], pf.AffineMap({1: [[1.0]]}, [0.0]))).n_parameters
        for block in (dense, sparse)
    ]
    assert counts == [5, 4]


def test_a_convolution_has_its_kernel_as_parameters() -> None:
    rng = np.random.default_rng(0)
    kernels, offsets = [rng.normal(size=2), rng.normal(size=2)], [0.3, 0.1]
    widths = (4, 3, 2)

    def network(k1: Any, k2: Any, b1: Any, b2: Any, out: Any) -> pf.ReLUNetwork:
        maps = []
        for k, n in ((k1, 4), (k2, 3)):
            W = np.zeros((n - 1, n))
            for i in range(n - 1):
                W[i, i : i + 2] = k
            maps.append(W)
        return pf.ReLUNetwork([*maps, np.array([out])], [np.full(3, b1), np.full(2, b2), np.zeros(1)])

    out = rng.normal(size=2)
    net = network(*kernels, *offsets, out)
    found = pf.local_fiber(net, shared=True, exact_rank=True)
    assert found.n_parameters == 8
    assert pf.functional_dimension(net, shared=True) == found.functional_dimension == found.exact_rank
    assert pf.local_fiber(net).n_parameters == sum((a + 1) * b for a, b in zip((*widths, 1)[:-1], (3, 2, 1)))
    # differences of the affine pieces by the eight numbers, in floats
    cx, phi = pf.canonical_complex(net), np.concatenate([*kernels, offsets, out])
    ends = np.cumsum([0, 3, 2])

    def pieces(at: Any) -> Any:
        moved = network(at[:2], at[2:4], at[4], at[5], at[6:])
        rows = []
        for signs in cx.signs(cx.dimension) > 0:
            form = np.c_[np.eye(4), np.zeros(4)]
            for l, (w, b) in enumerate(zip(moved.weights, moved.biases)):
                form = w @ form
                form[:, -1] += b
                if l < 2:
                    form = form * signs[ends[l] : ends[l + 1], None]
            rows.append(form.ravel())
        return np.concatenate(rows)

    steps = 1e-4 * np.eye(8)
    jacobian = np.array([(pieces(phi + h) - pieces(phi - h)) / 2e-4 for h in steps])
    values = np.linalg.svd(jacobian, compute_uv=False)
    assert int((values > 1e-6 * values[0]).sum()) == found.functional_dimension
    assert found.scaling_dimension == 2  # one factor for each layer
