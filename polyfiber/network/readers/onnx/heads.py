"""What stands behind the head of a network: what keeps its meaning is passed, decisions are named, the rest is refused.

The network as read gives the logits. Behind the head may stand other shapes of the same values, ``1 - p`` of a sigmoid
(the logits are negated), the pair ``(1 - p, p)``, and decisions: the largest value, ``p > 1/2``, and names for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....errors import FileFormatError, UnsupportedLayerError
from .model import DTYPES, Node
from .signals import SUPPORTED, Beyond, Signal, refuse

HEADS = {"Sigmoid": "sigmoid", "Softmax": "softmax", "LogSoftmax": "log-softmax", "ArgMax": "argmax"}
_SHAPES = frozenset(["Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"])


def after_head(node: Node, args: Sequence[Any]) -> Beyond:
    """What a node makes of something behind the head."""
    beyond = [a for a in args if isinstance(a, Beyond)]
    head = beyond[0].head
    if any(isinstance(a, Signal) for a in args) or len({id(b.signal) for b in beyond}) > 1:
        raise _late(node, beyond[0])
    if len(beyond) == 1 and node.op in ("Add", "Mul", "Div"):
        raise refuse(beyond[0].node, f"is rescaled by {node.label}; a {head} is read as the last layer only")
    form = _form(node, args, beyond)
    if form is None:
        raise _late(node, beyond[0])
    plain = node.op in _SHAPES or (node.op == "Cast" and form != "label") or form == "complement"
    dropped = tuple(dict.fromkeys(d for b in beyond for d in b.dropped))
    held = beyond[0]
    if node.op == "Transpose":
        plain, held = True, replace(held, signal=_transposed(node, held.signal))
    axis = held.axis if node.op in ("Cast", "Identity") else None
    return replace(held, form=form, axis=axis, dropped=dropped if plain else (*dropped, node.label))


def _transposed(node: Node, signal: Signal) -> Signal:
    rank = len(signal.shape)
    order = node.attributes.get("perm") or list(range(rank))[::-1]
    if sorted(order) != list(range(rank)):
        raise FileFormatError(f"{node.label}: {list(order)} is not a permutation of {rank} axes")
    return Signal(np.transpose(signal.slots, order))


def _late(node: Node, held: Beyond) -> UnsupportedLayerError:
    return refuse(
        held.node,
        f"stands inside the network: {node.label} comes after it and changes what it means. A {held.head} is not piecewise linear, "
        "and is read as the last layer only. Export the logits, or train with HardSigmoid, Clip or Relu between layers. "
        f"Supported: {SUPPORTED}",
    )


def _form(node: Node, args: Sequence[Any], beyond: Sequence[Beyond]) -> str | None:
    """The form of the result, None where the node is not known to keep the meaning."""
    op, a, held = node.op, node.attributes, beyond[0]
    form, size = held.form, held.signal.slots.size
    first = args[0] is held
    if op == "Concat":  # the two classes of one sigmoid
        forms = [b.form for b in beyond]
        return "pair" if len(args) == 2 and forms == ["complement", "values"] and size == 1 else None
    if len(beyond) > 1:
        return None
    if op == "Transpose":  # other values would stand where they are not: only of the shape that the head has
        return form if form in ("values", "complement") and held.axis is not None else None
    if op in _SHAPES or op == "ZipMap":
        return form if first else None
    if op == "Cast":
        floats = DTYPES.get(a.get("to", 1), "").startswith("float")
        return form if floats or form == "label" else None
    if form == "label":
        if op in ("Gather", "ArrayFeatureExtractor"):  # names of the classes
            return "label" if len(args) > 1 and args[1] is held else None
        if op == "Where" and first and all(isinstance(v, np.ndarray) and v.size == 1 for v in args[1:3]):
            return "label" if bool(np.all(args[1] > args[2])) else None
        return "label" if op == "LabelEncoder" else None
    if op == "Sub" and held.head == "sigmoid" and form in ("values", "complement"):
        one = args[0]
        plain = isinstance(one, np.ndarray) and one.size in (1, size) and bool(np.all(one == 1))
        return None if not plain else "complement" if form == "values" else "values"
    if held.groups > 1:  # values of different groups are not ordered as their logits are
        along = int(a.get("axis", 0)) % max(1, len(held.signal.shape)) if op == "ArgMax" else None
        return "label" if along is not None and along == held.axis and form == "values" else None
    if op == "Normalizer":
        return form if form == "pair" or held.head == "softmax" else None
    if form == "complement":
        return None
    if op == "ArgMax":
        rank = max(1, len(held.signal.shape))
        across = int(a.get("axis", 0)) % rank == 0 and rank > 1
        return None if across or (size == 1 and form != "pair") else "label"
    if op == "TopK":
        return "label" if a.get("largest", 1) and (size > 1 or form == "pair") else None
    if op in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        limit = args[1] if first else args[0]
        half = isinstance(limit, np.ndarray) and limit.size in (1, size) and bool(np.all(limit == 0.5))
        return "label" if half and form == "values" and held.head == "sigmoid" and first == op.startswith("G") else None
    if op == "Gather":
        every = isinstance(args[1], np.ndarray) and np.array_equal(args[1].ravel(), np.arange(size))
        return form if every and form == "values" and a.get("axis", 0) != 0 else None
    return None
