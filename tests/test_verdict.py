"""Three answers, of which one is not to be rounded."""

from __future__ import annotations

import copy
import pickle

import pytest

from polyfiber.errors import NumericalError
from polyfiber.verdict import Verdict


def test_verdicts_of_booleans() -> None:
    assert [Verdict.of(v) for v in (True, False, None)] == [Verdict.YES, Verdict.NO, Verdict.UNDECIDED]
    assert [Verdict(v) for v in ("yes", "no", "undecided")] == list(Verdict)


def test_an_open_question_has_no_truth_value() -> None:
    assert Verdict.YES
    assert not Verdict.NO
    for use in (bool, lambda v: v and True, lambda v: not v, lambda v: [1 for _ in "a" if v]):
        with pytest.raises(NumericalError, match="not decided"):
            use(Verdict.UNDECIDED)


def test_copies_are_the_same_member() -> None:
    for verdict in Verdict:
        assert copy.deepcopy(verdict) is verdict
        assert pickle.loads(pickle.dumps(verdict)) is verdict


def test_notebooks_show_the_word() -> None:
    shown = [verdict._repr_html_() for verdict in Verdict]
    assert len(set(shown)) == 3
    assert all(verdict.value in html.lower() for verdict, html in zip(Verdict, shown))
