"""Chains of affine maps and ReLUs, folded to layers with a bound on what rounding changed.

A file may hold several affine maps in a row: a normalisation before the first layer, a batch
normalisation, two dense layers with nothing between. A network has one affine map per layer,
so they are multiplied out: in exact rational arithmetic, rounded once to the nearest float64.
For every folded parameter the distance between the exact product and the number kept is
recorded, rounded upwards. A square root (batch normalisation) is enclosed to ``2**-120``
relatively and the enclosure enters the bound.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, FloatArray
from ..errors import InputError, ShapeError, UnsupportedLayerError
from .model import ReLUNetwork

FOLD_LIMIT = 20_000_000
"""Multiplications of integers that one fold may take (about ten seconds)."""

IDENTITY_LIMIT = 1 << 24
"""Numbers in all identity and diagonal matrices that are written out as layers."""

LIMB_LIMIT = 5_000_000_000
"""Products of 64-bit words in one exact matrix product (seconds)."""

DENSE_LIMIT = 1 << 26
DIAGONAL_LIMIT = 1 << 24
"""Numbers that the dense and the entrywise steps of one chain may hold (a small file can name a tensor often)."""

_SQRT_BITS = 120


def printable(text: str, limit: int = 200) -> str:
    """A name from a file, fit to be shown: control characters escaped, the middle left out if long."""
    if len(text) > limit:
        text = f"{text[: limit // 2]} … {text[-limit // 3 :]}"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def finite_fraction(value: float | int, where: str) -> Fraction:
    """The number as a fraction; InputError for NaN and infinity."""
    if not math.isfinite(value):
        raise InputError(f"{printable(where)} holds {value!r}; expected finite numbers")
    return Fraction(value)


@dataclass(frozen=True)
class Rationals:
    """An array of rationals: integers (dtype object) over positive denominators.

    The denominator is one integer, or an array of them that broadcasts with the numerators
    (after a division by constants: one for each column). Nothing is reduced.
    """

    numerators: Array
    denominator: int | Array

    @classmethod
    def of(cls, values: Any) -> Rationals:
        """Exactly the given floats, integers or Fractions."""
        array = np.asarray(values)
        if array.dtype == object:
            flat = [Fraction(v) for v in array.ravel().tolist()]
            above, below = np.empty(len(flat), dtype=object), np.empty(len(flat), dtype=object)
            above[:] = [f.numerator for f in flat]
            below[:] = [f.denominator for f in flat]
            return cls(above.reshape(array.shape), below.reshape(array.shape))
        mantissas, exponents = np.frexp(array.astype(np.float64))
        integers = np.ldexp(mantissas, 53).astype(np.int64)
        powers = exponents.astype(np.int64) - 53
        nonzero = integers != 0
        lowest = np.where(nonzero, integers & -integers, 1)
        shift = np.frexp(lowest.astype(np.float64))[1].astype(np.int64) - 1
        integers >>= shift
        powers = np.where(nonzero, powers + shift, 0)
        least = min(int(powers.min()), 0) if powers.size else 0
        shifts = np.asarray(powers - least).astype(object)
        return cls(np.asarray(np.left_shift(integers.astype(object), shifts), dtype=object), 2**-least)

    def common(self) -> Rationals:
        """The same numbers over one denominator."""
        if isinstance(self.denominator, int):
            return self
        below = self.denominator.ravel().tolist()
        bits = sum(d.bit_length() for d in below)
        if len(below) * bits > 128 * LIMB_LIMIT:
            raise InputError(
                f"a division by {len(below):,} different constants cannot be folded exactly; fold it before"
            )
        denominator = math.lcm(*below)
        return Rationals(np.asarray(self.numerators * (denominator // self.denominator), dtype=object), denominator)

    def __abs__(self) -> Rationals:
        return Rationals(np.asarray(np.abs(self.numerators), dtype=object), self.denominator)

    def __add__(self, other: Rationals) -> Rationals:
        if isinstance(self.denominator, int) and isinstance(other.denominator, int):
            common = math.lcm(self.denominator, other.denominator)
            left = self.numerators * (common // self.denominator)
            return Rationals(left + other.numerators * (common // other.denominator), common)
        above = self.numerators * other.denominator + other.numerators * self.denominator
        return Rationals(above, self.denominator * other.denominator)

    def __mul__(self, other: Rationals) -> Rationals:
        return Rationals(self.numerators * other.numerators, self.denominator * other.denominator)

    def __matmul__(self, other: Rationals) -> Rationals:
        left, right = self.common(), other.common()
        longest = max((n.bit_length() for n in right.numerators.ravel().tolist()), default=0)
        if left.numerators.size * (right.numerators.size // right.numerators.shape[0]) * longest > 64 * LIMB_LIMIT:
            raise InputError("the layers to fold hold numbers too long for an exact product; fold them before")
        product = np.asarray(left.numerators @ right.numerators, dtype=object)
        return Rationals(product, left.denominator * right.denominator)

    def reshape(self, *shape: int) -> Rationals:
        below = self.denominator if isinstance(self.denominator, int) else self.denominator.reshape(*shape)
        return Rationals(self.numerators.reshape(*shape), below)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """(numerator, denominator) of each entry in row-major order."""
        if isinstance(self.denominator, int):
            below: Iterable[int] = itertools.repeat(self.denominator)
        else:
            below = np.broadcast_to(self.denominator, self.numerators.shape).ravel().tolist()
        return zip(self.numerators.ravel().tolist(), below)

    def rounded(self, what: str) -> tuple[FloatArray, list[tuple[int, int]]]:
        """Nearest float64 of each entry, and the distance to it as (numerator, denominator)."""
        values = np.empty(self.numerators.size)
        errors = []
        for i, (n, d) in enumerate(self.pairs()):
            try:
                value = n / d  # integer division rounds to nearest
            except OverflowError:
                raise InputError(f"{what}: folding gives a number beyond float64") from None
            p, q = value.as_integer_ratio()
            values[i] = value
            errors.append((abs(n * q - p * d), q * d))
        return values.reshape(self.numerators.shape), errors


def _upper(numerator: int, denominator: int) -> float:
    """A float64 not below ``numerator / denominator`` (both nonnegative); 0 only for 0."""
    if numerator == 0:
        return 0.0
    try:
        return math.nextafter(numerator / denominator, math.inf)
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class _Map:
    """``x ↦ matrix x + offset``, or ``matrix * x + offset`` entrywise when diagonal."""

    matrix: Rationals
    offset: Rationals
    diagonal: bool

    def sizes(self) -> _Map:
        return _Map(abs(self.matrix), abs(self.offset), self.diagonal)

    def after(self, first: _Map) -> _Map:
        """The composition ``self ∘ first``, exactly."""
        if self.diagonal:
            scale = self.matrix if first.diagonal else self.matrix.reshape(-1, 1)
            return _Map(scale * first.matrix, self.matrix * first.offset + self.offset, first.diagonal)
        matrix = self.matrix * first.matrix.reshape(1, -1) if first.diagonal else self.matrix @ first.matrix
        return _Map(matrix, self.matrix @ first.offset + self.offset, False)


@dataclass
class _Factor:
    """One affine map as it stood in the file."""

    name: str
    matrix: Array | None  # (m, n), or (n,) when diagonal; None: all ones
    offset: Array | None  # None: zero
    diagonal: bool
    width: int  # outputs
    irrational: bool = False

    @property
    def idle(self) -> bool:
        if not self.diagonal:
            return False
        unit = self.matrix is None or bool(np.all(self.matrix == 1))
        return unit and (self.offset is None or not np.any(self.offset))

    @property
    def shift(self) -> bool:
        return self.diagonal and (self.matrix is None or bool(np.all(self.matrix == 1)))

    def exact(self) -> _Map:
        matrix = np.ones(self.width) if self.matrix is None else self.matrix
        offset = np.zeros(self.width) if self.offset is None else self.offset
        return _Map(Rationals.of(matrix), Rationals.of(offset), self.diagonal)


@dataclass
class _Block:
    """The affine maps between two ReLUs."""

    factors: list[_Factor] = field(default_factory=list)


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
        if n_inputs < 1:
            raise ShapeError(f"a network needs at least one input; found {n_inputs}")
        self.n_inputs = int(n_inputs)
        self.width = int(n_inputs)
        self.head: str | None = None
        self.notes: list[str] = []
        self._blocks = [_Block()]
        self._dtypes: set[str] = set()
        self._held = {True: 0, False: 0}  # numbers in diagonal and in dense steps

    # ---- steps ------------------------------------------------------------------------------
    def dense(self, weight: Any, bias: Any = None, *, name: str) -> None:
        """Append ``x ↦ weight x + bias``; weight (m, n), bias (m,) or None."""
        w = self._take(weight, f"{name}: weight")
        if w.ndim != 2 or 0 in w.shape:
            raise ShapeError(
                f"{name}: the weight has shape {w.shape}; expected a matrix (outputs, inputs), one of each or more"
            )
        if w.shape[1] != self.width:
            raise ShapeError(
                f"{name}: expects {w.shape[1]} inputs but the layer before gives {self.width} (weight shape {w.shape})"
            )
        b = None if bias is None else self._take(bias, f"{name}: bias")
        if b is not None and b.shape != (w.shape[0],):
            raise ShapeError(f"{name}: {w.shape[0]} neurons but a bias of shape {b.shape}")
        self._append(_Factor(printable(name), w, b, False, w.shape[0]))
        self.width = int(w.shape[0])

    def diagonal(self, *, scale: Any = None, shift: Any = None, name: str, irrational: bool = False) -> None:
        """Append ``x ↦ scale * x + shift`` entrywise; each of shape (n,) or None.

        ``irrational`` says that the given scale is within ``2**-120`` relatively of the true
        one, and the shift within ``2**-120 |shift|``.
        """
        s = None if scale is None else self._take(scale, f"{name}: scale")
        t = None if shift is None else self._take(shift, f"{name}: shift")
        for values in (s, t):
            if values is not None and values.shape != (self.width,):
                raise ShapeError(f"{name}: shape {values.shape} does not fit {self.width} values")
        self._append(_Factor(printable(name), s, t, True, self.width, irrational))

    def normalisation(self, mean: Any, variance: Any, gamma: Any, beta: Any, *, epsilon: float, name: str) -> None:
        """Append a batch normalisation ``gamma (x - mean) / sqrt(variance + epsilon) + beta``."""
        m, v = self._take(mean, f"{name}: mean"), self._take(variance, f"{name}: variance")
        g = np.ones(self.width) if gamma is None else self._take(gamma, f"{name}: scale")
        b = np.zeros(self.width) if beta is None else self._take(beta, f"{name}: shift")
        for values in (m, v, g, b):
            if values.shape != (self.width,):
                raise ShapeError(f"{name}: shape {values.shape} does not fit {self.width} values")
        if not math.isfinite(epsilon):
            raise InputError(f"{name}: epsilon is {epsilon!r}; expected a finite number")
        name = printable(name)
        scale = np.empty(self.width, dtype=object)
        irrational = False
        for i in range(self.width):
            total = Fraction(v[i]) + Fraction(epsilon)
            if total <= 0:
                raise InputError(f"{name}: variance + epsilon is {float(total)!r} at {i}; expected a positive number")
            root, rounded = _inverse_sqrt(total)
            irrational |= rounded
            scale[i] = Fraction(g[i]) * root
        self._append(_Factor(name, None, -m, True, self.width))
        self._append(_Factor(name, scale, None, True, self.width, irrational))
        self._append(_Factor(name, None, b, True, self.width))

    def relu(self, name: str = "Relu") -> None:
        """Append a ReLU; one that directly follows another changes nothing."""
        if self.head is not None:
            raise UnsupportedLayerError(f"{name}: a ReLU after the {self.head} head; a head must be last", layer=name)
        block = self._blocks[-1]
        block.factors = [f for f in block.factors if not f.idle]
        if not block.factors and len(self._blocks) > 1:
            self.notes.append(f"{printable(name)}: a ReLU directly after a ReLU was dropped")
            return
        self._blocks.append(_Block())

    def finish(self, head: str, name: str = "") -> None:
        """State that the outputs pass through ``head`` (sigmoid, softmax): they are its logits."""
        if self.head is not None:
            raise UnsupportedLayerError(f"{name or head}: a second head after {self.head}", layer=name)
        self.head = head

    # ---- result -----------------------------------------------------------------------------
    def network(self, source: Mapping[str, Any], *, notes: Sequence[str] = ()) -> ReLUNetwork:
        """The network; ``source`` gains dtype (unless it has one), head, folding and notes."""
        weights, biases, folding = [], [], []
        width, spread = self.n_inputs, 0
        all_notes = [*notes, *self.notes]
        for layer, block in enumerate(self._blocks, start=1):
            factors = [f for f in block.factors if not f.idle]
            if not factors:
                place = "before the first ReLU" if layer == 1 else "after the last ReLU"
                if layer == 1 and len(self._blocks) == 1:
                    raise InputError("no layer with weights was found; expected at least one")
                all_notes.append(f"no affine map stood {place}: layer {layer} is the identity")
                factors = [_Factor("identity", None, None, True, width)]
            if all(f.diagonal for f in factors):
                spread += width * width
                if spread > IDENTITY_LIMIT:
                    raise InputError(
                        f"layer {layer}: diagonal layers would be written out as {spread:,} numbers; "
                        f"the limit is {IDENTITY_LIMIT:,}. Merge them into the layers beside them"
                    )
            w, b, record = _collapse(factors, width, layer)
            weights.append(w)
            biases.append(b)
            if record is not None:
                folding.append(record)
            width = int(w.shape[0])
        if self.head is not None:
            all_notes.append(f"the file ends in {self.head}; the network as read gives its logits")
        facts = {
            "dtype": "+".join(sorted(self._dtypes)) or "float64",
            **source,
            "head": self.head,
            "folding": tuple(folding),
            "notes": tuple(dict.fromkeys(all_notes)),
        }
        return ReLUNetwork(weights, biases, source=facts)

    # ---- inside -----------------------------------------------------------------------------
    def _append(self, factor: _Factor) -> None:
        if self.head is not None:
            raise UnsupportedLayerError(
                f"{factor.name}: a layer after {self.head}; only ReLU may stand between layers, "
                "and a sigmoid or softmax only at the end",
                layer=factor.name,
            )
        limit = DIAGONAL_LIMIT if factor.diagonal else DENSE_LIMIT
        self._held[factor.diagonal] += sum(a.size for a in (factor.matrix, factor.offset) if a is not None)
        if self._held[factor.diagonal] > limit:
            raise InputError(f"{factor.name}: the layers up to here hold more than {limit:,} numbers", limit=limit)
        self._blocks[-1].factors.append(factor)

    def _take(self, values: Any, what: str) -> Array:
        array = np.asarray(values)
        if array.dtype == object:
            return array
        if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
            self._dtypes.add(array.dtype.name)
        elif array.dtype.kind not in "iu":
            raise InputError(f"{what} has dtype {array.dtype}; expected float16, float32 or float64")
        elif array.size and int(np.abs(array.astype(object)).max()) > 2**53:
            raise InputError(f"{what} holds integers above 2**53, which float64 cannot hold")
        with np.errstate(invalid="ignore"):  # a signalling NaN
            array = array.astype(np.float64)
        if not np.isfinite(array).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(f"{what} holds {array[index]} at {index}; expected finite numbers", index=index)
        return array


def _inverse_sqrt(value: Fraction) -> tuple[Fraction, bool]:
    """``1 / sqrt(value)`` and whether it was rounded (then to ``2**-120`` relatively)."""
    product = value.numerator * value.denominator
    root = math.isqrt(product)
    if root * root == product:
        return Fraction(root, value.numerator), False
    # a dyadic r with r <= 1/sqrt(value) < r + 2^-half, and r 2^half >= 2^(_SQRT_BITS + 8)
    bits = value.denominator.bit_length() - value.numerator.bit_length()
    half = max(0, _SQRT_BITS + 10 - bits // 2)
    return Fraction(math.isqrt((value.denominator << (2 * half)) // value.numerator), 1 << half), True


def _collapse(factors: list[_Factor], width: int, layer: int) -> tuple[Array, Array, dict[str, Any] | None]:
    """One layer from its factors; the record is None when nothing was multiplied out."""
    first = factors[0]
    plain = not first.diagonal and first.matrix is not None and first.matrix.dtype != object
    if plain and (first.offset is None or first.offset.dtype != object):
        assert first.matrix is not None
        if len(factors) == 1:
            bias = np.zeros(first.width) if first.offset is None else first.offset
            return first.matrix, bias, None
        second = factors[1]
        shifted = second.shift and second.offset is not None and second.offset.dtype != object
        if len(factors) == 2 and first.offset is None and shifted:
            assert second.offset is not None
            return first.matrix, second.offset, None
    names = tuple(dict.fromkeys(f.name for f in factors))
    what = f"layer {layer} ({', '.join(names)})"
    _check_cost(factors, width, what)
    total = factors[0].exact()
    for factor in factors[1:]:
        total = factor.exact().after(total)
    slack = sum(f.irrational for f in factors)
    bounds: _Map | None = None
    if slack:
        bounds = factors[0].exact().sizes()
        for factor in factors[1:]:
            bounds = factor.exact().sizes().after(bounds)
    weight, weight_error = _round(total.matrix, None if bounds is None else bounds.matrix, slack, what)
    if total.diagonal:
        weight, weight_error = np.diag(weight), np.diag(weight_error)
    bias, bias_error = _round(total.offset, None if bounds is None else bounds.offset, slack, what)
    record = {
        "layer": layer,
        "operations": names,
        "exact": not (weight_error.any() or bias_error.any()),
        "weight_error": float(weight_error.max()),
        "bias_error": float(bias_error.max()),
        "weight_bounds": weight_error,
        "bias_bounds": bias_error,
    }
    if names == ("identity",):
        return weight, bias, None
    return weight, bias, record


def _check_cost(factors: list[_Factor], width: int, what: str) -> None:
    rows, cost = width, 0
    dense = False
    for factor in factors:
        if factor.diagonal:
            cost += factor.width * (width if dense else 1)
        else:
            cost += factor.width * rows * (width if dense else 1)
            dense = True
        rows = factor.width
    if cost > FOLD_LIMIT:
        raise InputError(
            f"{what}: folding would take {cost:,} exact multiplications; the limit is {FOLD_LIMIT:,}. "
            "Merge these affine layers before exporting the network",
            cost=cost,
        )


def _round(exact: Rationals, sizes: Rationals | None, slack: int, what: str) -> tuple[FloatArray, FloatArray]:
    """Rounded values and an upper bound on the distance of each to the true number."""
    values, errors = exact.rounded(what)
    bounds = np.empty(values.size)
    if sizes is None:
        bounds[:] = [_upper(p, q) for p, q in errors]
    else:
        # |true - exact| <= ((1 + 2^-120)^slack - 1) * sizes <= slack 2^-119 sizes, slack <= 2^100
        for i, ((p, q), (size, below)) in enumerate(zip(errors, sizes.pairs())):
            scale = below << (_SQRT_BITS - 1)
            bounds[i] = _upper(p * scale + slack * size * q, q * scale)
    shaped = bounds.reshape(values.shape)
    shaped.setflags(write=False)
    return values, shaped
