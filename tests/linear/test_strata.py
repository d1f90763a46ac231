"""Counting, enumerating, dimensions, covers: against golden values and slow oracles."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polyfiber as pf
from polyfiber.errors import BudgetExceededError, InputError
from polyfiber.linear import ranks as rk
from polyfiber.linear.strata import Move, enumerate_strata, stratum_of
from tests.oracles.fiber_codimension import codimension_and_top_count
from tests.oracles.posets import covers_by_definition, ranks_leq
from tests.oracles.rank_lists import dimension, multiplicities, ranks_of

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "strata.json").read_text())


def cases(top: int, layers: int) -> list[tuple[tuple[int, ...], int | None]]:
    found: list[tuple[tuple[int, ...], int | None]] = []
    for n in range(1, layers + 1):
        for d in itertools.product(range(1, top + 1), repeat=n + 1):
            found += [(d, r) for r in (None, *range(min(d) + 1))]
    return found


@pytest.mark.parametrize("key", list(GOLDEN["counts_all_ranks"]))
def test_golden_counts_over_all_ranks(key: str) -> None:
    widths = tuple(int(w) for w in key.split(","))
    expected = GOLDEN["counts_all_ranks"][key]
    assert pf.linear.count_strata(widths) == expected == len(pf.linear.stratify(widths))
    assert sum(pf.linear.count_strata(widths, rank=r) for r in range(min(widths) + 1)) == expected


@pytest.mark.parametrize("key", list(GOLDEN["counts_at_rank"]))
def test_golden_counts_at_a_rank(key: str) -> None:
    left, right = key.split("/")
    widths, rank = tuple(int(w) for w in left.split(",")), int(right)
    expected = GOLDEN["counts_at_rank"][key]
    assert pf.linear.count_strata(widths, rank=rank) == expected == len(pf.linear.stratify(widths, rank=rank))


def test_figure_4_of_the_source() -> None:
    st_ = pf.linear.stratify((4, 6, 5), rank=1)
    table = GOLDEN["figure4"]["by_rkW2_rkW1"]
    assert {f"{s.layer_ranks[1]},{s.layer_ranks[0]}": [s.dim, s.dof, s.rdof] for s in st_} == table
    edges = {(st_[a].layer_ranks, st_[b].layer_ranks) for a, b, _ in st_.covers()}
    known = {tuple(int(v) for v in k.split(","))[::-1] for k in table}
    expected = {(p, (p[0] + 1, p[1])) for p in known} | {(p, (p[0], p[1] + 1)) for p in known}
    assert edges == {(p, q) for p, q in expected if q in known}


@pytest.mark.parametrize(
    ("widths", "rank", "expected"),
    [
        ((1, 1, 1, 1), 1, {(1, 1, 1): (2, 2, 0)}),
        ((2, 1, 1), 0, {(0, 0): (0, 3, 3), (0, 1): (1, 1, 0), (1, 0): (2, 2, 0)}),
        (
            (1, 1, 1, 1),
            0,
            {
                (0, 0, 0): (0, 3, 3),
                (1, 0, 0): (1, 3, 2),
                (0, 1, 0): (1, 3, 2),
                (0, 0, 1): (1, 3, 2),
                (1, 1, 0): (2, 2, 0),
                (1, 0, 1): (2, 2, 0),
                (0, 1, 1): (2, 2, 0),
            },
        ),
    ],
    ids=["figure 1", "figure 2", "figure 3"],
)
def test_figures_1_to_3_of_the_source(widths: tuple, rank: int, expected: dict) -> None:
    s = pf.linear.stratify(widths, rank=rank)
    assert {x.layer_ranks: (x.dim, x.dof, x.rdof) for x in s} == expected
    leq = {(a.layer_ranks, b.layer_ranks) for a in s for b in s if s.strata.leq(a.id, b.id)}
    assert leq == {(a, b) for a in expected for b in expected if ranks_leq(a, b)}


def check_against_oracle(widths: tuple[int, ...], rank: int | None, covers: bool = True) -> None:
    s = pf.linear.stratify(widths, rank=rank)
    last = len(widths) - 1
    slow = {}
    for omega in multiplicities(widths, rank):
        r = ranks_of(omega, last)
        slow[tuple(r[i, k] for k, i in rk.columns(last))] = dimension(omega, widths, fiber=rank is not None)
    fast = dict(zip(map(tuple, s.ranks.tolist()), s.dim.tolist()))
    assert fast == slow
    assert len(s) == pf.linear.count_strata(widths, rank=rank)
    if not covers:
        return
    ptr, above = s.strata.covers_above
    pairs = {(i, int(j)) for i in range(len(s)) for j in above[ptr[i] : ptr[i + 1]]}
    assert pairs == covers_by_definition(s.ranks.tolist(), ranks_leq)
    assert s.maximal().tolist() == s.strata.maximal().tolist()
    assert len(s.strata.minimal()) == 1
    assert s.strata.validate().ok
    for lower, upper, move in s.covers():
        assert np.array_equal(move.apply(s.tables(lower)), s.tables(upper))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=4).map(tuple), st.data())
def test_strata_dimensions_and_covers_against_the_oracle(widths: tuple[int, ...], data: st.DataObject) -> None:
    rank = data.draw(st.one_of(st.none(), st.integers(0, min(widths))))
    check_against_oracle(widths, rank)


@pytest.mark.slow
@pytest.mark.parametrize("top_layers", [(3, 3), (2, 4)])
def test_every_small_case_against_the_oracle(top_layers: tuple[int, int]) -> None:
    for widths, rank in cases(*top_layers):
        check_against_oracle(widths, rank)


@pytest.mark.parametrize(("widths", "rank"), [((2, 2, 2, 2, 2), 1), ((1, 2, 2, 2, 1), 0), ((1,) * 6, 0)])
def test_deeper_cases_against_the_oracle(widths: tuple[int, ...], rank: int) -> None:
    check_against_oracle(widths, rank)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=5).map(tuple), st.data())
def test_codimension_and_number_of_top_strata(widths: tuple[int, ...], data: st.DataObject) -> None:
    if len(widths) < 3:
        return
    rank = data.draw(st.integers(0, min(widths)))
    s = pf.linear.stratify(widths, rank=rank)
    codim, tops = codimension_and_top_count(widths, rank)
    assert int(s.codim.min()) == codim
    assert int((s.codim == s.codim.min()).sum()) == tops


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), min_size=3, max_size=3).map(tuple), st.data())
def test_two_layer_closed_forms(widths: tuple[int, int, int], data: st.DataObject) -> None:
    d0, d1, d2 = widths
    rho = data.draw(st.integers(0, min(widths)))
    s = pf.linear.stratify(widths, rank=rho)
    assert len(s) == pf.linear.count_strata(widths, rank=rho)
    b, a = s.ranks[:, 0].astype(int), s.ranks[:, 2].astype(int)
    expected = {(x, y) for x in range(rho, d0 + 1) for y in range(rho, d2 + 1) if x + y <= d1 + rho and max(x, y) <= d1}
    assert set(zip(b.tolist(), a.tolist())) == expected
    codim = (d0 - b) * (d1 - b) + (d2 - a) * (d1 - a) + (a - rho) * (b - rho) + rho * (d0 + d2 - rho)
    assert np.array_equal(s.codim, codim)
    assert np.array_equal(d0 * d1 + d1 * d2 - s.dof, d2 * b + a * d0 - a * b)


def test_two_dimensions_of_a_stratum() -> None:
    everywhere = pf.linear.stratify((2, 3, 2))
    for s in everywhere:
        fiber = pf.linear.stratify((2, 3, 2), rank=s.rank)
        here = fiber[fiber.find(s.label)]
        assert s.dim_in_weights == here.dim_in_weights == s.dim
        assert s.dim_in_fiber == here.dim_in_fiber == here.dim
    invertible = pf.linear.locate([np.diag([1.0, 2.0]), np.diag([3.0, 1.0])])
    assert (invertible.stratum.dim_in_weights, invertible.stratum.dim_in_fiber) == (8, 4)  # open: all weights near it
    assert "of dimension 8 among all weights; its part inside one fiber, over one product, has dimension 4" in (
        invertible.sentence
    )
    biased = pf.linear.stratify((2, 2, 2), rank=2, bias=True)[0]  # and all biases; the function has those of the output
    assert (biased.dim_in_weights, biased.dim_in_fiber) == (12, 6)


def test_chunks_give_every_stratum_once_in_the_same_order() -> None:
    whole = np.concatenate([labels for labels, _ in enumerate_strata((3, 3, 3, 3), 1)])
    for chunk in (1, 7, len(whole), len(whole) + 1):
        parts = [labels for labels, _ in enumerate_strata((3, 3, 3, 3), 1, chunk=chunk)]
        assert all(len(p) == chunk for p in parts[:-1])
        assert np.array_equal(np.concatenate(parts), whole)
    assert len(np.unique(whole, axis=0)) == len(whole) == pf.linear.count_strata((3, 3, 3, 3), rank=1)


def test_counts_beyond_machine_integers_agree_with_a_recursion() -> None:
    from functools import cache

    def slow(widths: tuple[int, ...], rho: int) -> int:
        last = len(widths) - 1

        @cache
        def go(layer: int, alive: tuple[int, ...]) -> int:
            if layer == last:
                return int(alive[0] == rho)
            total = 0
            ranges = [range(rho if s == 0 else 0, n + 1) for s, n in enumerate(alive)]
            for kept in itertools.product(*ranges):
                if sum(kept) <= widths[layer + 1]:
                    total += go(layer + 1, (*kept, widths[layer + 1] - sum(kept)))
            return total

        return go(0, (widths[0],))

    for widths, rho in (((4, 4, 4, 4), 1), ((3, 5, 2, 4), 2), ((2, 3, 3, 3, 2), 0)):
        assert pf.linear.count_strata(widths, rank=rho) == slow(widths, rho)
    assert pf.linear.count_strata((300, 5, 300, 5, 300), rank=0) == pf.linear.count_strata((5, 5, 10, 5, 5), rank=0)
    assert pf.linear.count_strata((2, 9, 2, 9), rank=1) == len(pf.linear.stratify((2, 9, 2, 9), rank=1))
    # the same partition function by rows of the transposed network
    big = (40, 30, 30, 30, 41)
    assert pf.linear.count_strata(big, rank=1) == pf.linear.count_strata(big[::-1], rank=1)


def test_long_integer_counts_equal_the_machine_integer_ones() -> None:
    from polyfiber.linear.count import _sweep

    for m, top in (((3, 4, 4, 2), False), ((2, 2, 3), True), ((5, 5, 5, 5), False)):
        assert int(_sweep(m, top, np.dtype(object))[0]) == int(_sweep(m, top, np.dtype(np.int64))[0])


@pytest.mark.parametrize("q", [2, 3, 4, 5])
@pytest.mark.parametrize("widths", [(1, 1), (2, 2, 2), (2, 3, 2), (1, 2, 2, 1), (3, 3, 3), (2, 2, 2, 2), (0, 2, 1)])
def test_orbits_over_finite_fields_fill_the_space(widths: tuple[int, ...], q: int) -> None:
    s = pf.linear.stratify(widths)
    points = s.points_over(q)
    assert min(points) > 0
    assert sum(points) == q ** sum(a * b for a, b in zip(widths, widths[1:]))


def test_orbit_points_against_brute_force() -> None:
    for q, widths in ((2, (2, 2, 2)), (3, (1, 2, 1)), (2, (1, 2, 2, 1))):
        last = len(widths) - 1
        shapes = [(b, a) for a, b in zip(widths, widths[1:])]
        seen: dict[tuple[int, ...], int] = {}
        for entries in itertools.product(range(q), repeat=sum(a * b for a, b in shapes)):
            mats, at = [], 0
            for r, c in shapes:
                mats.append(np.array(entries[at : at + r * c]).reshape(r, c))
                at += r * c
            label = []
            for k, i in rk.columns(last):
                product = np.eye(widths[i], dtype=int)
                for j in range(i, k):
                    product = mats[j] @ product % q
                label.append(rank_mod(product, q))
            seen[tuple(label)] = seen.get(tuple(label), 0) + 1
        s = pf.linear.stratify(widths)
        assert dict(zip(map(tuple, s.ranks.tolist()), s.points_over(q))) == seen


def rank_mod(matrix: np.ndarray, q: int) -> int:
    rows, rank = matrix.copy() % q, 0
    for c in range(rows.shape[1]):
        pivot = next((r for r in range(rank, len(rows)) if rows[r, c]), None)
        if pivot is None:
            continue
        rows[[rank, pivot]] = rows[[pivot, rank]]
        rows[rank] = rows[rank] * pow(int(rows[rank, c]), -1, q) % q
        for r in range(len(rows)):
            if r != rank:
                rows[r] = (rows[r] - rows[r, c] * rows[rank]) % q
        rank += 1
    return rank


def test_transposition_maps_strata_to_strata() -> None:
    for widths, rank in (((2, 3, 4), 1), ((3, 2, 2, 4), 1), ((2, 3, 2), None)):
        s, t = pf.linear.stratify(widths, rank=rank), pf.linear.stratify(widths[::-1], rank=rank)
        to = t.strata.find(rk.transpose_label(s.ranks))
        assert sorted(to.tolist()) == list(range(len(s)))
        assert np.array_equal(s.dim, t.dim[to])
        assert np.array_equal(s.dof, t.dof[to])
        edges = {(int(to[a]), int(to[b])) for a, b, _ in s.covers()}
        assert edges == {(a, b) for a, b, _ in t.covers()}


def test_biases_add_the_hidden_widths() -> None:
    plain, biased = pf.linear.stratify((4, 6, 5), rank=1), pf.linear.stratify((4, 6, 5), rank=1, bias=True)
    assert (biased.dim - plain.dim).tolist() == [6] * 17
    assert np.array_equal(plain.rdof, biased.rdof)
    assert biased.strata.ambient_dim == 54 + 6 + 5
    with pytest.raises(InputError, match="needs the rank"):
        pf.linear.stratify((2, 2), bias=True)


def test_single_strata_without_a_list() -> None:
    for rank in (None, 0, 1, 2):
        s = pf.linear.stratify((2, 3, 2, 4), rank=rank)
        for x in s:
            y = stratum_of(s.widths, x.ranks, rank=rank)
            assert (x.dim, x.dof, x.rdof, x.codim) == (y.dim, y.dof, y.rdof, y.codim)
            assert s.find(x.ranks) == s.find(x.label) == x.id
            assert sum(m * (k - i + 1) for (i, k), m in x.bars.items()) == sum(s.widths)


def test_too_much_is_refused_before_it_starts() -> None:
    with pytest.raises(BudgetExceededError, match="needs about"):
        pf.linear.stratify((8,) * 5, rank=1, budget=pf.Budget(memory="1MB"))
    with pytest.raises(BudgetExceededError):
        pf.linear.stratify((30,) * 6)
    with pytest.raises(BudgetExceededError):
        pf.linear.count_strata((1000,) * 6, rank=1)
    with pytest.raises(BudgetExceededError, match="stopped"):
        pf.linear.stratify((8,) * 5, rank=1, budget=pf.Budget(seconds=0))


def test_bad_questions_are_refused() -> None:
    for call in (
        lambda: pf.linear.stratify((2, 2), rank=3),
        lambda: pf.linear.stratify((2,)),
        lambda: pf.linear.count_strata((2, 2), rank=-1),
        lambda: pf.linear.stratify((2, 2)).points_over(6),
        lambda: next(enumerate_strata((2, 2), chunk=0)),
        lambda: Move(0, 0, 2, 2),
        lambda: pf.linear.stratify((2, 2, 2), rank=1, bias=True).points_over(2),
    ):
        with pytest.raises(InputError):
            call()
    s = pf.linear.stratify((2, 2, 2), rank=1)
    assert s.find([9, 1, 1]) == -1
    assert s.find(np.diag([3, 3, 3])) == -1
    with pytest.raises(IndexError):
        s[len(s)]


def test_widths_with_zeros_and_single_layers() -> None:
    assert len(pf.linear.stratify((0, 0))) == 1
    one = pf.linear.stratify((3, 2), rank=1)
    assert (len(one), one[0].dim, one[0].dof, one[0].rdof) == (1, 0, 0, 0)
    hole = pf.linear.stratify((3, 0, 2))
    assert (len(hole), hole[0].dim) == (1, 0)


def test_networkx_edges_carry_their_moves() -> None:
    import networkx as nx

    s = pf.linear.stratify((2, 2, 2), rank=1)
    g = s.to_networkx()
    assert nx.is_directed_acyclic_graph(g)
    assert {d["kind"] for *_, d in g.edges(data=True)} <= {"swap", "connect"}
    assert all({"dim", "dof", "rdof", "label"} <= set(d) for _, d in g.nodes(data=True))


def test_pickles_come_back_the_same() -> None:
    import pickle

    s = pf.linear.stratify((2, 3, 2), rank=1, bias=True)
    again = pickle.loads(pickle.dumps(s))
    assert repr(again) == repr(s)
    assert np.array_equal(again.ranks, s.ranks)
    at = pf.linear.locate([np.eye(2)])
    assert repr(pickle.loads(pickle.dumps(at))) == repr(at)


def test_kernels_as_plain_python_give_the_same() -> None:
    from polyfiber.kernels import reach, rows
    from polyfiber.kernels.linear import rank_strata as intervals

    def plain(kernel):
        return getattr(kernel, "py_func", kernel)

    widths = np.array((2, 2, 2), np.int64)
    s = pf.linear.stratify((2, 2, 2), rank=1)
    for fixed, low in ((True, 1), (False, 0)):
        answers = []
        for fill in (intervals.fill, plain(intervals.fill)):
            labels, codim = np.zeros((20, 3), np.int16), np.zeros(20, np.int64)
            n = fill(widths, low, fixed, np.zeros((3, 3), np.int64), False, labels, codim)
            answers.append((n, labels.tolist(), codim.tolist()))
        assert answers[0] == answers[1]
    ptr, idx = (np.array(a) for a in s.strata.covers_below)
    assert np.array_equal(plain(reach.heights)(ptr, idx), reach.heights(ptr, idx))
    for a, b in zip(plain(reach.transpose)(ptr, idx, len(s)), reach.transpose(ptr, idx, len(s))):
        assert np.array_equal(a, b)
    seeds = np.array([len(s) - 1])
    assert np.array_equal(plain(reach.reach)(ptr, idx, seeds), reach.reach(ptr, idx, seeds))
    words = rows.pack_rows(np.array(s.ranks))
    assert rows.RowTable.of(words)[0].find(words).tolist() == list(range(len(s)))


def test_counts_of_deep_networks() -> None:
    for widths, rank, wanted in (
        ((2,) * 20, 0, 29544397587),
        ((2,) * 40, 0, 4364512004302539107987),
        ((1,) * 60, 0, 2**59 - 1),
        ((2,) * 20, 1, 524287),
    ):
        assert pf.linear.count_strata(widths, rank) == wanted
    with pytest.raises(BudgetExceededError):
        pf.linear.count_strata((12,) * 200, 0, budget=pf.Budget(seconds=0))


def test_both_ways_of_counting_agree() -> None:
    from polyfiber.budget import Monitor
    from polyfiber.linear.count import _by_layers, _capped, _sweep

    for last in (2, 3, 4):
        for widths in itertools.product(range(3), repeat=last + 1):
            for rank in (None, *range(min(widths) + 1)):
                shifted = _capped(tuple(w - (rank or 0) for w in widths))
                table = int(_sweep(shifted, rank is None, np.dtype(np.int64))[0])
                assert _by_layers(shifted, rank is None, Monitor()) == table
