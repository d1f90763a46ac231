"""Every command is run with every option, and its text says what its JSON says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .cases import CASES, ELSEWHERE, Case, commands, files, run

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
OWN_FORMAT = {"prove", "report"}
"""Commands that print the format of VNN-LIB, or write a page: they have tests of their own."""
EVERYWHERE = {"--json", "--quiet", "-q", "--help"}
REPR = re.compile(r"\b(True|False|None|nan)\b|array\(|\bnp\.|object at 0x|Verdict\.|polyfiber\.\w+\.\w+")


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
    return [x for part in parts for x in numbers(part)] + ([float(len(value))])


def agrees(text: str, known: list[float]) -> bool:
    """Whether a printed number is one of the document, rounded as it is printed."""
    shown = float(text)
    digits = len(re.sub(r"e.*|[.]|^0+", "", text).lstrip("0")) or 1
    return any(abs(shown - abs(k)) <= 0.51 * 10.0 ** (1 - digits) * max(abs(shown), 1e-300) for k in known)


def validated(value: Any, schema: dict[str, Any], where: str = "$") -> None:
    """The part of JSON Schema that the schemas use."""
    if "anyOf" in schema:
        kinds = [s for s in schema["anyOf"] if _is(value, s["type"])]
        assert kinds, f"{where}: {value!r} is none of {[s['type'] for s in schema['anyOf']]}"
        return validated(value, kinds[0], where)
    if "type" not in schema:
        return None
    assert _is(value, schema["type"]), f"{where}: found {value!r}, the schema says {schema['type']}"
    if schema["type"] == "object":
        for name in schema.get("required", ()):
            assert name in value, f"{where}: {name} is missing"
        for name, inner in value.items():
            if name in schema.get("properties", {}):
                validated(inner, schema["properties"][name], f"{where}.{name}")
            else:
                assert schema.get("additionalProperties", True), f"{where}: {name} is not in the schema"
    if schema["type"] == "array" and "items" in schema:
        for i, inner in enumerate(value):
            validated(inner, schema["items"], f"{where}[{i}]")
    return None


def _is(value: Any, kind: str) -> bool:
    if kind in ("integer", "number"):
        return not isinstance(value, bool) and isinstance(value, int if kind == "integer" else int | float)
    return isinstance(value, {"string": str, "boolean": bool, "null": type(None), "array": list, "object": dict}[kind])


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.argv.split("{", 1)[0] + str(CASES.index(c)))
def test_text_and_json_agree(case: Case, places: dict[str, str], tmp_path: Path) -> None:
    if case.optional and importlib.util.find_spec(case.optional) is None:
        pytest.skip(f"{case.optional} is not installed")
    code, text, err = run(f"{case.argv} -q", {**places, "new": str(tmp_path / "text")})
    assert code in case.codes, err
    assert not err or case.command.startswith("dataset"), f"--quiet, yet: {err}"
    sentence = text.splitlines()[0]
    assert sentence[0].isupper() or sentence[0] in "/0123456789"
    assert re.search(r"[.:]$|\.onnx$|\.npz$|plan\.$", sentence) or "Next:" in sentence, sentence
    assert len(sentence) > 20
    assert not REPR.search(text), REPR.search(text)
    if not case.json:
        return
    again, out, err = run(f"{case.argv} --json --quiet", {**places, "new": str(tmp_path / "json")})
    assert again == code, err
    document = json.loads(out)
    same = re.sub(r"\S*/(text|json)\S*|\d[\d.e+-]* (core seconds|MB|s)\b", "…", sentence)
    assert same == re.sub(r"\S*/(text|json)\S*|\d[\d.e+-]* (core seconds|MB|s)\b", "…", document["answer"])
    known = numbers(document)
    for line in text.splitlines()[1:]:
        if re.search(r"second|\bs\b|MB|\bper\b", line) or line.startswith("#"):
            continue
        for found in re.findall(r"(?<![\w./-])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w/])", line):
            assert agrees(found, known) or float(found) < 10, f"{found} of {line!r} is not in the JSON"
    schema = json.loads((SCHEMAS / f"{case.command.replace(' ', '-')}.json").read_text())
    validated(document, schema)


def test_every_option_is_run() -> None:
    """Options of commands that no case has: add a case to tests/cli/cases.py."""
    for name, command in commands():
        if name in OWN_FORMAT:
            continue
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


def test_domains_have_one_grammar(places: dict[str, str]) -> None:
    """Every command that asks where has both names of the option, and refuses the same texts."""
    with_domain = [name for name, c in commands() if any("--domain" in p.opts for p in c.params)]
    assert len(with_domain) >= 10
    for name, command in commands():
        if name in with_domain and name not in OWN_FORMAT:
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
