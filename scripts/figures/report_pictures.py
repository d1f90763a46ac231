"""Pictures of the page that docs/index.md and docs/report.md make, by headless Chromium: ``python scripts/figures/report_pictures.py``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import polyfiber as pf

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Make the page, open it twice, write both pictures."""
    folder = Path(tempfile.mkdtemp())
    made = pf.report(
        ROOT / "data" / "iris_petals.onnx",
        folder / "report.html",
        domain=pf.Box([0, 0], [8, 4]),
    )
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium-headless-shell"), args=["--no-sandbox"])
        for scheme, width, height in (("light", 1200, 900), ("dark", 390, 844)):
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(made.path.as_uri())
            page.evaluate("polyfiber.ready")
            frame = page.locator("#plane").bounding_box()
            page.mouse.move(frame["x"] + 0.62 * frame["width"], frame["y"] + 0.55 * frame["height"])
            page.wait_for_timeout(200)
            page.screenshot(path=ROOT / "docs" / "img" / f"report_{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()
