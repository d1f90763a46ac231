"""Watching networks in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.pages import watching


def test_counts_are_those_of_each_moment(tmp_path: Path) -> None:
    networks = [pf.ReLUNetwork.random((2, n, 2), rng=n) for n in (2, 3, 5)]
    box = pf.Box([-1, -1], [1, 1])
    at = iter(networks)
    look = pf.watch(lambda: next(at), box)
    for epoch in range(3):
        look(epoch * 10)
    assert look.counts == [pf.canonical_complex(net, box).n_regions for net in networks]
    assert look.steps == [0, 10, 20]
    assert "<td>20</td>" in look._repr_html_()
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure
    from PIL import Image

    assert look.plot(Figure().add_subplot()).get_title() == "3 looks, 3 counted"
    with Image.open(look.film(tmp_path / "film.gif")) as film:
        assert film.n_frames == 3
    with pytest.raises(InputError, match="gif"):
        look.film(tmp_path / "film.mp4")
    with pytest.raises(InputError, match="no directory"):
        look.film(tmp_path / "nowhere" / "film.gif")
    for speed in (0, -1, np.nan, 1e9, 1e-9, "x"):
        with pytest.raises(InputError, match="frames_per_second"):
            look.film(tmp_path / "film.gif", frames_per_second=speed)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.gif"]


def test_training_that_goes_wrong_goes_on() -> None:
    """What is wrong at first is raised; later it is kept as a reason, and hostile steps are text."""
    states = [pf.ReLUNetwork.random((2, 3, 2), rng=0), None, pf.ReLUNetwork.random((2, 4, 2), rng=0)]
    at = iter(states)
    look = pf.watch(lambda: next(at))
    assert [look("<script>alert(1)</script>"), look(), look()] == [7, None, 11]
    assert look.looks[1].network is None
    assert "found None" in look.looks[1].reason
    assert "<script" not in look._repr_html_()
    assert "not counted: a torch module" in look._repr_html_()
    with pytest.raises(InputError, match="found None"):
        pf.watch(lambda: None)()
    with pytest.raises(StopIteration):  # an error of the function is its own
        look()
    with pytest.raises(InputError, match="watched, found"):
        pf.watch(lambda: lambda: None)()
    assert len(look) == 3


def test_films_share_a_window_and_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(watching, "MOST_FRAMES", 5)
    net = pf.ReLUNetwork.random((2, 4, 2), rng=0)
    scales = iter(range(1, 20))

    def at() -> pf.ReLUNetwork:
        k = next(scales)
        return pf.ReLUNetwork(net.weights, [k * b for b in net.biases])

    look = pf.watch(at)
    for _ in range(19):
        look()
    figures = list(look.frames())
    assert len(figures) == 5
    assert len({(f.axes[0].get_xlim(), f.axes[0].get_ylim()) for f in figures}) == 1
    assert figures[0].axes[0].get_title().startswith("step 0: ")


def test_scikit_learn_in_its_loop() -> None:
    sk = pytest.importorskip("sklearn.neural_network")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    model = sk.MLPClassifier((4,), random_state=0)
    look = pf.watch(model)
    for _ in range(2):
        model.partial_fit(X, X[:, 0] > 0, classes=[False, True])
        assert look() == pf.canonical_complex(pf.from_sklearn(model)).n_regions


@pytest.mark.torch
def test_torch_in_its_loop() -> None:
    """The model trains on as if nobody looked: mode, gradients, random numbers; looks keep the weights of their moment."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    def run(watched: bool) -> tuple[object, list[object]]:
        torch.manual_seed(0)
        shared = nn.Linear(6, 6)
        model = nn.Sequential(
            nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), shared, nn.ReLU(), nn.Dropout(0.3), shared, nn.ReLU(), nn.Linear(6, 2)
        )  # fmt: skip
        look = pf.watch(model, pf.Box([-2, -2], [2, 2]), seconds=None)
        descent = torch.optim.Adam(model.parameters(), 0.05)
        X = torch.randn(32, 2)
        y = (X[:, 0] > 0).long()
        for epoch in range(4):
            descent.zero_grad()
            nn.functional.cross_entropy(model(X), y).backward()
            if watched:
                assert look(epoch) == pf.canonical_complex(pf.from_torch(model), look.domain).n_regions
            descent.step()
        assert model.training
        return look, [p.detach().clone() for p in model.parameters()]

    (look, ended), (_, alone) = run(True), run(False)
    assert all(torch.equal(p, q) for p, q in zip(ended, alone))
    assert len({k.network.weights[0].tobytes() for k in look.looks}) == 4


@pytest.mark.torch
def test_torch_modules_of_all_kinds(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    box = pf.Box([-2, -2], [2, 2])

    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            h = torch.relu(self.a(x))
            return self.c(h + torch.relu(self.b(h)))

    leaky = nn.Sequential(nn.Linear(2, 4), nn.LeakyReLU(0.1), nn.Linear(4, 2))
    for model in (leaky, Skip()):
        look = pf.watch(model, box)
        assert look() == pf.canonical_complex(pf.from_torch(model, input_shape=(2,)), box).n_regions
        look.film(tmp_path / "film.gif")
        with pytest.raises(pf.errors.UnsupportedLayerError):
            pf.watch(model)()
    plain = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    regions = pf.watch(plain, box)()
    assert pf.watch(torch.compile(plain, backend="eager"), box)() == regions
    assert pf.watch(nn.DataParallel(plain), box)() == regions
    look = pf.watch(plain, box)
    look("before")
    with torch.no_grad():
        plain[0].weight[0, 0] = float("nan")
    assert look("after") is None
    assert "holds nan" in look.looks[1].reason
    with pytest.raises(InputError, match="holds nan"):
        pf.watch(plain, box)()
    with pytest.raises(InputError, match="meta"):
        pf.watch(nn.Linear(2, 2, device="meta"), box)()
    with pytest.raises(InputError, match="watched, found"):
        pf.watch(nn.Linear)


def test_what_does_not_end_is_not_counted() -> None:
    look = pf.watch(pf.ReLUNetwork.random((3, 60, 60, 1), rng=0), seconds=0.0)
    assert look() is None
    assert look.counts == [None]
    with pytest.raises(InputError, match="watched"):
        pf.watch(3)
    with pytest.raises(InputError, match="domain"):
        pf.watch(pf.ReLUNetwork.random((2, 2, 1), rng=0), 3)
    with pytest.raises(InputError, match="gif"):
        look.film("film.png")


def test_a_copy_keeps_its_looks() -> None:
    import pickle

    look = pf.watch(lambda: pf.ReLUNetwork.random((2, 3, 1), rng=0))
    look()
    again = pickle.loads(pickle.dumps(look))
    assert again.counts == look.counts == [7]
    with pytest.raises(InputError, match="copy"):
        again()
