"""Pages of commands: the question, what to type, what comes out, every option, every key of the JSON.

Nothing is copied: options come from the parser, keys from the schemas, and outputs from running the lines of
``commands.toml`` while the site is built.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TIME = re.compile(r"\d[\d.]* s")
LONGEST = 24
"""Lines of an output that are shown."""


class ExampleError(RuntimeError):
    """An example of the documents does not do what it shows."""


def examples() -> dict[str, dict[str, Any]]:
    """``commands.toml``."""
    return tomllib.loads((HERE / "commands.toml").read_text(encoding="utf-8"))


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its name, as the parser has it."""
    import typer

    from polyfiber.cli.app import app

    def below(group: Any, before: str) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from below(command, f"{before}{name} ")
            else:
                yield f"{before}{name}", command

    yield from below(typer.main.get_command(app), "")


def address(name: str) -> str:
    """The page of a command, relative to the documents."""
    return f"commands/{name.replace(' ', '-')}.md"


def run(line: str, folder: Path, codes: tuple[int, ...] = (0,)) -> str:
    """Standard output of a command line, run in a folder."""
    words = shlex.split(line)
    if words[0] != "polyfiber":
        raise ExampleError(f"not a command of polyfiber: {line}")
    kept = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": kept, "NO_COLOR": "1", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "polyfiber", *words[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode not in codes:
        raise ExampleError(f"exit code {done.returncode} of: {line}\n{done.stdout}{done.stderr}")
    return done.stdout.replace(f"{folder}{os.sep}", "")


def cut(text: str) -> str:
    """An output, its sentence wrapped, shortened to `LONGEST` lines."""
    first, *rest = text.rstrip().split("\n")
    rest = [line for line in rest if not TIME.fullmatch(line)]  # timings stand in docs/benchmarks.md alone
    lines = [*textwrap.wrap(first, 88), *(line.expandtabs(16) for line in rest)]
    if len(lines) > LONGEST:
        lines = [*lines[:LONGEST], f"… {len(lines) - LONGEST} more lines"]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text inside a table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def options(command: Any) -> list[str]:
    """Arguments and options as two tables."""
    lines: list[str] = []
    for kind, title in (("argument", "Argument"), ("option", "Option")):
        rows = [p for p in command.params if p.param_type_name == kind and not getattr(p, "hidden", False)]
        if not rows:
            continue
        lines += ["", f"| {title} | | Default |", "|---|---|---|"]
        for p in rows:
            name = p.metavar or p.name.upper() if kind == "argument" else ", ".join([*p.opts, *p.secondary_opts])
            if kind == "option" and p.metavar:
                name += f" {p.metavar}"
            default = "needed" if p.required else p.default
            if default is None or default is False or default == () or callable(default):
                default = ""
            lines.append(
                f"| `{name}` | {cell(getattr(p, 'help', '') or '')} | {cell(str(getattr(default, 'value', default)))} |"
            )
    return lines


def keys(name: str) -> list[str]:
    """The keys of its JSON, from the schema."""
    path = ROOT / "docs" / "schemas" / f"{name.replace(' ', '-')}.json"
    if not path.exists():
        return []
    schema = json.loads(path.read_text(encoding="utf-8"))
    lines = ["", "## What `--json` prints", "", f"[The schema](../schemas/{path.name}).", "", "| Key | |", "|---|---|"]
    forms = [form["properties"] for form in schema.get("anyOf", [schema])]  # the second is of what was stopped
    found = {key: what for form in reversed(forms) for key, what in form.items()}
    order = [key for form in forms for key in form]
    return lines + [f"| `{key}` | {cell(found[key].get('description', ''))} |" for key in dict.fromkeys(order)]


def prepare(name: str, known: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Make the files that the lines of a command need."""
    entry = known[name]
    if "after" in entry:
        prepare(entry["after"], known, folder)
        for line in known[entry["after"]]["run"]:
            run(line, folder)
    if "make" in entry:
        (folder / "sweep").mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", entry["make"]],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ExampleError(f"the files of {name}: {done.stderr}")


def page(name: str, command: Any, known: Mapping[str, Mapping[str, Any]], folder: Path | None) -> str:
    """The page of one command, its examples run in a folder; without one they are shown and not run."""
    if name not in known:
        raise ExampleError(f"docs/site/commands.toml has no example of polyfiber {name}")
    entry = known[name]
    if folder is not None:
        (folder / "data").symlink_to(ROOT / "data", target_is_directory=True)
        prepare(name, known, folder)
    lines = [f"# polyfiber {name}", "", entry["question"], ""]
    for line in entry["run"]:
        out = "" if folder is None else run(line, folder, tuple(entry.get("codes", (0,))))
        lines += ["```console", f"$ {line}", *(cut(out).split("\n") if out.strip() else []), "```", ""]
    lines += textwrap.wrap(command.help or "", 120)
    if "make" in entry:
        lines += ["", "The files were made by", "", "```python", entry["make"].strip(), "```"]
    if entry.get("read"):
        lines += ["", "How it works: " + ", ".join(f"[{Path(p).stem}](../{p})" for p in entry["read"]) + "."]
    lines += ["", "What commands have in common: [commands](../commands.md)."]
    lines += ["", "## Arguments and options", *options(command), *keys(name), ""]
    return "\n".join(lines)
