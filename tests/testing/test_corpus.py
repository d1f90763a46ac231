"""The corpus: always the same, names that differ, and walls that coincide where it is said."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from polyfiber.testing import corpus as module


def test_the_corpus_is_always_the_same() -> None:
    one, two = module.degenerate_corpus(), module.degenerate_corpus()
    assert len({case.name for case in one}) == len(one) >= 60
    for a, b in zip(one, two):
        assert (a.name, a.about, a.domain) == (b.name, b.about, b.domain)
        assert a.network == b.network
        assert a.about
        assert a.name in repr(a)


def test_domains_fit_their_networks() -> None:
    with_domain = [case for case in module.degenerate_corpus() if case.domain is not None]
    assert with_domain
    for case in with_domain:
        assert case.domain is not None
        A, b = case.domain
        assert len(A) == len(b)
        assert {len(row) for row in A} == {case.network.architecture[0]}


def test_a_network_that_takes_the_maximum() -> None:
    for n in (2, 4, 8):
        net = module._max_network(n)
        for x in np.random.default_rng(n).integers(-9, 10, (20, n)):
            assert [Fraction(v) for v in net.exact()([Fraction(int(v)) for v in x])] == [max(x)]


def test_lines_through_one_point() -> None:
    rows = np.array(module._pencil(7), dtype=float)
    assert rows.shape[0] == 7
    assert all(abs(np.linalg.det(rows[[i, j]])) > 0.5 for i in range(7) for j in range(i))
