"""Golden face counts: three engines that share no code agreed on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import polyfiber as pf

GOLDEN: dict[str, list[int]] = json.loads((Path(__file__).parent.parent / "golden" / "face_counts.json").read_text())
RANDOM = [key for key in GOLDEN if not key.startswith("nets/")]
NETS = Path(__file__).resolve().parents[2].parent / "shared" / "nets"


def network(key: str) -> pf.ReLUNetwork:
    architecture, seed = key.split("/")
    return pf.ReLUNetwork.random([int(v) for v in architecture.split("-")], rng=int(seed))


@pytest.mark.parametrize("key", RANDOM)
def test_face_counts(key: str) -> None:
    assert list(pf.face_counts(network(key))) == GOLDEN[key]


@pytest.mark.parametrize("key", [key for key in RANDOM if sum(GOLDEN[key]) < 500_000])
def test_complex(key: str) -> None:
    cx = pf.canonical_complex(network(key))
    assert list(cx.f_vector) == GOLDEN[key]


@pytest.mark.slow
def test_van_der_pol_controller() -> None:
    path = NETS / "vdp.onnx"
    if not path.exists():
        pytest.skip("vdp.onnx is not beside this checkout")
    pytest.importorskip("onnx")
    net = pf.read_network(path)
    assert list(pf.canonical_complex(net).f_vector) == GOLDEN["nets/vdp.onnx"]
    assert list(pf.face_counts(net)) == GOLDEN["nets/vdp.onnx"]
