"""``.nnet``: what is read, what is refused."""

from __future__ import annotations

import bz2
import pickle
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError, InputError

RNG = np.random.default_rng(11)


W1, B1, W2, B2 = (RNG.standard_normal(s) for s in ((3, 2), (3,), (1, 3), (1,)))


# ---- .nnet ----------------------------------------------------------------------------------
def nnet(**changes: Any) -> str:
    lines = {
        "comment": "// written by a test",
        "header": "2,2,1,3,",
        "widths": "2,3,1,",
        "flag": "0,",
        "low": "-10.0,-20.0,",
        "high": "10.0,20.0,",
        "means": "1.0,-2.5,7.5,",
        "ranges": "3.0,0.7,373.9,",
        "W1": "\n".join(",".join(map(repr, row)) + "," for row in W1.tolist()),
        "b1": "\n".join(f"{v!r}," for v in B1.tolist()),
        "W2": ",".join(map(repr, W2[0].tolist())) + ",",
        "b2": f"{B2[0].item()!r}",
    }
    return "\n".join(str(v) for v in {**lines, **changes}.values() if v is not None) + "\n"


def test_nnet_normalisation_is_folded(tmp_path: Path) -> None:
    (tmp_path / "net.nnet").write_text(nnet())
    net = pf.read_network(tmp_path / "net.nnet")
    X = RNG.uniform(-1, 1, (20, 2)) * [10, 20]
    Z = np.maximum((X - [1, -2.5]) / [3, 0.7] @ W1.T + B1, 0) @ W2.T + B2
    np.testing.assert_allclose(net(X), Z * 373.9 + 7.5, rtol=1e-12)
    assert net.source["input_box"] == ((-10.0, -20.0), (10.0, 20.0))
    first, last = net.source["folding"]
    assert (first["layer"], last["layer"]) == (1, 2)
    true = Fraction(W1[1, 1]) / Fraction(0.7)
    assert net.weights[0][1, 1] == float(true)
    assert abs(Fraction(net.weights[0][1, 1]) - true) <= Fraction(first["weight_bounds"][1, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b2": None}, "ends where a bias"),
        ({"W2": "1,2,"}, "has 2 numbers; expected 3"),
        ({"b2": "1.0,\n2.0,"}, "too many"),
        ({"b2": "hello"}, "not a number"),
        ({"header": "1000000000,2,1,3,"}, "claims 1,000,000,000 layers"),
        ({"header": "2,2,1000000000,3,", "widths": "2,3,1000000000,"}, "call for"),
        ({"widths": "3,3,1,"}, "do not start"),
        ({"widths": "2,-3,1,"}, "positive integers"),
        ({"widths": "2,nan,1,"}, "positive integers"),
        ({"header": "2,"}, "first line"),
        ({"ranges": "0.0,1.0,1.0,"}, "range is 0"),
        ({"means": "nan,1.0,1.0,"}, "finite"),
        ({"means": "1.0,1.0,"}, "2 means and 3 ranges"),
        ({"ranges": "1.0,1.0,"}, "3 means and 2 ranges"),
        ({"low": "1\u00e9,2"}, "not a number"),
    ],
)
def test_hostile_nnet(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (tmp_path / "net.nnet").write_text(nnet(**changes), encoding="utf-8")
    with pytest.raises(FileFormatError, match=message):
        pf.read_network(tmp_path / "net.nnet")


def test_nnet_of_the_first_acas_release(tmp_path: Path) -> None:
    """More means and ranges than inputs: inputs first, output last, never the one behind the inputs."""
    changes = {"means": "1.0,-2.5,35.1,0.0,7.5,", "ranges": "3.0,0.7,100.0,6.0,373.9,"}
    changes |= {"low": "-10.0,-20.0,0.0,-3.0,", "high": "10.0,20.0,100.0,3.0,"}
    (tmp_path / "plain.nnet").write_text(nnet())
    (tmp_path / "net.nnet").write_text(nnet(**changes))
    net = pf.read_network(tmp_path / "net.nnet")
    assert net == pf.read_network(tmp_path / "plain.nnet")
    assert net.source["input_box"] == ((-10.0, -20.0), (10.0, 20.0))
    assert any("left out" in note for note in net.source["notes"])


def test_nnet_with_text_that_nobody_reads(tmp_path: Path) -> None:
    for name, changes in {
        "flag": {"flag": "This line extraneous"},
        "comment": {"comment": "// caf\u00e9\n//\xff"},
    }.items():
        for encoding in ("utf-8", "latin-1"):
            (tmp_path / f"{name}.nnet").write_text(nnet(**changes), encoding=encoding)
            assert pf.read_network(tmp_path / f"{name}.nnet").architecture == (2, 3, 1)


def test_numbers_that_only_python_reads_are_refused(tmp_path: Path) -> None:
    for number in ("1_0", "\u0663", "0x1p3", "1e"):
        (tmp_path / "net.nnet").write_text(nnet(b2=number), encoding="utf-8")
        with pytest.raises(FileFormatError, match="not a number"):
            pf.read_network(tmp_path / "net.nnet")


def test_text_is_never_taken_for_bytes(tmp_path: Path) -> None:
    for text, message in [
        ("2\n1, 1, 1\n0\n", "begins with layers"),
        ("2 layers\n", "text file"),
        ("\n\nhello", "text file"),
    ]:
        (tmp_path / "net.nnet").write_text(text)
        with pytest.raises(FileFormatError, match=message):
            pf.read_network(tmp_path / "net.nnet")


def test_nnet_with_nan_weights(tmp_path: Path) -> None:
    (tmp_path / "net.nnet").write_text(nnet(W2="1,nan,inf,"))
    with pytest.raises(InputError, match="nan"):
        pf.read_network(tmp_path / "net.nnet")


@pytest.mark.parametrize(
    "before",
    [
        ("// " + "\u65e5\u672c\u8a9e" * 2000 + "\n").encode(),
        b"// " + bytes([0xC6, 0xFC, 0xCB, 0xDC]) * 2000 + b"\n",  # EUC-JP
        b"// \xe9\xe8\n" * 3000,
        b"\n" * 9000,
        b" \t\r\n" * 3000 + b"// then a comment\n\n",
        b"\xef\xbb\xbf\n\n",
    ],
    ids=["UTF-8", "EUC-JP", "Latin-1", "blank lines", "blanks", "mark of order"],
)
def test_nnet_behind_comments_of_any_bytes_and_blank_lines(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "net.nnet"
    path.write_text(nnet())
    plain = pf.read_network(path)
    path.write_bytes(before + nnet(comment=None).encode())
    found = pf.read_network(path)
    assert found == plain
    assert found.source["format"] == "nnet"


@pytest.mark.parametrize(("low", "high"), [("-10.0,", "10.0,"), (",", ","), ("-10.0,-20.0,", "10.0,")])
def test_nnet_with_a_short_box(tmp_path: Path, low: str, high: str) -> None:
    (tmp_path / "net.nnet").write_text(nnet())
    plain = pf.read_network(tmp_path / "net.nnet")
    (tmp_path / "net.nnet").write_text(nnet(low=low, high=high))
    found = pf.read_network(tmp_path / "net.nnet")
    assert found == plain
    assert "input_box" not in found.source
    assert any("for 2 inputs: the box that the format clips to is not read" in note for note in found.source["notes"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"cos\nine of x is 3\n", "a text file"),
        (b"(lp solver output)\n1 2 3\n", "a text file"),
        (b"(dp0\nhello", "a text file"),
        (b"ccopy_reg is the name of a module\n", "a text file"),
        (b"BZh is a word\n", "a text file"),
        ("\u65e5\u672c\u8a9e".encode() * 3000, "a text file"),
        (pickle.dumps({"a": [1.5]}, 0), "a Python pickle"),
        (pickle.dumps({"a": [1.5]}, 4), "a Python pickle"),
        (zlib.compress(pickle.dumps([1])), "a Python pickle"),
        (zlib.compress(b"hello" * 9), "compressed"),
        (bz2.compress(b"hello"), "compressed"),
    ],
)
def test_texts_are_not_called_pickles_nor_compressed(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "net").write_bytes(data)
    with pytest.raises(FileFormatError, match=message):
        pf.read_network(tmp_path / "net")
