"""The shared structure on both sides: sign complexes and rank strata, against definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyfiber.errors import InputError, ShapeError
from polyfiber.strata import RankOrder, SignOrder, Stratification, covers_by_rule
from tests.oracles.posets import covers_by_definition, line_arrangement, ranks_leq, signs_leq
from tests.oracles.rank_lists import dimension, intervals, multiplicities, ranks_of


def sign_side(lines: list[tuple[int, int, int]]) -> Stratification:
    faces = line_arrangement(lines)
    signs = np.array([s for _, s in faces], np.int8).reshape(len(faces), len(lines))
    return Stratification(signs, [d for d, _ in faces], order=SignOrder(), ambient_dim=2)


def rank_side(widths: tuple[int, ...], rank: int | None = None) -> Stratification:
    layers = len(widths) - 1
    total = sum(a * b for a, b in zip(widths, widths[1:]))
    rows = []
    for omega in multiplicities(widths, rank):
        r = ranks_of(omega, layers)
        rows.append(
            (dimension(omega, widths, fiber=rank is not None), [r[i, k] for i, k in intervals(layers) if i < k])
        )
    rows.sort()
    labels = np.array([r for _, r in rows], np.int16).reshape(len(rows), -1)
    return Stratification(labels, [d for d, _ in rows], order=RankOrder(), ambient_dim=total)


nonzero = st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3)).filter(lambda v: v[0] or v[1])
sign_sides = st.lists(nonzero, max_size=5).map(sign_side)
rank_sides = st.sampled_from([(2, 2), (1, 1, 1), (2, 2, 2), (2, 3, 2), (1, 2, 2, 1), (1, 1, 1, 1), (2, 1, 2, 1)]).map(
    rank_side
)
sides = st.one_of(sign_sides, rank_sides)


def pairs(s: Stratification) -> set[tuple[int, int]]:
    ptr, low = s.covers_below
    return {(int(i), j) for j in range(len(s)) for i in low[ptr[j] : ptr[j + 1]]}


@settings(deadline=None, max_examples=40)
@given(sides, st.data())
def test_queries_agree_with_the_definition(s: Stratification, data: st.DataObject) -> None:
    rows = [tuple(r) for r in s.labels.tolist()]
    leq = signs_leq if isinstance(s.order, SignOrder) else ranks_leq
    expected = covers_by_definition(rows, leq)
    assert pairs(s) == expected
    assert s.n_covers == len(expected)
    report = s.validate()
    assert report.ok, report.problems
    n = len(s)
    ids = data.draw(st.lists(st.integers(0, n - 1), max_size=4))
    closure = {i for i in range(n) for j in ids if leq(rows[i], rows[j])}
    star = {i for i in range(n) for j in ids if leq(rows[j], rows[i])}
    assert s.closure(ids).tolist() == sorted(closure)
    assert s.star(ids).tolist() == sorted(star)
    assert s.boundary(ids).tolist() == sorted(closure - set(ids))
    i, j = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n - 1))
    assert s.leq(i, j) is leq(rows[i], rows[j])
    assert s.interval(i, j).tolist() == [k for k in range(n) if leq(rows[i], rows[k]) and leq(rows[k], rows[j])]
    assert s.lower_set(j).tolist() == [k for k in range(n) if leq(rows[k], rows[j])]
    assert s.upper_set(j).tolist() == [k for k in range(n) if leq(rows[j], rows[k])]
    assert s.below(j).tolist() == sorted(a for a, b in expected if b == j)
    assert s.above(j).tolist() == sorted(b for a, b in expected if a == j)
    assert s.maximal().tolist() == [k for k in range(n) if not any(a == k for a, _ in expected)]
    assert s.minimal().tolist() == [k for k in range(n) if not any(b == k for _, b in expected)]
    assert s.find(s.labels).tolist() == list(range(n))
    assert s.find(s.labels[i]) == i


@settings(deadline=None, max_examples=40)
@given(sides, st.data())
def test_restriction_has_the_induced_covers(s: Stratification, data: st.DataObject) -> None:
    ids = data.draw(st.sets(st.integers(0, len(s) - 1)))
    part, kept = s.restrict(sorted(ids))
    assert kept.tolist() == sorted(ids)
    rows = [tuple(r) for r in s.labels[kept].tolist()]
    leq = signs_leq if isinstance(s.order, SignOrder) else ranks_leq
    assert pairs(part) == covers_by_definition(rows, leq)
    assert part.validate().ok


@settings(deadline=None, max_examples=30)
@given(sides)
def test_heights_and_gradedness(s: Stratification) -> None:
    longest: dict[int, int] = {}
    for j in range(len(s)):
        longest[j] = max((longest[int(i)] + 1 for i in s.below(j)), default=0)
    assert s.heights().tolist() == [longest[j] for j in range(len(s))]
    if s.is_graded and len(s.minimal()) == 1:
        assert all(longest[j] == longest[i] + 1 for i, j in pairs(s))


@settings(deadline=None, max_examples=30)
@given(st.lists(nonzero, max_size=5))
def test_plane_arrangements_have_euler_number_one_and_diamonds(lines: list[tuple[int, int, int]]) -> None:
    s = sign_side(lines)
    assert sum((-1) ** d * c for d, c in s.counts_by_dimension().items()) == 1
    assert s.is_graded
    for v in range(*s.of_dim(0).indices(len(s))):
        for region in s.star(v):
            if s.dim[region] == 2:
                assert len(s.interval(v, int(region))) == 4


def test_known_rank_strata() -> None:
    s = rank_side((2, 2, 2))
    assert (len(s), s.n_covers) == (10, 13)
    steps = {int(s.dim[j] - s.dim[i]) for i, j in pairs(s)}
    assert steps == {1, 2, 3}
    assert not s.is_graded
    assert len(s.minimal()) == 1
    assert s.counts_by_dimension()[0] == 1


class Chunks:
    """A label source that refuses to give more than a few rows."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows, self.shape, self.dtype = rows, rows.shape, rows.dtype

    def rows(self, ids: np.ndarray) -> np.ndarray:
        return self._rows[ids]


@pytest.mark.parametrize("lines", [[(1, 0, 0), (0, 1, 0), (1, 1, -1)], [(1, 2, 3)], []])
def test_lazy_labels_answer_as_stored_ones(lines: list[tuple[int, int, int]]) -> None:
    s = sign_side(lines)
    for labels in (Chunks(np.array(s.labels)), lambda: np.array(s.labels)):
        lazy = Stratification(labels, s.dim, order=SignOrder(), ambient_dim=2)
        assert lazy.find(s.labels).tolist() == list(range(len(s)))
        assert np.array_equal(lazy.label_rows([0]), s.labels[[0]])
        assert pairs(lazy) == pairs(s)
        assert np.array_equal(lazy.leq(0, np.arange(len(s))), s.leq(0, np.arange(len(s))))
        part, kept = lazy.restrict(np.arange(len(s))[:3])
        assert np.array_equal(part.labels, s.labels[kept])
        assert np.array_equal(lazy.labels, s.labels)


def test_covers_are_built_on_first_use_and_only_then() -> None:
    calls = []

    def covers() -> tuple[np.ndarray, np.ndarray]:
        calls.append(1)
        return np.array([0, 0, 1]), np.array([0])

    s = Stratification(np.array([[0], [1]], np.int16), [0, 2], covers, order=RankOrder(), ambient_dim=2)
    assert s.leq(0, 1)
    assert s.interval(0, 1).tolist() == [0, 1]
    assert s.find([1]) == 1
    assert not calls
    assert s.above(0).tolist() == [1]
    assert s.below(1).tolist() == [0]
    assert len(calls) == 1


def test_wide_sign_labels_and_misses() -> None:
    rng = np.random.default_rng(1)
    signs = np.unique(rng.integers(-1, 2, (500, 100)).astype(np.int8), axis=0)
    s = Stratification(signs, np.zeros(len(signs), int), order=SignOrder(), ambient_dim=100)
    assert s.find(signs).tolist() == list(range(len(signs)))
    other = signs[0].copy()
    other[99] = (other[99] + 2) % 3 - 1
    expected = np.flatnonzero((signs == other).all(axis=1))
    assert s.find(other) == (expected[0] if len(expected) else -1)
    assert s.find(np.full(100, 2)) == -1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dim": [1, 0]}, "sorted by dimension"),
        ({"dim": [0, 5]}, "do not lie in"),
        ({"dim": [0]}, "labels have shape"),
        ({"dim": [0.0, 1.0]}, "vector of integers"),
        ({"labels": np.zeros((2, 1))}, "expected integers"),
        ({"covers_below": (np.array([0, 0]), np.array([0]))}, "not a CSR pair"),
        ({"covers_below": (np.array([0, 0, 1]), np.array([7]))}, "there are 2"),
    ],
)
def test_bad_columns_are_refused(change: dict, words: str) -> None:
    good = {"labels": np.array([[0], [1]], np.int16), "dim": [0, 1], "order": RankOrder(), "ambient_dim": 2}
    with pytest.raises(InputError, match=words):
        _ = Stratification(**(good | change)).covers_below


def test_validate_finds_each_broken_promise() -> None:
    labels = np.array([[0, 0], [0, 1], [1, 1]], np.int16)

    def problems(rows: np.ndarray, covers: tuple, dim: tuple = (0, 1, 2), **more: object) -> str:
        s = Stratification(rows, list(dim), covers, order=RankOrder(), ambient_dim=3, **more)  # type: ignore[arg-type]
        report = s.validate()
        assert report.ok == (not report.problems)
        return " ".join(report.problems)

    chain = (np.array([0, 0, 1, 2]), np.array([0, 1]))
    assert problems(labels, chain) == ""
    assert "something lies between" in problems(labels, (np.array([0, 0, 1, 3]), np.array([0, 1, 0])))
    assert "walk and rule disagree" in problems(labels, (np.array([0, 0, 1, 1]), np.array([0])))
    assert "does not raise the dimension" in problems(labels, chain, (0, 1, 1))
    assert "breaks the rule" in problems(labels[[1, 0, 2]], chain)
    assert "walk and rule disagree" in problems(labels[[1, 0]], (np.array([0, 0, 0]), np.array([], int)), (0, 1))
    assert "unique" in problems(labels[[0, 1, 1]], chain)
    assert "opposite" in problems(labels, chain, covers_above=(np.array([0, 1, 1, 1]), np.array([2])))


def test_bad_questions_are_refused() -> None:
    s = sign_side([(1, 0, 0)])
    with pytest.raises(InputError, match="must lie in"):
        s.leq(0, 99)
    with pytest.raises(InputError, match="must lie in"):
        s.closure([-1])
    with pytest.raises(InputError, match="integers"):
        s.below(0.5)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="1 entry"):
        s.find([0, 0])
    with pytest.raises(InputError, match="unique"):
        Stratification(np.int16([[0], [0]]), [0, 0], order=RankOrder(), ambient_dim=1).find([0])
    with pytest.raises(InputError, match="smaller dimension"):
        covers_by_rule(Stratification(np.int16([[0], [1]]), [0, 0], order=RankOrder(), ambient_dim=1))
    assert s.closure([]).size == 0
    assert s.closure(np.array([True, False, False])).tolist() == [0]


def test_networkx_export_and_read_only_columns() -> None:
    import networkx as nx

    s = rank_side((2, 2, 2))
    g = s.to_networkx()
    assert nx.is_directed_acyclic_graph(g)
    assert nx.transitive_reduction(g).edges == g.edges
    assert set(g.edges) == pairs(s)
    assert [g.nodes[i]["dim"] for i in g] == s.dim.tolist()
    for column in (s.dim, s.labels, *s.covers_below, *s.covers_above):
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 0


def test_any_function_is_an_order() -> None:
    def divides(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (np.asarray(b) % np.asarray(a) == 0).all(axis=-1)

    s = Stratification(np.array([[1], [2], [3], [4], [6], [12]]), [0, 1, 1, 2, 2, 3], order=divides, ambient_dim=3)
    assert pairs(s) == {(0, 1), (0, 2), (1, 3), (1, 4), (2, 4), (3, 5), (4, 5)}
    assert s.is_graded
    assert s.validate().ok


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.lists(st.integers(0, 60), max_size=60), st.sampled_from([np.int8, np.int16, np.int32]))
def test_interning_rows_is_a_dictionary(k: int, picks: list[int], kind: type) -> None:
    from polyfiber.kernels.rows import RowTable, pack_rows, words_per_row

    rng = np.random.default_rng(k)
    pool = rng.integers(-1, 2, (61, k)).astype(kind)
    table = RowTable(words_per_row(k, np.dtype(kind)), capacity=2)
    known: dict[tuple[int, ...], int] = {}
    for half in (picks[::2], picks[1::2]):
        rows = pool[half] if half else pool[:0]
        expected = [known.setdefault(tuple(r), len(known)) for r in rows.tolist()]
        assert table.intern(pack_rows(rows)).tolist() == expected
    assert table.count == len(known)
    assert table.find(pack_rows(pool)).tolist() == [known.get(tuple(r), -1) for r in pool.tolist()]


def test_covers_below_are_those_above_turned_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """A structure that was given its covers upwards must not compare every pair of strata."""
    import polyfiber.strata as module

    def refuse(strata: Stratification) -> None:
        raise AssertionError("covers were given")

    monkeypatch.setattr(module, "covers_by_rule", refuse)
    signs = np.array([[0], [-1], [1]], np.int8)
    above = (np.array([0, 2, 2, 2]), np.array([1, 2]))
    s = Stratification(signs, [0, 1, 1], order=SignOrder(), ambient_dim=1, covers_above=above)
    assert s.below(1).tolist() == [0]
    assert s.covers_below[0].tolist() == [0, 0, 1, 2]
