"""Groups of options: each a parameter of its own, known to be written or not, refused where it has no effect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from polyfiber.cli import options as module


@dataclass(frozen=True)
class Size:
    """A group."""

    width: int = typer.Option(3, "--width", "-w", help="Of it.")
    scale: float = typer.Option(1.0, "--scale", help="Of it.")


SEEN: dict[str, Any] = {}


def measure(
    file: Path = typer.Argument(..., help="What."),
    *,
    size: Size,
    seconds: float = typer.Option(1.0, "--seconds", help="Of time."),
) -> None:
    """Look."""
    SEEN.update(size=size, width=module.given("--width"), short=module.given("-w"), scale=module.given("--scale"),
                read=module.is_read(file), seconds=seconds)  # fmt: skip
    module.refuse(
        ("--scale",), "only with --width" if not module.given("--width") else "nowhere"
    ) if size.scale == 2.0 else None


def run(*argv: str) -> Any:
    app = typer.Typer()
    app.command()(module.grouped(measure))
    SEEN.clear()
    return CliRunner().invoke(app, list(argv))


def test_groups_come_as_one_value() -> None:
    assert run("a").exit_code == 0
    assert SEEN["size"] == Size(width=3, scale=1.0)
    assert (SEEN["width"], SEEN["scale"]) == (False, False)
    assert run("a", "-w", "7").exit_code == 0
    assert SEEN["size"].width == 7


def test_what_was_written_is_known_whatever_its_value() -> None:
    run("a", "--width", "3")
    assert (SEEN["width"], SEEN["short"], SEEN["scale"]) == (True, True, False)
    assert not module.given("--width")  # after the command nothing is


def test_options_without_effect_are_usage_errors() -> None:
    found = run("a", "--scale", "2")
    assert found.exit_code == 2
    assert "--scale goes only with --width" in " ".join(found.output.replace("│", " ").split())
    assert run("a", "--scale", "3").exit_code == 0


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_are_finite_but_for_seconds(value: str) -> None:
    assert run("a", "--scale", value).exit_code == 2
    assert run("a", "--seconds", value).exit_code == 0


def test_files_that_are_read_are_known_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for name in ("a", "link"):
        run(str(tmp_path / name))
        assert SEEN["read"]
    run(str(tmp_path / "other"))
    assert not SEEN["read"]
    assert not module.is_read(tmp_path / "a")


def test_help_lists_the_options_of_a_group() -> None:
    text = run("--help").output
    assert "--width" in text
    assert "--scale" in text
    assert "context" not in text
