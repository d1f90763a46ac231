"""Colours by the formula of contrast, and what is asked of arguments."""

from __future__ import annotations

import itertools

import pytest

from polyfiber.errors import InputError
from polyfiber.plots import style as module

pytest.importorskip("matplotlib")


def test_contrast_is_that_of_the_standard() -> None:
    """21 for black on white; 4.54 for #767676, the grey of the examples of WCAG."""
    assert module.contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert module.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert module.contrast("#123456", "#123456") == 1.0
    assert module.contrast("#123456", "#fedcba") == module.contrast("#fedcba", "#123456")


@pytest.mark.parametrize("dark", [False, True])
def test_lines_stand_out_from_every_ground(dark: bool) -> None:
    colours = module.page_colours(dark=dark)
    grounds = [*(module.dark_ground() if dark else module.light_ground()), *colours["classes"], colours["paper"]]
    for line, under in itertools.product([*colours["walls"], colours["boundary"]], grounds):
        assert module.contrast(line, under) >= 3.0
    assert module.contrast(colours["ink"], colours["paper"]) >= 7.0


def test_the_light_ground_is_that_of_the_pages() -> None:
    from matplotlib.colors import to_hex

    found = [to_hex(module.ground()(k / 8)) for k in range(9)]
    assert found[0] == module.light_ground()[0]
    assert found[-1] == module.light_ground()[-1]
    assert to_hex(module.ground("viridis")(0.0)) == "#440154"


def test_what_is_no_axes_and_no_map() -> None:
    with pytest.raises(InputError, match="name of a colour map"):
        module.ground("no such map")
    with pytest.raises(InputError, match="Axes of matplotlib"):
        module.axes(3)
    with pytest.raises(InputError, match="expected a thing"):
        module.require(str, "a thing", "upper")
    ax = module.axes(None)
    assert module.axes(ax) is ax
