"""What was proved when time ran out: blocks of input space, single cells, and how large the rest of ``|f - g|`` can be.

A complex that is too large, or whose budget is too short, is gone through block by block. A block is a polyhedron (an
intersection of half-spaces of walls), so what was proved and what is left can be said in inequalities. Where not even a
block can be enumerated, both networks are affine on the cell of their common activation pattern at an input; the maps
of many inputs are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from .. import words
from .._typing import FloatArray, SignArray
from .._values.read_only import closed
from ..budget import Monitor
from ..complexes.blocks.block import Block, complement
from ..complexes.blocks.contents import BlockComplex
from ..complexes.blocks.plan import SMALLEST_ROOM, plan_blocks, room_for
from ..complexes.blocks.run import run_blocks
from ..complexes.build import estimate_size
from ..complexes.complex import PolyhedralComplex
from ..complexes.skeleton.arrays import make_frame
from ..domain import Polyhedron
from ..errors import BudgetExceededError, PolyfiberError
from ..network.model import ReLUNetwork
from .bounds.everywhere import Growth
from .regions.pieces import PORTION, affine_pieces

FACES = 1 << 15
"""Faces that a block may have, about: few, so that something is proved soon."""

CELLS = 256
"""Inputs around which cells are compared where nothing else was proved."""
WORK = 1 << 29
"""Multiplications that these may take: less than a second."""


@closed
@dataclass(frozen=True, eq=False)
class ProvedPart:
    """The part of the domain on which two networks were proved equal, and what is known of the rest.

    Attributes
    ----------
    network : ReLUNetwork or None
        The network whose regions were gone through.
    regions : int
        Its regions on which both agree, within the tolerance (for ``tolerance=0`` exactly).
    share : float
        Of all its regions (or of the volume of a box); where their number is not known, of the number expected from a
        sample of vertices.
    estimated : bool
        Whether the share rests on such a sample.
    blocks, remaining : tuple of Block
        Blocks on which everything was proved, and those that are left; together they are the domain. Empty where
        the complex was not gone through by blocks.
    cells : (k, N_f + N_g) int8
        Common activation patterns of the networks f and g, ±1, on whose cells the affine maps agree; found at k of the
        inputs tried.
    growth : Growth or None
        Bound of ``|f - g|`` at every input, so also on the rest.
    """

    network: ReLUNetwork | None = field(default=None, repr=False)
    domain: Polyhedron | None = field(default=None, repr=False)
    regions: int = 0
    share: float = 0.0
    estimated: bool = False
    blocks: tuple[Block, ...] = field(default=(), repr=False)
    remaining: tuple[Block, ...] = field(default=(), repr=False)
    cells: SignArray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int8), repr=False)
    growth: Growth | None = None

    def proved_polyhedra(self) -> list[Polyhedron | None]:
        """The blocks that were proved, as inequalities; None is all of R^n."""
        return self._polyhedra(self.blocks)

    def remaining_polyhedra(self) -> list[Polyhedron | None]:
        """The blocks that are left, as inequalities; None is all of R^n."""
        return self._polyhedra(self.remaining)

    def _polyhedra(self, blocks: tuple[Block, ...]) -> list[Polyhedron | None]:
        return [] if self.network is None else [block.polyhedron(self.network, self.domain) for block in blocks]

    def cell(self, index: int, a: ReLUNetwork, b: ReLUNetwork) -> tuple[FloatArray, FloatArray]:
        """Inequalities ``A x <= b`` (N, n0), (N,) of one of the cells, for the two networks of the answer."""
        signs = self.cells[index].astype(np.float64)
        rows = []
        for net, own in ((a, signs[: a.n_hidden]), (b, signs[a.n_hidden :])):
            rows.append(own[:, None] * _forms_of(net, own))
        table = np.concatenate(rows)
        return -table[:, :-1], table[:, -1]

    @property
    def summary(self) -> dict[str, Any]:
        """Plain data for JSON."""
        known: dict[str, Any] = {"share": self.share, "share estimated": self.estimated, "regions": self.regions}
        if self.blocks or self.remaining:
            known |= {
                "blocks": [b.to_dict()["path"] for b in self.blocks],
                "blocks left": [b.to_dict()["path"] for b in self.remaining],
            }
        if len(self.cells):
            known["cells"] = len(self.cells)
        if self.growth is not None:
            known["everywhere"] = {"constant": self.growth.constant, "slope": self.growth.slope}
        return known

    def __str__(self) -> str:
        parts = []
        if self.regions:
            of = f" ({'about ' if self.estimated else ''}{100 * self.share:.3g} % of all)" if self.share else ""
            parts.append(f"{words.count(self.regions, 'region')}{of}")
        if self.blocks:
            parts.append(f"{words.count(len(self.blocks), 'block')}, {len(self.remaining)} left")
        if len(self.cells):
            parts.append(f"{words.count(len(self.cells), 'cell')} around inputs that were tried")
        return "; ".join(parts) if parts else "nothing"


def _forms_of(net: ReLUNetwork, signs: FloatArray) -> FloatArray:
    """Affine forms (N, n0 + 1) of the hidden neurons on one activation pattern."""
    n0 = net.architecture[0]
    form: FloatArray = np.eye(n0, n0 + 1)
    rows, column = [], 0
    for W, b in zip(net.weights[:-1], net.biases[:-1]):
        form = W.astype(np.float64) @ form
        form[:, -1] += b.astype(np.float64)
        rows.append(form)
        form = form * (signs[column : column + len(b)] > 0)[:, None]
        column += len(b)
    return np.concatenate(rows) if rows else np.zeros((0, n0 + 1))


def agreeing_cells(a: ReLUNetwork, b: ReLUNetwork, X: FloatArray, *, tolerance: float) -> SignArray:
    """Common activation patterns at the first inputs of X whose affine maps agree, each once: (k, N_a + N_b) of ±1."""
    found: dict[bytes, SignArray] = {}
    widest = max(w for net in (a, b) for w in net.architecture)
    step = max(1, PORTION // (widest * (a.architecture[0] + 1)))
    products = sum(W.size for net in (a, b) for W in net.weights) * (a.architecture[0] + 1)
    X = X[: max(1, min(CELLS, WORK // products))]
    for start in range(0, len(X), step):
        part = X[start : start + step]
        (forms, s), (others, t) = (affine_pieces(net, part) for net in (a, b))
        M, N = forms[-1], others[-1]
        size = np.maximum(np.abs(M).max(axis=(1, 2)), 1e-300)
        agree = np.abs(M - N).max(axis=(1, 2)) <= (4 * tolerance + 1e-13) * size
        for row in np.concatenate([s, t], axis=1)[agree].astype(np.int8):
            found.setdefault(row.tobytes(), row)
    return np.array(list(found.values()), dtype=np.int8).reshape(len(found), a.n_hidden + b.n_hidden)


@dataclass
class BlockwiseReport:
    """Blocks that a check confirmed, their faces, and what is left.

    ``stopped`` says why the others were not confirmed, ``failure`` is what the check returned to stop.
    """

    f_vector: tuple[int, ...] = ()
    blocks: list[Block] = field(default_factory=list)
    remaining: list[Block] = field(default_factory=list)
    share: float = 0.0
    stopped: str = ""
    failure: Any = None

    @property
    def regions(self) -> int:
        """Regions in the blocks that were confirmed."""
        return self.f_vector[-1] if self.f_vector else 0

    def part(self, network: ReLUNetwork, domain: Polyhedron | None) -> ProvedPart:
        """As the part of an answer."""
        return ProvedPart(network, domain, self.regions, self.share, True, tuple(self.blocks), tuple(self.remaining))


def go_by_blocks(
    network: ReLUNetwork, domain: Polyhedron | None, check: Callable[[PolyhedralComplex], tuple[bool, Any]],
    monitor: Monitor, *, whole: bool = False,
) -> BlockwiseReport:  # fmt: skip
    """Run a check on the complex of every block until one fails or the budget is used up.

    Parameters
    ----------
    check : callable
        Takes the complex of a closed block; returns whether the block is proved, and anything but None to stop.
    whole : bool
        Everything in one block, where the memory holds it.
    """
    report = BlockwiseReport()
    vertices = 0
    try:
        with monitor.watching():
            chosen, expected, room = _plan(network, domain, whole, monitor.budget.memory)
            blocks = run_blocks(network, domain, chosen, _itself, room=room, monitor=Monitor(monitor.rest()))
            for part in blocks:
                monitor.report("blocks", len(report.blocks), None, share=round(vertices / expected, 4))
                good, failure = (True, None) if part.complex is None else check(part.complex)
                if failure is not None:
                    report.failure = failure
                    return report
                if good:
                    report.blocks.append(part.block)
                    report.f_vector = tuple(map(sum, zip_longest(report.f_vector, part.f_vector, fillvalue=0)))
                    vertices += part.f_vector[0]
    except BudgetExceededError as error:
        report.stopped = str(error)
    except PolyfiberError as error:
        report.stopped = f"{type(error).__name__}: {error}"
    report.remaining = list(complement(report.blocks, network=network)) if report.blocks else [Block()]
    if not report.remaining:
        report.share = 1.0
    elif report.blocks:
        report.share = min(vertices / expected, 1.0 - 1e-6)
    return report


def _plan(
    network: ReLUNetwork, domain: Polyhedron | None, whole: bool, memory: int | None
) -> tuple[tuple[Block, ...], float, int]:
    """The blocks to begin with, the vertices that are expected, and how many a block may have."""
    frame = make_frame(network, domain)
    if whole:
        return (
            (Block(),),
            float(min(max(1, estimate_size(network, domain)["vertices"]), 10**300)),
            room_for(frame, memory),
        )
    plan = plan_blocks(network, domain, room=max(SMALLEST_ROOM, FACES >> frame.n), frame=frame)
    return plan.blocks, max(1.0, plan.expected), plan.room


def _itself(part: BlockComplex) -> BlockComplex:
    return part
