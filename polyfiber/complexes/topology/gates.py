"""Signs of affine combinations of the outputs at points of a complex: at vertices, far out on rays, and where cells are cut.

A *gate* is ``a . f + c``. Gates are asked about as neurons of one more hidden layer, so that the filters and the exact
arithmetic of the engine decide them; no wall is cut.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import Array, BoolArray, FloatArray, IntArray, SignArray, WordArray
from ...budget import Budget, Monitor
from ...kernels.complexes import affine_maps
from ...network.model import ReLUNetwork
from ...network.piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork
from ...network.sparse import dense
from ...numerics.exact import as_fractions
from ...numerics.hulls import simplest
from ...numerics.products import exact_product
from ..lattice.build import LatticeSkeleton
from ..skeleton.arrays import Frame, make_frame
from ..skeleton.integer_signs import eliminate

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex


class Gates:
    """Gates over one complex, and the points at which their signs are known.

    Points are numbered: first the vertices of the skeleton, those at infinity too, then what `add` makes.

    Parameters
    ----------
    cx : PolyhedralComplex
    rows : (q, nL) Fractions
        Combinations of the outputs.
    constants : (q,) Fractions
    """

    def __init__(self, cx: PolyhedralComplex, rows: Array, constants: Array) -> None:
        self.complex = cx
        self._rows, self._constants = rows, constants
        self.network = with_gates(cx.network, rows, constants)
        frame = cx._frame
        self.frame: Frame = make_frame(self.network, cx.domain, basis=(frame.columns, np.array(frame.start)))
        self.layer = len(self.network.hidden_widths)
        self.first = int(self.frame.net.first[self.layer])
        self.n = frame.n
        self.count = len(constants)
        if self.n == 0:  # one cell, on which every output is constant
            value = self.network.exact().preactivations(cx.exact_vertices())[self.layer - 1]
            self.signs: SignArray = np.array([[(v > 0) - (v < 0) for v in value[0]]], dtype=np.int8)
            return
        sk, old = cx._skeleton, cx._skeleton.state
        m, at_inf = sk.nv, cx._skeleton.state.at_inf[: cx._skeleton.nv]
        far = np.flatnonzero(at_inf >= 0)
        judge = self._judge(m, len(far))
        st, last = judge.state, slice(2 * self.n, 3 * self.n)
        st.star[:m, last] = old.star[:m, last]
        at_end = st.star[far, last]
        at_end[at_end == frame.net.inf] = self.frame.net.inf
        st.star[far, last] = at_end
        st.words[:m, : frame.n_words] = old.words[:m]
        st.words[:m, frame.n_words :] = 0
        st.x[:m], st.err[:m], st.slot[:m] = old.x[:m], old.err[:m], old.slot[:m]
        st.at_inf[:m] = -1
        st.at_inf[far] = np.arange(len(far))
        st.base[: len(far)], st.base_err[: len(far)] = old.base[at_inf[far]], old.base_err[at_inf[far]]
        self._batches = [judge]
        self._starts = [0]
        self.signs = self._decide(judge, ())

    # ---- points -----------------------------------------------------------------------------
    def _judge(self, m: int, n_far: int) -> LatticeSkeleton:
        """A skeleton with room for points and no edges: it knows how to decide signs there."""
        judge = LatticeSkeleton(self.frame, Monitor(Budget(), None))
        judge.reserve(m, n_far)
        judge.nv, judge.n_inf = m, n_far
        return judge

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
        judge._enter(self.layer)
        for g in asked:
            word, shift, one = (self.first + g) >> 6, np.uint64((self.first + g) & 63), np.uint64(1)
            positive = (judge.state.words[:m, word] >> shift) & one
            nothing = (judge.zeros[:m, word] >> shift) & one
            signs[:, g] = np.where(nothing == one, 0, np.where(positive == one, 1, -1))
        return signs

    def add(self, star: IntArray, words: WordArray, guess: FloatArray, far: BoolArray, zero: tuple[int, ...]) -> int:
        """New points, given by what vanishes there; returns the id of the first one.

        Parameters
        ----------
        star : (m, n) int64
            Independent facets and gates that vanish there, infinity among them for the end of a ray.
        words : (m, W) uint64
            Positive facets of the cell that they lie in.
        guess : (m, n) float64
            Directions near enough to those of the rays to tell their orientation; unused for finite points.
        far : (m,) bool
            Whether a point is the end of a ray.
        zero : tuple of int
            Gates that vanish at all of them.
        """
        m, n_far = len(star), int(far.sum())
        judge = self._judge(m, n_far)
        st = judge.state
        st.star[:m, 2 * self.n :] = star
        st.words[:m], st.x[:m], st.err[:m] = words, guess, np.inf
        st.slot[:m] = 0  # not solved yet
        st.at_inf[:m] = -1
        st.at_inf[:m][far] = np.arange(n_far)
        st.base[:], st.base_err[:] = 0.0, np.inf
        judge.refine(np.arange(judge.nv, dtype=np.int64))
        judge.sharpen(np.arange(judge.nv, dtype=np.int64))
        first = len(self.signs)
        self._starts.append(first)
        self._batches.append(judge)
        self.signs = np.concatenate([self.signs, self._decide(judge, zero)])
        return first

    def _batch(self, point: int) -> tuple[LatticeSkeleton, int]:
        b = int(np.searchsorted(self._starts, point, side="right")) - 1
        return self._batches[b], point - self._starts[b]

    @property
    def far(self) -> BoolArray:
        """(m,) whether a point is the end of a ray."""
        return np.concatenate([j.state.at_inf[: j.nv] >= 0 for j in self._batches])

    @property
    def coordinates(self) -> FloatArray:
        """(m, n) quotient coordinates of points; directions at infinity."""
        return np.concatenate([j.state.x[: j.nv] for j in self._batches])

    @property
    def errors(self) -> FloatArray:
        """(m,) bounds of the errors of `coordinates`, in the maximum norm."""
        return np.concatenate([j.state.err[: j.nv] for j in self._batches])

    def exact(self, point: int) -> tuple[list[Fraction], list[Fraction] | None]:
        """Rational quotient coordinates of a point, or a point of a ray's line and its direction."""
        judge, i = self._batch(point)
        place, scale, direction = judge.integers.point(judge.state.star[i, 2 * self.n :].tolist(), judge.state.words[i])
        return [Fraction(c, scale) for c in place], None if direction is None else [Fraction(c) for c in direction]

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
        found: FloatArray = np.linalg.svd(rows / np.where(size > 0, size, 1.0))[2][:, -1]
        start = self.frame.given(np.array(self.frame.start))[:, :n]
        slopes = found @ (start / np.abs(start).max(axis=1, keepdims=True)).T
        pick = np.abs(slopes).argmax(axis=1)
        ids = np.array(self.frame.start)[pick]
        positive = (words[np.arange(m), ids >> 6] >> (ids & 63).astype(np.uint64)) & np.uint64(1)
        largest = slopes[np.arange(m), pick]
        found *= np.where((largest > 0) == (positive == 1), 1.0, -1.0)[:, None]
        for i in np.flatnonzero(~(np.abs(largest) > 1e-6) | ~np.isfinite(found).all(axis=1)):
            basis = [*zeros[i].tolist(), net.inf]
            exact = self._batches[0].integers.point(basis, words[i])[2]
            assert exact is not None
            top = max(abs(c) for c in exact)
            found[i] = [float(Fraction(c, top)) for c in exact]
        return found

    # ---- what vanishes ----------------------------------------------------------------------
    def basis(self, candidates: list[int], words: Any, size: int) -> list[int]:
        """The first independent facets and gates of a list that vanish on a cell of these positive facets."""
        if len(candidates) == size:
            return candidates
        integers = self._batches[0].integers
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


def with_gates(network: Any, rows: Array, constants: Array) -> Any:
    """The network with gates on its outputs as one more hidden layer; rational where floats cannot hold them."""
    if isinstance(network, PiecewiseLinearNetwork):
        out = network.output
        maps = {j: simplest(exact_product(rows, as_fractions(dense(m)))) for j, m in out.weights.items()}
        shift = simplest(rows @ as_fractions(out.bias) + constants)
        block = GateBlock(maps, shift, slopes=(0, 1))
        total = AffineMap({len(network.blocks) + 1: np.ones((1, len(shift)))}, np.zeros(1))
        return PiecewiseLinearNetwork(network.n_inputs, [*network.blocks, block], total)
    exact = network.exact()
    weights = rows @ exact.weights[-1]
    biases = rows @ exact.biases[-1] + constants
    hidden_w, hidden_b = exact.weights[:-1], exact.biases[:-1]
    if not network.is_exact:
        as_floats = weights.astype(np.float64), biases.astype(np.float64)
        back = [np.array([Fraction(v) for v in a.ravel()], dtype=object).reshape(a.shape) for a in as_floats]
        if (back[0] == weights).all() and (back[1] == biases).all():
            weights, biases = as_floats
            hidden_w, hidden_b = network.weights[:-1], network.biases[:-1]
    last = np.ones((1, len(biases)))
    return ReLUNetwork([*hidden_w, weights, last], [*hidden_b, biases, np.zeros(1)])
