"""The attacks of scripts/attacks/pages.py for a moment: pages about one network, pairs, layers and three inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.attacks.pages import CASES


@pytest.mark.parametrize("kind", CASES)
def test_pages_say_what_is_so(kind: str, tmp_path: Path) -> None:
    found = [CASES[kind](np.random.default_rng([3, case]), tmp_path) for case in range(6)]
    assert [wrong for _, _, wrong in found] == [[]] * 6
    assert any(path is not None for _, path, _ in found)
