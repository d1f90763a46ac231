"""Walks over relations in compressed rows against networkx and plain recursion."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from polyfiber.kernels import reach as module


def relation(seed: int, n: int = 12) -> tuple[nx.DiGraph, np.ndarray, np.ndarray]:
    """Edges to smaller numbers alone."""
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((i, j) for i in range(n) for j in range(i) if rng.random() < 0.25)
    return graph, *csr(graph)


def csr(graph: nx.DiGraph) -> tuple[np.ndarray, np.ndarray]:
    rows = [sorted(graph.successors(i)) for i in range(len(graph))]
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    return indptr, np.array([c for r in rows for c in r], dtype=np.int32)


@pytest.mark.parametrize("seed", range(4))
def test_reach_heights_and_transposes(seed: int) -> None:
    graph, indptr, indices = relation(seed)
    for start in range(len(graph)):
        seen = module.reach(indptr, indices, np.array([start, start], dtype=np.int64))
        assert set(np.flatnonzero(seen)) == nx.descendants(graph, start) | {start}
    height: list[int] = []
    for i in range(len(graph)):
        height.append(1 + max((height[j] for j in graph.successors(i)), default=-1))
    assert module.heights(indptr, indices).tolist() == height
    back, members = module.transpose(indptr, indices, len(graph))
    other = csr(graph.reverse())
    assert back.tolist() == other[0].tolist()
    assert members.tolist() == other[1].tolist()


def test_members_are_listed_in_their_order() -> None:
    owners, members = np.array([2, 0, 2, 1, 2]), np.array([5, 7, 3, 9, 4])
    pointers, found = module.listed(owners, members, 4)
    assert pointers.tolist() == [0, 1, 2, 5, 5]
    assert found.tolist() == [7, 9, 5, 3, 4]


@pytest.mark.parametrize("seed", range(4))
def test_shortcuts_are_edges_that_another_walk_realises(seed: int) -> None:
    graph, indptr, indices = relation(seed)
    reduced = nx.transitive_reduction(graph)
    row, column = module.has_shortcut(indptr, indices)
    if graph.number_of_edges() == reduced.number_of_edges():
        assert (row, column) == (-1, -1)
    else:
        assert graph.has_edge(row, column)
        assert not reduced.has_edge(row, column)
    assert module.has_shortcut(*csr(reduced)) == (-1, -1)


@pytest.mark.parametrize("seed", range(4))
def test_kept_elements_under_kept_ones(seed: int) -> None:
    graph, indptr, indices = relation(seed)
    rng = np.random.default_rng(seed + 100)
    keep = rng.random(len(graph)) < 0.6
    new_id = np.cumsum(keep) - 1
    pointers, found, dirty = module.first_kept_below(indptr, indices, keep, new_id)
    for row, i in enumerate(np.flatnonzero(keep)):
        through = graph.subgraph([*np.flatnonzero(~keep), i]).copy()
        dropped = {i} | nx.descendants(through, i)
        expected = {int(new_id[c]) for k in dropped for c in graph.successors(k) if keep[c]}
        assert sorted(found[pointers[row] : pointers[row + 1]].tolist()) == sorted(expected)
        assert dirty[row] == any(not keep[c] for c in graph.successors(i))


def test_a_rank_function_rises_by_one_along_covers_or_does_not_exist() -> None:
    square = nx.DiGraph()
    square.add_nodes_from(range(5))  # the last stands apart
    square.add_edges_from([(3, 1), (3, 2), (1, 0), (2, 0)])
    below, above = csr(square), csr(square.reverse())
    exists, value = module.rank_function(*below, *above)
    assert exists
    assert value.tolist() == [0, 1, 1, 2, 0]
    pentagon = nx.DiGraph([(4, 3), (3, 1), (1, 0), (4, 2), (2, 0)])
    ordered = nx.DiGraph()
    ordered.add_nodes_from(range(5))
    ordered.add_edges_from(pentagon.edges)
    assert not module.rank_function(*csr(ordered), *csr(ordered.reverse()))[0]
