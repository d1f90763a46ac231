"""Checks of a subdivision by code that shares nothing with the walk but the network and the faces as given."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, FloatArray, IntArray
from ..._values.checked import whole
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
    origin, directions = s._exact
    point = origin.tolist()
    for weight, direction in zip(t, directions.tolist()):
        step = weight if isinstance(weight, Fraction) else Fraction(float(weight))
        point = [p + step * d for p, d in zip(point, direction)]
    behind = s.network.exact().preactivations(np.array(point, dtype=object))[:-1]
    return np.array([int(v > 0) - int(v < 0) for z in behind for v in z.tolist()], dtype=np.int8)


def _exact_middle(s: PlanarSlice, region: int) -> list[Fraction]:
    """The mean of a region's corners in rationals: a proposal, which the network's signs there confirm or not."""
    t, frame = s._tables, s._restricted.frame
    exact = ExactForms(s._restricted)
    exact.take(s._unit_signs([region])[0])
    lines = [exact.form(int(line)) for line in t.edge_line[t.cell_edges[t.ptr[region] : t.ptr[region + 1]]]]
    total = [Fraction(0), Fraction(0)]
    for (a, b, c), (d, e, f) in zip(lines, lines[1:] + lines[:1]):
        below = a * e - b * d
        total[0] += Fraction(b * f - c * e, below * len(lines))
        total[1] += Fraction(c * d - a * f, below * len(lines))
    return [m + w * x for m, w, x in zip(frame.middle, frame.scale, total)][: s.dimension]


def verify_subdivision(s: PlanarSlice, *, samples: int = 200, rng: Any = None, exact_samples: int = 5) -> SliceCheck:
    """Euler's relation, both sides of every edge, the total area, and sign vectors at points.

    Parameters
    ----------
    s : PlanarSlice
    samples : int
        Points of the polygon whose signs in floats must be those of a region, and of the one that holds the point.
    rng : anything that ``numpy.random.default_rng`` takes
    exact_samples : int
        Regions whose signs are compared with those at their middle, in rationals.
    """
    samples, exact_samples = whole(samples, "samples", least=0), whole(exact_samples, "exact_samples", least=0)
    random = np.random.default_rng(rng)
    problems: list[str] = []
    checked = {"euler": 1, "regions": s.n_regions}
    if s.euler_characteristic != 1:
        problems.append(f"Euler's relation gives {s.euler_characteristic}, not 1, for {s.f_vector}")
    keys = s._tables.keys
    if len(np.unique(keys, axis=0)) != len(keys):
        problems.append("two regions have one sign vector")
    if s.dimension == 2:
        _faces(s, checked, problems)
        middles = np.array([p.mean(axis=0) for p in (s.polygons())])
    else:
        middles = s.pieces.mean(axis=1)[:, None]
    chosen = random.choice(s.n_regions, min(exact_samples, s.n_regions), replace=False)
    for r, signs in zip(chosen.tolist(), s.signs(chosen)):
        found = exact_signs(s, middles[r])
        if np.any(found != signs):  # thinner than its corners' errors, perhaps
            found = exact_signs(s, _exact_middle(s, r))
        if np.any(found != signs):
            problems.append(f"the signs of region {r} are not those at its middle")
    checked["signs at middles, exact"] = len(chosen)
    corners = s._restricted.frame.outer(np.array([[float(v) for v in p] for p in s._restricted.frame.corners]))[
        :, : s.dimension
    ]
    t = random.dirichlet(np.ones(len(corners)), samples) @ corners
    z = np.concatenate(s.network.preactivations(s.points(t))[:-1], axis=1)
    scale = np.abs(z).max(initial=1e-300)
    clear = np.flatnonzero((np.abs(z) > 1e-9 * scale).all(axis=1)) if z.shape[1] else np.arange(samples)
    where = s.locate(t[clear]) if len(clear) else np.zeros(0, dtype=np.int64)
    checked["points"] = len(clear)
    if np.any(where < 0):
        problems.append(f"{int((where < 0).sum())} of {len(clear)} points have signs of no region")
    return SliceCheck(checked, tuple(problems))


def _faces(s: PlanarSlice, checked: dict[str, int], problems: list[str]) -> None:
    t = s._tables
    checked["edges"] = len(t.edges)
    inner = t.edge_line >= 0
    if np.any((t.edge_cells[:, 1] >= 0) != inner):
        problems.append("an inner edge has one region, or one of the border has two")
    counted = np.bincount(t.cell_edges, minlength=len(t.edges))
    if np.any(counted != 1 + inner):
        problems.append("regions and edges do not name each other")
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
