"""Piecewise-linear networks beyond the ReLU chain: gates with two slopes, blocks that read any earlier block.

With ``y_0 = x``, a network of blocks ``l = 1 … L`` is

    ``z_l = sum_{j<l} W_{l,j} y_j + b_l``,   ``y_{l,i} = s⁻_i z_{l,i}`` where ``z <= 0``, ``s⁺_i z_{l,i}`` where ``z >= 0``,
    ``f = sum_{j<=L} W_{out,j} y_j + b_out``.

A unit with ``s⁻ != s⁺`` is a *gate*; its wall is ``z = 0``. Slopes (0, 1) are ReLU, (a, 1) LeakyReLU and PReLU, (-1, 1)
the absolute value. Clip, maximum and minimum are sums of gates. Residual, dense and concatenating connections are
blocks that read earlier ones; nothing is carried through by extra units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import words
from .._lazy import above
from .._typing import Array, IntArray
from .._values.checked import unmasked
from ..errors import InputError, ShapeError
from .model import ReLUNetwork, _as_parameter, _exact_array, _frozen, short_widths
from .sparse import Matrix, SparseMatrix, apply, dense, nonzeros, sealed

RELU = (0.0, 1.0)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _as_shape(value: Any, what: str) -> tuple[int, ...]:
    """A tuple of positive integers, or an InputError."""
    parts: Any = value if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else (None,)
    if not all(_is_integer(k) and k > 0 for k in parts):
        raise InputError(f"{what} is {value!r}; expected positive integers, such as (3, 32, 32)")
    return tuple(int(k) for k in parts)


class AffineMap:
    """``b + sum_j W_j y_j`` over the input (j = 0) and the blocks (j = 1, 2, …) that are read.

    Parameters
    ----------
    weights : mapping of int to (m, n_j) matrix
        Dense arrays, `SparseMatrix` or scipy sparse matrices; a block that is not a key is not read.
    bias : (m,) array

    Raises
    ------
    ShapeError, InputError
        Shapes that do not fit the bias, NaN, infinity, a key that is no block.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.AffineMap({0: [[1.0, 2.0]]}, [0.5])
    AffineMap(1 value of input)
    """

    __slots__ = ("_bias", "_weights")

    def __init__(self, weights: Mapping[int, Any], bias: Any) -> None:
        self._bias = _as_parameter(bias, 1, "bias")
        if not isinstance(weights, Mapping):
            raise InputError(f"weights is a {type(weights).__name__}; expected a mapping from blocks to matrices")
        terms: dict[int, Matrix] = {}
        for key in weights:
            if not _is_integer(key) or key < 0:
                raise InputError(f"weights has the key {key!r}; expected 0 for the input, 1, 2, … for blocks")
        for key in sorted(weights):
            given = weights[key]
            sparse = isinstance(given, SparseMatrix) or hasattr(given, "tocsr")
            matrix: Matrix = SparseMatrix.of(given) if sparse else _as_parameter(given, 2, f"weights[{key}]")
            if matrix.shape[0] != len(self._bias):
                raise ShapeError(
                    f"weights[{key}] has shape {matrix.shape}; the bias has {words.count(len(self._bias), 'entry', 'entries')}"
                )
            terms[int(key)] = matrix
        if any(a.dtype == object for a in (self._bias, *terms.values())):
            terms, self._bias = {j: _cast(w, True) for j, w in terms.items()}, _exact_array(self._bias)
        self._weights: dict[int, Matrix] = {
            j: m if isinstance(m, SparseMatrix) else sealed(m) for j, m in terms.items()
        }
        self._bias = sealed(self._bias)

    @property
    def weights(self) -> Mapping[int, Matrix]:
        """The matrices by the block that they read, ascending; read-only."""
        return MappingProxyType(self._weights)

    @property
    def bias(self) -> Array:
        """Offsets, (m,), read-only."""
        return self._bias

    @property
    def n_rows(self) -> int:
        """Number m of values."""
        return len(self._bias)

    @property
    def is_exact(self) -> bool:
        """Whether the numbers are rationals."""
        return bool(self._bias.dtype == object)

    def dense(self, block: int, width: int) -> Array:
        """The matrix on a block of ``width`` units with its zeros; zeros where the block is not read."""
        if block in self._weights:
            return dense(self._weights[block])
        zeros = SparseMatrix([0] * (self.n_rows + 1), [], self._bias[:0], (self.n_rows, width))
        return zeros.toarray()

    def __call__(self, values: Sequence[Array]) -> Array:
        """The map at values ``y_0, y_1, …`` of the input and the blocks, each (…, n_j)."""
        result = np.broadcast_to(self._bias, (*values[0].shape[:-1], self.n_rows))
        for j, matrix in self._weights.items():
            result = result + apply(matrix, values[j])
        return np.array(result)

    def astype(self, exact: bool) -> AffineMap:
        """The same map in Fractions, or rounded to float64."""
        bias = _exact_array(self._bias) if exact else self._bias.astype(np.float64)
        return (
            self if exact == self.is_exact else AffineMap({j: _cast(w, exact) for j, w in self._weights.items()}, bias)
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AffineMap):
            return NotImplemented
        return (
            np.array_equal(self._bias, other._bias)
            and self._weights.keys() == other._weights.keys()
            and all(SparseMatrix.of(w) == SparseMatrix.of(other._weights[j]) for j, w in self._weights.items())
        )

    def __hash__(self) -> int:
        return hash((tuple(self._bias.tolist()), *((j, SparseMatrix.of(w)) for j, w in self._weights.items())))

    def __reduce__(self) -> tuple[Any, ...]:
        return AffineMap, (self._weights, self._bias)

    def __repr__(self) -> str:
        read = ", ".join("input" if j == 0 else f"block {j}" for j in self._weights)
        return f"AffineMap({words.count(self.n_rows, 'value')} of {read or 'nothing'})"


def _cast(matrix: Matrix, exact: bool) -> Matrix:
    if isinstance(matrix, SparseMatrix):
        return matrix.astype(exact)
    return _exact_array(matrix) if exact else _frozen(matrix.astype(np.float64))


@dataclass(frozen=True, eq=False)
class GateGroup:
    """Which gates of a block come from which node of a file.

    ``positions`` are places in the node's output of shape ``shape`` (channel first, batch left out), row by row;
    ``role`` says what the gate decides there, where a node makes several: a clip's two walls, the comparisons of a
    maximum.
    """

    node: str
    operation: str
    shape: tuple[int, ...]
    positions: IntArray
    role: str = ""

    def __post_init__(self) -> None:
        shape, places = _as_shape(self.shape, "the shape of a group"), np.asarray(self.positions)
        size = math.prod(shape)
        if places.ndim != 1 or (places.size and places.dtype.kind not in "iu"):
            raise InputError(f"positions of a group are {self.positions!r}; expected integers")
        if places.size and not 0 <= places.min() <= places.max() < size:
            raise ShapeError(f"positions {places.min()} to {places.max()} in a node's output of shape {shape}")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "positions", sealed(places.astype(np.int64)))

    def name(self, at: int) -> str:
        """Name of the gate number ``at`` of the group, such as ``conv1[3, 0, 5]``."""
        place = np.unravel_index(int(self.positions[at]), self.shape) if self.shape else ()
        return f"{self.node}[{', '.join(str(int(i)) for i in place)}]{' ' + self.role if self.role else ''}"


class GateBlock:
    """Gates that read the input and earlier blocks through one affine map.

    Parameters
    ----------
    weights : mapping of int to (m, n_j) matrix
        See `AffineMap`.
    bias : (m,) array
    slopes : (2,) or (m, 2) array
        ``s⁻, s⁺`` for all gates or for each: float64 or rationals. Default ReLU.
    groups : sequence of GateGroup
        Where the gates come from, in order; their sizes add up to m, or none is given.

    Raises
    ------
    InputError
        Slopes that are equal (not a gate: fold it into the affine maps), NaN, infinity.
    ShapeError
        Shapes that do not fit.

    Examples
    --------
    >>> GateBlock({0: [[1.0, -1.0]]}, [0.5], slopes=(-1.0, 1.0))
    GateBlock(1 gate of input)
    """

    __slots__ = ("_affine", "_groups", "_slopes")

    def __init__(
        self, weights: Mapping[int, Any], bias: Any, *, slopes: Any = RELU, groups: Sequence[GateGroup] = ()
    ) -> None:
        self._affine = AffineMap(weights, bias)
        m = self._affine.n_rows
        if m == 0:
            raise ShapeError("a block without gates; leave it out")
        pairs = np.asarray(unmasked(slopes))
        if pairs.shape not in ((2,), (m, 2)):
            raise ShapeError(f"slopes of shape {pairs.shape}; expected (2,) or ({m}, 2): below and above the wall")
        if pairs.dtype.kind not in "fiubO":
            raise InputError(f"slopes of dtype {pairs.dtype}; expected numbers")
        self._slopes = _as_parameter(np.broadcast_to(pairs, (m, 2)), 2, "slopes")
        same = np.flatnonzero(np.asarray(self._slopes[:, 0] == self._slopes[:, 1], dtype=bool))
        if len(same):
            raise InputError(
                f"unit {same[0]} has the slope {self._slopes[same[0], 0]} on both sides: it is affine, not a gate; "
                "put its slope into the maps that read it",
                unit=int(same[0]),
            )
        if self._slopes.dtype == object or self._affine.is_exact:
            self._slopes, self._affine = _exact_array(self._slopes), self._affine.astype(True)
        if not isinstance(groups, Sequence) or not all(isinstance(g, GateGroup) for g in groups):
            raise InputError(f"groups is {groups!r}; expected a sequence of GateGroup")
        self._slopes = sealed(self._slopes)
        self._groups = tuple(groups)
        if self._groups and sum(len(g.positions) for g in self._groups) != m:
            raise ShapeError(f"groups of {[len(g.positions) for g in self._groups]} gates; the block has {m}")

    @property
    def affine(self) -> AffineMap:
        """The map from the input and earlier blocks to ``z``."""
        return self._affine

    @property
    def weights(self) -> Mapping[int, Matrix]:
        """Matrices by the block that they read."""
        return self._affine.weights

    @property
    def bias(self) -> Array:
        """Offsets, (m,)."""
        return self._affine.bias

    @property
    def slopes(self) -> Array:
        """(m, 2): slope where z <= 0, slope where z >= 0."""
        return self._slopes

    @property
    def groups(self) -> tuple[GateGroup, ...]:
        """Where the gates come from."""
        return self._groups

    @property
    def width(self) -> int:
        """Number m of gates."""
        return len(self._slopes)

    def outputs(self, z: Array) -> Array:
        """Values behind the gates of values before them, (…, m); a gate that is flat at an infinite value gives 0."""
        slope = np.where(z > 0, self._slopes[:, 1], self._slopes[:, 0])
        if z.dtype == object or self._slopes.dtype == object:
            return np.asarray(slope * z)
        with np.errstate(invalid="ignore"):  # NaN goes on as it is
            return np.asarray(np.where((slope == 0) & ~np.isnan(z), 0.0, slope * z))

    def astype(self, exact: bool) -> GateBlock:
        """The same block in Fractions, or rounded to float64."""
        affine = self._affine.astype(exact)
        slopes = _exact_array(self._slopes) if exact else self._slopes.astype(np.float64)
        same = np.flatnonzero(np.asarray(slopes[:, 0] == slopes[:, 1], dtype=bool))
        if len(same):
            below, above = self._slopes[same[0]]
            raise InputError(
                f"the slopes {below} and {above} of unit {same[0]} are different, but rounding to float64 makes them equal; "
                "keep the network exact",
                unit=int(same[0]),
            )
        return GateBlock(affine.weights, affine.bias, slopes=slopes, groups=self._groups)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GateBlock):
            return NotImplemented
        return self._affine == other._affine and np.array_equal(self._slopes, other._slopes)

    def __hash__(self) -> int:
        return hash((self._affine, tuple(self._slopes.ravel().tolist())))

    def __reduce__(self) -> tuple[Any, ...]:
        return _gate_block, (dict(self.weights), self.bias, self._slopes, self._groups)

    def __repr__(self) -> str:
        read = ", ".join("input" if j == 0 else f"block {j}" for j in self.weights)
        return f"GateBlock({self.width} gate{'s' * (self.width > 1)} of {read or 'nothing'})"


def _gate_block(weights: Any, bias: Any, slopes: Any, groups: Any) -> GateBlock:
    return GateBlock(weights, bias, slopes=slopes, groups=groups)


class PiecewiseLinearNetwork:
    """A network of gates with slopes, wired in any way without cycles.

    Parameters
    ----------
    n_inputs : int
    blocks : sequence of GateBlock
        Block l (from 1) reads the input (0) and blocks before it.
    output : AffineMap
        The outputs, of the input and any blocks.
    input_shape : tuple of int, optional
        The shape of one input in its file; inputs here are vectors, row by row.
    source : mapping, optional
        Where the network came from and what reading it did.

    Raises
    ------
    InputError
        A block that reads itself or a later one (a cycle), or that does not exist.
    ShapeError
        A matrix whose columns are not the units of the block that it reads.

    Notes
    -----
    A value: immutable, compared by parameters, picklable. If any parameter is a rational, all become rationals.
    What the class means for complexes and breakpoints is in the documentation under "piecewise-linear networks".

    Examples
    --------
    A residual block, ``x + |x|``:

    >>> import polyfiber as pf
    >>> net = pf.PiecewiseLinearNetwork(
    ...     1, [pf.GateBlock({0: [[1.0]]}, [0.0], slopes=(-1, 1))], pf.AffineMap({0: [[1.0]], 1: [[1.0]]}, [0.0]))
    >>> net, net([[-3.0], [2.0]]).ravel().tolist()
    (PiecewiseLinearNetwork(1-1-1, float64, 1 gate, 3 nonzeros), [0.0, 4.0])
    """

    __slots__ = ("_blocks", "_input_shape", "_n_inputs", "_output", "_relu", "_source")

    def __init__(
        self,
        n_inputs: int,
        blocks: Sequence[GateBlock],
        output: AffineMap,
        *,
        input_shape: Sequence[int] | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        if not _is_integer(n_inputs) or n_inputs < 1:
            raise InputError(f"n_inputs is {n_inputs!r}; expected a positive integer")
        if (
            not isinstance(output, AffineMap)
            or not isinstance(blocks, Sequence)
            or not all(isinstance(b, GateBlock) for b in blocks)
        ):
            raise InputError("expected a sequence of GateBlock and an AffineMap for the outputs")
        if output.n_rows == 0:
            raise ShapeError("a network needs at least one output")
        widths = [int(n_inputs), *(b.width for b in blocks)]
        maps = [*(b.affine for b in blocks), output]
        for place, affine in enumerate(maps, start=1):
            what = f"block {place}" if place <= len(blocks) else "the output"
            for j, matrix in affine.weights.items():
                if j >= place:
                    raise InputError(
                        f"{what} reads block {j}, which is not before it; here 0, the input, to {place - 1} can be read: "
                        "blocks are numbered from 1 in the order of evaluation",
                        block=place,
                        reads=j,
                    )
                if matrix.shape[1] != widths[j]:
                    raise ShapeError(
                        f"{what} reads {'the input' if j == 0 else f'block {j}'} of {words.count(widths[j], 'value')} with a matrix of "
                        f"shape {matrix.shape}"
                    )
        shape = (int(n_inputs),) if input_shape is None else _as_shape(input_shape, "input_shape")
        if math.prod(shape) != n_inputs:
            raise ShapeError(f"input_shape {shape} does not hold {words.count(n_inputs, 'value')}")
        if source is not None and not isinstance(source, Mapping):
            raise InputError(f"source is a {type(source).__name__}; expected a mapping")
        exact = any(a.is_exact for a in maps)
        self._blocks: tuple[GateBlock, ...] = tuple(b.astype(True) if exact else b for b in blocks)
        self._output = output.astype(True) if exact else output
        self._n_inputs, self._input_shape = int(n_inputs), shape
        self._source: dict[str, Any] = dict(source or {})
        self._relu: Any = None  # what `relu_form` made of it

    # ---- parameters -------------------------------------------------------------------------
    @property
    def blocks(self) -> tuple[GateBlock, ...]:
        """The blocks in order of evaluation; ``blocks[l - 1]`` is block l."""
        return self._blocks

    @property
    def output(self) -> AffineMap:
        """The map to the outputs."""
        return self._output

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return self._n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return self._output.n_rows

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input in its file; ``(n_inputs,)`` if nothing is known."""
        return self._input_shape

    @property
    def source(self) -> Mapping[str, Any]:
        """Where the network came from: format, dtype, head, folding. Empty if built by hand."""
        return MappingProxyType(self._source)

    @property
    def architecture(self) -> tuple[int, ...]:
        """``(n0, m_1, …, m_L, outputs)``; what reads what is in the blocks."""
        return (self._n_inputs, *self.hidden_widths, self.n_outputs)

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Gates of each block."""
        return tuple(b.width for b in self._blocks)

    @property
    def n_hidden(self) -> int:
        """Number of gates: the columns of a sign vector."""
        return sum(self.hidden_widths)

    @property
    def n_parameters(self) -> int:
        """Number of nonzero weights, of biases and of slopes."""
        maps = [*(b.affine for b in self._blocks), self._output]
        return (
            sum(nonzeros(w) for a in maps for w in a.weights.values()) + sum(a.n_rows for a in maps) + 2 * self.n_hidden
        )

    @property
    def is_exact(self) -> bool:
        """Whether the parameters are rationals (dtype object) rather than floats."""
        return self._output.is_exact

    @property
    def is_chain(self) -> bool:
        """Whether this is a ReLU chain: slopes (0, 1), and every block reads the one before it only."""
        if not self._blocks:
            return True
        maps = [*(b.affine for b in self._blocks), self._output]
        straight = all(set(a.weights) <= {l} for l, a in enumerate(maps))
        return straight and all(bool(np.all(b.slopes == np.array(RELU))) for b in self._blocks)

    def neuron(self, index: int) -> tuple[int, int]:
        """(block, position) of a column of a sign vector; blocks count from 1, positions from 0."""
        if not _is_integer(index) or not 0 <= index < self.n_hidden:
            raise InputError(f"gate {index!r} does not exist; the network has {self.n_hidden}, numbered from 0")
        ends = np.cumsum(self.hidden_widths)
        block = int(np.searchsorted(ends, index, side="right"))
        return block + 1, int(index - (ends[block] - self.hidden_widths[block]))

    def gate_name(self, index: int) -> str:
        """Where the gate of a column stands in the file: node, channel and position; else ``block 2[5]``."""
        block, position = self.neuron(index)
        at = position
        for group in self._blocks[block - 1].groups:
            if at < len(group.positions):
                return group.name(at)
            at -= len(group.positions)
        return f"block {block}[{position}]"

    # ---- conversions ------------------------------------------------------------------------
    def exact(self) -> PiecewiseLinearNetwork:
        """The same network with ``Fraction`` parameters (floats are dyadic rationals)."""
        return self if self.is_exact else self._with([b.astype(True) for b in self._blocks], self._output.astype(True))

    def rounded(self) -> PiecewiseLinearNetwork:
        """The nearest float64 network; the same object if it is one already."""
        if not self.is_exact:
            return self
        try:
            return self._with([b.astype(False) for b in self._blocks], self._output.astype(False))
        except OverflowError:
            raise InputError("a parameter is beyond float64; keep the network exact") from None

    def _with(self, blocks: Sequence[GateBlock], output: AffineMap) -> PiecewiseLinearNetwork:
        return PiecewiseLinearNetwork(
            self._n_inputs, blocks, output, input_shape=self._input_shape, source=self._source
        )

    def inner(self, block: int, *, gates: bool = True) -> PiecewiseLinearNetwork:
        """The network that ends at a block: its outputs are ``y_l`` behind the gates, or ``z_l`` before them.

        Parameters
        ----------
        block : int
            From 1 to the number of blocks.
        gates : bool
            Whether behind (True) or before the gates.
        """
        if not _is_integer(block) or not 1 <= block <= len(self._blocks):
            raise InputError(f"block {block!r} does not exist; the network has {len(self._blocks)}, numbered from 1")
        if not gates:
            return self._with(self._blocks[: block - 1], self._blocks[block - 1].affine)
        m = self._blocks[block - 1].width
        unit = SparseMatrix(np.arange(m + 1), np.arange(m), np.ones(m), (m, m))
        return self._with(self._blocks[:block], AffineMap({block: unit}, np.zeros(m)))

    @classmethod
    def from_chain(cls, net: ReLUNetwork) -> PiecewiseLinearNetwork:
        """A ReLU chain as a network of this class: block l is hidden layer l."""
        if not isinstance(net, ReLUNetwork):
            raise InputError(f"expected a polyfiber.ReLUNetwork, found {type(net).__name__}")
        maps = [AffineMap({l: w}, b) for l, (w, b) in enumerate(zip(net.weights, net.biases))]
        blocks = [GateBlock(a.weights, a.bias) for a in maps[:-1]]
        return cls(net.architecture[0], blocks, maps[-1], source=net.source)

    def as_chain(self) -> ReLUNetwork:
        """This network as a `ReLUNetwork` of the same neurons; InputError unless `is_chain`."""
        if not self.is_chain:
            raise InputError(
                "this network is no ReLU chain (a gate has other slopes, or a block reads one further back); "
                "to_chain() emulates it with more neurons"
            )
        maps = [*(b.affine for b in self._blocks), self._output]
        widths = [self._n_inputs, *self.hidden_widths]
        return ReLUNetwork(
            [a.dense(l, widths[l]) for l, a in enumerate(maps)], [a.bias for a in maps], source=self._source
        )

    def to_chain(self) -> ReLUNetwork:
        """A ReLU chain that computes the same function, with units ``z`` and ``-z`` where one does not suffice.

        Values that a later block reads are carried through the layers between. The parameters are float64 where slopes
        are 0 or powers of two, else exact rationals. The complex of the chain is that of this network cut by no more
        walls than ``x_i = 0`` of the inputs that are carried, but it is seldom generic.

        Raises
        ------
        InputError
            Matrices that are too large to be written out.
        """
        chain: ReLUNetwork = above("network.emulation:chain_of")(self)
        return chain

    # ---- evaluation -------------------------------------------------------------------------
    def __call__(self, X: Any) -> Array:
        """Evaluate at points (…, n_inputs): (…, n_outputs), float64 or Fractions."""
        return self.preactivations(X)[-1]

    def preactivations(self, X: Any) -> list[Array]:
        """Values ``z_1, …, z_L`` before the gates, (…, m_l), and last the outputs."""
        unmasked(X)
        try:
            points = np.asarray(X)
        except ValueError:
            raise ShapeError("the points are not a rectangular array") from None
        if points.ndim == 0 or points.shape[-1] != self._n_inputs:
            raise ShapeError(
                f"points of shape {points.shape} do not fit a network with {words.count(self._n_inputs, 'input')}"
            )
        if points.dtype.kind not in "fiubO":
            raise InputError(f"points of dtype {points.dtype}; expected numbers")
        if points.dtype == object or self.is_exact:
            points = _as_parameter(points.reshape(-1).astype(object), 1, "points").reshape(points.shape)
            if not self.is_exact:
                return self.exact().preactivations(points)
        else:
            points = points.astype(np.float64, copy=False)
        values, behind = [], [points]
        with np.errstate(invalid="ignore"):  # NaN, and infinities of both signs that meet, are NaN without a warning
            for block in self._blocks:
                values.append(block.affine(behind))
                behind.append(block.outputs(values[-1]))
            return [*values, self._output(behind)]

    # ---- identity ---------------------------------------------------------------------------
    def __eq__(self, other: object) -> bool:
        """Equal parameters and equal wiring (not: equal functions)."""
        if not isinstance(other, PiecewiseLinearNetwork):
            return NotImplemented
        return self._n_inputs == other._n_inputs and self._blocks == other._blocks and self._output == other._output

    def __hash__(self) -> int:
        return hash((self._n_inputs, self._blocks, self._output))

    def __reduce__(self) -> tuple[Any, ...]:
        return _network, (self._n_inputs, self._blocks, self._output, self._input_shape, self._source)

    def __repr__(self) -> str:
        kind = "exact" if self.is_exact else "float64"
        widths = short_widths(self.architecture)
        count = sum(nonzeros(w) for a in (*(b.affine for b in self._blocks), self._output) for w in a.weights.values())
        origin = f", from {self._source['file']}" if "file" in self._source else ""
        gates = f"{self.n_hidden} gate{'s' * (self.n_hidden != 1)}"
        return f"PiecewiseLinearNetwork({widths}, {kind}, {gates}, {count} nonzeros{origin})"

    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text

    def save(self, path: str | Path) -> None:
        """Write the network; the format follows the suffix (see `polyfiber.network.writers`)."""
        above("network.writers:write_network")(self, path)


def _network(n: int, blocks: Any, output: AffineMap, shape: Any, source: Any) -> PiecewiseLinearNetwork:
    return PiecewiseLinearNetwork(n, blocks, output, input_shape=shape, source=source)


def require_network(net: Any) -> Any:
    """A `ReLUNetwork` or a `PiecewiseLinearNetwork`, a chain as the former; InputError for anything else."""
    if isinstance(net, ReLUNetwork):
        return net
    if isinstance(net, PiecewiseLinearNetwork):
        return net.as_chain() if net.is_chain else net
    raise InputError(
        f"expected a polyfiber.ReLUNetwork or PiecewiseLinearNetwork, found {type(net).__name__}; "
        "use read_network, from_torch or from_sklearn first"
    )


def function_chain(net: Any) -> Any:
    """The network as a ReLU chain of the same function: itself, or the chain that emulates it; anything else as it
    is.
    """
    return net.to_chain() if isinstance(net, PiecewiseLinearNetwork) else net


def require_chain(net: Any, what: str) -> ReLUNetwork:
    """The network as a ReLU chain, or the one error that theory for chains gives to others."""
    if isinstance(net, ReLUNetwork):
        return net
    if isinstance(net, PiecewiseLinearNetwork):
        if net.is_chain:
            return net.as_chain()
        raise InputError(
            f"{what} rests on theorems about ReLU chains; this network has other gates or connections "
            "(to_chain() is a chain with the same function)"
        )
    raise InputError(
        f"expected a polyfiber.ReLUNetwork, found {type(net).__name__}; see read_network, from_torch, from_sklearn"
    )
