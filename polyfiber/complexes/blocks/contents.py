"""What is inside one block: run the engine on it, then its faces, counts and cells in pieces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse

from ..._once import cached_property
from ..._typing import BoolArray, ByteArray, FloatArray, IntArray, OnDegenerate, ProgressLike, SignArray
from ..._values.read_only import read_only
from ...budget import Budget, Monitor
from ...domain import Polyhedron
from ...errors import BudgetExceededError, GenericityError, InputError
from ...kernels.complexes import faces as fk
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...words import one_line
from ..complex import PolyhedralComplex
from ..lattice.build import LatticeSkeleton
from ..lattice.everywhere import Walled, walled
from ..lattice.store import refuse_crowded
from ..skeleton.arrays import Frame, make_frame
from ..skeleton.build import Skeleton
from ..skeleton.layout import row_units
from .block import Block
from .plan import bytes_of_vertex

MASK = (1 << 64) - 1
SAMPLED = 4096
"""Vertices of a block that are looked at to choose a wall to split it by."""


class BlockOverflow(BudgetExceededError):
    """A block needs more memory than it may take; ``children`` are the two blocks to run instead."""

    children: tuple[Block, Block]


@dataclass(frozen=True)
class Cells:
    """Some cells of one dimension of one block.

    Attributes
    ----------
    block : Block
    dim : int
    plus, minus : (m, ceil((N + D) / 8)) uint8
        Which columns of the sign vectors are positive, negative: bits, the lowest first.
    n_columns : int
        Length N + D of a sign vector.
    unbounded : (m,) bool, or None
    A, a : (m, nL, n0), (m, nL) float64, or None
        The affine maps, of regions only.
    vertices, rays : (indptr (m + 1,), points (total, n0)), or None
        Vertices and directions of rays (of length 1) of each cell.
    """

    __repr__ = one_line

    block: Block
    dim: int
    plus: ByteArray
    minus: ByteArray
    n_columns: int
    unbounded: BoolArray | None = None
    A: FloatArray | None = None
    a: FloatArray | None = None
    vertices: tuple[IntArray, FloatArray] | None = None
    rays: tuple[IntArray, FloatArray] | None = None

    def __len__(self) -> int:
        return len(self.plus)

    @cached_property
    def signs(self) -> SignArray:
        """(m, N + D) int8, columns as in `PolyhedralComplex.signs`."""
        plus, minus = (
            np.unpackbits(bits, axis=1, count=self.n_columns, bitorder="little").view(np.int8)
            for bits in (self.plus, self.minus)
        )
        return plus - minus


class BlockComplex:
    """The faces of one block, made by `run_block`.

    Attributes
    ----------
    block : Block
    complex : PolyhedralComplex or None
        The closed block: all faces in its closure, with their sign vectors in the whole network; None
        where nothing is left. Those that the block owns are ``owned(dim)``.
    """

    __repr__ = one_line

    def __init__(self, block: Block, frame: Frame, skeleton: Skeleton | None) -> None:
        self.block = block
        self._frame = frame
        self.complex = None if skeleton is None else PolyhedralComplex(frame, skeleton)
        self._skeleton = skeleton
        self._owned: dict[int, BoolArray] = {}

    @property
    def dimension(self) -> int:
        """Dimension of the essential quotient."""
        return self._frame.n

    @property
    def n_vertices(self) -> int:
        """Vertices of the closed block with those at infinity: what its memory goes with."""
        return 0 if self._skeleton is None else self._skeleton.nv

    @property
    def seconds(self) -> float:
        """Wall-clock time that the engine took."""
        return 0.0 if self._skeleton is None else self._skeleton.stats.seconds

    @cached_property
    def f_vector(self) -> tuple[int, ...]:
        """Faces of each dimension that the block owns."""
        return self._count(bounded=False)

    @cached_property
    def bounded(self) -> tuple[int, ...]:
        """Those that are bounded (in the essential quotient)."""
        return self._count(bounded=True)

    def _count(self, *, bounded: bool) -> tuple[int, ...]:
        if self.complex is None:
            return (0,) * (self.dimension + 1)
        return self.complex._store.count(owned=True, bounded=bounded)

    def owned(self, dim: int) -> BoolArray:
        """Which faces of a dimension of ``complex`` the block owns."""
        if dim not in self._owned:
            empty = np.zeros(0, dtype=np.bool_)
            self._owned[dim] = empty if self.complex is None else self.complex._store.is_owned(dim)
        return read_only(self._owned[dim])

    def fingerprint(self, dim: int) -> tuple[int, int]:
        """Of the owned faces; those of the blocks add up, modulo 2**64, to that of the whole complex."""
        if self.complex is None:
            return (0, 0)
        planes = np.ascontiguousarray(self.complex._store.planes(dim)[self.owned(dim)])
        a, b = fk.fingerprint(planes, 0, len(planes))
        return int(a), int(b)

    def decisions(self) -> dict[str, int]:
        """How the signs of this block were decided."""
        if self._skeleton is None:
            return {"filtered": 0, "structural": 0, "exact": 0, "orientation_exact": 0}
        stats = self._skeleton.stats
        return {
            "filtered": stats.filtered,
            "structural": stats.structural,
            "exact": stats.exact,
            "orientation_exact": stats.orientation_exact,
        }

    def signs(self, dim: int) -> SignArray:
        """Sign vectors (m, N + D) int8 of the owned faces of a dimension."""
        if self.complex is None:
            return np.zeros((0, self._frame.n_neurons + self._frame.n_domain), dtype=np.int8)
        return self.complex._store.to_signs(self.complex._store.planes(dim)[self.owned(dim)])

    def cells(
        self,
        dim: int | None = None,
        *,
        rows: int = 1 << 16,
        unbounded: bool = False,
        maps: bool = False,
        vertices: bool = False,
    ) -> Iterator[Cells]:
        """The owned cells of a dimension (regions by default), at most ``rows`` at a time.

        Parameters
        ----------
        rows : int
        unbounded, maps, vertices : bool
            What to tell besides the signs; maps are of regions only.
        """
        dim = self.dimension if dim is None else int(dim)
        if maps and dim != self.dimension:
            raise InputError(f"affine maps are of regions (dimension {self.dimension}), found dimension {dim}")
        if rows < 1:
            raise InputError(f"rows must be at least 1, found {rows}")
        if self.complex is None:
            return
        cx = self.complex
        planes = cx._store.planes(dim)
        ids = np.flatnonzero(self.owned(dim))
        far = cx.is_unbounded(dim) if unbounded else None
        incidence = self._incidence(dim) if vertices else None
        for start in range(0, len(ids), rows):
            part = ids[start : start + rows]
            A, a = cx.affine_maps(part) if maps else (None, None)
            points = rays = None
            if incidence is not None:
                points, rays = (_rows_of(table, part, values) for table, values in incidence)
            yield Cells(
                self.block,
                dim,
                *cx._store.to_bits(planes[part]),
                cx._store.n_bits,
                None if far is None else far[part],
                A,
                a,
                points,
                rays,
            )

    def _incidence(self, dim: int) -> list[tuple[Any, FloatArray]]:
        """Cells of a dimension times vertices, and times rays, as CSR; with their coordinates."""
        cx = self.complex
        assert cx is not None
        below = scipy.sparse.identity(cx.f_vector[0], dtype=np.bool_, format="csr")
        ray_ids, directions = cx.rays
        far = None
        for d in range(dim):
            indptr, indices = cx._store.covers_above(d)
            shape = (cx.f_vector[d], cx.f_vector[d + 1])
            step = scipy.sparse.csr_matrix((np.ones(len(indices), dtype=np.bool_), indices, indptr), shape=shape)
            below = below @ step
            if d >= 1:
                far = far @ step
            else:
                ones = np.ones(len(ray_ids), dtype=np.bool_)
                shape = (len(ray_ids), cx.f_vector[1])
                far = scipy.sparse.csr_matrix((ones, (np.arange(len(ray_ids)), ray_ids)), shape=shape)
        if far is None:
            far = scipy.sparse.csr_matrix((len(ray_ids), cx.f_vector[0]), dtype=np.bool_)
        return [(below.T.tocsr(), cx.vertices), (far.T.tocsr(), directions)]


def _rows_of(table: Any, ids: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    part = table[ids]
    part.sort_indices()
    return part.indptr.astype(np.int64), values[part.indices]


@dataclass(frozen=True)
class BlockCount:
    """What one block adds to the whole; plain numbers, so it travels between processes.

    Attributes
    ----------
    block : Block
    f_vector, bounded : tuple of int
    decisions : dict
        Signs decided by the filter, by ranks, exactly; and comparisons of heights decided exactly.
    fingerprints : dict
        Of the dimensions that were asked for.
    vertices : int
        Of the closed block, with those at infinity.
    verified : bool or None
        Whether the certificate was checked anew and held.
    seconds : float
        Wall-clock time of the engine and the job.
    extra : dict
        What a job adds, such as the files that it wrote.
    """

    __repr__ = one_line

    block: Block
    f_vector: tuple[int, ...]
    bounded: tuple[int, ...]
    decisions: dict[str, int]
    fingerprints: dict[int, tuple[int, int]]
    vertices: int
    verified: bool | None
    seconds: float
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, part: BlockComplex, *, fingerprints: Sequence[int] = (), verify: bool = False) -> BlockCount:
        """Count a block."""
        started = time.perf_counter()
        verified: bool | None = None
        if verify:
            verified = part.complex is None or part.complex.certificate.verify().ok
        return cls(
            part.block,
            part.f_vector,
            part.bounded,
            part.decisions(),
            {d: part.fingerprint(d) for d in fingerprints},
            part.n_vertices,
            verified,
            time.perf_counter() - started + part.seconds,
        )


def run_block(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    block: Block,
    domain: Polyhedron | None = None,
    *,
    room: int | None = None,
    on_degenerate: OnDegenerate = "resolve",
    budget: Budget | None = None,
    progress: ProgressLike = None,
    frame: Frame | None = None,
) -> BlockComplex:
    """Enumerate one block.

    Parameters
    ----------
    network : ReLUNetwork
    block : Block
    domain : Box or Polyhedron, optional
    room : int, optional
        Most vertices that the block may have (a face lattice: the memory of so many).
    on_degenerate : 'resolve' or 'refuse'
        As for `canonical_complex`.
    budget, progress : optional
    frame : Frame, optional
        Of this network and domain, where many blocks are run.

    Returns
    -------
    BlockComplex

    Raises
    ------
    BlockOverflow
        More vertices than ``room``; its ``children`` are the two blocks to run instead.
    BudgetExceededError
        The budget ran out.
    GenericityError
        Only with ``on_degenerate='refuse'``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.complexes.blocks.block import Block
    >>> from polyfiber.complexes.blocks.contents import run_block
    >>> net = pf.ReLUNetwork.random((2, 16, 16, 1), rng=0)
    >>> parts = [run_block(net, block).f_vector for block in Block().split(3)]
    >>> tuple(map(sum, zip(*parts))) == pf.face_counts(net)
    True
    """
    if on_degenerate not in ("resolve", "refuse"):
        raise InputError(f"on_degenerate must be 'resolve' or 'refuse', found {on_degenerate!r}")
    frame = make_frame(network, domain) if frame is None else frame
    bad = [neuron for neuron, _ in block.path if neuron >= frame.n_neurons]
    if bad:
        raise InputError(f"the path names neuron {bad[0]}; the network has {frame.n_neurons} hidden neurons")
    monitor = Monitor(budget, progress)
    if frame.n == 0:
        return _only_face(block, frame, monitor)
    if frame.bends:
        return _everywhere(block, frame, _within(room, frame, monitor, progress), room, on_degenerate)
    skeleton = Skeleton(frame, monitor, path=block.path, room=room)
    try:
        return _grown(block, frame, skeleton)
    except GenericityError:
        if on_degenerate == "refuse":
            raise
    return _grown(
        block, frame, LatticeSkeleton(frame, _within(room, frame, monitor, progress), path=block.path, room=room)
    )


def _within(room: int | None, frame: Frame, monitor: Monitor, progress: ProgressLike) -> Monitor:
    """A monitor of what time is left, and of the memory of so many vertices."""
    if room is None:
        return monitor
    rest = monitor.rest()
    return Monitor(rest.part(rest.seconds, min(rest.memory or MASK, room * 8 * row_units(frame)[-1])), progress)


def _everywhere(
    block: Block, frame: Frame, monitor: Monitor, room: int | None, on_degenerate: OnDegenerate
) -> BlockComplex:
    """A block where flat walls leave directions uncut: cut by walls that no gate reads, which are taken away again."""
    for choice in walled(frame, inflate=frame.net.margins.inflate):
        path = tuple((choice.into(neuron), sign) for neuron, sign in block.path)
        cut = LatticeSkeleton(choice.wider, monitor, path=path, room=room)
        if _grown(block, frame, cut, choice).complex is None:
            return BlockComplex(block, frame, None)
        made = choice.without_walls(cut)
        if made is None:
            continue
        if on_degenerate == "refuse":
            refuse_crowded(made)
        return BlockComplex(block, made.frame, made)
    raise AssertionError("walled ends with an error")


def _only_face(block: Block, frame: Frame, monitor: Monitor) -> BlockComplex:
    """All neurons are constant: one face, in the block with its signs."""
    part = BlockComplex(block, frame, LatticeSkeleton(frame, monitor))
    assert part.complex is not None
    own = bool(block.owns(part.complex.signs(0))[0])
    return part if own else BlockComplex(block, frame, None)


def _grown(block: Block, frame: Frame, skeleton: Skeleton, choice: Walled | None = None) -> BlockComplex:
    """``choice``: the walls that the skeleton has beside those of the frame."""
    try:
        skeleton.grow()
    except InputError as error:
        if block.path and getattr(error, "empty", False):
            return BlockComplex(block, frame, None)
        raise
    except BudgetExceededError as error:
        if skeleton.room is None or hasattr(error, "seconds"):
            raise
        children = _children(block, skeleton, choice)
        if children is None:
            raise BudgetExceededError(
                f"the block of path {block.path} needs more memory than it may take ({skeleton.room} vertices of "
                f"{bytes_of_vertex(frame)} bytes or more), and no wall that has vertices on both sides is left to split it by: "
                "give more memory, or use fewer workers",
                partial=None,
                unsplit=True,
                **error.facts,
            ) from None
        raise BlockOverflow(str(error), children=children) from None
    return BlockComplex(block, frame, skeleton)


def _children(block: Block, skeleton: Skeleton, choice: Walled | None) -> tuple[Block, Block] | None:
    """Split a block by a wall that has vertices on both sides, as evenly as can be.

    Only neurons of the first layer that is not constant in the block are flat there. A layer that was cut
    completely has vertices on both sides of every wall that cuts the block, so that its constancy is certain.
    """
    step = max(1, skeleton.nv // SAMPLED)
    return _split_by(block, skeleton, choice, step) or (_split_by(block, skeleton, choice, 1) if step > 1 else None)


def _split_by(block: Block, skeleton: Skeleton, choice: Walled | None, step: int) -> tuple[Block, Block] | None:
    """The children as a part of the vertices shows them; None where that is too little to tell."""
    frame = skeleton.frame
    into, back, walls = (int, int, ()) if choice is None else (choice.into, choice.back, choice.walls.tolist())
    planes, W, d = skeleton.planes_seen(step=step), frame.n_words, frame.n_domain
    if not len(planes):
        return None
    both = np.bitwise_or.reduce(planes, axis=0)
    positive, negative = (
        np.array([(int(both[w + (k >> 6)]) >> (k & 63)) & 1 for k in range(64 * W)], dtype=np.bool_) for w in (0, W)
    )
    decided = {k + d for k in (*(into(neuron) for neuron, _ in block.path), *walls)}
    active: list[tuple[int, ...]] = []
    for layer in range(1, len(frame.network.hidden_widths) + 1):
        low, high = int(frame.net.layers.first[layer]), int(frame.net.layers.first[layer + 1])
        ids = [k for k in range(low, high) if k in skeleton.entered and k not in decided]
        open_ = [k for k in ids if positive[k] and negative[k]]
        if open_:
            some = np.ascontiguousarray(planes[:: max(1, len(planes) // SAMPLED)])
            above = np.array([_share(some, k, 0) for k in open_])
            below = np.array([_share(some, k, W) for k in open_])
            best = int(np.argmax(np.minimum(above, below)))
            share = float((above[best] + 1e-3) / (above[best] + below[best] + 2e-3))
            return block.split(back(open_[best] - d), active=tuple(active), share=share)
        if step > 1 or len(ids) + sum(low <= k < high for k in decided) < high - low:
            return None
        active.append(tuple(back(k - d) for k in range(low, high) if positive[k] and k - d not in walls))
    return None


def _share(planes: Any, facet: int, offset: int) -> float:
    return float(((planes[:, offset + (facet >> 6)] >> np.uint64(facet & 63)) & np.uint64(1)).mean())


__all__ = ["BlockComplex", "BlockCount", "BlockOverflow", "Cells", "run_block"]
