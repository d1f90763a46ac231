"""The command prove: what is printed, exit codes, bad options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import polyfiber as pf

from .test_equivalence import run

TEXT = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 -1))(assert (>= Y_0 {}))"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]]).save(tmp_path / "f.npz")
    (tmp_path / "sat.vnnlib").write_text(TEXT.format(0.5))
    (tmp_path / "unsat.vnnlib").write_text(TEXT.format(1.5))
    return tmp_path


def test_statuses_and_exit_codes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "prove", files / "sat.vnnlib", "--network", files / "f.npz", "-q")
    assert code == 1
    assert out.startswith("sat\n((X_0 ")
    code, out, _ = run(capsys, "prove", files / "unsat.vnnlib", "--network", f"N={files / 'f.npz'}", "--json")
    assert (code, json.loads(out)["status"]) == (0, "unsat")


def test_two_networks(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("vnnlib")
    (files / "two.vnnlib").write_text(
        "(vnnlib-version <2.0>)"
        "(declare-network f (declare-input X float32 [1]) (declare-output Y float32 [1]))"
        "(declare-network g (equal-to f) (declare-input A float32 [1]) (declare-output B float32 [1]))"
        "(assert (<= X[0] 1.0))(assert (>= X[0] -1.0))(assert (== X[0] A[0]))(assert (> (- Y[0] B[0]) 0.01))"
    )
    code, out, err = run(capsys, "prove", files / "two.vnnlib", "--network", f"f={files / 'f.npz'}")
    assert (code, out.strip()) == (0, "unsat")
    assert "real arithmetic" in err


@pytest.mark.parametrize("option", ["g=f.npz", "N=", "f.npz=", "N=none.npz"])
def test_bad_networks(files: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    code, _, err = run(capsys, "prove", files / "sat.vnnlib", "--network", option)
    assert code == 4
    assert err.count("\n") == 1
