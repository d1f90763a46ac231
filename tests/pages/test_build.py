"""Pages as files: what they say, what they refuse, what they cost."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.pages import build, facts, shapes
from polyfiber.verdict import Verdict

DEGENERATE = {
    "affine": pf.ReLUNetwork([[[1, 2], [0, 1]]], [[0, 1]]),
    "constant": pf.ReLUNetwork([np.zeros((2, 2)), np.zeros((2, 2))], [np.zeros(2), np.zeros(2)]),
    "dead layer": pf.ReLUNetwork([np.zeros((3, 2)), np.ones((1, 3))], [-np.ones(3), np.ones(1)]),
    "equal rows, no biases": pf.ReLUNetwork([[[1, 0], [1, 0], [-1, 0]], [[1, 1, 1]]], [[0, 0, 0], [0]]),
    "one wall": pf.ReLUNetwork([[[1, 0]], [[1], [-1]]], [[0], [0, 0]]),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("box", [None, pf.Box([-1, -1], [1, 1])], ids=["everywhere", "box"])
def test_what_is_not_generic_has_a_page(tmp_path: Path, name: str, box) -> None:
    page = pf.report(DEGENERATE[name], tmp_path / "page.html", domain=box)
    assert not page.refuted
    by = {s.name: s for s in page.sections}
    assert by["complex"].state is Verdict.YES
    assert page.size == page.path.stat().st_size
    assert not list(tmp_path.glob("*.part"))


def test_the_page_says_what_the_library_says(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((4, 3, 3, 2), rng=0)
    page = pf.report(net, tmp_path / "page.html", picture=pf.Picture(axes=(1, 3), names=list("abcd")))
    cx = pf.canonical_complex(net)
    text = page.path.read_text()
    assert f"{cx.n_regions:,} regions, {sum(cx.f_vector):,} faces" in text
    assert "identifiable" in text
    by = {s.name: s for s in page.sections}
    assert by["fiber"].state is Verdict.YES
    assert by["certificate"].word == "verified"
    assert by["boundary"].rows[1][1] == str(cx.decision_boundary().connected_components()[0])


def test_nothing_points_outside(tmp_path: Path) -> None:
    text = pf.report(pf.ReLUNetwork.random((2, 4, 2), rng=0), tmp_path / "a.html").path.read_text()
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!#|data:)", text)
    assert not re.findall(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|import\(", text)


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    source = {"file": evil, "format": evil, "notes": [evil]}
    net = pf.ReLUNetwork([[[1.0, 2.0]], [[1.0]]], [[0.0], [0.0]], source=source)
    page = pf.report(net, tmp_path / "a.html", picture=pf.Picture(names=(evil, evil)))
    text = page.path.read_text()
    assert "<img" not in text
    assert text.count("</script>") == text.count("<script")


def test_a_pair_is_compared(tmp_path: Path) -> None:
    a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    b = pf.ReLUNetwork(a.weights, [a.biases[0], a.biases[1] + 0.25])
    box = pf.Box([-1, -1], [1, 1])
    page = pf.report(a, tmp_path / "a.html", other=b, domain=box, epsilon=0.3, budget=pf.Budget(seconds=1000))
    by = {s.name: s for s in page.sections}
    assert by["same"].state is Verdict.YES
    assert by["same"].word == "yes"
    assert "0.25" in by["apart"].lead
    assert by["apart"].state is Verdict.YES
    page = pf.report(a, tmp_path / "a.html", other=b)
    by = {s.name: s for s in page.sections}
    assert by["same"].state is Verdict.NO
    witness = next(v for k, v in by["same"].rows if k == "input where they differ")
    x = np.array([float(t) for t in witness.strip("()").split(",")])
    assert abs(a(x) - b(x)).max() > 0.2


def test_layers_of_a_linear_network(tmp_path: Path) -> None:
    layers = [np.diag([1.0, 0.0]), np.diag([0.0, 1.0])]
    page = pf.report(layers, tmp_path / "a.html")
    by = {s.name: s for s in page.sections}
    at = pf.linear.locate(layers).stratum
    assert ("dimension of its part in the fiber", str(at.dim)) in by["stratum"].rows
    assert len(by["strata"].table) == len(pf.linear.stratify((2, 2, 2), rank=0))
    assert sum(row[-1] == "yes" for row in by["strata"].table) == 1


def test_what_does_not_fit_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MOST_FACES", 10)
    page = pf.report(pf.ReLUNetwork.random((3, 6, 2), rng=0), tmp_path / "a.html")
    by = {s.name: s for s in page.sections}
    assert by["complex"].state is Verdict.UNDECIDED
    assert by["certificate"].state is Verdict.UNDECIDED
    assert "How many regions and faces?" in page.open
    assert page.n_regions > 0  # the plane through it is drawn all the same
    page = pf.report(pf.ReLUNetwork.random((2, 6, 2), rng=0), tmp_path / "a.html", budget=pf.Budget(seconds=0))
    assert page.n_regions == 0
    assert "Why is there no picture?" in page.open


def test_the_cap_on_regions_is_kept_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, box = pf.ReLUNetwork.random((2, 8, 8, 2), rng=0), pf.Box([-2, -2], [2, 2])
    whole = pf.canonical_complex(net, box).n_regions
    monkeypatch.setattr(shapes, "MOST_REGIONS", whole)
    assert pf.report(net, tmp_path / "a.html", domain=box).n_regions == whole
    monkeypatch.setattr(shapes, "MOST_REGIONS", whole - 1)
    page = pf.report(net, tmp_path / "a.html", domain=box)
    assert page.n_regions < whole
    assert any(f"of {whole}" in s.lead for s in page.sections if s.name == "part")


def test_refusals(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 3, 2), rng=0)
    target = tmp_path / "a.html"
    with pytest.raises(InputError, match=r"\.html"):
        pf.report(net, tmp_path / "a.pdf")
    with pytest.raises(InputError, match="directory"):
        pf.report(net, tmp_path / "nowhere" / "a.html")
    with pytest.raises(InputError, match="ReLUNetwork"):
        pf.report(3, target)
    with pytest.raises(InputError, match="domain"):
        pf.report(net, target, domain=(0, 1))
    with pytest.raises(InputError, match="1 dimension and"):
        pf.report(net, target, domain=pf.Box([0], [1]))
    with pytest.raises(InputError, match="epsilon"):
        pf.report(net, target, epsilon=0.1)
    with pytest.raises(InputError, match="same spaces"):
        pf.report(net, target, other=pf.ReLUNetwork.random((2, 3, 3), rng=0))
    with pytest.raises(InputError, match="labels"):
        pf.report(net, target, picture=pf.Picture(points=[[0, 0]], labels=[-1]))
    with pytest.raises(InputError, match="points"):
        pf.report(net, target, picture=pf.Picture(points=[[0, np.nan]]))
    with pytest.raises(InputError, match="alone"):
        pf.report([np.eye(2)], target, other=net)
    assert not target.exists()
    assert build.Picture(axes=(0, 1)) == build.Picture()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # what overflows is what is asked about
@pytest.mark.parametrize("widths", [(1, 3, 2), (2, 3, 2)])
def test_outputs_beyond_floats_have_a_page(tmp_path: Path, widths: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(widths, rng=0)
    large = pf.ReLUNetwork([w * 1e160 for w in net.weights], net.biases)
    lo = [-1.0] * widths[0]
    page = pf.report(large, tmp_path / "large.html", domain=pf.Box(lo, [-v for v in lo]))
    _, told = page.path.read_text(encoding="utf-8").split('id="told">')
    assert "Infinity" not in told.split("</script>")[0]
    assert (page.n_regions == 0) == (widths[0] == 1)


@pytest.mark.parametrize("widths", [(1, 300, 2), (2, 22, 22, 2), (3, 20, 20, 2)])
def test_a_page_has_a_cap_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, widths: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(widths, rng=0)
    whole = pf.report(net, tmp_path / "a.html")
    monkeypatch.setattr(shapes, "MOST_BYTES", whole.size // 3)
    part = pf.report(net, tmp_path / "a.html")
    assert 1 < part.n_regions < whole.n_regions
    assert part.size < whole.size
    (said,) = (s.lead for s in part.sections if s.name == "part")
    assert said.startswith(f"The middle of the window, {part.n_regions:,} regions of {whole.n_regions:,}: ")


def test_points_beyond_the_cap_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "MOST_POINTS", 10)
    points = np.random.default_rng(0).uniform(-1, 1, (45, 2))
    page = pf.report(
        pf.ReLUNetwork.random((2, 4, 2), rng=0), tmp_path / "a.html", domain=pf.Box([-1, -1], [1, 1]),
        picture=pf.Picture(points=points, labels=np.arange(45) % 3),
    )  # fmt: skip
    assert "9 of 45 data points" in page.path.read_text()


def test_what_stays_open_is_named_with_what_would_settle_it(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    page = pf.report(root / "data" / "iris_torch.onnx", tmp_path / "a.html")
    assert page.open == ("Which other parameters compute the same function?",)
    assert "(Which other parameters compute the same function?): no time settles" in page.sentence
    assert "--seconds" not in page.sentence
    hurried = pf.report(root / "data" / "wine_three.npz", tmp_path / "a.html", budget=pf.Budget(seconds=0))
    assert "a larger budget=, or a smaller domain, may settle" in hurried.sentence
    assert len(hurried.sections) > len(hurried.open) >= len(hurried.waiting) > 0 or " none of " in hurried.sentence
    assert page.waiting == ()


def test_names_and_axes_that_do_not_fit_cost_no_page_its_picture(tmp_path: Path) -> None:
    for n, picture in (
        (2, pf.Picture(names=("one",))),
        (3, pf.Picture(names=("a", "b"))),
        (3, pf.Picture(axes=(0, 3))),
    ):
        with pytest.raises(InputError):
            pf.report(pf.ReLUNetwork.random((n, 3, 2), rng=0), tmp_path / "a.html", picture=picture)
        assert not (tmp_path / "a.html").exists()
