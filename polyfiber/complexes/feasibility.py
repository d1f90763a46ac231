"""Which questions fit a network, with estimates: nothing is computed but binomials, and on a domain a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import words
from ..domain import Polyhedron
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork, require_network
from ..network.sparse import nonzeros
from ..numerics.floats import as_float
from .blocks.plan import DEFAULT_MEMORY, guessed_vertices
from .skeleton.arrays import Frame, make_frame
from .skeleton.layout import row_units

# rough costs on one core of a 2020s machine; seconds
PER_VERTEX = 1.5e-6
PER_FACE = 2e-8
PER_MULTIPLICATION = 1.0e-9


@dataclass(frozen=True)
class Feature:
    """One question and what it would take.

    Attributes
    ----------
    name : str
        The function to call.
    fits : bool
        Within the limits on seconds and bytes.
    seconds, bytes : float
        Estimates, right within an order of magnitude.
    note : str
    """

    name: str
    fits: bool
    seconds: float
    bytes: float
    note: str


def feasibility(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    seconds: float = 600.0,
    memory: float = 4e9,
) -> tuple[Feature, ...]:
    """What can be asked of a network within limits on time and memory.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Box or Polyhedron, optional
    seconds, memory : float
        The limits.

    Returns
    -------
    tuple of Feature
        Counts are those of hyperplanes in general position, ``C(N, d)`` vertices and ``2^d`` faces for each: random
        networks come within a factor of two; the trained ones in ``data/`` whose complexes can be counted have 0.1 to
        1.13 times as many vertices and 0.5 to 1.17 times as many faces. On a domain, the part of these that a sample of 2048 finds there.

    Examples
    --------
    >>> import polyfiber as pf
    >>> [f.name for f in pf.feasibility(pf.ReLUNetwork.random((64, 32, 16, 10), rng=0)) if not f.fits]
    ['canonical_complex', 'face_counts']
    """
    network = require_network(network)
    return questions_of(network, make_frame(network, domain), seconds=seconds, memory=memory)


def questions_of(
    network: ReLUNetwork | PiecewiseLinearNetwork, frame: Frame, *, seconds: float = 600.0, memory: float = 4e9
) -> tuple[Feature, ...]:
    """`feasibility` with a frame that is there."""
    N, d = frame.n_neurons, frame.n
    vertices = guessed_vertices(frame)
    faces = as_float(vertices * 2**d)
    per_vertex = 8 * row_units(frame)[-1]
    deep = max(1, _products(network))
    found: list[Feature] = []

    def add(name: str, time: Any, size: Any, note: str) -> None:
        time, size = as_float(time), as_float(size)
        found.append(Feature(name, time <= seconds and size <= memory, time, size, note))

    shown = words.count(f"{as_float(vertices):.3g}", "vertex", "vertices")
    add(
        "canonical_complex",
        as_float(vertices) * PER_VERTEX + faces * PER_FACE,
        as_float(vertices) * per_vertex + faces * (16 * frame.n_words + 4),
        f"about {shown}, {words.count(f'{faces:.3g}', 'face')} of dimensions 0 to {d}",
    )
    by_blocks = min(vertices * per_vertex, DEFAULT_MEMORY)
    add("face_counts", as_float(vertices) * PER_VERTEX, by_blocks, f"about {shown}; by blocks where these are many")
    rows = N + frame.n_domain
    first = network.architecture[1]
    # where the first layer has full row rank, its inactive half leaves the problem
    free = first / 2 if isinstance(network, ReLUNetwork) and first <= d and not frame.n_domain else d
    region = PER_MULTIPLICATION * (deep * (d + 3) + 7 * rows * free**3 + 12 * rows * d * d + 60 * rows * d) + 1e-4
    what = f"{words.count(rows, 'row')} in dimension {d}; longer where walls meet or coincide, which is decided in rationals"
    add("region", region, 8.0 * rows * d * 4, what)
    add("explore", 1000 * region, 1000 * 20.0 * (rows + 8 * d), "for 1000 regions")
    events = max(1, N)
    add(
        "segment_regions",
        events * deep * 4 * 2e-10 + 1e-4,
        events * (N + 64.0),
        f"about {words.count(events, 'breakpoint')}",
    )
    plane = N * (N - 1) // 2
    add(
        "slice_complex",
        plane * 8e-6 + 0.01,
        plane * 300.0,
        f"a plane, up to {words.count(plane, 'vertex', 'vertices')}",
    )
    add("activation_bounds", deep * N * 4e-10 + 1e-3, 16.0 * N * max(network.architecture), "by relaxation, on a box")
    return tuple(found)


def _products(network: ReLUNetwork | PiecewiseLinearNetwork) -> int:
    """Multiplications that values behind the first layer take."""
    if isinstance(network, ReLUNetwork):
        return sum(a * b for a, b in zip(network.architecture[1:], network.architecture[2:]))
    maps = [*(block.affine for block in network.blocks[1:]), network.output]
    return sum(nonzeros(w) for affine in maps for w in affine.weights.values())


__all__ = ["Feature", "feasibility"]
