"""ReLU networks as immutable values.

A network of architecture ``(n0, n1, …, nL)`` is the function
``f = A_L ∘ σ ∘ A_{L-1} ∘ … ∘ σ ∘ A_1`` with ``A_l(x) = W_l x + b_l`` and ``σ = max(0, ·)``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import words
from .._lazy import above
from .._typing import Array, FloatArray, RngLike
from .._values.checked import generator_of, shown, unmasked, whole
from .._values.read_only import read_only
from ..errors import BudgetExceededError, InputError, ShapeError
from ..memory import available_memory


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return read_only(array)


def _to_fraction(value: Any, where: str) -> Fraction:
    if isinstance(value, Fraction):
        return value
    if isinstance(value, numbers.Integral | numbers.Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            raise InputError(f"{where} holds {value!r}; expected finite numbers")
        return Fraction(float(value))
    if hasattr(value, "p") and hasattr(value, "q"):  # flint.fmpq
        return Fraction(int(value.p), int(value.q))
    raise InputError(f"{where} holds a {type(value).__name__}; expected numbers or fractions")


def _as_parameter(values: Any, ndim: int, where: str) -> Array:
    """float64 array, or an object array of Fraction when the input is exact."""
    unmasked(values)
    try:
        array = np.asarray(values)
    except Exception as error:  # whatever an object does when it is made an array
        raise ShapeError(f"{where} is not a rectangular array: {error}") from None
    if array.ndim != ndim:
        raise ShapeError(
            f"{where} has shape {array.shape}; expected {'a matrix' if ndim == 2 else 'a vector'}",
            found=array.shape,
        )
    if array.dtype == object:
        exact = np.empty(array.shape, dtype=object)
        for index, value in np.ndenumerate(array):
            exact[index] = _to_fraction(value, where)
        return _frozen(exact)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{where} has dtype {array.dtype}; expected real numbers or fractions")
    if array.dtype.kind in "iu" and array.size and int(np.abs(array.astype(object)).max()) > 2**53:
        raise InputError(
            f"{where} holds integers above 2**53, which float64 cannot hold; pass fractions (dtype object)"
        )
    if array.dtype.itemsize > 8 and array.dtype.kind == "f":
        raise InputError(f"{where} has dtype {array.dtype}, wider than float64; pass float64 or fractions")
    result = np.array(array, dtype=np.float64, order="C")
    if not np.isfinite(result).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(result))[0])
        raise InputError(f"{where} holds {result[bad]} at {bad}; expected finite numbers", index=bad)
    return _frozen(result)


class ReLUNetwork:
    """A fully connected ReLU network; the last layer is affine.

    Parameters
    ----------
    weights : sequence of (n_l, n_{l-1}) arrays
        float64 (float32 and integers are widened exactly), or dtype object holding
        ``Fraction`` or ``flint.fmpq``: then every decision is about those rationals.
    biases : sequence of (n_l,) arrays
    source : mapping, optional
        Where the network came from and what reading it did (format, dtype, folding, head).

    Raises
    ------
    ShapeError
        Shapes that do not chain, with both shapes in the message.
    InputError
        Non-finite numbers, no layer, a dtype that is not real.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    >>> net.architecture, net([[-3.0], [2.0]]).ravel().tolist()
    ((1, 2, 1), [3.0, 2.0])
    """

    __slots__ = ("_architecture", "_biases", "_exact", "_source", "_weights")

    def __init__(
        self, weights: Sequence[Any], biases: Sequence[Any], *, source: Mapping[str, Any] | None = None
    ) -> None:
        try:
            weights, biases = list(weights), list(biases)
        except Exception:
            raise InputError(
                f"a network is a sequence of weight matrices and one of bias vectors, found {shown(weights)} and {shown(biases)}"
            ) from None
        if len(weights) == 0:
            raise InputError("a network needs at least one layer; found no weight matrices")
        if len(weights) != len(biases):
            raise ShapeError(f"{len(weights)} weight matrices but {len(biases)} bias vectors; expected one per layer")
        ws = [_as_parameter(w, 2, f"weights[{i}]") for i, w in enumerate(weights)]
        bs = [_as_parameter(b, 1, f"biases[{i}]") for i, b in enumerate(biases)]
        for i, (w, b) in enumerate(zip(ws, bs)):
            if w.shape[0] == 0 or w.shape[1] == 0:
                raise ShapeError(f"layer {i + 1} has weight shape {w.shape}; every width must be at least 1")
            if b.shape[0] != w.shape[0]:
                raise ShapeError(f"layer {i + 1} has {w.shape[0]} neurons but {b.shape[0]} biases")
            if i and w.shape[1] != ws[i - 1].shape[0]:
                raise ShapeError(
                    f"layer {i + 1} expects {words.count(w.shape[1], 'input')} but layer {i} gives {ws[i - 1].shape[0]} "
                    f"(weight shapes {ws[i - 1].shape}, {w.shape})",
                    layer=i + 1,
                )
        if any(a.dtype == object for a in (*ws, *bs)):
            ws = [_exact_array(w) for w in ws]
            bs = [_exact_array(b) for b in bs]
        self._weights: tuple[Array, ...] = tuple(ws)
        self._biases: tuple[Array, ...] = tuple(bs)
        if not (source is None or isinstance(source, Mapping)):
            raise InputError(f"source must be a mapping of facts, found {shown(source)}")
        self._source: dict[str, Any] = dict(source or {})
        self._architecture = _widths_of(self._weights)
        self._exact = bool(self._weights[0].dtype == object)

    # ---- parameters -------------------------------------------------------------------------
    @property
    def weights(self) -> tuple[Array, ...]:
        """Weight matrices ``W_l`` of shape (n_l, n_{l-1}), read-only."""
        return self._weights

    @property
    def biases(self) -> tuple[Array, ...]:
        """Bias vectors ``b_l`` of shape (n_l,), read-only."""
        return self._biases

    @property
    def source(self) -> Mapping[str, Any]:
        """Where the network came from: format, dtype, head, folding. Empty if built by hand."""
        return MappingProxyType(self._source)

    @property
    def architecture(self) -> tuple[int, ...]:
        """``(n0, …, nL)``."""
        return self._architecture

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of an input in the file that the network was read from, without the batch; ``(n0,)`` where none is
        known.
        """
        shape = tuple(self._source.get("input_shape") or ())
        return shape if math.prod(shape) == self._architecture[0] and shape else self._architecture[:1]

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """``(n1, …, n_{L-1})``; empty for an affine map."""
        return self.architecture[1:-1]

    @property
    def n_hidden(self) -> int:
        """Number N of hidden neurons: the columns of a sign vector."""
        return sum(self.hidden_widths)

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum(w.size + b.size for w, b in zip(self._weights, self._biases))

    @property
    def is_exact(self) -> bool:
        """Whether the parameters are rationals (dtype object) rather than floats."""
        return self._exact

    def neuron(self, index: int) -> tuple[int, int]:
        """(layer, position) of a column of a sign vector; layers count from 1, positions from 0."""
        index = whole(index, "a hidden neuron")
        if not 0 <= index < self.n_hidden:
            raise InputError(f"hidden neuron {index} does not exist; the network has {self.n_hidden}")
        for layer, width in enumerate(self.hidden_widths, start=1):
            if index < width:
                return layer, index
            index -= width
        raise AssertionError("unreachable")

    # ---- conversions ------------------------------------------------------------------------
    def exact(self) -> ReLUNetwork:
        """The same network with ``Fraction`` parameters (floats are dyadic rationals)."""
        if self.is_exact:
            return self
        return ReLUNetwork(
            [_exact_array(w) for w in self._weights], [_exact_array(b) for b in self._biases], source=self._source
        )

    def rounded(self) -> ReLUNetwork:
        """The nearest float64 network; the same object if it is one already.

        Raises
        ------
        InputError
            A parameter is beyond the range of floats.
        """
        if not self.is_exact:
            return self
        try:
            weights, biases = ([p.astype(np.float64) for p in part] for part in (self._weights, self._biases))
        except OverflowError:
            raise InputError(
                "a parameter is beyond the range of floats, 1.8e308; rescale the networks, both by the same factor"
            ) from None
        return ReLUNetwork(weights, biases, source=self._source)

    # ---- evaluation -------------------------------------------------------------------------
    def __call__(self, X: Any) -> Array:
        """Evaluate at points.

        Parameters
        ----------
        X : (…, n0) array

        Returns
        -------
        (…, nL) array
            float64, or Fractions when network and points are exact.
        """
        return self.preactivations(X)[-1]

    @np.errstate(all="ignore")
    def preactivations(self, X: Any) -> list[Array]:
        """Values ``z_1, …, z_L`` of every layer before the activation; shapes (…, n_l)."""
        n0 = self.architecture[0]
        unmasked(X)
        try:
            points = np.asarray(X)
        except Exception:
            raise ShapeError(f"points are an array (…, {n0}), found {shown(X)}") from None
        if points.dtype.kind not in "biufO":
            raise InputError(f"points are real numbers, found {shown(X)}")
        if points.ndim == 0 or points.shape[-1] != n0:
            raise ShapeError(f"points of shape {points.shape} do not fit a network with {words.count(n0, 'input')}")
        if self.is_exact:
            points = _exact_array(points) if points.dtype != object else points
        elif points.dtype == object:
            return self.exact().preactivations(points)
        else:
            points = points.astype(np.float64, copy=False)
        values: list[Array] = []
        y = points
        for w, b in zip(self._weights, self._biases):
            z = y @ w.T + b
            values.append(z)
            y = np.where(z > 0, z, 0 * z) if z.dtype == object else np.maximum(z, 0.0)
        return values

    # ---- copies -----------------------------------------------------------------------------
    def __getstate__(self) -> tuple[Any, ...]:
        return self._weights, self._biases, dict(self._source)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        weights, biases, source = state
        self._weights = tuple(_frozen(w) for w in weights)
        self._biases = tuple(_frozen(b) for b in biases)
        self._source = source
        self._architecture = _widths_of(self._weights)
        self._exact = bool(self._weights[0].dtype == object)

    # ---- identity ---------------------------------------------------------------------------
    def __eq__(self, other: object) -> bool:
        """Equal architectures and equal parameters (not: equal functions)."""
        if not isinstance(other, ReLUNetwork):
            return NotImplemented
        return self.architecture == other.architecture and all(
            bool(np.array_equal(a, b))
            for a, b in zip((*self._weights, *self._biases), (*other._weights, *other._biases))
        )

    def __hash__(self) -> int:
        return hash((self.architecture, *(tuple(a.ravel().tolist()) for a in (*self._weights, *self._biases))))

    def __reduce__(self) -> tuple[Any, ...]:
        return _network, (self._weights, self._biases, self._source)

    def __repr__(self) -> str:
        kind = "exact" if self.is_exact else "float64"
        widths = short_widths(self.architecture)
        origin = f", from {self._source['file']}" if "file" in self._source else ""
        return f"ReLUNetwork({widths}, {kind}, {words.count(self.n_parameters, 'parameter')}{origin})"

    # ---- files and constructors -------------------------------------------------------------
    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text

    def save(self, path: str | Path) -> None:
        """Write the network; the format follows the suffix (see `polyfiber.network.writers`)."""
        above("network.writers:write_network")(self, path)

    @classmethod
    def random(cls, architecture: Sequence[int], *, rng: RngLike = None) -> ReLUNetwork:
        """Gaussian network: ``W ~ N(0, 2/n_{l-1})``, ``b ~ N(0, 1/4)``.

        Drawn layer by layer, W before b, from ``Generator.standard_normal``.

        Examples
        --------
        >>> import polyfiber as pf
        >>> pf.ReLUNetwork.random((2, 3, 1), rng=0)
        ReLUNetwork(2-3-1, float64, 13 parameters)
        """
        widths = checked_widths(architecture)
        generator = generator_of(rng)
        weights, biases = [], []
        for n_in, n_out in zip(widths[:-1], widths[1:]):
            weights.append(generator.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in))
            biases.append(generator.standard_normal(n_out) * 0.5)
        return cls(weights, biases)


def _widths_of(weights: tuple[Array, ...]) -> tuple[int, ...]:
    return (int(weights[0].shape[1]), *(int(w.shape[0]) for w in weights))


def _network(weights: Any, biases: Any, source: Any) -> ReLUNetwork:
    return ReLUNetwork(weights, biases, source=source)


def _exact_array(values: Array) -> Array:
    if values.dtype == object:
        return values
    exact = np.empty(values.shape, dtype=object)
    for index, value in np.ndenumerate(values):
        exact[index] = Fraction(value.item())
    return _frozen(exact)


def short_widths(architecture: Sequence[int]) -> str:
    """``3-16-16-3``; the middle of long ones left out."""
    if len(architecture) <= 14:
        return "-".join(map(str, architecture))
    ends = (*architecture[:6], f"…({len(architecture) - 10} more)…", *architecture[-4:])
    return "-".join(map(str, ends))


def checked_widths(architecture: Sequence[int]) -> tuple[int, ...]:
    """Widths of a network that memory holds; at least two, positive."""
    wrong = f"an architecture is at least two positive widths (n0, …, nL); found {shown(architecture)}"
    try:
        widths = tuple(whole(n, "a width", least=1) for n in architecture)
    except (TypeError, ValueError):
        raise InputError(wrong) from None
    if len(widths) < 2:
        raise InputError(wrong)
    free, needed = available_memory(), 8 * sum(b * (a + 1) for a, b in zip(widths, widths[1:]))
    if free is not None and needed > free:
        raise BudgetExceededError(
            f"the parameters of {short_widths(widths)} take {words.about(needed // 10**9)} GB, and there are {free / 1e9:.3g} GB",
            partial=None,
        )
    return widths


class NetworkBatch:
    """Many float64 networks of one architecture, as stacked arrays.

    Parameters
    ----------
    weights : sequence of (B, n_l, n_{l-1}) arrays
    biases : sequence of (B, n_l) arrays

    Examples
    --------
    >>> import polyfiber as pf
    >>> batch = pf.NetworkBatch.random((2, 3, 1), 5, rng=0)
    >>> len(batch), batch[0].architecture
    (5, (2, 3, 1))
    """

    __slots__ = ("_biases", "_weights")

    def __init__(self, weights: Sequence[Any], biases: Sequence[Any]) -> None:
        if len(weights) == 0 or len(weights) != len(biases):
            raise ShapeError(
                f"{len(weights)} weight stacks and {len(biases)} bias stacks; expected one of each per layer"
            )
        ws = [np.ascontiguousarray(w, dtype=np.float64) for w in weights]
        bs = [np.ascontiguousarray(b, dtype=np.float64) for b in biases]
        size = ws[0].shape[0] if ws[0].ndim == 3 else -1
        for i, (w, b) in enumerate(zip(ws, bs)):
            if w.ndim != 3 or b.ndim != 2 or w.shape[0] != size or b.shape != w.shape[:2] or min(w.shape[1:]) < 1:
                raise ShapeError(
                    f"layer {i + 1}: weights {w.shape} and biases {b.shape}; expected ({size}, n_l, n_(l-1)) and ({size}, n_l)"
                )
            if i and w.shape[2] != ws[i - 1].shape[1]:
                raise ShapeError(
                    f"layer {i + 1} expects {words.count(w.shape[2], 'input')} but layer {i} gives {ws[i - 1].shape[1]}"
                )
            if not (np.isfinite(w).all() and np.isfinite(b).all()):
                raise InputError(f"layer {i + 1} of the batch holds non-finite numbers")
        self._weights = tuple(_frozen(np.array(w)) for w in ws)
        self._biases = tuple(_frozen(np.array(b)) for b in bs)

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """Stacked weights, (B, n_l, n_{l-1}) each, read-only."""
        return self._weights

    @property
    def biases(self) -> tuple[FloatArray, ...]:
        """Stacked biases, (B, n_l) each, read-only."""
        return self._biases

    def __getstate__(self) -> tuple[Any, ...]:
        return self._weights, self._biases

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._weights, self._biases = (tuple(_frozen(a) for a in arrays) for arrays in state)

    @property
    def architecture(self) -> tuple[int, ...]:
        """``(n0, …, nL)`` of every network."""
        return (int(self._weights[0].shape[2]), *(int(w.shape[1]) for w in self._weights))

    def __len__(self) -> int:
        return int(self._weights[0].shape[0])

    def __getitem__(self, index: int) -> ReLUNetwork:
        if not -len(self) <= index < len(self):
            raise IndexError(f"network {index} of a batch of {len(self)}")
        return ReLUNetwork([w[index] for w in self._weights], [b[index] for b in self._biases])

    def __iter__(self) -> Iterator[ReLUNetwork]:
        return (self[i] for i in range(len(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return NetworkBatch, (self._weights, self._biases)

    def __repr__(self) -> str:
        return f"NetworkBatch({words.count(len(self), 'network')} {'-'.join(map(str, self.architecture))})"

    def __call__(self, X: Any) -> FloatArray:
        """Evaluate every network at the same points: (P, n0) -> (B, P, nL)."""
        y = np.asarray(unmasked(X), dtype=np.float64)
        if y.ndim != 2 or y.shape[1] != self.architecture[0]:
            raise ShapeError(f"points of shape {y.shape}; expected (P, {self.architecture[0]})")
        y = np.broadcast_to(y, (len(self), *y.shape))
        last = len(self._weights) - 1
        for layer, (w, b) in enumerate(zip(self._weights, self._biases)):
            y = y @ np.swapaxes(w, 1, 2) + b[:, None, :]
            if layer != last:
                y = np.maximum(y, 0.0)
        return np.ascontiguousarray(y)

    @classmethod
    def stack(cls, networks: Sequence[ReLUNetwork]) -> NetworkBatch:
        """Batch of networks that share one architecture."""
        if len(networks) == 0:
            raise InputError("an empty list of networks has no architecture")
        first = networks[0].architecture
        for i, net in enumerate(networks):
            if net.architecture != first:
                raise ShapeError(
                    f"network {i} has architecture {net.architecture}, network 0 has {first}; a batch needs one"
                )
        layers = range(len(first) - 1)
        return cls(
            [np.stack([n.rounded().weights[l] for n in networks]) for l in layers],
            [np.stack([n.rounded().biases[l] for n in networks]) for l in layers],
        )

    @classmethod
    def random(cls, architecture: Sequence[int], size: int, *, rng: RngLike = None) -> NetworkBatch:
        """Gaussian networks with the distribution of `ReLUNetwork.random` (not the same stream)."""
        widths = checked_widths(architecture)
        generator = generator_of(rng)
        weights, biases = [], []
        for n_in, n_out in zip(widths[:-1], widths[1:]):
            weights.append(generator.standard_normal((size, n_out, n_in)) * np.sqrt(2 / n_in))
            biases.append(generator.standard_normal((size, n_out)) * 0.5)
        return cls(weights, biases)
