"""Areas, eccentricities and counts of the regions that the first blocks make, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._typing import FloatArray, IntArray
from ...errors import InputError, ShapeError
from .subdivision import PlanarSlice


@dataclass(frozen=True)
class BlockStatistics:
    """Regions of the network cut off behind a block, measured in the plane as it lies in the space of inputs.

    Attributes
    ----------
    block : int
        From 1; gates of blocks 1 to this one cut.
    regions : int
    area_mean, area_median, area_least, area_largest : float
    eccentricity_mean : float
        Mean of ``sqrt(1 - (minor / major)²)`` of the ellipses with the regions' second moments; 0 is round.
    in_ball : int or None
        Regions that meet the ball that was asked about.
    """

    block: int
    regions: int
    area_mean: float
    area_median: float
    area_least: float
    area_largest: float
    eccentricity_mean: float
    in_ball: int | None = None


def isometry(s: PlanarSlice) -> FloatArray:
    """(2, 2) matrix that takes coordinates t to coordinates in which distances are those of the inputs."""
    R = np.linalg.qr(s.directions.T)[1]
    return np.asarray(
        R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]
    )  # the first direction to the right, the second up


def local_coordinates(s: PlanarSlice, t: Any = None) -> FloatArray:
    """Coordinates counted from the middle of the polygon, where far from the origin floats are too coarse for areas: of
    vertices, or of points t.
    """
    frame = s._restricted.frame
    if t is None:
        return np.asarray(s._tables.points[:, :2] * np.array([float(v) for v in frame.scale]))
    return np.asarray(np.asarray(t, dtype=np.float64) - np.array([float(m) for m in frame.middle]))


def _moments(s: PlanarSlice) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Areas (F,), centres (F, 2) and central second moments (F, 2, 2) of all regions; corners of all polygons."""
    ptr, corners = s.polygon_corners
    flat = local_coordinates(s)[corners] @ isometry(s).T
    lengths = np.diff(ptr)
    base = np.repeat(flat[ptr[:-1]], lengths, axis=0)
    p = flat - base
    following = np.arange(1, len(corners) + 1)
    following[ptr[1:] - 1] = ptr[:-1]
    q = p[following]
    cross = p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1]
    sign = np.sign(np.add.reduceat(cross, ptr[:-1]))
    sign[sign == 0] = 1.0
    cross = cross * np.repeat(sign, lengths)
    area = np.add.reduceat(cross, ptr[:-1]) / 2
    safe = np.where(area > 0, area, 1.0)
    centre = np.add.reduceat(cross[:, None] * (p + q), ptr[:-1], axis=0) / (6 * safe[:, None])
    outer = p[:, :, None] * p[:, None, :] + q[:, :, None] * q[:, None, :]
    outer = outer + (p[:, :, None] + q[:, :, None]) * (p[:, None, :] + q[:, None, :])
    second = np.add.reduceat(cross[:, None, None] * outer, ptr[:-1], axis=0) / 24
    second = second - area[:, None, None] * centre[:, :, None] * centre[:, None, :]
    return area, centre + flat[ptr[:-1]], second, flat


def areas(s: PlanarSlice) -> FloatArray:
    """Area of every region, as it lies in the space of inputs."""
    return _moments(s)[0]


def _distances(s: PlanarSlice, center: FloatArray, flat: FloatArray) -> FloatArray:
    """Distance of a point of the plane from every region."""
    ptr, corners = s.polygon_corners
    following = np.arange(1, len(corners) + 1)
    following[ptr[1:] - 1] = ptr[:-1]
    p, q = flat, flat[following]
    step = q - p
    length = np.maximum((step**2).sum(axis=1), 1e-300)
    place = np.clip(((center - p) * step).sum(axis=1) / length, 0.0, 1.0)
    near = np.linalg.norm(p + place[:, None] * step - center, axis=1)
    side = step[:, 0] * (center[1] - p[:, 1]) - step[:, 1] * (center[0] - p[:, 0])
    inside = (np.minimum.reduceat(side, ptr[:-1]) >= 0) | (np.maximum.reduceat(side, ptr[:-1]) <= 0)
    return np.where(inside, 0.0, np.minimum.reduceat(near, ptr[:-1]))


def region_statistics(s: PlanarSlice, *, center: Any = None, radius: float | None = None) -> list[BlockStatistics]:
    """A row for each block: what the blocks up to it cut the slice into.

    Parameters
    ----------
    s : PlanarSlice
        By a plane.
    center : (2,) array, optional
        A point in coordinates t; the middle of the polygon by default.
    radius : float, optional
        Count the regions that meet the ball of this radius around the center, in the space of inputs.

    Returns
    -------
    list of BlockStatistics
        Counts are exact (a region of the first blocks is a set of regions with one sign vector there); measures are
        floats.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((9, 8, 8, 2), rng=0)
    >>> s = pf.slice_through(net, [0] * 9, [1] * 9, [1, -1] * 4 + [1])
    >>> rows = region_statistics(s, radius=0.5)
    >>> [row.block for row in rows], rows[-1].regions == s.n_regions
    ([1, 2], True)
    """
    if s.dimension != 2:
        raise InputError("areas belong to a slice by a plane; this is one along a line")
    if radius is not None and not (np.isfinite(radius) and radius >= 0):
        raise InputError(f"the radius is {radius!r}; expected a number of at least 0")
    area, centre, second, flat = _moments(s)
    near: FloatArray | None = None
    if radius is not None:
        place = s.coordinates.mean(axis=0) if center is None else np.asarray(center, dtype=np.float64)
        if place.shape != (2,) or not np.all(np.isfinite(place)):
            raise ShapeError(f"the center has shape {place.shape}; expected two finite coordinates in the plane")
        near = _distances(s, isometry(s) @ local_coordinates(s, place), flat)
    rows = []
    prefix = s._tables.prefix
    for block in range(prefix.shape[1]):
        _, first, group = np.unique(prefix[:, block], return_index=True, return_inverse=True)
        n = len(first)
        total = np.bincount(group, area, n)
        safe = np.where(total > 0, total, 1.0)
        middle = np.stack([np.bincount(group, area * centre[:, k], n) / safe for k in range(2)], axis=1)
        off = centre - middle[group]
        parts = second + area[:, None, None] * off[:, :, None] * off[:, None, :]
        xx, xy, yy = (np.bincount(group, parts[:, i, j], n) for i, j in ((0, 0), (0, 1), (1, 1)))
        half, root = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
        ratio = np.clip((half - root) / np.where(half + root > 0, half + root, 1.0), 0.0, 1.0)
        rows.append(
            BlockStatistics(
                block + 1,
                n,
                float(total.mean()),
                float(np.median(total)),
                float(total.min()),
                float(total.max()),
                float(np.sqrt(1 - ratio).mean()),
                None if near is None or radius is None else len(np.unique(group[near <= radius])),
            )
        )
    return rows


def regions_in_ball(s: PlanarSlice, center: Any, radius: float) -> IntArray:
    """Regions that meet a ball of the space of inputs around a point (2,) of the plane."""
    flat = local_coordinates(s)[s.polygon_corners[1]] @ isometry(s).T
    return np.flatnonzero(_distances(s, isometry(s) @ local_coordinates(s, center), flat) <= radius)


__all__ = ["BlockStatistics", "areas", "region_statistics", "regions_in_ball"]
