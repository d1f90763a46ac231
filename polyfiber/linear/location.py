"""From weights to their stratum: ranks with gaps, exact for rationals, undecided when unclear.

A product is never formed: the column space of ``W_k … W_{i+1}`` is carried from layer to layer
in an orthonormal basis, and its row space likewise from the other side, with an error bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import words
from .._lazy import above
from .._typing import Array, FloatArray, IntArray
from .._values.checked import real
from .._values.read_only import closed
from ..errors import InputError, PolyfiberError, RankAmbiguityError, old_name
from ..numerics import exact as ex
from ..verdict import Verdict
from . import ranks as rk
from .strata import Stratum, stratum_of
from .weights import check_weights, widths_of


@dataclass(frozen=True)
class Gap:
    """Evidence of one rank.

    Attributes
    ----------
    rank : int
        Singular values above ``threshold``.
    kept, dropped : float
        Least singular value counted and largest one not counted (inf and 0 when there is
        none), of the layer restricted to the carried space; layers have spectral norm 1.
    threshold : float
        Size up to which noise of the stated relative size can raise a zero.
    certain : bool
        ``kept >= gap * threshold`` here and in the layers passed before.
    low, high : int
        Bounds of the rank where it is not certain.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import locate
    >>> gap = locate([np.diag([1.0, 1e-14]), np.eye(2)]).gaps[1, 0]
    >>> gap.rank, gap.certain
    (1, True)
    """

    rank: int
    kept: float
    dropped: float
    threshold: float
    certain: bool
    low: int
    high: int

    @property
    def ratio(self) -> float:
        """kept / dropped; inf where nothing was dropped or it was exactly zero."""
        return float("inf") if self.dropped == 0.0 or self.kept == float("inf") else self.kept / self.dropped


@closed
@dataclass(frozen=True, eq=False)
class Location:
    """Where weights lie in the rank stratification.

    Attributes
    ----------
    widths : tuple of int
    verdict : Verdict
        YES when every rank was decided and the ranks fit together, else UNDECIDED.
    ranks : int64 (L + 1, L + 1), read-only
        ``r[k, i]``, the reading at the tolerance whether decided or not.
    lower, upper : int64 (L + 1, L + 1)
        Ranks certain to be reached, and ranks not certain to be exceeded.
    gaps : mapping ``(k, i) -> Gap``
        Empty when exact.
    is_exact : bool
    tolerance, gap : float
    backward_error : float
        Where undecided: largest relative change of a layer that puts the weights exactly on the stratum `reading`, as
        found (an upper bound of the least one). 0 for exact weights, NaN where decided or without a reading.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import locate
    >>> at = locate([np.eye(2), np.diag([1.0, 0.0])])
    >>> at.verdict.value, int(at.ranks[2, 0])
    ('yes', 1)
    """

    widths: tuple[int, ...]
    verdict: Verdict
    ranks: IntArray = field(repr=False)
    lower: IntArray = field(repr=False)
    upper: IntArray = field(repr=False)
    gaps: Mapping[tuple[int, int], Gap] = field(repr=False)
    is_exact: bool
    tolerance: float
    gap: float
    backward_error: float = float("nan")

    exact = old_name("is_exact")

    @property
    def ambiguous(self) -> tuple[tuple[int, int], ...]:
        """Pairs ``(k, i)`` whose rank is not decided."""
        return tuple((k, i) for (k, i), g in self.gaps.items() if not g.certain)

    @property
    def reading(self) -> Stratum | None:
        """Stratum of the ranks as read, decided or not; None if no weights have these ranks. See `backward_error`."""
        if bool((rk.multiplicities(self.ranks) < 0).any()):
            return None
        return stratum_of(self.widths, self.ranks, rank=int(self.ranks[-1, 0]))

    @property
    def stratum(self) -> Stratum:
        """The stratum.

        Raises
        ------
        RankAmbiguityError
            When it is not decided; `reading` is the best guess, `candidates` all that fit.
        """
        if self.verdict is Verdict.UNDECIDED:
            raise RankAmbiguityError(self._why(), location=self)
        found = self.reading
        assert found is not None, "decided ranks are admissible"
        return found

    def _why(self) -> str:
        if not self.ambiguous:
            return (
                "the ranks read at the tolerance do not belong to any weights: "
                f"{tuple(rk.labels_of(self.ranks).tolist())} for widths {words.widths(self.widths)}; try another tolerance"
            )
        (k, i) = self.ambiguous[0]
        g = self.gaps[k, i]
        name = f"W{k}" if k == i + 1 else f"W{k}…W{i + 1}"
        return (
            f"the rank of {name} is not decided: singular values {g.kept:.3g} | {g.dropped:.3g} around the "
            f"noise level {g.threshold:.3g} (tolerance {self.tolerance:.3g}, wanted gap {self.gap:.3g}); "
            f"state the noise of the weights as {words.way('--tolerance', 'tolerance=')}, or accept a smaller {words.way('--gap', 'gap=')}"
        )

    @property
    def sentence(self) -> str:
        """On which stratum the weights lie, how sure, and what would decide it."""
        if self.verdict is Verdict.UNDECIDED:
            return f"Not decided: {self._why()}."
        found = self.stratum
        how = "exact" if self.is_exact else f"every rank decided with a gap of {self.gap:.3g} or more"
        return (
            f"The weights lie on a rank stratum of dimension {found.dim_in_weights} among all weights; its part inside one fiber, "
            f"over one product, has dimension {found.dim_in_fiber}; the product has rank {found.rank}; {how}."
        )

    def __str__(self) -> str:
        return self.sentence

    def candidates(self) -> Iterator[Stratum]:
        """Strata with ranks between `lower` and `upper`; lazily, few when the data are good."""
        from .strata import enumerate_strata

        low, high = rk.labels_of(self.lower), rk.labels_of(self.upper)
        for labels, _ in enumerate_strata(self.widths):
            for row in labels[((labels >= low) & (labels <= high)).all(axis=1)]:
                table = rk.tables(self.widths, row)
                yield stratum_of(self.widths, table, rank=int(table[-1, 0]))

    def __repr__(self) -> str:
        label = tuple(rk.labels_of(self.ranks).tolist())
        how = "exact" if self.is_exact else f"tolerance {self.tolerance:.3g}"
        state = "decided" if self.verdict is Verdict.YES else f"undecided at {list(self.ambiguous) or 'all'}"
        return f"Location(widths {self.widths}, ranks {label}, {state}, {how})"


def locate(
    weights: Any,
    *,
    tolerance: float | None = None,
    noise: float | None = None,
    gap: float = 100.0,
    exact: bool | None = None,
) -> Location:
    """Stratum of given weights, with the evidence for every rank.

    Parameters
    ----------
    weights : [W_1, …, W_L]
        First layer first. Integers and fractions are decided exactly.
    tolerance : float, optional
        Noise of each layer relative to its spectral norm: a perturbation of that size is not
        told from zero. Default 1e-10, and 1e-5 when a layer is stored in float32.
    noise : float, optional
        Noise of every layer in absolute terms (spectral norm), in addition: a layer that is
        nothing but noise counts as zero. Relative noise alone cannot see that.
    gap : float
        How many times the noise level a singular value must exceed to count as certain. Values
        between make the rank ambiguous.
    exact : bool, optional
        Force or forbid the exact path; see `weights.check_weights`.

    Returns
    -------
    Location

    Raises
    ------
    ShapeError, InputError
        Matrices that do not chain, or non-finite entries.

    Notes
    -----
    With layers of norm 1 and noise eta, the space carried to layer k is off by at most
    ``e_k = (eta + e_{k-1}) / s`` where s is the least kept singular value (Wedin), zero when
    the space is everything; a singular value up to ``eta + e_{k-1}`` may come from noise
    (Weyl). Each rank is read from both ends of the product and the more certain reading is
    kept. Where an image fills the whole column space of the layer, that space is carried on with the
    error ``eta / s`` of the layer alone: products of many layers of one rank are as certain as their
    interfaces. Cost: L (L + 1) singular value decompositions.

    Undecided ranks come with a best reading: the ranks at the bare tolerance, if weights have them, and
    the change of the layers that makes them exact (`barcode` moves the weights there).

    Examples
    --------
    >>> import numpy as np, polyfiber as pf
    >>> at = pf.linear.locate([[[1, 0]], [[0]]])
    >>> at.is_exact, at.stratum.label, at.stratum.dim
    (True, (1, 0, 0), 2)
    >>> pf.linear.locate([np.diag([1.0, 1e-9]), np.eye(2)]).verdict
    <Verdict.UNDECIDED: 'undecided'>
    """
    layers, is_exact = check_weights(weights, exact=exact)
    widths = rk.check_widths(widths_of(layers))
    if tolerance is None:
        single = any(getattr(w, "dtype", None) == np.float32 for w in weights)
        tolerance = 1e-5 if single else 1e-10
    tolerance = real(tolerance, "tolerance")
    if not 0.0 < tolerance < 1.0:
        raise InputError(f"tolerance must lie between 0 and 1, found {tolerance!r}")
    gap = real(gap, "gap", least=1.0)
    noise = 0.0 if noise is None else real(noise, "noise", least=0.0, most=1e300)
    if is_exact:
        table = exact_ranks(layers)
        return replace(_location(widths, table, {}, True, 0.0, gap), backward_error=0.0)
    gaps = float_gaps(layers, tolerance, gap, noise)
    found = _location(widths, _table_of(widths, gaps), gaps, False, tolerance, gap)
    if found.verdict is Verdict.YES:
        return found
    return _with_best_reading(found, layers, noise)


def _table_of(widths: tuple[int, ...], gaps: Mapping[tuple[int, int], Gap]) -> IntArray:
    table = np.diag(widths).astype(np.int64)
    for (k, i), g in gaps.items():
        table[k, i] = g.rank
    return table


def _with_best_reading(at: Location, layers: Sequence[FloatArray], noise: float) -> Location:
    """The reading, with error bounds or without, that the smallest change of the layers makes exact."""
    barcode = above("linear.bars:barcode")
    best: tuple[float, IntArray] | None = None
    for table in (at.ranks, _table_of(at.widths, float_gaps(layers, at.tolerance, at.gap, noise, grow=False))):
        if bool((rk.multiplicities(table) < 0).any()):
            continue
        error = _truncation(table, at.gaps)
        if error is None:
            try:
                error = barcode(layers, ranks=table, exact=False).residual
            except PolyfiberError:
                continue
        if best is None or error < best[0]:
            best = (error, table)
    if best is None:
        return at
    table = best[1].copy()
    table.setflags(write=False)
    return replace(at, ranks=table, backward_error=best[0])


def _location(
    widths: tuple[int, ...],
    table: IntArray,
    gaps: dict[tuple[int, int], Gap],
    is_exact: bool,
    tolerance: float,
    gap: float,
) -> Location:
    lower, upper = table.copy(), table.copy()
    good = bool((rk.multiplicities(table) >= 0).all())
    for (k, i), g in gaps.items():
        if not g.certain:
            good = False
            lower[k, i], upper[k, i] = g.low, g.high
    for array in (table, lower, upper):
        array.setflags(write=False)
    verdict = Verdict.YES if good else Verdict.UNDECIDED
    return Location(widths, verdict, table, lower, upper, gaps, is_exact, tolerance, gap)


def _truncation(table: IntArray, gaps: Mapping[tuple[int, int], Gap]) -> float | None:
    """Relative change that cuts every layer to its rank, where no product has a lower rank than its layers; else
    None.
    """
    last = len(table) - 1
    ranks = [int(table[j, j - 1]) for j in range(1, last + 1)]
    if any(table[k, i] != min(ranks[i:k]) for k, i in rk.columns(last)):
        return None
    own = [gaps[j, j - 1] for j in range(1, last + 1)]
    return max(g.dropped for g in own) if [g.rank for g in own] == ranks else None


def exact_ranks(layers: Sequence[Array]) -> IntArray:
    """Rank table of rational layers, by elimination on carried column spaces."""
    widths = widths_of(layers)
    last = len(layers)
    table = np.diag(widths).astype(np.int64)
    for i in range(last):
        space: Array | None = None
        for k in range(i + 1, last + 1):
            image = layers[k - 1] if space is None else layers[k - 1] @ space
            if 0 in image.shape:
                break
            reduced, _ = ex.rref(image.T)
            space = reduced.T
            table[k, i] = space.shape[1]
            if space.shape[1] == 0:
                break
    return table


def scaled(layers: Sequence[FloatArray]) -> tuple[list[FloatArray], list[float]]:
    """Layers divided by their spectral norms, and the logarithms of the norms (0 for a zero layer)."""
    units, logs = [], []
    for w in layers:
        size = float(np.abs(w).max()) if w.size else 0.0
        if size == 0.0:
            units.append(w.copy())
            logs.append(0.0)
            continue
        unit = w / size
        s = float(np.linalg.norm(unit, 2))
        units.append(unit / s)
        logs.append(float(np.log(size) + np.log(s)))
    return units, logs


def float_gaps(
    layers: Sequence[FloatArray], tolerance: float, gap: float, noise: float, *, grow: bool = True
) -> dict[tuple[int, int], Gap]:
    """Evidence for every rank ``(k, i)``, from both ends of each product; errors do not ``grow``: a bare reading."""
    units, logs = scaled(layers)
    last = len(units)
    levels = [tolerance + (float(np.exp(min(700.0, np.log(noise) - v))) if noise else 0.0) for v in logs]
    forward = _carry(units, levels, gap, grow)
    backward = _carry([w.T for w in reversed(units)], levels[::-1], gap, grow)
    out: dict[tuple[int, int], Gap] = {}
    for k, i in rk.columns(last):
        a, b = forward[k, i], backward[last - i, last - k]
        best = max((a, b), key=_quality)
        if a.certain and b.certain and a.rank != b.rank:
            best = replace(best, certain=False, low=min(a.rank, b.rank), high=max(a.rank, b.rank))
        elif not best.certain:
            best = replace(best, low=max(a.low, b.low), high=max(best.rank, min(a.high, b.high)))
        out[k, i] = best
    return out


def _quality(g: Gap) -> tuple[bool, float]:
    kept = min(g.kept, 1.0) / g.threshold
    dropped = g.threshold / max(g.dropped, 1e-300)
    return g.certain, min(kept, dropped)


def _carry(units: Sequence[FloatArray], levels: Sequence[float], gap: float, grow: bool) -> dict[tuple[int, int], Gap]:
    """Gaps of all products, carrying the column space of each start layer upwards."""
    out: dict[tuple[int, int], Gap] = {}
    last = len(units)
    own: dict[int, tuple[FloatArray, float]] = {}  # layers of decided rank: column space, and how far it may be off
    for i in range(last - 1, -1, -1):
        space: FloatArray | None = None
        error = 0.0
        doubtful = False
        widest = units[i].shape[1]
        for k in range(i + 1, last + 1):
            image = units[k - 1] if space is None else units[k - 1] @ space
            threshold = levels[k - 1] + error
            widest = min(widest, image.shape[0])
            if 0 in image.shape:
                out[k, i] = Gap(0, float("inf"), 0.0, threshold, not doubtful, 0, widest if doubtful else 0)
                space = np.zeros((image.shape[0], 0))
                continue
            left, values, _ = np.linalg.svd(image, full_matrices=False)
            r = int((values > threshold).sum())
            kept = float(values[r - 1]) if r else float("inf")
            dropped = float(values[r]) if r < len(values) else 0.0
            certain = kept >= gap * threshold and not doubtful
            low = 0 if doubtful else int((values >= gap * threshold).sum())
            out[k, i] = Gap(r, kept, dropped, threshold, certain, low, widest if doubtful else r)
            doubtful = not certain
            space = left[:, :r]
            error = 0.0 if r in (0, image.shape[0]) or not grow else min(1.0, threshold / kept)
            if k == i + 1 and certain:
                own[k] = (space, error)
            elif certain and k in own and own[k][0].shape[1] == r:
                space, error = own[k]
    return out


def same_stratum(a: Any, b: Any, **options: Any) -> Verdict:
    """Whether two weight vectors of the same widths have the same rank list.

    Over one W this is: whether they lie on one stratum of its fiber. Options go to `locate`.
    UNDECIDED when a rank that could tell them apart is ambiguous.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.linear.same_stratum([[[1]], [[0]]], [[[2]], [[0]]])
    <Verdict.YES: 'yes'>
    """
    x, y = _both(a, b, options)
    if bool((x.lower > y.upper).any()) or bool((y.lower > x.upper).any()):
        return Verdict.NO
    if Verdict.UNDECIDED in (x.verdict, y.verdict):
        return Verdict.UNDECIDED
    return Verdict.of(bool((x.ranks == y.ranks).all()))


def in_closure(a: Any, b: Any, **options: Any) -> Verdict:
    """Whether the stratum of ``a`` lies in the closure of the stratum of ``b``.

    The rule is r(a) <= r(b) entrywise: with equal products in the fiber, else for the orbits.
    Options go to `locate`.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.linear.in_closure([[[0]], [[0]]], [[[2]], [[0]]])
    <Verdict.YES: 'yes'>
    """
    x, y = _both(a, b, options)
    if bool((x.lower > y.upper).any()):
        return Verdict.NO
    if bool((x.upper <= y.lower).all()):
        return Verdict.YES
    if Verdict.UNDECIDED in (x.verdict, y.verdict):
        return Verdict.UNDECIDED
    return Verdict.of(bool((x.ranks <= y.ranks).all()))


def _both(a: Any, b: Any, options: dict[str, Any]) -> tuple[Location, Location]:
    x, y = locate(a, **options), locate(b, **options)
    if x.widths != y.widths:
        raise InputError(f"weights of different widths have no common stratification: {x.widths} and {y.widths}")
    return x, y


def effective_ranks(weights: Any, level: float) -> IntArray:
    """Ranks at a scale: singular values of ``W_k … W_{i+1}`` above ``level^(k - i)``.

    A reading for weights that are near no stratum in particular, such as those met in training;
    it decides nothing and carries no error bound, and the table need not be admissible. In a
    balanced network, where a direction has the same strength in each layer, it counts the
    directions stronger than ``level``.

    Parameters
    ----------
    weights : [W_1, …, W_L]
    level : float
        Absolute strength per layer.

    Returns
    -------
    int64 (L + 1, L + 1)
        A rank table; ``ranks.multiplicities`` shows whether it is admissible.

    Examples
    --------
    >>> import numpy as np, polyfiber as pf
    >>> pf.linear.effective_ranks([np.diag([1.0, 0.1]), np.diag([2.0, 0.3])], 0.2).tolist()
    [[2, 0, 0], [1, 2, 0], [1, 2, 2]]
    """
    layers, _ = check_weights(weights, exact=False)
    level = real(level, "level", most=1e300)
    if not level > 0.0:
        raise InputError(f"level must be a positive number, found {level!r}")
    widths = rk.check_widths(widths_of(layers))
    table = np.diag(widths).astype(np.int64)
    for i in range(len(layers)):
        run = np.eye(widths[i])
        for k in range(i + 1, len(layers) + 1):
            run = layers[k - 1] @ run / level
            if run.size:
                table[k, i] = int((np.linalg.svd(run, compute_uv=False) > 1.0).sum())
    return table
