"""Sections about one network: each is there whatever happens, and says what it knows."""

from __future__ import annotations

import shlex
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Budget, Monitor
from polyfiber.errors import GenericityError, InputError
from polyfiber.pages import facts as module
from polyfiber.pages.facts import QUESTIONS, Asked, attempt, first_rows, on, sections_of, two_networks
from polyfiber.pages.sections import Section
from polyfiber.verdict import Verdict

NET = pf.ReLUNetwork.random((2, 3, 2), rng=0)


def asked(**more: float) -> Asked:
    return Asked(NET, "net", None, pf.Box(-1, 1, dimension=2), Monitor(Budget(**more)))


def test_a_question_that_fails_is_a_section_of_its_own() -> None:
    def raises(error: Exception) -> Section:
        def make(_: Asked) -> Section:
            raise error

        return attempt(asked(), make, "a", "b?", "call")

    open_ = raises(GenericityError("walls meet"))
    assert (open_.state, open_.lead, open_.remarks) == (Verdict.UNDECIDED, "Open: walls meet", ("To ask again: call",))
    failed = raises(InputError("not so"))
    assert (failed.state, failed.lead) == (None, "Not answered: not so")
    assert raises(MemoryError()).lead.startswith("Open: memory is used up")
    with pytest.raises(ZeroDivisionError):
        raises(ZeroDivisionError())


def test_every_question_is_answered_in_order() -> None:
    here = asked(seconds=60.0)
    here.cx = pf.canonical_complex(NET, here.domain)
    found = sections_of(here, list(QUESTIONS))
    assert [s.name for s in found] == list(QUESTIONS)
    assert [s.title for s in found] == [title for _, title, _ in QUESTIONS.values()]
    complex_ = found[1]
    assert str(here.cx.n_regions) in complex_.lead
    assert all("{" not in c for s in found for c in s.commands)


def test_without_a_complex_what_needs_it_is_open() -> None:
    found = {s.name: s for s in sections_of(asked(), ["certificate"])}
    assert found["certificate"].state is Verdict.UNDECIDED
    assert "was not enumerated" in found["certificate"].lead


def test_time_is_shared() -> None:
    here = asked(seconds=100.0)
    assert 40 < (here.share(0.5).seconds or 0) <= 50
    assert here.share(0.5, most=3.0).seconds == 3.0
    assert asked().share(0.5).seconds is None


def test_domains_and_long_tables_in_words() -> None:
    assert on(None, 3) == "all of R^3"
    assert on(pf.Box(-1, 1, dimension=5), 5) == "the box [-1, 1]^5"
    assert on(pf.Polyhedron([[1, 1]], [1]), 2) == "the polyhedron of 1 inequality"
    assert on(pf.Box([Fraction(-(10**400))], [Fraction(1, 10**400)]), 1) == "the box [-1e+400, 1e-400]"
    table: list[tuple[str, ...]] = [(str(k), "x") for k in range(1300)]
    assert first_rows(table[:40]) == table[:40]
    assert first_rows(table)[40:] == [("… 1,260 more", "")]


def test_pairs_whose_ends_differ() -> None:
    two_networks(NET, pf.ReLUNetwork.random((2, 9, 2), rng=0))
    with pytest.raises(InputError, match="2 and 3 inputs"):
        two_networks(NET, pf.ReLUNetwork.random((3, 3, 2), rng=0))
    assert module.Asked(NET, "n", None, None, Monitor()).shown_file == "FILE"


def of_every_kind() -> dict[str, pf.ReLUNetwork]:
    random, data = pf.ReLUNetwork.random, Path(__file__).parents[2] / "data"
    ones = np.ones
    return {
        "identifiable": random((4, 3, 3, 2), rng=0),
        "layerwise": pf.ReLUNetwork([[[1, 0], [1, 0], [0, 1]], [[1, 1, 1]]], [[0, 0, 0], [0]]),
        "hiding": pf.fibers.hiding_example((2, 2, 1, 1), rng=0),
        "constant": pf.ReLUNetwork([np.eye(2), -ones((2, 2)), ones((1, 2))], [np.zeros(2), -ones(2), ones(1)]),
        "rigid": pf.read_network(data / "iris_torch.onnx"),
        "flexible": pf.read_network(data / "wine_three.npz"),
        "undecided": random((5, 40, 40, 40, 2), rng=0),
    }


@pytest.mark.parametrize("kind", of_every_kind())
def test_the_fiber_is_answered_whatever_its_kind(kind: str, tmp_path: Path) -> None:
    """With the sentence of `polyfiber classify`, which the section names; on a domain too."""
    net = of_every_kind()[kind]
    for domain in (None, pf.Box(-1, 1, dimension=net.architecture[0])):
        here = Asked(net, "net", None, domain, Monitor(Budget(seconds=600.0)))
        found = sections_of(here, ["fiber"])[0]
        told = pf.classify_fiber(net)
        assert told.kind == kind
        assert found.lead == told.sentence
        rows = dict(found.rows)
        assert rows["kind"] == kind
        if told.dimension is not None:
            assert rows["dimension modulo scaling"] == str(told.dimension)
        assert found.state is Verdict.of(told.identifiable)
        assert found.word != "" or kind == "undecided"
        assert not found.waits  # no time settles what is open here
        sampled = any("--sample" in c for c in found.commands)
        assert sampled == (told.identifiable is False)
        if sampled:
            (other,) = told.sample(1, rng=0)
            assert pf.are_equivalent(net, other).verdict is not Verdict.NO


def test_fibers_without_a_point_and_without_time() -> None:
    deep = pf.ReLUNetwork.random((2, 3, 3, 3, 1), rng=0)
    for seconds in (0.0, 0.001, 600.0):
        here = Asked(deep, "net", None, None, Monitor(Budget(seconds=seconds)))
        (found,) = sections_of(here, ["fiber"])
        assert found.lead
        assert not found.lead.startswith("Open: no point")
    wide = Asked(pf.ReLUNetwork.random((2, 9, 9, 1), rng=0), "net", None, None, Monitor(Budget(seconds=0.001)))
    (found,) = sections_of(wide, ["fiber"])
    assert found.state is Verdict.UNDECIDED
    assert found.waits


def test_gates_of_which_nothing_is_found_are_no_zero_things() -> None:
    here = Asked(
        pf.read_network(Path(__file__).parents[2] / "data" / "iris_petals_leaky.onnx"), "net", None,
        pf.Box([0, 0], [8, 4]), Monitor(Budget(seconds=60.0)),
    )  # fmt: skip
    (found,) = sections_of(here, ["fiber"])
    assert "0 things" not in found.lead


HUGE, TINY = Fraction(10**400), Fraction(1, 10**400)


@pytest.mark.parametrize(
    "ends",
    [(-HUGE, HUGE), (Fraction(0), TINY), (Fraction(1, 3), Fraction(2, 3)), (-1e308, 1e308), (5e-324, 1e-323)],
    ids=["beyond floats", "below floats", "thirds", "large", "small"],
)
@pytest.mark.parametrize("pair", [False, True])
def test_domains_beyond_floats_have_a_page(tmp_path: Path, ends: tuple[Fraction, Fraction], pair: bool) -> None:
    """What floats hold is drawn and named in commands; of the rest the page says that it is not."""
    box = pf.Box([ends[0]] * 2, [ends[1]] * 2)
    other = pf.ReLUNetwork.random((2, 2, 2), rng=1) if pair else None
    page = pf.report(NET, tmp_path / "a.html", domain=box, other=other)
    floats = all(Fraction(float(v)) == v for v in ends) if ends[1] < HUGE else False
    calls = [c for s in page.sections for c in s.commands if "--box" in c or "--domain" in c]
    assert bool(calls) == floats
    for call in calls:
        (text,) = (t for t in shlex.split(call) if "," in t)
        assert [Fraction(float(v)) for v in text.split(",")] == [*ends, *ends]
    drawn = page.n_regions > 0
    assert drawn == (ends[0] == Fraction(1, 3))
    assert drawn != any("too large or too small" in s.lead for s in page.sections)


def test_names_of_files_are_those_of_a_shell(tmp_path: Path) -> None:
    for name in ("$(touch harmed).npz", "-rf.npz", "a b;c'd.npz"):
        NET.save(tmp_path / name)
        page = pf.report(tmp_path / name, tmp_path / "a.html", other=tmp_path / name)
        for call in (c for s in page.sections for c in s.commands):
            assert [t.removeprefix("./") for t in shlex.split(call)[2:4]] == [name, name]
