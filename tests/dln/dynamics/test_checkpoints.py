"""Checkpoints of linear networks from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber import dln
from polyfiber.errors import FileFormatError, InputError


def test_one_file_each_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    nets = [[(1.0 + t) * np.eye(2), np.ones((3, 2)) + t] for t in range(11)]
    for t, (a, b) in enumerate(nets):
        np.savez(tmp_path / f"run{t}.npz", W1=a, W2=b, b1=np.zeros(2))
    found = dln.read_checkpoints(tmp_path)
    assert all(np.array_equal(x, y) for one, other in zip(found, nets, strict=True) for x, y in zip(one, other))
    path = dln.training_path(found)
    assert path.products.shape == (11, 3, 2)


def test_stacks_and_network_files(tmp_path: Path) -> None:
    stacks = [np.random.default_rng(0).standard_normal((5, 2, 2)) for _ in range(3)]
    np.savez(tmp_path / "all.npz", layer1=stacks[0], layer2=stacks[1], layer10=stacks[2])
    found = dln.read_checkpoints(tmp_path / "all.npz")
    assert len(found) == 5
    assert all(np.array_equal(found[t][i], stacks[i][t]) for t in range(5) for i in range(3))
    for t in range(2):
        pf.ReLUNetwork([s[t] for s in stacks], [np.zeros(2)] * 3).save(tmp_path / f"{t}.safetensors")
    again = dln.read_checkpoints([tmp_path / "0.safetensors", tmp_path / "1.safetensors"])
    assert all(np.allclose(again[t][i], stacks[i][t]) for t in range(2) for i in range(3))


def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileFormatError, match="no files"):
        dln.read_checkpoints(tmp_path / "empty")
    np.savez(tmp_path / "biased.npz", W1=np.eye(2), b1=np.ones(2))
    with pytest.raises(InputError, match="biases that are not zero"):
        dln.read_checkpoints([tmp_path / "biased.npz"])
    np.savez(tmp_path / "uneven.npz", W1=np.zeros((2, 2, 2)), W2=np.zeros((3, 2, 2)))
    with pytest.raises(InputError, match="stacks of"):
        dln.read_checkpoints(tmp_path / "uneven.npz")
    with pytest.raises(FileFormatError):
        dln.read_checkpoints([tmp_path / "missing.npz"])
    np.savez(tmp_path / "mixed.npz", W1=np.ones((3, 2, 2)), W2=np.eye(2))
    with pytest.raises(InputError, match="'W2' of shape"):
        dln.read_checkpoints(tmp_path / "mixed.npz")
    with pytest.raises(InputError, match="path"):
        dln.read_checkpoints(5)  # type: ignore[arg-type]


def test_files_without_a_place_are_refused(tmp_path: Path) -> None:
    for name in ("step1", "step2"):
        np.savez(tmp_path / f"{name}.npz", W1=np.eye(2))
    (tmp_path / ".DS_Store").write_bytes(b"x")
    assert len(dln.read_checkpoints(tmp_path)) == 2
    np.savez(tmp_path / "final.npz", W1=np.eye(2))
    with pytest.raises(InputError, match="no number"):
        dln.read_checkpoints(tmp_path)
    (tmp_path / "final.npz").rename(tmp_path / "final2.npz")
    with pytest.raises(InputError, match="same numbers"):
        dln.read_checkpoints(tmp_path)


def test_several_numbers_have_to_agree_on_the_order(tmp_path: Path) -> None:
    def folder(*names: str) -> Path:
        place = tmp_path / names[0]
        place.mkdir()
        for i, name in enumerate(names, 1):
            np.savez(place / name, W1=float(i) * np.eye(2))
        return place

    with pytest.raises(InputError, match="order the files differently"):
        dln.read_checkpoints(folder("loss0.9_step1", "loss0.5_step2", "loss0.1_step3"))
    with pytest.raises(InputError, match="different counts of numbers"):
        dln.read_checkpoints(folder("run1_step2", "run1"))
    for names in (("epoch1-step100", "epoch2-step200"), ("run7_step9", "run7_step10"), ("a2", "a10")):
        assert [w[0][0, 0] for w in dln.read_checkpoints(folder(*names))] == [1.0, 2.0]
    with pytest.raises(InputError, match="at least one file"):
        dln.read_checkpoints([])
