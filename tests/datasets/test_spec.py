"""Specs: every key checked, every error names its key, what was found and what was expected."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.datasets import Networks, Plan, Spec, make_plan, read_spec, run
from polyfiber.errors import FileFormatError, InputError, MissingDependencyError

GOOD: dict[str, Any] = {
    "name": "tiny",
    "seed": 7,
    "partition": 4,
    "networks": [
        {"name": "r", "kind": "random", "architecture": [[2, 4, 1], [3, 5, 4, 2]], "count": 6, "domain": [-1, 1]},
        {"name": "p", "kind": "perturbed", "of": "r", "noise": [1e-3, 1e-6], "per": 2},
        {"name": "f", "kind": "fiber", "of": "r", "moves": "trivial", "spread": 0.5},
        {"name": "l", "kind": "linear", "architecture": [3, 4, 2], "count": 3, "rank": 1},
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """`GOOD` with one entry replaced (or removed, for None)."""
    spec = copy.deepcopy(GOOD)
    place: Any = spec
    *way, last = [int(k) if k.isdigit() else k for k in path.split("/")]
    for key in way:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return spec


@pytest.mark.parametrize(
    ("path", "value", "key", "expected"),
    [
        ("name", None, "name", "short name"),
        ("seed", None, "seed", "whole number"),
        ("seed", -1, "seed", ">= 0"),
        ("seed", True, "seed", "whole number"),
        ("seed", 1.5, "seed", "whole number"),
        ("format_version", 99, "format_version", "at most 1"),
        ("colour", "blue", "colour", "one of the keys"),
        ("memory", "much", "memory", "amount of memory"),
        ("partition", 0, "partition", ">= 1"),
        ("networks", [], "networks", "at least one entry"),
        ("networks/0", 3, "networks[0]", "entry [[networks]]"),
        ("networks/0/kind", None, "networks[0].kind", "random, graphs, trained"),
        ("networks/0/kind", "best", "networks[0].kind", "'random', 'graphs', 'trained'"),
        ("networks/0/architecture", [2], "networks[0].architecture", "at least 2 entries"),
        ("networks/0/architecture", [2, 0, 1], "networks[0].architecture[1]", ">= 1"),
        ("networks/0/count", None, "networks[0].count", "number of networks"),
        ("networks/0/count", "many", "networks[0].count", "whole number"),
        ("networks/0/law", "cauchy", "networks[0].law", "'normal'"),
        ("networks/0/width", 3, "networks[0].width", "one of the keys"),
        ("networks/0/domain", [1, -1], "networks[0].domain", "lo < hi"),
        ("networks/0/domain", [[0, 0], [1]], "networks[0].domain", "one length"),
        ("networks/1/of", "q", "networks[1].of", "earlier entry ('r')"),
        ("networks/1/noise", [], "networks[1].noise", "at least 1"),
        ("networks/1/noise", [0], "networks[1].noise[0]", "> 0"),
        ("networks/1/name", "r", "networks[1].name", "no earlier entry"),
        ("networks/3/rank", -1, "networks[3].rank", ">= 0"),
        ("tables", {"rooms": {}}, "tables.rooms", "networks"),
        ("tables", {"networks": {"x": 1}}, "tables.networks.x", "no keys"),
        ("tables", {"networks": 3}, "tables.networks", "table of options"),
        ("title", "a\0b", "title", "without control characters"),
        ("title", "a\x1b[31mb", "title", "without control characters"),
        ("title", "a\ud800b", "title", "surrogates"),
        ("title", "a\nb", "title", "one line"),
        ("title", "a\u2028b", "title", "one line"),
        ("description", "\udfff", "description", "surrogates"),
        ("limitations", "\0", "limitations", "without control characters"),
        ("authors", ["a\n- b"], "authors[0]", "one line"),
        ("version", "1\n2", "version", "one line"),
        ("url", "javascript:alert(1)", "url", "https://example.org"),
        ("url", " javascript:alert(1)", "url", "https://example.org"),
        ("url", "data:text/html,x", "url", "https://example.org"),
        ("url", "https://e.org/a) [x](javascript:1)", "url", "https://example.org"),
        ("licence", "banana", "licence", "SPDX identifier"),
        ("licence", "MIT+", "licence", "MIT names no version"),
        ("licence", "(X11+ OR CC0-1.0)", "licence", "X11 names no version"),
        ("licence", "DocumentRef-a:LicenseRef-b", "licence", "without DocumentRef"),
        ("licence", "MIT\0", "licence", "without control characters"),
        ("networks/0/licence", "MIT+", "networks[0].licence", "MIT names no version"),
    ],
)
def test_errors_name_the_key(path: str, value: Any, key: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        Spec.of(changed(path, value))
    assert str(caught.value).startswith(key + ":"), str(caught.value)
    assert expected in str(caught.value)


def test_words_for_the_card_that_are_good() -> None:
    for licence in ("cc-by-4.0", "Apache-2.0+", "GPL-2.0+", "LicenseRef-mine", "(mit or apache-2.0) and CC0-1.0"):
        assert Spec.of({**GOOD, "licence": licence}).licence.lower() == licence.lower()
    words = {"title": "Σ ƒ — 複体 🙂", "citation": "@misc{a,\n\ttitle={b}}", "url": "doi:10.1000/a.b"}
    spec = Spec.of({**GOOD, **words})
    assert spec.title == words["title"]
    assert {key: spec.about[key] for key in ("citation", "url")} == {key: words[key] for key in ("citation", "url")}


def test_networks_come_from_their_own_seeds() -> None:
    spec = Spec.of(GOOD)
    assert spec.count == 6 + 6 * 4 + 6 + 3
    one, two = Networks(spec), Networks(spec)
    forward = [one.item(i) for i in range(spec.count)]
    backward = [two.item(i) for i in reversed(range(spec.count))][::-1]
    for a, b in zip(forward, backward):
        assert a.network == b.network
        assert a.rng("cells").random() == b.rng("cells").random() != a.rng("facets").random()
    assert len({item.network for item in forward}) == spec.count
    other = Networks(Spec.of(changed("seed", 8)))
    assert other.item(0).network != forward[0].network


def test_derived_networks_keep_their_promise() -> None:
    spec = Spec.of(GOOD)
    nets = Networks(spec)
    for item in nets.items(6, 30):  # perturbed
        assert item.origin == nets.item(item.origin_id).network
        size = item.provenance["noise"]
        moved = np.concatenate([np.ravel(a - b) for a, b in zip(item.network.weights, item.origin.weights)])
        assert 0 < np.abs(moved).max() < 20 * size
        assert item.domain.dimension == item.network.architecture[0]
    for item in nets.items(30, 36):  # on one fiber
        assert item.network != item.origin
        assert pf.are_equivalent(item.network, item.origin).verdict is pf.Verdict.YES
    for item in nets.items(36, 39):
        assert item.linear
        assert np.linalg.matrix_rank(item.network.weights[1] @ item.network.weights[0]) == 1


def test_fiber_kind_leaves_the_trivial_orbit() -> None:
    entry = [
        {"name": "r", "kind": "random", "architecture": [4, 3, 3, 2], "count": 12},
        {"kind": "fiber", "of": "r", "moves": "fiber"},
    ]
    nets = Networks(Spec.of({"name": "x", "seed": 3, "networks": entry}))
    kinds = set()
    for item in nets.items(12, 24):
        if item.failed:
            assert "not decided" in item.failed
            continue
        kinds.add(item.provenance["fiber"])
        assert pf.classify_fiber(item.origin).contains(item.network)
    assert len(kinds) > 1


def test_laws_have_the_stated_moments() -> None:
    for law, scale, deviation in [
        ("normal", "he", 0.5),
        ("uniform", "lecun", 8**-0.5),
        ("orthogonal", "one", 8**-0.5),
        ("integer", "one", 2.0),
    ]:
        entry = {
            "kind": "random",
            "architecture": [8, 8, 8],
            "count": 40,
            "law": law,
            "scale": scale,
            "bias": "uniform",
            "bias_scale": 0.3,
        }
        nets = Networks(Spec.of({"name": "x", "seed": 1, "networks": [entry]}))
        found = [nets.item(i).network for i in range(40)]
        weights = np.concatenate([np.ravel(w) for n in found for w in n.weights])
        biases = np.concatenate([b for n in found for b in n.biases])
        assert abs(weights.std() / deviation - 1) < 0.06, law
        assert abs(biases.std() / 0.3 - 1) < 0.1
        assert np.abs(biases).max() <= 0.3 * 3**0.5


def test_trained_networks_learn() -> None:
    pytest.importorskip("sklearn")
    entry = {"kind": "trained", "data": "iris", "hidden": [4, 3], "count": 2, "epochs": 60}
    nets = Networks(Spec.of({"name": "x", "seed": 5, "networks": [entry]}))
    scores = [nets.item(i).provenance["accuracy"] for i in range(2)]
    assert max(scores) > 0.85
    with pytest.raises(InputError, match=r"networks\[0\].data: found 'moons'"):
        Spec.of({"name": "x", "seed": 5, "networks": [{**entry, "data": "moons"}]})
    with pytest.raises(InputError, match="4 columns"):
        Spec.of({"name": "x", "seed": 5, "networks": [{**entry, "columns": [9]}]})


@pytest.mark.parametrize("classes", [True, False])
def test_training_gradients_are_right(classes: bool) -> None:
    from polyfiber.datasets.sources.training import _loss_gradient, forward, make_task

    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 40) if classes else rng.standard_normal((40, 3))
    task = make_task(rng.standard_normal((40, 3)), y)
    out = forward([rng.standard_normal((3, 3))], [np.zeros(3)], task.x)[-1]

    def loss(out: np.ndarray) -> float:
        if not classes:
            return float(np.sum((out - task.y) ** 2) / 2 / len(out))
        log = out - np.log(np.exp(out).sum(axis=1, keepdims=True))
        return float(-log[np.arange(len(out)), task.y].mean())

    step = np.zeros_like(out)
    step[3, 1] = 1e-6
    slope = (loss(out + step) - loss(out - step)) / 2e-6
    assert abs(slope - _loss_gradient(task, out, task.y)[3, 1]) < 1e-7


def test_files_of_ones_own(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    net.save(tmp_path / "a.npz")
    pf.ReLUNetwork.random((2, 3, 1), rng=1).save(tmp_path / "b.nnet")
    spec = {"name": "own", "seed": 1, "networks": [{"kind": "files", "paths": ["*.npz", "*.nnet"]}]}
    plan = make_plan(Spec.of(spec, folder=tmp_path))
    assert plan.spec.count == 2
    assert Networks(plan.spec).item(0).network == net
    document = json.loads(json.dumps(plan.to_json()))
    assert Plan.from_json(document).fingerprint == plan.fingerprint
    document["resolved"]["networks"][0]["files"][0][1] = "0" * 64
    with pytest.raises(InputError, match="another plan now"):
        Plan.from_json(document)
    pf.ReLUNetwork.random((2, 3, 1), rng=2).save(tmp_path / "a.npz")
    with pytest.raises(InputError, match="has changed since the plan"):
        Networks(plan.spec).item(0)
    with pytest.raises(InputError, match=r"networks\[0\].paths\[0\]: found 'z"):
        Spec.of({"name": "own", "seed": 1, "networks": [{"kind": "files", "paths": "z*.npz"}]}, folder=tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"PK no")
    with pytest.raises(FileFormatError, match=r"broken\.npz"):
        Spec.of(spec, folder=tmp_path)


def test_spec_files(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_text('name = "x"\nseed = 1\n[[networks]]\nkind = "random"\narchitecture = [2, 3, 1]\ncount = 2\n')
    assert read_spec(path).count == 2
    path.write_text("name = ")
    with pytest.raises(FileFormatError, match="not a TOML file"):
        read_spec(path)
    path.write_text('name = "x"\n')
    with pytest.raises(InputError, match=r"spec\.toml: seed: missing"):
        read_spec(path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_spec(tmp_path / "none.toml")


def test_extras_are_imported_where_they_are_used() -> None:
    code = (
        "import sys, polyfiber, polyfiber.datasets as d, polyfiber.datasets.tables\n"
        "d.Spec, d.run, d.load, d.validate, polyfiber.datasets.tables.table('networks')\n"
        "assert not {'pyarrow', 'dask', 'distributed', 'sklearn', 'rich', 'typer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[2])


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    plan = make_plan(Spec.of(GOOD))  # plans need no tables
    assert len(plan.partitions) == 11
    with pytest.raises(MissingDependencyError, match=r"pip install 'polyfiber\[data\]'"):
        run(GOOD, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_without_dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match=r"dask\[distributed\].*pip install 'polyfiber\[data\]'"):
        run(GOOD, tmp_path / "d", client="tcp://127.0.0.1:1")


def test_long_lines_of_derived_entries_are_refused() -> None:
    first = {"name": "n0", "kind": "random", "architecture": [1, 2, 1], "count": 1}
    more = [{"name": f"n{i}", "kind": "perturbed", "of": f"n{i - 1}", "noise": [1e-2]} for i in range(1, 60)]
    with pytest.raises(InputError, match=r"networks\[51\].of: .*49 steps"):
        Spec.of({"name": "x", "seed": 1, "networks": [first, *more]})
