"""Attack pages: hostile names and numbers, networks that are hardly any; what a page says, and what it may not do.

    python scripts/attacks/pages.py [--seconds 120] [--seed 0] [--browser 10]

The truth shares no code with the page: regions by exact rational brute force (`tests/oracles/exact_faces.py`), the value of
every neuron and output by sums of fractions written here, elements by Python's HTML parser. Every page is parsed: only
elements and attributes of a short list, as many scripts as it always has, no address, and every name as plain text. Every
region: its pattern and its class at a point inside, and areas add up to the box; regions smaller than coordinates are exact
(a millionth of the window, 1e-9 on a line) are counted and not looked into. Input that is not a number has to be refused with
one error of the library. Every N-th page is opened in headless Chromium: silent, alone, unharmed.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import sys
import tempfile
import time
import zlib
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402
from polyfiber.errors import PolyfiberError  # noqa: E402
from tests.oracles.exact_faces import box, exact_complex  # noqa: E402

NAMES = (
    "</script><script>window.harmed=1</script>", "<img src=x onerror=window.harmed=1>", '"><svg onload=window.harmed=1>',
    "' onmouseover='window.harmed=1", "<!--", "-->", "]]>", "</title><h1>harmed</h1>", "&lt;b&gt;", "{{7*7}}", "${harmed}",
    "javascript:window.harmed=1", "\u2028\u2029", "\u202eevil", "a\x00b", "\ud800", "", " ", "x" * 5000, "<style>*{display:none}",
    "</style><script>window.harmed=1</script>", "<base href=https://example.com>", "a\nb\r\nc", "Länge (cm)", "长度", "\\u003cscript",
    "<iframe srcdoc='<script>parent.harmed=1</script>'>", "</noscript><script>window.harmed=1</script>",
)  # fmt: skip
ELEMENTS = {
    "html", "head", "meta", "link", "title", "style", "body", "a", "header", "div", "h1", "h2", "p", "button", "section",
    "label", "input", "select", "option", "canvas", "aside", "noscript", "nav", "details", "summary", "main", "span", "dl",
    "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "pre", "code", "footer", "script", "figure",
    "figcaption",
}  # fmt: skip
TYPES = {"u1": "<u1", "u2": "<u2", "u4": "<u4", "f4": "<f4", "f8": "<f8"}


class Parsed(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._inside] = self.scripts.get(self._inside, "") + data
        else:
            self.words.append(data)


def faults(parsed: Parsed) -> list[str]:
    """What a page may not hold."""
    found = []
    for tag, attributes in parsed.tags:
        if tag not in ELEMENTS:
            found.append(f"element {tag}")
        for name, value in attributes.items():
            if name.startswith("on") or name in ("style", "srcdoc", "action", "formaction"):
                found.append(f"attribute {name} of {tag}")
            if name in ("src", "href", "xlink:href", "data") and not (value or "").startswith(("#", "data:,")):
                found.append(f"{tag} leads to {value!r}")
    programs = [a for t, a in parsed.tags if t == "script" and "id" not in a]
    if len(programs) > 3 or sum(t == "style" for t, _ in parsed.tags) != 1:
        found.append(f"{len(programs)} programs")
    return found


# ---- the truth -------------------------------------------------------------------------------------
def values(net: pf.ReLUNetwork, x: list[Fraction]) -> tuple[list[Fraction], list[Fraction]]:
    """Pre-activations of all hidden neurons, and outputs, as fractions."""
    hidden: list[Fraction] = []
    for k, (w, b) in enumerate(zip(net.weights, net.biases)):
        z = [
            Fraction(float(c)) + sum((Fraction(float(v)) * u for v, u in zip(row, x)), Fraction(0))
            for row, c in zip(w, b)
        ]
        if k + 1 == len(net.weights):
            return hidden, z
        hidden += z
        x = [max(v, Fraction(0)) for v in z]
    raise AssertionError


def numbers(
    net: pf.ReLUNetwork, lo: np.ndarray, hi: np.ndarray, told: dict[str, Any], cols: dict[str, Any]
) -> list[str]:
    """What the picture says beside brute force and fractions."""
    wrong = []
    truth = exact_complex(net.weights, net.biases, domain=box(lo.tolist(), hi.tolist()))
    n = len(lo)
    regions = sum(1 for f in truth.faces.values() if f.dim == n)
    if told["regions"] != regions:
        wrong.append(f"{told['regions']} regions, the truth is {regions}")
    row = -(-told["hidden"] // 8)
    active = np.unpackbits(cols["active"].reshape(-1, row), axis=1, bitorder="little") if row else None
    gone = np.unpackbits(cols["vanishing"].reshape(-1, row), axis=1, bitorder="little") if "vanishing" in cols else None
    low, high = ([Fraction(v) for v in told[k][:n]] for k in ("low", "high"))
    at, total = 0, 0.0
    if told["kind"] == "line":
        xs = [Fraction(float(v)) for v in cols["x"]]
        inside: list[Any] = [[(a + b) / 2] if b - a > 1e-9 else None for a, b in zip(xs, xs[1:])]
    else:
        inside = []
        for size in cols["corners"].tolist():
            corner = cols["vertex"].reshape(-1, 2)[cols["corner"][at : at + size]]
            at += size
            p = [Fraction(float(v)) for v in corner.mean(axis=0, dtype=np.float64)]
            x, y = corner.astype(float).T
            size = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
            total += size  # single floats do not say what is inside a sliver
            inside.append([a + u * (b - a) for u, a, b in zip(p, low, high)] if size > 1e-6 else None)
        if abs(total - 1) > 1e-4:
            wrong.append(f"areas add up to {total} of the window")
    owner = cols.get("owner")
    for r, x in enumerate(inside):
        if x is None:
            continue
        z, y = values(net, x)
        size = max([abs(v) for v in z] or [Fraction(1)])
        for j, v in enumerate(z):
            said = 0 if gone is not None and gone[r, j] else 1 if active is not None and active[r, j] else -1
            if said and abs(v) > size / 10**4 and (v > 0) != (said > 0):
                wrong.append(f"region {r}, neuron {j}: {said} and {float(v)}")
            if not said and v > size / 10**4:
                wrong.append(f"region {r}, neuron {j} vanishes, and is {float(v)}")
        if owner is not None and owner[r] != 255:
            listed = [Fraction(0), *y] if len(y) == 1 else y
            best, size = max(listed), max(abs(v) for v in listed)
            if listed[int(owner[r])] < best - size / 10**4:
                wrong.append(f"region {r}: class {owner[r]} of {[float(v) for v in listed]}")
    return wrong


# ---- cases -----------------------------------------------------------------------------------------
def network(rng: np.random.Generator) -> tuple[str, pf.ReLUNetwork]:
    """A network of one or two inputs, of a hard kind."""
    kind = str(
        rng.choice(
            ["random", "whole", "large", "small", "dead", "no hidden", "zero", "repeated", "no biases", "one output"]
        )
    )
    n = int(rng.integers(1, 3))
    widths = [n, *rng.integers(1, 6, int(rng.integers(1, 3))).tolist(), int(rng.integers(2, 4))]
    if kind == "no hidden":
        widths = [n, 2]
    if kind == "one output":
        widths[-1] = 1
    weights = [rng.standard_normal((b, a)) for a, b in zip(widths, widths[1:])]
    biases = [rng.standard_normal(b) for b in widths[1:]]
    if kind == "whole":
        weights, biases = ([rng.integers(-2, 3, v.shape).astype(float) for v in some] for some in (weights, biases))
    if kind in ("large", "small"):
        weights = [w * 10.0 ** (rng.choice([100, 150]) * (1 if kind == "large" else -1)) for w in weights]
    if kind == "dead":
        biases[0] = -1e3 + 0 * biases[0]
    if kind == "zero":
        weights[0] *= 0
    if kind == "repeated":
        weights[0][:] = weights[0][0]
        biases[0][:] = biases[0][0]
    if kind == "no biases":
        biases = [0 * b for b in biases]
    return kind, pf.ReLUNetwork(weights, biases)


def case(rng: np.random.Generator, folder: Path) -> tuple[str, Path | None, list[str]]:
    """One page, and what is wrong with it."""
    kind, net = network(rng)
    n = net.architecture[0]
    lo, hi = np.full(n, -2.0), np.full(n, 3.0)
    names = tuple(str(v) for v in rng.choice(np.array(NAMES, dtype=object), n))
    points = rng.uniform(-2, 3, (5, n)) if rng.random() < 0.3 else None
    target = folder / "page.html"
    given: Any = net
    title = ""
    if rng.random() < 0.4:  # a file whose name is hostile
        name = "".join(c for c in str(rng.choice(np.array(NAMES, dtype=object))) if c not in "/\0\ud800")[:60] or "x"
        given = folder / f"{name}.npz"
        net.save(given)
        title = given.name
    hostile = rng.random()
    picture = pf.Picture(names=names if n > 1 or rng.random() < 0.5 else None, points=points)
    if hostile < 0.15:
        bad = np.array([[np.nan] * n, [np.inf] * n])
        picture = pf.Picture(names=names, points=bad)
    try:
        pf.report(given, target, domain=pf.Box(lo, hi), picture=picture, budget=pf.Budget(seconds=20))
    except PolyfiberError as error:
        return kind, None, [] if hostile < 0.15 else [f"refused: {type(error).__name__}: {str(error)[:200]}"]
    except Exception as error:
        return kind, None, [f"not an error of the library: {type(error).__name__}: {str(error)[:200]}"]
    if hostile < 0.15:
        return kind, target, ["points that are no numbers were drawn"]
    text = target.read_bytes().decode("utf-8")
    parsed = Parsed(text)
    wrong = faults(parsed)
    told = json.loads(parsed.scripts["told"])
    if title and not any(title in w for w in parsed.words):
        wrong.append(f"the title does not show {title!r} as it is")
    if told["columns"]:
        raw = zlib.decompress(base64.b64decode(parsed.scripts["columns"]))
        cols = {c["name"]: np.frombuffer(raw, TYPES[c["type"]], c["length"], c["offset"]) for c in told["columns"]}
        if picture.names is not None and told["labels"][:n] != list(names):
            wrong.append(f"names {told['labels']!r} for {names!r}")
        wrong += numbers(net, lo, hi, told, cols)
    return kind, target, wrong


def opened(browser: Any, path: Path) -> list[str]:
    """What a page does in a browser."""
    page = browser.new_page(viewport={"width": 900, "height": 700})
    found: list[str] = []
    page.on("console", lambda m: m.type in ("error", "warning") and found.append(f"console: {m.text[:200]}"))
    page.on("pageerror", lambda e: found.append(f"error: {e}"))
    page.on("request", lambda r: r.url.startswith(("http", "ftp", "ws")) and found.append(f"asks for {r.url[:100]}"))
    page.goto(path.as_uri())
    if page.query_selector("#plane"):
        page.evaluate("polyfiber.ready")
        page.locator("#plane").focus()
        for key in ("n", "n", "+", "0"):
            page.keyboard.press(key)
        page.evaluate("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
    if page.evaluate("window.harmed !== undefined || document.querySelector('h1').innerText === 'harmed'"):
        found.append("a name was run")
    page.close()
    return found


def main() -> None:
    """Make pages until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="processor time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10**9)
    parser.add_argument("--browser", type=int, default=10, help="open every N-th page; 0 for none")
    given = parser.parse_args()
    count, shown, bad = 0, 0, 0
    kinds: dict[str, int] = {}
    play = browser = None
    if given.browser:
        from playwright.sync_api import sync_playwright

        play = sync_playwright().start()
        browser = play.chromium.launch(executable_path=shutil.which("chromium-headless-shell"), args=["--no-sandbox"])
    start = time.process_time()
    while count < given.cases and time.process_time() - start < given.seconds:
        with tempfile.TemporaryDirectory() as folder:
            kind, path, wrong = case(np.random.default_rng([given.seed, count]), Path(folder))
            if browser is not None and path is not None and count % given.browser == 0:
                wrong += opened(browser, path)
                shown += 1
        kinds[kind] = kinds.get(kind, 0) + 1
        for line in wrong[:5]:
            print(f"case {count} ({kind}): {line}", flush=True)
        bad += bool(wrong)
        count += 1
    if browser is not None and play is not None:
        browser.close()
        play.stop()
    print(f"{count} pages, {shown} opened in a browser, {bad} wrong; {dict(sorted(kinds.items()))}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
