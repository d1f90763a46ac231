"""What a plan will cost: exact where all networks are tried, within its seconds where one is too large."""

from __future__ import annotations

import time
from typing import Any

import pytest

from polyfiber.datasets import Spec, estimate, make_plan
from polyfiber.errors import InputError


def plan_of(architecture: list[int], count: int) -> Any:
    entry = {"kind": "random", "architecture": architecture, "count": count}
    return make_plan(
        Spec.of({"name": "pilot", "seed": 1, "networks": [entry], "tables": {"complexes": True, "cells": True}})
    )


def test_all_networks_tried_is_the_truth() -> None:
    cost = estimate(plan_of([2, 5, 1], 7), seconds=60.0, most=100)
    (source,) = cost.sources
    assert (source.sampled, source.skipped, source.rows["complexes"]) == (7, 0, 7.0)
    assert cost.rows == 7 + 7 + source.rows["cells"]
    assert source.rows["cells"] == cost.regions == 7 * 16
    assert cost.bytes > 0
    assert cost.seconds > 0


def test_a_network_too_large_for_the_seconds_is_skipped_as_in_a_run() -> None:
    estimate(plan_of([4, 3, 3, 1], 1), seconds=5.0)  # compiled
    start = time.process_time()
    (source,) = estimate(plan_of([4, 48, 48, 1], 100), seconds=0.5).sources
    assert source.skipped >= 1
    assert source.rows["cells"] == 0
    assert time.process_time() - start < 20  # the whole complex takes much longer; loose, for machines that are busy


@pytest.mark.parametrize(
    "numbers", [{"seconds": float("nan")}, {"seconds": -1.0}, {"seconds": None}, {"most": 0}, {"most": True}]
)
def test_numbers_that_make_no_sense(numbers: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        estimate(plan_of([2, 3, 1], 2), **numbers)
