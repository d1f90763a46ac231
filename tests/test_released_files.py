"""Files that the released layout wrote still load, and hold what was written (tests/golden/make_archives.py)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import polyfiber as pf
from tests.golden.make_archives import domains, facts, networks

ARCHIVES = Path(__file__).parent / "golden" / "archives"
TRUTH = json.loads((ARCHIVES / "truth.json").read_text())
NAMES = tuple(TRUTH["complexes"])


@pytest.mark.parametrize("name", NAMES)
def test_networks(name: str) -> None:
    found = [pf.read_network(path) for path in sorted(ARCHIVES.glob(f"network_{name}.*"))]
    assert len(found) == (4 if name == "generic" else 1)
    for net in found:
        assert net == networks()[name]


@pytest.mark.parametrize("name", NAMES)
def test_complexes(name: str) -> None:
    cx = pf.PolyhedralComplex.load(ARCHIVES / f"complex_{name}.npz")
    assert cx.network == networks()[name]
    given = domains()[name]
    assert (cx.domain is None) == (given is None)
    if cx.domain is not None and given is not None:
        assert type(cx.domain) is type(given)
        assert (cx.domain.A == given.A).all()
        assert (cx.domain.b == given.b).all()
    assert facts(cx) == TRUTH["complexes"][name]
    assert cx.certificate.verify().ok
    assert facts(pf.canonical_complex(cx.network, cx.domain)) == TRUTH["complexes"][name]


@pytest.mark.parametrize("name", TRUTH["cells"])
def test_cells(name: str, tmp_path: Path) -> None:
    if TRUTH["cells"][name]["format"] == "parquet":
        pytest.importorskip("pyarrow")
    place = tmp_path / "cells"
    shutil.copytree(ARCHIVES / f"cells_{name}", place)
    store = pf.read_cells(place)
    total = store.total()
    assert total.complete
    assert list(total.f_vector) == TRUTH["cells"][name]["f_vector"] == TRUTH["complexes"][name]["f_vector"]
    assert {d: list(f) for d, f in total.fingerprints.items()} == dict(
        enumerate(TRUTH["complexes"][name]["fingerprints"])
    )
    assert store.check() == []
    options = {"maps": True, "vertices": True} if name == "generic" else {}
    file_format = TRUTH["cells"][name]["format"]
    net, domain = networks()[name], domains()[name]
    again = pf.write_cells(net, place, domain, dims=[0, 1, 2], file_format=file_format, resume=True, **options)
    assert again.f_vector == total.f_vector


def test_dataset() -> None:
    pytest.importorskip("pyarrow")
    from polyfiber.datasets import Networks, Spec, load, validate

    data = load(ARCHIVES / "dataset")
    assert {name: len(data[name]) for name in TRUTH["rows"]} == TRUTH["rows"]
    plan = json.loads((ARCHIVES / "dataset" / "plan.json").read_text())
    spec = Spec.of(TRUTH["spec"])
    assert plan["fingerprint"] == spec.fingerprint
    for i in range(TRUTH["rows"]["networks"]):
        assert data.network(i) == Networks(spec).item(i).network
    assert validate(ARCHIVES / "dataset", rows=20).ok
