"""Every command with every option, on networks that take no time: for tests of text and JSON, and for the schemas."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

import polyfiber as pf
from polyfiber.cli.app import app, main
from polyfiber.fibers.examples import hiding_example
from polyfiber.network.moves import random_trivial

SPEC = """
name = "tiny"
title = "Tiny"
description = "Three small networks."
licence = "CC0-1.0"
seed = 1

[[networks]]
name = "small"
kind = "random"
architecture = [2, 3, 1]
count = 3

[tables.complexes]
"""


@dataclass(frozen=True)
class Case:
    """Arguments (``{name}`` is a file of `files`, ``{new}`` one that is not there yet), exit codes allowed, JSON or not.

    ``own``: the text is in a format of its own, not a sentence and tables.
    """

    argv: str
    codes: tuple[int, ...] = (0,)
    json: bool = True
    optional: str = ""
    own: bool = False

    @property
    def command(self) -> str:
        """The command, with its subcommand."""
        words = self.argv.split()
        return " ".join(words[:2] if words[0] == "dataset" else words[:1])


LIMITS = "--seconds 300 --memory 4GiB"
CASES = [
    Case("info {a} --box -1,1"),
    Case(f"info {{a}} --domain -1,1 --pilots 2 {LIMITS}"),
    Case("info {gates}"),
    Case(f"complex {{a}} --domain -1,1,-2,2 --save {{new}}.npz --verify {LIMITS}"),
    Case("complex {a} --domain {poly} --plot {new}.png", optional="matplotlib"),
    Case("complex {a} --count --workers 1"),
    Case("complex {a} --stream {new} --dims all --format npz --maps --vertices"),
    Case("complex {a} --stream {cells} --format npz --resume -w 1"),
    Case("demo"),
    Case("demo --plot {new}.png", optional="matplotlib"),
    Case(f"region {{a}} --at 0.5 --domain -1,1 {LIMITS}"),
    Case(f"explore {{a}} --at 0 --at 1,1 --regions 5 --order nearest --domain -2,2 --save {{new}}.npz {LIMITS}"),
    Case(f"slice {{deep}} --axes 0,1 --origin 0 --domain -1,1 --exact {LIMITS}"),
    Case("slice {deep} --along 1,0,0;0,1,1 --box all"),
    Case("slice {deep} --plot {new}.png", optional="matplotlib"),
    Case("slice {deep} --through {points}:0 {points}:1 {points}:2 --scale 2 --level 0 --ball 0.5"),
    Case("slice {deep} --between {points}:0 {points}:1"),
    Case(f"segment {{a}} --from 0 --to 1 {LIMITS}"),
    Case("segment {a} --from -1 --to 1 --to 2,0"),
    Case(f"bounds {{a}} --domain -1,1 --method exact {LIMITS}"),
    Case("bounds {a} --domain -1,1 --at 0"),
    Case(
        f"levelset {{a}} --value 1/3 --output 1 --side below --domain -2,2 --support compactified --field 0 --save {{new}}.obj --verify {LIMITS}"
    ),
    Case("levelset {a} --domain -2,2 --plot {new}.png", optional="matplotlib"),
    Case("levelset {a} --domain -2,2 --save {new}.ply --cap below"),
    Case("boundary {a} --domain -2,2 --save {new}.ply --cap 1"),
    Case(f"boundary {{a}} --domain -2,2 --support bounded --field 2 --save {{new}}.obj --verify {LIMITS}"),
    Case("boundary {a} --domain -2,2 --plot {new}.png", optional="matplotlib"),
    Case(f"classify {{hiding}} --components 2 --sample {{new}}.npz --seed 1 --limit 64 --sign-error 1e-15 {LIMITS}"),
    Case("classify {deep} --local --bounds --domain -1,1", (0, 3)),
    Case("classify {three}", (0, 3)),
    Case("classify {gates}", (0, 3)),
    Case("classify {residual}", (3,)),
    Case("classify {residual} --domain -1,1 --local", (3,)),
    Case("minimize {gates} -o {new}.npz --domain -1,1"),
    Case("bounds {gates} --domain -1,1"),
    Case(f"minimize {{deep}} -o {{new}}.npz --epsilon 0.1 --bounds --prove --domain -1,1 {LIMITS}"),
    Case(f"minimize {{deep}} --depth --prove {LIMITS}"),
    Case("minimize {deep} --output {new}.npz --tolerance 1e-12"),
    Case(f"equiv {{a}} {{b}} --tolerance 1e-8 --verify --save {{new}}.json {LIMITS}"),
    Case("equiv {a} {c} --domain -1,1 --epsilon 0.01 --difference", (1,)),
    Case("equiv {a} {b} --domain -1,1 --epsilon 0.01 --verify --workers 2"),
    Case("equiv {a} {b} --domain -1,1 --epsilon 0.01 -w 2", json=False),
    Case("equiv {a} {c} --box -1,1 --top1", (0, 1)),
    Case(f"dedupe {{collection}} --tolerance 1e-9 --write {{new}} {LIMITS}"),
    Case("dedupe {collection} --all", json=False),
    Case(f"strata 2,2,2 --rank 1 --bias --limit 0 {LIMITS}"),
    Case("strata 2,2,2 -r 1 --plot {new}.png", optional="matplotlib"),
    Case("strata 3,3,3 --count"),
    Case("stratum {linear} --tolerance 1e-9 --noise 0 --gap 10"),
    Case("stratum {linear} --exact"),
    Case("stratum {linear} --plot {new}.png", optional="matplotlib"),
    Case(f"geodesic {{linear}} {{linear2}} --depth 2 --starts 1 {LIMITS}"),
    Case("geodesic {linear} {linear2} -N 3"),
    Case("geodesic {linear} {linear2} -N 1"),
    Case(f"critical 2,2,2 --values 2,1 --rank 1 --limit 1 {LIMITS}"),
    Case("critical 2,2,2 --target {target} -r 1"),
    Case(f"verify {{answer}} {LIMITS}"),
    Case("verify {archive}"),
    Case(
        f"report {{deep}} -o {{new}}.html --domain -1,1 --axes 0,2 --origin 0 --names a,b,c --points {{data}} {LIMITS}"
    ),
    Case("report {a} {c} --output {new}.html --box -1,1 --epsilon 0.5"),
    Case("report {linear} -o {new}.html --linear"),
    Case(f"prove {{query}} --network {{a}} {LIMITS}", (0, 1), own=True),
    Case("prove {query} --network {a} --workers 2", (0, 1), own=True),
    Case("prove {query} --network {a} -w 2", (0, 1), own=True),
    Case("dataset plan {spec} --output {new} --seconds 0.1 --pilot", optional="pyarrow"),
    Case("dataset plan {spec} -o {new} --no-pilot", optional="pyarrow"),
    Case(
        "dataset run {spec} --output {new} --folder {folder} --workers 0 --partitions 0 --redo --no-finish",
        optional="pyarrow",
    ),
    Case("dataset run {spec} -o {new} -w 0 --finish", optional="pyarrow"),
    Case("dataset finish {dataset}", optional="pyarrow"),
    Case("dataset validate {dataset} --rows 2 --redo 0 --seed 1", optional="pyarrow"),
]
ELSEWHERE = {
    "dataset run": {"--scheduler"},  # needs a Dask scheduler: tests/datasets/execution
    "equiv": {"--scheduler"},  # the same: tests/cli/test_equivalence.py
    "prove": {"--scheduler"},
    "verify": {"--row"},  # needs a dataset of pairs: tests/cli/test_verify.py
}  # fmt: skip
"""Options that other tests run, and why."""


def run(argv: str, places: dict[str, str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in this process."""
    return in_words([w.format(**places) for w in argv.split()])


def in_words(words: list[str]) -> tuple[int, str, str]:
    """The same of a command whose words are apart already."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, out.getvalue(), err.getvalue()


def files(folder: Path) -> dict[str, str]:
    """Small inputs of every kind."""
    a = pf.ReLUNetwork.random((2, 3, 2), rng=0)
    places = {"folder": str(folder)}

    def keep(name: str, net: Any) -> None:
        net.save(folder / f"{name}.npz")
        places[name] = str(folder / f"{name}.npz")

    keep("a", a)
    keep("b", random_trivial(a, rng=1)(a))
    keep("c", pf.ReLUNetwork.random((2, 3, 2), rng=3))
    keep("deep", pf.ReLUNetwork.random((3, 3, 2, 2), rng=0))
    keep("three", pf.ReLUNetwork.random((2, 3, 3, 3, 1), rng=0))
    keep("wide", pf.ReLUNetwork.random((2, 4, 3, 1), rng=0))
    keep("hiding", hiding_example((4, 3, 1, 2), hidden=1, rng=0))
    keep("gates", pf.PiecewiseLinearNetwork.from_chain(a))
    skip = pf.GateBlock({1: [[1.0, -1.0]], 0: [[0.5, 0.25]]}, [0.25])
    first = pf.GateBlock({0: [[1.0, 0.5], [-1.0, 2.0]]}, [0.0, 1.0])
    keep("residual", pf.PiecewiseLinearNetwork(2, [first, skip], pf.AffineMap({2: [[1.0]], 1: [[1.0, 1.0]]}, [0.0])))
    collection = folder / "collection"
    collection.mkdir()
    for name in "abc":
        (collection / f"{name}.npz").write_bytes(Path(places[name]).read_bytes())
    places["collection"] = str(collection)

    def arrays(name: str, **values: Any) -> None:
        np.savez(folder / f"{name}.npz", **values)
        places[name] = str(folder / f"{name}.npz")

    arrays("poly", A=np.array([[-1.0, 0], [0, -1], [1, 1]]), b=np.array([1.0, 1, 2]))
    arrays("linear", W1=np.diag([2.0, 1.0]), W2=np.eye(2))
    arrays("linear2", W1=np.diag([3.0, 1.0]), W2=np.eye(2))
    arrays("target", W1=np.diag([2.0, 1.0]))
    arrays("data", X=np.eye(3), y=np.arange(3))
    query = folder / "query.vnnlib"
    query.write_text(
        "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)"
        "(assert (<= X_0 1))(assert (>= X_0 0))(assert (<= X_1 1))(assert (>= X_1 0))(assert (>= Y_0 100))"
    )
    places["query"] = str(query)
    spec = folder / "tiny.toml"
    spec.write_text(SPEC)
    places |= {"spec": str(spec)}
    np.save(folder / "points.npy", np.eye(3))
    places["points"] = str(folder / "points.npy")
    for name, argv in (
        ("answer", "equiv {a} {c} --save {folder}/answer.json"),
        ("archive", "complex {a} --save {folder}/archive.npz"),
        ("cells", "complex {a} --stream {folder}/cells --format npz"),
        ("dataset", "dataset run {spec} -o {folder}/dataset -w 0"),
    ):
        run(argv, places)
        places[name] = argv.split()[-1].format(**places) if name in ("answer", "archive") else str(folder / name)
    return places


SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"


def validated(document: dict[str, Any], command: str) -> None:
    """A document against the schema of its command: the forms that have its keys, and the first thing wrong with each."""
    schema = json.loads((SCHEMAS / f"{command.replace(' ', '-')}.json").read_text())
    wrong = []
    for form in schema.get("anyOf", [schema]):
        errors = sorted(jsonschema.Draft202012Validator(form).iter_errors(document), key=lambda e: -len(e.path))
        if not errors:
            return
        wrong.append("; ".join(f"{'.'.join(map(str, e.path))}: {e.message[:200]}" for e in errors[:3]))
    raise AssertionError(f"{command}: " + " | ".join(wrong))


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its name, as the parser has it."""
    import typer

    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            for below, inner in command.commands.items():
                yield f"{name} {below}", inner
        else:
            yield name, command
