"""Blocks: together they are the complex, each face once, whatever walls coincide."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyfiber as pf
from polyfiber.complexes.blocks.block import Block, complement
from polyfiber.complexes.blocks.contents import BlockComplex, BlockCount, BlockOverflow, run_block
from polyfiber.complexes.blocks.plan import plan_blocks, room_for
from polyfiber.complexes.blocks.run import BlockSum, run_blocks
from polyfiber.complexes.blocks.workers import Setup, WorkerPool
from polyfiber.errors import BudgetExceededError, InputError
from polyfiber.testing import Case, degenerate_corpus, generic_networks, integer_networks

CORPUS = degenerate_corpus()
pytestmark = pytest.mark.usefixtures("forked")


def itself(part: BlockComplex) -> BlockComplex:
    return part


def parts_of(net: pf.ReLUNetwork, domain: pf.Polyhedron | None, *, room: int, blocks: Any = None) -> list[BlockComplex]:
    return list(run_blocks(net, domain, [Block()] if blocks is None else blocks, itself, room=room))


def compare(net: pf.ReLUNetwork, domain: pf.Polyhedron | None, parts: list[BlockComplex]) -> None:
    """The blocks have every face of the whole complex once, and say the same of it."""
    cx = pf.canonical_complex(net, domain)
    dims = range(cx.dimension + 1)
    assert complement([p.block for p in parts], network=net) == []
    assert tuple(map(sum, zip(*(p.f_vector for p in parts)))) == cx.f_vector
    bounded = tuple(int((~cx.is_unbounded(k)).sum()) for k in dims)
    assert tuple(map(sum, zip(*(p.bounded for p in parts)))) == bounded
    for k in dims:
        sums = [sum(p.fingerprint(k)[i] for p in parts) % 2**64 for i in (0, 1)]
        assert tuple(sums) == cx.fingerprint(k)
        truth = {row.tobytes(): far for row, far in zip(cx.signs(k), cx.is_unbounded(k))}
        for part in parts:
            assert part.block.owns(part.signs(k)).all()
            for cells in part.cells(k, rows=7, unbounded=True):
                assert cells.unbounded is not None
                for row, far in zip(cells.signs, cells.unbounded):
                    assert truth.pop(row.tobytes()) == far
        assert not truth


def tree(net: pf.ReLUNetwork, neurons: list[int]) -> list[Block]:
    """A lopsided tree: split the positive child by the next neuron, and every second negative one too."""
    blocks = [Block()]
    for turn, neuron in enumerate(neurons):
        whole = blocks.pop(0)
        blocks = [*whole.split(neuron), *blocks]
        if turn % 2:
            blocks = blocks[1:] + blocks[:1]
            if any(neuron == k for k, _ in blocks[0].path):
                blocks = blocks[1:] + blocks[:1]
        while blocks and any(k in neurons[turn + 1 :] for k, _ in blocks[0].path):
            blocks = blocks[1:] + blocks[:1]
    return blocks


@pytest.mark.parametrize("widths", [(1, 7, 1), (2, 8, 6, 1), (2, 5, 7, 4, 1), (3, 7, 5, 2), (4, 7, 3, 1), (5, 3, 6, 1)])
def test_blocks_are_the_whole(widths: tuple[int, ...]) -> None:
    for seed in range(2):
        net = pf.ReLUNetwork.random(widths, rng=seed)
        compare(net, None, parts_of(net, None, room=10**6, blocks=tree(net, [2, 0, 1])))
        box = pf.Box(-0.8, 1, dimension=widths[0])
        compare(net, box, parts_of(net, box, room=10**6, blocks=tree(net, [1, 2])))


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if i % 2 else []) for i, case in enumerate(CORPUS)],
)
def test_blocks_of_the_degenerate_corpus(case: Case) -> None:
    net = case.network
    domain = None if case.domain is None else pf.Polyhedron(*case.domain)
    cx = pf.canonical_complex(net, domain)
    width = net.hidden_widths[0]
    parts = parts_of(net, domain, room=10**6, blocks=tree(net, list(range(min(3, width)))))
    assert tuple(map(sum, zip(*(p.f_vector for p in parts)))) == cx.f_vector
    for k in range(cx.dimension + 1):
        assert tuple(sum(p.fingerprint(k)[i] for p in parts) % 2**64 for i in (0, 1)) == cx.fingerprint(k)
    for part in parts:
        if part.complex is not None:
            check = part.complex.certificate.verify()
            assert check.ok, check.problems


@settings(max_examples=40, deadline=None)
@given(integer_networks(max_inputs=3, max_hidden=7), st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True))
def test_ownership_is_half_open_whatever_coincides(net: pf.ReLUNetwork, neurons: list[int]) -> None:
    chosen = [k for k in neurons if k < net.hidden_widths[0]] or [0]
    compare(net, None, parts_of(net, None, room=10**6, blocks=tree(net, chosen)))


@settings(max_examples=25, deadline=None)
@given(generic_networks(max_inputs=3, max_width=8, max_depth=3), st.booleans())
def test_splitting_on_the_way(net: pf.ReLUNetwork, boxed: bool) -> None:
    domain = pf.Box(-1, 1, dimension=net.architecture[0]) if boxed else None
    try:
        parts = parts_of(net, domain, room=64)
    except BudgetExceededError:  # one region may have more vertices than that
        return
    compare(net, domain, parts)
    assert all(p.n_vertices <= 64 for p in parts)


def test_blocks_go_on_to_later_layers() -> None:
    net = pf.ReLUNetwork.random((2, 2, 14, 9, 1), rng=3)
    parts = parts_of(net, None, room=64)
    compare(net, None, parts)
    deep = [p.block for p in parts if len(p.block.active) >= 1]
    assert deep
    for part in parts:
        polyhedron = part.block.polyhedron(net)
        assert polyhedron is not None
        if part.complex is None or not sum(part.f_vector):
            continue
        inside = part.complex.interior_points(2)[part.owned(2)]
        assert polyhedron.contains(inside).all()
        others = [q for q in parts if q is not part and q.complex is not None and q.f_vector[2]]
        for other in others:
            outside = other.complex.interior_points(2)[other.owned(2)]  # type: ignore[union-attr]
            assert not polyhedron.contains(outside).any()


def test_exact_networks_stay_exact() -> None:
    rows = [[Fraction(1, 3), Fraction(2, 7)], [Fraction(1, 5), Fraction(-1, 2)], [Fraction(2, 3), Fraction(4, 7)]]
    net = pf.ReLUNetwork(
        [np.array(rows, dtype=object), np.array([[Fraction(1), Fraction(1, 9), Fraction(-1)]], dtype=object)],
        [np.array([Fraction(1, 7), Fraction(0), Fraction(2, 7)], dtype=object), np.array([Fraction(0)], dtype=object)],
    )
    compare(net, None, parts_of(net, None, room=10**6, blocks=tree(net, [2, 1])))
    polyhedron = Block(((0, -1),)).polyhedron(net)
    assert polyhedron is not None
    assert polyhedron.A.tolist() == [[Fraction(1, 3), Fraction(2, 7)]]


def test_a_path_that_reaches_nothing() -> None:
    net = pf.ReLUNetwork([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0, 1.0]]], [[0.0, 1.0, 0.0], [0.0]])
    part = run_block(net, Block(((0, 1), (1, -1))))  # x >= 0 and x <= -1
    assert part.f_vector == part.bounded == (0, 0, 0)
    assert part.complex is None
    assert list(part.cells()) == []
    assert part.fingerprint(2) == (0, 0)
    twice = pf.ReLUNetwork([[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0, 1.0]]], [[0.0, 0.0, 0.0], [0.0]])
    flat = run_block(twice, Block(((0, 1), (1, -1))))  # the wall only, which the other side owns
    assert flat.f_vector == (0, 0, 0)


def test_a_block_says_that_it_is_one(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 6, 1), rng=0)
    cx = run_block(net, Block(((0, 1),))).complex
    assert cx is not None
    assert "a closed block" in repr(cx)
    assert "complete" in repr(pf.canonical_complex(net))
    with pytest.raises(InputError, match="whole complexes"):
        cx.save(tmp_path / "block.npz")
    assert not list(tmp_path.iterdir())


def test_a_network_without_walls() -> None:
    net = pf.ReLUNetwork([[[0.0, 0.0]], [[1.0]]], [[1.0], [0.0]])
    assert [run_block(net, b).f_vector for b in Block().split(0)] == [(1,), (0,)]
    assert pf.count_blocks(net).f_vector == (1,)


def test_no_hidden_neurons() -> None:
    net = pf.ReLUNetwork.random((2, 1), rng=0)
    assert [cells.signs.shape for cells in pf.iter_cells(net)] == [(1, 0)]
    box = pf.Box(-1, 1, dimension=2)
    assert pf.count_blocks(net, box).f_vector == (4, 4, 1)


def test_vertices_and_maps_of_cells() -> None:
    net = pf.ReLUNetwork.random((3, 7, 5, 2), rng=1)
    cx = pf.canonical_complex(net)
    index = {row.tobytes(): i for i, row in enumerate(cx.signs(3))}
    seen = 0
    blocks = plan_blocks(net, room=10**6, target=100).blocks
    assert len(blocks) > 1
    for cells in pf.iter_cells(net, maps=True, vertices=True, rows=50, blocks=blocks):
        assert cells.vertices is not None
        assert cells.rays is not None
        assert cells.A is not None
        assert len(cells) <= 50
        for i, row in enumerate(cells.signs):
            r = index.pop(row.tobytes())
            v = cx.v_representation(r)
            for (indptr, points), truth in ((cells.vertices, v.vertices), (cells.rays, v.rays)):
                mine = points[indptr[i] : indptr[i + 1]]
                assert np.allclose(mine[np.lexsort(mine.T)], truth[np.lexsort(truth.T)], atol=1e-6)
            A, a = cx.affine_maps([r])
            assert np.allclose(cells.A[i], A[0])
            assert cells.a is not None
            assert np.allclose(cells.a[i], a[0])
            seen += 1
    assert seen == cx.n_regions
    assert not index
    edges = sum(len(c) for c in pf.iter_cells(net, dim=1, vertices=True, blocks=blocks))
    assert edges == cx.f_vector[1]


def test_tasks_travel_as_json() -> None:
    net = pf.ReLUNetwork.random((2, 2, 14, 9, 1), rng=3)
    parts = parts_of(net, None, room=64)
    again = [Block.from_dict(json.loads(json.dumps(p.block.to_dict()))) for p in parts]
    assert [b.path for b in again] == [p.block.path for p in parts]
    assert [b.active for b in again] == [p.block.active for p in parts]
    assert len({b.key for b in again}) == len(parts)
    replayed = [run_block(net, b) for b in again]
    assert [r.f_vector for r in replayed] == [p.f_vector for p in parts]
    assert [r.fingerprint(2) for r in replayed] == [p.fingerprint(2) for p in parts]
    for bad in ({}, {"path": [[1]]}, {"path": [[1, 2]]}, {"path": [[1, 1], [1, -1]]}, [3], {"path": [[-1, 1]]}):
        with pytest.raises(InputError):
            Block.from_dict(bad)


def test_what_is_missing() -> None:
    net = pf.ReLUNetwork.random((2, 2, 14, 9, 1), rng=3)
    parts = parts_of(net, None, room=64)
    whole = [p.block for p in parts]
    for i in range(len(whole)):
        missing = complement(whole[:i] + whole[i + 1 :], network=net)
        assert missing == [whole[i]]
        assert missing[0].active == whole[i].active
    some = whole[::3]
    rest = parts_of(net, None, room=64, blocks=complement(some, network=net))
    compare(net, None, parts[::3] + rest)
    assert complement([], network=net) == [Block()]
    with pytest.raises(InputError, match="twice"):
        complement([Block(((0, 1),)), Block(((0, 1),))], network=net)
    with pytest.raises(InputError, match="twice"):
        complement([Block(((0, 1),)), Block(((0, 1), (1, 1)))], network=net)
    with pytest.raises(InputError, match="different neurons"):
        complement([Block(((0, 1),)), Block(((1, 1),))], network=net)


def test_counting_by_blocks() -> None:
    net = pf.ReLUNetwork.random((3, 14, 12, 1), rng=5)
    cx = pf.canonical_complex(net)
    blocks = plan_blocks(net, room=10**5, target=150).blocks
    assert len(blocks) > 8
    total = pf.count_blocks(net, fingerprints=[0, 1, 2, 3], verify=True, blocks=blocks)
    assert total.complete
    assert total.verified
    assert total.f_vector == cx.f_vector
    assert total.fingerprints == {k: cx.fingerprint(k) for k in range(4)}
    assert total.bounded == tuple(int((~cx.is_unbounded(k)).sum()) for k in range(4))
    assert total.decisions["filtered"] > 0
    assert len(total.blocks) == len(blocks)


@pytest.mark.slow
def test_face_counts_by_blocks_where_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    net = pf.ReLUNetwork.random((3, 60, 60, 1), rng=0)
    whole = pf.face_counts(net)
    phases: list[str] = []
    budget = pf.Budget(memory="41.5MB")
    assert pf.face_counts(net, budget=budget, progress=lambda event: phases.append(event.phase)) == whole
    assert set(phases) == {"blocks"}
    assert len(phases) > 10
    monkeypatch.setattr("polyfiber.complexes.build.LARGE", 1000)
    phases.clear()
    assert pf.face_counts(net, progress=lambda event: phases.append(event.phase)) == whole
    assert set(phases) == {"blocks"}
    with pytest.raises(BudgetExceededError, match="too little"):
        pf.face_counts(net, budget=pf.Budget(memory="20MB"))


def test_a_partial_result_says_what_it_covers() -> None:
    net = pf.ReLUNetwork.random((3, 14, 12, 1), rng=5)
    blocks = plan_blocks(net, room=10**5, target=150).blocks
    with pytest.raises(BudgetExceededError) as stopped:
        pf.count_blocks(net, blocks=blocks, budget=pf.Budget(seconds=0))
    part = stopped.value.partial
    assert isinstance(part, BlockSum)
    assert not part.complete
    assert part.remaining == (Block(),)
    first = pf.count_blocks(net, blocks=blocks[:5])
    assert not first.complete
    assert len(first.remaining) >= 1
    second = pf.count_blocks(net, blocks=first.remaining)
    assert tuple(a + b for a, b in zip(first.f_vector, second.f_vector)) == pf.face_counts(net)


def test_an_interrupted_count_keeps_what_was_done() -> None:
    net = pf.ReLUNetwork.random((3, 14, 12, 1), rng=5)
    blocks = plan_blocks(net, room=10**5, target=150).blocks

    def stop(event: Any) -> None:
        if event.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        pf.count_blocks(net, blocks=blocks, progress=stop)
    assert len(stopped.value.partial.blocks) == 3  # type: ignore[attr-defined]


def test_two_workers_agree_with_one() -> None:
    net = pf.ReLUNetwork.random((3, 14, 12, 1), rng=5)
    blocks = plan_blocks(net, room=10**5, target=150).blocks
    one = pf.count_blocks(net, fingerprints=[3])
    two = pf.count_blocks(net, fingerprints=[3], workers=2, blocks=blocks)
    assert (two.f_vector, two.bounded, two.fingerprints) == (one.f_vector, one.bounded, one.fingerprints)
    assert len(two.blocks) > 4
    with pytest.raises(BudgetExceededError) as stopped:
        pf.count_blocks(net, workers=2, blocks=blocks, budget=pf.Budget(seconds=0.01))
    assert not stopped.value.partial.complete


def test_an_error_in_a_worker_comes_back() -> None:
    lines = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]]
    net = pf.ReLUNetwork([lines, [[1.0] * 4]], [[0.0] * 4, [0.0]])
    setup = Setup.of(net, None, itself, room=10**6, on_degenerate="refuse")
    with WorkerPool(setup, 1) as pool:
        pool.give(0, Block(((0, 1),)), None)
        while not (answers := pool.wait(60)):
            pass
    block, kind, error = answers[0]
    assert block == Block(((0, 1),))
    assert kind == "error"
    assert isinstance(error, pf.errors.GenericityError)
    assert error.facets
    with pytest.raises(pf.errors.GenericityError):
        pf.count_blocks(net, workers=2, blocks=Block().split(0), on_degenerate="refuse")


def test_bad_arguments() -> None:
    net = pf.ReLUNetwork.random((2, 6, 1), rng=0)
    with pytest.raises(BudgetExceededError, match="too little"):
        pf.count_blocks(net, budget=pf.Budget(memory="1MB"))
    with pytest.raises(InputError, match="workers"):
        pf.count_blocks(net, workers=0)
    with pytest.raises(InputError, match="dimension"):
        list(pf.iter_cells(net, dim=3))
    with pytest.raises(InputError, match="fingerprints"):
        pf.count_blocks(net, fingerprints=[7])
    with pytest.raises(InputError, match="neuron 9"):
        run_block(net, Block(((9, 1),)))
    with pytest.raises(InputError, match="regions"):
        next(run_block(net, Block()).cells(1, maps=True))
    with pytest.raises(InputError, match="on_degenerate"):
        run_block(net, Block(), on_degenerate="guess")
    with pytest.raises(BlockOverflow) as overflow:
        run_block(pf.ReLUNetwork.random((2, 16, 16, 1), rng=0), Block(), room=100)
    assert [b.path[0][1] for b in overflow.value.children] == [1, -1]


def test_room_grows_with_memory_and_shrinks_with_use() -> None:
    from polyfiber.complexes.skeleton.arrays import make_frame

    frame = make_frame(pf.ReLUNetwork.random((3, 40, 40, 1), rng=0), None)
    small, large = room_for(frame, 10**8), room_for(frame, 3 * 10**8)
    assert small < large
    assert room_for(frame, 3 * 10**8, dims=(3,)) < large
    assert room_for(frame, 3 * 10**8, dims=(3,), incidence=True) < room_for(frame, 3 * 10**8, dims=(3,))


def test_a_region_that_no_wall_splits() -> None:
    """It may take more than a block where that is allowed; else the error says what would help."""
    net = pf.ReLUNetwork([np.eye(8)[:2], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    box = pf.Box(-1, 1, dimension=8)
    whole = list(run_blocks(net, box, [Block()], BlockCount.of, room=200, most=10**5))
    assert tuple(map(sum, zip(*(count.f_vector for count in whole)))) == pf.face_counts(net, box)
    with pytest.raises(BudgetExceededError, match=r"no wall .* give more memory"):
        list(run_blocks(net, box, [Block()], BlockCount.of, room=200))
    with pytest.raises(BudgetExceededError, match="give more memory") as stopped:
        pf.count_blocks(
            pf.ReLUNetwork([np.eye(15)[:1], [[1.0]]], [[0.0], [0.0]]),
            pf.Box(-1, 1, dimension=15),
            budget=pf.Budget(memory="50MB"),
        )
    assert not stopped.value.partial.complete
