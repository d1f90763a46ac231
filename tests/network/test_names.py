"""Names of files and from files: what is an address, what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polyfiber.errors import FileFormatError, InputError
from polyfiber.network.names import HEADS, known_head, local_path, printable


@pytest.mark.parametrize("text", ["a.npz", "/tmp/b c.onnx", "./s3", "C:/nets/a.npz", "x:y.npz", "café.npz"])
def test_paths_of_this_machine(text: str) -> None:
    assert local_path(text) == local_path(Path(text)) == Path(text)
    assert local_path(text.encode()) == Path(text)


@pytest.mark.parametrize("text", ["s3://bucket/x", "memory://a", "https://host/a.npz", "file:///tmp/x", "s3:/bucket/x"])
def test_addresses_are_named_with_both_slashes(text: str) -> None:
    scheme, _, rest = text.partition(":")
    with pytest.raises(InputError, match=f"{scheme}://{rest.lstrip('/')[:4]}" if scheme != "file" else "file:///tmp"):
        local_path(Path(text) if text.count("//") == 0 else text)
    with pytest.raises(InputError, match=f"found an address of {scheme}://"):
        local_path(Path(text))


@pytest.mark.parametrize("thing", [3, None, 1.5, object()])
def test_what_is_no_path(thing: Any) -> None:
    with pytest.raises(InputError, match="a network is named by its path"):
        local_path(thing, "a network")


def test_heads() -> None:
    assert [known_head(h) for h in (*HEADS, None, "")] == [*HEADS, None, None]
    for wrong in ("relu", 3, ["softmax"]):
        with pytest.raises(FileFormatError, match="known are sigmoid"):
            known_head(wrong)


def test_control_characters_and_long_names() -> None:
    assert printable("a\x1b[31m\n\u202eb") == "a\\x1b[31m\\x0a\\x202eb"
    assert printable("ab" * 100) == "ab" * 100
    long = printable("a" * 150 + "b" * 150)
    assert long == "a" * 100 + " … " + "b" * 67
    assert len(printable("\x00" * 10**6)) < 1000
