"""The breakpoint complex where several walls may share a facet: weights from the jump of the gradient.

The weight of a facet is a property of the function, not of one neuron: ``c(F) = (A_P - A_Q) n``,
with n the unit normal from Q into P. Here P is the side where the shallowest neuron that differs
between the two regions is positive; it is affine across the facet, so it has opposite signs there.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._once import cached_property
from ..._typing import IntArray
from ..geometry import facet_forms_of, map_errors
from ..skeleton.exact_signs import ExactPredicate
from ..skeleton.integer_signs import IntegerForms, integer_layer
from .ridges import (
    SHARP,
    Ridges,
    balance,
    form_slack,
    row_norms,
    unit_rows,
)
from .simple import BreakpointComplex

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex


class GeneralBreakpoints(BreakpointComplex):
    """Visible facets and weights of any canonical complex; attributes as in `BreakpointComplex`.

    ``neurons`` names, of the neurons whose walls contain a facet, the shallowest one that bends or
    would bend there; others may share the facet (`sharing`).
    """

    @classmethod
    def of(cls, cx: PolyhedralComplex) -> GeneralBreakpoints:
        """Breakpoint complex of a canonical complex."""
        n0, n_out = cx.network.architecture[0], cx.network.architecture[-1]
        frame, d = cx._frame, cx.dimension
        empty = np.zeros(0, dtype=np.int64)
        if d == 0:
            none = np.zeros((0, n_out))
            return cls(cx, empty, empty, none, np.zeros((0, n0 + 1)), none, empty, 0)
        m = cx.f_vector[d - 1]
        indptr, indices = cx._store.covers_above(d - 1)
        two = np.flatnonzero(np.diff(indptr) == 2)
        walls = np.full(m, 0, dtype=np.int64)
        forms = np.zeros((m, n0 + 1))
        forms[:, 0] = 1.0  # facets of the domain: replaced below
        first = indices[indptr[two]].astype(np.int64)
        second = indices[indptr[two] + 1].astype(np.int64)
        signs = cx.signs(d)
        columns = np.argmax(signs[first] != signs[second], axis=1)
        positive = signs[first, columns] > 0
        upper, lower = np.where(positive, first, second), np.where(positive, second, first)
        walls[two] = columns + frame.n_domain
        planes = cx._store.planes(d)
        forms[two] = facet_forms_of(frame, planes[upper], walls[two])
        boundary = np.setdiff1d(np.arange(m), two)
        if len(boundary):
            zero = cx.signs(d - 1)[boundary, frame.n_neurons :] == 0
            zero[:, frame.vanishing] = False
            walls[boundary] = np.argmax(zero, axis=1) if frame.n_domain else 0
            forms[boundary] = facet_forms_of(frame, cx._store.planes(d - 1)[boundary], walls[boundary])
        weights = np.zeros((m, n_out))
        exact = 0
        if len(two):
            A, _ = cx.affine_maps()
            with np.errstate(all="ignore"):
                jump = A[upper] - A[lower]
                weights[two] = np.einsum("mij,mj->mi", jump, unit_rows(forms[two, :-1]))
            rounding = 2 * map_errors(frame, A)
            doubtful = np.argwhere(~((np.abs(jump) > rounding) & np.isfinite(jump)).any(axis=2))
            exact = len(doubtful)
            spoilt = np.zeros(len(two), dtype=np.bool_)
            if exact:
                judge = _ExactJumps(cx)
                for r, o in doubtful.tolist():
                    if judge.vanishes(planes[upper[r]], planes[lower[r]], int(walls[two[r]]), o):
                        weights[two[r], o] = 0.0
                    else:
                        spoilt[r] = True
            bp = cls(cx, empty, empty, weights[:0], forms, weights, walls, exact)
            small = ~((np.abs(jump) * SHARP > rounding.max()) & np.isfinite(jump)).any(axis=2)
            blurred = (
                (small & (weights[two] != 0)).any(axis=1)
                | spoilt
                | ~(form_slack(cx)[walls[two]] <= SHARP * row_norms(forms[two, :-1]))
            )
            bp._sharpen_weights(two[blurred])
        visible = np.flatnonzero((weights != 0).any(axis=1))
        return cls(cx, visible, walls[visible] - frame.n_domain, weights[visible], forms, weights, walls, exact)

    def sharing(self, facet: int) -> IntArray:
        """Hidden neurons that vanish on a facet (row of ``complex.signs(d - 1)``)."""
        cx = self.complex
        row = cx._store.to_signs(cx._store.planes(cx.dimension - 1)[facet : facet + 1])[0]
        return np.flatnonzero(row[: cx._frame.n_neurons] == 0)

    @cached_property
    def ridges(self) -> Ridges:
        """Interior ridges with their balancing residuals; any number of facets may meet at one."""
        cx = self.complex
        d, frame = cx.dimension, cx._frame
        none = np.zeros(0, dtype=np.int64)
        empty = Ridges(none, np.zeros((0, 2), np.int64), np.zeros(0, np.bool_), np.zeros(0), np.zeros(0))
        if d < 2 or not cx.n_regions:
            return empty
        indptr, indices = cx._store.covers_above(d - 2)
        inside = (cx.signs(d - 2)[:, frame.n_neurons :] != 0).all(axis=1)
        ids = np.flatnonzero(inside & (np.diff(indptr) > 0))
        if not len(ids):
            return empty
        counts = np.diff(indptr)[ids]
        most = int(counts.max())
        slots = np.arange(most)
        present = slots < counts[:, None]
        facets = indices[np.where(present, indptr[ids][:, None] + slots, 0)].astype(np.int64)
        r, m = np.nonzero(present)
        signs = cx._store.to_signs(cx._store.planes(d - 1)[facets[r, m]])
        free = (cx._store.to_signs(cx._store.planes(d - 2)[ids[r]]) == 0) & (signs != 0)
        freed = np.argmax(free, axis=1) + frame.n_domain
        residual, scale, exact = balance(self, r, facets[r, m], freed, len(ids))
        normals = unit_rows(self._forms[facets, :-1])
        walls = np.where(present, self._walls[facets], -1)
        neurons = np.zeros((len(ids), 2), dtype=np.int64)
        bending = np.zeros(len(ids), dtype=np.bool_)
        for i in range(len(ids)):
            here = np.unique(walls[i][present[i]])
            neurons[i] = here[0], here[-1]
            for k in here:
                u = normals[i][walls[i] == k]
                bending[i] |= bool((np.abs(np.abs(u @ u[0]) - 1.0) > 1e-12).any())
        return Ridges(ids, neurons - frame.n_domain, bending, residual, scale, exact)

    def _exact_weight(self, facet: int, predicate: ExactPredicate) -> tuple[list[Fraction], list[Fraction]]:
        """(form, w) with the weight of a facet w |its linear part|, by the exact affine maps on its two sides."""
        cx = self.complex
        indptr, indices = cx._store.covers_above(cx.dimension - 1)
        wall = int(self._walls[facet])
        planes = cx._store.planes(cx.dimension)[indices[indptr[facet] : indptr[facet] + 2]]
        upper, lower = planes if (int(planes[0, wall >> 6]) >> (wall & 63)) & 1 else planes[::-1]
        form = predicate.form(wall, upper)
        across = next(c for c, x in enumerate(form[:-1]) if x)
        outputs = int(cx._frame.net.inf) + 1 + np.arange(cx.network.architecture[-1])
        column = [
            (predicate.form(int(o), upper)[across] - predicate.form(int(o), lower)[across]) / form[across]
            for o in outputs
        ]
        return form, column


def breakpoints_of(cx: PolyhedralComplex) -> BreakpointComplex:
    """Breakpoint complex of any canonical complex, simple or not."""
    return (BreakpointComplex if cx.is_simple else GeneralBreakpoints).of(cx)


class _ExactJumps:
    """Whether the gradient of an output is the same on both sides of a facet, in integers."""

    def __init__(self, cx: PolyhedralComplex) -> None:
        self.forms = IntegerForms(cx._frame)
        self.frame = cx._frame
        self.predicate = ExactPredicate(cx._frame)
        if self.frame.form is not None:
            return
        self.last, _, _ = integer_layer(cx.network.weights[-1], cx.network.biases[-1])
        self.layers = len(cx.network.hidden_widths)

    def _slope(self, words: Any, direction: list[int], output: int) -> int:
        active = self.forms.active(words, self.layers)
        z = self.forms.values(self.layers, active, words, direction, 0) if active else []
        return int(sum(self.last[output, a] * t for a, t in zip(active, z)))

    def vanishes(self, upper: Any, lower: Any, wall: int, output: int) -> bool:
        """The jump is a multiple of the facet's normal, so one direction across the facet decides."""
        form = self.forms.form(wall, upper)
        across = next(c for c in range(self.frame.n) if form[c])
        if self.frame.form is not None:
            facet, W = int(self.frame.net.inf) + 1 + output, self.frame.n_words
            one, other = (self.predicate.form(facet, words[:W])[across] for words in (upper, lower))
            return bool(one == other)
        direction = [int(c == across) for c in range(self.frame.n)]
        return self._slope(upper, direction, output) == self._slope(lower, direction, output)
