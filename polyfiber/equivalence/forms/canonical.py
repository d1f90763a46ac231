"""Canonical form of a network: equal forms for equal functions, comparable with one tolerance.

For two hidden layers with ``n0 >= n1 >= 2`` (generic) and for one hidden layer, two networks compute
the same function exactly when their forms are equal (The Symmetries of Three-Layer ReLU Networks,
Theorems 1 and 5, §6). For other architectures equal forms still prove equal functions: the form is
then normal modulo permutation, positive scaling, merging, and everything that layer L-1 allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..._typing import Array, FloatArray, IdArray, SignArray
from ..._values.checked import real, unmasked
from ..._values.read_only import closed
from ...budget import Budget, until_late, within_budget
from ...errors import FileFormatError, InputError, NumericalError
from ...kernels.fibers import canonical as kernels
from ...network.float_or_rational import within_floats
from ...network.model import ReLUNetwork
from ...network.names import local_path
from ...network.piecewise import require_chain
from ...network.readers.npz import read_arrays
from ...numerics.rounding import NOISE, UNIT

MERGE = 1e-10
"""Relative distance within which two hyperplanes are one and weights cancel."""
FORMAT_VERSION = 1
_KINDS = {kernels.LAYERED: "layerwise", kernels.HIDING: "hiding", kernels.FLIPS: "flips"}


def flat_parameters(*nets: ReLUNetwork) -> FloatArray:
    """``W_1, b_1, …, W_L, b_L`` of one network after the other in one float64 vector (rationals are rounded)."""
    floats = [within_floats(net) for net in nets]
    return np.concatenate([part.ravel() for net in floats for pair in zip(net.weights, net.biases) for part in pair])


@dataclass(frozen=True)
class RawForms:
    """Output of the kernel for several networks of one architecture."""

    widths: Array
    forms: FloatArray
    kind: SignArray
    hidden: Array
    count: Array
    orient: SignArray
    margin: FloatArray
    noise: FloatArray

    @property
    def columns(self) -> Any:
        """As kernels take them."""
        return kernels.Forms(*(getattr(self, name) for name in kernels.Forms._fields))


def raw_forms(flat: FloatArray, architecture: Any, *, merge: float = MERGE, slack: float = NOISE) -> RawForms:
    """Forms of networks given as rows of parameters: (B, P) float64."""
    widths = np.asarray(architecture, dtype=np.int64)
    flat = np.require(flat, dtype=np.float64, requirements=["C", "W"])
    found = kernels.room_for(len(flat), widths)
    operations = len(flat) * int((widths[1:] ** 2 * widths[:-1]).sum())
    with np.errstate(all="ignore"):
        until_late(
            lambda stop: kernels.canonical_forms(flat, widths, merge, slack, found, stop), "canonical forms", operations
        )
    return RawForms(widths, *found)


def compare_raw(raw: RawForms, left: Any, right: Any, *, limit: float) -> tuple[FloatArray, IdArray]:
    """Distances of pairs of forms (lower bounds above ``limit``) and the matched neurons."""
    left, right = (np.ascontiguousarray(v, dtype=np.int64) for v in (left, right))
    distance = np.empty(len(left))
    orders = np.full((len(left), max(1, int(raw.widths[1:-1].sum()))), -1, dtype=np.int32)
    kernels.compare_forms(raw.columns, left, right, raw.widths, limit, distance, orders)
    return distance, orders


def generic_numbers(*shape: int) -> FloatArray:
    """Fixed numbers in (-1, 1) without special relations: fractional parts of multiples of square roots."""
    size = int(np.prod(shape))
    index = np.arange(1, size + 1, dtype=np.float64)
    values = (index * np.sqrt(2.0) + np.sqrt(3.0 + 7.0 * index)) % 1.0
    return (2.0 * values - 1.0).reshape(shape)


@closed
@dataclass(frozen=True, eq=False)
class CanonicalForm:
    """A function by its canonical parameters; made by `canonical_form`.

    Attributes
    ----------
    kind : str
        'affine', 'constant', 'one hidden layer', 'layerwise', 'hiding' (several live neurons in
        layer 2), 'flips' (one live neuron that hides a hyperplane) or 'layered' (three or more hidden layers).
    inputs, outputs : int
    layers : tuple of (n_l, n_{l-1} + 1) arrays
        Rows ``(w | b)`` with ``|w| = 1`` of every hidden layer but the last, ordered by a fixed projection.
        For 'flips' the rows ``z_i`` (up to sign) and, last, the affine form ``l``.
    hyperplanes : (N, n + 1) array
        ``(u | t)``, ``|u| = 1``, up to sign, of the last hidden layer. For 'flips' one row ``alpha``.
    weights : (N, m) array
        Gradient jump across each hyperplane.
    slope : (m, n) array, constant : (m,) array
        The function of the last two layers is ``sum_i (c_i / 2) |u_i . y + t_i| + slope y + constant``.
        'flips': ``constant + c relu(l - sum_i alpha_i |z_i|)``.
    orientation : (N,) int8
        Orientation of the neurons that it was read from (0: both); no part of the form.
    margin : float
        Genericity margin: the smallest relative quantity that a decision rested on. A network whose
        rows differ by less has a form close to this one.
    noise : float
        Relative rounding error that the entries may carry.
    decides : str
        'always': equal functions have equal forms; 'generic': if the networks are generic bottlenecks;
        'sufficient': equal forms prove equality, different ones nothing.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    >>> pf.canonical_form(net) == pf.canonical_form(net)
    True
    """

    kind: str
    inputs: int
    outputs: int
    layers: tuple[FloatArray, ...]
    hyperplanes: FloatArray
    weights: FloatArray
    slope: FloatArray
    constant: FloatArray
    orientation: SignArray
    margin: float
    noise: float
    decides: str

    # ---- comparison -------------------------------------------------------------------------
    @property
    def widths(self) -> tuple[int, ...]:
        """Widths after everything that the function does not need is gone."""
        inner = tuple(len(rows) for rows in self.layers)
        if self.kind in ("affine",):
            return (self.inputs, self.outputs)
        return (self.inputs, *inner, len(self.hyperplanes), self.outputs)

    def distance(self, other: CanonicalForm, *, limit: float = 1e-3) -> float:
        """Largest difference of matched entries, each block relative to its size; a bound above ``limit`` if larger.

        Rows are matched, not compared in order: an order by projections may swap rows that tie up
        to rounding. Infinite when the numbers of rows differ.
        """
        if not isinstance(other, CanonicalForm):
            raise InputError(f"expected a CanonicalForm, found {type(other).__name__}")
        if (self.inputs, self.outputs) != (other.inputs, other.outputs):
            return float("inf")
        if (self.kind == "flips") != (other.kind == "flips") or self._flat_widths() != other._flat_widths():
            return float("inf")
        widths = np.asarray(self._flat_widths(), dtype=np.int64)
        forms = np.stack([self._vector(), other._vector()])
        code = kernels.FLIPS if self.kind == "flips" else kernels.LAYERED
        raw = RawForms(
            widths, forms, np.full(2, code, np.int8), np.zeros(2, np.int16),
            np.full(2, len(self.hyperplanes), np.int16), np.zeros((2, 1), np.int8), np.zeros(2), np.zeros(2),
        )  # fmt: skip
        return float(compare_raw(raw, [0], [1], limit=limit)[0][0])

    def matches(self, other: CanonicalForm, *, tolerance: float = 1e-9) -> bool:
        """Whether the forms agree within a relative tolerance, plus the rounding that both may carry."""
        allowed = tolerance + self.noise + other.noise
        return self.distance(other, limit=2 * allowed) <= allowed < 1

    def _flat_widths(self) -> tuple[int, ...]:
        if self.kind == "affine":
            return (self.inputs, self.outputs)
        return (self.inputs, *(len(rows) for rows in self.layers), len(self.hyperplanes), self.outputs)

    def _vector(self) -> FloatArray:
        """The form in the layout of the kernels."""
        parts = [rows.ravel() for rows in self.layers]
        if self.kind == "flips":
            n1 = len(self.layers[0])
            block = np.zeros(n1 + 1)
            block[:n1] = self.hyperplanes[0]
            slope = np.zeros(self.outputs * n1)
            return np.concatenate([*parts, block, self.weights.ravel(), slope, self.constant])
        return np.concatenate(
            [*parts, self.hyperplanes.ravel(), self.weights.ravel(), self.slope.ravel(), self.constant]
        )

    def keys(self, tolerance: float = 1e-9) -> tuple[int, ...]:
        """Four hashes; forms that match within the tolerance share at least one.

        A rounded digest splits values that straddle a rounding edge. Here a value of the function at a
        fixed point is put on two shifted grids, whose cells are scaled by a size that sits on two
        shifted grids itself. A shared hash is no proof: confirm with `matches`.
        """
        points, mix = generic_numbers(1, self.inputs), generic_numbers(self.outputs)
        value = float(mix @ self(points)[0])
        size = float(np.abs(mix) @ self._size(points)[0]) + 1e-300
        found = []
        for shift in (0.0, 0.5):
            exponent = int(np.floor(np.log2(size) / 2 + shift))
            cell = 64.0 * tolerance * 4.0 ** (exponent + 1 - shift)
            for half in (0.0, 0.5):
                place = int(np.floor(value / cell + half))
                found.append(hash((self.inputs, self.outputs, shift, exponent, half, place)))
        return tuple(found)

    def __eq__(self, other: object) -> bool:
        """Identical entries; see `matches` for a tolerance."""
        if not isinstance(other, CanonicalForm):
            return NotImplemented
        mine, theirs = ((f.kind, f.inputs, f.outputs, f._flat_widths(), f._vector().tobytes()) for f in (self, other))
        return mine == theirs

    def __hash__(self) -> int:
        return hash((self.kind, self._flat_widths(), self._vector().tobytes()))

    # ---- the function -----------------------------------------------------------------------
    def __call__(self, X: Any) -> FloatArray:
        """Values at points (…, n0) -> (…, m)."""
        y = np.asarray(unmasked(X), dtype=np.float64)
        if self.kind == "flips":
            z = y @ self.layers[0][:, :-1].T + self.layers[0][:, -1]
            bend = z[..., -1] - np.abs(z[..., :-1]) @ self.hyperplanes[0, :-1]
            result: FloatArray = self.constant + np.maximum(bend, 0.0)[..., None] * self.weights[0]
            return result
        for rows in self.layers:
            y = np.maximum(y @ rows[:, :-1].T + rows[:, -1], 0.0)
        z = np.abs(y @ self.hyperplanes[:, :-1].T + self.hyperplanes[:, -1])
        result = 0.5 * z @ self.weights + y @ self.slope.T + self.constant
        return result

    def _size(self, X: FloatArray) -> FloatArray:
        y = np.abs(X)
        if self.kind == "flips":
            z = y @ np.abs(self.layers[0][:, :-1]).T + np.abs(self.layers[0][:, -1])
            total = z[..., -1] + z[..., :-1] @ np.abs(self.hyperplanes[0, :-1])
            return np.abs(self.constant) + total[..., None] * np.abs(self.weights[0])
        for rows in self.layers:
            y = y @ np.abs(rows[:, :-1]).T + np.abs(rows[:, -1])
        z = y @ np.abs(self.hyperplanes[:, :-1]).T + np.abs(self.hyperplanes[:, -1])
        return 0.5 * z @ np.abs(self.weights) + y @ np.abs(self.slope).T + np.abs(self.constant)

    def to_network(self) -> ReLUNetwork:
        """A network with this form; linear neurons only as many as the affine part needs.

        Raises
        ------
        NumericalError
            The number of linear neurons is not decided at rounding level (`RankAmbiguityError`).
        """
        if self.kind == "affine":
            return ReLUNetwork([self.slope], [self.constant])
        if self.kind == "flips":
            return self._flip_network()
        tau = np.where(self.orientation < 0, -1.0, 1.0)
        on = (tau[:, None] * self.hyperplanes) if len(tau) else self.hyperplanes
        half = 0.5 * self.weights.T  # |z| = 2 relu(z) - z
        slope = self.slope - half @ on[:, :-1]
        constant = self.constant - half @ on[:, -1]
        scale = max(_top(self.slope), _top(self.weights))
        terms = np.abs(self.slope) + np.abs(half) @ np.abs(on[:, :-1])
        slope = np.where(np.abs(slope) <= (128 * UNIT + self.noise) * np.maximum(terms, 1e-3 * scale), 0.0, slope)
        rows, offsets, columns = on[:, :-1], on[:, -1], self.weights.T
        if np.any(slope != 0.0):
            if self.layers:
                from ...fibers.nonnegative_rank import nonnegative_column_rank

                factors = nonnegative_column_rank(slope)
                extra, out = factors.right, factors.left
            else:
                live = np.any(slope != 0.0, axis=0)
                extra = np.concatenate([np.eye(self.inputs)[live], -np.eye(self.inputs)[live]])
                out = np.concatenate([slope[:, live], -slope[:, live]], axis=1)
            rows = np.concatenate([rows, extra])
            offsets = np.concatenate([offsets, np.zeros(len(extra))])
            columns = np.concatenate([columns, out], axis=1)
        weights = [layer[:, :-1] for layer in self.layers]
        biases = [layer[:, -1] for layer in self.layers]
        if any(len(layer) == 0 for layer in self.layers) or len(rows) == 0:  # constant: widths are at least 1
            value = self(np.zeros((1, self.inputs)))[0]
            width = (self.inputs, *(1 for _ in self.layers), 1, self.outputs)
            pairs = list(zip(width[:-1], width[1:]))
            return ReLUNetwork([np.zeros((b, a)) for a, b in pairs], [*(np.zeros(b) for _, b in pairs[:-1]), value])
        return ReLUNetwork([*weights, rows, columns], [*biases, offsets, constant])

    def _flip_network(self) -> ReLUNetwork:
        rows, alpha = self.layers[0], self.hyperplanes[0, :-1]
        z, last = rows[:-1], rows[-1].copy()
        last += alpha @ z  # l = z_k - sum alpha_i z_i with |z| = 2 relu(z) - z
        size = float(np.linalg.norm(last[:-1]))
        if size == 0.0:
            raise NumericalError("the hidden row of this form has no direction; the network is not generic")
        reach = np.full(1, -size)  # gauge: bias of layer 2 is minus one unit of the hidden row
        last[-1] += size
        W1 = np.concatenate([z, last[None]])
        W2 = np.concatenate([-2.0 * alpha, [1.0]])[None]
        return ReLUNetwork([W1[:, :-1], W2, self.weights.T], [W1[:, -1], reach, self.constant])

    # ---- files ------------------------------------------------------------------------------
    def save(self, path: str | Path) -> None:
        """Write the form as ``.npz`` (no pickle)."""
        arrays = {f"layer{i}": rows for i, rows in enumerate(self.layers)}
        facts = np.array([FORMAT_VERSION, self.inputs, self.outputs, len(self.layers)], dtype=np.int64)
        with local_path(path, "a form").open("wb") as file:
            np.savez(
                file, facts=facts, text=np.array([self.kind, self.decides]), hyperplanes=self.hyperplanes,
                weights=self.weights, slope=self.slope, constant=self.constant, orientation=self.orientation,
                margins=np.array([self.margin, self.noise]), allow_pickle=False, **arrays,
            )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path) -> CanonicalForm:
        """Read what `save` wrote.

        Raises
        ------
        FileFormatError
            Not such a file, or a newer version of the format.
        """
        data = read_arrays(local_path(path, "a form"))
        try:
            version, inputs, outputs, n = (int(v) for v in data["facts"])
            if version > FORMAT_VERSION:
                raise FileFormatError(f"{path}: canonical form of format {version}, newer than {FORMAT_VERSION}")
            kind, decides = (str(v) for v in data["text"])
            margin, noise = (float(v) for v in data["margins"])
            return cls(
                kind, inputs, outputs, tuple(data[f"layer{i}"] for i in range(n)), data["hyperplanes"],
                data["weights"], data["slope"], data["constant"], data["orientation"], margin, noise, decides,
            )  # fmt: skip
        except (KeyError, ValueError, TypeError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise FileFormatError(f"{path} is not a canonical form written by polyfiber: {error}") from None

    def __repr__(self) -> str:
        widths = "-".join(map(str, self.widths))
        return f"CanonicalForm({self.kind}, {widths}, margin {self.margin:.2g}, {self.decides})"


def _top(array: Array) -> float:
    return float(np.abs(array).max()) if array.size else 0.0


@within_budget
def canonical_form(net: ReLUNetwork, *, merge: float = MERGE, budget: Budget | None = None) -> CanonicalForm:
    """Canonical form of a network.

    Parameters
    ----------
    net : ReLUNetwork
        Any architecture; rationals are rounded (for exact equality see `exact_normal_form`).
    merge : float
        Relative distance within which two hyperplanes are one and weights cancel.

    Returns
    -------
    CanonicalForm

    Raises
    ------
    NumericalError
        Parameters so large or small (beyond about 1e±100) that products leave the range of floats.

    Notes
    -----
    About 30 µs at widths (16, 16, 8, 4), and as much again for the object. Steps (The Symmetries of
    Three-Layer ReLU Networks, §5 and §6): drop dead, constant and unused neurons, unit rows, merge equal
    rows, bring hidden hyperplanes to their gauge, write the last hidden layer in its symmetric form.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.network.moves import random_trivial
    >>> net = pf.ReLUNetwork.random((4, 4, 3, 2), rng=0)
    >>> form = pf.canonical_form(net)
    >>> form.matches(pf.canonical_form(random_trivial(net, rng=1)(net)))
    True
    >>> form.matches(pf.canonical_form(form.to_network()))
    True
    """
    form = rough_form(net, merge=merge)
    if not np.isfinite(form.noise):
        raise NumericalError(
            "products of these parameters leave the range of floats; scale the neurons, or ask exact_normal_form"
        )
    return form


def rough_form(net: ReLUNetwork, *, merge: float = MERGE) -> CanonicalForm:
    """The same, of infinite noise where products leave the range of floats: then its entries mean nothing, and it
    matches none.
    """
    net, merge = require_chain(net, "the canonical form"), real(merge, "merge", least=0, most=1)
    raw = raw_forms(flat_parameters(net)[None], net.architecture, merge=merge)
    return form_of(raw, 0)


def form_of(raw: RawForms, index: int) -> CanonicalForm:
    """One of several raw forms as an object: gone neurons left out, rows ordered."""
    widths = [int(w) for w in raw.widths]
    row, kind = raw.forms[index], _KINDS[int(raw.kind[index])]
    depth, m = len(widths) - 1, widths[-1]
    margin, noise = float(raw.margin[index]), float(raw.noise[index])
    position = 0
    keep: Array = np.arange(widths[0])
    layers: list[FloatArray] = []
    for l in range(1, depth - 1):
        block = row[position : position + widths[l] * (widths[l - 1] + 1)].reshape(widths[l], -1)
        position += block.size
        if kind == "flips":
            return _flips_of(raw, index, block, row[position:], margin, noise)
        rows = np.concatenate([block[:, :-1][:, keep], block[:, -1:]], axis=1)
        live = np.flatnonzero(block.any(axis=1))
        keep = live[np.argsort(_project(rows[live]), kind="stable")]
        layers.append(np.ascontiguousarray(rows[keep]))
    n = widths[-3] if depth > 1 else widths[0]
    last, N = widths[-2] if depth > 1 else 0, int(raw.count[index])
    H = row[position : position + last * (n + 1)].reshape(last, n + 1)[:N]
    position += last * (n + 1)
    C = row[position : position + last * m].reshape(last, m)[:N]
    position += last * m
    A = row[position : position + m * n].reshape(m, n)[:, keep]
    a = row[position + m * n :].copy()
    H = np.concatenate([H[:, :-1][:, keep], H[:, -1:]], axis=1)
    projection = _project(H)
    sign = np.where(projection < 0, -1.0, 1.0)
    order = np.argsort(np.abs(projection), kind="stable")
    tau = raw.orient[index][:N] * sign.astype(np.int8)
    if depth == 1:
        kind, decides = "affine", "always"
    elif N == 0 and not A.any():
        kind, decides, layers, A = (
            "constant",
            "always",
            [np.zeros((0, (widths[0] if l == 0 else 0) + 1)) for l in range(depth - 2)],
            A[:, :0],
        )
        H = np.zeros((0, (widths[0] if depth == 2 else 0) + 1))
        A = np.zeros((m, widths[0] if depth == 2 else 0))
    elif depth == 2:
        kind, decides = "one hidden layer", "always"
    elif depth == 3:
        rows = layers[0][:, :-1]
        full = 2 <= len(rows) <= widths[0] and _independent(rows)
        decides = "generic" if full else "sufficient"
    else:
        kind, decides = "layered", "sufficient"
    return CanonicalForm(
        kind, widths[0], m, tuple(layers), np.ascontiguousarray((H * sign[:, None])[order]),
        np.ascontiguousarray(C[order]), np.ascontiguousarray(A), a, tau[order], margin, noise, decides,
    )  # fmt: skip


def _flips_of(
    raw: RawForms, index: int, block: FloatArray, rest: FloatArray, margin: float, noise: float
) -> CanonicalForm:
    widths = [int(w) for w in raw.widths]
    n1, n2, m = widths[1:]
    k = int(raw.hidden[index])
    alpha = rest[:n1]
    others = np.array([i for i in range(n1) if i != k and block[i].any()], dtype=np.int64)
    z = block[others]
    projection = _project(z)
    z = z * np.where(projection < 0, -1.0, 1.0)[:, None]
    order = np.argsort(np.abs(projection), kind="stable")
    rows = np.concatenate([z[order], block[k][None]])
    at_c = n2 * (n1 + 1)
    c = rest[at_c : at_c + m]
    a = rest[at_c + n2 * m + m * n1 :]
    full = len(rows) <= widths[0] and _independent(rows[:, :-1])
    return CanonicalForm(
        "flips", widths[0], m, (rows,), np.concatenate([alpha[others][order], [0.0]])[None], c[None].copy(),
        np.zeros((m, len(rows))), a.copy(), np.ones(1, dtype=np.int8), margin, noise,
        "generic" if full else "sufficient",
    )  # fmt: skip


def _independent(rows: FloatArray) -> bool:
    """Whether rows are clearly independent; not where products left the range of floats."""
    return bool(np.isfinite(rows).all()) and float(np.linalg.svd(rows, compute_uv=False)[-1]) > 1e-9


def _project(rows: FloatArray) -> FloatArray:
    """A fixed generic projection of ``(w | b)``, offsets bounded so that they do not drown the weights."""
    if rows.shape[0] == 0:
        return np.zeros(0)
    direction = generic_numbers(rows.shape[1])
    result: FloatArray = rows[:, :-1] @ direction[:-1] + np.tanh(rows[:, -1]) * (0.6 + 0.3 * direction[-1])
    return result


# ---- rationals --------------------------------------------------------------------------------
