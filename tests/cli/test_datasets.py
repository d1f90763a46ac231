"""The commands dataset plan, run, finish and validate: output, exit codes, one-line errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from polyfiber.budget import Progress
from polyfiber.cli.app import main
from polyfiber.cli.live import live

pytest.importorskip("pyarrow")

SPEC = 'name = "x"\nseed = 1\npartition = 3\n[[networks]]\nkind = "random"\narchitecture = [2, 3, 1]\ncount = 7\n'


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "x.toml"
    path.write_text(SPEC)
    return path


def call(capsys: Any, *arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["dataset", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_plan_run_finish_validate(spec: Path, tmp_path: Path, capsys: Any) -> None:
    code, out, _ = call(capsys, "plan", spec)
    assert code == 0
    assert "7 networks in 3 partitions" in out
    assert "core seconds" in out
    code, out, _ = call(capsys, "plan", spec, "--json")
    document = json.loads(out)
    assert document["partitions"][2]["networks"] == [6, 7]
    assert document["cost"][0]["rows"]["networks"] == 7
    folder = tmp_path / "d"
    code, out, err = call(capsys, "run", spec, "-o", folder, "-w", "0", "--partitions", "0,2", "--json")
    assert code == 0
    assert json.loads(out)["complete"] is False
    code, out, err = call(capsys, "finish", folder)
    assert code == 3
    assert out.startswith("Not finished: ")
    assert (out.count("\n"), err) == (1, "")
    assert "1 of 3 partitions are not done, or damaged (1)" in out
    code, out, err = call(capsys, "validate", folder)
    assert code == 3
    code, out, err = call(capsys, "run", spec, "-o", folder, "-w", "0")
    assert code == 0
    assert "networks\t7" in out
    assert "networks 7/7" in err
    code, out, _ = call(capsys, "finish", folder, "--json")
    assert json.loads(out)["manifest"]["counts"]["networks"] == 7
    code, out, _ = call(capsys, "validate", folder, "--redo", "1", "-q")
    assert code == 0
    assert "agrees" in out
    (folder / "networks" / "part-00001.parquet").write_bytes(b"no")
    code, out, _ = call(capsys, "validate", folder, "--json", "--seed", "3")
    assert code == 1
    assert "part-00001" in json.loads(out)["problems"][0]


def test_errors_are_one_line(spec: Path, tmp_path: Path, capsys: Any) -> None:
    spec.write_text(SPEC.replace("count = 7", "count = -7"))
    for command in (("plan", spec), ("run", spec, "-o", tmp_path / "d")):
        code, out, err = call(capsys, *command)
        assert (code, out, err.count("\n")) == (4, "", 1)
        assert "networks[0].count: found -7; expected a whole number >= 1" in err
    for command in (("finish", tmp_path), ("validate", tmp_path), ("plan", tmp_path / "none.toml")):
        code, out, err = call(capsys, *command)
        assert (code, out, err.count("\n")) == (4, "", 1)
    spec.write_text(SPEC)
    code, _, err = call(capsys, "run", spec, "-o", tmp_path / "d", "--partitions", "a-b")
    assert code == 2
    assert "--partitions: found 'a-b'" in err
    assert call(capsys, "run", spec)[0] == 2


def test_a_partition_that_fails_gives_code_three(
    spec: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyfiber.datasets.execution import schedule

    def failing(plan: Any, index: int, directory: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr(schedule, "run_partition", failing)
    code, _, err = call(capsys, "run", spec, "-o", tmp_path / "d", "-w", "0")
    assert code == 3
    assert "partition 1 is not done: OSError: no space left" in err


def events() -> list[Progress]:
    facts = {"regions": 12345, "failures": 1}
    return [Progress("networks", 2, 10, facts), Progress("networks", 6, 10, facts), Progress("networks", 10, 10, facts)]


def test_plain_lines_away_from_a_terminal(capsys: Any) -> None:
    with live() as show:
        assert show is not None
        for event in events():
            show(event)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1  # quick work: only the end is told
    assert lines[0].startswith("networks 10/10")
    assert "regions 12,345" in lines[0]
    with live(quiet=True) as silent:
        assert silent is None


def test_bars_on_a_terminal(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with live() as show:
        assert show is not None
        for event in events():
            show(event)
    shown = capsys.readouterr().err
    assert "10/10" in shown
    assert "failures 1" in shown
    assert "/s" in shown
