"""The spec of a dataset: a TOML file, every key checked, every error naming its key."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError
from . import fields
from .sources import KINDS, Source
from .sources.base import Kind
from .tables import names as table_names
from .tables import table

FORMAT_VERSION = 1
KEYS = {
    "format_version": "version of the layout of specs and datasets, 1",
    "name": "short name",
    "title": "title of the dataset card",
    "description": "what the dataset is for",
    "licence": "SPDX identifier of the licence of the data",
    "seed": "whole number >= 0 from which every random number follows",
    "partition": "networks per partition",
    "row_group": "rows per row group of the Parquet files",
    "memory": "memory of a worker; networks whose complex needs more are recorded as skipped",
    "networks": "entries [[networks]]",
    "tables": "tables [tables.<name>] with their options",
}


@dataclass(frozen=True)
class Spec:
    """A checked spec; made by `read_spec` or `Spec.of`.

    Attributes
    ----------
    name, title, description, licence : str
    seed : int
    partition : int
        Networks per partition.
    row_group : int
        Rows per row group.
    memory : int
        Bytes of a worker.
    sources : tuple of Source
        The entries ``[[networks]]``, in order.
    tables : mapping
        Options of each table, in the order in which tables are written; ``networks`` is always there.
    folder : Path
        Where relative paths start.
    given : mapping
        The spec as it was given.
    """

    name: str
    title: str
    description: str
    licence: str
    seed: int
    partition: int
    row_group: int
    memory: int
    sources: tuple[Source, ...]
    tables: Mapping[str, Mapping[str, Any]]
    folder: Path
    given: Mapping[str, Any]

    @classmethod
    def of(cls, given: Mapping[str, Any], *, folder: str | Path = ".") -> Spec:
        """Check a spec given as a mapping.

        Parameters
        ----------
        given : mapping
            What a TOML file holds.
        folder : path
            Where relative paths of networks and data start.

        Raises
        ------
        InputError
            Naming the key, what was found and what was expected.

        Examples
        --------
        >>> from polyfiber.datasets import Spec
        >>> entry = {"kind": "random", "architecture": [2, 4, 1], "count": 3}
        >>> spec = Spec.of({"name": "tiny", "seed": 1, "networks": [entry]})
        >>> spec.count, list(spec.tables)
        (3, ['networks'])
        """
        fields.unknown(list(given), list(KEYS), "")
        version = fields.integer(1)(given.get("format_version", FORMAT_VERSION), "format_version")
        if version > FORMAT_VERSION:
            raise fields.wrong("format_version", version, f"at most {FORMAT_VERSION}, which this release reads")
        for key in ("name", "seed", "networks"):
            if key not in given:
                raise InputError(f"{key}: missing; expected {KEYS[key]}", key=key)
        where = Path(folder).resolve()
        name = fields.identifier(given["name"], "name")
        sources = _sources(given["networks"], where)
        return cls(
            name=name,
            title=fields.text(given.get("title", name), "title"),
            description=fields.text(given.get("description", f"Dataset {name}, made by polyfiber."), "description"),
            licence=fields.text(given.get("licence", "CC0-1.0"), "licence"),
            seed=fields.integer(0)(given["seed"], "seed"),
            partition=fields.integer(1)(given.get("partition", 256), "partition"),
            row_group=fields.integer(256)(given.get("row_group", 65536), "row_group"),
            memory=fields.size(given.get("memory", "1GiB"), "memory"),
            sources=sources,
            tables=_tables(given.get("tables", {}), split=any(s.split for s in sources)),
            folder=where,
            given=dict(given),
        )

    @property
    def count(self) -> int:
        """Number of networks."""
        return sum(s.count for s in self.sources)

    def source_of(self, network: int) -> Source:
        """The entry that makes a network."""
        for source in self.sources:
            if source.first <= network < source.first + source.count:
                return source
        raise InputError(f"network {network} does not exist; the dataset has {self.count}")

    def resolved(self) -> dict[str, Any]:
        """Everything that the bytes of the data depend on, as JSON can hold it."""
        return {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "seed": self.seed,
            "partition": self.partition,
            "row_group": self.row_group,
            "memory": self.memory,
            "networks": [
                {"name": s.name, "kind": s.kind, "count": s.count, "domain": s.domain, "split": s.split, **s.values}
                for s in self.sources
            ],
            "tables": {name: dict(options) for name, options in self.tables.items()},
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `resolved`."""
        text = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def read_spec(path: str | Path) -> Spec:
    """Read and check a spec file.

    Parameters
    ----------
    path : path of a TOML file
        See ``docs/datasets.md`` for its keys.

    Raises
    ------
    FileFormatError
        Not there, or not TOML.
    InputError
        Naming the key, what was found and what was expected.
    """
    where = Path(path)
    try:
        given = tomllib.loads(where.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{where}: not a TOML file: {error}") from None
    except OSError as error:
        raise FileFormatError(f"{where}: cannot be read: {error.strerror}") from None
    try:
        return Spec.of(given, folder=where.parent)
    except InputError as error:
        raise type(error)(f"{where}: {error}", **error.facts) from None


def _sources(given: Any, folder: Path) -> tuple[Source, ...]:
    if not isinstance(given, list) or not given:
        raise fields.wrong("networks", given, "at least one entry [[networks]]")
    sources: list[Source] = []
    for position, entry in enumerate(given):
        sources.append(_source(entry, position, sources, folder))
    return tuple(sources)


def _source(entry: Any, position: int, before: list[Source], folder: Path) -> Source:
    where = f"networks[{position}]."
    if not isinstance(entry, dict):
        raise fields.wrong(where[:-1], entry, "an entry [[networks]] with keys")
    if "kind" not in entry:
        raise InputError(f"{where}kind: missing; expected one of {', '.join(KINDS)}", key=where + "kind")
    kind = KINDS[fields.choice(*KINDS)(entry["kind"], where + "kind")]
    own = [o.name for o in kind.options]
    fields.unknown(list(entry), ["name", "kind", "domain", "split", *own], where)
    name = fields.identifier(entry.get("name", f"{kind.name}-{position}"), where + "name")
    if any(s.name == name for s in before):
        raise fields.wrong(where + "name", name, "a name that no earlier entry has")
    values = kind.check(entry, where)
    base = _base(kind, values, before, where)
    if kind.resolve is not None:
        values = kind.resolve(values, folder, where)
    domain = _domain(entry.get("domain"), where + "domain")
    if domain is None and base is not None:
        domain = base.domain
    first = before[-1].first + before[-1].count if before else 0
    split = _split(entry.get("split", 0), kind, where + "split")
    return Source(name, kind.name, position, first, kind.count(values, base), values, domain, folder, base, split)


def _split(given: Any, kind: Kind, key: str) -> int:
    """``true``: as many blocks as memory asks for; a number: at least so many."""
    split = int(given) if isinstance(given, bool) else int(fields.integer(0)(given, key))
    if split and kind.name == "linear":
        raise fields.wrong(key, given, "no split: linear networks have no regions")
    return split


def _base(kind: Kind, values: Mapping[str, Any], before: list[Source], where: str) -> Source | None:
    if not kind.derived:
        return None
    for source in before:
        if source.name == values["of"]:
            if source.kind == "linear":
                raise fields.wrong(where + "of", values["of"], "an entry of ReLU networks; this one is linear")
            return source
    known = ", ".join(repr(s.name) for s in before) or "none yet"
    raise fields.wrong(where + "of", values["of"], f"the name of an earlier entry ({known})")


def _domain(given: Any, key: str) -> tuple[Any, Any] | None:
    if given is None:
        return None
    lo, hi = fields.sequence(_bound, least=2, most=2)(given, key)
    sizes = {len(b) for b in (lo, hi) if isinstance(b, list)}
    pairs = zip(lo if isinstance(lo, list) else [lo], hi if isinstance(hi, list) else [hi])
    if len(sizes) > 1 or isinstance(lo, list) != isinstance(hi, list) or not all(a < b for a, b in pairs):
        raise fields.wrong(key, given, "[lo, hi] with lo < hi: two numbers, or two lists of one length")
    return lo, hi


def _bound(value: Any, key: str) -> Any:
    return fields.sequence(fields.number())(value, key) if isinstance(value, list) else fields.number()(value, key)


def _tables(given: Any, *, split: bool) -> dict[str, dict[str, Any]]:
    if not isinstance(given, dict):
        raise fields.wrong("tables", given, "entries [tables.<name>]")
    known = table_names()
    fields.unknown(list(given), known, "tables.")
    chosen: dict[str, dict[str, Any]] = {}
    for name in known:
        if name != "networks" and name not in given and not (split and name == "blocks"):
            continue
        options = given.get(name, {})
        if options is True:
            options = {}
        if not isinstance(options, dict):
            raise fields.wrong(f"tables.{name}", options, "a table of options, or true")
        chosen[name] = table(name).check_options(options, f"tables.{name}.")
    return chosen
