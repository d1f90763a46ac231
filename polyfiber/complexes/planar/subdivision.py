"""The exact subdivision of a polygon in a slice: regions, walls, vertices, and what the network does on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from ... import words
from ..._lazy import above
from ..._once import cached_property
from ..._typing import Array, BoolArray, FloatArray, IntArray
from ..._values.read_only import read_only
from ...errors import InputError, ShapeError, old_name
from ...kernels.planar import forms, walk
from ...network.piecewise import PiecewiseLinearNetwork
from ..answers import SliceMaps
from .exact_forms import ExactForms
from .restrict import Columns, Restricted
from .walk import Tables, WalkStats

SIGNS_LIMIT = 1 << 31
"""Signs that `PlanarSlice.signs` writes out at once."""


@dataclass(frozen=True, eq=False)
class PlanarSlice:
    """All regions of a network on a convex polygon of a plane (or on a segment).

    Made by `slice_complex` and `slice_through`. Coordinates t are those of ``origin + t @ directions``.

    Attributes
    ----------
    network : PiecewiseLinearNetwork
    origin : (n0,), directions : (k, n0) float64
    stats : WalkStats
        Among them the share of regions for which a sign was decided in integers.

    Notes
    -----
    Every sign is that of the network as given on the plane as given: restrictions are exact, floats decide where their error
    bound allows it, integers elsewhere. Coordinates and values are floats with bounds.
    A face is the set of points with one sign vector; a gate that touches a face without cutting it counts among its zeros.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.PiecewiseLinearNetwork.from_chain(pf.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [0]]))
    >>> found = pf.slice_through(net, [-1, -1], [2, -1], [-1, 2])
    >>> type(found).__name__, found.dimension
    ('PlanarSlice', 2)
    """

    network: PiecewiseLinearNetwork
    origin: FloatArray
    directions: FloatArray
    stats: WalkStats
    _restricted: Restricted = field(repr=False)
    _tables: Tables = field(repr=False)
    _exact: tuple[Array, Array] = field(repr=False)  # origin and directions as Fractions

    # ---- counts -----------------------------------------------------------------------------
    @property
    def dimension(self) -> int:
        """1 or 2."""
        return len(self.directions)

    @property
    def is_exact(self) -> bool:
        """True: the restriction to the slice is exact."""
        return True

    exact = old_name("is_exact")

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return len(self._tables.ptr) - 1

    @property
    def f_vector(self) -> tuple[int, ...]:
        """Vertices, edges, regions; vertices and pieces of a segment."""
        if self.dimension == 1:
            return self.n_regions + 1, self.n_regions
        return len(self._tables.points), len(self._tables.edges), self.n_regions

    @property
    def euler_characteristic(self) -> int:
        """Alternating sum of the counts; 1 for every polygon and segment."""
        return sum(n * (-1) ** k for k, n in enumerate(self.f_vector))

    # ---- places -----------------------------------------------------------------------------
    @cached_property
    def coordinates(self) -> FloatArray:
        """Vertices in coordinates t, (f_0, k); along a segment in their order."""
        t = self._restricted.frame.outer(self._tables.points[:, :2])
        return read_only(t if self.dimension == 2 else np.sort(t[self._strip_ends, 0])[:, None])

    @cached_property
    def coordinate_error(self) -> float:
        """Bound of the largest distance between a coordinate and the true one."""
        frame = self._restricted.frame
        scale = max(float(s) for s in frame.scale[: self.dimension])
        middle = max(abs(float(m)) for m in frame.middle)
        return float(self._tables.points[:, 2].max() * scale + 4e-16 * (scale + middle))

    @cached_property
    def _strip_ends(self) -> IntArray:
        """On a segment: the vertices of the lower border of the strip that stands for it."""
        return np.flatnonzero(self._tables.points[:, 1] < 0)

    def points(self, t: Any) -> FloatArray:
        """Inputs (…, n0) of coordinates (…, k)."""
        return np.asarray(self.origin + np.asarray(t, dtype=np.float64) @ self.directions)

    @property
    def vertices(self) -> FloatArray:
        """(f_0, n0) vertices as inputs of the network."""
        return self.points(self.coordinates)

    @property
    def edges(self) -> IntArray:
        """(f_1, 2) vertices of each edge."""
        self._planar("edges")
        return self._tables.edges

    @property
    def edge_regions(self) -> IntArray:
        """(f_1, 2) regions on both sides; -1 outside."""
        self._planar("edges")
        return self._tables.edge_cells

    @cached_property
    def edge_gates(self) -> IntArray:
        """(f_1,) a gate of the network that vanishes along each edge, of the earliest block; -1 - k for side k of the
        polygon.
        """
        self._planar("edges")
        owner = self._owner
        line = self._tables.edge_line.astype(np.int64)
        return read_only(np.where(line >= 0, owner[np.maximum(line, 0)] if len(owner) else -1, line))

    @cached_property
    def edge_blocks(self) -> IntArray:
        """(f_1,) block of that gate, from 1; 0 on the border."""
        line = self._tables.edge_line
        blocks = np.array([u.block + 1 for u in self._restricted.units[: self._restricted.n_gates]] or [0])
        return read_only(np.where(line >= 0, blocks[np.maximum(line, 0)], 0))

    @cached_property
    def _owner(self) -> IntArray:
        """The first gate of the network that each unit stands for."""
        r = self._restricted
        owner = np.full(r.n_gates, -1, dtype=np.int64)
        gates = np.flatnonzero(r.gate_unit >= 0)[::-1]
        owner[r.gate_unit[gates]] = gates
        return owner

    def _planar(self, what: str) -> None:
        if self.dimension != 2:
            raise InputError(f"{what} belong to a slice by a plane; this is one along a line")

    @property
    def polygon_corners(self) -> tuple[IntArray, IntArray]:
        """(ptr, vertices): region r has the vertices ``vertices[ptr[r]:ptr[r + 1]]``, counterclockwise in t."""
        self._planar("polygons")
        return self._tables.ptr, self._tables.cell_corners

    def polygons(self) -> list[FloatArray]:
        """Corners (m, 2) of every region in coordinates t, counterclockwise."""
        ptr, corners = self.polygon_corners
        return np.split(self.coordinates[corners], ptr[1:-1])

    @cached_property
    def pieces(self) -> FloatArray:
        """On a segment: (f_1, 2) ends of the pieces, in the order of their regions."""
        if self.dimension != 1:
            raise InputError("pieces belong to a slice along a line; this one is by a plane")
        t = self._restricted.frame.outer(self._tables.points[:, :2])[:, 0]
        ptr, corners = self._tables.ptr, self._tables.cell_corners
        first = np.minimum.reduceat(t[corners], ptr[:-1])
        last = np.maximum.reduceat(t[corners], ptr[:-1])
        return read_only(np.stack([first, last], axis=1))

    # ---- signs and maps ---------------------------------------------------------------------
    def _unit_signs(self, regions: Any = None) -> Array:
        t = self._tables
        n = self.n_regions
        if regions is None:
            signs = np.empty((n, len(t.first)), dtype=np.int8)
            for r in range(n):
                if t.parent[r] < 0:
                    signs[r] = t.first
                    continue
                signs[r] = signs[t.parent[r]]
                moves = t.moves[t.change[r, 0] : t.change[r, 0] + t.change[r, 1]]
                signs[r, moves[:, 0]] = moves[:, 2]
            return signs
        chosen = np.asarray(regions, dtype=np.int64)
        signs = np.empty((len(chosen), len(t.first)), dtype=np.int8)
        signs[:] = t.first
        walk.signs_on(t.parent, t.change, t.moves, chosen, np.empty(n, dtype=np.int64), signs)
        return signs

    def _chosen(self, regions: Any) -> IntArray:
        ids = np.atleast_1d(np.asarray(regions))
        if (
            ids.dtype.kind not in "iu"
            or ids.ndim != 1
            or (len(ids) and not 0 <= ids.min() <= ids.max() < self.n_regions)
        ):
            raise InputError(f"regions are numbered from 0 to {self.n_regions - 1}; found {regions!r}")
        return ids

    def signs(self, regions: Any = None) -> Array:
        """Signs of all gates, int8 (len(regions), N), in the order of the network's blocks.

        Parameters
        ----------
        regions : (k,) integers, optional
            All by default, if that are at most 2^31 signs.
        """
        if regions is None and self.n_regions * len(self._restricted.gate_unit) > SIGNS_LIMIT:
            raise InputError(
                f"{words.count(f'{self.n_regions:,}', 'region')} of {words.count(f'{len(self._restricted.gate_unit):,}', 'sign')}: too many at once; name regions"
            )
        return self._restricted.signs(self._unit_signs(None if regions is None else self._chosen(regions)))

    def affine_maps(self, regions: Any) -> SliceMaps:
        """Maps of regions in coordinates t: ``f = A t + a`` within ``bound`` on the polygon.

        Parameters
        ----------
        regions : (k,) integers

        Returns
        -------
        SliceMaps
            A named tuple: ``A`` (k, outputs, 2), ``a`` (k, outputs), ``bound`` (k, outputs).

        Examples
        --------
        >>> import polyfiber as pf
        >>> s = pf.slice_through(pf.ReLUNetwork.random((3, 6, 1), rng=0), [0, 0, 0], [1, 0, 0], [0, 1, 0])
        >>> s.affine_maps([0, 1])
        SliceMaps(A=array 2x1x2, a=array 2x1, bound=array 2x1)
        """
        r = self._restricted
        c = Columns.of(r)
        n, m = len(r.units), r.n_gates
        net = forms.Net(c.starts, c.level, c.row_ptr, c.rows, c.row_weights, c.col_ptr, c.cols, c.col_weights)
        sign = np.zeros(n, dtype=np.int8)
        state = forms.State(
            c.base, np.zeros((4, n)), np.zeros((n, 4)), sign, c.slopes, np.zeros(n, dtype=np.uint8),
            np.zeros(n, dtype=np.int32), np.zeros(r.blocks + 1, dtype=np.int64),
        )  # fmt: skip
        found = []
        for row in self._unit_signs(self._chosen(regions)):
            sign[:m] = row
            forms.refresh(net, state, 0, c.gamma, 0.0, 0.0, False, forms.NONE)
            found.append(state.form[:, m:].T.copy())
        form = np.array(found).reshape(-1, n - m, 4)
        scale, middle = ([float(v) for v in p] for p in (r.frame.scale, r.frame.middle))
        A = form[:, :, :2] / np.array(scale)
        a = form[:, :, 2] - A @ np.array(middle)
        sizes = np.abs(a) + np.abs(A) @ (np.abs(middle) + np.array(scale))
        return SliceMaps(A, a, form[:, :, 3] + 1e-15 * sizes)

    @property
    def values(self) -> FloatArray:
        """Outputs at the vertices, (f_0, outputs); along a segment in their order."""
        if self.dimension == 2:
            return self._tables.values[:, :-1]
        t = self._restricted.frame.outer(self._tables.points[:, :2])[:, 0]
        order = self._strip_ends[np.argsort(t[self._strip_ends])]
        return self._tables.values[order, :-1]

    @property
    def value_error(self) -> float:
        """Bound of the largest error of `values`."""
        return float(self._tables.values[:, -1].max())

    def locate(self, t: Any) -> IntArray:
        """Regions of points (…, k) in coordinates t, by the signs of the network there in floats; -1 where these are of
        no region.
        """
        at = np.asarray(t, dtype=np.float64)
        if at.ndim == 0 or at.shape[-1] != self.dimension:
            raise ShapeError(
                f"points of shape {at.shape} do not fit a slice of {words.count(self.dimension, 'coordinate')}"
            )
        flat = at.reshape(-1, self.dimension)
        r, random = self._restricted, self._tables.random
        with np.errstate(invalid="ignore"):  # NaN is in no region
            z = np.concatenate(
                [np.sign(v).astype(np.int8) for v in self.network.preactivations(self.points(flat))[:-1]], axis=1
            )
        signs = z[:, self._owner]
        gates = np.arange(r.n_gates)
        side = random[r.n_gates :, 2].sum(axis=0, dtype=np.uint64)
        keys = [tuple((random[gates, row + 1].sum(axis=0, dtype=np.uint64) + side).tolist()) for row in signs]
        return np.array([self._by_key.get(key, -1) for key in keys], dtype=np.int64).reshape(at.shape[:-1])

    @cached_property
    def _by_key(self) -> dict[tuple[int, int], int]:
        return {(a, b): r for r, (a, b) in enumerate(self._tables.keys.tolist())}

    # ---- signs at vertices ------------------------------------------------------------------
    def output_signs(self, weights: Any, offset: float = 0.0, *, vertices: IntArray | None = None) -> Array:
        """Certified signs of ``weights @ outputs + offset`` at vertices (all by default), int8 (V,).

        Floats decide where they can, integers elsewhere.
        """
        w = np.asarray(weights, dtype=np.float64)
        outputs = self._tables.values.shape[1] - 1
        if w.shape != (outputs,) or not np.all(np.isfinite(w)) or not np.isfinite(offset):
            raise InputError(f"expected {outputs} finite weights and a finite offset, found {weights!r} and {offset!r}")
        ids = np.arange(len(self._tables.values)) if vertices is None else vertices
        given, worst = self._tables.values[ids, :-1], self._tables.values[ids, -1]
        with np.errstate(all="ignore"):  # what is not finite is unsure
            value = given @ w + offset
            bound = worst * np.abs(w).sum() + 1e-15 * len(w) * (np.abs(given) @ np.abs(w) + abs(offset)) + 1e-300
        signs = np.where(value > bound, 1, np.where(value < -bound, -1, 9)).astype(np.int8)
        unsure = np.flatnonzero(signs == 9)
        if len(unsure):
            signs[unsure] = self._exact_output_signs(ids[unsure], w, offset)
        return signs

    def _exact_output_signs(self, vertices: IntArray, w: FloatArray, offset: float) -> Array:
        t, r = self._tables, self._restricted
        exact = ExactForms(r)
        wanted = np.zeros(len(t.points), dtype=bool)
        wanted[vertices] = True
        owner = np.repeat(np.arange(self.n_regions), np.diff(t.ptr))
        place: dict[int, int] = {}
        for k in np.flatnonzero(wanted[t.cell_corners]).tolist():
            place.setdefault(int(t.cell_corners[k]), k)
        found = np.zeros(len(vertices), dtype=np.int8)
        for region in np.unique(owner[list(place.values())]).tolist():
            exact.take(self._unit_signs([region])[0])
            first, last = int(t.ptr[region]), int(t.ptr[region + 1])
            for i, v in enumerate(vertices.tolist()):
                k = place[v]
                if owner[k] != region:
                    continue
                before = k - 1 if k > first else last - 1
                lines = t.edge_line[t.cell_edges[before]], t.edge_line[t.cell_edges[k]]
                found[i] = exact.combination(
                    int(lines[0]), int(lines[1]), [Fraction(x) for x in w.tolist()], Fraction(offset)
                )
        return found

    # ---- what stands above ------------------------------------------------------------------
    def level_set(self, value: float = 0.0, *, output: int = 0) -> Any:
        """Where an output takes a value. See `levels.level_set`."""
        return above("complexes.planar.levels:level_set")(self, value, output=output)

    def decision_boundary(self) -> Any:
        """Where two outputs are largest. See `levels.decision_boundary`."""
        return above("complexes.planar.levels:decision_boundary")(self)

    def statistics(self, *, center: Any = None, radius: float | None = None) -> Any:
        """Areas, eccentricities and counts by block. See `statistics.region_statistics`."""
        return above("complexes.planar.statistics:region_statistics")(self, center=center, radius=radius)

    def verify(self, *, samples: int = 200, rng: Any = None) -> Any:
        """Check the subdivision by other code. See `verify.verify_subdivision`."""
        return above("complexes.planar.verify:verify_subdivision")(self, samples=samples, rng=rng)

    def plot(
        self,
        *,
        ax: Any = None,
        color_by: Literal["class", "value", "slope", "area"] = "class",
        output: int = 0,
        **options: Any,
    ) -> Any:
        """Draw the slice. See `polyfiber.plots.slices.plot_slice`."""
        return above("plots.slices:plot_slice")(self, ax=ax, color_by=color_by, output=output, **options)

    @property
    def border(self) -> BoolArray:
        """(f_1,) which edges lie on the border of the polygon."""
        self._planar("edges")
        return np.asarray(self._tables.edge_cells[:, 1] < 0)

    @property
    def sentence(self) -> str:
        """The answer in words."""
        where = "polygon" if self.dimension == 2 else "segment"
        return f"The {where} is cut into exactly {words.count(self.n_regions, 'region')} by {words.every(len(self._restricted.gate_unit), 'gate', each='the')} of the network."

    def __repr__(self) -> str:
        kind = "plane" if self.dimension == 2 else "line"
        return f"PlanarSlice(by a {kind}, f = {self.f_vector}, {words.count(len(self._restricted.gate_unit), 'gate')}, exact)"


@dataclass(frozen=True, eq=False)
class WalkedRegions:
    """Regions that a walk over a slice had found when its budget ran out; each is whole and right, others are missing.

    ``partial.found`` of the `BudgetExceededError` of `slice_through` and `slice_complex`. There are no edges and no
    neighbours: which regions meet is known at the end only.
    """

    _slice: PlanarSlice = field(repr=False)

    def __len__(self) -> int:
        return self._slice.n_regions

    @property
    def coordinate_error(self) -> float:
        """Bound of the largest distance between a coordinate and the true one."""
        return self._slice.coordinate_error

    def polygons(self) -> list[FloatArray]:
        """Corners (m, 2) of every region in coordinates t, counterclockwise."""
        return self._slice.polygons()

    @property
    def pieces(self) -> FloatArray:
        """On a segment: (f_1, 2) ends of the pieces, in the order of the regions."""
        return self._slice.pieces

    def signs(self, regions: Any = None) -> Array:
        """Signs of all gates on regions, int8 (len(regions), N), in the order of the network's blocks."""
        return self._slice.signs(regions)

    def affine_maps(self, regions: Any) -> SliceMaps:
        """Maps of regions; see `PlanarSlice.affine_maps`."""
        return self._slice.affine_maps(regions)

    def __repr__(self) -> str:
        return f"WalkedRegions({words.count(f'{len(self):,}', 'region')}, not all)"


__all__ = ["PlanarSlice", "WalkedRegions"]
