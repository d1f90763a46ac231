"""Tutorials: one text with examples becomes a page with outputs and pictures, and a notebook to download.

The examples are doctests, so the tests hold what the reader sees against what comes out. Here they are run once more,
for their pictures; an output that differs from the text ends the build.
"""

from __future__ import annotations

import doctest
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```\n", flags=re.DOTALL | re.MULTILINE)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@dataclass
class Cell:
    """A piece of a tutorial: text, or code with what it prints and draws."""

    kind: str
    source: str
    output: str = ""
    pictures: list[bytes] = field(default_factory=list)


def sources() -> list[Path]:
    """The documents that are notebooks: tutorials and the gallery."""
    tutorials = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
    return [*(p for p in tutorials if p.stem != "index"), ROOT / "docs" / "gallery.md"]


def cells(text: str) -> list[Cell]:
    """The pieces of a tutorial, in order; prompts are taken off, and outputs are those of the text."""
    found: list[Cell] = []
    end = 0
    for match in [*BLOCK.finditer(text), None]:
        prose = text[end : match.start() if match else len(text)].strip()
        if prose:
            found.append(Cell("markdown", prose))
        if match:
            end = match.end()
            examples = doctest.DocTestParser().get_examples(match[1])
            if not examples:
                found.append(Cell("code", match[1].rstrip()))
                continue
            lines: list[str] = []
            for i, example in enumerate(examples):  # a cell ends where something is printed
                lines += [*_remarks(match[1], example, i), example.source.rstrip()]
                if example.want or example is examples[-1]:
                    found.append(Cell("code", "\n".join(lines), example.want.rstrip()))
                    lines = []
    return found


def _remarks(block: str, example: doctest.Example, i: int) -> list[str]:
    """Comments of their own before an example, which doctest leaves out."""
    lines = block.split("\n")[: example.lineno]
    found: list[str] = []
    while lines and lines[-1].startswith(">>> #"):
        found.insert(0, lines.pop()[4:])
    return found


def perform(pieces: Sequence[Cell], name: str) -> None:
    """Run the code of a tutorial, compare what it prints with its text, and keep its pictures."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names: dict[str, Any] = {"__name__": "__main__"}
    checker = doctest.OutputChecker()
    for k, cell in enumerate(pieces):
        if cell.kind != "code":
            continue
        out = run(cell.source, names, f"{name}, piece {k}")
        if not checker.check_output(cell.output + "\n" * bool(cell.output), out, FLAGS):
            raise RuntimeError(
                f"{name}: this prints something else\n{cell.source}\nexpected:\n{cell.output}\nfound:\n{out}"
            )
        for number in plt.get_fignums():
            stream = io.BytesIO()
            plt.figure(number).savefig(stream, dpi=110, format="png")
            cell.pictures.append(stream.getvalue())
        plt.close("all")


def run(source: str, names: dict[str, Any], where: str) -> str:
    """What a cell prints, its last expression included, as a notebook shows it."""
    import ast
    from contextlib import redirect_stdout

    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    stream = io.StringIO()
    with redirect_stdout(stream):
        exec(compile(tree, where, "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), where, "eval"), names)
            if value is not None:
                print(repr(value))
    return stream.getvalue()


def notebook(pieces: Sequence[Cell]) -> str:
    """The cells as a notebook (nbformat 4.5), with outputs."""
    import base64

    made: list[dict[str, Any]] = []
    for k, cell in enumerate(pieces):
        entry: dict[str, Any] = {
            "cell_type": cell.kind,
            "id": hashlib.sha256(f"{k} {cell.source}".encode()).hexdigest()[:12],
            "metadata": {},
            "source": cell.source.splitlines(keepends=True),
        }
        if cell.kind == "code":
            outputs: list[dict[str, Any]] = []
            if cell.output:
                outputs.append({"output_type": "stream", "name": "stdout", "text": f"{cell.output}\n".splitlines(True)})
            for picture in cell.pictures:
                data = {"image/png": base64.b64encode(picture).decode(), "text/plain": ["a picture"]}
                outputs.append({"output_type": "display_data", "metadata": {}, "data": data})
            entry |= {"execution_count": None, "outputs": outputs}
        made.append(entry)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def page(pieces: Sequence[Cell], name: str) -> str:
    """The cells as Markdown: code without prompts, outputs, pictures of the folder beside, a link to the notebook."""
    lines: list[str] = []
    drawn = 0
    for cell in pieces:
        if cell.kind == "markdown":
            lines += [cell.source, ""]
            continue
        lines += ["```python", cell.source, "```", ""]
        if cell.output:
            lines += ["``` { .text .output .no-copy }", cell.output, "```", ""]
        for _ in cell.pictures:
            lines += [f"![What the lines above draw]({name}-{drawn}.png)", ""]
            drawn += 1
    lines += [f"[This page as a notebook]({name}.ipynb){{ download }}", ""]
    return "\n".join(lines)
