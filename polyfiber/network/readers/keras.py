"""Keras models: ``.h5`` (configuration and weights in one HDF5 file) and ``.keras`` (a zip of both).

The configuration is JSON and is only read, never executed: ``Lambda`` and custom layers are
refused. The HDF5 part is read by ``h5py`` in a process of its own, see `hdf5`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError, ShapeError, UnsupportedLayerError
from ...words import listed
from ..folding import Chain, finite_fraction
from ..model import ReLUNetwork
from ..piecewise import PiecewiseLinearNetwork
from .files import Zip
from .graphs.keras_layers import activation_of, is_plain_relu, network_of
from .hdf5 import Hdf5

SUPPORTED = (
    "InputLayer, Dense, Activation, ReLU, Softmax, BatchNormalization, Normalization, Rescaling, Dropout, "
    "Flatten, Reshape, in one chain; activations linear, relu, and at the end sigmoid, softmax, log_softmax"
)
_IDLE = frozenset(
    [
        "InputLayer",
        "Dropout",
        "GaussianNoise",
        "GaussianDropout",
        "AlphaDropout",
        "ActivityRegularization",
        "Flatten",
        "Reshape",
    ]
)
_CHAINED = _IDLE | {"Dense", "Activation", "Softmax", "ReLU", "BatchNormalization", "Normalization", "Rescaling"}
_GRAPHS_ONLY = ("leaky_relu", "relu6", "hard_sigmoid", "hard_tanh", "ReLU", "LeakyReLU")
_KERAS_1 = {"kernel": "W", "bias": "b"}
_HEADS = {"sigmoid": "sigmoid", "softmax": "softmax", "log_softmax": "log-softmax"}


def read(data: bytes, source: dict[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
    """Network of a ``.h5`` or ``.keras`` file."""
    if data.startswith(b"PK"):
        archive = Zip(data)
        source["format"] = "keras"
        config = _json(archive.read("config.json"), "config.json")
        about = _json(archive.read("metadata.json"), "metadata.json") if "metadata.json" in archive.names else {}
        version = str(about.get("keras_version", ""))
        file = Hdf5(archive.read("model.weights.h5"))
    else:
        source["format"] = "keras-h5"
        file = Hdf5(data)
        config = _json(file.attributes.get("model_config"), "model_config")
        version = str(file.attributes.get("keras_version", ""))
    layers, feeding, outputs = _graph(config)
    chain = _is_chain(layers, feeding)
    first = version.startswith(("0.", "1.")) or any(
        "output_dim" in x.config and "units" not in x.config for x in layers
    )
    if first:  # files without a version too: only Keras 1 has output_dim
        source["keras"] = version or "1"
        other = next(
            (x for x in layers if x.kind not in ("InputLayer", "Dense", "Activation", "Dropout", "Flatten")), None
        )
        if other is not None:
            raise UnsupportedLayerError(
                f"{other.label} of a file of Keras 1, of which only Dense and Activation are read; load and save it with Keras 2",
                layer=other.name,
            )
    store = _Store(file, layers, archived=source["format"] == "keras")
    if chain:
        return _network(_in_order(layers, feeding), store, source)
    return network_of(layers, feeding, outputs, store.wanted, source, version)


def _json(raw: Any, what: str) -> dict[str, Any]:
    if raw is None:
        raise FileFormatError(
            "the file holds no model_config: weights alone do not say what the layers are. "
            "Save the whole model (model.save), or export to ONNX"
        )
    try:
        value = json.loads(raw)
    except (ValueError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{what} is not JSON: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise FileFormatError(f"{what} is not a JSON object")
    return value


# ---- the layers -----------------------------------------------------------------------------
class _Layer:
    def __init__(self, entry: Any) -> None:
        if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
            raise FileFormatError("a layer without class_name and config in the model's configuration")
        self.kind = str(entry.get("class_name"))
        self.config: dict[str, Any] = entry["config"]
        self.name = str(entry.get("name") or self.config.get("name") or self.kind)
        self.inbound = entry.get("inbound_nodes", [])

    @property
    def label(self) -> str:
        return f"layer {self.name!r} ({self.kind})"


def _graph(config: dict[str, Any]) -> tuple[list[_Layer], dict[str, list[str]], list[str]]:
    """The layers, for each the names of those that it reads, and the names of the outputs."""
    kind = config.get("class_name")
    inner = config.get("config")
    entries = inner.get("layers") if isinstance(inner, dict) else inner
    if not isinstance(entries, list) or not entries:
        raise FileFormatError(f"the configuration of the {kind} has no list of layers")
    layers = [_Layer(e) for e in entries]
    if len({layer.name for layer in layers}) != len(layers):
        raise FileFormatError("two layers have the same name")
    if kind == "Sequential":
        return layers, {b.name: [a.name] for a, b in zip(layers, layers[1:])}, [layers[-1].name]
    if kind not in ("Functional", "Model"):
        raise UnsupportedLayerError(f"a model of class {kind}; supported: Sequential and Functional")
    feeding: dict[str, list[str]] = {}
    for layer in layers:
        if isinstance(layer.inbound, list) and len(layer.inbound) > 1:
            raise UnsupportedLayerError(
                f"{layer.label} is used {len(layer.inbound)} times; supported is once", layer=layer.name
            )
        feeding[layer.name] = list(_inbound(layer.inbound))
    starts = [layer for layer in layers if not feeding[layer.name]]
    if len(starts) != 1:
        raise UnsupportedLayerError(f"the model has {len(starts)} inputs; expected one")
    stated = list(_inbound(inner.get("output_layers"))) if isinstance(inner, dict) else []
    read = {name for names in feeding.values() for name in names}
    return layers, feeding, stated or [layer.name for layer in layers if layer.name not in read]


def _is_chain(layers: list[_Layer], feeding: dict[str, list[str]]) -> bool:
    """Whether the layers are dense ones and ReLUs in one chain."""
    read = [name for names in feeding.values() for name in names]
    straight = all(len(names) <= 1 for names in feeding.values()) and len(set(read)) == len(read)
    names = [activation_of(layer.config.get("activation"))[0] for layer in layers]
    plain = all(layer.kind in _CHAINED and name not in _GRAPHS_ONLY for layer, name in zip(layers, names))
    limited = any(layer.kind == "ReLU" and not is_plain_relu(layer.config) for layer in layers)
    heads = any(layer.kind == "Softmax" or "softmax" in str(layer.config.get("activation")) for layer in layers)
    shaped = heads and any(layer.kind == "Reshape" for layer in layers)  # which outputs a head compares
    return straight and plain and not limited and not shaped


def _in_order(layers: list[_Layer], feeding: dict[str, list[str]]) -> list[_Layer]:
    by_name = {layer.name: layer for layer in layers}
    follows = {names[0]: name for name, names in feeding.items() if names}
    at = next(layer.name for layer in layers if not feeding.get(layer.name))
    chain = [by_name[at]]
    while at in follows and len(chain) <= len(layers):
        at = follows[at]
        if at not in by_name:
            raise FileFormatError(f"the model reads a layer {at!r} that it does not have")
        chain.append(by_name[at])
    if len(chain) != len(layers):
        raise UnsupportedLayerError("the layers are not one chain from the input to the output")
    return chain


def _inbound(nodes: Any) -> Iterator[str]:
    """Names of the layers that feed a layer, in Keras 2's lists or Keras 3's nested objects."""
    stack = [nodes]
    steps = 0
    while stack:
        steps += 1
        if steps > 10_000:
            raise FileFormatError("inbound_nodes is too large")
        item = stack.pop()
        if isinstance(item, dict):
            config = item.get("config")
            history = config.get("keras_history") if isinstance(config, dict) else None
            if isinstance(history, list) and history and isinstance(history[0], str):
                yield history[0]
            else:
                stack.extend(reversed(list(item.values())))
        elif isinstance(item, list):
            if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int) and isinstance(item[2], int):
                yield item[0]
            else:
                stack.extend(reversed(item))


# ---- the numbers ----------------------------------------------------------------------------
class _Store:
    """Arrays of each layer, wherever the version of Keras put them."""

    def __init__(self, file: Hdf5, layers: list[_Layer], *, archived: bool) -> None:
        self.file = file
        self.groups: dict[str, str] = {}
        if not archived:
            root = "model_weights/" if "model_weights" in file else ""
            self.groups = {layer.name: root + layer.name for layer in layers}
            return
        # .keras numbers the layers by class: dense, dense_1, …; some wrote "layers\\dense" as one name
        seen: dict[str, int] = {}
        for layer in layers:
            stem = re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", layer.kind).lower()
            number = seen.get(stem, 0)
            seen[stem] = number + 1
            leaf = stem if number == 0 else f"{stem}_{number}"
            prefixes = ("layers/", "layers\\", "_layer_checkpoint_dependencies\\")
            choices = [prefix + name for prefix in prefixes for name in (leaf, layer.name)]
            self.groups[layer.name] = next((c for c in choices if c in file), choices[0])

    def arrays(self, layer: _Layer) -> dict[str, Array]:
        """Datasets of a layer by their last name ('kernel', 'bias', or '0', '1')."""
        found: dict[str, Array] = {}
        for path, array in self.file.below(self.groups[layer.name]).items():
            if array is None:
                continue  # counters, states of random generators
            key = path.rpartition("/")[2].partition(":")[0]
            if key in found:
                raise FileFormatError(f"{layer.label} has two arrays {key!r}")
            found[key] = array
        return found

    def wanted(self, layer: _Layer, names: list[str]) -> dict[str, Array]:
        """The arrays under these names; all as they are called in the file if none is given."""
        return self.named(layer, names) if names else self.arrays(layer)

    def named(self, layer: _Layer, names: list[str]) -> dict[str, Array]:
        """The arrays under their Keras names; ``names`` is their order where they are numbered."""
        raw = self.arrays(layer)
        if old := {n: f"{layer.name}_{_KERAS_1[n]}" for n in names if n in _KERAS_1}:  # as Keras 1 named them
            raw = {next((n for n, k in old.items() if k == key), key): v for key, v in raw.items()}
        numbered = sorted((k for k in raw if k.isdigit()), key=int)
        if numbered:
            if len(numbered) != len(names):
                raise ShapeError(
                    f"{layer.label} has {len(numbered)} arrays; expected {len(names)} ({', '.join(names)})"
                )
            return {n: raw[k] for n, k in zip(names, numbered)}
        missing = [n for n in names if n not in raw]
        if missing:
            raise FileFormatError(f"{layer.label} lacks {', '.join(missing)}; the file holds {listed(sorted(raw))}")
        return {n: raw[n] for n in names}


# ---- the chain ------------------------------------------------------------------------------
def _network(layers: list[_Layer], store: _Store, source: dict[str, Any]) -> ReLUNetwork:
    width = _input_width(layers, store)
    if width > max(store.file.size, 64):
        raise ShapeError(f"the input claims {width:,} features; the file has {store.file.size:,} bytes")
    chain = Chain(width)
    for layer in layers:
        config = layer.config
        if layer.kind in _IDLE:
            if config.get("data_format") == "channels_first":
                raise UnsupportedLayerError(
                    f"{layer.label} with channels first reorders the features", layer=layer.name
                )
            continue
        if layer.kind == "Dense":
            use_bias = config.get("use_bias", config.get("bias", True))
            arrays = store.named(layer, ["kernel", "bias"] if use_bias else ["kernel"])
            if arrays["kernel"].ndim != 2:
                raise ShapeError(f"{layer.label}: kernel of shape {arrays['kernel'].shape}; expected a matrix")
            stated = config.get("units", config.get("output_dim"))
            if stated is not None and stated != arrays["kernel"].shape[1]:
                raise ShapeError(
                    f"{layer.label}: kernel of shape {arrays['kernel'].shape}; the configuration states {stated!r} units"
                )
            chain.dense(arrays["kernel"].T, arrays.get("bias"), name=layer.name)
            _activate(chain, layer, config.get("activation"))
        elif layer.kind == "Activation":
            _activate(chain, layer, config.get("activation"))
        elif layer.kind == "Softmax":
            chain.finish("softmax", layer.name)
        elif layer.kind == "ReLU":
            chain.relu(layer.name)  # a plain one: all others make it a graph
        elif layer.kind == "BatchNormalization":
            _batchnorm(chain, layer, store)
        elif layer.kind == "Normalization":
            _normalization(chain, layer, store)
        elif layer.kind == "Rescaling":
            scale, offset = (
                _spread(config.get(k, d), chain.width, layer) for k, d in (("scale", 1.0), ("offset", 0.0))
            )
            chain.diagonal(scale=scale, shift=offset, name=layer.name)
        else:
            raise UnsupportedLayerError(f"{layer.label} is not supported; supported: {SUPPORTED}", layer=layer.name)
    return chain.network(source)


def _input_width(layers: list[_Layer], store: _Store) -> int:
    for layer in layers:
        shape = layer.config.get("batch_input_shape") or layer.config.get("batch_shape")
        if isinstance(shape, list) and len(shape) > 1 and all(isinstance(n, int) and n > 0 for n in shape[1:]):
            if len(shape) > 2 and not any(x.kind == "Flatten" for x in layers):
                raise UnsupportedLayerError(f"inputs of shape {shape} without a Flatten; expected one axis of features")
            return math.prod(shape[1:])
        if layer.kind == "Dense":
            kernel = store.arrays(layer)
            for array in kernel.values():
                if array.ndim == 2:
                    return int(array.shape[0])
    raise FileFormatError("the width of the input is not stated and no Dense layer shows it")


def _activate(chain: Chain, layer: _Layer, activation: Any) -> None:
    activation, _ = activation_of(activation)
    if activation in (None, "linear"):
        return
    if activation == "relu":
        chain.relu(layer.name)
    elif activation in _HEADS:
        chain.finish(_HEADS[activation], layer.name)
    else:
        raise UnsupportedLayerError(
            f"{layer.label} has the activation {activation!r}; supported: {SUPPORTED}", layer=layer.name
        )


def _batchnorm(chain: Chain, layer: _Layer, store: _Store) -> None:
    config = layer.config
    names = [n for n, key in (("gamma", "scale"), ("beta", "center")) if config.get(key, True)]
    arrays = store.named(layer, [*names, "moving_mean", "moving_variance"])
    epsilon = config.get("epsilon", 1e-3)
    if not isinstance(epsilon, int | float):
        raise FileFormatError(f"{layer.label}: epsilon is {epsilon!r}; expected a number")
    chain.normalisation(
        arrays["moving_mean"],
        arrays["moving_variance"],
        arrays.get("gamma"),
        arrays.get("beta"),
        epsilon=float(epsilon),
        name=layer.name,
    )


def _normalization(chain: Chain, layer: _Layer, store: _Store) -> None:
    config = layer.config
    if config.get("invert"):
        raise UnsupportedLayerError(f"{layer.label} with invert=True is not supported", layer=layer.name)
    mean, variance = config.get("mean"), config.get("variance")
    if mean is None or variance is None:
        raw = store.arrays(layer)
        floats = {k: v for k, v in raw.items() if v.ndim}
        if {"mean", "variance"} <= floats.keys():
            mean, variance = floats["mean"], floats["variance"]
        elif {"0", "1"} <= floats.keys():
            mean, variance = floats["0"], floats["1"]
        else:
            raise FileFormatError(f"{layer.label} lacks mean and variance; the file holds {listed(sorted(raw))}")
    mean, variance = (_spread(v, chain.width, layer) for v in (mean, variance))
    # Keras divides by max(sqrt(variance), 1e-7)
    if any(v < 1e-14 for v in variance.tolist()):
        raise UnsupportedLayerError(f"{layer.label}: a variance below 1e-14, where Keras replaces it", layer=layer.name)
    chain.normalisation(mean, variance, None, None, epsilon=0.0, name=layer.name)


def _spread(value: Any, width: int, layer: _Layer) -> Array:
    if isinstance(value, dict):  # Keras 3 writes arrays as {"class_name": "__numpy__", "config": {"value": …}}
        inner = value.get("config")
        value = inner.get("value") if isinstance(inner, dict) else None
    if isinstance(value, np.ndarray):
        array = value.reshape(-1)
    else:
        stack, flat = [value], []
        while stack:
            item = stack.pop()
            if isinstance(item, list):
                stack.extend(reversed(item))
            elif isinstance(item, int | float):
                flat.append(finite_fraction(item, layer.label))
            else:
                raise FileFormatError(f"{layer.label} holds {str(item)[:60]!r}; expected numbers")
        array = np.array(flat, dtype=object)
    if array.size not in (1, width):
        raise ShapeError(f"{layer.label} has {array.size} numbers for {width} features")
    return np.repeat(array, width) if array.size == 1 else array
