"""HTML that nothing in it can leave: names of files are text, whatever they hold."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from polyfiber.pages.markup import POLICY, asset, page, section
from polyfiber.pages.sections import Section
from polyfiber.pages.shapes import Columns
from polyfiber.verdict import Verdict

EVIL = "</script><img src=x onerror=alert(1)> & \"'"


class Reader(HTMLParser):
    """Tags, the text between them, and tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.all = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.all += data
        where = self.tags[-1][1].get("id") if self.tags else None
        if where:
            self.text[where] = self.text.get(where, "") + data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def evil_section() -> Section:
    return Section(EVIL, EVIL, EVIL, Verdict.NO, EVIL, ((EVIL, EVIL),), (EVIL,), ((EVIL,),), (EVIL,), (EVIL,))


def test_whatever_a_section_says_is_text() -> None:
    found = read(section(evil_section()))
    assert not [t for t, _ in found.tags if t in ("img", "script")]
    assert found.all.count(EVIL) == 9
    assert dict(found.tags)["section"]["id"] == EVIL


@pytest.mark.parametrize("with_picture", [False, True])
def test_a_page_holds_its_columns_and_what_is_told(with_picture: bool) -> None:
    columns = Columns()
    columns.add("x", [1.0, 2.0], "f4")
    picture: dict[str, Any] | None = None
    if with_picture:
        picture = {"kind": "plane", "regions": 2, "caption": EVIL, "groups": [EVIL], "classes": [EVIL], "points": EVIL,
                   "colours": [{"column": "x", "text": EVIL}]}  # fmt: skip
    found = read(page(EVIL, EVIL, [evil_section()], picture, columns, EVIL))
    assert not [t for t, _ in found.tags if t == "img"]
    told = json.loads(found.text["told"])
    assert told["columns"] == columns.layout
    assert told.get("caption") == (EVIL if with_picture else None)
    assert found.text["columns"].strip() == columns.text()
    ids = [a["id"] for _, a in found.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    assert ("plane" in ids) == with_picture
    policies = [a["content"] for t, a in found.tags if t == "meta" and a.get("http-equiv")]
    assert policies == [POLICY]


def test_nothing_is_fetched() -> None:
    assert "default-src 'none'" in POLICY
    for name in ("page.css", "page.js", "space.js", "theme.js"):
        assert "http://" not in asset(name).replace("http://www.w3.org", "")
        assert "</script" not in asset(name)


def test_marks_say_how_sure() -> None:
    for verdict, word in ((Verdict.YES, "certified"), (Verdict.NO, "no"), (Verdict.UNDECIDED, "open")):
        assert f">{word}</span>" in section(Section("a", "b", "c", verdict))
    assert "mark" not in section(Section("a", "b", "c"))
