"""The ``.nnet`` text format of the ACAS Xu networks.

Comment lines (``//``, in any encoding); ``layers, inputs, outputs, widest``; the widths; one unused line; least and
greatest inputs; means and ranges of the inputs and, as last number, of the output (the first ACAS Xu release holds more
of them than there are inputs: inputs first, output last); then for each layer the rows of its matrix and its biases,
one line each. The network proper works on ``(x - mean) / range``; its output is multiplied by the output's range and
shifted by its mean. Both are folded, so that inputs and outputs are in the user's units. The format also clips inputs
to ``[least, greatest]``: that is not part of the network as read, and ``source['input_box']`` keeps the box.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...errors import FileFormatError
from ..folding import Chain
from ..model import ReLUNetwork

_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)", re.IGNORECASE)


MOST_NUMBERS = 1 << 20
"""Numbers that a line of the header may hold."""

_ANYTHING = re.compile(rb"\S")


class _Lines:
    """Lines that are neither empty nor comments, one at a time: a row is numbers before the next one is looked at."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0  # where the next line begins
        self.number = 0

    def line(self, what: str) -> bytes:
        line = self._next()
        if line is None:
            raise FileFormatError(f"the file ends where {what} should stand (truncated?)")
        return line

    def _next(self) -> bytes | None:
        while (found := _ANYTHING.search(self.data, self.at)) is not None:
            self.number += self.data.count(b"\n", self.at, found.start())
            self.at = found.start()
            end = self.data.find(b"\n", self.at)
            end = len(self.data) if end < 0 else end
            line = self.data[self.at : end].strip()
            self.at, self.number = end + 1, self.number + 1
            if line and not line.startswith(b"//"):
                return line
        return None

    def row(self, what: str, size: int | None = None) -> list[float]:
        """The next line as numbers; trailing commas are ignored."""
        line = self.line(what)
        where = f"line {self.number} ({what})"
        if line.count(b",") > (MOST_NUMBERS if size is None else size + 8):
            raise FileFormatError(f"{where} has more than {line.count(b',')} numbers; expected {size or 'fewer'}")
        tokens = [t for t in (t.strip() for t in line.split(b",")) if t]
        if size is not None and len(tokens) != size:
            raise FileFormatError(f"{where} has {len(tokens)} numbers; expected {size}")
        if not all(_NUMBER.fullmatch(t) for t in tokens):
            raise FileFormatError(f"{where} holds something that is not a number")
        return [float(t) for t in tokens]

    def integers(self, what: str, size: int | None = None) -> list[int]:
        values = self.row(what, size)
        if any(not v.is_integer() or not 1 <= v < 1 << 31 for v in values):
            raise FileFormatError(f"{what} must be positive integers below 2**31; found {values[:8]}")
        return [int(v) for v in values]

    def remaining(self) -> int:
        """How many lines are left, read through to the end."""
        lines = 0
        while self._next() is not None:
            lines += 1
        return lines


def read(data: bytes, source: dict[str, Any]) -> ReLUNetwork:
    """Network of a ``.nnet`` file."""
    lines = _Lines(data.removeprefix(b"\xef\xbb\xbf"))
    header = lines.integers("layers, inputs, outputs, widest")
    if len(header) < 3:
        raise FileFormatError(
            f"the first line has {len(header)} numbers; a .nnet text file begins with layers, inputs, outputs, widest"
        )
    layers, inputs, outputs = header[:3]
    left = len(data) - lines.at
    if 2 * layers > left:
        raise FileFormatError(f"the header claims {layers:,} layers; {left:,} characters follow it")
    widths = lines.integers("the widths", layers + 1)
    if (widths[0], widths[-1]) != (inputs, outputs):
        raise FileFormatError(f"the widths {widths} do not start with {inputs} inputs and end with {outputs} outputs")
    needed = sum(2 * (n_in + 1) * n_out for n_in, n_out in zip(widths[:-1], widths[1:]))
    if needed > left + 2:  # a digit and a separator each
        raise FileFormatError(f"the widths call for {needed // 2:,} numbers; the file has {left:,} characters left")
    lines.line("the unused flag")
    low, high = lines.row("least inputs"), lines.row("greatest inputs")
    means, ranges = lines.row("means"), lines.row("ranges")
    if len(means) <= inputs or len(ranges) != len(means):
        raise FileFormatError(
            f"{len(means)} means and {len(ranges)} ranges; expected one of each for the {inputs} inputs, "
            "and as last number those of the output"
        )
    notes = ["decimal numbers are read as the nearest float64"]
    if len(means) > inputs + 1:  # the layout of the first ACAS Xu release
        notes.append(
            f"{len(means)} means and ranges for {inputs} inputs: the first {inputs} are the inputs' and the last is "
            "the output's; what stands between belongs to no input of the network and is left out"
        )
    means, ranges = [*means[:inputs], means[-1]], [*ranges[:inputs], ranges[-1]]
    if any(r == 0 for r in ranges):
        raise FileFormatError("a range is 0; expected nonzero ranges")

    chain = Chain(inputs)
    mean, span = np.array(means), np.array(ranges)
    _finite(mean, "means")
    _finite(span, "ranges")
    chain.diagonal(shift=-mean[:-1], name="input mean")
    chain.diagonal(scale=np.array([1 / Fraction(r) for r in ranges[:-1]], dtype=object), name="input range")
    for layer in range(1, layers + 1):
        n_in, n_out = widths[layer - 1], widths[layer]
        rows = [lines.row(f"a row of layer {layer}", n_in) for _ in range(n_out)]
        bias = [lines.row(f"a bias of layer {layer}", 1)[0] for _ in range(n_out)]
        chain.dense(np.array(rows), np.array(bias), name=f"layer {layer}")
        if layer < layers:
            chain.relu(f"ReLU {layer}")
    if extra := lines.remaining():
        raise FileFormatError(f"{extra:,} lines too many after the last layer")
    chain.diagonal(scale=np.full(outputs, span[-1]), shift=np.full(outputs, mean[-1]), name="output range and mean")
    source["format"] = "nnet"
    for i, (least, greatest) in enumerate(zip(low[:inputs], high[:inputs])):
        if least > greatest:
            raise FileFormatError(f"input {i} is at least {least} and at most {greatest}; expected minima below maxima")
    if len(low) == len(high) >= inputs and any(np.isfinite(low)) and max(map(abs, [*low, *high])) < 1e300:
        source["input_box"] = (tuple(low[:inputs]), tuple(high[:inputs]))
        notes.append("the format clips inputs to source['input_box']; the network as read does not")
    elif len(low) != len(high) or len(low) < inputs:
        notes.append(
            f"{len(low)} least and {len(high)} greatest inputs for {inputs} inputs: the box that the format clips to is not read"
        )
    return chain.network(source, notes=notes)


def _finite(values: FloatArray, what: str) -> None:
    if not np.isfinite(values).all():
        raise FileFormatError(f"{what} must be finite numbers; found {values.tolist()[:8]}")
