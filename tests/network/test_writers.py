"""Every format that is written reads back as the same network, and other programs agree."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError, InputError
from polyfiber.network.writers import write_network

SUFFIXES = [".npz", ".onnx", ".safetensors", ".nnet"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("widths", [(2, 3, 1), (4, 2), (3, 5, 4, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("narrow", [False, True])
def test_round_trip_is_exact(tmp_path: Path, suffix: str, widths: tuple[int, ...], narrow: bool) -> None:
    net = pf.ReLUNetwork.random(widths, rng=1)
    if narrow:
        net = pf.ReLUNetwork([w.astype(np.float32) for w in net.weights], [b.astype(np.float32) for b in net.biases])
    path = tmp_path / f"net{suffix}"
    net.save(path)
    back = pf.read_network(path)
    assert back == net
    assert back.source["format"] == suffix[1:]
    assert back.source["folding"] == ()
    assert back.source["file"] == path.name
    if suffix in (".onnx", ".safetensors"):
        assert back.source["dtype"] == ("float32" if narrow else "float64")
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "no partial file is left"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_extreme_numbers_survive(tmp_path: Path, suffix: str) -> None:
    values = [5e-324, -2.2250738585072014e-308, 1.7976931348623157e308, -0.1, 1 / 3, 2**53 + 0.0]
    net = pf.ReLUNetwork([np.reshape(values, (3, 2)), [[1e-300, 0, -1e300]]], [values[:3], [np.pi]])
    path = tmp_path / f"net{suffix}"
    net.save(path)
    assert pf.read_network(path) == net


def test_exact_networks_save_exactly(tmp_path: Path) -> None:
    big = Fraction(3**9000, 7**9000 + 2)  # more digits than int() takes at once
    net = pf.ReLUNetwork(
        [np.array([[Fraction(1, 3), big], [Fraction(-5, 7), Fraction(0)]], dtype=object), [[1, 2]]],
        [np.array([Fraction(22, 7), -big], dtype=object), [0]],
    )
    path = tmp_path / "net.npz"
    net.save(path)
    back = pf.read_network(path)
    assert back.is_exact
    assert back == net
    assert back.source["dtype"] == "exact"
    for suffix in SUFFIXES[1:]:
        with pytest.raises(InputError, match=r"exact network as \.npz"):
            net.save(tmp_path / f"net{suffix}")


def test_same_network_same_bytes(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    for suffix in SUFFIXES:
        net.save(tmp_path / f"a{suffix}")
        net.save(tmp_path / f"b{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_refusals(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    with pytest.raises(InputError, match=r"\.pkl"):
        net.save(tmp_path / "net.pkl")
    with pytest.raises(InputError, match="without suffix"):
        net.save(tmp_path / "net")
    with pytest.raises(InputError, match="float32 would change"):
        write_network(net, tmp_path / "net.onnx", dtype="float32")
    with pytest.raises(InputError, match="float16"):
        write_network(net, tmp_path / "net.onnx", dtype="float16")
    with pytest.raises(InputError, match="cannot write"):
        net.save(tmp_path / "missing" / "net.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("narrow", [True, False])
def test_onnxruntime_agrees(tmp_path: Path, narrow: bool) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net = pf.ReLUNetwork.random((3, 8, 5, 2), rng=2)
    if narrow:
        net = pf.ReLUNetwork([w.astype(np.float32) for w in net.weights], [b.astype(np.float32) for b in net.biases])
    path = tmp_path / "net.onnx"
    net.save(path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    X = np.random.default_rng(0).standard_normal((40, 3))
    if narrow:
        X = X.astype(np.float32)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": X})
    assert found.dtype == X.dtype
    np.testing.assert_allclose(found, net(X), rtol=0, atol=1e-5 if narrow else 1e-13)


def test_safetensors_agrees(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    net = pf.ReLUNetwork.random((3, 8, 5, 2), rng=2)
    net.save(tmp_path / "a.safetensors")
    tensors = safetensors.load_file(tmp_path / "a.safetensors")
    assert sorted(tensors) == ["0.bias", "0.weight", "2.bias", "2.weight", "4.bias", "4.weight"]
    np.testing.assert_array_equal(tensors["2.weight"], net.weights[1])
    safetensors.save_file(tensors, tmp_path / "b.safetensors")  # in its own order
    assert pf.read_network(tmp_path / "b.safetensors") == net


def test_head_is_kept(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    net = pf.ReLUNetwork(net.weights, net.biases, source={"head": "sigmoid"})
    for suffix in (".npz", ".safetensors", ".onnx"):
        net.save(tmp_path / f"net{suffix}")
        assert pf.read_network(tmp_path / f"net{suffix}").source["head"] == "sigmoid"


def test_only_known_heads_are_read(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "net.safetensors"
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    pf.ReLUNetwork(net.weights, net.biases, source={"head": "mine"}).save(path)
    assert pf.read_network(path).source["head"] is None
    save_file(load_file(path), path, metadata={"polyfiber.head": "\x1b[31mEVIL"})
    with pytest.raises(FileFormatError, match=r"states the head '\\x1b\[31mEVIL'; known are sigmoid"):
        pf.read_network(path)


def test_input_box_is_kept_in_nnet(tmp_path: Path) -> None:
    box = ((-1.0, -2.0), (1.0, 2.0))
    net = pf.ReLUNetwork([[[1.0, 2.0]]], [[0.5]], source={"input_box": box})
    net.save(tmp_path / "net.nnet")
    assert pf.read_network(tmp_path / "net.nnet").source["input_box"] == box


@pytest.mark.parametrize("suffix", [".npz", ".onnx"])
def test_the_shape_of_inputs_travels_with_a_chain(tmp_path: Path, suffix: str) -> None:
    net = pf.ReLUNetwork.random((12, 3, 2), rng=0)
    assert net.input_shape == (12,)
    shaped = pf.ReLUNetwork(net.weights, net.biases, source={"input_shape": (1, 3, 4)})
    assert shaped.input_shape == (1, 3, 4)
    shaped.save(tmp_path / f"net{suffix}")
    again = pf.read_network(tmp_path / f"net{suffix}")
    assert again == net
    assert again.input_shape == (1, 3, 4)
    assert pf.ReLUNetwork(net.weights, net.biases, source={"input_shape": (5, 5)}).input_shape == (12,)
