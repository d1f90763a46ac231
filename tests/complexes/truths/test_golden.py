"""Golden face counts: three engines that share no code agreed on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf

GOLDEN: dict[str, list[int]] = json.loads((Path(__file__).parents[2] / "golden" / "face_counts.json").read_text())
RANDOM = [key for key in GOLDEN if not key.startswith("nets/")]
NETS = Path(__file__).resolve().parents[3].parent / "shared" / "nets"


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
    net = pf.read_network(path)
    assert list(pf.canonical_complex(net).f_vector) == GOLDEN["nets/vdp.onnx"]
    assert list(pf.face_counts(net)) == GOLDEN["nets/vdp.onnx"]


@pytest.mark.slow
def test_cart_pole_controller_on_its_box() -> None:
    """Two layers of 64 on [-1/2, 1/2]^4, checked by its certificate and by what the network does at points."""
    path = NETS / "cartpole.onnx"
    if not path.exists():
        pytest.skip("cartpole.onnx is not beside this checkout")
    net = pf.read_network(path)
    cx = pf.canonical_complex(net, pf.Box(-0.5, 0.5, dimension=4))
    assert cx.f_vector == (107852, 400406, 556874, 343846, 79527)
    assert cx.euler_characteristic == 1
    check = cx.certificate.verify()
    assert check.ok
    assert check.edges == cx.f_vector[1]
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 4))
    regions = cx.locate(points)
    A, a = cx.affine_maps(regions)
    assert (regions >= 0).all()
    assert np.allclose(np.einsum("mij,mj->mi", A, points) + a, net(points), atol=1e-9)
