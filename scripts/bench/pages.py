"""Pages: how large is one, how long until it is ready, and is it fluid while it is dragged, zoomed, pointed at and coloured?

    python scripts/bench/pages.py [--network 2-250-250] [--outputs 3] [--seconds 3] [--page FILE]

A random network on all of the plane; headless Chromium draws in software, without a graphics card. The CPU time of a painting
is that of the page's own thread, read from the system, so that other work on the machine does not count; gaps between frames
and long tasks are wall time, as a reader feels them, and say little on a loaded machine.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402

HANDS = """async (ms) => {
  const e = document.getElementById("plane"), r = e.getBoundingClientRect(), long = [], found = {};
  new PerformanceObserver((l) => { for (const t of l.getEntries()) long.push(t.duration); }).observe({ entryTypes: ["longtask"] });
  e.setPointerCapture = () => {};
  const at = (type, x, y, buttons) => e.dispatchEvent(new PointerEvent(type, {
    bubbles: true, pointerId: 1, isPrimary: true, buttons, clientX: r.left + x, clientY: r.top + y }));
  const wheel = (d) => e.dispatchEvent(new WheelEvent("wheel", {
    bubbles: true, cancelable: true, deltaY: d, clientX: r.left + 300, clientY: r.top + 250 }));
  const around = (k) => [300 + 150 * Math.sin(k / 9), 250 + 100 * Math.cos(k / 7)];
  const during = async (name, act) => {
    await polyfiber.settled();
    long.length = 0;
    const gaps = [], paintings = polyfiber.paintings;
    await new Promise((done) => {
      const began = performance.now();
      let last = began, k = 0;
      const step = (now) => { gaps.push(now - last); last = now; if (now - began > ms) done(); else { act(k++); requestAnimationFrame(step); } };
      requestAnimationFrame(step);
    });
    found[name] = { gaps, long: [...long], paintings: polyfiber.paintings - paintings };
  };
  await during("pointed at", (k) => at("pointermove", ...around(k), 0));
  at("pointerdown", ...around(0), 1);
  await during("dragged", (k) => at("pointermove", ...around(k), 1));
  at("pointerup", ...around(0), 0);
  await during("zoomed in", () => wheel(-15));
  await during("zoomed out", () => wheel(15));
  const choose = document.getElementById("colour");
  await during("coloured anew", (k) => { if (k % 45 === 0) {
    choose.value = choose.options[(k / 45) % choose.options.length].value; choose.dispatchEvent(new Event("change")); } });
  return found;
}"""


def thread_seconds(cdp: Any) -> float:
    """CPU time of the page's thread."""
    found = {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}
    return float(found["ThreadTime"])


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="2-250-250")
    parser.add_argument("--outputs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--page", type=Path, help="a page that is there, instead of making one")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        path = given.page
        if path is None:
            net = pf.ReLUNetwork.random((*map(int, given.network.split("-")), given.outputs), rng=0)
            start = time.process_time()
            path = pf.report(net, Path(folder) / "page.html", budget=pf.Budget(seconds=240)).path
            print(f"made in {time.process_time() - start:.1f} CPU s")
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium-headless-shell"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1200, "height": 850})
            cdp = page.context.new_cdp_session(page)
            cdp.send("Performance.enable")
            page.goto(path.resolve().as_uri())
            page.evaluate("polyfiber.ready")
            page.evaluate("polyfiber.settled()")
            ready, regions = thread_seconds(cdp), page.evaluate("polyfiber.told.regions")
            costs = []
            for _ in range(5):
                before = thread_seconds(cdp)
                page.evaluate(
                    "document.getElementById('colour').dispatchEvent(new Event('change')), polyfiber.settled()"
                )
                costs.append(thread_seconds(cdp) - before)
            found = page.evaluate(HANDS, 1000 * given.seconds)
            browser.close()
        size = path.stat().st_size
    print(f"{regions:,} regions, {size / 1e6:.2f} MB; ready after {ready:.2f} CPU s, a painting {min(costs):.2f} CPU s")
    print(
        "| while it is | frames a second | median gap ms | 95 % ms | longest ms | tasks above 50 ms | whole paintings |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, one in found.items():
        gaps = sorted(one["gaps"])
        shown = [1000 * len(gaps) / sum(gaps), gaps[len(gaps) // 2], gaps[int(0.95 * len(gaps))], gaps[-1]]
        print(
            "| " + " | ".join([name, *(f"{v:.0f}" for v in shown), str(len(one["long"])), str(one["paintings"])]) + " |"
        )


if __name__ == "__main__":
    main()
