"""The check of a certificate passes on what was built and fails on what was tampered with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import GenericityError

NETWORKS = [((2, 6, 5, 1), 0), ((3, 5, 4, 1), 1), ((3, 2, 4, 3, 1), 2), ((1, 5, 4, 1), 3), ((4, 4, 3, 1), 4)]


@pytest.mark.parametrize(("architecture", "seed"), NETWORKS, ids=str)
def test_built_complexes_verify(architecture: tuple[int, ...], seed: int) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random(architecture, rng=seed))
    certificate = cx.certificate
    result = certificate.verify()
    assert result.ok
    assert not result.problems
    assert certificate.vertices == cx.f_vector[0]
    assert result.signs > 0
    assert certificate.filtered + certificate.structural + certificate.exact > 0
    assert certificate.euler == (-1) ** cx.dimension


def test_a_flipped_sign_is_found() -> None:
    rng = np.random.default_rng(0)
    net = pf.ReLUNetwork.random((2, 6, 5, 1), rng=0)
    for _ in range(10):
        cx = pf.canonical_complex(net)
        certificate = cx.certificate
        state, nv, n = cx._skeleton.state, cx._skeleton.nv, 2
        vertex = int(rng.integers(nv))
        free = [k for k in range(net.n_hidden) if k not in state.star[vertex, 2 * n :]]
        k = int(rng.choice(free))
        state.words[vertex, k >> 6] ^= np.uint64(1) << np.uint64(k & 63)
        assert not certificate.verify().ok


def test_a_cut_edge_is_found() -> None:
    for seed in range(5):
        cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 5, 4, 1), rng=seed))
        certificate = cx.certificate
        star: Any = cx._skeleton.state.star
        star[0, seed % 6] = star[0, (seed + 1) % 6]
        assert not certificate.verify().ok


def test_inflated_bounds_send_every_kind_of_decision_to_exact_arithmetic() -> None:
    for architecture, seed in NETWORKS:
        net = pf.ReLUNetwork.random(architecture, rng=seed)
        plain, hard = pf.canonical_complex(net), pf.canonical_complex(net, inflate=1e14)
        assert [plain.fingerprint(k) for k in range(plain.dimension + 1)] == [
            hard.fingerprint(k) for k in range(hard.dimension + 1)
        ]
        assert plain.certificate.exact == 0
        assert hard.certificate.exact > plain.certificate.exact


def test_refusals_name_the_cell_and_the_neurons() -> None:
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, 0], [0]])
    with pytest.raises(GenericityError, match="layer 1") as caught:
        pf.canonical_complex(net, on_degenerate="refuse")
    assert len(caught.value.facts["facets"]) >= 3
