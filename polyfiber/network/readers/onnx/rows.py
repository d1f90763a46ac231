"""Whether the nodes of a graph treat the rows of a fixed batch alike and apart.

A first axis of fixed size is read as a batch, with each row one point, only where no node joins, moves or tells apart
rows. Every value that depends on the input keeps the batch as its first axis; what is not known to do so counts as
mixing rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....errors import UnsupportedLayerError
from .model import Node
from .movement import axes_of, axis_of, integers
from .signals import Signal

_ALONE = frozenset(
    [
        "AveragePool", "BatchNormalization", "Cast", "Clip", "Conv", "ConvTranspose", "DepthToSpace", "Dropout",
        "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "Identity", "LeakyRelu", "Abs", "MaxPool", "Neg", "Relu",
        "Scaler", "Shape", "Shrink", "Sigmoid", "SpaceToDepth", "ThresholdedRelu",
    ]
)  # fmt: skip
_BROADCAST = frozenset(["Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Sub", "Sum", "Where"])


class RowsMixed(UnsupportedLayerError):
    """A node works across the rows of a fixed batch."""


def check_rows(node: Node, args: Sequence[Any], batch: int, opset: int) -> None:
    """RowsMixed if a node, on values with the batch as a first axis of 1, is not known to treat rows alike and
    apart.
    """
    signals = [a for a in args if isinstance(a, Signal)]
    if not signals:
        return  # of constants, or behind the head
    if not all(s.shape and s.shape[0] == 1 for s in signals) or not _apart(node, args, batch, opset):
        raise RowsMixed(
            f"{node.label} works across the {batch} rows of the first axis, which is then no batch; "
            "export the model with a batch of 1 or an open one, or with all rows as features of one point",
            node=node.name,
            op=node.op,
        )


def _apart(node: Node, args: Sequence[Any], batch: int, opset: int) -> bool:
    op, x, attributes = node.op, args[0], node.attributes
    if op in _ALONE:
        return True
    if op in _BROADCAST:
        given = [a for a in args if a is not None]
        rank = max(len(a.shape) for a in given)
        return all(
            len(a.shape) == rank and a.shape[0] == 1
            if isinstance(a, Signal)
            else len(a.shape) < rank or a.shape[0] == 1
            for a in given
        )
    if op == "Gemm" and not isinstance(x, Signal) and not isinstance(args[1], Signal):  # one row that is added to all
        rows = x.shape[1 if attributes.get("transA", 0) else 0]
        return rows == 1 and all(len(a.shape) == 2 for a in args)
    if not isinstance(x, Signal):
        return op == "MatMul" and len(args[1].shape) > 2 and len(x.shape) <= len(args[1].shape)
    rank = len(x.shape)
    if op == "MatMul":
        return rank > 1 and len(args[1].shape) <= rank
    if op == "Gemm":
        shift = args[2] if len(args) > 2 else None
        if isinstance(shift, Signal):
            return not attributes.get("transA", 0) and len(shift.shape) == 2
        return not attributes.get("transA", 0) and (shift is None or len(shift.shape) < 2 or shift.shape[0] == 1)
    if op.startswith("Reduce"):
        axes = axes_of(node, args, rank)
        return 0 not in axes if axes else bool(attributes.get("noop_with_empty_axes", 0))
    if op in ("Softmax", "LogSoftmax", "ArgMax"):
        default = 0 if op == "ArgMax" else 1 if opset < 13 else -1
        return axis_of(node, rank, default) != 0
    return _moved_apart(node, args, batch, rank)


def _moved_apart(node: Node, args: Sequence[Any], batch: int, rank: int) -> bool:
    """Operations that move values: whether the first axis stays what it is."""
    op, attributes = node.op, node.attributes

    def given(key: str, at: int) -> list[int]:
        if key in attributes:
            return [int(v) for v in attributes[key]]
        return integers(args[at], f"{node.label}: {key}") if len(args) > at and args[at] is not None else []

    if op == "Reshape":
        target = given("shape", 1)
        return bool(target) and (target[0] in (batch, -1) or (target[0] == 0 and not attributes.get("allowzero", 0)))
    if op == "Flatten":
        axis = int(attributes.get("axis", 1))
        return (axis + rank if axis < 0 else axis) > 0
    if op == "Squeeze":
        return 0 not in (axes_of(node, args, rank) or [0])
    if op == "Unsqueeze":
        axes = given("axes", 1)
        return not any(a % (rank + len(axes)) == 0 for a in axes)
    if op == "Transpose":
        return int((attributes.get("perm") or [rank - 1])[0]) == 0
    if op == "CumSum":
        return integers(args[1], f"{node.label}: axis")[0] % rank != 0
    if op == "Trilu":
        return rank > 2
    if op in ("Concat", "Split", "Gather"):
        return axis_of(node, rank, 1 if op == "Concat" else 0) != 0
    if op == "Slice":
        starts, ends, steps = given("starts", 1), given("ends", 2), given("steps", 4)
        axes = given("axes", 3) or list(range(len(starts)))
        cuts = zip(starts, ends, axes, steps or [1] * len(starts))
        return all(axis % rank or (start == 0 and end >= batch and step == 1) for start, end, axis, step in cuts)
    if op == "Tile":
        return given("repeats", 1)[:1] == [1]
    if op == "Expand":
        shape = given("shape", 1)
        return len(shape) < rank or (len(shape) == rank and shape[0] in (1, batch))
    if op == "Pad":
        pads = given("pads", 1) or given("paddings", 1)
        axes = axes_of(node, args, rank, at=3) or list(range(rank))
        return not any(p for p, axis in zip(pads, [*axes, *axes]) if axis == 0)
    if op in ("Resize", "Upsample"):
        scales = list(attributes.get("scales", ()))
        if not scales and len(args) > 1:
            held = args[1] if op == "Upsample" or len(args) == 2 else args[2] if len(args) > 2 else None
            scales = [] if held is None else held.ravel().tolist()
        axes = [int(a) % rank for a in attributes.get("axes", range(rank))]
        return bool(scales) and all(f == 1 for f, axis in zip(scales, axes) if axis == 0) and len(args) < 4
    return False


def check_inputs(shapes: Sequence[Sequence[int | None] | None], batch: int, name: str) -> None:
    """RowsMixed if an input has not that batch as its first axis."""
    if any(dims is None or len(dims) < 2 or dims[0] != batch for dims in shapes):
        raise RowsMixed(
            f"the inputs, {name} among them, have first axes of different sizes, one of them {batch}, which is then no batch; "
            "export the model with a batch of 1 or an open one"
        )
