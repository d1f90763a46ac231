"""One complex over many workers: its blocks are merged without holding it in one place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.datasets import finish, load, run, validate
from polyfiber.datasets.storage.documents import json_bytes
from polyfiber.datasets.storage.store import sealed
from polyfiber.errors import BudgetExceededError, IncompleteError, InputError

from ..storage.test_store import contents

pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SPEC: dict[str, Any] = {
    "name": "split",
    "seed": 5,
    "memory": "256MB",
    "networks": [
        {"name": "whole", "kind": "random", "architecture": [2, 7, 7, 1], "count": 1, "split": 5},
        {"name": "box", "kind": "random", "architecture": [2, 6, 6, 2], "count": 1, "split": True, "domain": [-1, 1]},
        {"name": "small", "kind": "random", "architecture": [2, 4, 1], "count": 2},
    ],
    "tables": {"cells": {}, "complexes": {}},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split") / "data"
    assert run(SPEC, folder, workers=0).complete
    return folder


def test_counts_add_up(made: Path) -> None:
    data = load(made)
    first, second = data.manifest["split"]
    assert first["blocks"] >= 5
    assert tuple(first["f_vector"]) == pf.face_counts(data.network(0))
    box = pf.Box(-1.0, 1.0, dimension=2)
    assert tuple(second["f_vector"]) == pf.face_counts(data.network(1), box)
    assert second["f_vector"] == second["bounded"]
    cx = pf.canonical_complex(data.network(0))
    assert first["fingerprint"] == [f"{v:016x}" for v in cx.fingerprint(2)]
    assert first["bounded"] == [int(np.sum(~cx.is_unbounded(k))) for k in range(3)]
    assert len(data["networks"]) == 4
    assert set(data["blocks"].to_numpy()["network"]) == {0, 1}
    assert validate(made, redo=2, rng=0).ok
    assert f"enumerated in {first['blocks']} blocks" in (made / "README.md").read_text()


def test_cells_of_blocks_are_those_of_the_whole(made: Path) -> None:
    """Signs, maps and polytopes of regions, block by block, against a complex that was built whole."""
    data = load(made)
    for network, domain in ((0, None), (1, pf.Box(-1.0, 1.0, dimension=2))):
        cx = pf.canonical_complex(data.network(network), domain)
        rows = data["cells"].to_numpy(network=network)
        assert len(np.unique(rows["cell"])) == len(rows["cell"]) == cx.n_regions
        of = {row.tobytes(): i for i, row in enumerate(cx.signs(2))}
        ids = np.array([of[np.asarray(row, dtype=np.int8).tobytes()] for row in rows["signs"]])
        assert len(set(ids)) == cx.n_regions
        assert np.allclose(np.stack(list(rows["A"])), cx.affine_maps()[0].reshape(cx.n_regions, -1)[ids])
        assert np.array_equal(rows["bounded"], ~cx.is_unbounded(2)[ids])
        volumes = cx.volumes()[ids]
        assert np.allclose(np.nan_to_num(rows["volume"]), np.where(np.isfinite(volumes), volumes, 0.0), rtol=1e-7)
        assert rows["walls"].offsets[-1] == sum(len(cx.facets_of(int(i))) for i in ids)
    noted = data["networks"].to_arrow(["skipped", "reasons"]).to_pylist()
    assert [row["skipped"] for row in noted] == [["complexes"], ["complexes"], [], []]
    assert "needs it whole" in noted[0]["reasons"][0]
    assert len(data["complexes"]) == 2


def test_a_block_that_is_lost_is_noticed(made: Path, tmp_path: Path) -> None:
    run(SPEC, tmp_path / "d", workers=0)
    plan = json.loads((tmp_path / "d" / "plan.json").read_text())
    at = next(p["index"] for p in plan["partitions"] if p.get("part") == 2)
    path = tmp_path / "d" / "blocks" / f"part-{at:05d}.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    record = tmp_path / "d" / "records" / f"part-{at:05d}.json"
    document = json.loads(record.read_text())
    import hashlib

    document["tables"]["blocks"] |= {
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    record.write_bytes(json_bytes(sealed(document)))
    with pytest.raises(IncompleteError, match=r"blocks? (is|are) missing"):
        finish(tmp_path / "d")


def test_too_little_memory_for_a_block(tmp_path: Path) -> None:
    with pytest.raises(BudgetExceededError, match="too little to work in"):
        run({**SPEC, "memory": "1MB"}, tmp_path / "d", workers=0)


def test_linear_networks_are_not_split(tmp_path: Path) -> None:
    entry = {"kind": "linear", "architecture": [3, 2, 2], "count": 1, "split": True}
    with pytest.raises(InputError, match=r"networks\[0\]\.split: found True; expected no split"):
        run({**SPEC, "networks": [entry]}, tmp_path / "d")


@pytest.mark.slow
def test_split_over_a_cluster(made: Path, tmp_path: Path, client: Any) -> None:
    assert run(SPEC, tmp_path / "d", client=client).complete
    assert contents(tmp_path / "d") == contents(made)
