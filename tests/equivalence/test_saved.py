"""Answers in files are claims: what is read back is checked, and what was changed is noticed."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.cli.app import main
from polyfiber.equivalence.saved import load_answer, save_answer
from polyfiber.errors import FileFormatError
from polyfiber.network.moves import random_trivial
from polyfiber.verdict import Verdict


def answers() -> list[pf.Equivalence]:
    a = pf.ReLUNetwork.random((2, 4, 3, 1), rng=0)
    b = random_trivial(a, rng=1)(a)
    other = pf.ReLUNetwork([*a.weights[:-1], a.weights[-1] * 1.5], a.biases)
    box, triangle = pf.Box(-1, 1, dimension=2), pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, Fraction(1, 3)])
    exact = a.exact()
    return [
        pf.are_equivalent(a, b), pf.are_equivalent(a, other), pf.are_equivalent(a, other, box, epsilon=100.0),
        pf.are_equivalent(exact, exact, tolerance=0), pf.are_equivalent(a, other, triangle),
    ]  # fmt: skip


def test_answers_are_read_back_and_hold(tmp_path: Path) -> None:
    for k, answer in enumerate(answers()):
        save_answer(answer, tmp_path / "answer.json")
        read = load_answer(tmp_path / "answer.json")
        assert (read.verdict, read.a, read.b, read.epsilon) == (answer.verdict, answer.a, answer.b, answer.epsilon), k
        assert read.recheck().verdict is Verdict.YES, k


def test_changed_claims_are_not_confirmed(tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    for answer in answers()[:2]:
        save_answer(answer, file)
        data = json.loads(file.read_text())
        data["verdict"] = "no" if data["verdict"] == "yes" else "yes"
        file.write_text(json.dumps(data))
        assert load_answer(file).recheck().verdict is not Verdict.YES


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"kind": "polyfiber answer", "version": 99}', '{"kind": "polyfiber answer", "version": 1}'],
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FileFormatError):
        load_answer(tmp_path / "x.json")


def test_the_command_tells_kinds_of_files_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    same, other, archive = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.npz"
    save_answer(pf.are_equivalent(net, net), same)
    pf.canonical_complex(net).save(archive)
    claim = pf.Equivalence(net, pf.ReLUNetwork.random((2, 4, 1), rng=1), Verdict.YES, "parameters", "", 1e-9)
    save_answer(claim, other)
    for file, code in ((same, 0), (archive, 0), (other, 1)):
        with pytest.raises(SystemExit) as ended:
            main(["verify", str(file), "--json"])
        assert ended.value.code == code
        found = json.loads(capsys.readouterr().out)
        assert found["verdict"] == ("yes" if code == 0 else "no")
    (tmp_path / "noise.bin").write_bytes(np.random.default_rng(0).bytes(100))
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path / "noise.bin")])
    assert ended.value.code == 4


def test_boxes_are_kept_and_proved_again(tmp_path: Path) -> None:
    f = pf.ReLUNetwork.random((3, 10, 8, 2), rng=0)
    g = pf.ReLUNetwork([W * (1 + 1e-3) for W in f.weights], f.biases)
    box = pf.Box(-1, 1, dimension=3)
    answer = pf.are_equivalent(f, g, box, epsilon=0.02)
    assert answer.verdict is pf.Verdict.YES
    assert answer.near is not None
    save_answer(answer, tmp_path / "answer.json")
    back = load_answer(tmp_path / "answer.json")
    assert back.near is not None
    assert back.near.tree.packed().tolist() == answer.near.tree.packed().tolist()
    assert back.verify(budget=pf.Budget(seconds=30))
    text = json.loads((tmp_path / "answer.json").read_text())
    smaller = {**text, "epsilon": [(1e-6).hex()]}
    (tmp_path / "false.json").write_text(json.dumps(smaller))
    assert load_answer(tmp_path / "false.json").recheck(budget=pf.Budget(seconds=5)).verdict is not pf.Verdict.YES
    for codes, what in (("!!", "answer"), (text["boxes"]["codes"][:8], "cut off|answer")):
        (tmp_path / "bad.json").write_text(json.dumps({**text, "boxes": {**text["boxes"], "codes": codes}}))
        with pytest.raises(pf.errors.FileFormatError, match=what):
            load_answer(tmp_path / "bad.json")


def test_a_part_of_the_output_that_is_allowed_is_kept(tmp_path: Path) -> None:
    a = pf.ReLUNetwork.random((2, 5, 2), rng=1)
    b = pf.ReLUNetwork([a.weights[0], a.weights[1] * 1.1], [a.biases[0], a.biases[1] * 1.1])
    box, file = pf.Box(-1, 1, dimension=2), tmp_path / "answer.json"
    for relative, verdict in ((0.2, Verdict.YES), (np.array([0.2, 1e-3]), Verdict.NO)):
        answer = pf.are_equivalent(a, b, box, epsilon=0.02, relative=relative)
        assert answer.verdict is verdict
        save_answer(answer, file)
        read = load_answer(file)
        assert read.verify()
        assert read.near is not None
        assert read.near.relative.tolist() == np.broadcast_to(relative, 2).tolist()
        data = json.loads(file.read_text())
        data["relative"] = [(1e-4).hex()] * 2 if verdict is Verdict.YES else [(0.5).hex()] * 2
        file.write_text(json.dumps(data))
        assert load_answer(file).recheck().verdict is Verdict.NO
        file.write_text(json.dumps({**data, "boxes": None}))
        with pytest.raises(FileFormatError, match="no boxes"):
            load_answer(file)
    answer = pf.are_equivalent(a, b, box, epsilon=1e-9, relative=0.1, budget=pf.Budget(seconds=0.1))
    save_answer(answer, file)
    assert load_answer(file).recheck().verdict is not Verdict.NO


def test_a_gap_beyond_floats(tmp_path: Path) -> None:
    f, g = (pf.ReLUNetwork([[[1e200]], [[k]]], [[0.0], [0.0]]) for k in (1e200, 2e200))
    for tolerance in (0, 1e-9):
        answer = pf.are_equivalent(f, g, pf.Box([0], [1]), tolerance=tolerance)
        save_answer(answer, tmp_path / "answer.json")
        assert load_answer(tmp_path / "answer.json").recheck().verdict is answer.recheck().verdict is Verdict.YES
