"""Neurons that bounds settle on the domain are left out, and the complex is the same."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds import fixed_signs as settled
from polyfiber.bounds.fixed_signs import settle
from polyfiber.testing.corpus import Case, degenerate_corpus


def rounded(widths: tuple[int, ...], step: float) -> pf.ReLUNetwork:
    net = pf.ReLUNetwork.random(widths, rng=3)
    return pf.ReLUNetwork(*([np.round(a / step) * step for a in part] for part in (net.weights, net.biases)))


def pyramid(n: int) -> pf.Polyhedron:
    return pf.Polyhedron(np.concatenate([-np.eye(n), np.ones((1, n))]), [0.0] * n + [0.4])


NETWORKS: dict[str, tuple[pf.ReLUNetwork, pf.Polyhedron]] = {
    "box": (pf.ReLUNetwork.random((3, 24, 24, 1), rng=0), pf.Box(-0.3, 0.3, dimension=3)),
    "polyhedron": (pf.ReLUNetwork.random((3, 20, 20, 1), rng=1), pyramid(3)),
    "deep": (pf.ReLUNetwork.random((4, 12, 12, 12, 1), rng=2), pf.Box(-0.2, 0.2, dimension=4)),
    "halves": (rounded((3, 20, 20, 1), 0.5), pf.Box(-0.5, 0.25, dimension=3)),
    "rational": (pf.ReLUNetwork.random((2, 12, 12, 1), rng=5).exact(), pf.Box([Fraction(-1, 3)] * 2, [Fraction(1, 7)] * 2)),
    "one wall": (rounded((2, 30, 30, 1), 0.25), pf.Box(-0.0625, 0.0625, dimension=2)),
}  # fmt: skip


def faces(net: pf.ReLUNetwork, domain: Any) -> tuple[Any, ...]:
    cx = pf.canonical_complex(net, domain)
    assert cx.certificate.verify().ok
    return cx.f_vector, [cx.fingerprint(d) for d in range(cx.dimension + 1)], len(cx.certificate.settled.active)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_complex_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, domain = NETWORKS[name]
    for limit in ("WORTH", "WORTH_PROGRAMS"):
        monkeypatch.setattr(settled, limit, 1 << 60)
    plain = faces(net, domain)
    assert plain[2] == 0
    for limit in ("WORTH", "WORTH_PROGRAMS"):
        monkeypatch.setattr(settled, limit, 0)
    without = faces(net, domain)
    assert without[:2] == plain[:2]
    assert without[2] > 0
    blocks = pf.count_blocks(
        net, domain, fingerprints=[net.architecture[0]], blocks=pf.plan_blocks(net, domain, target=200).blocks
    )
    assert blocks.f_vector == plain[0]
    assert list(blocks.fingerprints.values()) == plain[1][-1:]


@pytest.mark.parametrize("case", [c for c in degenerate_corpus() if c.domain is not None], ids=repr)
def test_degenerate_domains(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty, flat, unbounded and redundant domains settle what they may."""
    assert case.domain is not None
    domain = pf.Polyhedron(*case.domain)
    plain = faces(case.network, domain)[:2]
    for limit in ("WORTH", "WORTH_PROGRAMS"):
        monkeypatch.setattr(settled, limit, 0)
    assert faces(case.network, domain)[:2] == plain


def test_what_is_settled_is_true() -> None:
    net, domain = NETWORKS["deep"]
    found = settle(net, domain, expected=1e9)
    assert found.method == "relaxation"
    exact = pf.activation_bounds(net, domain, method="exact")
    assert (exact.lower[found.active] > 0).all()
    assert (exact.upper[found.inactive] < 0).all()
    assert len(found.active) + len(found.inactive) > 10
    x = pf.canonical_complex(net, domain).signs(4)
    fixed = found.signs != 0
    assert (x[:, : net.n_hidden][:, fixed] == found.signs[fixed]).all()


def test_where_nothing_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    net, domain = NETWORKS["box"]
    assert settle(net, None, expected=1e9).method == "none"
    assert settle(net, domain, expected=10).method == "none"
    assert settle(net, pf.Polyhedron([[1, 0, 0]], [0]), expected=1e9).method == "none"  # unbounded
    assert settle(net, pf.Polyhedron([[1, 0, 0], [-1, 0, 0]], [0, 0]), expected=1e9).method == "none"  # flat
    touching = pf.ReLUNetwork([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0]]], [[0.0, 1.0], [0.0]])
    box = pf.Box([0.0, 0.0], [1.0, 1.0])
    assert settle(touching, box, expected=1e9).signs.tolist() == [0, 1]  # the first is zero on a facet of the box
    monkeypatch.setattr(settled, "MULTIPLICATIONS", 0)
    assert settle(net, domain, expected=1e9).method == "interval"
