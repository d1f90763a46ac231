"""What commands print as JSON is what docs/schemas says, on networks of every kind; the schemas are closed, so drift is seen."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf

from .cases import SCHEMAS, Case, commands, run, validated

ROOT = SCHEMAS.parents[1]
DATA = ROOT / "data"
NETWORKS = {
    "head": "softmax after the last layer, folded inputs",
    "leaky": "no ReLU chain",
    "affine": "no hidden layer",
    "degenerate": "zero rows, equal rows, zero biases",
    "exact": "rationals",
    "line": "one input",
}
ASKED = [
    "info {net} --domain 0,1",
    "complex {net}",
    "complex {net} --domain 0,1 --verify",
    "complex {net} --count",
    "complex {net} --seconds 0",
    "region {net} --at 0.25",
    "region {net} --at 0.25 --domain 0,1",
    "explore {net} --regions 3",
    "segment {net} --from 0 --to 1",
    "bounds {net} --domain 0,1",
    "bounds {net} --domain 0,1 --method exact --seconds 0",
    "levelset {net} --domain 0,1",
    "levelset {net} --domain 0,1 --value 1e9 --side below",
    "classify {net}",
    "classify {net} --local --domain 0,1",
    "classify {net} --seconds 0",
    "minimize {net}",
    "minimize {net} --epsilon 0.01 --domain 0,1 --prove --seconds 1",
    "minimize {net} --seconds 0",
    "equiv {net} {net} --difference --domain 0,1 --verify --seconds 4",
    "equiv {net} {moved}",
    "equiv {net} {moved} --domain 0,1 --epsilon 1e-9",
    "equiv {net} {moved} --domain 0,1 --top1",
    "equiv {net} {moved} --seconds 0",
    "slice {net} --axes 0 --domain 0,1",
]
ALONE = [
    "boundary {head} --domain 0,1",
    "boundary {degenerate} --domain 0,1",
    "slice {wide} --domain all",
    "slice {wide} --along 1,0,0,0;0,1,1,0 --exact",
    "slice {wide} --seconds 0",
    "segment {head} --from 0 --to 1 --to 2,0",
    "classify {bottleneck} --bounds --limit 5",
    "classify {hiding} --components 3",
    "equiv {wide} {twin}",
    "equiv {head} {leaky} --domain 0,1",
    "geodesic {linear} {linear2}",
    "geodesic {linear} {linear}",
    "stratum {linear}",
    "stratum {close}",
    "critical 3,2,3 --values 2,1",
    "critical 2,2 --values 1,1",
    "strata 3,2,3 -r 1 --bias",
    "strata 2,2,2 --limit 1",
    "strata 9,9,9,9 --count",
    "strata 4,4,4,4 --seconds 0",
    "prove {query} --network {line}",
    "verify {linear_archive}",
    "verify {linear_archive} --seconds 0",
    "dedupe {folder}",
    "report {line} -o {new}.html --domain 0,1",
    "demo",
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("schemas")
    found = {
        "head": str(DATA / "iris_petals.onnx"),
        "leaky": str(DATA / "iris_petals_leaky.onnx"),
        "wide": str(DATA / "iris.onnx"),
        "twin": str(DATA / "iris.npz"),
        "bottleneck": str(DATA / "wine_bottleneck.onnx"),
    }
    small = {
        "affine": pf.ReLUNetwork([[[1.0, 2.0]]], [[0.5]]),
        "degenerate": pf.ReLUNetwork(
            [[[1, 0], [2, 0], [0, 0], [0, 1], [1, 0]], [[1, -1, 1, 0, 0], [0, 0, 0, 1, 0]], [[1, 1], [1, 0]]],
            [[0, 0, 1, 0, 0], [0, -1], [0, 0]],
        ),
        "exact": pf.ReLUNetwork([[[1, 0.5], [1, -1]], [[1, 0.25]]], [[0, -1], [0]]).exact(),
        "line": pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 2.0]]], [[0.0, 0.5], [0.0]]),
    }
    for name, net in small.items():
        net.save(folder / f"{name}.npz")
        found[name] = str(folder / f"{name}.npz")
    for name in NETWORKS:
        net = pf.read_network(found[name])
        blocks = isinstance(net, pf.PiecewiseLinearNetwork)
        moved = (
            pf.PiecewiseLinearNetwork(net.n_inputs, net.blocks, pf.AffineMap(net.output.weights, net.output.bias + 1))
            if blocks
            else pf.ReLUNetwork(net.weights, [*net.biases[:-1], net.biases[-1] + 1])
        )
        moved.save(folder / f"{name}_moved.npz")
        found[f"{name}_moved"] = str(folder / f"{name}_moved.npz")
    from polyfiber.fibers.examples import hiding_example

    hiding_example((4, 3, 1, 2), hidden=1, rng=0).save(folder / "hiding.npz")
    for name, first in (
        ("linear", [2.0, 1.0]),
        ("linear2", [3.0, 1.0]),
        ("close", [1.0, 1e-9]),
    ):
        np.savez(folder / f"{name}.npz", W1=np.diag(first), W2=np.eye(2))
    (folder / "query.vnnlib").write_text(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 0))(assert (>= Y_0 0.5))"
    )
    collection = folder / "collection"
    collection.mkdir()
    for name in ("affine", "degenerate", "line"):
        (collection / f"{name}.npz").write_bytes(Path(found[name]).read_bytes())
    run("complex {line} --save {folder}/archive.npz -q", {**found, "folder": str(folder)})
    names = ("hiding", "linear", "linear2", "close")
    return found | {name: str(folder / f"{name}.npz") for name in names} | {
        "query": str(folder / "query.vnnlib"),
        "folder": str(collection),
        "linear_archive": str(folder / "archive.npz"),
    }  # fmt: skip


def printed(argv: str, places: dict[str, str], folder: Path) -> dict[str, Any]:
    code, out, err = run(f"{argv} --json -q", {**places, "new": str(folder / "new")})
    assert code in (0, 1, 3, 4), err
    if not out:  # refused: a domain or a question that this network does not have
        assert code == 4, (argv, err)
        return {}
    document: dict[str, Any] = json.loads(out)
    validated(document, Case(argv).command)
    return document


@pytest.mark.parametrize("name", NETWORKS)
def test_documents_of_every_command_on_networks_of_every_kind(
    name: str, places: dict[str, str], tmp_path: Path
) -> None:
    here = {**places, "net": places[name], "moved": places[f"{name}_moved"]}
    found = [bool(printed(argv, here, tmp_path)) for argv in ASKED]
    assert sum(found) >= len(ASKED) - 6, [a for a, f in zip(ASKED, found) if not f]


@pytest.mark.parametrize("argv", ALONE)
def test_documents_of_single_questions(argv: str, places: dict[str, str], tmp_path: Path) -> None:
    assert printed(argv, places, tmp_path)["answer"]


def test_the_schemas_are_those_of_the_script() -> None:
    """docs/schemas is written by scripts/schemas.py, every object in it is closed or says what its keys hold."""
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "scripts" / "schemas.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    wanted = script.schemas()
    assert {f.name for f in SCHEMAS.glob("*.json")} == {*wanted, "meaning.json"}
    assert {name.removesuffix(".json") for name in wanted} == {name.replace(" ", "-") for name, _ in commands()}
    waiting: list[Any] = []
    for name, document in wanted.items():
        assert json.loads((SCHEMAS / name).read_text()) == document, f"{name}: run python scripts/schemas.py"
        waiting.append(document)
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            assert value.get("type") != "object" or "additionalProperties" in value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def test_a_foreign_key_is_seen() -> None:
    document = {"answer": "A.", "strata": 1, "widths": [1, 1], "rank": None}
    validated(document, "strata")
    for wrong in ({**document, "more": 1}, {**document, "strata": "1"}, {"answer": "A."}):
        with pytest.raises(AssertionError, match="strata"):
            validated(wrong, "strata")
