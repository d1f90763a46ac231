"""Every command is run with every option, and its text says what its JSON says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes import certificate
from polyfiber.equivalence.minimize import MinimizeResult
from polyfiber.errors import InputError
from polyfiber.verdict import Verdict

from .cases import CASES, ELSEWHERE, SCHEMAS, Case, commands, files, run, validated

EVERYWHERE = {"--json", "--quiet", "-q", "--help"}
DECIDES = re.compile(r"--[a-z]|Next: |more seconds|larger budget|run again")
"""What an open answer names: an option, a budget or another question."""
REPR = re.compile(
    r"\b(True|False|None|nan)\b|array\(|\b[A-Z]\w{3,}\(|\bnp\.|object at 0x|Verdict\.|polyfiber\.\w+\.\w+"
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return files(tmp_path_factory.mktemp("cases"))


def numbers(value: Any) -> list[float]:
    """All numbers of a document, those in its texts too."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [float(value)]
    if isinstance(value, str):
        return [float(x) for x in re.findall(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", value)]
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    counted = [float(i) for i in range(len(value) + 1)]  # lists are counted, and their entries numbered
    return [x for part in parts for x in numbers(part)] + counted


def agrees(text: str, known: list[float]) -> bool:
    """Whether a printed number is one of the document, rounded as it is printed."""
    shown = float(text)
    digits = len(re.sub(r"e.*|[.]|^0+", "", text).lstrip("0")) or 1
    return any(abs(shown - abs(k)) <= 0.51 * 10.0 ** (1 - digits) * max(abs(shown), 1e-300) for k in known)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.argv.split("{", 1)[0] + str(CASES.index(c)))
def test_text_and_json_agree(case: Case, places: dict[str, str], tmp_path: Path) -> None:
    if case.optional and importlib.util.find_spec(case.optional) is None:
        pytest.skip(f"{case.optional} is not installed")
    code, text, err = run(f"{case.argv} -q", {**places, "new": str(tmp_path / "text")})
    assert code in case.codes, err
    assert not err or case.command.startswith("dataset"), f"--quiet, yet: {err}"
    sentence = text.splitlines()[0]
    if case.own:
        code, out, _ = run(f"{case.argv} --json -q", {**places, "new": str(tmp_path / "json")})
        assert json.loads(out)["status"] == sentence
        validated(json.loads(out), case.command)
        return
    assert sentence[0].isupper() or sentence[0] in "/0123456789"
    assert re.search(r"[.:]$|\.onnx$|\.npz$|plan\.$", sentence) or "Next:" in sentence, sentence
    assert len(sentence) > 20
    assert code != 3 or DECIDES.search(sentence), sentence
    assert not REPR.search(text), REPR.search(text)
    if not case.json:
        return
    again, out, err = run(f"{case.argv} --json --quiet", {**places, "new": str(tmp_path / "json")})
    assert again == code, err
    document = json.loads(out)
    same = re.sub(r"\S*/(text|json)\S*|\d[\d.e+-]* (core seconds|MB|s)\b", "…", sentence)
    assert same == re.sub(r"\S*/(text|json)\S*|\d[\d.e+-]* (core seconds|MB|s)\b", "…", document["answer"])
    known = numbers(document)
    known += [k / 1e6 for k in known]  # bytes are printed as megabytes
    for line in text.splitlines()[1:]:
        if re.search(r"second|\bs\b|MB|\bper\b", line) or line.startswith("#"):
            continue
        for found in re.findall(r"(?<![\w./-])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w/])", line):
            timed = case.command == "dataset plan" and "." in found  # a pilot measures again at every run
            assert timed or agrees(found, known), f"{found} of {line!r} is not in the JSON"
    validated(document, case.command)


def test_every_option_is_run() -> None:
    """Options of commands that no case has: add a case to tests/cli/cases.py."""
    for name, command in commands():
        words = {w for c in CASES if c.command == name for w in c.argv.split()}
        assert words, f"no case runs the command {name}"
        for option in command.params:
            flags = {*option.opts, *option.secondary_opts} - EVERYWHERE
            if option.param_type_name == "option" and flags and not flags & ELSEWHERE.get(name, set()):
                assert flags & words, f"no case runs {name} {'/'.join(sorted(flags))}"


def test_help_is_made_of_sentences() -> None:
    for name, command in commands():
        first = (command.help or "").strip().split("\n\n")[0]
        assert first.endswith("."), f"{name}: {first}"
        assert first[0].isupper(), name
        for option in command.params:
            if option.name != "context_":
                text = getattr(option, "help", None) or ""
                assert text.endswith("."), f"{name} {option.name}: {text!r}"
                assert text[0].isupper(), f"{name} {option.name}: {text!r}"


def test_the_list_of_commands_is_made_of_sentences(places: dict[str, str]) -> None:
    text = run("--help", places)[1].split("Commands:")[1]
    for entry in re.split(r"\n  (?=[a-z])", text.strip()):
        sentence = " ".join(entry.split()[1:])
        assert re.fullmatch(r"[A-Z][^.]+[.?]", sentence), sentence


def test_domains_have_one_grammar(places: dict[str, str]) -> None:
    """Every command that asks where has both names of the option, and refuses the same texts."""
    with_domain = [name for name, c in commands() if any("--domain" in p.opts for p in c.params)]
    assert len(with_domain) >= 10
    for name, command in commands():
        if name in with_domain:
            assert any({"--domain", "--box"} <= set(p.opts) for p in command.params), name
            more = " {b}" if name == "equiv" else ""
            for wrong in ("a,b", "1,2,3", "1,-1", "inf,inf", ","):
                code, out, err = run(f"{name} {{a}}{more} --domain {wrong} -q", places)
                assert (code, out) == (2, ""), (name, wrong, err)
            if name not in ("slice",):
                assert run(f"{name} {{a}}{more} --domain 1,2,3,4,5,6 -q", places)[0] == 4, name


def test_exit_codes(places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each code of the help, once: 130 and 141 are in test_exits."""
    here = {**places, "new": str(tmp_path / "x")}
    for argv, code in (
        ("equiv {a} {b} -q", 0),
        ("equiv {a} {c} -q", 1),
        ("complex {a} --dims 1", 2),
        ("explore {a} --order best", 2),
        ("complex {a} --seconds 0 -q", 3),
        ("classify {wide} -q", 3),
        ("complex {folder}/absent.npz -q", 4),
        ("complex {spec} -q", 4),
    ):
        assert run(argv, here)[0] == code, argv
    monkeypatch.setattr("polyfiber.complexes.build.canonical_complex", lambda *a, **k: 1 / 0)
    assert run("complex {a} -q", here)[0] == 70


def test_help_and_completion_import_no_numpy() -> None:
    code = "import sys; sys.argv = ['polyfiber', 'complex', '--help']; import runpy\ntry:\n    runpy.run_module('polyfiber', run_name='__main__')\nfinally:\n    print('numpy' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.strip() == "False"
    shell = {
        **os.environ,
        "_POLYFIBER_COMPLETE": "complete_bash",
        "COMP_WORDS": "polyfiber explore --ord",
        "COMP_CWORD": "2",
    }
    program = "import sys; sys.argv = ['polyfiber']; from polyfiber.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=shell, check=False)
    assert "--order" in done.stdout


ENDS = [
    ("info {a} --pilots 2 --seconds 0", 3),
    ("classify {wide}", 3),
    ("classify {leaky} --components 1", 4),
    ("minimize {near} --epsilon 0.5 --prove --domain -1,1 --seconds 0", 3),
    ("equiv {a} {b}", 0),
    ("equiv {a} {c}", 1),
    ("equiv {a} {c} --domain -1,1 --epsilon 2.2 --seconds 0", 3),
    ("dedupe {collection} --seconds 0", 3),
    ("dedupe {broken}", 4),
    ("stratum {close}", 3),
    ("explore {a} --at 0 --seconds 0", 3),
    ("bounds {deep} --domain -1,1 --method exact --seconds 0", 3),
    ("report {a} -o {new}.html --seconds 0", 3),
    ("verify {archive}", 0),
    ("verify {tampered}", 1),
    ("verify {archive} --seconds 0", 3),
    ("prove {query} --network {a}", 0),
    ("prove {some} --network {a}", 1),
    ("prove {hard} --network {larger} --seconds 0", 3),
    ("dataset finish {planned}", 3),
    ("dataset validate {dataset}", 0),
    ("dataset validate {falsified}", 1),
]
"""An ending for each exit code that the help of a command names."""
FORCED = {
    "complex 1": "complex {a} --verify",
    "minimize 1": "minimize {a} --prove",
    "report 1": "report {a} -o {new}.html",
    "dataset run 3": "dataset run {spec} -o {new} -w 0",
}
"""Endings that nobody should see: a certificate or a proof that does not hold, a partition that fails."""


@pytest.fixture(scope="module")
def ends(places: dict[str, str]) -> dict[str, str]:
    """More files, for the endings."""
    folder = Path(places["folder"]) / "ends"
    folder.mkdir()
    near = [[[1.0, 0], [1.0, 0.01], [0, 1]], [[1.0, 1, 1], [0, 1, 2]], [[1.0, 1]]]
    pf.ReLUNetwork(near, [[0.0, 0, 1], [0.0, 1], [0.0]]).save(folder / "near.npz")
    larger = pf.ReLUNetwork.random((3, 16, 16, 16, 1), rng=0)
    larger.save(folder / "larger.npz")
    most = larger(np.random.default_rng(0).uniform(-3, 3, (20000, 3))).max()  # nearly: a proof needs hundreds of boxes
    text = "".join(f"(declare-const X_{i} Real)(assert (<= X_{i} 3))(assert (>= X_{i} -3))" for i in range(3))
    (folder / "hard.vnnlib").write_text(f"{text}(declare-const Y_0 Real)(assert (>= Y_0 {most + 0.2}))")
    np.savez(folder / "close.npz", W1=np.diag([1.0, 1e-9]), W2=np.eye(2))
    some = folder / "some.vnnlib"
    some.write_text(Path(places["query"]).read_text().replace("(>= Y_0 100)", "(<= Y_0 100)"))
    broken = folder / "broken"
    broken.mkdir()
    (broken / "a.npz").write_bytes(Path(places["a"]).read_bytes())
    (broken / "b.npz").write_bytes(b"PK")
    with np.load(places["archive"]) as held:
        arrays = dict(held)
    name = next(n for n, v in arrays.items() if v.dtype == np.float64 and v.size > 4)
    arrays[name] = arrays[name] + 1.0
    np.savez(folder / "tampered.npz", **arrays)
    if importlib.util.find_spec("pyarrow") is not None:
        run("dataset plan {spec} -o {folder}/planned --no-pilot", {**places, "folder": str(folder)})
        shutil.copytree(places["dataset"], folder / "falsified")
        part = next((folder / "falsified").rglob("*.parquet"))
        part.write_bytes(part.read_bytes()[:-1])
    names = (
        "near.npz",
        "larger.npz",
        "hard.vnnlib",
        "close.npz",
        "some.vnnlib",
        "broken",
        "tampered.npz",
        "planned",
        "falsified",
    )
    leaky = SCHEMAS.parents[1] / "data" / "iris_petals_leaky.onnx"
    return {**places, "leaky": str(leaky), **{Path(n).stem: str(folder / n) for n in names}}


def documented() -> set[str]:
    """Commands and the exit codes that their help names."""
    found = set()
    for name, command in commands():
        texts = [command.help or "", *(getattr(p, "help", None) or "" for p in command.params)]
        for sentence in re.findall(r"[Ee]xit codes? ([^.]*)", " ".join(texts)):
            found |= {f"{name} {code}" for code in re.findall(r"(?:^|[,\s])(\d+)(?=[:\s]|$)", sentence)}
    return found


def test_every_documented_exit_code_is_tried() -> None:
    tried = {f"{Case(argv).command} {code}" for argv, code in ENDS} | set(FORCED)
    assert len(documented()) >= 20
    assert documented() <= tried, documented() - tried


@pytest.mark.parametrize(("argv", "code"), ENDS, ids=[f"{Case(argv).command} {code}" for argv, code in ENDS])
def test_documented_exit_codes(argv: str, code: int, ends: dict[str, str], tmp_path: Path) -> None:
    if argv.startswith("dataset"):
        pytest.importorskip("pyarrow")
    found, out, err = run(f"{argv} -q", {**ends, "new": str(tmp_path / "new")})
    assert found == code, (out, err)
    assert out or err
    assert code != 3 or argv.startswith("prove") or DECIDES.search(out.splitlines()[0]), (
        out
    )  # one word, as VNN-LIB has it


@pytest.mark.parametrize("name", FORCED)
def test_exit_codes_of_faults(name: str, ends: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.startswith("dataset"):
        pytest.importorskip("pyarrow")
    verify_complex = certificate.verify_complex

    def refuted(*given: Any, **options: Any) -> Any:
        return replace(verify_complex(*given, **options), ok=False, problems=("damaged by the test",))

    def failing(*_: Any) -> Any:
        raise InputError("damaged by the test")

    def disproved(result: Any, **_: Any) -> Any:
        return replace(verify(result), verdict=Verdict.NO)

    verify = MinimizeResult.verify
    monkeypatch.setattr(MinimizeResult, "verify", disproved)
    monkeypatch.setattr(certificate, "verify_complex", refuted)
    monkeypatch.setattr("polyfiber.datasets.execution.schedule.run_partition", failing)
    code, out, err = run(f"{FORCED[name]} -q", {**ends, "new": str(tmp_path / "new")})
    assert code == int(name[-1]), (out, err)
    assert "Traceback" not in err
