"""Which blocks: bisection by walls of the first layer that halve a sample of the vertices.

Nothing depends on the plan but time and memory. A vertex is sampled by choosing n walls and looking for
a point on all of them by Newton's method; the floating signs there say which side of a wall it is on. Where the
sample says too little, a block turns out too large while it runs and is split then, see `run_block`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, BoolArray, FloatArray, IntArray, RngLike
from ..._values.checked import generator_of
from ...budget import Budget, heed, within_budget
from ...domain import Polyhedron
from ...errors import BudgetExceededError, InputError
from ...kernels.complexes import affine_maps as maps
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ..skeleton.arrays import Frame, expected_vertices, make_frame
from ..skeleton.layout import packed, row_units
from .block import Block

SAMPLES = 2048
STEPS = 20
MOST = 10**300
"""Expected vertices beyond this are not told apart: floats end there."""
MULTIPLICATIONS = 1 << 28
"""Of Newton's method; in many dimensions fewer vertices are tried."""
SMALLEST_ROOM = 2048
SMALLEST_BLOCK = 4096
FEWEST = 8
"""Sampled vertices below which a block is no longer split by the sample."""
CACHED = 1 << 17
"""Vertices of a block that is planned even where memory would allow more: larger ones are slower per vertex."""
RESERVE = 40_000_000
"""Bytes kept for what does not grow with a block."""
LAST = 0.25
"""Part of the vertices that several workers are given in smaller blocks, at the end."""
DEFAULT_MEMORY = 256_000_000


@dataclass(frozen=True)
class VertexSample:
    """Vertices drawn at random, about evenly.

    Attributes
    ----------
    above : (m, h1) bool
        Sides of the first layer's walls that they lie on.
    share : float
        Part of the attempts that found a vertex: the complex has about ``share * C(N + D, n)`` of them.
    """

    above: BoolArray
    share: float


def sample_vertices(frame: Frame, *, size: int = SAMPLES, rng: RngLike = 0) -> VertexSample:
    """Sample vertices by Newton's method on n walls chosen at random; those outside the domain are dropped."""
    n, D = frame.n, frame.n_domain
    total = len(frame.open)
    width = frame.network.hidden_widths[0] if frame.network.hidden_widths else 0
    if n == 0 or total < n or width == 0:
        return VertexSample(np.zeros((0, width), dtype=np.bool_), 0.0)
    generator = generator_of(rng)
    size = max(64, min(size, MULTIPLICATIONS // (STEPS * n**3)))
    picks = (
        np.argsort(generator.random((size, total)), axis=1)[:, :n]
        if total < 64 or n * n > total
        else _distinct(generator, size, total, n)
    )
    picks = frame.open[picks]
    rows = frame.given(np.arange(D + width))
    wired = frame.form is not None
    weights = [] if wired else [w.astype(np.float64) for w in frame.network.weights[1:-1]]
    biases = [] if wired else [b.astype(np.float64) for b in frame.network.biases[1:-1]]
    x = np.zeros((size, n))
    found = np.zeros(size, dtype=np.bool_)
    alive = np.arange(size)
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            heed("planning blocks")
            values, forms = (
                _wired_values_and_forms(frame, x[alive], picks[alive])
                if wired
                else _values_and_forms(x[alive], picks[alive], rows, weights, biases, D)
            )
            step = _solve(forms, values)
            size_of = 1.0 + np.abs(x[alive]).max(axis=1)
            done = np.abs(step).max(axis=1) <= 1e-9 * size_of
            found[alive[done]] = True
            x[alive] -= step
            good = np.isfinite(x[alive]).all(axis=1)
            alive = alive[good & ~done]
            if not len(alive):
                break
    x = x[found]
    given = x @ rows[:, :n].T + rows[:, n]
    inside = (given[:, :D] >= -1e-9 * (1.0 + np.abs(x).max(axis=1, initial=0.0))[:, None]).all(axis=1)
    return VertexSample(given[inside, D:] > 0, float(inside.sum()) / size)


MOST_SAMPLED = 128
"""Inputs beyond which the share of a domain is not sampled."""


def guessed_vertices(frame: Frame) -> int:
    """Vertices that a complex may have: `expected_vertices`, on a domain the part of them that a sample finds there.

    On a domain this takes about a tenth of a second. Where the sample finds nothing it is what one find would say. With
    so many inputs that few vertices can be sampled in that time it is the former.
    """
    ceiling = expected_vertices(frame)
    if frame.domain is None or ceiling <= SAMPLES or frame.n > MOST_SAMPLED:
        return ceiling
    sample = sample_vertices(frame)
    return max(1, int(ceiling * max(Fraction(sample.share), Fraction(1, SAMPLES))))


def _distinct(generator: Any, size: int, total: int, n: int) -> IntArray:
    """(size, n) numbers below total, distinct in each row: drawn again until they are, so n² must not be large."""
    picks: IntArray = generator.integers(0, total, (size, n))
    while True:
        ordered = np.sort(picks, axis=1)
        twice = np.flatnonzero((np.diff(ordered, axis=1) == 0).any(axis=1))
        if not len(twice):
            return picks
        picks[twice] = generator.integers(0, total, (len(twice), n))


def _values_and_forms(
    x: FloatArray, picks: IntArray, rows: Array, weights: list[FloatArray], biases: list[FloatArray], n_domain: int
) -> tuple[FloatArray, FloatArray]:
    """Values (m, n) and gradients (m, n, n) of the picked facets at points."""
    m, n = x.shape
    given = x @ rows[:, :n].T + rows[:, n]
    values = np.zeros((m, n))
    forms = np.zeros((m, n, n))
    direct = picks < len(rows)
    i, s = np.nonzero(direct)
    values[i, s] = given[i, picks[i, s]]
    forms[i, s] = rows[picks[i, s], :n]
    z, low = given[:, n_domain:], len(rows)
    gates = []
    for q, (w, b) in enumerate(zip(weights, biases)):
        heed("planning blocks")
        gates.append(z > 0)
        z = np.maximum(z, 0.0) @ w.T + b
        i, s = np.nonzero((picks >= low) & (picks < low + len(w)))
        position = picks[i, s] - low
        values[i, s] = z[i, position]
        row = w[position]
        for back in range(q, 0, -1):
            row = (row * gates[back][i]) @ weights[back - 1]
        forms[i, s] = (row * gates[0][i]) @ rows[n_domain:, :n]
        low += len(w)
    return values, forms


def _wired_values_and_forms(frame: Frame, x: FloatArray, picks: IntArray) -> tuple[FloatArray, FloatArray]:
    """The same for a network with a form."""
    form, net, n = frame.form, frame.net, frame.n
    assert form is not None
    rows = net.affine.rows.reshape(-1, net.stride)[:, : n + 1]
    bits = np.zeros((len(x), 64 * frame.n_words), dtype=np.bool_)
    behind: list[FloatArray] = []
    for l, reads in enumerate(form.floats.reads[:-1], start=1):
        own = rows[net.layers.first[l] : net.layers.first[l + 1]]
        z = x @ own[:, :n].T + own[:, n]
        for j, matrix in reads.items():
            z = z + behind[j - 1] @ matrix.T
        bits[:, net.layers.first[l] : net.layers.first[l + 1]] = z > 0
        behind.append(np.maximum(z, 0.0))
    forms = np.zeros((picks.size, n + 1))
    words = np.ascontiguousarray(packed(bits, frame.n_words).repeat(picks.shape[1], axis=0))
    maps.facet_forms(words, picks.ravel().astype(np.int64), net, frame.scratch, forms)
    forms = forms.reshape(*picks.shape, n + 1)
    return np.einsum("msc,mc->ms", forms[:, :, :n], x) + forms[:, :, n], forms[:, :, :n]


def _solve(forms: FloatArray, values: FloatArray) -> FloatArray:
    """Newton steps (m, n); nan where the forms are dependent."""
    try:
        step: FloatArray = np.asarray(np.linalg.solve(forms, values[:, :, None]), dtype=np.float64)[:, :, 0]
    except np.linalg.LinAlgError:
        step = np.full(values.shape, np.nan)
        regular = np.linalg.slogdet(forms)[0] != 0
        if regular.any():
            step[regular] = np.linalg.solve(forms[regular], values[regular][:, :, None])[:, :, 0]
    return step


@dataclass(frozen=True)
class BlockPlan:
    """Blocks that are a whole complex together, and how large each may become.

    Attributes
    ----------
    blocks : tuple of Block
        The largest expected ones first.
    room : int
        Vertices that a block may have before it is split.
    expected : float
        Vertices expected in the whole complex.
    """

    blocks: tuple[Block, ...]
    room: int
    expected: float


def bytes_of_vertex(frame: Frame, *, dims: tuple[int, ...] = (), lookup: bool = False, incidence: bool = False) -> int:
    """Bytes of working memory for each vertex of a block.

    Parameters
    ----------
    dims : dimensions whose faces are written
    lookup : bool
        Whether these are looked up too, as for telling which are unbounded.
    incidence : bool
        Whether the vertices of each cell are listed: this takes every dimension below.
    """
    n, W = frame.n, frame.n_words
    total = 8 * row_units(frame)[-1] + 48 + 8 * n
    kept = set(range(max(dims) + 1)) if incidence and dims else set(dims)
    for d in kept:
        face = 2 * 16 * W + 8 + (16 if lookup or incidence else 0)
        if incidence:
            face += 16 * (n - d) + 8 * 2**d + 8 * frame.network.architecture[0]
        total += math.comb(n, d) * face
    return total


def room_for(frame: Frame, memory: int | None, **use: Any) -> int:
    """Vertices that a block may have within so many bytes, 256 MB by default; ``use`` as for `bytes_of_vertex`.

    Raises
    ------
    BudgetExceededError
        Less memory than the smallest block takes.
    """
    amount = DEFAULT_MEMORY if memory is None else memory
    room = (amount - RESERVE) // bytes_of_vertex(frame, **use)
    if room < SMALLEST_ROOM:
        least = RESERVE + SMALLEST_ROOM * bytes_of_vertex(frame, **use)
        raise BudgetExceededError(
            f"{amount / 1e6:.4g} MB is too little to work in, even by blocks; the least is about {least / 1e6:.4g} MB",
            partial=None,
            needed=least,
            memory=amount,
        )
    return int(min(room, (1 << 30) >> frame.net.shift))


@within_budget
def plan_blocks(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    room: int | None = None,
    target: int | None = None,
    at_least: int = 1,
    within: Sequence[Block] = (Block(),),
    rng: RngLike = 0,
    frame: Frame | None = None,
    budget: Budget | None = None,
) -> BlockPlan:
    """Bisect the input space into blocks.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Box or Polyhedron, optional
    room : int, optional
        Most vertices of a block; by default what 256 MB hold.
    target : int, optional
        Vertices to aim at, half the room by default and at most 131072.
    at_least : int
        Blocks to aim at, so that workers end together; but none is made smaller than 4096 vertices for it. The last
        quarter of the vertices is in blocks four times smaller, for the same reason.
    within : sequence of Block
        What to divide, everything by default; what an earlier run left, for instance.
    rng : optional
        Of the sample; the same numbers give the same plan.
    budget : Budget, optional

    Returns
    -------
    BlockPlan

    Notes
    -----
    A tenth of a second for the sample. No more blocks than the sample can tell apart (about 500) are planned; the
    rest is left to splitting on the way.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.complexes.blocks.plan import plan_blocks
    >>> net = pf.ReLUNetwork.random((3, 16, 16, 1), rng=0)
    >>> len(plan_blocks(net, target=500).blocks) > 2
    True
    """
    frame = make_frame(network, domain) if frame is None else frame
    room = room_for(frame, None) if room is None else int(room)
    target = min(room // 2, CACHED) if target is None else int(target)
    if room < 1 or target < 1 or at_least < 1:
        raise InputError(f"room, target and at_least must be positive, found {room}, {target} and {at_least}")
    ceiling = float(min(expected_vertices(frame), MOST))
    if ceiling <= min(target, 20_000) and at_least == 1:
        return BlockPlan(tuple(within), room, ceiling)
    sample = sample_vertices(frame, rng=rng)
    expected = ceiling * sample.share if sample.share else ceiling
    per_row = expected / max(1, len(sample.above))
    work: list[tuple[Block, IntArray]] = []
    for block in within:
        rows = _rows_inside(block, sample.above)
        guess = per_row * len(rows) if len(rows) or block.path else expected
        work.append((replace(block, expected=guess), rows))
    expected = sum(block.expected for block, _ in work)
    target = min(target, max(SMALLEST_BLOCK, int(expected / at_least)))
    leaves = _bisected(work, target, sample.above)
    if at_least > 1:  # small ones for the end
        last: list[tuple[Block, IntArray]] = []
        while leaves and sum(block.expected for block, _ in last) < LAST * expected:
            last.append(leaves.pop())
        leaves += _bisected(last, max(SMALLEST_BLOCK, target // 4), sample.above)
    return BlockPlan(tuple(block for block, _ in leaves), room, expected)


def _bisected(work: list[tuple[Block, IntArray]], target: int, above: BoolArray) -> list[tuple[Block, IntArray]]:
    """Blocks, with the rows of a sample inside, divided until each is expected to be small enough; the largest
    first.
    """
    leaves: list[tuple[Block, IntArray]] = []
    while work:
        heed("planning blocks")
        block, rows = work.pop()
        choice = None if block.expected <= target or block.active else best_split(block, above[rows])
        if choice is None:
            leaves.append((block, rows))
            continue
        side = above[rows, choice]
        plus, minus = block.split(choice, share=float(side.mean()))
        work += [(minus, rows[~side]), (plus, rows[side])]
    leaves.sort(key=lambda leaf: -leaf[0].expected)
    return leaves


def _rows_inside(block: Block, above: BoolArray) -> IntArray:
    """Rows of a sample on the sides of the first layer's walls that a path names."""
    inside = np.ones(len(above), dtype=np.bool_)
    for neuron, sign in block.path:
        if neuron < above.shape[1]:
            inside &= above[:, neuron] == (sign > 0)
    return np.flatnonzero(inside)


def best_split(block: Block, above: BoolArray, *, fewest: int = FEWEST) -> int | None:
    """The undecided wall of the first layer that halves a sample (m, h1) best; None if it says too little."""
    if len(above) < fewest:
        return None
    balance = np.minimum(share := above.mean(axis=0), 1 - share)
    for neuron, _ in block.path:
        if neuron < len(balance):
            balance[neuron] = 0
    best = int(np.argmax(balance))
    return best if balance[best] * len(above) >= 2 else None


__all__ = ["BlockPlan", "VertexSample", "plan_blocks", "room_for", "sample_vertices"]
