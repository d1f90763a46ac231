"""The ``.nnet`` text format of the ACAS Xu networks.

Comment lines (``//``); ``layers, inputs, outputs, widest``; the widths; one unused flag; least
and greatest inputs; means and ranges of the inputs and, as last number, of the output; then
for each layer the rows of its matrix and its biases, one line each. The network proper works
on ``(x - mean) / range``; its output is multiplied by the output's range and shifted by its
mean. Both are folded, so that inputs and outputs are in the user's units. The format also
clips inputs to ``[least, greatest]``: that is not part of the network as read, and
``source['input_box']`` keeps the box.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...errors import FileFormatError
from ..folding import Chain
from ..model import ReLUNetwork


class _Lines:
    def __init__(self, text: str) -> None:
        self.lines = [(i, line) for i, line in enumerate(text.splitlines(), start=1) if line.strip()]
        self.lines = [(i, line) for i, line in self.lines if not line.lstrip().startswith("//")]
        self.at = 0

    def row(self, what: str, size: int | None = None) -> list[float]:
        """The next line as numbers; trailing commas are ignored."""
        if self.at >= len(self.lines):
            raise FileFormatError(f"the file ends where {what} should stand (truncated?)")
        number, line = self.lines[self.at]
        self.at += 1
        tokens = [t for t in (t.strip() for t in line.split(",")) if t]
        try:
            values = [float(t) for t in tokens]
        except ValueError:
            raise FileFormatError(f"line {number} ({what}) holds something that is not a number") from None
        if size is not None and len(values) != size:
            raise FileFormatError(f"line {number} ({what}) has {len(values)} numbers; expected {size}")
        return values

    def integers(self, what: str, size: int | None = None) -> list[int]:
        values = self.row(what, size)
        if any(not v.is_integer() or v < 1 for v in values):
            raise FileFormatError(f"{what} must be positive integers; found {values[:8]}")
        return [int(v) for v in values]


def read(data: bytes, source: dict[str, Any]) -> ReLUNetwork:
    """Network of a ``.nnet`` file."""
    try:
        lines = _Lines(data.decode("ascii"))
    except UnicodeDecodeError as error:
        raise FileFormatError(f"a .nnet file is plain text; found byte {error.object[error.start]:#x}") from None
    header = lines.integers("layers, inputs, outputs, widest")
    if len(header) < 3:
        raise FileFormatError(f"the first line has {len(header)} numbers; expected layers, inputs, outputs, widest")
    layers, inputs, outputs = header[:3]
    if layers > len(lines.lines):
        raise FileFormatError(f"the header claims {layers:,} layers; the file has {len(lines.lines):,} lines")
    widths = lines.integers("the widths", layers + 1)
    if (widths[0], widths[-1]) != (inputs, outputs):
        raise FileFormatError(f"the widths {widths} do not start with {inputs} inputs and end with {outputs} outputs")
    needed = sum(2 * n for n in widths[1:])
    if needed > len(lines.lines):
        raise FileFormatError(f"the widths call for {needed:,} lines of numbers; the file has {len(lines.lines):,}")
    lines.row("the unused flag")
    low, high = lines.row("least inputs"), lines.row("greatest inputs")
    means, ranges = lines.row("means", inputs + 1), lines.row("ranges", inputs + 1)
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
    if lines.at != len(lines.lines):
        raise FileFormatError(f"{len(lines.lines) - lines.at} lines too many after the last layer")
    chain.diagonal(scale=np.full(outputs, span[-1]), shift=np.full(outputs, mean[-1]), name="output range and mean")
    source["format"] = "nnet"
    notes = ["decimal numbers are read as the nearest float64"]
    if len(low) == len(high) == inputs and any(np.isfinite(low)) and max(map(abs, [*low, *high])) < 1e300:
        source["input_box"] = (tuple(low), tuple(high))
        notes.append("the format clips inputs to source['input_box']; the network as read does not")
    return chain.network(source, notes=notes)


def _finite(values: FloatArray, what: str) -> None:
    if not np.isfinite(values).all():
        raise FileFormatError(f"{what} must be finite numbers; found {values.tolist()[:8]}")
