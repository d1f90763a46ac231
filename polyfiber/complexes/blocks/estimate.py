"""How large a complex is, from a few of its blocks: unbiased, with standard errors.

A pilot walks down the tree of blocks, choosing a side of each wall with the share of the vertices that a sample sees
there, until a block is small; the block is enumerated, and its numbers are divided by the probability of the walk. The
mean over pilots estimates the whole without bias, however poor the sample (Knuth, *Estimating the efficiency of
backtrack programs*, 1975, with the block's content as the cost of a leaf). The choices of one walk come from one number
in [0, 1), and each pilot has a stratum of it to itself, so that pilots are spread over the input space. Standard errors
are those of independent pilots: too large rather than too small.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..._typing import RngLike
from ..._values.checked import generator_of
from ...budget import Budget, Monitor
from ...domain import Polyhedron
from ...errors import BudgetExceededError, InputError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...words import one_line
from ..skeleton.arrays import Frame, expected_vertices, make_frame
from .block import Block
from .contents import BlockComplex, BlockOverflow, run_block
from .plan import MOST, VertexSample, best_split, sample_vertices

PILOT = 1 << 14
"""Vertices that a pilot block is expected to have."""
GRACE = 1.2
"""Times the budget's seconds: a pilot may end that late, since leaving out the slow ones would bias the estimate."""
SAMPLES = 1 << 13
FEWEST = 32
"""Sampled vertices below which a walk goes no further: their share of a block would be too uncertain."""


@dataclass(frozen=True)
class SizeEstimate:
    """Estimated size of a complex.

    Attributes
    ----------
    f_vector, f_errors : tuple of float
        Faces of each dimension, with standard errors.
    bounded, bounded_errors : tuple of float
        Bounded faces.
    seconds, seconds_error : float
        To enumerate it by blocks of the pilots' size on one core.
    pilots : int
        How many were run; with one block for everything the numbers are exact and the errors 0.
    spent : float
        Seconds that the estimate took.
    exact : bool
    """

    __repr__ = one_line

    f_vector: tuple[float, ...]
    f_errors: tuple[float, ...]
    bounded: tuple[float, ...]
    bounded_errors: tuple[float, ...]
    seconds: float
    seconds_error: float
    pilots: int
    spent: float
    exact: bool


def pilot_estimate(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    pilots: int = 32,
    vertices: int = PILOT,
    rng: RngLike = 0,
    budget: Budget | None = None,
) -> SizeEstimate:
    """Estimate the f-vector and the time of an enumeration from a few blocks.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Box or Polyhedron, optional
    pilots : int
        Blocks to run, at least 2.
    vertices : int
        Size of a pilot block.
    rng : optional
        What `numpy.random.default_rng` takes.
    budget : Budget, optional
        When its seconds are over, fewer pilots are used, but at least 2; what takes a fifth longer is stopped.

    Returns
    -------
    SizeEstimate

    Raises
    ------
    BudgetExceededError
        A single region is larger than a pilot block may be, or the time was over before two pilots.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((3, 24, 24, 1), rng=0)
    >>> e = pf.pilot_estimate(net, pilots=8, vertices=2000)
    >>> abs(e.f_vector[3] - pf.face_counts(net)[3]) < 5 * e.f_errors[3]
    True
    """
    if pilots < 2 or vertices < 64:
        raise InputError(f"an estimate takes at least 2 pilots of at least 64 vertices, found {pilots} of {vertices}")
    monitor = Monitor(budget)
    grace = Monitor(None if budget is None or budget.seconds is None else budget.part(GRACE * budget.seconds))
    done: list[tuple[float, ...]] = []
    try:
        with grace.watching():
            return _estimate(network, domain, (pilots, vertices), generator_of(rng), monitor, done)
    except BudgetExceededError as late:
        if not monitor.late:
            raise
        text = f"no two pilots ended within {monitor.budget.seconds:.3g} s"
        raise BudgetExceededError(text, partial=tuple(done), **late.facts) from None


def _estimate(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None,
    sizes: tuple[int, int],
    generator: np.random.Generator,
    monitor: Monitor,
    found: list[tuple[float, ...]],
) -> SizeEstimate:
    """The estimate; rows of pilots that ended are put into ``found``."""
    frame, (pilots, vertices) = make_frame(network, domain), sizes
    ceiling = float(min(expected_vertices(frame), MOST))
    if ceiling <= vertices:
        return _exact(*_timed(network, domain, Block(), frame, None, monitor), monitor)
    sample = sample_vertices(frame, size=SAMPLES, rng=generator)
    expected = ceiling * sample.share if sample.share else ceiling
    for at in generator.permutation((np.arange(pilots) + generator.random(pilots)) / pilots).tolist():
        if len(found) >= 2 and monitor.late:
            break
        try:
            part, weight, seconds = _pilot(network, domain, frame, sample, expected, vertices, at, monitor)
        except BudgetExceededError:
            if not monitor.late or len(found) < 2:
                raise
            break
        if not part.block.path:
            return _exact(part, seconds, monitor)
        found.append(tuple(weight * x for x in (*part.f_vector, *part.bounded, seconds)))
    table = np.array(found)
    mean = table.mean(axis=0)
    error = table.std(axis=0, ddof=1) / np.sqrt(len(table))
    n = frame.n + 1
    return SizeEstimate(
        tuple(mean[:n].tolist()),
        tuple(error[:n].tolist()),
        tuple(mean[n : 2 * n].tolist()),
        tuple(error[n : 2 * n].tolist()),
        float(mean[-1]),
        float(error[-1]),
        len(table),
        monitor.elapsed,
        False,
    )


def _pilot(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None,
    frame: Frame,
    sample: VertexSample,
    expected: float,
    vertices: int,
    at: float,
    monitor: Monitor,
) -> tuple[BlockComplex, float, float]:
    """One walk to the leaf at a number in [0, 1): the block, one over its probability, and its seconds."""
    block, weight = Block(expected=expected), 1.0
    rows = np.arange(len(sample.above))
    while block.expected > vertices:
        choice = best_split(block, sample.above[rows], fewest=FEWEST)
        if choice is None:
            break
        side = sample.above[rows, choice]
        share = (float(side.sum()) + 1.0) / (len(side) + 2.0)
        plus, minus = block.split(choice, share=share)
        up, at = _turn(at, share)
        block, rows = (plus, rows[side]) if up else (minus, rows[~side])
        weight /= share if up else 1 - share
    while True:
        try:
            part, seconds = _timed(network, domain, block, frame, 4 * vertices, monitor)
        except BlockOverflow as overflow:
            total = sum(child.expected for child in overflow.children)
            share = overflow.children[0].expected / total if total > 0 else 0.5
            share = min(max(share, 0.1), 0.9)
            up, at = _turn(at, share)
            block = overflow.children[0 if up else 1]
            weight /= share if up else 1 - share
            continue
        return part, weight, seconds


def _exact(part: BlockComplex, seconds: float, monitor: Monitor) -> SizeEstimate:
    """Where one block is everything."""
    zero = (0.0,) * len(part.f_vector)
    counts, bounded = (tuple(map(float, numbers)) for numbers in (part.f_vector, part.bounded))
    return SizeEstimate(counts, zero, bounded, zero, seconds, 0.0, 1, monitor.elapsed, True)


def _turn(at: float, share: float) -> tuple[bool, float]:
    """Which side of a wall a number in [0, 1) lies on, and where on that side."""
    return (True, at / share) if at < share else (False, (at - share) / (1 - share))


def _timed(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None,
    block: Block,
    frame: Frame,
    room: int | None,
    monitor: Monitor,
) -> tuple[BlockComplex, float]:
    limit = monitor.budget.seconds
    rest = None if limit is None else monitor.budget.part(GRACE * limit - monitor.elapsed)
    started = time.process_time()
    part = run_block(network, block, domain, room=room, budget=rest, frame=frame)
    _ = part.f_vector, part.bounded
    return part, time.process_time() - started


__all__ = ["SizeEstimate", "pilot_estimate"]
