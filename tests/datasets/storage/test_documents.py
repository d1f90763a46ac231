"""Documents of others: one clear error for whatever is wrong with them."""

from __future__ import annotations

import time

import pytest

from polyfiber.datasets.storage.documents import json_bytes, parse_json, parse_toml, reason
from polyfiber.errors import FileFormatError


def test_documents_go_back_and_forth_and_are_sorted() -> None:
    document = {"b": [1, 2.5, None], "a": {"é": "\u2028"}}
    data = json_bytes(document)
    assert parse_json(data, "here", "the plan") == document
    assert data.endswith(b"\n")
    assert data.index(b'"a"') < data.index(b'"b"')
    assert json_bytes(dict(reversed(document.items()))) == data


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"3", b"\xff", b'{"a":' * 100_000, b"null", b"\xef\xbb\xbf{}"])
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(FileFormatError, match=r"^here: the plan is ") as error:
        parse_json(data, "here", "the plan")
    assert len(str(error.value)) < 400


def test_toml() -> None:
    assert parse_toml(b'a.b = 1\n"c.d" = "x"', "here") == {"a": {"b": 1}, "c.d": "x"}
    for data in (b"a = ", b"\xff", b"a = 1\na = 2", b"a = " + b"[" * 100_000):
        with pytest.raises(FileFormatError, match=r"^here: not a TOML file"):
            parse_toml(data, "here")


def test_keys_of_many_dots_cost_no_time() -> None:
    long = b".".join([b"a"] * 33)
    assert parse_toml(long + b" = 1", "here")
    began = time.process_time()
    for parts in (34, 50_000):
        with pytest.raises(FileFormatError, match="more than 32 dots"):
            parse_toml(b" . ".join([b'"a"'] * parts) + b" = 1", "here")
    assert time.process_time() - began < 2.0


def test_reasons_are_one_short_line() -> None:
    assert reason(ValueError("two\nlines")) == "two lines"
    assert reason(ValueError("x" * 1000)) == "x" * 300 + " …"
    assert (reason(RecursionError()), reason(MemoryError())) == ("nested too deeply", "it does not fit into memory")
