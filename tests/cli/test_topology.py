"""The commands levelset and boundary: text and JSON say the same, files are written, bad input has one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import polyfiber as pf
from polyfiber.cli.app import app

DATA = Path(__file__).parents[2] / "data"


def run(*argv: str):
    return CliRunner().invoke(app, list(argv))


def test_levelset_agrees_with_the_library(tmp_path: Path) -> None:
    file = str(DATA / "iris_petals.onnx")
    found = run("levelset", file, "--value", "1/3", "--box", "0,8,-1,4", "--verify", "--json")
    assert found.exit_code == 0
    facts = json.loads(found.stdout)
    curve = pf.canonical_complex(pf.read_network(file), pf.Box([0, -1], [8, 4])).level_set(1 / 3)
    assert facts["f_vector"] == list(curve.f_vector)
    assert facts["verified"]
    text = run("levelset", file, "--value", "1/3", "--box", "0,8,-1,4", "--quiet")
    assert str(curve.f_vector[1]) in text.stdout
    picture = tmp_path / "p.png"
    assert run("levelset", file, "--box", "0,8,-1,4", "--plot", str(picture), "--side", "below").exit_code == 0
    assert picture.stat().st_size > 1000


def test_boundary_names_the_classes_that_meet(tmp_path: Path) -> None:
    mesh = tmp_path / "b.obj"
    found = run("boundary", str(DATA / "iris_petals.onnx"), "--box", "0,8,-1,4", "--json", "--save", str(mesh))
    facts = json.loads(found.stdout)
    assert set(facts["pairs_that_meet"]) == {"0 and 1", "0 and 2", "1 and 2"}
    assert sum(facts["pairs_that_meet"].values()) == facts["f_vector"][1]
    assert mesh.read_text().count("\nl ") == facts["f_vector"][1]
    assert facts["size"] > 0


def test_caps_close_the_mesh(tmp_path: Path) -> None:
    file, box = str(DATA / "torus_distance.onnx"), "-0.9,0.9,-0.9,0.9,-0.4,0.4"  # cuts the torus open
    cx = pf.canonical_complex(pf.read_network(file), pf.Box([-0.9, -0.9, -0.4], [0.9, 0.9, 0.4]))
    polygons = {}
    for cap in ([], ["--cap", "below"], ["--cap", "above"]):
        mesh = tmp_path / "s.obj"
        assert run("levelset", file, "--box", box, "--save", str(mesh), *cap).exit_code == 0
        polygons[cap[-1] if cap else None] = mesh.read_text().count("\nf ")
    assert polygons[None] == cx.level_set().mesh().n_polygons
    assert polygons["below"] == cx.level_set().mesh(cap="below").n_polygons > polygons[None]
    assert polygons["above"] == cx.level_set().mesh(cap="above").n_polygons > polygons[None]
    mesh = tmp_path / "b.obj"
    assert run("boundary", file, "--box", box, "--save", str(mesh), "--cap", "1").exit_code == 0
    assert mesh.read_text().count("\nf ") == polygons["above"]  # a binary head: class 1 is f >= 0
    for wrong in (["--cap", "below"], ["--cap", "up"], ["--cap", "above", "--side", "below", "--save", str(mesh)]):
        assert run("levelset", file, "--box", box, *wrong).exit_code == 2, wrong
    assert run("boundary", file, "--box", box, "--cap", "1").exit_code == 2


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--output", "7"], "output 7 does not exist"),
    ],
)
def test_bad_input_has_one_line(argv: list[str], text: str) -> None:
    found = run("levelset", str(DATA / "iris_petals.onnx"), *argv)
    assert isinstance(found.exception, pf.errors.InputError)
    assert text in str(found.exception)


def test_a_mesh_has_one_of_three_endings() -> None:
    found = run("levelset", str(DATA / "iris_petals.onnx"), "--save", "x.stl")
    assert found.exit_code == 2
    assert "should end in one of .obj, .ply, .vtu" in found.output


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **options: object) -> None:
        raise AssertionError("enumerated first")

    monkeypatch.setattr("polyfiber.complexes.build.canonical_complex", never)
    for inputs, option, name, text in (
        (4, "--save", "m.ply", "the network has 4 inputs"),
        (1, "--save", "m.ply", "the network has 1 input"),
        (1, "--plot", "m.png", "the network has 1 input"),
        (3, "--plot", "m.png", "the network has 3 inputs"),
    ):
        file, target = tmp_path / f"{inputs}.npz", tmp_path / name
        pf.ReLUNetwork.random((inputs, 5, 1), rng=0).save(file)
        for command in ("levelset", "boundary"):
            found = run(command, str(file), option, str(target))
            assert isinstance(found.exception, pf.errors.InputError)
            assert str(found.exception).endswith(text)
            assert not target.exists()


def test_the_answer_is_printed_where_there_is_nothing_to_write(tmp_path: Path) -> None:
    file, target = tmp_path / "n.npz", tmp_path / "e.ply"
    pf.ReLUNetwork([[[1.0, 0], [-1, 0], [0, 1]], [[1.0, 1, 1]]], [[0.0] * 3, [0.0]]).save(file)
    found = run("levelset", str(file), "--value", "-9", "--box", "-2,2,-2,2", "--save", str(target), "--json")
    assert isinstance(found.exception, pf.errors.InputError)
    assert json.loads(found.stdout)["f_vector"] == []
    assert not target.exists()


def test_a_choice_that_does_not_exist_is_a_usage_error() -> None:
    for wrong in (("--side", "up"), ("--field", "3"), ("--support", "open"), ("--value", "nan"), ("--box", "x")):
        assert run("levelset", str(DATA / "iris_petals.onnx"), *wrong).exit_code == 2, wrong
