"""Keras files, written here the way the versions of Keras lay them out."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError, PolyfiberError, ShapeError, UnsupportedLayerError

RNG = np.random.default_rng(5)
K1 = RNG.standard_normal((3, 5)).astype(np.float32)
B1 = RNG.standard_normal(5).astype(np.float32)
K2 = RNG.standard_normal((5, 2)).astype(np.float32)
B2 = RNG.standard_normal(2).astype(np.float32)
NORM = {
    "gamma": RNG.uniform(0.5, 2, 5).astype(np.float32),
    "beta": RNG.standard_normal(5).astype(np.float32),
    "moving_mean": RNG.standard_normal(5).astype(np.float32),
    "moving_variance": RNG.uniform(0.1, 3, 5).astype(np.float32),
}


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}}


def dense(name: str, units: int, activation: Any = "linear", **config: Any) -> dict[str, Any]:
    return layer("Dense", name, units=units, activation=activation, **config)


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}


def write_h5(path: Path, config: Any, weights: dict[str, dict[str, Any]], *, root: str = "model_weights") -> None:
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = config if isinstance(config, str | bytes) else json.dumps(config)
        for name, arrays in weights.items():
            for key, value in arrays.items():
                file[f"{root}/{name}/{name}/{key}:0"] = value


def write_keras(path: Path, config: Any, weights: dict[str, list[Any]], *, sep: str = "/") -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, arrays in weights.items():
            for i, value in enumerate(arrays):
                file[f"layers{sep}{name}/vars/{i}"] = value
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", buffer.getvalue())


PLAIN = sequential(
    layer("InputLayer", "in", batch_input_shape=[None, 3]),
    dense("one", 5, "relu"),
    layer("Dropout", "drop", rate=0.1),
    dense("two", 2, "softmax"),
)
PLAIN_WEIGHTS = {"one": {"kernel": K1, "bias": B1}, "two": {"kernel": K2, "bias": B2}}


def forward(X: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(X @ K1.astype(float) + B1, 0) @ K2.astype(float) + B2)


def test_h5(tmp_path: Path) -> None:
    write_h5(tmp_path / "net.h5", PLAIN, PLAIN_WEIGHTS)
    net = pf.read_network(tmp_path / "net.h5")
    np.testing.assert_array_equal(net.weights[0], K1.T.astype(np.float64))
    X = RNG.standard_normal((10, 3))
    np.testing.assert_allclose(net(X), forward(X), rtol=1e-12)
    assert (net.source["head"], net.source["dtype"], net.source["format"]) == ("softmax", "float32", "keras-h5")


def functional(inbound: list[Any]) -> dict[str, Any]:
    layers = [
        layer("InputLayer", "in", batch_shape=[None, 3]),
        dense("two", 2, "sigmoid"),
        dense("one", 5),
        layer("Activation", "act", activation="relu"),
    ]
    for entry, nodes in zip(layers, inbound):
        entry["inbound_nodes"] = nodes
        entry["name"] = entry["config"]["name"]
    return {"class_name": "Functional", "config": {"name": "f", "layers": layers}}


def keras3(source: str) -> list[Any]:
    tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "keras_history": [source, 0, 0]}}
    return [{"args": [tensor], "kwargs": {"training": False}}]


@pytest.mark.parametrize("version", [2, 3])
def test_functional_layers_in_any_order(tmp_path: Path, version: int) -> None:
    if version == 2:
        config = functional([[], [[["act", 0, 0, {}]]], [[["in", 0, 0, {}]]], [[["one", 0, 0, {}]]]])
    else:
        config = functional([[], keras3("act"), keras3("in"), keras3("one")])
    write_h5(tmp_path / "net.h5", config, PLAIN_WEIGHTS)
    net = pf.read_network(tmp_path / "net.h5")
    X = RNG.standard_normal((10, 3))
    np.testing.assert_allclose(net(X), forward(X), rtol=1e-12)
    assert net.source["head"] == "sigmoid"


@pytest.mark.parametrize("sep", ["/", "\\"])
def test_keras_archive_numbers_layers_by_class(tmp_path: Path, sep: str) -> None:
    config = sequential(
        layer("InputLayer", "in", batch_shape=[None, 3]),
        dense("first", 5, {"class_name": "function", "config": "relu"}),
        dense("second", 2),
    )
    write_keras(tmp_path / "net.keras", config, {"dense": [K1, B1], "dense_1": [K2, B2]}, sep=sep)
    net = pf.read_network(tmp_path / "net.keras")
    X = RNG.standard_normal((10, 3))
    np.testing.assert_allclose(net(X), forward(X), rtol=1e-12)
    assert net.source["format"] == "keras"


def test_batch_normalisation_normalization_and_rescaling_fold(tmp_path: Path) -> None:
    config = sequential(
        layer("InputLayer", "in", batch_input_shape=[None, 3]),
        layer("Rescaling", "scale", scale=0.25, offset=-1.0),
        layer("Normalization", "norm", axis=[-1], mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 2.0]),
        dense("one", 5),
        layer("BatchNormalization", "bn", epsilon=0.001, scale=True, center=True),
        layer("ReLU", "relu", max_value=None, negative_slope=0.0, threshold=0.0),
        dense("two", 2, use_bias=False),
    )
    weights = {"one": {"kernel": K1, "bias": B1}, "bn": NORM, "two": {"kernel": K2}}
    write_h5(tmp_path / "net.h5", config, weights)
    net = pf.read_network(tmp_path / "net.h5")
    X = RNG.standard_normal((10, 3)) * 5
    Z = (X * 0.25 - 1 - np.array([1, 2, 3])) / np.sqrt([4, 1, 2]) @ K1.astype(float) + B1
    gamma, beta, mean, variance = (v.astype(float) for v in NORM.values())
    Z = gamma * (Z - mean) / np.sqrt(variance + 0.001) + beta
    np.testing.assert_allclose(net(X), np.maximum(Z, 0) @ K2.astype(float), rtol=1e-11)
    (record,) = net.source["folding"]
    assert record["operations"] == ("scale", "norm", "one", "bn")
    assert 0 < record["weight_error"] < 1e-15


@pytest.mark.parametrize("limit", [None, 0.0, 2.0])
@pytest.mark.parametrize("layered", [False, True])
def test_rectifiers_with_a_limit(tmp_path: Path, limit: float | None, layered: bool) -> None:
    """As a layer, and as an object in a layer; a limit of zero is one, and leaves nothing."""
    options = {"max_value": limit, "negative_slope": 0.0, "threshold": 0.0}
    relu = {"module": "keras.layers", "class_name": "ReLU", "config": options}
    first = [dense("one", 5), layer("ReLU", "relu", **options)] if layered else [dense("one", 5, relu)]
    config = sequential(layer("InputLayer", "in", batch_input_shape=[None, 3]), *first, dense("two", 2))
    write_h5(tmp_path / "net.h5", config, {"one": {"kernel": K1, "bias": B1}, "two": {"kernel": K2, "bias": B2}})
    X = RNG.standard_normal((10, 3)) * 3
    hidden = np.clip(X @ K1.astype(float) + B1, 0, limit)
    np.testing.assert_allclose(
        pf.read_network(tmp_path / "net.h5")(X), hidden @ K2.astype(float) + B2, rtol=1e-9, atol=1e-9
    )


def test_batch_normalisation_in_an_archive_is_ordered(tmp_path: Path) -> None:
    config = sequential(
        dense("one", 5, "relu"), layer("BatchNormalization", "bn", scale=False, center=True), dense("two", 2)
    )
    weights = {
        "dense": [K1, B1],
        "batch_normalization": [NORM["beta"], NORM["moving_mean"], NORM["moving_variance"]],
        "dense_1": [K2, B2],
    }
    write_keras(tmp_path / "net.keras", config, weights)
    net = pf.read_network(tmp_path / "net.keras")
    X = RNG.standard_normal((10, 3))
    Y = np.maximum(X @ K1.astype(float) + B1, 0)
    Y = (Y - NORM["moving_mean"]) / np.sqrt(NORM["moving_variance"].astype(float) + 1e-3) + NORM["beta"]
    np.testing.assert_allclose(net(X), Y @ K2.astype(float) + B2, rtol=1e-11)


def image(*rest: dict[str, Any]) -> dict[str, Any]:
    return sequential(layer("InputLayer", "in", batch_input_shape=[None, 3, 1]), *rest)


REFUSED: dict[str, tuple[Any, type[PolyfiberError], str]] = {
    "PReLU": (sequential(dense("one", 5), layer("PReLU", "p"), dense("two", 2)), FileFormatError, "PReLU.*lacks alpha"),
    "Conv2D": (sequential(layer("Conv2D", "c"), dense("two", 2)), ShapeError, "Conv2D.*shape of the input"),
    "MaxPooling": (
        sequential(dense("one", 5), layer("MaxPooling1D", "m")),
        ShapeError,
        "MaxPooling1D.*expected 1 axes",
    ),
    "Lambda": (sequential(dense("one", 5), layer("Lambda", "l", function="code")), UnsupportedLayerError, "Lambda"),
    "tanh": (sequential(dense("one", 5, "tanh"), dense("two", 2)), UnsupportedLayerError, "'tanh'"),
    "shifted relu": (
        sequential(dense("one", 5), layer("ReLU", "r", threshold=1.0), dense("two", 2)),
        UnsupportedLayerError,
        "threshold",
    ),
    "hidden sigmoid": (sequential(dense("one", 5, "sigmoid"), dense("two", 2)), UnsupportedLayerError, "after sigmoid"),
    "no flatten": (image(dense("one", 5, "relu"), dense("two", 2)), UnsupportedLayerError, "Flatten"),
    "missing weights": (sequential(dense("one", 5, "relu"), dense("three", 2)), FileFormatError, "lacks kernel"),
    "wrong order": (sequential(dense("two", 2, "relu"), dense("one", 5)), ShapeError, "expects 3 inputs"),
    "subclass": ({"class_name": "MyModel", "config": {"layers": [dense("one", 5)]}}, UnsupportedLayerError, "MyModel"),
    "no layers": ({"class_name": "Sequential", "config": {"layers": []}}, FileFormatError, "no list of layers"),
    "layers of nothing": ({"class_name": "Sequential", "config": {"layers": [3]}}, FileFormatError, "class_name"),
    "a list": ([1], FileFormatError, "not a JSON object"),
    "not JSON": ("{", FileFormatError, "not JSON"),
    "nested deep": ("[" * 100_000, FileFormatError, "not JSON|not a JSON"),
    "none": (None, FileFormatError, "no model_config"),
    "residual": (
        functional([[], [[["act", 0, 0, {}], ["in", 0, 0, {}]]], [[["in", 0, 0, {}]]], [[["one", 0, 0, {}]]]]),
        UnsupportedLayerError,
        "reads 2 layers",
    ),
    "branch": (
        functional([[], [[["act", 0, 0, {}]]], [[["in", 0, 0, {}]]], [[["in", 0, 0, {}]]]]),
        ShapeError,
        "expects 5 inputs",
    ),
    "cycle": (
        functional([[], [[["act", 0, 0, {}]]], [[["two", 0, 0, {}]]], [[["one", 0, 0, {}]]]]),
        UnsupportedLayerError,
        "chain",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    config, error, message = REFUSED[name]
    if isinstance(config, str) and len(config) > 60_000:  # too long for an attribute
        with zipfile.ZipFile(tmp_path / "net.h5", "w") as archive:
            archive.writestr("config.json", config)
            archive.writestr("model.weights.h5", b"")
    else:
        write_h5(tmp_path / "net.h5", config, PLAIN_WEIGHTS)
    with pytest.raises(error, match=message):
        pf.read_network(tmp_path / "net.h5")


def test_integers_and_strings_are_refused(tmp_path: Path) -> None:
    for value in (np.ones((3, 5), dtype=int), np.full((3, 5), b"x")):
        write_h5(tmp_path / "net.h5", PLAIN, {**PLAIN_WEIGHTS, "one": {"kernel": value, "bias": B1}})
        with pytest.raises(FileFormatError, match="lacks kernel"):
            pf.read_network(tmp_path / "net.h5")


def test_keras_1(tmp_path: Path) -> None:
    first = layer("Dense", "d1", output_dim=5, input_dim=3, batch_input_shape=[None, 3], activation="relu", bias=True)
    last = layer("Dense", "d2", output_dim=2, activation="linear", bias=True)
    weights = {"d1": (K1, B1), "d2": (K2, B2)}

    def write(*layers: dict[str, Any]) -> Path:
        with h5py.File(tmp_path / "net.h5", "w") as file:
            file.attrs["keras_version"] = b"1.2.2"
            file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": list(layers)}).encode()
            for name, (w, b) in weights.items():
                file[f"model_weights/{name}/{name}_W"] = w
                file[f"model_weights/{name}/{name}_b"] = b
        return tmp_path / "net.h5"

    net = pf.read_network(write(first, last))
    X = RNG.standard_normal((9, 3))
    np.testing.assert_allclose(net(X), forward(X), rtol=1e-12)
    assert net.source["keras"] == "1.2.2"
    with pytest.raises(UnsupportedLayerError, match="Keras 1, of which only"):
        pf.read_network(write(first, layer("BatchNormalization", "bn"), last))
    path = write(first, last)
    with h5py.File(path, "a") as file:  # the first releases wrote no version; output_dim is theirs alone
        del file.attrs["keras_version"]
    assert pf.read_network(path).source["keras"] == "1"
    assert np.array_equal(pf.read_network(path)(X), net(X))
    path = write(first, layer("MaxoutDense", "maxout", output_dim=2), last)
    with h5py.File(path, "a") as file:
        del file.attrs["keras_version"]
    with pytest.raises(UnsupportedLayerError, match="Keras 1, of which only"):
        pf.read_network(path)
    first["config"]["output_dim"] = 4
    with pytest.raises(ShapeError, match="states 4 units"):
        pf.read_network(write(first, last))
