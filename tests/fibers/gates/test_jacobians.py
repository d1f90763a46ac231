"""Functional dimension of networks of gates: exact differences, and chains the other way."""

from __future__ import annotations

import numpy as np

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.fibers.dimension import local_fiber
from polyfiber.fibers.gates.jacobians import WiredParameters
from polyfiber.network.sparse import SparseMatrix
from scripts.attacks.gates import attack


def test_the_attack_finds_nothing() -> None:
    _, wrong = attack(seed=500, count=20, seconds=60.0, parts=("dimension",))
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
