"""Checks of a subdivision by code that shares nothing with the walk but the network and the faces as given."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ... import words
from ..._typing import Array, FloatArray, IntArray
from ..._values.checked import generator_of, whole
from ...network.piecewise import PiecewiseLinearNetwork
from .exact_forms import ExactForms
from .statistics import isometry, local_coordinates
from .subdivision import PlanarSlice


@dataclass(frozen=True)
class SliceCheck:
    """What was checked and what was found wrong.

    Attributes
    ----------
    checked : dict of str to int
        How many of each kind.
    problems : tuple of str
    """

    checked: dict[str, int]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.problems


def exact_signs(s: PlanarSlice, t: Any) -> Array:
    """Signs of all gates at a point of the slice, by evaluating the network in rationals."""
    return _exact_values(s, s.network.exact(), t)[0]


def _exact_values(s: PlanarSlice, exact: PiecewiseLinearNetwork, t: Any) -> tuple[Array, list[Fraction]]:
    """Signs of all gates and outputs at coordinates t."""
    origin, directions = s._exact
    point = origin.tolist()
    for weight, direction in zip(t, directions.tolist()):
        step = weight if isinstance(weight, Fraction) else Fraction(float(weight))
        point = [p + step * d for p, d in zip(point, direction)]
    *behind, outputs = exact.preactivations(np.array(point, dtype=object))
    return np.array([int(v > 0) - int(v < 0) for z in behind for v in z.tolist()], dtype=np.int8), outputs.tolist()


def _within(given: FloatArray, true: list[Fraction], bound: float) -> bool:
    """Whether floats are within a bound of what they stand for; infinite bounds claim nothing."""
    if bound == np.inf:
        return True
    return bool(np.isfinite(given).all()) and all(abs(Fraction(x) - y) <= bound for x, y in zip(given.tolist(), true))


class _Exactly:
    """Corners of regions in rationals, and what the network says there."""

    def __init__(self, s: PlanarSlice) -> None:
        self.slice = s
        self.forms = ExactForms(s._restricted)
        self.network = s.network.exact()

    def corners(self, region: int) -> list[list[Fraction]]:
        """Corners in the coordinates of the frame, from the lines that meet there."""
        t = self.slice._tables
        self.forms.take(self.slice._unit_signs([region])[0])
        lines = [self.forms.form(int(line)) for line in t.edge_line[t.cell_edges[t.ptr[region] : t.ptr[region + 1]]]]
        found = []
        for (a, b, c), (d, e, f) in zip(lines[-1:] + lines[:-1], lines):
            below = a * e - b * d
            if below == 0:
                raise ZeroDivisionError(f"two edges of region {region} that follow each other are parallel")
            found.append([Fraction(b * f - c * e, below), Fraction(c * d - a * f, below)])
        return found

    def at(self, point: list[Fraction]) -> tuple[Array, list[Fraction]]:
        """The network's signs and outputs at a point of the frame."""
        frame = self.slice._restricted.frame
        there = [m + w * x for m, w, x in zip(frame.middle, frame.scale, point)][: self.slice.dimension]
        return _exact_values(self.slice, self.network, there)

    def region(self, region: int) -> str | None:
        """What is wrong with a region: its signs in the middle, its corners and the outputs there."""
        t = self.slice._tables
        try:
            corners = self.corners(region)
        except ZeroDivisionError as error:
            return str(error)
        middle = [Fraction(sum(p[axis] for p in corners)) / len(corners) for axis in range(2)]
        mine = self.slice.signs([region])[0]
        if np.any(self.at(middle)[0] != mine):
            return f"the signs of region {region} are not those at its middle"
        for point, v in zip(corners, t.cell_corners[t.ptr[region] : t.ptr[region + 1]].tolist()):
            if not _within(t.points[v, :2], point, t.points[v, 2]):
                return f"vertex {v} is not where its edges meet"
            signs, outputs = self.at(point)
            if np.any((signs != mine) & (signs != 0)):
                return f"vertex {v} is not on the border of region {region}"
            if not _within(t.values[v, :-1], outputs, t.values[v, -1]):
                return f"the outputs at vertex {v} are not the network's"
        return None


def verify_subdivision(s: PlanarSlice, *, samples: int = 200, rng: Any = None, exact_samples: int = 5) -> SliceCheck:
    """Is a subdivision what it says?

    Of all faces: Euler's relation; the two regions, the two ends and the gate of every edge, from the polygons and the
    keys of the regions; signs along the walk; the total area. Of samples, in floats: signs inside regions, lines and
    outputs at vertices, the region that `locate` finds. What floats contradict, and some regions in any case, in
    rationals: signs in the middle, corners and outputs there within their bounds.

    Parameters
    ----------
    s : PlanarSlice
    samples : int
        Regions, vertices (ten times as many), edges with several gates and points that are looked at.
    rng : anything that ``numpy.random.default_rng`` takes
    exact_samples : int
        Regions that are computed in rationals.
    """
    samples, exact_samples = whole(samples, "samples", least=0), whole(exact_samples, "exact_samples", least=0)
    random = generator_of(rng)
    problems: list[str] = []
    t, n = s._tables, s.n_regions
    checked = {"euler": 1, "regions": n}
    if s.euler_characteristic != 1:
        problems.append(f"Euler's relation gives {s.euler_characteristic}, not 1, for {s.f_vector}")
    if len(np.unique(t.keys, axis=0)) != len(t.keys):
        problems.append("two regions have one sign vector")
    _moves(s, problems)
    if s.dimension == 2:
        _faces(s, checked, problems, random, samples)
    if problems:  # what follows reads the tables as if they fitted together
        return SliceCheck(checked, tuple(problems))
    doubtful = [*_inside(s, checked, random, samples), *_at_vertices(s, checked, random, samples)]
    chosen = random.choice(n, min(exact_samples, n), replace=False).tolist()
    exactly = _Exactly(s)
    looked = dict.fromkeys([*chosen, *doubtful[: max(20, exact_samples)]])
    problems += [found for r in looked if (found := exactly.region(r)) is not None]
    checked["regions, exact"] = len(looked)
    _located(s, checked, problems, random, samples)
    return SliceCheck(checked, tuple(problems))


def _outside_in(s: PlanarSlice, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values in front of all gates, and outputs, at points (k, 2) of the frame, in floats."""
    behind = s.network.preactivations(s.points(s._restricted.frame.outer(points)[:, : s.dimension]))
    return np.concatenate(behind[:-1], axis=1), behind[-1]


@np.errstate(all="ignore")
def _inside(s: PlanarSlice, checked: dict[str, int], random: Any, samples: int) -> list[int]:
    """Regions at a point inside of which the network in floats has other signs."""
    t = s._tables
    chosen = random.choice(s.n_regions, min(samples, s.n_regions), replace=False)
    points = np.zeros((len(chosen), 2))
    for i, r in enumerate(chosen.tolist()):
        corners = t.points[t.cell_corners[t.ptr[r] : t.ptr[r + 1]], :2]
        points[i] = random.dirichlet(np.ones(len(corners))) @ corners
    z, _ = _outside_in(s, points)
    clear = np.abs(z) > 1e-9 * np.abs(z).max(axis=1, initial=0.0, keepdims=True)
    checked["signs inside regions"] = int(clear.sum())
    return chosen[(clear & (np.sign(z) != s.signs(chosen))).any(axis=1)].tolist()


@np.errstate(all="ignore")
def _at_vertices(s: PlanarSlice, checked: dict[str, int], random: Any, samples: int) -> list[int]:
    """Regions at a corner of which, in floats, a gate of its lines does not vanish or outputs differ."""
    t = s._tables
    first = np.unique(t.cell_corners, return_index=True)[1]  # a place of each vertex
    places = random.choice(first, min(10 * samples, len(first)), replace=False)
    region = np.searchsorted(t.ptr, places, side="right") - 1
    before = np.where(places == t.ptr[region], t.ptr[region + 1], places) - 1
    vertices = t.cell_corners[places]
    doubtful = []
    for rows in np.array_split(np.arange(len(places)), len(places) // 500 + 1):
        z, y = _outside_in(s, t.points[vertices[rows], :2])
        wrong = (
            np.abs(y - t.values[vertices[rows], :-1]) > 1e-9 * np.abs(y).max(axis=1, initial=0.0, keepdims=True)
        ).any(axis=1)
        largest = np.abs(z).max(axis=1, initial=0.0)
        for place in (places[rows], before[rows]):
            line = t.edge_line[t.cell_edges[place]].astype(np.int64)
            gates = s._owner[np.maximum(line, 0)] if len(s._owner) else np.zeros(len(rows), dtype=np.int64)
            if z.shape[1]:
                wrong |= (line >= 0) & (np.abs(z[np.arange(len(rows)), gates]) > 1e-9 * largest)
        doubtful += region[rows][wrong].tolist()
    checked["vertices"] = len(places)
    return doubtful


@np.errstate(all="ignore")
def _located(s: PlanarSlice, checked: dict[str, int], problems: list[str], random: Any, samples: int) -> None:
    """Points of the polygon, and the regions whose signs they have."""
    corners = np.array([[float(v) for v in p] for p in s._restricted.frame.corners])
    t = s._restricted.frame.outer(random.dirichlet(np.ones(len(corners)), samples) @ corners)[:, : s.dimension]
    z = np.concatenate(s.network.preactivations(s.points(t))[:-1], axis=1)
    scale = np.abs(z).max(initial=1e-300)
    clear = np.flatnonzero((np.abs(z) > 1e-9 * scale).all(axis=1)) if z.shape[1] else np.arange(samples)
    where = s.locate(t[clear]) if len(clear) else np.zeros(0, dtype=np.int64)
    checked["points with clear signs"] = len(clear)
    if np.any(where < 0):
        problems.append(f"{int((where < 0).sum())} of {words.count(len(clear), 'point')} have signs of no region")


def _moves(s: PlanarSlice, problems: list[str]) -> None:
    """The keys of regions are those of their signs: of the first one, and along each step of the walk."""
    t, random = s._tables, s._tables.random
    gates = np.arange(len(t.first))
    with np.errstate(over="ignore"):
        total = random[gates, t.first + 1].sum(axis=0, dtype=np.uint64)
        total = total + random[len(t.first) :, 2].sum(axis=0, dtype=np.uint64)
        steps = np.zeros((len(t.moves) + 1, 2), dtype=np.uint64)
        moved, before, behind = t.moves.T.astype(np.int64)
        steps[1:] = np.cumsum(random[moved, behind + 1] - random[moved, before + 1], axis=0, dtype=np.uint64)
        first, count = t.change.T
        inner = t.parent >= 0
        change = steps[first + count] - steps[first]
        good = (t.keys[inner] - t.keys[t.parent[inner]] == change[inner]).all()
    if (
        not good
        or np.any(t.keys[~inner] != total)
        or int((~inner).sum()) != 1
        or np.any(t.parent >= np.arange(len(t.parent)))
    ):
        problems.append("the signs along the walk are not those of the regions")


def _across(s: PlanarSlice, checked: dict[str, int], problems: list[str], random: Any, samples: int) -> None:
    """On both sides of an edge the signs are equal but for its gates, and for those that vanish on one whole side."""
    t, numbers = s._tables, s._tables.random
    several = np.zeros(len(t.edges), dtype=np.bool_)
    several[t.further[:, 0]] = True
    single = np.flatnonzero((t.edge_line >= 0) & ~several)
    with np.errstate(over="ignore"):
        change = t.keys[t.edge_cells[single, 0]] - t.keys[t.edge_cells[single, 1]]
        turn = numbers[t.edge_line[single], 2] - numbers[t.edge_line[single], 0]
        plain = ((change == turn) | (change == -turn)).all(axis=1)
    many = np.flatnonzero((t.edge_line >= 0) & several)
    edges = np.concatenate([single[~plain], random.choice(many, min(samples, len(many)), replace=False)])
    checked["gates of edges"] = int(plain.sum()) + len(edges)
    wrong, begin = 0, np.searchsorted(t.further[:, 0], edges)
    for some in np.array_split(np.arange(len(edges)), len(edges) // 1000 + 1):
        here, there = (s._unit_signs(t.edge_cells[edges[some], side]) for side in (0, 1))
        odd = (here != there) & (here != 0) & (there != 0)
        line = t.edge_line[edges[some]]
        rows = np.arange(len(some))
        wrong += int((here[rows, line] == there[rows, line]).sum())
        odd[rows, line] = False
        for i, at in zip(rows.tolist(), begin[some].tolist()):
            while at < len(t.further) and t.further[at, 0] == edges[some[i]]:
                odd[i, t.further[at, 1]] = False
                at += 1
        wrong += int(odd.any(axis=1).sum())
    if wrong:
        problems.append(f"across {words.count(wrong, 'edge')} other signs change than those of their gates")


def _faces(s: PlanarSlice, checked: dict[str, int], problems: list[str], random: Any, samples: int) -> None:
    t = s._tables
    checked["edges"] = len(t.edges)
    inner = t.edge_line >= 0
    if np.any((t.edge_cells[:, 1] >= 0) != inner):
        problems.append("an inner edge has one region, or one of the border has two")
    counted = np.bincount(t.cell_edges, minlength=len(t.edges))
    if np.any(counted != 1 + inner):
        problems.append("regions and edges do not name each other")
        return
    owner = np.repeat(np.arange(s.n_regions), np.diff(t.ptr))
    order = np.argsort(t.cell_edges, kind="stable")
    last = np.cumsum(counted) - 1
    sides = np.stack([owner[order[last - counted + 1]], np.where(inner, owner[order[last]], -1)], axis=1)
    if np.any(np.sort(sides, axis=1) != np.sort(t.edge_cells, axis=1)):
        problems.append("an edge has other regions than those whose side it is")
        return
    following = np.arange(1, len(t.cell_corners) + 1)
    following[t.ptr[1:] - 1] = t.ptr[:-1]
    ends = np.stack([t.cell_corners, t.cell_corners[following]], axis=1)
    if np.any(np.sort(ends, axis=1) != np.sort(t.edges[t.cell_edges], axis=1)):
        problems.append("an edge has other ends than the side of a polygon that it is")
    _across(s, checked, problems, random, samples)
    x = local_coordinates(s) @ isometry(s).T
    corners = np.array([[float(v) for v in p] for p in s._restricted.frame.corners])
    outer = corners * np.array([float(v) for v in s._restricted.frame.scale]) @ isometry(s).T
    size = float(np.ptp(outer, axis=0).max())  # areas are compared where they are of order one
    polygon, total = _area(outer / size, np.array([0])), _area(x[t.cell_corners] / size, t.ptr[:-1])
    largest = float(s._tables.points[:, 2].max() * max(float(v) for v in s._restricted.frame.scale))
    slack = 1e-9 * polygon + largest / size * np.abs(isometry(s)).sum() * len(t.edges)
    if not abs(total - polygon) <= slack:
        problems.append(f"the regions have {total / polygon} of the area of the polygon")


def _area(corners: FloatArray, begin: IntArray) -> float:
    """Total area of polygons, one behind the other."""
    following = np.arange(1, len(corners) + 1)
    following[np.append(begin[1:], len(corners)) - 1] = begin
    first = np.repeat(begin, np.diff(np.append(begin, len(corners))))
    p, q = corners - corners[first], corners[following] - corners[first]
    return float(np.abs(np.add.reduceat(p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1], begin)).sum() / 2)


__all__ = ["SliceCheck", "exact_signs", "verify_subdivision"]
