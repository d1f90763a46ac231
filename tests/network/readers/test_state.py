"""State dicts and mappings: the order of layers, batch normalisation, masks, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, ShapeError, UnsupportedLayerError

from .cases import read, safetensors, state


# ---- order and names ------------------------------------------------------------------------
def test_registration_order_of_a_mapping() -> None:
    net = pf.from_torch(state(2, 3, 3, 3, 1, names="net.{}"))
    assert net.architecture == (2, 3, 3, 3, 1)
    assert net.source["dtype"] == "float32"
    assert "registration" in net.source["notes"][0]


def test_numbers_in_names_are_sorted_as_numbers(tmp_path: Path) -> None:
    tensors = state(*[3] * 13, names="layers.{}")
    shuffled = {k: tensors[k] for k in sorted(tensors)}  # "layers.10" before "layers.2"
    net = read(tmp_path, safetensors(shuffled))
    for i in range(12):
        np.testing.assert_array_equal(net.weights[i], tensors[f"layers.{2 * i}.weight"].astype(np.float64))


def test_shapes_give_the_order_when_they_admit_one(tmp_path: Path) -> None:
    a, b, c = (state(*w, names=n) for w, n in [((2, 5), "inner"), ((5, 4), "body"), ((4, 1), "answer")])
    net = read(tmp_path, safetensors({**c, **a, **b}))
    assert net.architecture == (2, 5, 4, 1)
    assert "shapes" in net.source["notes"][0]


def test_an_unknown_order_is_refused(tmp_path: Path) -> None:
    tensors = {**state(3, 3, names="inner"), **state(3, 3, names="body"), **state(3, 1, names="answer")}
    with pytest.raises(InputError, match="order of the layers is not known"):
        read(tmp_path, safetensors(tensors))
    many = {k: v for i in range(40) for k, v in state(3, 3, names=f"{'a' * i}x").items()}
    with pytest.raises(InputError, match="order of the layers is not known"):
        read(tmp_path, safetensors(many))


def test_shapes_that_do_not_chain() -> None:
    with pytest.raises(ShapeError, match="do not chain"):
        pf.from_torch({**state(2, 3, names="0"), **state(4, 1, names="2")})


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"1.weight": np.ones((3, 2, 3, 3))}, "convolution"),
        ({"1.weight": np.ones(1)}, "PReLU"),
        ({"1.weight": np.ones(3), "1.bias": np.ones(3)}, "LayerNorm"),
        ({"1.in_proj_weight": np.ones((3, 3))}, "in_proj_weight"),
        ({"1.q_proj.weight": np.ones((3, 3))}, "q_proj"),
        ({"embed.weight": np.ones((3, 3))}, "embed"),
        ({"norm.weight": np.ones(3), "norm.running_mean": np.ones(3), "norm.running_var": np.ones(3)}, "norm"),
    ],
)
def test_other_layers_are_refused(extra: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=message):
        pf.from_torch({**state(2, 3, 1), **extra})


def test_batch_normalisation_before_and_after_the_relu() -> None:
    rng = np.random.default_rng(0)
    for index in (1, 2):  # Linear, BN, ReLU, Linear / Linear, ReLU, BN, Linear
        tensors = state(2, 3, 1, step=3)
        statistics = {
            f"{index}.weight": rng.standard_normal(3),
            f"{index}.bias": rng.standard_normal(3),
            f"{index}.running_mean": rng.standard_normal(3),
            f"{index}.running_var": rng.uniform(0.1, 2, 3),
            f"{index}.num_batches_tracked": np.array(7),
        }
        net = pf.from_torch({**tensors, **statistics})
        gamma, beta, mean, variance = (v for v in list(statistics.values())[:4])
        X = rng.standard_normal((20, 2))

        def norm(Z: np.ndarray, g: Any = gamma, b: Any = beta, m: Any = mean, v: Any = variance) -> np.ndarray:
            return np.asarray(g * (Z - m) / np.sqrt(v + 1e-5) + b)

        Z = X @ tensors["0.weight"].T.astype(float) + tensors["0.bias"]
        Y = np.maximum(norm(Z), 0) if index == 1 else norm(np.maximum(Z, 0))
        np.testing.assert_allclose(net(X), Y @ tensors["3.weight"].T.astype(float) + tensors["3.bias"], rtol=1e-10)
        assert any("1e-05 is assumed" in note for note in net.source["notes"])


def test_neighbours_are_noted() -> None:
    net = pf.from_torch(state(2, 3, 1, names="layers.{}", step=1))
    assert any("neighbours" in note for note in net.source["notes"])
    assert not any("neighbours" in note for note in pf.from_torch(state(2, 3, 1)).source["notes"])


def test_pruning_masks() -> None:
    tensors = state(2, 3, 1)
    mask = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    original = tensors.pop("0.weight")
    net = pf.from_torch({"0.weight_orig": original, "0.weight_mask": mask, **tensors})
    np.testing.assert_array_equal(net.weights[0], (original * mask).astype(np.float64))
