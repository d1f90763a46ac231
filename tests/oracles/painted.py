"""Whether a page paints what it says: pixels inside its regions, read back from the canvas."""

from __future__ import annotations

from typing import Any

HOLES = """(tries) => {
  const { col, told, screen, look, state } = polyfiber, canvas = document.getElementById("plane");
  const r = canvas.getBoundingClientRect(), width = canvas.width, height = canvas.height, ratio = width / r.width;
  const copy = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const data = copy.getImageData(0, 0, width, height).data;
  const rgb = (h) => [1, 3, 5].map((k) => parseInt(h.slice(k, k + 2), 16)), paper = rgb(look().paper);
  let seed = 1, at = 0, looked = 0;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647, wrong = [];
  for (let i = 0; i < told.regions; i++) {
    const p = [];
    for (const k of col.corner.subarray(at, at += col.corners[i])) p.push(screen(col.vertex[2 * k], col.vertex[2 * k + 1]));
    if (!p.some((a) => Math.hypot(a[0] - p[0][0], a[1] - p[0][1]) > 3)) continue; // a point on the screen
    for (let t = 0; t < tries; t++) {
      const w = p.map(() => -Math.log(1 - random())), s = w.reduce((a, b) => a + b);
      const q = [0, 1].map((c) => w.reduce((a, v, k) => a + v * p[k][c], 0) / s), x = Math.floor(q[0] * ratio), y = Math.floor(q[1] * ratio);
      if (!(q[0] > 54 && q[1] > 42 && q[0] < r.width - 150 && q[1] < r.height - 60)) continue; // ticks and names of axes
      const near = p.some((a, k) => {
        const b = p[(k + 1) % p.length], e = [b[0] - a[0], b[1] - a[1]], n = Math.hypot(...e);
        return n > 0 && Math.abs(e[0] * (q[1] - a[1]) - e[1] * (q[0] - a[0])) < 1.2 * n;
      });
      if (near) continue;
      looked++;
      const pixel = [0, 1, 2].map((c) => data[4 * (y * width + x) + c]), off = (h) => Math.max(...h.map((v, c) => Math.abs(v - pixel[c])));
      const owner = state.colour === "class" ? col.owner[i] : 255;
      if (off(paper) < 3) wrong.push(`region ${i} is not painted at ${q.map((v) => v.toFixed(1))}`);
      else if (owner !== 255 && !(told.ties && off(rgb(look().tie)) < 4) && off(rgb(look().classes[owner % look().classes.length])) > 3) wrong.push(`region ${i} has another class's colour at ${q.map((v) => v.toFixed(1))}`);
    }
  }
  return [looked, wrong];
}"""


def painted(page: Any, tries: int = 30) -> tuple[int, list[str]]:
    """How many pixels were looked at, and those inside a region that have no colour, or that of another class.

    The page is open in Playwright, in any colour but 'none'. Walls, boundary and points are taken off.
    """
    for box in page.query_selector_all("input[data-walls], input#boundary, input#points"):
        box.uncheck()
    page.mouse.move(0, 0)  # nothing is outlined
    page.evaluate("polyfiber.settled()")
    looked, wrong = page.evaluate(HOLES, tries)
    return looked, wrong


def wander(page: Any, rng: Any) -> None:
    """To another view: a turn of the wheel at some place, now and then back to the whole."""
    frame = page.locator("#plane").bounding_box()
    if rng.random() < 0.2:
        page.click("#home")
    page.mouse.move(
        frame["x"] + frame["width"] * rng.uniform(0.1, 0.9), frame["y"] + frame["height"] * rng.uniform(0.1, 0.9)
    )
    page.mouse.wheel(0, -int(rng.choice([60, 120, 240, 500])))
    page.mouse.move(0, 0)
    page.evaluate("polyfiber.settled()")
