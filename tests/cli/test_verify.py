"""The command verify, by kind of file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf

from .test_app import run


def test_archives_and_stores_of_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = pf.ReLUNetwork.random((2, 5, 1), rng=0)
    pf.canonical_complex(net).save(tmp_path / "c.npz")
    pf.write_cells(net, tmp_path / "cells", file_format="npz")
    for name in ("c.npz", "cells"):
        code, out, _ = run(capsys, "verify", tmp_path / name, "--json")
        assert code == 0, out
        assert '"yes"' in out
    part = next((tmp_path / "cells" / "cells").iterdir())
    with np.load(part) as file:
        arrays = dict(file)
    arrays["plus"] = arrays["plus"] ^ np.uint8(1)
    np.savez(part, **arrays)
    assert run(capsys, "verify", tmp_path / "cells")[0] == 1


def test_a_row_of_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from polyfiber.datasets import run as make

    spec = {"name": "t", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 3, 1], "count": 4}]}
    make({**spec, "tables": {"complexes": {}}}, tmp_path / "t", workers=0)
    code, out, _ = run(capsys, "verify", tmp_path / "t", "--row", "complexes:2")
    assert code == 0, out
    assert "row 2 of complexes" in out
    for row, code in (("complexes:4", 4), ("complexes", 2), ("banana:0", 4), ("complexes:-1", 2)):
        assert run(capsys, "verify", tmp_path / "t", "--row", row)[0] == code
    for extra in (("--seconds", "0"), ("--row", "complexes:2", "--memory", "1GiB")):
        assert run(capsys, "verify", tmp_path / "t", *extra)[0] == 2
    pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0)).save(tmp_path / "c.npz")
    code, _, error = run(capsys, "verify", tmp_path / "c.npz", "--row", "complexes:0")
    assert code == 4
    assert "--row is for datasets" in error


def test_an_archive_that_was_cut_is_refuted(tmp_path, capsys) -> None:
    """As every file that is damaged, wherever it is damaged."""
    pf.canonical_complex(pf.ReLUNetwork.random((2, 9, 1), rng=0)).save(tmp_path / "c.npz")
    whole = (tmp_path / "c.npz").read_bytes()
    for size in (4, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.npz").write_bytes(whole[:size])
        code, out, _ = run(capsys, "verify", tmp_path / "cut.npz")
        assert code == 1, size
        assert out.startswith("Refuted")
    for text in (b"", b"PK", b"a letter"):
        (tmp_path / "cut.npz").write_bytes(text)
        assert run(capsys, "verify", tmp_path / "cut.npz")[0] == 4


def test_a_page_about_a_file(tmp_path, capsys) -> None:
    from polyfiber.cli.app import main

    pf.ReLUNetwork.random((2, 4, 2), rng=0).save(tmp_path / "net.npz")
    page = tmp_path / "page.html"
    with pytest.raises(SystemExit) as end:
        main(["report", str(tmp_path / "net.npz"), "-o", str(page), "--box=-1,1", "--names", "a,b", "--json"])
    assert end.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert {s["name"] for s in told["sections"]} >= {"network", "complex", "boundary", "certificate", "fiber"}
    assert told["page_bytes"] == page.stat().st_size
    for wrong, code in (
        (["--axes", "x"], 2), (["--origin", "a,b"], 2), (["--points", str(tmp_path / "net.npz")], 4),
        (["--names", "a"], 4), (["--axes", "0,1"], 2), (["--epsilon", "1"], 2), (["--linear", "--names", "a"], 2),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            main(["report", str(tmp_path / "net.npz"), "-o", str(page), *wrong])
        assert end.value.code == code, wrong
