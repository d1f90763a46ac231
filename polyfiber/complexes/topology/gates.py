"""Signs of affine combinations of the outputs at points of a complex: at vertices, far out on rays, and where cells are
cut.

A *gate* is ``a . f + c``. Gates are asked about as neurons of one more hidden layer; no wall is cut. At the vertices of
the complex, one pass carries their coefficients from vertex to vertex (`values`); what its rounding hides, and new
points, are decided by the filters and the exact arithmetic of the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._once import Lock, once
from ..._typing import Array, BoolArray, FloatArray, IntArray, SignArray, WordArray
from ...budget import Budget, Monitor, heed_memory
from ...errors import InputError
from ...kernels.complexes import affine_maps
from ...network.model import ReLUNetwork
from ...network.piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork
from ...network.sparse import dense
from ...numerics.exact import as_fractions
from ...numerics.floats import nearest
from ...numerics.hulls import simplest
from ...numerics.products import exact_product
from ..lattice.build import LatticeSkeleton
from ..skeleton.arrays import Frame, make_frame
from ..skeleton.integer_signs import IntegerForms, eliminate
from .values import UNKNOWN, VertexValues

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex


class NewPoints:
    """Points that are not vertices of the complex: what vanishes there, and, once asked for, where they are.

    Attributes
    ----------
    frame : Frame
        That of the gates.
    star : (m, n) int64
        Independent facets and gates that vanish there, infinity among them for the end of a ray.
    words : (m, W) uint64
        Positive facets of the cell that they lie in.
    far : (m,) bool
        Whether a point is the end of a ray; all are, or none is.
    guess : function, optional
        For ends of rays: (m, n) float64 directions near enough to theirs to tell their orientation.
    advances : bool
        See `judge_of`.
    """

    advances = False

    def __init__(
        self,
        frame: Frame,
        star: IntArray,
        words: WordArray,
        far: BoolArray,
        guess: Callable[[], FloatArray] | None = None,
    ) -> None:
        self.frame, self.star, self.words, self.far, self.guess = frame, star, words, far, guess
        self._lock = Lock()
        self._kept: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.star)

    @once
    def judge(self) -> LatticeSkeleton:
        """The points, solved, as vertices of a skeleton that knows how to decide signs there."""
        m, n = self.star.shape
        judge = judge_of(self.frame, m, int(self.far.sum()), advances=self.advances)
        st = judge.state
        st.star[:m, 2 * n :] = self.star
        st.words[:m], st.x[:m], st.err[:m] = self.words, self.guess() if self.guess else 0.0, np.inf
        st.slot[:m] = 0  # not solved yet
        st.at_inf[:m] = -1
        st.at_inf[:m][self.far] = np.arange(judge.n_inf)
        st.base[:], st.base_err[:] = 0.0, np.inf
        everything = np.arange(m, dtype=np.int64)
        judge.refine(everything)
        judge.sharpen(everything)
        return judge


def changes_uncut(frame: Frame, rows: Array) -> bool:
    """Whether forms with these rows on the input (m, n0 + 1) change along directions that no wall cuts."""
    return bool(frame.lineality and exact_product(as_fractions(rows[:, :-1]), frame.lines).any())


def refuse_uncut(frame: Frame, rows: Array) -> None:
    """InputError where forms with these rows on the input (m, n0 + 1) change along directions that no wall cuts."""
    if changes_uncut(frame, rows):
        raise InputError(
            "the outputs change along directions that no wall cuts, so that the complex does not tell what values they take; "
            "give a bounded domain, such as a Box"
        )


class Gates:
    """Gates over one complex, and the points at which their signs are known.

    Points are numbered: first the vertices of the skeleton, those at infinity too, then what `add` makes.

    Parameters
    ----------
    cx : PolyhedralComplex
    rows : (q, nL) Fractions
        Combinations of the outputs.
    constants : (q,) Fractions

    Raises
    ------
    InputError
        Combinations that change along directions that no wall cuts: outputs that read the input themselves can.
    """

    def __init__(self, cx: PolyhedralComplex, rows: Array, constants: Array) -> None:
        self.complex = cx
        self._rows, self._constants = rows, constants
        self.network = with_gates(cx.network, rows, constants)
        frame = cx._frame
        self.frame: Frame = make_frame(self.network, cx.domain, basis=(frame.columns, np.array(frame.start)))
        self.layer = len(self.network.hidden_widths)
        if self.frame.form is not None:
            refuse_uncut(frame, self.frame.form.bases[self.layer - 1])
        self.first = int(self.frame.net.layers.first[self.layer])
        self.n = frame.n
        self.count = len(constants)
        self.integers = IntegerForms(self.frame)
        self._new: list[NewPoints] = []
        self._signs: list[SignArray] = []
        self._lock = Lock()
        self._kept: dict[str, Any] = {}

    # ---- signs ------------------------------------------------------------------------------
    @property
    def signs(self) -> SignArray:
        """(points, q) signs of the gates."""
        if len(self._signs) < len(self._new):
            raise IndexError("points whose signs were not asked")
        return np.concatenate([self._at_vertices, *self._signs]) if self._signs else self._at_vertices

    @once
    def _at_vertices(self) -> SignArray:
        """(nv, q) signs at the vertices of the complex."""
        cx = self.complex
        if self.n == 0:  # one cell, on which every output is constant
            value = self.network.exact().preactivations(cx.exact_vertices())[self.layer - 1]
            return np.array([[(v > 0) - (v < 0) for v in value[0]]], dtype=np.int8)
        with cx._lock:
            if self.frame.form is not None:
                signs = np.full((cx._skeleton.nv, self.count), UNKNOWN, dtype=np.int8)
            else:
                signs = self.at_vertices.signs()
            unsure = np.flatnonzero((signs == UNKNOWN).any(axis=1))
            if len(unsure):
                decided = self._decide(self._copied(unsure), ())
                signs[unsure] = np.where(signs[unsure] == UNKNOWN, decided, signs[unsure])
        return signs

    @property
    def at_vertices(self) -> VertexValues:
        """Values of the gates at the vertices, up to rounding; of chains alone."""
        return VertexValues(self.frame, self.complex._skeleton, self.layer)

    def _copied(self, rows: IntArray) -> LatticeSkeleton:
        """Some vertices of the complex as points of the gates' frame."""
        sk = self.complex._skeleton
        old, m, n = sk.state, len(rows), self.n
        at_inf = old.at_inf[rows]
        far = np.flatnonzero(at_inf >= 0)
        judge = judge_of(self.frame, m, len(far), advances=sk.advances)
        st = judge.state
        st.star[:m, 2 * n :], words = self._stars(rows)
        st.words[:m] = words
        st.x[:m], st.err[:m], st.slot[:m] = old.x[rows], old.err[rows], old.slot[rows]
        st.at_inf[:m] = -1
        st.at_inf[far] = np.arange(len(far))
        st.base[: len(far)], st.base_err[: len(far)] = old.base[at_inf[far]], old.base_err[at_inf[far]]
        return judge

    def _stars(self, rows: Any) -> tuple[IntArray, WordArray]:
        """What vanishes at vertices of the complex, and their positive facets, in the gates' frame."""
        old, inf = self.complex._skeleton.state, self.complex._frame.net.inf
        star = old.star[rows, 2 * self.n : 3 * self.n]
        return np.where(star == inf, self.frame.net.inf, star), self.padded(old.words[rows])

    def _decide(self, judge: LatticeSkeleton, zero: tuple[int, ...]) -> SignArray:
        """Signs (m, q) of all gates at the points of a batch, on all of which some gates are zero."""
        m, q = judge.nv, self.count
        signs = np.zeros((m, q), dtype=np.int8)
        asked = [g for g in range(q) if g not in zero]
        if not m or not asked:
            return signs
        judge.pending[:] = 0
        for g in asked:
            k = self.first + g
            judge.pending[0, k >> 6] |= np.uint64(1) << np.uint64(k & 63)
        judge.enter(self.layer)
        for g in asked:
            word, shift, one = (self.first + g) >> 6, np.uint64((self.first + g) & 63), np.uint64(1)
            positive = (judge.state.words[:m, word] >> shift) & one
            nothing = (judge.zeros[:m, word] >> shift) & one
            signs[:, g] = np.where(nothing == one, 0, np.where(positive == one, 1, -1))
        return signs

    # ---- points -----------------------------------------------------------------------------
    def add(self, points: NewPoints, zero: tuple[int, ...]) -> int:
        """New points, at all of which some gates vanish; returns the id of the first one. Where all gates do, nothing
        is solved.
        """
        first = self.n_points
        asked = len(zero) < self.count
        self._new.append(points)
        points.advances = self.complex._skeleton.advances
        signs = self._decide(points.judge, zero) if asked else np.zeros((len(points), self.count), dtype=np.int8)
        self._signs.append(signs)
        return first

    @property
    def n_points(self) -> int:
        """Number of points so far."""
        return int(self.complex._skeleton.nv) + sum(map(len, self._new))

    @property
    def far(self) -> BoolArray:
        """(m,) whether a point is the end of a ray."""
        sk = self.complex._skeleton
        return np.concatenate([sk.state.at_inf[: sk.nv] >= 0, *(p.far for p in self._new)])

    def located(self, points: IntArray) -> tuple[FloatArray, FloatArray]:
        """Quotient coordinates (m, n) of points, directions at infinity, and bounds (m,) of their errors in the maximum
        norm.
        """
        cx, x, err = self.complex, np.empty((len(points), self.n)), np.empty(len(points))
        first = int(cx._skeleton.nv)
        own = np.flatnonzero(points < first)
        if len(own):
            rows = np.ascontiguousarray(points[own], dtype=np.int64)
            with cx._lock:
                cx._skeleton.refine(rows)
                cx._skeleton.sharpen(rows)
                x[own], err[own] = cx._skeleton.state.x[rows], cx._skeleton.state.err[rows]
        for new in self._new:
            own = np.flatnonzero((points >= first) & (points < first + len(new)))
            if len(own):
                st = new.judge.state
                x[own], err[own] = st.x[points[own] - first], st.err[points[own] - first]
            first += len(new)
        return x, err

    def exact(self, point: int) -> tuple[list[Fraction], list[Fraction] | None]:
        """Rational quotient coordinates of a point, or a point of a ray's line and its direction."""
        place, scale, direction = self.whole(point)
        return [Fraction(c, scale) for c in place], None if direction is None else [Fraction(c) for c in direction]

    def whole(self, point: int) -> Any:
        """The same in integers: coordinates times a scale, the scale, and the direction of a ray or None."""
        return self.integers.point(*self.star_of(point))

    def star_of(self, point: int) -> tuple[list[int], Any]:
        """What vanishes at a point, and its positive facets."""
        first = int(self.complex._skeleton.nv)
        if point < first:
            star, words = self._stars([point])
            return star[0].tolist(), words[0]
        for new in self._new:
            if point < first + len(new):
                return new.star[point - first].tolist(), new.words[point - first]
            first += len(new)
        raise IndexError(f"there is no point {point}")

    def directions(self, zeros: IntArray, words: WordArray) -> FloatArray:
        """Unit vectors (m, n) along the lines on which some facets and gates vanish, the way that the cells go on.

        Parameters
        ----------
        zeros : (m, n - 1) int64
            Independent facets and gates.
        words : (m, W) uint64
            Positive facets of unbounded 2-cells (or rays): they say which way is out.
        """
        m, n, net = len(zeros), self.n, self.frame.net
        forms = np.zeros((m * (n - 1), n + 1))
        width = self.frame.scratch
        affine_maps.facet_forms(np.repeat(words, n - 1, axis=0), zeros.ravel(), net, width, forms)
        rows = forms[:, :n].reshape(m, n - 1, n)
        size = np.abs(rows).max(axis=2, keepdims=True)
        # rows that overflow or underflow may have spoilt say nothing
        sound = np.isfinite(rows).all(axis=(1, 2)) & (size > 0).all(axis=(1, 2)) & (not self.frame.extreme)
        unit = np.where(sound[:, None, None], rows / np.where(sound[:, None, None], size, 1.0), 0.0)
        found: FloatArray = np.linalg.svd(unit)[2][:, -1]
        found[~sound] = np.nan
        start = self.frame.given(np.array(self.frame.start))[:, :n]
        with np.errstate(invalid="ignore"):
            slopes = found @ (start / np.abs(start).max(axis=1, keepdims=True)).T
        pick = np.abs(slopes).argmax(axis=1)
        ids = np.array(self.frame.start)[pick]
        positive = (words[np.arange(m), ids >> 6] >> (ids & 63).astype(np.uint64)) & np.uint64(1)
        largest = slopes[np.arange(m), pick] * (not self.frame.bends)  # rows of bent walls do not orient
        found *= np.where((largest > 0) == (positive == 1), 1.0, -1.0)[:, None]
        for i in np.flatnonzero(~(np.abs(largest) > 1e-6) | ~np.isfinite(found).all(axis=1)):
            basis = [*zeros[i].tolist(), net.inf]
            exact = self.integers.point(basis, words[i])[2]
            assert exact is not None
            top = max(abs(c) for c in exact)
            found[i] = [float(Fraction(c, top)) for c in exact]
        return found

    # ---- what vanishes ----------------------------------------------------------------------
    def basis(self, candidates: list[int], words: Any, size: int) -> list[int]:
        """The first independent facets and gates of a list that vanish on a cell of these positive facets."""
        if len(candidates) == size:
            return candidates
        integers = self.integers
        chosen: list[int] = []
        rows: list[list[int]] = []
        for k in candidates:
            trial = [*[r[:] for r in rows], integers.form(k, words)[: self.n]]
            if len(eliminate([r[:] for r in trial], self.n)[0]) == len(trial):
                rows, chosen = trial, [*chosen, k]
                if len(chosen) == size:
                    return chosen
        raise ArithmeticError("a cell has too few independent walls; please report this network")

    def exact_gate(self, gate: int) -> tuple[Array, Fraction]:
        """The outputs' factors (nL,) in a gate and its constant, as Fractions."""
        return self._rows[gate], Fraction(self._constants[gate])

    def combination(self, gate: int) -> FloatArray:
        """(nL,) the outputs' factors in a gate, rounded."""
        result: FloatArray = self._rows[gate].astype(np.float64)
        return result

    def id_of(self, gate: int) -> int:
        """Facet id of a gate."""
        return self.first + gate

    def padded(self, planes: WordArray) -> WordArray:
        """Bit planes of the complex's faces with room for gates: positive words (m, W) of the gates' frame."""
        old = self.complex._frame.n_words
        words = np.zeros((len(planes), self.frame.n_words), dtype=np.uint64)
        words[:, :old] = planes[:, :old]
        return words


def judge_of(frame: Frame, m: int, n_far: int, *, advances: bool = False) -> LatticeSkeleton:
    """A skeleton with room for points and no edges: it knows how to decide signs there.

    advances: whether it asks the kernel that has built the complex, which holds all that deciding takes.
    """
    judge = LatticeSkeleton(frame, Monitor(Budget(), None))
    judge.advances = advances
    heed_memory(m * (judge.bytes_per_vertex + 8 * frame.n_words), f"{m} new vertices")
    judge.reserve(m, n_far)
    judge.nv, judge.n_inf = m, n_far
    return judge


def with_gates(network: Any, rows: Array, constants: Array) -> Any:
    """The network with gates on its outputs as one more hidden layer; rational where floats cannot hold them."""
    if isinstance(network, PiecewiseLinearNetwork):
        out = network.output
        maps = {j: simplest(exact_product(rows, as_fractions(dense(m)))) for j, m in out.weights.items()}
        shift = simplest(rows @ as_fractions(out.bias) + constants)
        block = GateBlock(maps, shift, slopes=(0, 1))
        total = AffineMap({len(network.blocks) + 1: np.ones((1, len(shift)))}, np.zeros(1))
        return PiecewiseLinearNetwork(network.n_inputs, [*network.blocks, block], total)
    last = [as_fractions(network.weights[-1]), as_fractions(network.biases[-1])]
    weights, biases = exact_product(rows, last[0]), exact_product(rows, last[1][:, None])[:, 0] + constants
    rounded = nearest(weights), nearest(biases)
    sound = not network.is_exact and all(np.isfinite(a).all() for a in rounded)
    if sound and all((as_fractions(a) == b).all() for a, b in zip(rounded, (weights, biases))):
        weights, biases = rounded
        known = network
    else:
        known = network.exact()
    one = np.ones((1, len(biases)))
    return ReLUNetwork([*known.weights[:-1], weights, one], [*known.biases[:-1], biases, np.zeros(1)])
