"""Files that commands write: refused before the work, and never the file that is read; pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import polyfiber as pf
from polyfiber.cli import outputs
from polyfiber.cli.outputs import draw_complex

from .test_app import DATA, run
from .test_exits import ends


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
        ("--save", "c.txt", "should end in one of .npz, .zarr"),
        ("--plot", "absent/c.png", "there is no directory"),
        ("--plot", "folder.png", "is a directory"),
        ("--plot", "c.xyz", "should end in"),
        ("--plot", "c", "should end in"),
    ):
        code, out, err = run(capsys, "complex", DATA / "iris_petals.npz", option, tmp_path / name)
        assert (code, out) == (2 if "end in" in message else 4, "")
        assert message in err
        assert err.count("\n") == (4 if code == 2 else 1)
    for command in (("demo",), ("slice", DATA / "iris.npz")):
        code, _, err = run(capsys, *command, "--plot", tmp_path / "absent" / "c.png")
        assert code == 4
        assert "there is no directory" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.npz", "folder.png"]


@pytest.mark.parametrize(
    "argv",
    [
        ("complex", "--save"),
        ("minimize", "-o"),
        ("classify", "--sample"),
        ("report", "-o"),
        ("explore", "--at", "0,0", "--save"),
    ],
    ids=lambda argv: argv[0],
)
def test_the_network_that_is_read_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    path, link = tmp_path / "net.npz", tmp_path / "link.npz"
    pf.ReLUNetwork.random((2, 3, 1), rng=0).save(path)
    before = path.read_bytes()
    link.symlink_to(path)
    for name in (path, link):
        assert ends(argv[0], path, *argv[1:], name, "-q") == 4
        assert "this is the file that is read" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_picture_of_a_window_says_of_how_many_regions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr(outputs, "write_figure", lambda figure, path: titles.append(figure.axes[0].get_title()))
    code, out, _ = run(capsys, "demo", "--json", "--plot", tmp_path / "demo.png")
    regions = json.loads(out)["f_vector"][-1]
    assert code == 0
    assert titles == [f"a window with 304 of {regions} regions"]
