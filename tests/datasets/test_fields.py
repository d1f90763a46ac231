"""Checks of single values: what passes comes back as it is used, and errors name the key."""

from __future__ import annotations

import datetime
import pickle
from typing import Any

import pytest

from polyfiber.datasets import fields
from polyfiber.errors import InputError

PASSES: list[tuple[Any, Any, Any]] = [
    (fields.integer(1, 3), 3, 3), (fields.number(0), 2, 2.0), (fields.number(above=0.0), 1e-300, 1e-300),
    (fields.date, "2026-03-31", "2026-03-31"), (fields.date, datetime.date(2026, 3, 31), "2026-03-31"),
    (fields.width, 7, 7), (fields.sha256, "a" * 64, "a" * 64), (fields.boolean, False, False),
    (fields.text, "two\nlines", "two\nlines"), (fields.line, "one", "one"), (fields.address, "doi:10.1000/182", "doi:10.1000/182"),
    (fields.address, "https://example.org/a?b=c", "https://example.org/a?b=c"), (fields.identifier, "a-1_b.c", "a-1_b.c"),
    (fields.choice("a", "b"), "b", "b"), (fields.sequence(fields.width, least=2), [1, 2], [1, 2]),
    (fields.one_or_more(fields.width), 3, [3]), (fields.one_or_more(fields.width), [3, 4], [3, 4]),
    (fields.nullable(fields.width), None, None), (fields.size, "1GiB", 1 << 30), (fields.architecture, [2, 3, 1], (2, 3, 1)),
    (fields.licence, "mit or apache-2.0", "MIT OR Apache-2.0"),
]  # fmt: skip
FAILS: list[tuple[Any, Any]] = [
    (fields.integer(1, 3), 4), (fields.integer(1), 0), (fields.integer(), True), (fields.integer(), 1.0), (fields.number(), "1"),
    (fields.number(), float("nan")), (fields.number(), 10**400), (fields.number(above=0.0), 0), (fields.date, "31.3.2026"),
    (fields.date, datetime.datetime(2026, 3, 31)), (fields.width, 0), (fields.width, 1 << 25), (fields.sha256, "A" * 64),
    (fields.sha256, "a" * 63), (fields.boolean, 1), (fields.text, "  "), (fields.text, "a\x00"), (fields.text, "\ud800"),
    (fields.text, "a" * 10_001), (fields.line, "a\nb"), (fields.line, "a\u2028b"), (fields.address, "javascript:alert(1)"),
    (fields.address, "https://a b"), (fields.address, 'https://a"b'), (fields.identifier, ""), (fields.identifier, "-a"),
    (fields.identifier, "a/b"), (fields.identifier, "é"), (fields.identifier, "a" * 101), (fields.choice("a"), "b"),
    (fields.choice("a"), ["a"]), (fields.sequence(fields.width, least=2), [1]), (fields.sequence(fields.width, most=1), [1, 2]),
    (fields.sequence(fields.width), "12"), (fields.size, "much"), (fields.size, True), (fields.size, -1), (fields.architecture, [2]),
    (fields.architecture, [1 << 20, 1 << 20]), (fields.licence, "no such licence"), (fields.licence, "MIT+"),
    (fields.licence, "DocumentRef-a:LicenseRef-b"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "given", "found"), PASSES, ids=range(len(PASSES)))
def test_what_passes(check: Any, given: Any, found: Any) -> None:
    assert check(given, "key") == found
    assert type(check(given, "key")) is type(found)


@pytest.mark.parametrize(("check", "given"), FAILS, ids=range(len(FAILS)))
def test_what_fails_names_the_key_and_what_was_expected(check: Any, given: Any) -> None:
    with pytest.raises(InputError, match=r"^networks\[2\]\.key") as error:
        check(given, "networks[2].key")
    assert "expected" in str(error.value)
    assert len(str(error.value)) < 400


def test_entries_of_lists_are_numbered() -> None:
    with pytest.raises(InputError, match=r"^a\[1\]: found 0"):
        fields.sequence(fields.width)([1, 0], "a")


@pytest.mark.parametrize("found", ["a" * 10**6, 10**100_000, [[[0]]] * 10**5, {"a": 1}, None], ids=type)
def test_whatever_is_found_is_shown_in_a_line(found: Any) -> None:
    assert len(str(fields.wrong("key", found, "less"))) < 200


def test_made_checks_pickle() -> None:
    check = fields.sequence(fields.nullable(fields.integer(1, 3)), most=2)
    again = pickle.loads(pickle.dumps(check))
    assert again([None, 3], "a") == [None, 3]
    assert repr(fields.integer(1, most=3)) == "integer(1, most=3)"
    with pytest.raises(InputError):
        again([4], "a")


def test_unknown_keys_are_named_with_the_known_ones() -> None:
    fields.unknown(["a"], ["a", "b"], "networks[0].")
    with pytest.raises(InputError, match=r"networks\[0\]\.c: unknown key; expected one of the keys a, b"):
        fields.unknown(["a", "c"], ["a", "b"], "networks[0].")
    with pytest.raises(InputError, match="expected no keys here"):
        fields.unknown(["c"], [], "x.")
