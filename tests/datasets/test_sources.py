"""Datasets of networks of gates: made, stored, checked; tables that know chains only leave them out in one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.datasets import Networks, Spec, finish, load, run, validate
from polyfiber.datasets.sources.graphs import UNITS, WIRINGS
from polyfiber.datasets.storage.networks import network_of, parameters_of, wiring_of
from polyfiber.errors import FileFormatError, InputError
from polyfiber.network.sparse import SparseMatrix
from polyfiber.testing.graphs import maximum

pytest.importorskip("pyarrow")


def entry(units: str, wiring: str, **more: Any) -> dict[str, Any]:
    widths = [[2, 3, 3, 2], [1, 3, 2, 1]]
    kind = {"name": f"{units}-{wiring}", "kind": "graphs", "architecture": widths, "count": 2, "pool": 2}
    return {**kind, "units": units, "wiring": wiring, **more}


def test_every_kind_of_unit_and_wiring_is_made_as_it_says() -> None:
    spec = Spec.of({"name": "g", "seed": 1, "networks": [entry(u, w) for u in UNITS for w in WIRINGS]})
    for item in Networks(spec).items(0, spec.count):
        assert not item.failed
        row = {"architecture": item.network.architecture, "parameters": parameters_of(item.network)}
        assert network_of({**row, "wiring": wiring_of(item.network)}) == item.network
    # the numbers that are drawn, put together by hand
    source = spec.sources[[s.name for s in spec.sources].index("leaky-residual")]
    item = Networks(spec).item(source.first)
    rng = source.generator(1, 0)
    X = np.random.default_rng(0).normal(size=(20, 2))
    h, before = X, X
    for m, n in ((3, 2), (3, 3)):
        w, b = rng.standard_normal((m, n)) * np.sqrt(2 / n), rng.standard_normal(m) * 0.5
        z = h @ w.T + b
        h = np.where(z > 0, z, 0.1 * z) + (before if before.shape == z.shape else 0.0)
        before = h
    w, b = rng.standard_normal((2, 3)) * np.sqrt(2 / 3), rng.standard_normal(2) * 0.5
    assert np.allclose(item.network(X), h @ w.T + b)


def test_a_dataset_of_gates(tmp_path: Path) -> None:
    maximum(2, 3, rng=7)[0].save(tmp_path / "max.npz")
    networks = [
        entry("leaky", "residual"),
        entry("abs", "chain", law="integer", scale="one", bias="integer", bias_scale=1.0, domain=[-3.0, 3.0]),
        entry("clip", "dense", domain=[-1.0, 1.0], count=1),
        entry("max", "chain", count=2),
        {"name": "file", "kind": "files", "paths": "max.npz"},
    ]
    tables: dict[str, Any] = dict.fromkeys(("complexes", "cells", "facets", "topology", "fibers", "pairs"), True)
    tables["complexes"] = {"genericity": True, "lipschitz": True}
    spec = Spec.of({"name": "gates", "seed": 5, "networks": networks, "tables": tables}, folder=tmp_path)
    assert run(spec, tmp_path / "d", workers=0).complete
    data, nets = load(tmp_path / "d"), Networks(spec)
    assert all(data.network(i) == nets.item(i).network for i in range(spec.count))
    rows = data["networks"].to_arrow(["network", "activation", "skipped", "reasons"]).to_pylist()
    assert [row["activation"] for row in rows] == ["gates"] * 8
    for row in rows:
        assert row["skipped"] == ["fibers", "pairs"]
        assert all("ReLU chains" in reason and "\n" not in reason for reason in row["reasons"])
    assert tuple(data["complexes"].to_arrow(["f_vector"], network=7).to_pylist()[0]["f_vector"]) == (1, 4, 4)
    found = validate(tmp_path / "d", rows=30)
    assert not found.problems
    card = (tmp_path / "d" / "README.md").read_text()
    assert "LeakyReLU with the slope 0.1" in card
    assert "Table `fibers` leaves out 8" in card
    batch = pf.group_networks(tmp_path / "d" / "networks", unreadable="skip")
    assert "no ReLU chain" in next(iter(batch.unreadable.values()))


def test_what_does_not_fit_is_one_error() -> None:
    with pytest.raises(InputError, match="units"):
        Spec.of({"name": "g", "seed": 1, "networks": [entry("sine", "chain")]})
    made = {"name": "p", "kind": "fiber", "of": "leaky-chain"}
    with pytest.raises(InputError, match="an entry of ReLU chains"):
        Spec.of({"name": "g", "seed": 1, "networks": [entry("leaky", "chain"), made]})
    net = maximum(2, 3, rng=7)[0]
    sparse = pf.PiecewiseLinearNetwork(
        2, [pf.GateBlock({0: SparseMatrix.of([[1.0, 0.0]])}, [0.0])], pf.AffineMap({1: [[1.0]]}, [0.0])
    )
    for good in (net, sparse):
        row = {"architecture": good.architecture, "parameters": parameters_of(good), "wiring": wiring_of(good)}
        assert network_of(row) == good
        for bad in (
            {"parameters": row["parameters"][:-1]},
            {"parameters": np.append(row["parameters"], 1.0)},
            {"architecture": row["architecture"][:-1]},
            {"wiring": "[{"},
            {"wiring": "[[1], 2]"},
            {"wiring": row["wiring"].replace('"0"', '"9"')},
        ):
            with pytest.raises(FileFormatError):
                network_of({**row, **bad})


def test_a_copy_that_was_damaged_is_not_signed(tmp_path: Path) -> None:
    """One byte of another value, the size and the time as before: its name says so; a run copies the file anew."""
    pf.ReLUNetwork.random((2, 3, 1), rng=0).save(tmp_path / "a.npz")
    spec = {"name": "own", "seed": 1, "networks": [{"kind": "files", "paths": "a.npz"}]}
    place = tmp_path / "data"
    run(Spec.of(spec, folder=tmp_path), place, workers=0)
    (copy,) = (place / "sources").iterdir()
    whole, sums, times = copy.read_bytes(), (place / "SHA256SUMS").read_bytes(), copy.stat()
    copy.write_bytes(whole[:80] + bytes([whole[80] ^ 1]) + whole[81:])
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(FileFormatError, match="is damaged: it is named after other bytes"):
        finish(place)
    assert (place / "SHA256SUMS").read_bytes() == sums
    run(Spec.of(spec, folder=tmp_path), place, workers=0)
    assert copy.read_bytes() == whole
    assert finish(place).files == len(sums.splitlines())
