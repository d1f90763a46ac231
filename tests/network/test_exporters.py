"""Files as other libraries wrote them: what we read computes what they computed.

The points and outputs are those of the writers (`scripts/training/export_data.py`), none of which is
needed here.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "exporters"
GOLDEN = json.loads((ROOT / "tests" / "golden" / "exporters.json").read_text())


def test_every_file_has_its_outputs() -> None:
    graphs = ("keras_cnn", "keras_residual")  # no chains: compared in readers/test_graphs.py
    assert sorted(GOLDEN) == sorted(p.name for p in FOLDER.iterdir() if not p.name.startswith(graphs))
    assert len(GOLDEN) >= 8


@pytest.mark.parametrize("name", GOLDEN)
def test_agrees_with_its_writer(name: str) -> None:
    entry = GOLDEN[name]
    net = pf.read_network(FOLDER / name)
    assert net.source["head"] == entry["head"]
    assert net.source["dtype"] == "float32"
    X, Y = np.array(entry["inputs"]), np.array(entry["outputs"])
    assert X.shape == (len(Y), net.architecture[0])
    Z = net(X)
    assert Z.shape == Y.shape
    if entry["head"] == "softmax":
        Z = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    elif entry["head"] == "sigmoid":
        Z = 1 / (1 + np.exp(-Z))
    np.testing.assert_allclose(Z, Y, rtol=2e-5, atol=2e-6)


def test_the_two_formats_of_keras_hold_one_network() -> None:
    for name in ("keras_sequential", "keras_functional"):
        assert pf.read_network(FOLDER / f"{name}.keras") == pf.read_network(FOLDER / f"{name}.h5")
