"""State dicts: named tensors without the wiring. What follows from the names, and what does not.

A state dict says which layers there are, not what stands between them. The convention here:
a ReLU follows every linear layer but the last. Two facts are checked, not assumed: the shapes
chain, and the order is known (the order of registration, numbers in the names, or shapes that
admit one order only). Everything assumed is in ``source['notes']``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError, InputError, ShapeError, UnsupportedLayerError
from ...words import listed
from ..folding import Chain
from ..model import ReLUNetwork

SUPPORTED = "linear layers (weight of two axes, bias) and batch normalisations (with running statistics)"
BATCHNORM_EPSILON = 1e-5
MAX_LAYERS = 2000
_IGNORED = ("num_batches_tracked", "_metadata")
_OTHER = re.compile(r"attn|attention|embed|(?:^|[._])[qkv](?:_proj)?(?:$|[._])|lstm|gru|rnn", re.IGNORECASE)


@dataclass
class _Layer:
    name: str
    parts: dict[str, Array] = field(default_factory=dict)

    @property
    def linear(self) -> bool:
        return self.parts["weight"].ndim == 2

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.parts["weight"].shape
        return rows, columns


def network_from_state(
    tensors: Mapping[str, Array],
    source: dict[str, Any],
    *,
    dtypes: set[str] | None = None,
    ordered: bool = True,
    head: str | None = None,
) -> ReLUNetwork:
    """Network of named tensors ``<layer>.weight``, ``<layer>.bias``.

    Parameters
    ----------
    tensors : mapping of str to array
    ordered : bool
        Whether the order of the mapping is the order of registration.
    dtypes : set of str, optional
        The floating dtypes of the file, where numpy's do not tell (bfloat16).
    head : str, optional
        The head, if the file states one.
    """
    layers = _group(tensors)
    notes = []
    linear = [layer for layer in layers if layer.linear]
    norms = [layer for layer in layers if not layer.linear]
    if odd := next((layer.name for layer in layers if _OTHER.search(layer.name)), None):
        raise UnsupportedLayerError(
            f"layer {odd!r} is not of a chain of linear layers; supported: {SUPPORTED}", layer=odd
        )
    if len(layers) > MAX_LAYERS:
        raise InputError(f"{len(layers):,} layers; the limit is {MAX_LAYERS:,}")
    if not linear:
        raise InputError(f"no linear layer among {listed(tensors)}; expected names like '0.weight', '0.bias'")
    linear, how = _order(linear, ordered)
    notes.append(f"a state dict does not say what stands between layers: ReLU is assumed; order by {how}")
    pairs = [(a.name, b.name) for a, b in zip(linear[:-1], linear[1:]) if _adjacent(a.name, b.name)]
    if pairs:
        notes.append(
            f"{pairs[0][0]} and {pairs[0][1]} are neighbours; in one Sequential nothing would stand between them"
        )
    before, after = _place(norms, linear)
    if norms:
        notes.append(f"epsilon of the batch normalisations is not in a state dict: {BATCHNORM_EPSILON} is assumed")
    if dtypes:
        source["dtype"] = "+".join(sorted(dtypes))
    chain = Chain(linear[0].shape[1])
    for i, layer in enumerate(linear):
        chain.dense(layer.parts["weight"], layer.parts.get("bias"), name=layer.name)
        for norm in before.get(layer.name, ()):
            _normalise(chain, norm)
        if i < len(linear) - 1:
            chain.relu(f"ReLU after {layer.name}")
            for norm in after.get(layer.name, ()):
                _normalise(chain, norm)
    if head:
        chain.finish(str(head))
    return chain.network(source, notes=notes)


def _group(tensors: Mapping[str, Array]) -> list[_Layer]:
    layers: dict[str, _Layer] = {}
    for key, value in tensors.items():
        prefix, _, part = key.rpartition(".")
        if part in _IGNORED:
            continue
        if part not in ("weight", "bias", "running_mean", "running_var", "weight_orig", "weight_mask"):
            raise UnsupportedLayerError(
                f"tensor {key!r} belongs to a layer that is not supported: {SUPPORTED}", key=key
            )
        layers.setdefault(prefix, _Layer(prefix or "layer")).parts[part] = np.asarray(value)
    for layer in layers.values():
        parts = layer.parts
        if "weight_orig" in parts and "weight_mask" in parts:  # torch.nn.utils.prune
            mask = parts.pop("weight_mask")
            if mask.shape != parts["weight_orig"].shape or not np.isin(mask, (0, 1)).all():
                raise UnsupportedLayerError(f"layer {layer.name!r} has a mask that is not of zeros and ones")
            original = parts.pop("weight_orig")
            parts["weight"] = np.where(mask != 0, original, np.zeros_like(original))
        weight = parts.get("weight")
        if weight is None and "running_mean" in parts:
            parts["weight"] = np.ones_like(parts["running_mean"])
        elif weight is None:
            raise FileFormatError(f"layer {layer.name!r} has {sorted(parts)} and no weight")
        elif weight.ndim > 2:
            raise UnsupportedLayerError(
                f"layer {layer.name!r} has a weight of shape {weight.shape}, a convolution; supported: {SUPPORTED}",
                layer=layer.name,
            )
        elif weight.ndim < 2 and not {"running_mean", "running_var"} <= parts.keys():
            raise UnsupportedLayerError(
                f"layer {layer.name!r} has a weight of shape {weight.shape} and no running statistics "
                f"(PReLU, LayerNorm?); supported: {SUPPORTED}",
                layer=layer.name,
            )
    return list(layers.values())


def _adjacent(a: str, b: str) -> bool:
    """Whether two names are numbers i and i + 1 of one container."""
    (head, _, i), (other, _, j) = a.rpartition("."), b.rpartition(".")
    return head == other and i.isdigit() and j.isdigit() and int(j) == int(i) + 1


def _chains(layers: list[_Layer]) -> bool:
    return all(a.shape[0] == b.shape[1] for a, b in zip(layers[:-1], layers[1:]))


def _natural(name: str) -> list[Any]:
    return [(1, int(t), "") if t.isdigit() else (0, 0, t) for t in re.split(r"(\d+)", name) if t]


def _order(layers: list[_Layer], ordered: bool) -> tuple[list[_Layer], str]:
    """Layers in order of evaluation and how that order is known."""
    if ordered and _chains(layers):
        return layers, "registration"
    templates = {re.sub(r"\d+", "#", layer.name) for layer in layers}
    if len(templates) == 1:
        by_name = sorted(layers, key=lambda layer: _natural(layer.name))
        if _chains(by_name):
            return by_name, "the numbers in the names"
    found = _orders_by_shape(layers)
    shapes = ", ".join(f"{layer.name} {layer.shape}" for layer in layers[:8])
    if not found:
        raise ShapeError(f"the layers do not chain in any order: {shapes}; expected (outputs, inputs) that follow on")
    if len(found) > 1:
        raise InputError(
            f"the order of the layers is not known from names or shapes: {shapes}. "
            "Number them (0.weight, 1.weight, …) or export to ONNX"
        )
    return found[0], "shapes"


def _orders_by_shape(layers: list[_Layer], limit: int = 20_000) -> list[list[_Layer]]:
    """Up to two orders in which the shapes chain."""
    if len(layers) > 64:
        raise InputError(f"the order of the layers is not known: {len(layers)} of them. Number them (0.weight, …)")
    found: list[list[_Layer]] = []
    steps = 0
    stack: list[tuple[list[int], frozenset[int]]] = [([i], frozenset([i])) for i in range(len(layers))]
    while stack and len(found) < 2:
        steps += 1
        if steps > limit:
            raise InputError("the order of the layers is not known; number them (0.weight, 1.weight, …)")
        path, used = stack.pop()
        if len(path) == len(layers):
            found.append([layers[i] for i in path])
            continue
        width = layers[path[-1]].shape[0]
        stack.extend(
            ([*path, i], used | {i}) for i, layer in enumerate(layers) if i not in used and layer.shape[1] == width
        )
    return found


def _place(norms: list[_Layer], linear: list[_Layer]) -> tuple[dict[str, list[_Layer]], dict[str, list[_Layer]]]:
    """Batch normalisations before and after the ReLU of each linear layer, by index in a Sequential."""
    before: dict[str, list[_Layer]] = {}
    after: dict[str, list[_Layer]] = {}

    def split(name: str) -> tuple[str, int]:
        head, _, last = name.rpartition(".")
        if not last.isdigit():
            raise UnsupportedLayerError(
                f"batch normalisation {name!r}: a state dict does not say whether it stands before or after the ReLU "
                "(it does for the numbered layers of a Sequential). Pass the module to from_torch, or export to ONNX",
                layer=name,
            )
        return head, int(last)

    for norm in norms:
        head, index = split(norm.name)
        places = [(split(layer.name), layer) for layer in linear]
        behind = [(i, layer) for (h, i), layer in places if h == head and i < index]
        if not behind:
            raise UnsupportedLayerError(f"batch normalisation {norm.name!r} stands before the first linear layer")
        i, owner = max(behind, key=lambda pair: pair[0])
        (before if index == i + 1 else after).setdefault(owner.name, []).append(norm)
        if index != i + 1 and owner is linear[-1]:
            raise UnsupportedLayerError(f"batch normalisation {norm.name!r} follows the last layer's activation")
    return before, after


def _normalise(chain: Chain, norm: _Layer) -> None:
    p = norm.parts
    chain.normalisation(
        p["running_mean"], p["running_var"], p["weight"], p.get("bias"), epsilon=BATCHNORM_EPSILON, name=norm.name
    )
