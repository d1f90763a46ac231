"""What an answer says and refuses to say, and exact equality of stored numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.answer import Difference, Equivalence, Recheck, exact_verdict
from polyfiber.equivalence.grounds import Bounded, SameParameters
from polyfiber.equivalence.witness import Witness
from polyfiber.errors import IncompleteError, NumericalError
from polyfiber.verdict import Verdict

NET = pf.ReLUNetwork.random((2, 3, 1), rng=0)
OTHER = pf.ReLUNetwork.random((2, 3, 1), rng=1)
GAP = Witness(np.array([0.5, 2.0]), (np.zeros(1), np.ones(1)), 1.0, "exact")


def test_a_yes_carries_its_ground_and_a_no_its_witness() -> None:
    yes = Equivalence.equal(NET, NET, 1e-9, SameParameters())
    assert (yes.verdict, yes.bound, yes.proved, yes.witness) == (Verdict.YES, 0.0, 1.0, None)
    no = Equivalence.different(NET, OTHER, 1e-9, GAP, "witness", "a point")
    assert (no.verdict, no.bound, no.exact_verdict) == (Verdict.NO, None, Verdict.NO)  # a gap bounds nothing from above
    assert no.witness is GAP.x
    assert bool(yes)
    assert not bool(no)
    with pytest.raises(NumericalError, match="proves no difference"):
        Equivalence.different(NET, NET, 0.0, Witness(GAP.x, GAP.values, 0.0, "exact"), "witness", "")


def test_sentences_say_up_to_what() -> None:
    box = pf.Box(-1, 1, dimension=2)
    assert "on all of R^2, exactly" in Equivalence.equal(NET, NET, 1e-9, SameParameters()).sentence
    near = Equivalence.equal(NET, OTHER, 1e-9, Bounded(0.5, 1.0, "weights"), domain=box, epsilon=1.0).sentence
    assert near.startswith("Yes: the networks differ by at most 1 in every output")
    many = Equivalence.equal(NET, OTHER, 1e-9, Bounded(0.5, 1.0, "weights"), domain=box, epsilon=np.array([0.5, 2.0]))
    assert "by at most its epsilon, 0.5 to 2," in many.sentence
    no = Equivalence.different(NET, OTHER, 1e-9, GAP, "witness", "").sentence
    assert no.startswith("No: at the input (0.5, 2) an output differs by 1, computed exactly")
    huge = Witness(GAP.x, GAP.values, float("inf"), "exact")
    assert "more than the largest float" in Equivalence.different(NET, OTHER, 0.0, huge, "witness", "").sentence
    open_ = Equivalence(NET, OTHER, Verdict.UNDECIDED, "none", "no time", 1e-9, bound=0.25).sentence
    assert open_.startswith("Not decided whether the networks are the same function")
    assert "Known: no output differs by more than 0.25" in open_
    assert "A larger budget" in open_


def test_an_open_answer_has_no_truth_value() -> None:
    answer = Equivalence(NET, OTHER, Verdict.UNDECIDED, "none", "no time", 1e-9)
    with pytest.raises(NumericalError):
        bool(answer)
    assert answer.growth is None
    assert answer.moves is None
    assert len(repr(answer)) <= 200


def test_exact_equality_of_stored_numbers() -> None:
    doubled = pf.testing.rescaled(NET, [[1, -3, 4]])
    assert exact_verdict(NET, NET) == (Verdict.YES, None)
    assert exact_verdict(NET, doubled)[0] is Verdict.YES
    W = [w.copy() for w in NET.exact().weights]
    W[1][0, 0] += Fraction(1, 10**30)
    verdict, found = exact_verdict(NET, pf.ReLUNetwork(W, NET.exact().biases))
    assert verdict is Verdict.NO
    assert found is not None
    assert found.proof == "exact"


def test_what_was_not_verified_is_an_error_with_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Equivalence.equal(NET, NET, 1e-9, SameParameters())
    for verdict, expected in ((Verdict.YES, True), (Verdict.NO, False)):
        monkeypatch.setattr(Equivalence, "recheck", lambda self, v=verdict, **_: Recheck(v, (), ""))
        assert answer.verify() is expected
    monkeypatch.setattr(Equivalence, "recheck", lambda self, **_: Recheck(Verdict.UNDECIDED, ("inputs",), "no time"))
    with pytest.raises(IncompleteError, match="not verified: no time") as error:
        answer.verify()
    assert str(error.value.partial) == "not verified: no time; a larger budget= goes on (checked: inputs)"


def test_differences_in_words() -> None:
    x = np.array([1.0])
    exact = Difference(2.0, 2.0 * (1 + 1e-12), x, 0, None, True, 1.0, "regions")
    assert exact.sentence.startswith(
        "The largest difference of an output on the domain is 2, at the input (1); this is proved"
    )
    assert "at most 3, proved" in Difference(2.0, 3.0, x, 0, None, False, 0.5, "bound").sentence
    assert "unbounded" in Difference(np.inf, np.inf, None, 0, None, True, 1.0, "regions").sentence
    maxima = Difference(2.0, 2.0, x, 0, None, True, 1.0, "regions", 2, np.array([0.5, 2.0]), np.array([[0.0], [1.0]]))
    assert maxima.disagreement(1.0).tolist() == [[1.0]]
