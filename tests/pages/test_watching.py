"""Watching networks in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError


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
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    look = pf.watch(model)
    assert look() == pf.canonical_complex(pf.from_torch(model)).n_regions


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
