"""Sets in the formats of other programs, asked for there: Betti numbers by gudhi, cells by TopoNetX, inequalities as texts."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.topology import exchange


def test_gudhi_finds_the_same_betti_numbers() -> None:
    gudhi = pytest.importorskip("gudhi")
    for seed in range(3):
        net = pf.ReLUNetwork.random((3, 5, 1), rng=seed)
        cx = pf.canonical_complex(net, pf.Box([-2] * 3, [2] * 3))
        for found in (cx.level_set(0.1), cx.sublevel_set(0.1), cx.breakpoint_complex().as_set()):
            if found.dimension < 0:
                continue
            tree = exchange.to_gudhi(found)
            assert isinstance(tree, gudhi.SimplexTree)
            tree.set_dimension(found.dimension)
            tree.compute_persistence(homology_coeff_field=2, persistence_dim_max=True)
            betti = [*tree.betti_numbers(), *[0] * 4][: found.dimension + 1]
            assert tuple(betti) == found.betti_numbers()


def test_toponetx_has_the_same_cells() -> None:
    toponetx = pytest.importorskip("toponetx")
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 5, 1), rng=1), pf.Box([-2] * 3, [2] * 3))
    surface = cx.level_set(0.1)
    shown = exchange.to_toponetx(surface)
    assert isinstance(shown, toponetx.CellComplex)
    assert shown.shape == surface.f_vector
    ours, theirs = surface.boundary_matrix(2).toarray(), shown.incidence_matrix(2).toarray()
    assert np.linalg.matrix_rank(theirs) == np.linalg.matrix_rank(ours)


@pytest.mark.parametrize("form", ["sage", "polymake"])
def test_texts_hold_the_exact_inequalities(form: str) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 3, 1), rng=0), pf.Box([-1, -1], [1, 1]))
    for region in range(0, cx.n_regions, 3):
        text = exchange.region_text(cx, region, form)
        opened, closed = ("(", ")") if form == "sage" else ("[", "]")
        lines = re.findall(re.escape(opened) + r"([-0-9/, ]+)" + re.escape(closed), text)
        rows = [[Fraction(v) for v in line.split(",")] for line in lines]
        assert all(len(row) == 3 for row in rows)
        p = cx.polytopes
        own = p.vertices[1][p.vertices[0][region] : p.vertices[0][region + 1]]
        corners = cx.exact_vertices(own)
        values = [[row[0] + row[1] * x + row[2] * y for row in rows] for x, y in corners]
        assert min(min(v) for v in values) == 0
        assert all(sum(v == 0 for v in column) == 2 for column in zip(*values))  # two corners on every side
        assert all(sum(v == 0 for v in row) == 2 for row in values)


def test_networkx_has_cells_and_components() -> None:
    import networkx as nx

    for seed in range(3):
        found = pf.canonical_complex(pf.ReLUNetwork.random((2, 6, 4, 1), rng=seed)).level_set(0.1)
        graph = exchange.to_networkx(found)
        assert graph.number_of_nodes() == sum(found.f_vector)
        assert nx.number_weakly_connected_components(graph) == found.connected_components()[0]
        assert sum(not b for _, b in graph.nodes(data="bounded")) == sum(
            int(found.is_unbounded(k).sum()) for k in range(found.dimension + 1)
        )
        assert all(len(graph.nodes[n]["point"]) == 2 for n in graph if n[0] == 0)


def test_unbounded_sets_are_refused() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork([[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [1]]))
    for call in (exchange.to_gudhi, exchange.to_toponetx):
        with pytest.raises((pf.errors.InputError, pf.errors.MissingDependencyError)):
            call(cx.level_set(2))
    with pytest.raises(pf.errors.InputError, match="form must be"):
        exchange.region_text(cx, 0, "cdd")


def test_rows_of_lp_files_are_short_and_another_program_reads_them(tmp_path: Path) -> None:
    """With the inputs fixed, the least and the largest value of an output are what the network says."""
    highspy = pytest.importorskip("highspy")
    net = pf.ReLUNetwork.random((8, 30, 2), rng=0)
    text = exchange.network_text(net, pf.Box([0] * 8, [1] * 8), "lp")
    assert max(map(len, text.splitlines())) <= 255 < len(max(text.split(":"), key=len))
    exchange.write_text(text, tmp_path / "n.lp")
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    assert model.readModel(str(tmp_path / "n.lp")) == highspy.HighsStatus.kOk
    columns = {name: i for i, name in enumerate(model.getLp().col_names_)}
    x = np.random.default_rng(0).uniform(0, 1, 8)
    for i, v in enumerate(x.tolist()):
        model.changeColBounds(columns[f"x{i}"], v, v)
    for o, value in enumerate(net(x[None])[0].tolist()):
        for sign in (1.0, -1.0):
            model.changeColCost(columns[f"y{o}"], sign)
            model.run()
            assert sign * model.getInfo().objective_function_value == pytest.approx(value, abs=1e-5)
            model.changeColCost(columns[f"y{o}"], 0.0)
    region = exchange.region_text(pf.canonical_complex(pf.ReLUNetwork.random((40, 2, 1), rng=0)), 0, "lp")
    assert max(map(len, region.splitlines())) <= 255 < max(map(len, region.split(":")))
