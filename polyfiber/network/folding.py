"""Chains of affine maps and ReLUs in the order of evaluation, folded to layers with a bound on what rounding changed.

A file may hold several affine maps in a row: a normalisation before the first layer, a batch
normalisation, two dense layers with nothing between. A network has one affine map per layer,
so they are multiplied out: in exact rational arithmetic, rounded once to the nearest float64 (`assembly`).
For every folded parameter the distance between the exact product and the number kept is
recorded, rounded upwards. A square root (batch normalisation) is enclosed to ``2**-120``
relatively and the enclosure enters the bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from .. import words
from .._typing import IntArray
from ..errors import InputError, ShapeError, UnsupportedLayerError
from .model import ReLUNetwork
from .names import printable
from .wiring.assembly import assemble
from .wiring.exact_rows import SQRT_BITS
from .wiring.slots import Place, Wiring
from .wiring.units import relu


def finite_fraction(value: float | int, where: str) -> Fraction:
    """The number as a fraction; InputError for NaN and infinity."""
    if not math.isfinite(value):
        raise InputError(f"{printable(where)} holds {value!r}; expected finite numbers")
    return Fraction(value)


def normalisation(
    wiring: Wiring, slots: IntArray, mean: Any, variance: Any, gamma: Any, beta: Any, *, epsilon: float, name: str
) -> IntArray:
    """``gamma (x - mean) / sqrt(variance + epsilon) + beta`` entrywise; each of the shape of the slots, gamma and beta
    or None.
    """
    n = len(slots)
    m, v = wiring.numbers(mean, f"{name}: mean"), wiring.numbers(variance, f"{name}: variance")
    g = np.ones(n) if gamma is None else wiring.numbers(gamma, f"{name}: scale")
    b = np.zeros(n) if beta is None else wiring.numbers(beta, f"{name}: shift")
    for values in (m, v, g, b):
        if values.shape != (n,):
            raise ShapeError(f"{name}: shape {values.shape} does not fit {words.count(n, 'value')}")
    if not math.isfinite(epsilon):
        raise InputError(f"{name}: epsilon is {epsilon!r}; expected a finite number")
    name = printable(name)
    scale = np.empty(n, dtype=object)
    irrational = False
    roots: dict[Any, tuple[Fraction, bool]] = {}
    for i, (value, factor) in enumerate(zip(v.tolist(), g.tolist())):
        if value not in roots:
            total = Fraction(value) + Fraction(epsilon)
            if total <= 0:
                raise InputError(f"{name}: variance + epsilon is {float(total)!r} at {i}; expected a positive number")
            roots[value] = _inverse_sqrt(total)
        root, rounded = roots[value]
        irrational |= rounded
        scale[i] = Fraction(factor) * root
    noted = set(wiring.dtypes)
    slots = wiring.diagonal(slots, shift=-m, name=name)
    slots = wiring.diagonal(slots, scale=scale, name=name, irrational=irrational)
    slots = wiring.diagonal(slots, shift=b, name=name)
    wiring.dtypes = noted  # of the file, not of what was made of it here
    return slots


class Chain:
    """Build a network from affine maps and ReLUs in the order of evaluation.

    Parameters
    ----------
    n_inputs : int
        Width of the input.

    Examples
    --------
    >>> chain = Chain(1)
    >>> chain.diagonal(shift=[-3.0], name="centre")
    >>> chain.diagonal(scale=[Fraction(1, 3)], name="scale")
    >>> chain.dense([[1.0]], [0.5], name="hidden")
    >>> chain.relu()
    >>> chain.dense([[1.0]], None, name="output")
    >>> net = chain.network({"format": "demo"})
    >>> net.weights[0].item(), net.biases[0].item(), net.source["folding"][0]["exact"]
    (0.3333333333333333, -0.5, False)
    """

    def __init__(self, n_inputs: int) -> None:
        self.wiring = Wiring(n_inputs)
        self.slots = self.wiring.inputs
        self.head: str | None = None

    @property
    def width(self) -> int:
        """Number of values so far."""
        return len(self.slots)

    @property
    def notes(self) -> list[str]:
        """What was assumed or left out."""
        return self.wiring.notes

    # ---- steps ------------------------------------------------------------------------------
    def dense(self, weight: Any, bias: Any = None, *, name: str) -> None:
        """Append ``x ↦ weight x + bias``; weight (m, n), bias (m,) or None."""
        self._open(name)
        self.slots = self.wiring.dense(self.slots, weight, bias, name=name)

    def diagonal(self, *, scale: Any = None, shift: Any = None, name: str, irrational: bool = False) -> None:
        """Append ``x ↦ scale * x + shift`` entrywise; each of shape (n,) or None.

        ``irrational`` says that the given scale is within ``2**-120`` relatively of the true
        one, and the shift within ``2**-120 |shift|``.
        """
        self._open(name)
        self.slots = self.wiring.diagonal(self.slots, scale=scale, shift=shift, name=name, irrational=irrational)

    def normalisation(self, mean: Any, variance: Any, gamma: Any, beta: Any, *, epsilon: float, name: str) -> None:
        """Append a batch normalisation ``gamma (x - mean) / sqrt(variance + epsilon) + beta``."""
        self._open(name)
        self.slots = normalisation(self.wiring, self.slots, mean, variance, gamma, beta, epsilon=epsilon, name=name)

    def relu(self, name: str = "Relu") -> None:
        """Append a ReLU; one that directly follows another changes nothing."""
        if self.head is not None:
            raise UnsupportedLayerError(f"{name}: a ReLU after the {self.head} head; a head must be last", layer=name)
        self.slots = relu(self.wiring, self.slots, Place.whole(name, "Relu", (self.width,)))

    def finish(self, head: str, name: str = "") -> None:
        """State that the outputs pass through ``head`` (sigmoid, softmax): they are its logits."""
        if self.head is not None:
            raise UnsupportedLayerError(f"{name or head}: a second head after {self.head}", layer=name)
        self.head = head

    def _open(self, name: str) -> None:
        if self.head is not None:
            raise UnsupportedLayerError(
                f"{printable(name)}: a layer after {self.head}; only ReLU may stand between layers, "
                "and a sigmoid or softmax only at the end",
                layer=name,
            )

    # ---- result -----------------------------------------------------------------------------
    def network(self, source: Mapping[str, Any], *, notes: Sequence[str] = ()) -> ReLUNetwork:
        """The network; ``source`` gains dtype (unless it has one), head, folding and notes."""
        network = assemble(self.wiring, self.slots, source, head=self.head, notes=notes, chain=True)
        assert isinstance(network, ReLUNetwork)
        return network


def _inverse_sqrt(value: Fraction) -> tuple[Fraction, bool]:
    """``1 / sqrt(value)`` and whether it was rounded (then to ``2**-120`` relatively)."""
    product = value.numerator * value.denominator
    root = math.isqrt(product)
    if root * root == product:
        return Fraction(root, value.numerator), False
    # a dyadic r with r <= 1/sqrt(value) < r + 2^-half, and r 2^half >= 2^(SQRT_BITS + 8)
    bits = value.denominator.bit_length() - value.numerator.bit_length()
    half = max(0, SQRT_BITS + 10 - bits // 2)
    return Fraction(math.isqrt((value.denominator << (2 * half)) // value.numerator), 1 << half), True
