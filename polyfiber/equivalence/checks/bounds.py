"""Bound ``|f - g|`` on a box a second time, by another relaxation than those that found the bound.

Each box is taken on its own: lines around the ReLUs of both networks stacked, substituted backwards by the relaxation
of checks (`planes`), which no answer asks. Where that is not enough, a linear program over the triangles of all ReLUs
together; it begins with the ranges of neurons of `bounds.relaxation`, which answers by weights and by mixed-integer
programs begin with too. What the program says is not believed: its multipliers give a bound by arithmetic (Neumaier and
Shcherbina, *Safe bounds in linear and mixed-integer programming*, 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._typing import FloatArray
from ...bounds.relaxation import Relaxation, relaxed
from ...budget import Monitor
from ...domain import Box, Polyhedron
from ...network.model import ReLUNetwork
from ..bounds.difference_network import both_signs, stacking_error
from .planes import BoxBounds, possible_boxes, relaxed_upper

PROGRAM_SIZE = 400
"""Variables up to which linear programs are tried on a box."""


@dataclass(frozen=True)
class BoundCheck:
    """Whether the bound was proved again on everything; boxes and programs that took; share of the volume that is
    proved.
    """

    complete: bool
    boxes: int
    programs: int
    share: float


def bound_holds(
    a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron, box: tuple[FloatArray, FloatArray], limit: float,
    *, monitor: Monitor,
) -> BoundCheck:  # fmt: skip
    """Prove ``|f - g| <= limit`` on a bounded domain again, until done or the time of the monitor is used up.

    Parameters
    ----------
    domain : Polyhedron
    box : (lo, hi)
        That certainly holds it.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.equivalence.checks.bounds import bound_holds
    >>> a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    >>> b = pf.ReLUNetwork(a.weights, [a.biases[0], a.biases[1] + 0.25])
    >>> box = pf.Box(-1, 1, dimension=2)
    >>> ends = (box.lo, box.hi)
    >>> bound_holds(a, b, box, ends, 0.5, monitor=Monitor(pf.Budget(seconds=60))).complete
    True
    """
    net = both_signs(a, b)
    rows = None if isinstance(domain, Box) else domain.in_floats()
    target = limit - stacking_error(a, b)
    work = [(box[0].astype(np.float64), box[1].astype(np.float64), 1.0)]
    boxes = programs = 0
    share = 0.0
    while work and not monitor.late:
        lo, hi, part = work[-1]
        monitor.report("bounding again", boxes, None, share=round(share, 4))
        if not possible_boxes(rows, lo[None], hi[None])[0]:
            work.pop()
            share += part
            continue
        with np.errstate(all="ignore"):
            found = relaxed_upper(net, lo[None], hi[None])
        tops = found.upper[0]
        boxes += 1
        open_outputs = np.flatnonzero(~(tops <= target)).tolist()
        if open_outputs and len(lo) + net.n_hidden <= PROGRAM_SIZE and tops.max() <= 4 * abs(target):
            programs += len(open_outputs)
            open_outputs = _by_programs(relaxed(net, (lo, hi)), domain, open_outputs, target, monitor)
        if not open_outputs:
            work.pop()
            share += part
            continue
        d = _widest(net, found, lo, hi)
        middle = 0.5 * lo[d] + 0.5 * hi[d]
        if not lo[d] < middle < hi[d]:
            break  # as small as floats allow
        work.pop()
        left, right = hi.copy(), lo.copy()
        left[d] = right[d] = middle
        work += [(lo, left, part / 2), (right, hi, part / 2)]
    return BoundCheck(not work, boxes, programs, min(share, 1.0))


def _by_programs(
    lines: Relaxation, domain: Polyhedron, outputs: list[int], target: float, monitor: Monitor
) -> list[int]:  # fmt: skip
    """Outputs that a linear program over the relaxation does not bring down to the target either."""
    last = lines.depth - 1
    system = lines.system(last, domain)
    for k, o in enumerate(outputs):
        value, _, empty = lines.program(system, last, o, 1.0)
        if monitor.late or empty or not value <= target:
            return outputs[k:]
    return []


def _widest(net: ReLUNetwork, found: BoxBounds, lo: FloatArray, hi: FloatArray) -> int:
    """The input to halve: the one that moves the neurons of layer 1 with open signs most."""
    reach = np.abs(net.weights[0]) * (hi - lo)
    score = reach.sum(axis=0)
    if len(net.weights) > 1:
        score = reach[(found.lower_z[0][0] <= 0) & (found.upper_z[0][0] > 0)].sum(axis=0)
    return int(np.argmax(score + 1e-9 * reach.sum(axis=0) + 1e-300 * (hi - lo)))
