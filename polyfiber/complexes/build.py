"""Complexes from networks: the whole one, its counts alone, and an estimate before any work."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import OnDegenerate, ProgressLike
from ..budget import Budget, Monitor
from ..domain import Polyhedron
from ..errors import BudgetExceededError, GenericityError, InputError
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork, require_chain, require_network
from .blocks.plan import bytes_of_vertex, guessed_vertices
from .blocks.run import count_blocks
from .complex import PolyhedralComplex, face_source
from .lattice.build import build_lattice
from .lattice.everywhere import build_everywhere
from .lattice.merge_walls import MergedWall, merge_walls
from .lattice.store import refuse_crowded
from .skeleton.arrays import Frame, expected_vertices, make_frame
from .skeleton.build import BuildStats, Skeleton, Unfinished, build_skeleton, refuse_the_hopeless
from .skeleton.faces import FaceStore
from .skeleton.layout import row_units

LARGE = 1 << 19
"""Expected vertices above which faces are counted by blocks: they stay in the caches."""


@np.errstate(all="ignore")
def _build(
    network: Any,
    domain: Polyhedron | None,
    budget: Budget | None,
    progress: ProgressLike,
    inflate: float,
    on_degenerate: OnDegenerate,
) -> tuple[Frame, Skeleton]:
    if on_degenerate not in ("resolve", "refuse"):
        raise InputError(f"on_degenerate must be 'resolve' or 'refuse', found {on_degenerate!r}")
    monitor = Monitor(budget, progress)
    with monitor.watching():
        try:
            frame = make_frame(network, domain, inflate=inflate)
        except BudgetExceededError as error:  # no wall was cut yet
            error.partial = error.partial or Unfinished(0, 0, 0, (), BuildStats(), monitor.elapsed)
            raise
        refuse_the_hopeless(frame, monitor, bytes_of_vertex(frame))
        if frame.bends:
            made = build_everywhere(frame, monitor, inflate=inflate)
            if on_degenerate == "refuse":
                refuse_crowded(made)
            return made.frame, made
        try:
            skeleton: Skeleton = build_skeleton(frame, monitor)
            if frame.n == 0:
                FaceStore(skeleton).planes(0)  # refuses a neuron that is zero everywhere
        except GenericityError:
            if on_degenerate == "refuse":
                raise
            skeleton = build_lattice(frame, monitor)
    return frame, skeleton


def canonical_complex(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    on_degenerate: OnDegenerate = "resolve",
    merge_tolerance: float | None = None,
    budget: Budget | None = None,
    progress: ProgressLike = None,
    inflate: float = 1.0,
) -> PolyhedralComplex:
    """Canonical polyhedral complex of a ReLU network, or of any network of gates with slopes.

    A face is a non-empty set of inputs where every hidden neuron (gate) keeps one sign in {-, 0, +}.
    Every sign behind it is certified: by a floating value beyond its error bound, by a rank
    argument, or in rational arithmetic.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
        Any. Where it is generic (supertransversal) every k-face lies on exactly d - k walls.
    domain : Box or Polyhedron, optional
        All of Rⁿ by default. It may be unbounded, flat, or have redundant inequalities.
    on_degenerate : 'resolve' or 'refuse'
        What to do with a network that is not generic: build its complex all the same by cutting
        the face lattice (``docs/degenerate.md``), or raise `GenericityError`.
    merge_tolerance : float, optional
        Treat neurons of a layer as lying on one wall when their normalised rows differ by at
        most this much, see `polyfiber.complexes.lattice.merge_walls`; ``.merged`` reports which. By default
        the network is taken exactly as given.
    budget : Budget, optional
        Limits on seconds and bytes.
    progress : bool or callable, optional
    inflate : float
        Factor on every error bound. Above 1 more decisions go to exact arithmetic; the answer
        does not change. For tests and for measuring the exact path.

    Returns
    -------
    PolyhedralComplex

    Raises
    ------
    GenericityError
        Only with ``on_degenerate='refuse'``: names the vertex, the neurons that meet there, and
        what repairs it.
    InputError
        The domain is empty.
    BudgetExceededError
        The budget ran out, or would before an allocation.

    Notes
    -----
    About 1 µs per vertex at depth 2 on one core; the number of vertices is near C(N, d) for a
    random network with N hidden neurons. A network that is not generic costs three to twenty-five
    times as much per face, plus the exact decisions. Definitions: Grigsby and Lindsey, *On
    transversality of bent hyperplane arrangements and the topological expressiveness of ReLU
    neural networks* (2022); the algorithm is described in ``docs/engine.md``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 8, 8, 1), rng=0))
    >>> cx.f_vector[0] - cx.f_vector[1] + cx.f_vector[2]
    1
    >>> lines = [[1, 0], [0, 1], [1, 1], [1, -1]]  # four lines through one point
    >>> pf.canonical_complex(pf.ReLUNetwork([lines, [[1, 1, 1, 1]]], [[0] * 4, [0]])).f_vector
    (1, 8, 8)
    """
    network = require_network(network)
    merged: tuple[MergedWall, ...] = ()
    if merge_tolerance is not None:
        network = require_chain(network, "merging walls")
        network, merged = merge_walls(network, merge_tolerance)
    frame, skeleton = _build(network, domain, budget, progress, inflate, on_degenerate)
    return PolyhedralComplex(frame, skeleton, merged=merged)


def face_counts(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    on_degenerate: OnDegenerate = "resolve",
    workers: int = 1,
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> tuple[int, ...]:
    """f-vector of the canonical complex without making its faces.

    Parameters
    ----------
    network, domain, on_degenerate, progress
        As for `canonical_complex`.
    workers : int
        Processes to count in, see `count_blocks`.
    budget : Budget, optional
        A complex whose skeleton is expected not to fit its memory (by default, what the machine has free), or to have
        more than half a million vertices, is counted block by block, in at most that memory.

    Returns
    -------
    tuple of int

    Raises
    ------
    BudgetExceededError
        As `canonical_complex`; counted by blocks, ``partial`` is the `BlockSum` of what was complete. Without a budget
        of seconds, a complex fifty times larger than memory is refused.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.face_counts(pf.ReLUNetwork.random((2, 16, 16, 1), rng=0))
    (419, 868, 450)
    """
    network = require_network(network)
    monitor = Monitor(budget, progress)
    frame = make_frame(network, domain)
    if frame.bends:
        return face_source(_build(network, domain, budget, progress, 1.0, on_degenerate)[1]).counts
    expected = expected_vertices(frame)
    limit = monitor.memory_limit
    if monitor.budget.seconds is None:
        refuse_the_hopeless(frame, monitor, 8 * row_units(frame)[-1])
    fits = limit is None or expected * bytes_of_vertex(frame) <= limit
    if workers == 1 and fits and (domain is not None or expected <= LARGE):
        try:
            return face_source(_build(network, domain, budget, progress, 1.0, on_degenerate)[1]).counts
        except BudgetExceededError as error:
            if not hasattr(error, "memory"):
                raise
            budget = monitor.rest()
    return count_blocks(
        network, domain, workers=workers, on_degenerate=on_degenerate, budget=budget, progress=progress
    ).f_vector


def estimate_size(network: ReLUNetwork | PiecewiseLinearNetwork, domain: Polyhedron | None = None) -> dict[str, int]:
    """Expected vertices, faces and bytes of a complex, before any work.

    The count is that of N hyperplanes in general position, ``C(N, d)`` vertices and ``2^d`` faces for each; random
    networks come within a factor of two, trained ones with a narrow first layer can have a tenth as many vertices. On a domain, the part of these that a sample finds there.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.estimate_size(pf.ReLUNetwork.random((2, 3, 1), rng=0))["vertices"]
    3
    """
    return size_of(make_frame(require_network(network), domain))


def size_of(frame: Frame) -> dict[str, int]:
    """`estimate_size` of a frame that is there."""
    vertices = guessed_vertices(frame)
    per_vertex = 8 * row_units(frame)[-1]
    return {
        "vertices": vertices,
        "faces": vertices * 2**frame.n,
        "skeleton_bytes": vertices * per_vertex,
        "all_faces_bytes": vertices * 2**frame.n * (16 * frame.n_words + 4),
    }


__all__ = ["canonical_complex", "estimate_size", "face_counts"]
