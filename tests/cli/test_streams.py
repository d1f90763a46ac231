"""Streaming and counting by blocks on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import polyfiber as pf
from polyfiber.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    try:
        main([str(a) for a in argv])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.npz"
    pf.ReLUNetwork.random((3, 30, 30, 1), rng=0).save(path)
    return path


def test_stream_resume_and_read(capsys: pytest.CaptureFixture[str], tmp_path: Path, file: Path) -> None:
    place = tmp_path / "cells"
    truth = pf.face_counts(pf.read_network(file))
    options = ("complex", file, "--stream", place, "--format", "npz", "--dims", "all", "--memory", "50MB")
    code, out, err = run(capsys, *options, "--seconds", "0")
    assert code == 3
    assert "NOT complete" in out
    assert "missing: everything" in out
    assert "nothing of the budget was left" in err
    code, out, _ = run(capsys, *options, "--resume", "--json", "--verify")
    answer = json.loads(out)
    assert code == 0
    assert answer["complete"]
    assert answer["verified"]
    assert answer["f_vector"] == list(truth)
    assert answer["missing"] == []
    store = pf.read_cells(place)
    assert store.check() == []
    assert store.dims == (0, 1, 2, 3)
    code, out, _ = run(capsys, *options, "--resume")
    assert code == 0
    assert "complete" in out
    code, _, err = run(capsys, *options)
    assert code == 4
    assert "resume" in err


def test_wrong_options(capsys: pytest.CaptureFixture[str], tmp_path: Path, file: Path) -> None:
    for extra in (("--format", "csv"), ("--dims", "x"), ("--workers", "0")):
        assert run(capsys, "complex", file, "--stream", tmp_path / "cells", *extra)[0] == 2, extra
    code, _, err = run(capsys, "complex", file, "--stream", tmp_path / "cells", "--dims", "9")
    assert code == 4
    assert err.startswith("polyfiber:")
    code, out, _ = run(capsys, "complex", file, "--stream", tmp_path / "cells", "--format", "npz", "--memory", "1MB")
    assert code == 3
    assert "too little" in out


def test_counting_by_blocks(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    code, out, _ = run(capsys, "complex", file, "--count", "--workers", "2", "--json")
    assert code == 0
    assert json.loads(out)["f_vector"] == list(pf.face_counts(pf.read_network(file)))
    code, out, _ = run(capsys, "complex", file, "--count", "--workers", "2", "--json", "--seconds", "0.01")
    answer = json.loads(out)
    assert code == 3
    assert not answer["complete"]
    assert answer["missing"]
    for how in (("--count",), ("--stream", file.parent / "cells", "--format", "npz")):
        code, out, err = run(capsys, "complex", file, *how, "--seconds", "0.01", "-q")
        assert (code, err) == (3, "")
        assert out.startswith(("NOT complete", "Not finished"))


def test_info_with_pilots(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    code, out, _ = run(capsys, "info", file, "--pilots", "4", "--json")
    assert code == 0
    assert len(json.loads(out)["estimate"]["f_vector"]) == 4
    code, out, _ = run(capsys, "info", file, "--pilots", "4")
    assert "estimated 3-faces" in out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_shows_what_is_complete(tmp_path: Path, workers: int) -> None:
    path, place = tmp_path / "large.npz", tmp_path / "cells"
    pf.ReLUNetwork.random((3, 128, 128, 1), rng=0).save(path)
    argv = [sys.executable, "-m", "polyfiber", "complex", str(path), "--stream", str(place), "--format", "npz"]
    process = subprocess.Popen(
        [*argv, "--workers", str(workers), "--memory", "200MB", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in background jobs
    )
    journal = place / "blocks.jsonl"
    until = time.monotonic() + 120
    while time.monotonic() < until and not (journal.exists() and journal.read_bytes().count(b"\n")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    answer = json.loads(out)
    assert not answer["complete"]
    assert answer["blocks"] >= 1
    assert answer["missing"][0]["A"]
    assert pf.read_cells(place).check() == []
