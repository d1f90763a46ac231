"""Trees of signs and inputs as evidence: proved again, kept in files, in parts; and what is damaged proves nothing false."""

from __future__ import annotations

import base64
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.programs import Programs, split_signs
from polyfiber.bounds.settle import root_bounds
from polyfiber.bounds.signs import SignSearch
from polyfiber.bounds.tree import OUTSIDE, PROVED, Tree
from polyfiber.budget import Budget, Monitor
from polyfiber.equivalence.bounds.near_equal import Question
from polyfiber.equivalence.checks.leaves import prove_leaves
from polyfiber.equivalence.checks.near import prove_in_parts, recheck_near
from polyfiber.equivalence.saved import load_answer, save_answer
from polyfiber.errors import FileFormatError
from polyfiber.verdict import Verdict
from tests.oracles.flats import fractions, largest_gap

pytestmark = pytest.mark.usefixtures("forked")


def proved(question: Question, programs: bool) -> Tree | None:
    """The tree of a search on signs, by multipliers or by programs."""
    search = question.search()
    monitor, root = Monitor(Budget(seconds=10)), root_bounds(search)
    if programs or question.rows is not None:
        return split_signs(Programs(question.sides, *question.box, root, question.rows), question.groups, monitor).tree
    return SignSearch(search, root).run(monitor).tree


def damaged(rng: Any, tree: Tree) -> list[int]:
    """The codes of a tree with something changed."""
    codes = tree.packed().tolist()
    kind, at = int(rng.integers(7)), int(rng.integers(len(codes)))
    names = len(tree.lo) + 2 * tree.neurons + 1
    if kind == 0:  # something left out
        del codes[at]
    elif kind == 1:  # a leaf for all that lies below a node
        end, missing = at, 1
        while missing:
            missing += 1 if codes[end] >= 0 else -1
            end += 1
        codes[at:end] = [PROVED]
    elif kind == 2:  # another split
        inner = [k for k, code in enumerate(codes) if code >= 0]
        for k in inner[int(rng.integers(max(len(inner), 1))) :][: int(rng.integers(1, 4))]:
            codes[k] = int(rng.integers(names))
    elif kind == 3:  # the sign of f for that of g
        codes = [
            code + tree.neurons if len(tree.lo) <= code < len(tree.lo) + tree.neurons and rng.random() < 0.5 else code
            for code in codes
        ]
    elif kind == 4:
        codes = [OUTSIDE if code == PROVED and rng.random() < 0.5 else code for code in codes]
    elif kind == 5:  # halves change places
        codes = codes[:1] + codes[:0:-1]
    else:
        codes = [int(v) for v in rng.integers(-4, names, len(codes))]
    return codes


def attacked(rng: Any, limit: float = 0.3) -> str:
    """'right' where a tree proves an epsilon just above the largest gap, and no damaged one an epsilon just below."""
    flat = bool(rng.random() < 0.3)
    f = pf.ReLUNetwork.random((2, int(rng.integers(2, 6)), int(rng.integers(2, 5)), int(rng.integers(1, 3))), rng=rng)
    noise = float(10.0 ** rng.uniform(-3, 0))
    g = pf.ReLUNetwork([W + noise * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    domain: Any = pf.Box(-1 - rng.random(2), 1 + rng.random(2))
    if flat:
        domain = pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0.5, 0.25, 1])
    top = float(largest_gap(f, g, domain, fractions([[1, 0, 0], [0, 1, 0]])))
    above, below = (Question.of(f, g, domain, top * (1 + s)) for s in (1e-4, -1e-6))
    tree = proved(above, bool(rng.random() < 0.5))
    if tree is None:
        return "skipped"
    found = prove_leaves(above.sides, above.groups, tree, above.rows, monitor=Monitor(Budget(seconds=20)))
    if not found.complete:
        return f"undecided: {found}"
    for trial in range(6):
        try:
            codes = damaged(rng, tree) if trial else tree.packed().tolist()
            other = Tree.unpacked(tree.lo, tree.hi, np.array(codes), tree.neurons)
        except FileFormatError:
            continue
        found = prove_leaves(below.sides, below.groups, other, below.rows, monitor=Monitor(Budget(seconds=limit)))
        if found.complete:
            return f"WRONG: {codes} proves less than the largest gap"
        parts = [
            prove_leaves(
                below.sides, below.groups, other, below.rows, monitor=Monitor(Budget(seconds=limit)), part=(i, 3)
            )
            for i in range(3)
        ]
        if all(part.complete for part in parts):
            return f"WRONG: parts of {codes} prove less than the largest gap"
    return "right"


@pytest.mark.parametrize("seed", range(6))
def test_damaged_trees_prove_nothing_false(seed: int) -> None:
    assert attacked(np.random.default_rng(seed), 0.05) in ("right", "skipped")


@pytest.fixture(scope="module")
def answer() -> pf.Equivalence:
    """A YES by signs, for two outputs."""
    rng = np.random.default_rng(4)
    f = pf.ReLUNetwork.random((4, 8, 6, 2), rng=rng)
    g = pf.ReLUNetwork([W + 0.02 * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    box = pf.Box(-0.5, 0.5, dimension=4)
    epsilon = 1.6 * pf.difference(f, g, box, method="bound", budget=Budget(seconds=10)).maximum
    question = Question.of(f, g, box, epsilon)
    tree = proved(question, programs=False)
    assert tree is not None
    near = question.answer(replace(question.search()._outcome("proved", ""), tree=tree))
    return pf.Equivalence(
        f, g, Verdict.YES, "boxes", near.reason, 0.0, near=near, domain=box, epsilon=epsilon, bound=near.bound
    )


def test_signs_are_kept_and_proved_again(answer: pf.Equivalence, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    save_answer(answer, file)
    back = load_answer(file)
    assert answer.near is not None
    assert back.near is not None
    assert back.near.tree.neurons == 14
    assert back.near.tree.packed().tolist() == answer.near.tree.packed().tolist()
    told: list[Any] = []
    found, leaves = recheck_near(back.near, monitor=Monitor(Budget(seconds=60), told.append))
    assert found.verdict is Verdict.YES
    assert leaves is not None
    assert leaves.complete
    assert leaves.boxes == back.near.tree.n_leaves
    assert leaves.share == pytest.approx(1.0)
    assert told
    assert back.verify(budget=Budget(seconds=60), workers=2)
    with ThreadPoolExecutor(2) as threads:
        assert back.verify(budget=Budget(seconds=60), scheduler=threads)


def test_what_was_not_reached_is_said(answer: pf.Equivalence) -> None:
    assert answer.near is not None
    found, leaves = recheck_near(answer.near, monitor=Monitor(Budget(seconds=0.0)))
    assert found.verdict is Verdict.UNDECIDED
    assert leaves is not None
    assert not leaves.complete
    assert leaves.boxes < answer.near.tree.n_leaves
    assert "the time ended after" in found.reason


def test_changed_files(answer: pf.Equivalence, tmp_path: Path) -> None:
    """A claim that is false is not confirmed; a tree that is none is one clear error."""
    file = tmp_path / "answer.json"
    save_answer(answer, file)
    text = json.loads(file.read_text())
    lower = {**text, "epsilon": [(0.9 / 1.6 * float(answer.epsilon)).hex()]}
    file.write_text(json.dumps(lower))
    assert load_answer(file).recheck(budget=Budget(seconds=1)).verdict is not Verdict.YES
    raw = zlib.decompress(base64.b64decode(text["boxes"]["codes"]))

    def coded(data: bytes) -> str:
        return base64.b64encode(zlib.compress(data)).decode()

    changes: list[Any] = [
        {"neurons": 13}, {"neurons": -1}, {"neurons": "14"}, {"neurons": 0}, {"bytes": 3}, {"codes": coded(raw[:-1])},
        {"codes": coded(raw[1:])}, {"codes": coded(raw + raw)}, {"codes": coded(b"")}, {"codes": text["boxes"]["codes"][:-8]},
        {"codes": coded(bytes([100]) + raw[1:])}, {"codes": None}, {"bytes": 2},
    ]  # fmt: skip
    for change in changes:
        file.write_text(json.dumps({**text, "boxes": {**text["boxes"], **change}}))
        with pytest.raises(FileFormatError):
            load_answer(file)
    for name, value in (("relative", None), ("version", 4), ("domain", None), ("boxes", [])):
        file.write_text(json.dumps({**text, name: value}))
        with pytest.raises(FileFormatError):
            load_answer(file)


def test_trees_made_by_hand_that_are_none(answer: pf.Equivalence) -> None:
    near = answer.near
    assert near is not None
    question = Question.of(answer.a, answer.b, near.domain, 1e-9)
    tree, sizes = near.tree, len(near.tree.split)
    backwards = np.where(tree.split >= 0, np.maximum(tree.child - 1, 0), 0)
    some: list[tuple[Any, Any, int]] = [
        (tree.split, np.zeros(sizes, dtype=int), 14), (tree.split, backwards, 14), (tree.split, tree.child, 13),
        (np.full(sizes, PROVED), tree.child, 14), (np.full(sizes, -9), tree.child, 14), (tree.split + 200, tree.child, 14),
        (np.zeros(0, dtype=int), np.zeros(0, dtype=int), 14), ([4, PROVED, PROVED], [1, 0, 0], 0),
    ]  # fmt: skip
    for split, child, neurons in some:
        made = Tree(tree.lo, tree.hi, np.array(split), np.array(child), neurons)
        found = prove_leaves(question.sides, question.groups, made, None, monitor=Monitor(Budget(seconds=1)))
        assert not found.complete
        assert found.failed
    smaller = replace(near, tree=Tree(tree.lo * 0.1, tree.hi * 0.1, tree.split, tree.child, tree.neurons))
    found = prove_in_parts(Question.of(answer.a, answer.b, near.domain, near.epsilon), smaller, Monitor())
    assert "another box" in found.failed
    codes, child = [32, 32, PROVED, 32, *[PROVED] * 3], [1, 3, 0, 5, 0, 0, 0]
    made = Tree(tree.lo, tree.hi, np.array(codes), np.array(child), 14)
    found = prove_leaves(question.sides, question.groups, made, None, monitor=Monitor(Budget(seconds=5)))
    assert "single" in found.failed
