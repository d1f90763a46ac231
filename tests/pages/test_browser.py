"""Pages in headless Chromium: quiet, alone, alive to pointer and keys, readable on narrow screens and in the dark.

Needs the package playwright and a Chromium: Debian's ``chromium-headless-shell``, any that is on the path or named by
``POLYFIBER_CHROMIUM``, or playwright's own. Where ``CI`` is set a missing one is a failure.
"""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from tests.oracles.painted import painted, wander

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CLIPPED = """() => [...document.querySelectorAll("body *")].filter((e) => {
  const s = getComputedStyle(e);
  return e.textContent.trim() && !["SCRIPT", "NOSCRIPT", "STYLE"].includes(e.tagName) && e.offsetParent
    && (s.overflowX === "hidden" || s.overflowX === "clip" || e.scrollWidth <= e.clientWidth ? false : s.overflowX === "visible")
    && s.display !== "inline" && !e.closest(".wide");
}).map((e) => e.tagName + "." + e.id + ": " + e.textContent.slice(0, 60))"""


def missing(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{why}: .ci/run could not install it")
    pytest.skip(why)


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        missing("playwright is not installed")
    found = os.environ.get("POLYFIBER_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as play:
        try:
            started = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            missing(f"no Chromium: {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    box = pf.Box([-1, -1], [8, 4])
    net = pf.read_network(ROOT / "data" / "iris_petals.onnx")
    made = {
        "plane": pf.report(
            net, folder / "plane.html", domain=box,
            picture=pf.Picture(names=("<b>length</b>", "width"), points=[[1.4, 0.2], [5, 2]], labels=[0, 2]),
        ),
        "space": pf.report(pf.ReLUNetwork.random((3, 5, 2), rng=0), folder / "space.html"),
        "line": pf.report(pf.ReLUNetwork.random((1, 5, 2), rng=0), folder / "line.html"),
        "pair": pf.report(
            pf.ReLUNetwork.random((2, 4, 2), rng=0), folder / "pair.html", other=pf.ReLUNetwork.random((2, 3, 3, 2), rng=1),
            domain=pf.Box([-1, -1], [1, 1]), epsilon=0.1,
        ),
        "linear": pf.report([[[1, 0], [0, 0]], [[0, 1], [0, 0]]], folder / "linear.html"),
    }  # fmt: skip
    return {name: page.path for name, page in made.items()}


class Opened:
    """A page, with what it said and asked for."""

    def __init__(self, browser, path: Path, *, width: int = 1200, scheme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.page.goto(path.as_uri())
        self.picture = self.page.query_selector("#plane") is not None
        if self.picture:
            self.page.evaluate("polyfiber.ready")
            self.settle()
        self.outside = [u for u in self.asked if u != path.as_uri() and not u.startswith("data:")]

    def settle(self) -> None:
        self.page.evaluate("polyfiber.settled()")

    def pixels(self) -> str:
        self.settle()
        return self.page.evaluate("document.getElementById('plane').toDataURL()")

    def at(self, u: float, v: float) -> tuple[float, float]:
        x, y = self.page.evaluate(f"polyfiber.screen({u}, {v})")
        frame = self.page.locator("#plane").bounding_box()
        return frame["x"] + x, frame["y"] + y

    def panel(self) -> str:
        self.settle()
        return self.page.inner_text("#panel")


@pytest.mark.parametrize("width", [320, 1200])
@pytest.mark.parametrize("name", ["plane", "space", "line", "pair", "linear"])
def test_pages_are_quiet_alone_and_fit(browser, pages, name: str, width: int) -> None:
    seen = Opened(browser, pages[name], width=width, scheme="dark" if width == 320 else "light")
    assert seen.errors == []
    assert seen.outside == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.evaluate(CLIPPED) == []
    if seen.picture:
        r = seen.page.locator("#plane").bounding_box()
        seen.page.mouse.move(r["x"] + 0.6 * r["width"], r["y"] + 0.5 * r["height"])
        assert "layer 1" in seen.panel()
        assert seen.page.evaluate(CLIPPED) == []
    if name == "space":
        before = seen.page.evaluate("document.getElementById('space').toDataURL()")
        seen.page.focus("#space")
        seen.page.keyboard.press("ArrowLeft")
        assert seen.page.evaluate("document.getElementById('space').toDataURL()") != before
    assert seen.errors == []
    seen.page.close()


def test_hovering_says_what_the_network_does_there(browser, pages) -> None:
    seen = Opened(browser, pages["plane"])
    net = pf.read_network(ROOT / "data" / "iris_petals.onnx")
    for u, v in ((0.31, 0.42), (0.63, 0.58), (0.92, 0.07)):
        seen.page.mouse.move(*seen.at(u, v))
        text = seen.panel()
        x = np.array([-1 + 9 * u, -1 + 5 * v])
        i = seen.page.evaluate("polyfiber.state.hover")
        pattern = seen.page.evaluate(f"polyfiber.patternOf({i}).join('')")
        signs = np.concatenate(net.preactivations(x)[:-1])
        assert pattern == "".join("+" if s > 0 else "−" for s in signs)
        assert pattern[:16] in text
        M = np.array(seen.page.evaluate(f"[...polyfiber.mapOf({i})]")).reshape(3, 3)
        assert M @ [*x, 1.0] == pytest.approx(net(x), rel=1e-12, abs=1e-12)
        assert f"class {int(net(x).argmax())}" in text or "changes inside" in text
        assert "area" in text
    assert "<b>length</b>" not in seen.page.content().split("<script")[0]
    seen.page.close()


def test_layers_colours_and_theme_change_the_picture(browser, pages) -> None:
    seen = Opened(browser, pages["plane"])
    shown = {seen.pixels()}
    for control in ("[data-walls='0']", "[data-walls='1']", "#boundary", "#points"):
        seen.page.uncheck(control)
        shown.add(seen.pixels())
    assert len(shown) == 5
    options = seen.page.eval_on_selector_all("#colour option", "e => e.map((o) => o.value)")
    assert options[0] == "class"
    pictures, legends = set(), set()
    for value in options:
        seen.page.select_option("#colour", value)
        pictures.add(seen.pixels())
        legends.add(seen.page.inner_text("#legend"))
    assert len(pictures) == len(options)
    assert len(legends) == len(options)
    before = seen.pixels()
    seen.page.click("#theme")
    assert seen.pixels() != before
    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)"
    assert seen.errors == []
    seen.page.close()


def test_keys_and_wheel(browser, pages) -> None:
    seen = Opened(browser, pages["plane"])
    whole = seen.pixels()
    seen.page.focus("#plane")
    seen.page.keyboard.press("n")
    assert "Region 0" in seen.panel()
    seen.page.keyboard.press("n")
    assert "Region 1" in seen.panel()
    seen.page.keyboard.press("Escape")
    seen.page.keyboard.press("+")
    seen.page.keyboard.press("ArrowRight")
    assert seen.page.evaluate("polyfiber.state.zoom") == pytest.approx(1.4)
    assert seen.pixels() != whole
    seen.page.keyboard.press("0")
    assert seen.pixels() == whole
    point = seen.at(0.25, 0.75)
    seen.page.mouse.move(*point)
    seen.page.mouse.wheel(0, -400)
    seen.settle()
    assert seen.page.evaluate("polyfiber.state.zoom") > 1.5
    assert math.dist(seen.at(0.25, 0.75), point) < 1.0
    assert seen.errors == []
    seen.page.close()


def test_marks_and_text_stand_out(browser, pages) -> None:
    from polyfiber.plots.style import contrast

    for scheme in ("light", "dark"):
        seen = Opened(browser, pages["plane"], scheme=scheme)
        back = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        for where in ("body", "dt", ".mark", "a", ".keys"):
            ink = seen.page.eval_on_selector_all(where, "e => getComputedStyle(e[0]).color")
            colours = [tuple(int(c) / 255 for c in text[4:-1].split(",")) for text in (ink, back)]
            assert contrast(*colours) >= 4.5, (where, scheme)
        seen.page.close()


@pytest.mark.parametrize("name", ["wine_three.npz", "iris_torch.onnx", "iris_petals_leaky.onnx"])
def test_no_view_has_a_hole(browser, tmp_path: Path, name: str) -> None:
    """Chromium leaves holes in paths of a canvas with a tiny edge: every view is read back pixel by pixel."""
    page = pf.report(ROOT / "data" / name, tmp_path / "a.html")
    rng, looked = np.random.default_rng(0), 0
    for ratio, views in ((1, 5), (1.5, 2)):
        seen = browser.new_page(viewport={"width": 1200, "height": 900}, device_scale_factor=ratio)
        seen.goto(page.path.as_uri())
        seen.evaluate("polyfiber.ready")
        colours = [c for c in seen.eval_on_selector_all("#colour option", "e => e.map((o) => o.value)") if c != "none"]
        for k in range(views):
            seen.select_option("#colour", colours[k % 2 * (k % len(colours))])
            n, wrong = painted(seen)
            assert wrong == []
            looked += n
            wander(seen, rng)
        seen.close()
    assert looked > 2000


def test_many_regions_have_their_colours_pixel_by_pixel(browser, tmp_path: Path) -> None:
    """Polygons are filled by the page itself: classes of pixels against the network, whole and zoomed."""
    net = pf.ReLUNetwork.random((2, 60, 60, 3), rng=1)
    page = pf.report(net, tmp_path / "many.html", domain=pf.Box([-2, -1], [1, 2]), budget=pf.Budget(seconds=60))
    assert page.n_regions > 3000
    seen = Opened(browser, page.path)
    for control in ("[data-walls='0']", "[data-walls='1']", "#boundary"):
        seen.page.uncheck(control)
    rng = np.random.default_rng(0)
    for zoom in (0, 500):
        if zoom:
            seen.page.mouse.move(*seen.at(0.6, 0.4))
            seen.page.mouse.wheel(0, -zoom)
            seen.settle()
            seen.page.mouse.move(0, 0)  # nothing is outlined
        seen.settle()
        places = rng.integers([60, 20], [700, 500], (400, 2))
        found = seen.page.evaluate(
            """(places) => { const c = document.getElementById("plane").getContext("2d"), classes = polyfiber.look().classes;
            return places.map(([x, y]) => [polyfiber.toUnit(x + 0.5, y + 0.5), [...c.getImageData(x, y, 1, 1).data]]); }""",
            places.tolist(),
        )
        classes = seen.page.evaluate("polyfiber.look().classes")
        right, inside = 0, 0
        for (u, v), pixel in found:
            if not (0.01 < u < 0.99 and 0.01 < v < 0.99):
                continue
            inside += 1
            wanted = classes[int(net(np.array([-2 + 3 * u, -1 + 3 * v])).argmax())]
            right += all(abs(pixel[k] - int(wanted[1 + 2 * k : 3 + 2 * k], 16)) < 10 for k in range(3))
        assert inside > 100
        assert right >= inside - 4  # on the rim between two classes
    seen.page.close()
