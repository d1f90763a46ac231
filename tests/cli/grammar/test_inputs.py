"""Slices through inputs from files, on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from polyfiber.cli.app import app
from polyfiber.cli.grammar.inputs import read_input
from polyfiber.errors import InputError

DATA = Path(__file__).resolve().parents[3] / "data"
NET = str(DATA / "iris_petals_leaky.onnx")


def run(*argv: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in argv])


@pytest.fixture
def points(tmp_path: Path) -> list[str]:
    np.save(tmp_path / "a.npy", np.array([0.0, 0.0]))
    np.save(tmp_path / "all.npy", np.array([[1.0, 1.0], [8.0, 0.0], [0.0, 4.0]]))
    return [str(tmp_path / name) for name in ("a.npy", "all.npy:1", "all.npy:2")]


def test_through_inputs(points: list[str], tmp_path: Path) -> None:
    found = run(
        "slice", NET, "--through", *points, "--json", "--ball", "1", "--level", "0", "--plot", tmp_path / "s.png"
    )
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    assert document["euler_characteristic"] == 1
    assert document["f_vector"][2] == document["blocks"][-1]["regions"]
    assert document["blocks"][-1]["in_ball"] > 0
    assert (tmp_path / "s.png").stat().st_size > 1000
    text = run("slice", NET, "--through", *points)
    assert str(document["f_vector"][2]) in text.stdout


def test_between_inputs_and_other_gates(points: list[str]) -> None:
    document = json.loads(run("slice", NET, "--between", *points[:2], "--json").stdout)
    assert document["f_vector"][0] == document["f_vector"][1] + 1
    whole = json.loads(run("slice", NET, "--domain", "0,8", "--json").stdout)
    assert whole["euler_characteristic"] == 1


def test_images(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    names = []
    for k in range(3):
        names.append(str(tmp_path / f"{k}.png"))
        image.fromarray(rng.integers(0, 256, (8, 8)).astype(np.uint8)).save(names[-1])
    document = json.loads(
        run("slice", DATA / "digits_bottleneck.onnx", "--through", *names, "--scale", "16", "--json").stdout
    )
    assert document["euler_characteristic"] == 1


def test_bad_inputs(points: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("no numbers")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    np.save(tmp_path / "long.npy", np.zeros(3))
    for third, message in (
        ("nothing.npy", "no file"),
        ("text.npy", "neither"),
        ("words.npy", "expected numbers"),
        ("long.npy", "2 numbers"),
        ("all.npy:7", "no row 7"),
        ("all.npy", "2 numbers"),
        ("all.npy:0", "one line"),
    ):
        found = run("slice", NET, "--through", points[0], tmp_path / "all.npy:0", tmp_path / third)
        assert found.exit_code != 0
        assert message in str(found.exception) + found.output, third
    assert run("slice", NET, "--through", *points, "--axes", "0,1").exit_code == 2
    assert run("slice", NET, "--scale", "2").exit_code == 2
    assert run("slice", NET, "--through", *points, "--scale", "0").exit_code == 2


def test_images_of_16_bits_are_not_cut_at_255(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    values = np.array([[0, 1000], [30000, 65535]], dtype=np.uint16)
    image.fromarray(values).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_input(tmp_path / "grey.png", (1, 2, 2), 65535.0), values.ravel())
    image.fromarray(values.astype(np.float32)).save(tmp_path / "floats.tif")
    for name, shape in (("grey.png", (3, 2, 2)), ("floats.tif", (1, 2, 2))):
        with pytest.raises(InputError, match="8-bit"):
            read_input(tmp_path / name, shape, 1.0)


def test_rows_are_counted_from_the_end_too(tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(read_input(tmp_path / "many.npy:-1", (2,), 1.0), [4.0, 5.0])
    with pytest.raises(InputError, match="no row -4"):
        read_input(tmp_path / "many.npy:-4", (2,), 1.0)
