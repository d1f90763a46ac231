"""The examples of the documents run, what they link to is there, and commands that they show exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
]
MADE = ("commands/", "../commands/", "api/", "../api/")
"""Pages that exist in the site alone; the site's own build looks at links to them."""
PLACEHOLDERS = {"datasets"}
"""Plain blocks about a folder DIR that the reader makes first, and with programs that the tests do not install."""


def blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if blocks(p)], ids=lambda p: p.stem)
def test_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").symlink_to(ROOT / "data", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    names: dict[str, object] = {}
    for i, block in enumerate(blocks(path), start=1):
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, names, f"block {i}", str(path), 0)
            runner.run(test, clear_globs=False)
            names.update(test.globs)
        else:
            code = compile(block, f"{path.name}, block {i}", "exec")
            if path.stem not in PLACEHOLDERS:
                exec(code, names)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith(MADE):
            assert (path.parent / target).exists(), target


def test_paths_and_commands_that_are_named_exist() -> None:
    from polyfiber.cli.app import app

    known = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    known |= {group.name for group in app.registered_groups}
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:polyfiber|tests|scripts|data|docs)/[\w./-]+)`", text):
            assert (ROOT / name).exists() or (ROOT / f"{name}.py").exists(), f"{path.name}: {name}"
        for command in re.findall(r"(?:`|\bbin/)polyfiber ([a-z]+)", text):
            assert command in known, f"{path.name}: polyfiber {command}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.stem)
def test_lines_are_wrapped(path: Path) -> None:
    """Tables are one row a line; the README shows what a command prints."""
    lines = path.read_text(encoding="utf-8").split("\n")
    long = [i for i, line in enumerate(lines, start=1) if len(line) > 120 and not line.startswith("|")]
    assert len(long) <= (path.name == "README.md"), long


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if p.parent.name == "docs"], ids=lambda p: p.stem)
def test_pages_begin_with_a_question(path: Path) -> None:
    """The reader's, in the title or the first lines."""
    assert "?" in "\n".join(path.read_text(encoding="utf-8").split("\n")[:8])
