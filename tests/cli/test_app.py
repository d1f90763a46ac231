"""The command line on real files: answers, exit codes, and no traces."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

import polyfiber as pf
from polyfiber.cli.app import main
from polyfiber.cli.outputs import draw_complex

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
    code, out, _ = run(capsys, "complex", DATA / "wine_three.onnx", "--box=-1,1")
    assert code == 0
    assert "6 exact (" in out
    assert "s for all)" in out
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
    assert "dead\t-\n" in out or "no plain chain" in out


def test_info_of_a_network_whose_complex_has_more_faces_than_floats_count(capsys, tmp_path) -> None:
    net = pf.ReLUNetwork.random((600, 900, 1), rng=0)
    net.save(tmp_path / "large.npz")
    code, out, _ = run(capsys, "info", tmp_path / "large.npz")
    assert code == 0
    assert "too large for 600 s and 4 GB" in out
    assert re.search(r"all faces, MB\t\d\.\d\de\+4\d\d\n", out)


def test_pictures_of_slices_show_walls_in_the_units_of_the_inputs(monkeypatch, tmp_path) -> None:
    """Trained on raw measurements, a network has nothing to show around the origin."""
    drawn = {}
    monkeypatch.setattr("polyfiber.cli.outputs.draw", lambda cx, path, **facts: drawn.update(facts, cx=cx))
    for name in ("wine_three", "wine_bottleneck", "breast_cancer"):
        net = pf.read_network(DATA / f"{name}.onnx")
        draw_complex(net, pf.canonical_complex(net), tmp_path / "a.png")
        assert drawn["cx"].n_regions > 5
    assert "other inputs are" in drawn["title"]
    net = pf.read_network(DATA / "wine_three.onnx")
    draw_complex(net, pf.canonical_complex(net, pf.Box([10, 0, 3], [15, 6, 9])), tmp_path / "a.png")
    assert drawn["cx"].vertices.min(axis=0).tolist() == [10, 0]
    assert drawn["cx"].vertices.max(axis=0).tolist() == [15, 6]
    one_wall = pf.ReLUNetwork([[[1.0, 2.0]], [[1.0]]], [[0.5], [0.0]])
    draw_complex(one_wall, pf.canonical_complex(one_wall), tmp_path / "a.png")
    assert drawn["cx"].n_regions == 2


def test_what_cannot_be_written_is_refused_before_the_work(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("polyfiber.complexes.build.canonical_complex", None)  # nothing is computed
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "folder.png").mkdir()
    for option, name, message in (
        ("--save", "absent/c.npz", "there is no directory"),
        ("--save", "folder.npz", "is a directory"),
        ("--save", "c.txt", "ends in .npz or .zarr"),
        ("--plot", "absent/c.png", "there is no directory"),
        ("--plot", "folder.png", "is a directory"),
        ("--plot", "c.xyz", "should end in"),
        ("--plot", "c", "should end in"),
    ):
        code, out, err = run(capsys, "complex", DATA / "iris_petals.npz", option, tmp_path / name)
        assert (code, out) == (4, "")
        assert message in err
        assert err.count("\n") == 1
    for command in (("demo",), ("slice", DATA / "iris.npz")):
        code, _, err = run(capsys, *command, "--plot", tmp_path / "absent" / "c.png")
        assert code == 4
        assert "there is no directory" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.npz", "folder.png"]


@pytest.mark.parametrize(
    "options",
    [
        ("--dims", "0"), ("--format", "zarr"), ("--maps",), ("--vertices",), ("--resume",), ("--workers", "2"),
        ("--count", "--verify"), ("--count", "--save", "c.npz"), ("--stream", "s", "--plot", "c.png"),
        ("--stream", "s", "--count"),
    ],
)  # fmt: skip
def test_options_without_effect_are_refused(capsys, options) -> None:
    code, out, err = run(capsys, "complex", DATA / "iris_petals.npz", *options)
    assert (code, out) == (2, "")
    assert "goes" in err


def test_tables_on_a_terminal_show_brackets_of_names(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    path = tmp_path / "[bold]a[" / "b].npz"
    path.parent.mkdir()
    path.write_bytes((DATA / "iris_petals.npz").read_bytes())
    monkeypatch.chdir(tmp_path)
    for command in ("info", "complex"):
        code, out, _ = run(capsys, command, "[bold]a[/b].npz")
        assert code == 0
        assert "[bold]a[/b].npz" in out


def test_demo(capsys) -> None:
    code, out, _ = run(capsys, "demo", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["verified"] is True
    assert answer["balancing_residual"] < 1e-9


def test_bad_input_is_one_line_and_exit_code_4(capsys, tmp_path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    for argv in (
        ("complex", broken),
        ("complex", tmp_path / "absent.npz"),
        ("info", tmp_path),
        ("complex", DATA / "iris.npz", "--box=1,2,3,4"),
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
    assert run(capsys, "complex", DATA / "iris.npz", "--box=1,2,3")[0] == 2
    assert run(capsys, "complex", DATA / "iris.npz", "--box=a,b")[0] == 2
    assert run(capsys, "complex", DATA / "iris.npz", "--box=1,-1")[0] == 2
    assert run(capsys, "complex", DATA / "iris.npz", "--memory", "lots")[0] == 2
    assert run(capsys, "--version")[0] == 0


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("words", [["info", "iris.npz"], ["complex", "iris_petals.onnx", "--count"]])
def test_no_color(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`NO_COLOR` (any value but none, no-color.org) takes the colours away, and no words of the answer."""
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")
    escapes = re.compile(r"\x1b\[[\d;]*m|\n[\d.]+ s$", re.MULTILINE)  # and the time it took
    told = {}
    for value in ("", "1"):
        with monkeypatch.context() as context:
            context.setenv("TERM", "xterm-256color")
            for name in ("FORCE_COLOR", "COLORTERM", "NO_COLOR", "CI", "GITHUB_ACTIONS", "PY_COLORS"):
                context.delenv(name, raising=False)
            if value:
                context.setenv("NO_COLOR", value)
            out, err = Terminal(), Terminal()
            context.setattr(sys, "stdout", out)
            context.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as stop:
                main([words[0], str(DATA / words[1]), *words[2:]])
            assert not stop.value.code
        told[value] = out.getvalue()
        assert not value or not colour.search(out.getvalue() + err.getvalue())
    assert "\x1b[" in told[""]
    assert escapes.sub("", told[""]) == escapes.sub("", told["1"])
