"""The page around the sections: plain HTML that reads without its program, and one picture that needs it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ..plots.style import dark_ground, light_ground, page_colours
from ..verdict import Verdict
from .sections import Section
from .shapes import Columns

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What the page may do: show itself. Nothing can be fetched."""

MARKS = {Verdict.YES: ("yes", "certified"), Verdict.NO: ("no", "no"), Verdict.UNDECIDED: ("open", "open")}


def asset(name: str) -> str:
    """A file of `assets`, as text."""
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def page(
    title: str, subtitle: str, sections: Sequence[Section], picture: dict[str, Any] | None, columns: Columns, made: str
) -> str:
    """The whole document.

    Parameters
    ----------
    title, subtitle, made : str
        What it is about, in a line; and how it was made.
    sections : sequence of Section
    picture : dict or None
        Of `shapes.planar` or `shapes.line`, with ``space`` where there is a surface; None where nothing is drawn.
    columns : Columns
        Of the picture.
    """
    links = "".join(f'<a href="#{escape(s.name)}">{escape(s.title)}</a>' for s in sections)
    body = "".join(section(s) for s in sections)
    shown = "" if picture is None else _picture(picture)
    told = {**(picture or {}), "palette": _palette(), "columns": columns.layout}
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{asset("page.css")}</style>
</head>
<body>
<a class="skip" href="#main">To the answers</a>
<header>
<div><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></div>
<button type="button" id="theme" aria-label="Light or dark">light or dark</button>
</header>
{shown}
<nav aria-label="Questions"><details open><summary>Questions</summary>{links}</details></nav>
<main id="main">
{body}
</main>
<footer><p>{escape(made)}</p></footer>
<script type="application/json" id="told">{_json(told)}</script>
<script type="text/plain" id="columns">{columns.text()}</script>
{"" if picture is None else f"<script>{asset('page.js')}</script>"}
{"" if picture is None or not picture.get("space") else f"<script>{asset('space.js')}</script>"}
<script>{asset("theme.js")}</script>
</body>
</html>
"""


def section(s: Section) -> str:
    """One question and its answer."""
    mark = ""
    if s.state is not None:
        kind, word = MARKS[s.state]
        mark = f' <span class="mark {kind}">{escape(s.word or word)}</span>'
    parts = [f'<section id="{escape(s.name)}"><h2>{escape(s.title)}{mark}</h2><p class="lead">{escape(s.lead)}</p>']
    if s.rows:
        rows = "".join(f"<div><dt>{escape(a)}</dt><dd>{escape(b)}</dd></div>" for a, b in s.rows)
        parts.append(f"<dl>{rows}</dl>")
    if s.table:
        head = "".join(f'<th scope="col">{escape(h)}</th>' for h in s.header)
        lines = "".join("<tr>" + "".join(f"<td>{escape(str(c))}</td>" for c in row) + "</tr>" for row in s.table)
        parts.append(
            f'<div class="wide" tabindex="0" role="region" aria-label="Table: {escape(s.title)}"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
        )
    if s.remarks:
        parts.append("<ul>" + "".join(f"<li>{escape(t)}</li>" for t in s.remarks) + "</ul>")
    if s.commands:
        parts.append('<p class="try">To see it for yourself:</p>')
        parts += [f"<pre><code>{escape(c)}</code></pre>" for c in s.commands]
    return "".join(parts) + "</section>\n"


def _picture(picture: dict[str, Any]) -> str:
    plane = picture["kind"] == "plane"
    what = f"{picture['regions']:,} region{'' if picture['regions'] == 1 else 's'}"
    caption = f"{what} {picture['caption']}".strip()
    boxes = [
        f'<label><input type="checkbox" data-walls="{k}" checked> walls of {escape(g)}</label>'
        for k, g in enumerate(picture["groups"])
    ]
    if picture.get("boundary") or picture.get("ties"):
        boxes.append('<label><input type="checkbox" id="boundary" checked> decision boundary</label>')
    if picture.get("points"):
        boxes.append(f'<label><input type="checkbox" id="points" checked> {escape(picture["points"])}</label>')
    colours = [f'<option value="{c["column"]}">{escape(c["text"])}</option>' for c in picture["colours"]]
    if picture["classes"]:
        colours.insert(0, '<option value="class">class</option>')
    if plane:
        colours += [
            '<option value="layer">layer of the last wall crossed</option>',
            '<option value="none">nothing</option>',
        ]
    choose = f'<label class="choose">colour <select id="colour">{"".join(colours)}</select></label>' if colours else ""
    solid = ""
    if picture.get("space"):
        space = picture["space"]
        solid = (
            f'<figure id="solid"><figcaption>In space: {escape(space["what"])}, {space["polygons"]:,} polygons</figcaption>'
            '<canvas id="space" tabindex="0" role="img" aria-label="Surface in space; arrow keys turn it"></canvas>'
            "<p>Drag or use the arrow keys to turn it; + and − zoom.</p></figure>"
        )
    return f"""<section id="picture" aria-label="Picture">
<h2>{escape(caption)}</h2>
<div class="controls">{choose}{"".join(boxes)}<button type="button" id="home">whole window</button></div>
<div class="stage">
<div class="frame"><canvas id="plane" tabindex="0" role="application" aria-label="{escape(caption)}. Arrow keys move, plus and minus zoom, n and p go from region to region, 0 shows everything." aria-describedby="panel"></canvas></div>
<aside id="panel" aria-live="polite"><p>Point at a region, or press n, to read its pattern, its affine map and its size. Click keeps it, Escape lets go.</p></aside>
</div>
<div id="legend"></div>
<p class="keys">Drag to move, wheel or two fingers to zoom. Keys: arrows move, + and − zoom, 0 everything, n and p the next and previous region.</p>
<noscript><p>The picture needs JavaScript; all else is below.</p></noscript>
</section>
{solid}"""


def _palette() -> dict[str, Any]:
    return {
        "light": {"ground": light_ground(), **page_colours(dark=False)},
        "dark": {"ground": dark_ground(), **page_colours(dark=True)},
    }


def _json(value: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
