"""Open the built documentation in headless Chromium, from disk, as a reader would.

    python scripts/site_check.py [build/site] [--pictures FOLDER]

Every page: nothing is asked of a network, nothing is written to the console, every picture and every place that a link
names is there, and no text is wider than a telephone. The search finds a page. Exit code 1 and a list where not.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import urllib.parse
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROKEN = """() => [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"""
WIDE = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""
LINKS = """() => [...document.querySelectorAll("a[href]")].map(a => a.href)"""
ANCHORS = """() => [...document.querySelectorAll("[id]")].map(e => e.id)"""


def look(browser: Any, path: Path, size: tuple[int, int], wrong: list[str]) -> tuple[list[str], list[str]]:
    """Open one page; its links and the places in it."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})

    def asked(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            wrong.append(f"{path.name}: asks for {request.url}")

    page.on("request", asked)
    page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(f"{path.name}: {m.text}"))
    page.on("pageerror", lambda e: wrong.append(f"{path.name}: {e}"))
    page.goto(path.as_uri())
    wrong += [f"{path.name}: no picture at {src}" for src in page.evaluate(BROKEN)]
    if page.evaluate(WIDE) > 0:
        wrong.append(f"{path.name}: wider than {size[0]} pixels")
    found = page.evaluate(LINKS), page.evaluate(ANCHORS)
    page.close()
    return found


def search(browser: Any, site: Path, wrong: list[str]) -> None:
    """The search works from disk."""
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("breakpoint")
    try:
        page.wait_for_selector(".md-search-result__item a", timeout=20_000)
    except Exception:
        wrong.append("the search finds nothing")
    page.close()


def main() -> None:
    """Look at all pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", nargs="?", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of some pages")
    given = parser.parse_args()
    site = given.site.resolve()
    pages = sorted(p for p in site.rglob("*.html") if p.name != "404.html")
    if not pages:
        sys.exit(f"{site} has no pages: mkdocs build --strict -f docs/site/mkdocs.yml")
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    links: dict[Path, list[str]] = {}
    places: dict[Path, set[str]] = {}
    with sync_playwright() as play:
        program = next((p for p in map(shutil.which, NAMES) if p), None)
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for path in pages:
            links[path], found = look(browser, path, (360, 740), wrong)
            places[path] = set(found)
        search(browser, site, wrong)
        if given.pictures:
            given.pictures.mkdir(parents=True, exist_ok=True)
            for path in pages:
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(path.as_uri())
                name = str(path.relative_to(site).with_suffix(".png")).replace("/", "-")
                page.screenshot(path=given.pictures / name)
                page.close()
        browser.close()
    for path, targets in links.items():
        for target in targets:
            parts = urllib.parse.urlsplit(target)
            if parts.scheme != "file":
                continue
            to = Path(urllib.parse.unquote(parts.path))
            if not to.exists():
                wrong.append(f"{path.name}: leads to {to}, which is not there")
            elif parts.fragment and to in places and urllib.parse.unquote(parts.fragment) not in places[to]:
                wrong.append(f"{path.name}: leads to {to.name}#{parts.fragment}, which is not there")
    for line in sorted(set(wrong)):
        print(line)
    print(f"{len(pages)} pages, {sum(map(len, links.values()))} links, {len(set(wrong))} faults")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
