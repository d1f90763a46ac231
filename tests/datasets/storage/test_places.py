"""Nothing outside of a dataset is read, written or deleted, whatever lies in it and whatever its documents say."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from polyfiber.datasets import Spec, finish, load, run, validate
from polyfiber.datasets.storage.places import LocalPlace, place_of
from polyfiber.errors import FileFormatError, InputError, PolyfiberError

pytest.importorskip("pyarrow")

SPEC: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "partition": 2,
    "networks": [{"name": "r", "kind": "random", "architecture": [2, 3, 1], "count": 4}],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    run(SPEC, folder, workers=0)
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    (folder / "deep").mkdir(parents=True)
    (folder / "thesis.tex").write_text("ten years")
    (folder / ".thesis.0123456789abcdef0123456789abcdef").write_text("named as ours")
    return folder


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


PLACES = [".partial", "networks", "records", "plan.json", "manifest.json", "README.md", "SHA256SUMS", "croissant.json",
          "runs.jsonl", ".lock", ".checked", "networks/part-00001.parquet", "records/part-00000.json", "sources"]  # fmt: skip


NOT_ASKED_FOR = {
    "run": ("sources",), "redo": ("sources",), "finish": ("runs.jsonl", "sources"),
    "load": (".partial", "runs.jsonl", ".lock", ".checked", "sources"),
}  # fmt: skip
"""What an act does not look at: a link there stays as it is, and only `validate` names it."""


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("act", ["run", "redo", "finish", "load", "validate"])
def test_a_link_is_never_followed(copied: Path, victim: Path, name: str, act: str) -> None:
    """Every place of a dataset as a link to a folder or a file outside: with what was there moved into it."""
    target = copied / name
    outside = victim / "taken"
    if target.exists():
        shutil.move(target, outside)
    elif "." in name[1:]:
        outside.write_text("{}")
    else:
        outside.mkdir()
        (outside / "thesis.tex").write_text("more")
        (outside / ".a.0123456789abcdef0123456789abcdef").write_text("named as ours")
    target.symlink_to(outside)
    before, said = everything(victim), "nothing was said"
    try:
        if act in ("run", "redo"):
            run(SPEC, copied, workers=0, redo=act == "redo")
        elif act == "finish":
            finish(copied)
        elif act == "load":
            load(copied)["networks"].to_numpy()
        else:
            said = "; ".join(validate(copied).problems)
    except PolyfiberError as error:
        said = str(error)
    assert everything(victim) == before
    assert ("link" in said) != (name in NOT_ASKED_FOR.get(act, ()))


@pytest.mark.parametrize("name", ["plan.json.tmp", "networks.lock", ".partial/a.tmp", "notes/deep/a", "sources/x"])
def test_a_link_anywhere_is_named(copied: Path, victim: Path, name: str) -> None:
    (copied / name).parent.mkdir(parents=True, exist_ok=True)
    for target in (victim, victim / "thesis.tex", victim / "nowhere"):
        (copied / name).unlink(missing_ok=True)
        (copied / name).symlink_to(target)
        assert any(f"{name}: a link" in problem for problem in validate(copied).problems)


def test_a_hard_link_is_not_written_through(copied: Path, victim: Path) -> None:
    (copied / "runs.jsonl").unlink()
    os.link(victim / "thesis.tex", copied / "runs.jsonl")
    with pytest.raises(InputError, match="is a link or no regular file"):
        run(SPEC, copied, workers=0)
    assert (victim / "thesis.tex").read_text() == "ten years"


@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "folder"])
def test_a_lock_is_a_regular_file(copied: Path, kind: str) -> None:
    """Anything else is refused at once: opening it may wait for ever, or wake up a device."""
    lock = copied / ".lock"
    lock.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as held:
        if kind == "fifo":
            os.mkfifo(lock)
        elif kind == "folder":
            lock.mkdir()
        elif kind == "socket":
            if len(os.fsencode(lock)) > 100:
                pytest.skip("the path is longer than a socket may have")
            held.bind(str(lock))
        else:
            try:
                os.mknod(lock, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
            except OSError:
                pytest.skip("only root makes devices")
        before = os.lstat(lock)
        with pytest.raises(InputError, match="lock"):
            run(SPEC, copied, workers=0)
        after = os.lstat(lock)
    assert (before.st_mode, before.st_ino, before.st_rdev) == (after.st_mode, after.st_ino, after.st_rdev)


def test_only_our_own_unfinished_files_are_swept(copied: Path) -> None:
    (copied / ".partial" / "kept").mkdir(parents=True)
    (copied / ".partial" / "notes.txt").write_text("mine")
    ours = copied / ".partial" / ".manifest.json.0123456789abcdef0123456789abcdef"
    ours.write_text("half")
    run(SPEC, copied, workers=0)
    assert not ours.exists()
    assert (copied / ".partial" / "notes.txt").read_text() == "mine"
    assert (copied / ".partial" / "kept").is_dir()


@pytest.mark.parametrize("kind", ["fifo", "folder"])
@pytest.mark.parametrize("name", ["plan.json", "networks/part-00001.parquet", "records/part-00000.json", "SHA256SUMS"])
def test_what_is_no_file_is_an_error_at_once(copied: Path, name: str, kind: str) -> None:
    (copied / name).unlink()
    os.mkfifo(copied / name) if kind == "fifo" else (copied / name).mkdir()
    for act in (lambda: run(SPEC, copied, workers=0), lambda: finish(copied), lambda: validate(copied)):
        try:
            said = str(getattr(act(), "problems", "nothing was said"))
        except PolyfiberError as error:
            said = str(error)
        assert "no regular file" in said


@pytest.mark.parametrize(
    "path", ["../victim/thesis.tex", "/etc/hostname", "networks/../../victim/thesis.tex", "a\0b", ""]
)
def test_names_that_lead_elsewhere(copied: Path, victim: Path, path: str) -> None:
    sums = (copied / "SHA256SUMS").read_text()
    (copied / "SHA256SUMS").write_text(sums + f"{'0' * 64}  {path}\n")
    assert any("is no name of a file inside" in p for p in validate(copied).problems)
    (copied / "SHA256SUMS").write_text(sums)
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["tables"]["networks"]["files"][0]["path"] = path
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FileFormatError, match=r"manifest\.json"):
        load(copied)
    manifest["tables"] = {path or "..": manifest["tables"]["networks"]}
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FileFormatError, match="not that of a dataset"):
        load(copied)


def test_specs_name_files_of_their_folder_only(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "out").symlink_to(victim)
    for path in ("../victim/thesis.tex", "/etc/hostname", "out/thesis.tex", "a\0b", "**/../x", "x" * 5000):
        with pytest.raises(InputError, match=r"networks\[0\]"):
            Spec.of({**SPEC, "networks": [{"kind": "files", "paths": path}]}, folder=tmp_path / "spec")
        entry = {"kind": "trained", "data": path, "hidden": [2], "count": 1}
        with pytest.raises(InputError, match=r"networks\[0\]"):
            Spec.of({**SPEC, "networks": [entry]}, folder=tmp_path / "spec")


def test_patterns_cost_no_more_than_their_folder(tmp_path: Path) -> None:
    deep = tmp_path
    for i in range(12):
        deep = deep / f"a{i}"
    deep.mkdir(parents=True)
    (deep / "x.nnet").write_text("")
    place = place_of(tmp_path)
    assert isinstance(place, LocalPlace)
    from polyfiber.datasets.sources.inputs import Inputs

    inputs = Inputs(tmp_path)
    assert (
        inputs.find("**/" * 200 + "x.nnet", "k")
        == inputs.find("**/*.nnet", "k")
        == ["/".join(f"a{i}" for i in range(12)) + "/x.nnet"]
    )
    with pytest.raises(InputError, match="pattern that matches files"):
        inputs.find("**/" * 200 + "y.nnet", "k")


def edited(path: Path, change: Any) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def test_documents_of_other_words_are_noticed_when_opened(copied: Path, made: Path) -> None:
    for name in ("manifest.json", "plan.json"):
        edited(copied / name, lambda d: d.get("spec", d).update(licence="MIT"))
        with pytest.raises(FileFormatError, match=rf"{name} is damaged: its checksum"):
            load(copied)
        run(SPEC, copied, workers=0)
        assert (copied / name).read_bytes() == (made / name).read_bytes()


def test_a_plan_that_says_more_than_its_spec(copied: Path) -> None:
    edited(copied / "plan.json", lambda d: d["resolved"].update(seed=10**400))
    for act in (lambda: finish(copied), lambda: run(SPEC, copied, workers=0), lambda: validate(copied)):
        with pytest.raises(FileFormatError, match="not what the spec gives"):
            act()


def test_versions_are_those_of_the_files(copied: Path) -> None:
    edited(copied / "plan.json", lambda d: d["versions"].update(numpy="0.1"))
    for act in (lambda: finish(copied), lambda: run(SPEC, copied, workers=0)):
        with pytest.raises(FileFormatError, match="other versions than the files"):
            act()


def test_parts_of_a_table_that_the_dataset_has_not(copied: Path) -> None:
    shutil.copytree(copied / "networks", copied / "cells")
    assert any("cells/part-00000.parquet: not part" in p for p in validate(copied).problems)
    for act in (lambda: load(copied), lambda: finish(copied), lambda: run(SPEC, copied, workers=0)):
        with pytest.raises(InputError, match=r"cells/part-00000\.parquet.*not part of the dataset"):
            act()
    shutil.rmtree(copied / "cells")
    (copied / "notes").mkdir()
    (copied / "notes" / "read.me").write_text("mine")
    assert validate(copied).ok


def test_addresses() -> None:
    for address in ("dir://x", "reference://x", "data://x", "zip://x", "cached://x", "jupyter://x"):
        with pytest.raises(InputError, match=f"{address[:4]}.*is no file system that is known") as found:
            place_of(address)
        assert "Error" not in str(found.value)
    for address in ("file://elsewhere/tmp/x", "file://x"):
        with pytest.raises(InputError, match="a folder of this machine"):
            place_of(address)
    assert str(place_of("file://localhost/tmp/x")) == str(place_of("file:///tmp/x")) == str(place_of("/tmp/x"))
    with pytest.raises(InputError, match="no file system that is known"):
        place_of("s4://bucket/x")
    with pytest.raises(InputError, match="no file system that is known"):
        place_of("simplecache::s3://bucket/x")
    with pytest.raises(InputError, match="pass the address as text"):
        place_of(Path("s3://bucket/x"))
    with pytest.raises(InputError, match="a slash is missing"):
        place_of("s3:/bucket/x")
    assert str(place_of("memory://a/b/")) == "memory://a/b"


@pytest.mark.parametrize(
    "address", ["memory://a/../b", "memory://../b", "memory://a//b", "memory://a/./b", "memory://.."]
)
def test_addresses_have_no_steps_upwards(address: str) -> None:
    with pytest.raises(InputError, match="as names"):
        place_of(address)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "https://example.org/x"])
def test_addresses_where_nothing_can_be_put_open_no_connection(address: str) -> None:
    with pytest.raises(InputError, match="can be read and not listed or written to"):
        place_of(address)


def test_an_address_without_a_bucket() -> None:
    pytest.importorskip("s3fs")
    for address in ("s3://", "s3:///"):
        with pytest.raises(InputError, match="names no bucket"):
            place_of(address)


def test_what_lies_where_unfinished_files_go_is_left_alone(tmp_path: Path) -> None:
    run(SPEC, tmp_path / "d", workers=0)
    (tmp_path / "d" / ".partial").write_text("ten years")
    for act in (finish, lambda place: run(SPEC, place, workers=0)):
        with pytest.raises(InputError, match="no folder for unfinished files"):
            act(tmp_path / "d")
    assert (tmp_path / "d" / ".partial").read_text() == "ten years"
