"""The parts of the documentation site that need no MkDocs: tutorials as notebooks, examples of commands, places of names."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

import polyfiber

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))


def module(name: str) -> ModuleType:
    sys.modules.pop(name, None)
    return importlib.import_module(name)


TEXT = """# A question

Words.

```python
>>> # why
>>> x = 1
>>> x + 1
2
>>> def twice(y):
...     return 2 * y
>>> print(twice(x))
2

```

More words.
"""


def test_a_tutorial_in_pieces() -> None:
    pieces = module("notebooks").cells(TEXT)
    assert [(p.kind, p.output) for p in pieces] == [("markdown", ""), ("code", "2"), ("code", "2"), ("markdown", "")]
    assert pieces[1].source == "# why\nx = 1\nx + 1"
    assert pieces[2].source == "def twice(y):\n    return 2 * y\n\nprint(twice(x))".replace("\n\n", "\n")


def test_other_outputs_end_the_build() -> None:
    pytest.importorskip("matplotlib")
    notebooks = module("notebooks")
    notebooks.perform(notebooks.cells(TEXT), "text")
    with pytest.raises(RuntimeError, match="something else"):
        notebooks.perform(notebooks.cells(TEXT.replace("x + 1\n2", "x + 1\n3")), "text")


def test_the_notebook_and_the_page() -> None:
    notebooks = module("notebooks")
    pieces = notebooks.cells(TEXT)
    document = json.loads(notebooks.notebook(pieces))
    assert (document["nbformat"], [c["cell_type"] for c in document["cells"]][1:3]) == (4, ["code", "code"])
    assert document["cells"][1]["outputs"][0]["text"] == ["2\n"]
    names: dict[str, object] = {}
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert names["x"] == 1
    assert ">>>" not in notebooks.page(pieces, "text")


def test_tutorials_have_code_that_compiles() -> None:
    notebooks = module("notebooks")
    assert len(notebooks.sources()) >= 10
    for path in notebooks.sources():
        pieces = notebooks.cells(path.read_text(encoding="utf-8"))
        assert sum(p.kind == "code" for p in pieces) >= 3, path.name
        for p in pieces:
            if p.kind == "code":
                compile(p.source, path.name, "exec")


def test_every_command_has_a_question_and_lines() -> None:
    commands = module("commands")
    known = commands.examples()
    assert set(known) == {name for name, _ in commands.commands()}
    for name, entry in known.items():
        assert entry["question"].endswith("?"), name
        assert any(line.split()[1 : 1 + len(name.split())] == name.split() for line in entry["run"]), name


def test_pages_of_commands_show_what_they_print(tmp_path: Path) -> None:
    commands = module("commands")
    command = dict(commands.commands())["critical"]
    page = commands.page("critical", command, commands.examples(), tmp_path)
    assert "$ polyfiber critical 3,2,2,3 --values 3,2,1" in page
    assert "| `--values" in page
    assert "schemas/critical.json" in page
    with pytest.raises(commands.ExampleError, match="exit code"):
        commands.run("polyfiber info nothing.onnx", tmp_path)


def test_every_public_name_has_a_place() -> None:
    reference = module("reference")
    named = {name for _, names in reference.groups("polyfiber") for name, _ in names}
    assert named == set(polyfiber.__all__) - {"__version__"}
    for package in reference.PACKAGES:
        for _, names in reference.groups(package):
            for name, place in names:
                owner, _, last = place.rpartition(".")
                assert hasattr(importlib.import_module(owner), last), (name, place)
