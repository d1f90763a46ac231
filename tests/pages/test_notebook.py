"""What notebooks show of each result."""

from __future__ import annotations

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
