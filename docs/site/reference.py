"""Pages of the API: one a package, one entry a public name, filled in by mkdocstrings from the docstrings.

Public names resolve on first use, so a reader of source code cannot follow them: the tables that say where each one is
defined are read here, and every entry names that place.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

PACKAGES = {
    "polyfiber": "Everything at the top level: `import polyfiber as pf`.",
    "polyfiber.plots": "Pictures.",
    "polyfiber.linear": "Rank strata of linear networks.",
    "polyfiber.dln": "Geometry of the deep linear network.",
    "polyfiber.invariants": "Invariants of any stratification.",
    "polyfiber.datasets": "Datasets of networks, complexes, fibers, pairs and strata.",
    "polyfiber.testing": "Strategies and corpora for tests.",
    "polyfiber.errors": "Errors and warnings.",
}


def address(package: str) -> str:
    """The page of a package, relative to the documents."""
    return f"api/{package}.md"


def groups(package: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Public names with the place of each, under the comments of the table that lists them."""
    module = importlib.import_module(package)
    source = Path(inspect.getfile(module)).read_text(encoding="utf-8")
    exports = getattr(module, "_EXPORTS", None)
    if exports is None:
        return [("", [(n, f"{package}.{n}") for n in public(module)])]
    found: list[tuple[str, list[tuple[str, str]]]] = [("", [])]
    table = source[source.index("_EXPORTS") :]
    for line in table[: table.index("\n}")].splitlines():
        if heading := re.match(r"\s+# (.+)", line):
            found.append((heading[1], []))
        elif entry := re.match(r'\s+"(\w+)":', line):
            found[-1][1].append((entry[1], f"{package}.{exports[entry[1]]}.{entry[1]}"))
    return [(title, names) for title, names in found if names]


def public(module: object) -> list[str]:
    """Names that a module without a table defines for others."""
    names = getattr(module, "__all__", None) or [
        n
        for n, v in vars(module).items()
        if not n.startswith("_") and getattr(v, "__module__", None) == module.__name__  # type: ignore[attr-defined]
    ]
    return [n for n in names if not n.startswith("_")]


def page(package: str) -> str:
    """The page of one package."""
    short = package.replace("polyfiber", "pf", 1)
    module = importlib.import_module(package)
    lines = [f"# {package}", "", PACKAGES[package], ""]
    if package != "polyfiber":
        lines += [(module.__doc__ or "").strip(), ""]
    for title, names in groups(package):
        if title:
            lines += [f"## {title[0].upper()}{title[1:]}", ""]
        for name, place in names:
            lines += [
                f"::: {place}",
                "    options:",
                f'      heading: "{short}.{name}"',
                f"      toc_label: {name}",
                "",
            ]
    return "\n".join(lines)


def index() -> str:
    """The first page of the reference."""
    lines = ["# Python", "", "Which function answers my question, what does it take, and what does it raise?", ""]
    lines += ["| package | |", "|---|---|"]
    lines += [f"| [`{p}`]({p}.md) | {what} |" for p, what in PACKAGES.items()]
    lines += ["", "These pages are made from the docstrings; their examples are run by the tests.", ""]
    first = importlib.import_module("polyfiber")
    for title, names in groups("polyfiber"):
        lines += [f"## {title[0].upper()}{title[1:]}", "", "| name | |", "|---|---|"]
        for name, place in names:
            said = (inspect.getdoc(getattr(first, name)) or "").split("\n\n")[0]
            said = " ".join(said.split()).replace("|", "\\|")
            lines.append(f"| [`pf.{name}`](polyfiber.md#{place}) | {said} |")
        lines.append("")
    return "\n".join(lines)
