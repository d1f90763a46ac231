"""Operations that move values about: the same code for constants and for slots of signals.

Nothing is computed here, so arrays of numbers and arrays of slots are treated alike: numpy's indexing is what ONNX
means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ...._typing import Array, IntArray
from ....errors import FileFormatError, ShapeError, UnsupportedLayerError
from .model import Node

MOST_PLACES = 1 << 16
"""Values along an axis that is resized."""


@dataclass(frozen=True)
class Moved:
    """How to move: ``room`` checks a shape before it is made, ``fill`` turns constants into values of the kind that
    moves.
    """

    room: Callable[[Node, Sequence[int]], tuple[int, ...]]
    fill: Callable[[Array], Array]
    reshape: Callable[[list[int]], list[int]] = lambda target: target


def integers(thing: Any, what: str) -> list[int]:
    """A constant of integers as a list."""
    if not isinstance(thing, np.ndarray) or thing.dtype.kind not in "iu":
        raise UnsupportedLayerError(f"{what} must be constant integers; shapes that depend on data are not supported")
    return [int(n) for n in thing.ravel().tolist()]


def axes_of(node: Node, args: Sequence[Any], rank: int, at: int = 1) -> list[int] | None:
    """The axes that an attribute or input states, from 0; None if none does."""
    given = node.attributes.get("axes")
    if given is None and len(args) > at and args[at] is not None:
        given = integers(args[at], f"{node.label}: axes")
    if given is None:
        return None
    if any(not -rank <= a < rank for a in given) or len({a % rank for a in given}) != len(given):
        raise FileFormatError(f"{node.label}: axes {list(given)} of a tensor with {rank} axes")
    return [int(a) % rank for a in given]


def axis_of(node: Node, rank: int, default: int = 0) -> int:
    """The one axis that an attribute states, from 0."""
    axis = int(node.attributes.get("axis", default))
    if not -rank <= axis < max(rank, 1):
        raise FileFormatError(f"{node.label}: axis {axis} of a tensor with {rank} axes")
    return axis % rank if rank else 0


def moved(node: Node, args: list[Any], how: Moved) -> list[Array]:
    """The outputs of an operation of `MOVING`, which moves the values of its first input.

    ``args[0]`` is an array of what moves (all inputs of ``Concat`` are); the others are constants.
    """
    if not args or args[0] is None:
        raise FileFormatError(f"{node.label} lacks its first input")
    result = _METHODS[node.op](node, args, how)
    return result if isinstance(result, list) else [result]


def _identity(node: Node, args: list[Any], how: Moved) -> Array:
    return np.asarray(args[0])


def _reshape(node: Node, args: list[Any], how: Moved) -> Array:
    x = args[0]
    given = node.attributes["shape"] if "shape" in node.attributes else integers(args[1], f"{node.label}: the shape")
    target = [int(n) for n in given]
    if not node.attributes.get("allowzero", 0):
        if any(n == 0 and i >= x.ndim for i, n in enumerate(target)):
            raise ShapeError(f"{node.label}: the shape {target} for {x.shape}")
        target = [x.shape[i] if n == 0 else n for i, n in enumerate(target)]
    target = how.reshape(target)
    rest = math.prod(n for n in target if n != -1)
    if target.count(-1) > 1 or any(n < -1 for n in target) or len(target) > 16:
        raise ShapeError(f"{node.label}: the shape {target} is not one")
    if (rest == 0 or x.size % rest) if -1 in target else rest != x.size:
        raise ShapeError(f"{node.label}: {x.shape} does not fit the shape {target}")
    return np.asarray(x.reshape(target))


def _flatten(node: Node, args: list[Any], how: Moved) -> Array:
    x = args[0]
    axis = int(node.attributes.get("axis", 1))
    if not -x.ndim <= axis <= x.ndim:
        raise FileFormatError(f"{node.label}: axis {axis} of a tensor with {x.ndim} axes")
    axis = axis + x.ndim if axis < 0 else axis
    return np.asarray(x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def _squeeze(node: Node, args: list[Any], how: Moved) -> Array:
    x = args[0]
    axes = axes_of(node, args, x.ndim)
    if axes is not None and any(x.shape[a] != 1 for a in axes):
        raise ShapeError(f"{node.label}: axes {axes} of {x.shape} are not of size 1")
    return np.squeeze(x) if axes is None else np.squeeze(x, tuple(axes))


def _unsqueeze(node: Node, args: list[Any], how: Moved) -> Array:
    x = args[0]
    raw = node.attributes.get("axes")
    axes = integers(args[1], f"{node.label}: axes") if raw is None and len(args) > 1 else list(raw or [])
    rank = x.ndim + len(axes)
    places = {a % rank for a in axes} if axes else set()
    if len(places) != len(axes) or rank > 16 or any(not -rank <= a < rank for a in axes):
        raise FileFormatError(f"{node.label}: cannot insert axes {axes} into a tensor with {x.ndim} axes")
    return np.expand_dims(x, tuple(places))


def _transpose(node: Node, args: list[Any], how: Moved) -> Array:
    x = args[0]
    perm = node.attributes.get("perm") or list(range(x.ndim))[::-1]
    if sorted(perm) != list(range(x.ndim)):
        raise FileFormatError(f"{node.label}: {list(perm)} is not a permutation of {x.ndim} axes")
    return np.transpose(x, perm)


def _concat(node: Node, args: list[Any], how: Moved) -> Array:
    parts = [x for x in args if x is not None]
    axis = axis_of(node, parts[0].ndim, 1)
    others = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in parts}
    if len(others) != 1 or len({x.ndim for x in parts}) != 1:
        raise ShapeError(f"{node.label}: tensors of shapes {[x.shape for x in parts][:6]} along axis {axis}")
    how.room(node, (sum(x.shape[axis] for x in parts), *others.pop()))
    return np.concatenate(parts, axis=axis)


def _split(node: Node, args: list[Any], how: Moved) -> list[Array]:
    x, count = args[0], len(node.outputs)
    axis = axis_of(node, x.ndim)
    sizes = node.attributes.get("split")
    if sizes is None and len(args) > 1 and args[1] is not None:
        sizes = integers(args[1], f"{node.label}: split")
    if sizes is None:
        each = -(-x.shape[axis] // count)
        sizes = [min(each, x.shape[axis] - i * each) for i in range(count)]
    if len(sizes) != count or sum(sizes) != x.shape[axis] or min(sizes, default=0) < 0:
        raise ShapeError(f"{node.label}: parts of {list(sizes)} of an axis of {x.shape[axis]} for {count} outputs")
    return np.split(x, np.cumsum(sizes)[:-1], axis=axis)


def _slice(node: Node, args: list[Any], how: Moved) -> Array:
    x = args[0]
    if "starts" in node.attributes:
        starts, ends = list(node.attributes["starts"]), list(node.attributes.get("ends", []))
        axes = node.attributes.get("axes", range(len(starts)))
        steps: Sequence[int] = [1] * len(starts)
    else:
        if len(args) < 3:
            raise FileFormatError(f"{node.label} lacks starts and ends")
        starts, ends = (integers(a, f"{node.label}: starts and ends") for a in args[1:3])
        axes = integers(args[3], f"{node.label}: axes") if len(args) > 3 and args[3] is not None else range(len(starts))
        steps = (
            integers(args[4], f"{node.label}: steps") if len(args) > 4 and args[4] is not None else [1] * len(starts)
        )
    lengths = {len(starts), len(ends), len(axes), len(steps)}
    if len(lengths) != 1 or any(not -x.ndim <= a < x.ndim for a in axes) or 0 in steps:
        raise FileFormatError(f"{node.label}: starts {starts}, ends {ends}, axes {list(axes)}, steps {list(steps)}")
    where = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps):
        n = x.shape[axis]
        start = start + n if start < 0 else start
        end = end + n if end < 0 else end
        if step > 0:
            where[axis] = slice(min(max(start, 0), n), min(max(end, 0), n), step)
        else:
            start, end = min(max(start, 0), n - 1), min(max(end, -1), n - 1)
            where[axis] = slice(start, None if end < 0 else end, step)
    return np.asarray(x[tuple(where)])


def _gather(node: Node, args: list[Any], how: Moved) -> Array:
    x = args[0]
    axis = axis_of(node, x.ndim)
    indices = _indices(node, args[1], x.shape[axis])
    how.room(node, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    return np.take(x, indices, axis=axis)


def _gather_elements(node: Node, args: list[Any], how: Moved) -> Array:
    x = args[0]
    axis = axis_of(node, x.ndim)
    indices = _indices(node, args[1], x.shape[axis])
    how.room(node, indices.shape)
    return np.take_along_axis(x, indices, axis=axis)


def _indices(node: Node, indices: Any, size: int) -> IntArray:
    if not isinstance(indices, np.ndarray) or indices.dtype.kind not in "iu":
        raise UnsupportedLayerError(f"{node.label}: indices that depend on the input are not supported", op=node.op)
    flat = indices.astype(np.int64)
    if flat.size and not -size <= flat.min() <= flat.max() < size:
        raise ShapeError(f"{node.label}: indices {flat.min()} to {flat.max()} of an axis of {size}")
    return np.asarray(np.where(flat < 0, flat + size, flat))


def _expand(node: Node, args: list[Any], how: Moved) -> Array:
    shape = integers(args[1], f"{node.label}: the shape")
    shape = how.reshape(shape) if len(shape) == args[0].ndim else shape
    full = np.broadcast_shapes(args[0].shape, tuple(how.room(node, shape)))
    return np.broadcast_to(args[0], how.room(node, full))


def _tile(node: Node, args: list[Any], how: Moved) -> Array:
    repeats = integers(args[1], f"{node.label}: repeats")
    if len(repeats) != args[0].ndim:
        raise ShapeError(f"{node.label}: repeats {repeats} of a tensor with {args[0].ndim} axes")
    how.room(node, [n * r for n, r in zip(args[0].shape, repeats)])
    return np.tile(args[0], repeats)


def _pad(node: Node, args: list[Any], how: Moved) -> Array:
    x, mode = args[0], node.attributes.get("mode", "constant")
    pads = node.attributes.get("pads", node.attributes.get("paddings"))
    if pads is None:
        pads = integers(args[1], f"{node.label}: pads")
    axes = axes_of(node, args, x.ndim, at=3) or list(range(x.ndim))
    if len(pads) != 2 * len(axes):
        raise FileFormatError(f"{node.label}: {len(pads)} pads for {len(axes)} axes")
    before, after = [0] * x.ndim, [0] * x.ndim
    for k, axis in enumerate(axes):
        before[axis], after[axis] = int(pads[k]), int(pads[k + len(axes)])
    how.room(node, [max(0, n + a) + max(0, b) for n, a, b in zip(x.shape, before, after)])
    x = x[tuple(slice(max(0, -a), n - max(0, -b)) for a, b, n in zip(before, after, x.shape))]
    widths = [(max(0, a), max(0, b)) for a, b in zip(before, after)]
    if mode == "constant":
        value = np.zeros(1, dtype=np.int64) if x.dtype.kind in "iu" else np.zeros(1)
        if len(args) > 2 and args[2] is not None and np.size(args[2]):
            value = np.asarray(args[2]).reshape(-1)[:1]
        elif node.attributes.get("value"):
            value = np.array([node.attributes["value"]])
        return np.pad(x, widths, constant_values=how.fill(value)[0])
    if mode not in ("edge", "reflect", "wrap"):
        raise UnsupportedLayerError(f"{node.label}: padding by {mode!r} is not supported", op=node.op)
    if any(n == 0 or (mode == "reflect" and max(w) >= max(n, 2)) for n, w in zip(x.shape, widths)):
        raise ShapeError(f"{node.label}: pads {list(pads)} are too wide for {x.shape}")
    return np.pad(x, widths, mode=mode)


def _depth_to_space(node: Node, args: list[Any], how: Moved) -> Array:
    x, b = args[0], int(node.attributes.get("blocksize", 0))
    if x.ndim != 4 or b < 1 or x.shape[1] % (b * b):
        raise ShapeError(f"{node.label}: blocks of {b} of a tensor of shape {x.shape}")
    n, c, h, w = x.shape
    if node.attributes.get("mode", "DCR") == "DCR":
        y = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return np.asarray(y.reshape(n, c // (b * b), h * b, w * b))


def _space_to_depth(node: Node, args: list[Any], how: Moved) -> Array:
    x, b = args[0], int(node.attributes.get("blocksize", 0))
    if x.ndim != 4 or b < 1 or x.shape[2] % b or x.shape[3] % b:
        raise ShapeError(f"{node.label}: blocks of {b} of a tensor of shape {x.shape}")
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    return np.asarray(y.reshape(n, c * b * b, h // b, w // b))


def _resize(node: Node, args: list[Any], how: Moved) -> Array:
    """Nearest neighbours only: every new value is an old one."""
    x, a = args[0], node.attributes
    if a.get("mode", "nearest") != "nearest":
        raise UnsupportedLayerError(f"{node.label}: resizing by {a['mode']!r} is not supported; nearest is", op=node.op)
    old = node.op == "Upsample" or len(args) == 2  # (X, scales), before opset 11
    at = 1 if old else 2
    scales, sizes = args[at] if len(args) > at else None, args[3] if len(args) > 3 else None
    if scales is None and "scales" in a:
        scales = np.array(a["scales"])
    axes = [int(k) % x.ndim for k in a.get("axes", range(x.ndim))]
    if sizes is not None and np.size(sizes):
        target = integers(sizes, f"{node.label}: sizes")
        factors = [Fraction(t, x.shape[k]) for t, k in zip(target, axes)]
        if a.get("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise UnsupportedLayerError(f"{node.label}: keeps an aspect ratio; not supported", op=node.op)
    elif isinstance(scales, np.ndarray) and scales.size:
        factors = [Fraction(float(v)) for v in scales.ravel().tolist()]
        target = [math.floor(x.shape[k] * f) for k, f in zip(axes, factors)]
        rounded = [math.floor(np.float32(x.shape[k]) * np.float32(f)) for k, f in zip(axes, factors)]
        if target != rounded:
            raise UnsupportedLayerError(
                f"{node.label}: whether it gives {target} or {rounded} depends on rounding, and runtimes disagree",
                node=node.name,
                op=node.op,
            )
    else:
        raise UnsupportedLayerError(f"{node.label}: scales or sizes must be constant", op=node.op)
    if len(target) != len(axes) or any(f <= 0 for f in factors):
        raise ShapeError(f"{node.label}: {len(target)} sizes for {len(axes)} axes")
    full = list(x.shape)
    for k, t in zip(axes, target):
        full[k] = t
    how.room(node, full)
    place = a.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    rounding = a.get("nearest_mode", "floor" if old else "round_prefer_floor")
    for k, t, f in zip(axes, target, factors):
        if t != x.shape[k] or f != 1:
            x = np.take(x, _nearest(node, x.shape[k], t, f, place, rounding), axis=k)
    return x


def _nearest(node: Node, n: int, target: int, factor: Fraction, place: str, rounding: str) -> list[int]:
    """Which old value stands at each new place; the same in rationals and as runtimes compute it in floats, or an
    error.
    """
    rounded: dict[str, Callable[[Any], int]] = {
        "round_prefer_floor": lambda v: math.ceil(v - Fraction(1, 2)),
        "round_prefer_ceil": lambda v: math.floor(v + Fraction(1, 2)),
        "floor": math.floor,
        "ceil": math.ceil,
    }
    if place not in _POSITIONS or rounding not in rounded:
        raise UnsupportedLayerError(
            f"{node.label}: resizing by {place!r} and {rounding!r} is not supported", op=node.op
        )
    if target > MOST_PLACES:
        raise ShapeError(f"{node.label}: an axis of {target:,} values; the limit is {MOST_PLACES:,}")
    found = []
    kinds: tuple[Any, ...] = (Fraction, np.float32, np.float64)
    for number in kinds:
        f, half = number(factor.numerator) / number(factor.denominator), number(1) / number(2)
        for inverse in (None, number(1) / f):
            over = (lambda v, by=f: v / by) if inverse is None else (lambda v, by=inverse: v * by)
            places = [_POSITIONS[place](number(i), number(n), number(target), over, half) for i in range(target)]
            exact = [v if isinstance(v, Fraction) else Fraction(float(v)) for v in places]
            found.append([min(max(rounded[rounding](v), 0), n - 1) for v in exact])
    if any(other != found[0] for other in found) or (n == target and found[0] != list(range(n))):
        raise UnsupportedLayerError(
            f"{node.label}: resizing {n} values to {target} by {float(factor)!r} depends on rounding, and runtimes disagree; "
            "scales that are whole numbers or halves are read",
            node=node.name,
            op=node.op,
        )
    return found[0]


_POSITIONS: dict[str, Callable[[Any, Any, Any, Callable[[Any], Any], Any], Any]] = {
    "half_pixel": lambda i, n, t, over, half: over(i + half) - half,
    "pytorch_half_pixel": lambda i, n, t, over, half: over(i + half) - half if t > 1 else i * 0,
    "asymmetric": lambda i, n, t, over, half: over(i),
    "align_corners": lambda i, n, t, over, half: i * (n - 1) / (t - 1) if t > 1 else i * 0,
}


def _gather_nd(node: Node, args: list[Any], how: Moved) -> Array:
    x, indices, batch = args[0], args[1], int(node.attributes.get("batch_dims", 0))
    if not isinstance(indices, np.ndarray) or indices.dtype.kind not in "iu" or not indices.ndim:
        raise UnsupportedLayerError(f"{node.label}: indices that depend on the input are not supported", op=node.op)
    depth = indices.shape[-1]
    if not 1 <= depth <= x.ndim - batch or x.shape[:batch] != indices.shape[:batch] or batch >= indices.ndim:
        raise ShapeError(f"{node.label}: indices of shape {indices.shape} into a tensor of shape {x.shape}")
    how.room(node, (*indices.shape[:-1], *x.shape[batch + depth :]))
    lead = np.indices(indices.shape[:batch])
    where = [v.reshape(*v.shape, *[1] * (indices.ndim - 1 - batch)) for v in lead]
    where += [_indices(node, indices[..., k], x.shape[batch + k]) for k in range(depth)]
    return np.asarray(x[tuple(where)])


def _trilu(node: Node, args: list[Any], how: Moved) -> Array:
    x, k = args[0], integers(args[1], f"{node.label}: k")[0] if len(args) > 1 and args[1] is not None else 0
    if x.ndim < 2:
        raise ShapeError(f"{node.label}: a tensor of shape {x.shape}; expected two axes or more")
    rows, columns = np.indices(x.shape[-2:])
    keep = columns - rows >= k if node.attributes.get("upper", 1) else columns - rows <= k
    return np.where(keep, x, how.fill(np.zeros(1, dtype=np.int64 if x.dtype.kind in "iu" else np.float64))[0])


_METHODS: dict[str, Callable[[Node, list[Any], Moved], Array | list[Array]]] = {
    "Identity": _identity,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Trilu": _trilu,
    "Expand": _expand,
    "Tile": _tile,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Resize": _resize,
    "Upsample": _resize,
}

MOVING = frozenset(_METHODS)
"""The operations that `moved` knows."""
