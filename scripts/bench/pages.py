"""Pages: how large is one, how long until it is ready, and how many frames a second while it is dragged?

    python scripts/bench/pages.py [--network 2-224-224] [--outputs 3] [--seconds 3]

A random network on all of the plane; headless Chromium draws in software, without a graphics card.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402

FRAMES = """(ms) => new Promise((done) => {
  const began = performance.now(), gaps = []; let last = began;
  const step = (now) => { gaps.push(now - last); last = now; now - began < ms ? requestAnimationFrame(step) : done(gaps); };
  requestAnimationFrame(step);
  const r = document.getElementById("plane").getBoundingClientRect(), e = document.getElementById("plane");
  const at = (type, x, y) => e.dispatchEvent(new PointerEvent(type, {
    bubbles: true, pointerId: 1, isPrimary: true, buttons: 1, clientX: r.left + x, clientY: r.top + y }));
  e.setPointerCapture = () => {};
  at("pointerdown", 200, 200);
  let k = 0;
  const move = () => { at("pointermove", 200 + 60 * Math.sin(k / 9), 200 + 40 * Math.cos(k / 7)); k++;
    if (performance.now() - began < ms) setTimeout(move, 8); else at("pointerup", 200, 200); };
  move();
})"""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="2-224-224")
    parser.add_argument("--outputs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    net = pf.ReLUNetwork.random((*map(int, given.network.split("-")), given.outputs), rng=0)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        made = pf.report(net, Path(folder) / "page.html", budget=pf.Budget(seconds=240))
        cost = time.process_time() - start
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium-headless-shell"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1200, "height": 850})
            start = time.perf_counter()
            page.goto(made.path.as_uri())
            page.evaluate("polyfiber.ready")
            page.evaluate("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
            ready = time.perf_counter() - start
            before = page.evaluate("polyfiber.paintings || 0")
            gaps = sorted(page.evaluate(FRAMES, 1000 * given.seconds))
            after = page.evaluate("polyfiber.paintings || 0")
            browser.close()
    print(
        "| network | regions | MB | made in, CPU s | ready in, s | frames a second, dragged | median gap ms | 95 % ms | paintings |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    shown = [
        given.network, made.regions, f"{made.size / 1e6:.2f}", f"{cost:.1f}", f"{ready:.2f}",
        f"{1000 * len(gaps) / sum(gaps):.0f}", f"{gaps[len(gaps) // 2]:.0f}", f"{gaps[int(0.95 * len(gaps))]:.0f}",
        after - before,
    ]  # fmt: skip
    print("| " + " | ".join(map(str, shown)) + " |")


if __name__ == "__main__":
    main()
