"""Runs: the same bytes on any number of workers, alone or together; damage is noticed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyfiber.datasets import Networks, Spec, finish, load, run, validate
from polyfiber.datasets.storage.documents import json_bytes
from polyfiber.datasets.storage.store import sealed
from polyfiber.errors import FileFormatError, IncompleteError, InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SPEC: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "partition": 4,
    "row_group": 256,
    "networks": [
        {"name": "r", "kind": "random", "architecture": [[2, 4, 1], [3, 5, 4, 2]], "count": 9},
        {"kind": "perturbed", "of": "r", "noise": 1e-3},
        {"kind": "linear", "architecture": [3, 4, 2], "count": 3},
    ],
}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that belongs to the dataset."""
    left_out = {"runs.jsonl", ".lock", ".checked"}
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in left_out
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    report = run(SPEC, folder, workers=0)
    assert report.complete
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def test_rows_are_the_networks(made: Path) -> None:
    data = load(made)
    nets = Networks(Spec.of(SPEC))
    assert len(data["networks"]) == 21
    for i in (0, 8, 9, 17, 20):
        assert data.network(i) == nets.item(i).network
    columns = data["networks"].to_numpy(["architecture", "parameters", "origin", "activation"])
    assert columns["architecture"][1].tolist() == [3, 5, 4, 2]
    assert columns["origin"].tolist() == [-1] * 9 + list(range(9)) + [-1] * 3
    assert columns["activation"][-1] == "linear"
    assert data["networks"].to_numpy(["parameters"], network=13)["parameters"].stacked().shape == (1, 17)
    assert sum(b.num_rows for b in data["networks"].batches(["index"], rows=5)) == 21
    with pytest.raises(InputError, match="no column 'colour'"):
        data["networks"].to_arrow(["colour"])
    with pytest.raises(InputError, match="no table 'rooms'"):
        data["rooms"]
    with pytest.raises(InputError, match="network 99"):
        data.network(99)


def test_workers_and_order_do_not_matter(made: Path, tmp_path: Path) -> None:
    whole = contents(made)
    run(SPEC, tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == whole
    for index in (5, 0, 3):
        run(SPEC, tmp_path / "alone", workers=0, partitions=[index])
    alone = contents(tmp_path / "alone")
    assert {k: whole[k] for k in alone} == alone
    assert sum(k.startswith("networks/") for k in alone) == 3
    with pytest.raises(IncompleteError, match="4 of 7 partitions"):
        finish(tmp_path / "alone")
    with pytest.raises(IncompleteError, match="not finished"):
        load(tmp_path / "alone")
    report = run(SPEC, tmp_path / "alone", workers=0)
    assert (report.kept, report.done) == (3, 4)
    assert contents(tmp_path / "alone") == whole


def test_redo_gives_the_same_bytes(copied: Path) -> None:
    before = contents(copied)
    report = run(SPEC, copied, workers=0, redo=True)
    assert report.done == 7
    assert contents(copied) == before


def test_a_directory_belongs_to_one_spec(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another spec"):
        run({**SPEC, "seed": 4}, copied, workers=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"no plan\.json"):
        run(SPEC, tmp_path / "full", workers=0)
    with pytest.raises(InputError, match="partition 77"):
        run(SPEC, copied, workers=0, partitions=[77])
    with pytest.raises(FileFormatError, match="not the directory of a dataset"):
        load(tmp_path / "full")
    with pytest.raises(FileFormatError, match=r"no plan\.json"):
        finish(tmp_path / "full")


def test_no_clock_enters_the_data(made: Path) -> None:
    text = b"".join(v for k, v in contents(made).items() if not k.startswith("networks/"))
    assert b"seconds" not in text
    meta = pq.read_schema(made / "networks" / "part-00000.parquet").metadata
    facts = json.loads(meta[b"polyfiber"])
    assert facts["seed"] == 3
    assert facts["networks"] == [0, 4]
    assert (made / "runs.jsonl").read_text().count("\n") == 1


def test_row_groups_have_a_fixed_size(tmp_path: Path) -> None:
    from polyfiber.datasets.storage.store import TableWriter

    schema = pa.schema([("network", pa.int64())])
    rng = np.random.default_rng(0)
    files = []
    for trial in range(3):
        writer = TableWriter(tmp_path / f"{trial}.parquet", schema, metadata={"a": "b"}, row_group=300)
        at = 0
        while at < 1000:
            step = min(1000 - at, int(rng.integers(0, 800)))
            writer.write(pa.record_batch([pa.array(np.arange(at, at + step))], schema=schema))
            at += step
        facts = writer.close()
        assert facts.rows == 1000
        files.append((tmp_path / f"{trial}.parquet").read_bytes())
        assert len(files[-1]) == facts.bytes
    assert files[0] == files[1] == files[2]
    meta = pq.ParquetFile(tmp_path / "0.parquet").metadata
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [300, 300, 300, 100]


def test_validate_agrees(made: Path) -> None:
    found = validate(made, redo=2, rng=0)
    assert found.ok, found.problems
    assert found.rows["networks"] == 21
    assert len(found.redone) == 2


def test_validate_notices_damage(copied: Path) -> None:
    target = copied / "networks" / "part-00002.parquet"
    whole = target.read_bytes()
    target.write_bytes(whole[:-8])
    assert any("part-00002.parquet: the checksum" in p for p in validate(copied).problems)
    target.unlink()
    assert any("part-00002.parquet: missing" in p for p in validate(copied).problems)
    target.write_bytes(whole)
    assert validate(copied).ok
    shutil.copy(target, copied / "networks" / "part-00099.parquet")
    assert any("part-00099.parquet: not part" in p for p in validate(copied).problems)


def test_validate_notices_other_rows(copied: Path) -> None:
    """A row that was changed and written back with correct checksums."""
    target = copied / "networks" / "part-00001.parquet"
    rows = pq.read_table(target)
    values = rows.column("parameters").to_pylist()
    values[1][0] += 1e-9
    at = rows.column_names.index("parameters")
    rows = rows.set_column(
        at, rows.schema.field("parameters"), pa.array(values, type=rows.schema.field("parameters").type)
    )
    pq.write_table(rows, target, row_group_size=256)
    _reseal(copied, 1)
    found = validate(copied, rng=1)
    assert any("network 5: the parameters in the file" in p for p in found.problems), found.problems


def _reseal(folder: Path, index: int) -> None:
    """Make the checksums fit a file that was tampered with."""
    from polyfiber.datasets.sources.files import checksum

    record = folder / "records" / f"part-{index:05d}.json"
    document = json.loads(record.read_text())
    path = folder / "networks" / f"part-{index:05d}.parquet"
    document["tables"]["networks"] |= {"bytes": path.stat().st_size, "sha256": checksum(path)}
    record.write_bytes(json_bytes(sealed(document)))
    finish(folder)


@pytest.mark.parametrize("key", ["regions", "skipped", "failed"])
def test_a_count_of_a_record_that_was_changed_is_noticed(copied: Path, key: str) -> None:
    before = contents(copied)
    record = copied / "records" / "part-00002.json"
    document = json.loads(record.read_text())
    document[key] += 1
    record.write_bytes(json_bytes(document))
    assert not validate(copied, rows=1, rng=0).ok
    with pytest.raises(IncompleteError, match="damaged"):
        finish(copied)
    assert run(copied_spec(copied), copied, workers=0).done == 1
    assert contents(copied) == before


@pytest.mark.parametrize("signed", [False, True])
def test_a_record_without_its_checksum_is_not_believed(copied: Path, signed: bool) -> None:
    before = contents(copied)
    record = copied / "records" / "part-00002.json"
    document = json.loads(record.read_text()) | {"failed": 2, "regions": 999}
    del document["check"]
    old = hashlib.sha256(record.read_bytes()).hexdigest()
    record.write_bytes(json_bytes(document))
    if signed:
        sums = (copied / "SHA256SUMS").read_text()
        (copied / "SHA256SUMS").write_text(sums.replace(old, hashlib.sha256(record.read_bytes()).hexdigest()))
    assert not validate(copied, rows=1, rng=0).ok
    with pytest.raises(IncompleteError, match="damaged"):
        finish(copied)
    report = run(SPEC, copied, workers=0)
    assert (report.done, report.failed) == (1, 0)
    assert contents(copied) == before


@pytest.mark.parametrize(
    "name", ["README.md", "croissant.json", "manifest.json", "plan.json", "records/part-00001.json"]
)
def test_every_file_of_the_dataset_has_a_checksum(copied: Path, name: str) -> None:
    sums = (copied / "SHA256SUMS").read_text()
    (copied / "SHA256SUMS").write_text("".join(s for s in sums.splitlines(True) if not s.endswith(f"  {name}\n")))
    with pytest.raises(FileFormatError, match=f"{name} is missing, or not in SHA256SUMS"):
        load(copied)
    assert f"{name}: not in SHA256SUMS" in validate(copied, rows=1, rng=0).problems
    (copied / "SHA256SUMS").write_text(sums + f"{'0' * 64}  more.txt\n")
    assert "more.txt: in SHA256SUMS, not part of the dataset" in validate(copied, rows=1, rng=0).problems
    (copied / "SHA256SUMS").unlink()
    with pytest.raises(FileFormatError, match="SHA256SUMS is missing or empty"):
        load(copied)


def test_records_are_looked_at_when_opened(copied: Path) -> None:
    record = copied / "records" / "part-00001.json"
    record.write_text("{")
    with pytest.raises(FileFormatError, match=r"part-00001\.json is damaged"):
        load(copied)
    record.unlink()
    with pytest.raises(FileFormatError, match=r"part-00001\.json: missing"):
        load(copied)


@pytest.mark.parametrize(("name", "key"), [
    ("manifest.json", "licence"), ("manifest.json", "counts"), ("manifest.json", "seed"), ("manifest.json", "splits"),
    ("plan.json", "title"), ("README.md", ""), ("croissant.json", "license"),
])  # fmt: skip
def test_documents_are_what_plan_and_records_give(copied: Path, name: str, key: str) -> None:
    path = copied / name
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    if key:
        document = json.loads(path.read_text())
        (document["spec"] if name == "plan.json" else document)[key] = "MIT"
        path.write_bytes(json_bytes(document))
    else:
        path.write_bytes(path.read_bytes() + b"And more.\n")
    sums = (copied / "SHA256SUMS").read_text()
    (copied / "SHA256SUMS").write_text(sums.replace(old, hashlib.sha256(path.read_bytes()).hexdigest()))
    load(copied)
    problems = validate(copied, rows=1, rng=0).problems
    assert any("not what plan.json and the records give" in p for p in problems), problems


def test_counts_of_a_record_are_those_of_the_rows(copied: Path) -> None:
    record = copied / "records" / "part-00002.json"
    record.write_bytes(json_bytes(sealed(json.loads(record.read_text()) | {"failed": 2})))
    finish(copied)
    assert "records/part-00002.json: failed is 2, 0 in the table networks" in validate(copied, rows=1, rng=0).problems


@pytest.mark.parametrize("seconds", [1e-9, 1e-3])
def test_networks_left_out_for_time_have_rows(tmp_path: Path, seconds: float) -> None:
    entry = {"kind": "random", "architecture": [3, 10, 1], "count": 2}
    tables: dict[str, Any] = {"complexes": {}, "fibers": {}}
    spec = {"name": "short", "seed": 1, "seconds": seconds, "networks": [entry], "tables": tables}
    report = run(spec, tmp_path / "data", workers=0)
    assert (report.rows["networks"], report.failed) == (2, 0)
    data = load(tmp_path / "data")
    assert data.network(1).architecture == (3, 10, 1)
    rows = data["networks"].to_arrow(["skipped"]).to_pydict()["skipped"]
    assert report.skipped == sum(map(bool, rows))
    found = validate(tmp_path / "data", rng=0)
    assert found.ok, found.problems
    assert found.undecided["networks"] == sum(map(len, rows))
    assert seconds > 1e-9 or rows == [["complexes", "fibers"]] * 2


def copied_spec(folder: Path) -> Any:
    """The spec that a dataset was made from."""
    return json.loads((folder / "plan.json").read_text())["spec"]


def test_a_list_of_checksums_that_is_nonsense_is_not_believed(copied: Path) -> None:
    for text in ('{"files": []}', '{"files": {"networks/part-00000.parquet": [1e999, "", ""]}}', "[", '{"files": 3}'):
        (copied / ".checked").write_text(text)
        assert run(copied_spec(copied), copied, workers=0).done == 0


def test_a_missing_file_is_made_again(copied: Path) -> None:
    before = contents(copied)
    (copied / "networks" / "part-00003.parquet").unlink()
    (copied / "records" / "part-00004.json").write_text("{")
    (copied / "networks" / "part-00005.parquet").write_bytes(b"short")
    report = run(SPEC, copied, workers=0)
    assert (report.done, report.kept) == (3, 4)
    assert contents(copied) == before


def test_a_second_run_is_kept_out(copied: Path) -> None:
    from polyfiber.datasets.storage.store import Directory

    pytest.importorskip("fcntl")
    with Directory(copied).lock():
        for act in (lambda: run(SPEC, copied, workers=0), lambda: finish(copied)):
            with pytest.raises(InputError, match="another run"):
                act()
    with Directory(copied).lock(shared=True):
        run(SPEC, copied, workers=0, partitions=[0])
        with pytest.raises(InputError, match="another run"):  # a partition may be on its way
            finish(copied)
    assert len(finish(copied).manifest["tables"]["networks"]["files"]) == 7


def test_other_versions_are_refused(copied: Path) -> None:
    plan = json.loads((copied / "plan.json").read_text())
    plan["versions"]["numpy"] = "0.0.1"
    (copied / "plan.json").write_text(json.dumps(plan))
    report = run(SPEC, copied, workers=0, redo=True)
    assert len(report.failures) == 7
    assert "planned with 0.0.1" in report.failures[0][1]


@pytest.mark.parametrize("name", ["plan.json", "manifest.json"])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "polyfiber dataset", "format_version": 1}', "null"])
def test_damaged_documents_are_one_clear_error(copied: Path, name: str, text: str) -> None:
    (copied / name).write_text(text)
    with pytest.raises(FileFormatError, match=name.replace(".", r"\.")):
        validate(copied)


def test_a_signed_manifest_without_fingerprint_is_one_clear_error(copied: Path) -> None:
    from polyfiber.datasets.sources.files import checksum

    path, sums = copied / "manifest.json", copied / "SHA256SUMS"
    before, document = checksum(path), json.loads(path.read_text())
    del document["fingerprint"]
    path.write_text(json.dumps(document))
    sums.write_text(sums.read_text().replace(before, checksum(path)))
    with pytest.raises(FileFormatError, match="fingerprint"):
        validate(copied)


def test_words_of_the_card_stay_words(tmp_path: Path) -> None:
    """A citation does not end its block, a licence that has no page has no address."""
    words = {"citation": "a\n```\n# Licence\n````\nb", "licence": "Apache-2.0+", "url": "https://example.org/d"}
    run({**SPEC, **words}, tmp_path / "d", workers=0)
    card = (tmp_path / "d" / "README.md").read_text()
    assert f"## Citation\n\n`````\n{words['citation']}\n`````\n" in card
    document = json.loads((tmp_path / "d" / "croissant.json").read_text())
    assert (document["license"], document["url"]) == ("Apache-2.0+", "https://example.org/d")
    assert validate(tmp_path / "d", rows=1, rng=0).ok


def test_directories_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be made"):
        run(SPEC, tmp_path / "file", workers=0)
    entry = {"kind": "random", "architecture": [2, 2, 1], "count": 600_000_001}
    with pytest.raises(InputError, match="partition: 600000001 networks"):
        run({**SPEC, "networks": [entry]}, tmp_path / "d", workers=0)
    with pytest.raises(InputError, match="workers must be at least 0"):
        run(SPEC, tmp_path / "d", workers=-1)


def test_unknown_files_anywhere_are_named(copied: Path) -> None:
    """By `validate`, wherever they lie; where a reader would take them for parts of a table they are problems."""
    assert validate(copied, rows=1, rng=0).unknown == ()
    odd = ["notes.txt", ".hidden", "sources/more.npz", "new/deep/er.parquet", "records/deeper/x.json"]
    for name in odd:
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        (copied / name).write_text("x")
    (copied / "networks" / "part-00099.parquet").write_text("x")
    found = validate(copied, rows=1, rng=0)
    assert set(found.unknown) == set(odd)
    assert "networks/part-00099.parquet: not part of the dataset" in found.problems
    assert "records/deeper: not part of the dataset" in found.problems
    (copied / "networks" / "part-00099.parquet").unlink()
    shutil.rmtree(copied / "records" / "deeper")
    assert validate(copied, rows=1, rng=0).ok
    assert (copied / "notes.txt").exists()
