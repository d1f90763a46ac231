"""The commands equiv and dedupe: exit codes, JSON, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import polyfiber as pf
from polyfiber.cli.app import main
from polyfiber.equivalence.collections.collection import write_parquet
from polyfiber.network.moves import random_trivial


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


@pytest.fixture
def files(tmp_path: Path) -> Path:
    a = pf.ReLUNetwork.random((3, 3, 2, 2), rng=0)
    a.save(tmp_path / "a.npz")
    random_trivial(a, rng=1)(a).save(tmp_path / "b.npz")
    pf.ReLUNetwork.random((3, 3, 2, 2), rng=2).save(tmp_path / "c.npz")
    pf.ReLUNetwork([*a.weights[:-1], a.weights[-1] * (1 + 1e-6)], a.biases).save(tmp_path / "d.npz")
    pf.ReLUNetwork.random((2, 3, 2), rng=2).save(tmp_path / "small.npz")
    return tmp_path


def test_equiv(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "equiv", files / "a.npz", files / "b.npz", "--json")
    answer = json.loads(out)
    assert (code, answer["verdict"], answer["method"]) == (0, "yes", "canonical form")
    assert len(answer["moves"]) == 4
    code, out, _ = run(capsys, "equiv", files / "a.npz", files / "d.npz", "--json")
    answer = json.loads(out)
    assert (code, answer["verdict"]) == (1, "no")
    assert answer["witness"]["gap"] > 0
    code, out, _ = run(capsys, "equiv", files / "a.npz", files / "d.npz", "--tolerance", "1e-4", "-q")
    assert code == 0
    assert "equivalent" in out
    code, out, _ = run(
        capsys,
        "equiv",
        files / "a.npz",
        files / "d.npz",
        "--domain",
        "-1,1",
        "--epsilon",
        "1e-3",
        "--difference",
        "--json",
    )
    answer = json.loads(out)
    assert code == 0
    assert answer["difference"]["complete"]
    assert 0 < answer["difference"]["maximum"] < 1e-3
    code, out, _ = run(capsys, "equiv", files / "a.npz", files / "c.npz", "--domain", "-1,1", "--top1", "-q")
    assert code == 1
    assert "disagree" in out


def test_answers_are_checked_again_on_request(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for other, code, domain in (("b.npz", 0, None), ("c.npz", 1, None), ("b.npz", 0, "-1,1"), ("b.npz", 0, "top1")):
        more = [] if domain is None else ["--domain", "-1,1", *(["--top1"] if domain == "top1" else [])]
        found, out, _ = run(capsys, "equiv", files / "a.npz", files / other, *more, "--verify", "--json")
        assert found == code
        assert json.loads(out)["recheck"]["verdict"] == "yes"
    assert "confirmed" in run(capsys, "equiv", files / "a.npz", files / "b.npz", "--verify", "-q")[1]


def test_undecided_says_what_was_proved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = pf.ReLUNetwork.random((4, 24, 24, 2), rng=0)
    a.save(tmp_path / "a.npz")
    pf.ReLUNetwork([w * (1 + 3e-10) for w in a.weights], a.biases).save(tmp_path / "b.npz")
    code, out, _ = run(
        capsys, "equiv", tmp_path / "a.npz", tmp_path / "b.npz", "--tolerance", "1e-10", "--seconds", "0", "--json"
    )
    answer = json.loads(out)
    assert code in (1, 3)
    if code == 3:
        assert answer["everywhere"]["slope"] < 1e-6
        assert "proved" in answer


def test_equiv_refuses_bad_input_in_one_line(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("a.npz", "small.npz"), ("a.npz", "missing.npz")):
        code, out, err = run(capsys, "equiv", *(files / name for name in arguments))
        assert code == 4
        assert out == ""
        assert len(err.strip().splitlines()) == 1
    code, _, err = run(capsys, "equiv", files / "a.npz", files / "c.npz", "--epsilon", "0.1")
    assert code == 2
    assert "--domain" in err


def test_equiv_shares_boxes_of_epsilon_alone(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = files / "a.npz", files / "d.npz"
    near = "--domain", "-1,1", "--epsilon", "1e-3"
    code, out, _ = run(capsys, "equiv", *pair, *near, "--workers", "2", "--verify", "--json")
    assert code == 0
    assert json.loads(out)["recheck"]["verdict"] == "yes"
    for options in (("-w", "2"), ("--domain", "-1,1", "--workers", "2"), ("--domain", "-1,1", "--scheduler", "x")):
        code, _, err = run(capsys, "equiv", *pair, *options)
        assert code == 2
        assert "--epsilon" in err
    code, _, err = run(capsys, "equiv", *pair, "--domain", "-1,1", "--epsilon", "0", "-w", "2")
    assert code == 2
    code, _, err = run(capsys, "equiv", *pair, *near, "--workers", "2", "--scheduler", "tcp://127.0.0.1:1")
    assert code == 2
    assert "workers of its own" in err
    code, _, err = run(capsys, "equiv", *pair, *near, "-w", "0")
    assert code == 2


def test_dedupe(files: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "dedupe", files, "--json", "--write", tmp_path / "kept")
    answer = json.loads(out)
    assert code == 0
    assert answer["labels"] == [0, 0, 1, 2, 3]
    assert answer["classes"][0]["members"] == ["a.npz", "b.npz"]
    assert sorted(f.name for f in (tmp_path / "kept").iterdir()) == [f"class{i:06d}.npz" for i in range(4)]
    code, _, err = run(capsys, "dedupe", files, "--write", tmp_path / "kept")  # what is there is not replaced
    assert code == 4
    assert "class000000.npz already" in err
    code, out, _ = run(capsys, "dedupe", files / "kept", "-q")
    assert code == 0
    assert "4 networks, 4 classes" in out
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(capsys, "dedupe", empty)[0] == 4
    assert run(capsys, "dedupe", tmp_path / "nowhere")[0] == 4


def test_dedupe_goes_on_where_files_cannot_be_read(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "aa.onnx").write_text("nothing")
    code, out, err = run(capsys, "dedupe", files, "--json")
    answer = json.loads(out)
    assert code == 4
    assert answer["networks"] == 5
    assert list(answer["unreadable"]) == ["aa.onnx"]
    assert answer["labels"] == [0, -1, 0, 1, 2, 3]
    assert "aa.onnx" in err


def test_long_points_and_moves_are_shortened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = pf.ReLUNetwork.random((30, 20, 2), rng=0)
    a.save(tmp_path / "a.npz")
    random_trivial(a, rng=1)(a).save(tmp_path / "b.npz")
    pf.ReLUNetwork.random((30, 20, 2), rng=1).save(tmp_path / "c.npz")
    code, out, _ = run(capsys, "equiv", tmp_path / "a.npz", tmp_path / "b.npz", "-q")
    assert code == 0
    assert "whole with --json" in out
    assert "counts neurons in the network that those before it left" in out
    code, out, _ = run(capsys, "equiv", tmp_path / "a.npz", tmp_path / "c.npz", "-q")
    assert code == 1
    assert "30 coordinates" in out
    code, out, _ = run(capsys, "equiv", tmp_path / "a.npz", tmp_path / "c.npz", "--json")
    assert len(json.loads(out)["witness"]["input"]) == 30


def test_addresses(files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection may be the table of a dataset in a bucket; all else lies on this machine, and no folder is made for it."""
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("pyarrow")
    write_parquet([pf.read_network(files / "a.npz"), pf.read_network(files / "b.npz")], files / "n.parquet")
    fsspec.filesystem("memory").put_file(str(files / "n.parquet"), "/ours/networks/part-00000.parquet")
    (files / "n.parquet").unlink()
    (files / "empty").mkdir()
    monkeypatch.chdir(files / "empty")
    try:
        code, out, _ = run(capsys, "dedupe", "memory://ours/networks", "--json", "--write", files / "kept")
        assert (code, json.loads(out)["n_classes"]) == (0, 1)
        assert [p.name for p in (files / "kept").iterdir()] == ["class000000.npz"]
    finally:
        fsspec.filesystem("memory").rm("/ours", recursive=True)
    here = "lies on this machine, found an address of s3://"
    for line in (
        ["dedupe", files, "--write", "s3://b/x"], ["verify", "s3://b/x.npz"], ["info", "s3://b/x.npz"],
        ["minimize", files / "small.npz", "--output", "s3://b/x.npz"],
        ["report", files / "small.npz", "--output", "s3://b/x.html"],
    ):  # fmt: skip
        code, _, err = run(capsys, *line)
        assert (code, here in err, "'s3://b/x" in err) == (4, True, True), err
    assert not list(Path.cwd().iterdir())
