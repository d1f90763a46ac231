"""Attack pages: hostile names and numbers, networks that are hardly any; what a page says, and what it may not do.

    python scripts/attacks/pages.py [--seconds 120] [--seed 0] [--browser 10] [--kinds one,pair,layers,space]

The truth shares no code with the page: regions by exact rational brute force (`tests/oracles/exact_faces.py`), the value of
every neuron and output by sums of fractions written here, elements by Python's HTML parser. Every page is parsed: only
elements and attributes of a short list, as many scripts as it always has, no address, and every name as plain text. Every
region: its pattern and its class at a point inside, and areas add up to the box; regions smaller than coordinates are exact
(a millionth of the window, 1e-9 on a line) are counted and not looked into. Input that is not a number has to be refused with
one error of the library. Every N-th page is opened in headless Chromium: silent, alone, unharmed; and pixels inside regions
are read back in six views, at which none may be left out or have another class's colour.

Pages about two networks: the verdict, the input where they differ and the bracket of the difference, beside the largest gap at
all vertices of both complexes together, in fractions. About the layers of a linear network: the rank of every product and the
dimension of the fiber's tangent, by elimination in fractions. With three inputs: the plane of the picture as above, and corners
of the boundary in space, at which the two largest outputs have to agree.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import sys
import tempfile
import time
import warnings
import zlib
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

warnings.simplefilter("error")  # a page says nothing of NumPy
import polyfiber as pf  # noqa: E402
from polyfiber.errors import PolyfiberError  # noqa: E402
from tests.oracles.exact_faces import box, exact_complex, rank  # noqa: E402
from tests.oracles.painted import painted, wander  # noqa: E402

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


# ---- two networks, linear layers, three inputs -----------------------------------------------------
def rewritten(rng: np.random.Generator, net: pf.ReLUNetwork) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The same function, to the last bit: neurons permuted, scaled by powers of two, one split into equal halves."""
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    for k in range(len(weights) - 1):
        order = rng.permutation(len(weights[k]))
        scale = 2.0 ** rng.integers(-3, 4, len(order))
        weights[k], biases[k] = weights[k][order] * scale[:, None], biases[k][order] * scale
        weights[k + 1] = weights[k + 1][:, order] / scale
        if rng.random() < 0.3:
            weights[k], biases[k] = np.vstack([weights[k], weights[k][:1]]), np.append(biases[k], biases[k][0])
            weights[k + 1][:, 0] /= 2
            weights[k + 1] = np.hstack([weights[k + 1], weights[k + 1][:, :1]])
    return weights, biases


def largest_gap(a: pf.ReLUNetwork, b: pf.ReLUNetwork, lo: np.ndarray, hi: np.ndarray) -> Fraction:
    """Of two networks of one depth on a box: at the vertices of their complexes laid over each other."""
    weights, biases = [], []
    for k, (u, v) in enumerate(zip(a.weights, b.weights)):
        weights.append(
            np.vstack([u, v])
            if k == 0
            else np.block([[u, np.zeros((len(u), v.shape[1]))], [np.zeros((len(v), u.shape[1])), v]])
        )
        biases.append(np.append(a.biases[k], b.biases[k]))
    truth = exact_complex(weights, biases, domain=box(lo.tolist(), hi.tolist()))
    gap = Fraction(0)
    for x in truth.vertices().values():
        gap = max([gap, *(abs(u - v) for u, v in zip(values(a, list(x))[1], values(b, list(x))[1]))])
    return gap


def quantity(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace("−", "-"))


def pair(rng: np.random.Generator, folder: Path) -> tuple[str, Path | None, list[str]]:
    """A page about two networks that are equal, differ, or nearly do."""
    n, depth = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    widths = [n, *rng.integers(1, 4, depth).tolist(), int(rng.integers(1, 3))]
    a = pf.ReLUNetwork(
        [rng.integers(-3, 4, (v, u)) / 2.0 for u, v in zip(widths, widths[1:])],
        [rng.integers(-3, 4, v) / 2.0 for v in widths[1:]],
    )
    weights, biases = rewritten(rng, a)
    change = str(rng.choice(["none", "bias", "weight", "tiny"]))
    if change != "none":
        k = int(rng.integers(len(weights)))
        place = biases[k] if change == "bias" else weights[k]
        place[tuple(rng.integers(place.shape))] += 1e-5 if change == "tiny" else float(rng.choice([-1, 0.5, 2]))
    b = pf.ReLUNetwork(weights, biases)
    lo, hi = np.full(n, -2.0), np.full(n, 3.0)
    target = folder / "pair.html"
    files = []
    for net in (a, b):
        name = "".join(c for c in str(rng.choice(np.array(NAMES, dtype=object))) if c not in "/\0\ud800")[:60] or "x"
        files.append(folder / f"{len(files)}{name}.npz")
        net.save(files[-1])
    page = pf.report(files[0], target, other=files[1], domain=pf.Box(lo, hi), budget=pf.Budget(seconds=30))
    parsed = Parsed(target.read_bytes().decode("utf-8"))
    wrong = faults(parsed) + [
        f"the page does not show {f.name!r}" for f in files if not any(f.name in w for w in parsed.words)
    ]
    gap = largest_gap(a, b, lo, hi)
    size = 1 + max(abs(v) for x in ([lo.tolist(), hi.tolist()]) for v in values(a, [Fraction(c) for c in x])[1])
    same = next(s for s in page.sections if s.name == "same")
    if (same.state is pf.Verdict.NO) if gap == 0 else (same.state is pf.Verdict.YES and gap > size / 10**6):
        wrong.append(f"{same.state} for a gap of {float(gap)}: {same.lead}")
    apart = next((s for s in page.sections if s.name == "apart"), None)
    if apart is None:
        return f"pair, {change}", target, [*wrong, "no word on the difference"]
    rows = dict(apart.rows)
    if "largest |f − g| attained" in rows:
        attained, upper = quantity(rows["largest |f − g| attained"]), quantity(rows["proved bound"])
        slack = Fraction(1, 10**9)
        if attained > gap * (1 + slack) + slack * slack or upper < gap * (1 - slack):
            wrong.append(f"the largest gap is {float(gap)}, the page has [{float(attained)}, {float(upper)}]")
    return f"pair, {change}", target, wrong


def layers(rng: np.random.Generator, folder: Path) -> tuple[str, Path | None, list[str]]:
    """A page about the layers of a linear network with ranks of all kinds."""
    widths = rng.integers(1, 5, int(rng.integers(3, 6))).tolist()
    given = []
    for u, v in zip(widths, widths[1:]):
        r = int(rng.integers(0, min(u, v) + 1))
        given.append((rng.integers(-2, 3, (v, r)) @ rng.integers(-2, 3, (r, u))).astype(float))
    target = folder / "layers.html"
    page = pf.report(given, target, budget=pf.Budget(seconds=30))
    parsed = Parsed(target.read_bytes().decode("utf-8"))
    wrong = faults(parsed)
    exact = [[[Fraction(float(x)) for x in row] for row in w] for w in given]

    def times(p: list[list[Fraction]], q: list[list[Fraction]]) -> list[list[Fraction]]:
        return [[sum((x * y for x, y in zip(row, column)), Fraction(0)) for column in zip(*q)] for row in p]

    def identity(m: int) -> list[list[Fraction]]:
        return [[Fraction(i == j) for j in range(m)] for i in range(m)]

    L = len(given)
    products = {(i, i): identity(widths[i]) for i in range(L + 1)}
    for i in range(L):
        for k in range(i + 1, L + 1):
            products[k, i] = times(exact[k - 1], products[k - 1, i])
    where = next(s for s in page.sections if s.name == "stratum")
    said = {row[0]: row for row in where.table}
    for (k, i), p in products.items():
        name = f"W{k}" if k == i + 1 else f"W{k}…W{i + 1}"
        if k > i and (said[name][1] != str(rank(p)) and said[name][2] in ("yes", "exact")):
            wrong.append(f"rank of {name}: {said[name][1]}, the truth is {rank(p)} ({widths})")
    rows = dict(where.rows)
    if where.state is pf.Verdict.YES:
        columns = []  # of the differential of the product at the layers
        for k in range(L):
            left, right = products[L, k + 1], products[k, 0]
            for a in range(widths[k + 1]):
                for b in range(widths[k]):
                    columns.append([row[a] * v for row in left for v in right[b]])
        tangent = len(columns) - rank(columns)
        if quantity(rows["dimension of the fiber's tangent"]) != tangent:
            wrong.append(f"tangent {rows}, the truth is {tangent} ({widths})")
    return "layers", target, wrong


def space(rng: np.random.Generator, folder: Path) -> tuple[str, Path | None, list[str]]:
    """A page about a classifier of three inputs: the plane and the boundary in space."""
    widths = [3, int(rng.integers(1, 5)), int(rng.integers(2, 4))]
    whole = rng.random() < 0.4
    weights = [
        rng.integers(-2, 3, (v, u)) / 1.0 if whole else rng.standard_normal((v, u)) for u, v in zip(widths, widths[1:])
    ]
    biases = [rng.integers(-2, 3, v) / 1.0 if whole else rng.standard_normal(v) for v in widths[1:]]
    net = pf.ReLUNetwork(weights, biases)
    lo, hi = np.full(3, -2.0), np.full(3, 3.0)
    names = tuple(str(v) for v in rng.choice(np.array(NAMES, dtype=object), 3))
    target = folder / "space.html"
    picture = pf.Picture(axes=(0, 1), origin=(0.0, 0.0, 0.5), names=names)
    pf.report(net, target, domain=pf.Box(lo, hi), picture=picture, budget=pf.Budget(seconds=30))
    parsed = Parsed(target.read_bytes().decode("utf-8"))
    wrong = faults(parsed)
    told = json.loads(parsed.scripts["told"])
    if not told["columns"]:
        return "space", target, wrong
    raw = zlib.decompress(base64.b64decode(parsed.scripts["columns"]))
    cols = {c["name"]: np.frombuffer(raw, TYPES[c["type"]], c["length"], c["offset"]) for c in told["columns"]}
    flat = pf.ReLUNetwork([weights[0][:, :2], *weights[1:]], [biases[0] + 0.5 * weights[0][:, 2], *biases[1:]])
    wrong += numbers(flat, lo[:2], hi[:2], told, cols)
    solid = told.get("space")
    if solid:
        low, high = np.array(solid["low"]), np.array(solid["high"])
        for x in (low + cols["solid"].reshape(-1, 3).astype(float) * (high - low))[:200]:
            hidden, y = values(net, [Fraction(float(v)) for v in x])
            top = sorted(y)[-2:]
            if top[1] - top[0] > max(abs(v) for v in [*hidden, *y, Fraction(1)]) / 10**4:
                wrong.append(f"a corner of the boundary in space has outputs {[float(v) for v in y]}")
    return "space", target, wrong


CASES = {"one": case, "pair": pair, "layers": layers, "space": space}


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
        for key in ("n", "n", "+", "0", "Escape"):  # nothing stays outlined
            page.keyboard.press(key)
        page.evaluate("polyfiber.settled()")
        if page.evaluate("polyfiber.told.kind === 'plane' && !!document.querySelector('#colour')"):
            rng = np.random.default_rng(0)
            for _ in range(6):
                found += painted(page)[1][:2]
                wander(page, rng)
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
    parser.add_argument("--kinds", default=",".join(CASES), help="kinds of pages, in turn")
    parser.add_argument("--browser", type=int, default=10, help="open every N-th page; 0 for none")
    given = parser.parse_args()
    wanted = given.kinds.split(",")
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
            make = CASES[wanted[count % len(wanted)]]
            try:
                kind, path, wrong = make(np.random.default_rng([given.seed, count]), Path(folder))
            except PolyfiberError as error:
                kind, path, wrong = make.__name__, None, [f"refused: {type(error).__name__}: {str(error)[:200]}"]
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
