"""What MkDocs calls while it builds the site: pages of commands, of the API, of tutorials, and links that leave ``docs``."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

import commands  # noqa: E402
import notebooks  # noqa: E402
import reference  # noqa: E402

EXAMPLES = os.environ.get("POLYFIBER_SITE_EXAMPLES", "1") != "0"
"""Whether examples are run; without them the site is built in seconds, and has no outputs and no pictures."""

OUTSIDE = {"../CONTRIBUTING.md": "contributing.md", "../CHANGELOG.md": "changelog.md", "../README.md": "index.md"}
"""Documents of the repository that are pages of the site."""


def on_config(config: Any) -> Any:
    """The version in the name of the site, a selector where several are kept, and the pages that are made here."""
    if str(ROOT) not in sys.path:  # MkDocs takes back what a hook adds to the path
        sys.path.insert(0, str(ROOT))
    from polyfiber import __version__

    config.site_name = f"polyfiber {__version__}"
    if "MIKE_DOCS_VERSION" in os.environ:  # mike deploy: several versions side by side
        config.extra["version"] = {"provider": "mike"}
    for entry in config.nav:
        (title, pages), *_ = entry.items()
        if title == "Commands":
            pages += [{name: commands.address(name)} for name, _ in commands.commands()]
        if title == "Python":
            pages += [{package: reference.address(package)} for package in reference.PACKAGES]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Pages that stand nowhere."""

    def add(address: str, content: str | bytes) -> None:
        if existing := files.get_file_from_path(address):
            files.remove(existing)
        files.append(File.generated(config, address, content=content))

    try:
        known = commands.examples()
        missing = set(known) - {name for name, _ in commands.commands()}
        if missing:
            raise commands.ExampleError(f"docs/site/commands.toml names commands that are not there: {sorted(missing)}")
        for name, command in commands.commands():
            with tempfile.TemporaryDirectory() as folder:
                add(
                    commands.address(name),
                    commands.page(name, command, known, Path(folder).resolve() if EXAMPLES else None),
                )
        for package in reference.PACKAGES:
            add(reference.address(package), reference.page(package))
        add("api/index.md", reference.index())
        for path in notebooks.sources():
            tutorial(path, add)
    except (commands.ExampleError, RuntimeError) as error:
        raise PluginError(str(error)) from error
    for source, address in OUTSIDE.items():
        if address != "index.md":
            text = (ROOT / source.removeprefix("../")).read_text(encoding="utf-8")
            add(address, re.sub(r"\]\(docs/", "](", text))
    return files


def tutorial(path: Path, add: Any) -> None:
    """One tutorial: run in a folder of its own, its page, its pictures, its notebook."""
    pieces = notebooks.cells(path.read_text(encoding="utf-8"))
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").symlink_to(ROOT / "data", target_is_directory=True)
        os.chdir(folder)
        try:
            if EXAMPLES:
                notebooks.perform(pieces, path.stem)
        finally:
            os.chdir(before)
    place = path.relative_to(ROOT / "docs").with_suffix("")
    add(f"{place}.md", notebooks.page(pieces, path.stem))
    add(f"{place}.ipynb", notebooks.notebook(pieces))
    for i, picture in enumerate(p for cell in pieces for p in cell.pictures):
        add(f"{place}-{i}.png", picture)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave the documents lead to the page that the site has of it."""
    for source, address in OUTSIDE.items():
        markdown = markdown.replace(f"]({source}", f"]({address}")
    return markdown
