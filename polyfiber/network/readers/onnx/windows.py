"""Windows of convolutions and poolings over arrays of slots."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...._typing import IntArray
from ....errors import FileFormatError, ShapeError
from .model import Node
from .signals import refuse


@dataclass(frozen=True)
class Windows:
    """Sizes of windows along each spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    sizes: tuple[int, ...]  # of the output
    overhang: tuple[int, ...]  # how far windows reach beyond the padding, where sizes are rounded up

    @property
    def reach(self) -> tuple[int, ...]:
        """Extent of a window, dilation included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations))

    def of(self, slots: IntArray, missing: int) -> IntArray:
        """(…, *sizes, *kernel): the slots in each window; ``missing`` where there are none."""
        lead = slots.ndim - len(self.kernel)
        widths = [(0, 0)] * lead + [(b, a + o) for b, a, o in zip(self.before, self.after, self.overhang)]
        padded = np.pad(slots, widths, constant_values=missing)
        views = np.lib.stride_tricks.sliding_window_view(padded, self.reach, axis=tuple(range(lead, slots.ndim)))
        starts = tuple(slice(0, (n - 1) * s + 1, s) for n, s in zip(self.sizes, self.strides))
        inside = tuple(slice(None, None, d) for d in self.dilations)
        return np.asarray(views[(slice(None),) * lead + starts + inside])


def numbers(node: Node, key: str, count: int, default: int, least: int = 1) -> tuple[int, ...]:
    """An attribute of one number per spatial axis."""
    values = node.attributes.get(key) or [default] * count
    if len(values) != count or any(int(v) < least or int(v) > 1 << 30 for v in values):
        raise FileFormatError(f"{node.label}: {key} {list(values)[:8]}; expected {count} numbers of at least {least}")
    return tuple(int(v) for v in values)


def windows(node: Node, shape: tuple[int, ...], kernel: tuple[int, ...]) -> Windows:
    """The windows that a node describes on a tensor of batch, channels and spatial axes."""
    sizes = shape[2:]
    n = len(sizes)
    if n < 1 or len(kernel) != n or min(kernel) < 1:
        raise ShapeError(f"{node.label}: windows {kernel} on a tensor of shape {shape}")
    strides, dilations = numbers(node, "strides", n, 1), numbers(node, "dilations", n, 1)
    auto = node.attributes.get("auto_pad", "NOTSET")
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        if max(dilations) > 1 or ("Pool" in node.op and any(k < s for k, s in zip(kernel, strides))):
            raise refuse(
                node, f"pads by {auto} with dilations {dilations}, strides {strides}: runtimes disagree; state its pads"
            )
        out = [-(-size // s) for size, s in zip(sizes, strides)]
        total = [max(0, (o - 1) * s + r - size) for o, s, r, size in zip(out, strides, reach, sizes)]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        before, after = (less, more) if auto == "SAME_UPPER" else (more, less)
    elif auto in ("NOTSET", "VALID"):
        pads = node.attributes.get("pads") if auto == "NOTSET" else None
        pads = [int(p) for p in pads or [0] * (2 * n)]
        if len(pads) != 2 * n or min(pads) < 0:
            raise refuse(node, f"pads by {pads[:8]}; expected {2 * n} numbers of at least 0")
        before, after = pads[:n], pads[n:]
    else:
        raise refuse(node, f"pads by {auto!r}; expected NOTSET, SAME_UPPER, SAME_LOWER or VALID")
    ceil = bool(node.attributes.get("ceil_mode", 0))
    out, overhang = [], []
    for size, r, s, b, a in zip(sizes, reach, strides, before, after):
        room = size + b + a - r
        if room < 0:
            raise ShapeError(f"{node.label}: windows of {r} on an axis of {size} padded by {b} and {a}")
        count = (math.ceil(room / s) if ceil else room // s) + 1
        if ceil and (count - 1) * s >= size + b:  # a window that begins in the padding behind is left out
            count -= 1
        out.append(count)
        overhang.append(max(0, (count - 1) * s - room))
    return Windows(kernel, strides, dilations, tuple(before), tuple(after), tuple(out), tuple(overhang))
