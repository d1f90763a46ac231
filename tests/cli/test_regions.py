"""The commands for networks that are too large to enumerate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf

from .test_app import run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.npz"
    pf.ReLUNetwork.random((3, 10, 8, 1), rng=0).save(path)
    return path


def test_explore(capsys: pytest.CaptureFixture[str], tmp_path: Path, file: Path) -> None:
    net = pf.read_network(file)
    found = tmp_path / "found.npz"
    code, out, _ = run(capsys, "explore", file, "--at", "0", "--at", "1,2,3", "--save", found, "--json")
    assert code == 0
    facts = json.loads(out)
    cx = pf.canonical_complex(net)
    assert (facts["complete"], facts["closed"], facts["open"]) == (True, cx.n_regions, 0)
    with np.load(found) as data:
        assert {row.tobytes() for row in data["signs"]} == {row.tobytes() for row in cx.signs(3)}
    code, out, _ = run(capsys, "explore", file, "--regions", "5", "--order", "nearest", "--box=-1,1", "-q")
    assert code == 0
    assert "complete\tno" in out
    code, out, _ = run(capsys, "explore", file, "--seconds", "0", "--json")
    assert code == 3
    assert not json.loads(out)["complete"]
    for wrong in (("--at", "1,2"), ("--save", tmp_path / "absent" / "a.npz")):
        code, out, err = run(capsys, "explore", file, *wrong)
        assert (code, out) == (4, "")
        assert err.count("\n") == 1
    for wrong in (("--order", "best"), ("--at", "x"), ("--regions", "0")):
        assert run(capsys, "explore", file, *wrong)[:2] == (2, "")


def test_slices_along_directions(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    net = pf.read_network(file)
    code, out, _ = run(
        capsys, "slice", file, "--along", "1,0,2;0,1,0.5", "--origin", "0.5,0,0", "--box", "none", "--json"
    )
    assert code == 0
    assert json.loads(out)["f_vector"] == list(pf.slice_complex(net, [0.5, 0, 0], [[1, 0, 2], [0, 1, 0.5]]).f_vector)
    each = ("--along", "1,0,2", "--along", "0,1,0.5")
    apart = run(capsys, "slice", file, *each, "--origin", "0.5,0,0", "--box", "none", "--json")
    assert json.loads(apart[1])["f_vector"] == json.loads(out)["f_vector"]
    assert run(capsys, "slice", file, "--along", "x")[:2] == (2, "")
    assert run(capsys, "slice", file, "--along", "1,0,0", "--axes", "0")[:2] == (2, "")
    assert run(capsys, "slice", file, "--along", "1,0,0;0,1,0;0,0,1;1,1,1")[:2] == (2, "")
    for wrong in ("1,0", "1,0,0;2,0,0"):
        code, out, err = run(capsys, "slice", file, "--along", wrong)
        assert (code, out) == (4, "")
        assert err.count("\n") == 1


def test_paths(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    net = pf.read_network(file)
    code, out, _ = run(capsys, "segment", file, "--from=-1", "--to", "1", "--to", "1,0,-1", "--json")
    assert code == 0
    parts = json.loads(out)["segments"]
    path = pf.path_regions(net, [[-1.0] * 3, [1.0] * 3, [1.0, 0.0, -1.0]])
    assert [part["pieces"] for part in parts] == [s.n_regions for s in path.segments]
    code, out, _ = run(capsys, "segment", file, "--from=-1", "--to", "1", "--json")
    assert json.loads(out)["pieces"] == path.segments[0].n_regions


def test_what_fits_on_a_box(capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path) -> None:
    code, out, _ = run(capsys, "info", file, "--box=-1,1", "--pilots", "4", "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["estimate"]["exact"]
    assert facts["estimate"]["f_vector"] == list(pf.face_counts(pf.read_network(file), pf.Box(-1, 1, dimension=3)))
    large = tmp_path / "large.npz"
    pf.ReLUNetwork.random((40, 50, 20, 1), rng=0).save(large)
    code, out, err = run(capsys, "info", large, "--pilots", "4", "--seconds", "0.1", "--json")
    assert code == 3
    assert json.loads(out)["estimate"] is None
    assert "two pilots" in err
    assert run(capsys, "info", large, "--pilots", "4", "--seconds", "0.1", "--json", "-q")[2] == ""
