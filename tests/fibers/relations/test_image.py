"""Relations on the image of the layers before: against ranks of features at many exact points, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.fibers.relations.image import image_relations
from polyfiber.numerics import exact
from polyfiber.numerics.exact import as_fractions


@pytest.mark.parametrize("seed", range(12))
def test_the_basis_has_the_rank_of_the_features_on_the_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n0, n1, n2 = int(rng.integers(1, 3)), int(rng.integers(2, 4)), int(rng.integers(2, 5))
    W = [rng.integers(-2, 3, (n1, n0)), rng.integers(-2, 3, (n2, n1)), np.ones((1, n2))]
    b = [rng.integers(-2, 3, n1), rng.integers(-2, 3, n2), np.zeros(1)]
    net = pf.ReLUNetwork([w.astype(float) for w in W], [v.astype(float) for v in b])
    Y = np.concatenate([rng.integers(-s, s + 1, (400, n0)) for s in (9, 60, 240, 1800)])
    for w, v in zip(W[:2], b[:2]):
        Y = np.maximum(Y @ w.T.astype(np.int64) + 60 * v.astype(np.int64), 0)
    truth = exact.rank(np.concatenate([np.full((len(Y), 1), 60), Y], axis=1)) - 1
    for each in (net, net.exact()):
        found = image_relations(each, 2, pf.canonical_complex(each))
        assert (n2 if found is None else len(found.basis)) == truth or not each.is_exact
        if found is None:
            continue
        phi = as_fractions(Y) / 60
        said = phi[:, list(found.basis)].astype(float) @ found.expression.T.astype(float) + found.offset.astype(float)
        np.testing.assert_allclose(said, phi.astype(float), rtol=1e-9, atol=1e-8)


def test_random_networks_have_none_and_one_wrong_entry_ends_a_relation() -> None:
    net = pf.ReLUNetwork.random((2, 5, 4, 1), rng=0)
    assert image_relations(net, 2, pf.canonical_complex(net)) is None
    rows = [[[1.0], [-1.0]], [[1.0, 0], [0, 1], [1, 1]], [[1.0, 2, 4]]]
    for shift, many in ((0.0, 1), (1e-6, 0)):
        each = pf.ReLUNetwork(rows, [[0.0, 0], [-1.0, -1, -1 - shift], [0.0]])
        found = image_relations(each, 2, pf.canonical_complex(each))
        assert (0 if found is None else found.n_relations) == many


def test_a_huge_neuron_that_is_off_explains_nothing() -> None:
    """Terms of 1e9 in neurons that are off where others are small."""
    rows = [[[1.0], [-1.0]], [[1.0, 0.0], [1.0, -1e9], [0.0, 1.0]], [[1.0, 1.0, 1.0]]]
    net = pf.ReLUNetwork(rows, [[0.0, 0.0], [-1e-3, -2e-3, -1.0], [0.0]])
    assert image_relations(net, 2, pf.canonical_complex(net)) is None
    assert image_relations(net.exact(), 2, pf.canonical_complex(net.exact())) is None
    far = pf.ReLUNetwork([rows[0], [[1e200, 0.0], [1.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [-1e190, -1.0], [0.0]])
    assert image_relations(far, 2, pf.canonical_complex(far)) is None
