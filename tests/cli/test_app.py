"""The command line on real files: answers, exit codes, and no traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyfiber.cli.app import main

DATA = Path(__file__).resolve().parent.parent.parent / "data"


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    try:
        main([str(a) for a in argv])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    out = capsys.readouterr()
    return code, out.out, out.err


def test_complex_prints_a_table_and_json(capsys, tmp_path) -> None:
    code, out, _ = run(capsys, "complex", DATA / "wine_three.onnx", "--verify")
    assert code == 0
    assert "regions\t4094" in out
    assert "certificate verified" in out
    code, out, _ = run(capsys, "complex", DATA / "iris_petals.npz", "--json", "--save", tmp_path / "c.npz")
    answer = json.loads(out)
    assert code == 0
    assert answer["f_vector"] == [352, 734, 383]
    assert answer["decisions"]["exact"] == 0
    assert (tmp_path / "c.npz").exists()


def test_boxes_counts_and_pictures(capsys, tmp_path) -> None:
    code, out, _ = run(capsys, "complex", DATA / "wine_three.onnx", "--box=0,20", "--count", "--json")
    f = json.loads(out)["f_vector"]
    assert code == 0
    assert f[0] - f[1] + f[2] - f[3] == 1
    picture = tmp_path / "regions.png"
    code, _, _ = run(capsys, "complex", DATA / "iris_petals.onnx", "--plot", picture)
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", sorted(p.name for p in DATA.glob("*.onnx")))
def test_info_reads_every_shipped_network(capsys, name) -> None:
    code, out, _ = run(capsys, "info", DATA / name, "--json")
    assert code == 0
    assert json.loads(out)["architecture"]
    code, out, _ = run(capsys, "info", DATA / name)
    assert "architecture" in out


def test_demo(capsys) -> None:
    code, out, _ = run(capsys, "demo", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["certificate"] == "verified"
    assert answer["balancing_residual"] < 1e-9


def test_bad_input_is_one_line_and_exit_code_4(capsys, tmp_path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    for argv in (
        ("complex", broken),
        ("complex", tmp_path / "absent.npz"),
        ("info", tmp_path),
        ("complex", DATA / "iris.npz", "--box=1,2,3"),
        ("complex", DATA / "iris.npz", "--box=a,b"),
        ("complex", DATA / "iris.npz", "--box=1,-1"),
        ("complex", DATA / "iris.npz", "--memory", "lots"),
    ):
        code, out, err = run(capsys, *argv)
        assert code == 4, argv
        assert out == ""
        assert err.startswith("polyfiber: ")
        assert err.count("\n") == 1


def test_budgets_are_exit_code_3_and_usage_is_2(capsys) -> None:
    assert run(capsys, "complex", DATA / "digits_bottleneck.npz", "--memory", "1MB")[0] == 3
    assert run(capsys, "complex", DATA / "iris.npz", "--seconds", "0")[0] == 3
    assert run(capsys, "complex")[0] == 2
    assert run(capsys, "complex", DATA / "iris.npz", "--nonsense")[0] == 2
    assert run(capsys, "--version")[0] == 0
