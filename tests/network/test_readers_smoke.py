"""Every format that is written reads back as the same network."""

from __future__ import annotations

from pathlib import Path

import pytest

import polyfiber as pf


@pytest.mark.parametrize("suffix", [".npz", ".onnx", ".safetensors", ".nnet"])
@pytest.mark.parametrize("widths", [(2, 3, 1), (4, 2), (3, 5, 4, 2)])
def test_round_trip_is_exact(tmp_path: Path, suffix: str, widths: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(widths, rng=1)
    path = tmp_path / f"net{suffix}"
    net.save(path)
    back = pf.read_network(path)
    assert back == net
    assert back.source["format"] == suffix[1:]
    assert back.source["folding"] == ()
