"""What notebooks show of each result."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.pages.notebook import html_of


def shown() -> dict[str, object]:
    net = pf.ReLUNetwork.random((2, 4, 2), rng=0)
    cx = pf.canonical_complex(net)
    return {
        "network": net,
        "complex": cx,
        "set": pf.canonical_complex(net, pf.Box([-1, -1], [1, 1])).decision_boundary(),
        "verdict": pf.Verdict.UNDECIDED,
        "fiber": pf.classify_fiber(net),
        "strata": pf.linear.stratify((2, 2, 2), rank=1),
        "pair": pf.are_equivalent(net, net),
        "smaller": pf.minimize(net),
        "high": pf.canonical_complex(pf.ReLUNetwork.random((3, 4, 2), rng=0)),
    }


@pytest.mark.parametrize("name", shown())
def test_results_show_themselves(name: str) -> None:
    value = shown()[name]
    text = value._repr_html_()  # type: ignore[attr-defined]
    assert "<table>" in text
    assert text.count("<tr>") == text.count("</tr>") >= 1
    if name in ("complex", "set"):
        assert "data:image/png" in text
    if name == "complex":
        assert f"{value.n_regions:,}" in text  # type: ignore[attr-defined]


def test_text_is_escaped() -> None:
    net = pf.ReLUNetwork([np.eye(2)], [np.zeros(2)], source={"file": "<script>"})
    assert "<script>" not in html_of(net)
    assert html_of("<b>") == "<pre>&#x27;&lt;b&gt;&#x27;</pre>"


HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\x00\ud800"


def test_hostile_names_are_text() -> None:
    """In files, formats and notes of networks, and whatever shows them."""
    source = dict.fromkeys(("file", "format", "head"), HOSTILE) | {"notes": [HOSTILE]}
    net = pf.ReLUNetwork([np.eye(2), np.ones((1, 2))], [np.zeros(2), np.zeros(1)], source=source)
    for value in (
        net,
        pf.canonical_complex(net),
        pf.minimize(net),
        pf.are_equivalent(net, net),
        pf.classify_fiber(net),
    ):
        text = value._repr_html_()
        text.encode("utf-8")
        assert "<script" not in text
        assert "onerror=alert(1)>" not in text


def test_numbers_beyond_axes_have_a_table_alone() -> None:
    net = pf.ReLUNetwork.random((2, 4, 2), rng=0)
    for end in (Fraction(10**400), 1e308):
        cx = pf.canonical_complex(net, pf.Box([-end] * 2, [end] * 2))
        assert "<table>" in cx._repr_html_()
        assert "<img" not in cx._repr_html_()
        with pytest.raises(pf.errors.InputError, match="too large or too small"):
            cx.plot()
