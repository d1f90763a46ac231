"""The commands about one complex, on real files."""

from __future__ import annotations

import json
import re

import pytest

import polyfiber as pf

from .test_app import DATA, run


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


def test_demo(capsys) -> None:
    code, out, _ = run(capsys, "demo", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["verified"] is True
    assert answer["balancing_residual"] < 1e-9
