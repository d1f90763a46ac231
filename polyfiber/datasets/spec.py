"""The spec of a dataset: a TOML file, every key checked, every error naming its key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import words
from .._once import cached_property
from .._values.checked import path_of, shown
from ..errors import FileFormatError, InputError
from ..words import one_line
from . import fields, tables
from .sources import KINDS, Source
from .sources.base import Kind
from .sources.inputs import Inputs
from .storage.documents import LARGEST_SPEC, parse_toml
from .storage.places import Place, place_of
from .tables import table

DEEPEST = 50
"""Entries that are made from one another, one behind the other: each network is made anew from the first."""

FORMAT_VERSION = 1
SECONDS = 3600.0
"""Seconds that a table may spend on a network, unless the spec says otherwise."""

ABOUT: dict[str, fields.Check] = {
    "authors": fields.one_or_more(fields.line),
    "version": fields.line,
    "date": fields.date,
    "citation": fields.text,
    "url": fields.address,
    "limitations": fields.text,
}
KEYS = {
    "format_version": "version of the layout of specs and datasets, 1",
    "name": "short name",
    "title": "title of the dataset card",
    "description": "what the dataset is for",
    "licence": "SPDX identifier of the licence of the data",
    "authors": "names of those who made it",
    "version": "version of the data",
    "date": "day of this version, such as 2026-03-31",
    "citation": "how to cite it, as text or BibTeX",
    "url": "where it is published",
    "limitations": "what it must not be used for, what it leaves out",
    "splits": "names of splits (train, test, …) with the entries of each",
    "seconds": "seconds that one table may spend on one network; beyond them it is recorded as skipped",
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
    about : mapping
        For the card: ``authors``, ``version``, ``date``, ``citation``, ``url``, ``limitations``, where given.
    splits : mapping
        Names of entries by split; empty where there is none.
    seconds : float
        Seconds that a table may spend on a network.
    licences : mapping
        Licence of what the networks of an entry are made from, where the entry says.
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
    inputs : Inputs
        Where the files are that it names.
    given : mapping
        The spec as it was given.

    Examples
    --------
    >>> from polyfiber.datasets import Spec
    >>> spec = Spec.of({"name": "tiny", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]})
    >>> spec.name, spec.count
    ('tiny', 5)
    """

    __repr__ = one_line

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
    inputs: Inputs
    given: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seconds: float = SECONDS
    licences: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, given: Mapping[str, Any], *, folder: str | Path | Place = ".", planned: Any = None, dataset: Any = None
    ) -> Spec:
        """Check a spec given as a mapping.

        Parameters
        ----------
        given : mapping
            What a TOML file holds.
        folder : path or address
            Where relative paths of networks and data start; nothing outside of it is read.
        planned, dataset : mapping, Place
            The document that `resolved` made, and the dataset that holds copies of the files: what a
            plan is read with.

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
        if not isinstance(given, Mapping):
            raise InputError(f"a spec is a mapping, as a TOML file holds it, found {shown(given)}")
        fields.unknown(list(given), list(KEYS), "")
        version = fields.integer(1)(given.get("format_version", FORMAT_VERSION), "format_version")
        if version > FORMAT_VERSION:
            raise fields.wrong("format_version", version, f"at most {FORMAT_VERSION}, which this release reads")
        for key in ("name", "seed", "networks"):
            if key not in given:
                raise InputError(f"{key}: missing; expected {KEYS[key]}", key=key)
        inputs = Inputs(folder) if planned is None else Inputs(dataset, copied=True)
        name = fields.identifier(given["name"], "name")
        memory = fields.size(given.get("memory", "1GiB"), "memory")
        sources = tuple(replace(s, memory=memory) for s in _sources(given["networks"], inputs, planned))
        default = max(256, min(65536, memory >> 14))  # a row group of cells is a few hundred bytes a row
        return cls(
            name=name,
            title=fields.line(given.get("title", name), "title"),
            description=fields.text(given.get("description", f"Dataset {name}, made by polyfiber."), "description"),
            licence=fields.licence(given.get("licence", "CC0-1.0"), "licence"),
            seed=fields.integer(0, 1 << 256)(given["seed"], "seed"),
            partition=fields.integer(1, 1 << 20)(given.get("partition", 256), "partition"),
            row_group=fields.integer(256, 1 << 24)(given.get("row_group", default), "row_group"),
            memory=memory,
            sources=sources,
            tables=_tables(given.get("tables", {}), split=any(s.split for s in sources)),
            inputs=inputs,
            given=dict(given) | ({"date": fields.date(given["date"], "date")} if "date" in given else {}),
            about={key: check(given[key], key) for key, check in ABOUT.items() if key in given},
            splits=_splits(given.get("splits", {}), sources),
            seconds=fields.number(above=0.0)(given.get("seconds", SECONDS), "seconds"),
            licences={
                s.name: fields.licence(e["licence"], f"networks[{s.position}].licence")
                for s, e in zip(sources, given["networks"])
                if "licence" in e
            },
        )

    @property
    def waiting(self) -> int:
        """Bytes of networks, and of rows of a table, that wait in memory at a time: an eighth of it."""
        return self.memory // 8

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
        more = {"seconds": self.seconds} if self.seconds != SECONDS else {}
        return more | {
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

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of `resolved`."""
        text = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def read_spec(path: str | Path, *, folder: str | Path | None = None) -> Spec:
    """Read and check a spec file.

    Parameters
    ----------
    path : path or address of a TOML file
        See ``docs/datasets.md`` for its keys.
    folder : path or address, optional
        Where relative paths of networks and data start: the folder of the spec by default. Nothing
        outside of it is read.

    Raises
    ------
    FileFormatError
        Not there, or not TOML.
    InputError
        Naming the key, what was found and what was expected.

    Examples
    --------
    >>> import os, tempfile
    >>> from polyfiber.datasets import read_spec
    >>> lines = ['name = "tiny"', "seed = 1", "[[networks]]", 'kind = "random"', "architecture = [2, 4, 1]", "count = 5"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "tiny.toml")
    ...     with open(path, "w") as stream:
    ...         print(*lines, sep=os.linesep, file=stream)
    ...     spec = read_spec(path)
    >>> spec.count
    5
    """
    where = path_of(path)
    above, _, name = where.rpartition("/")
    root = above.endswith(":/")  # the spec lies at the root of an address
    home = place_of(f"{above}/" if root else above or ("/" if where.startswith("/") else "."), inner_links=True)
    try:
        given = parse_toml(home.read(name, most=LARGEST_SPEC), where)
    except FileFormatError as error:
        raise FileFormatError(
            f"{where}: cannot be read: No such file" if str(error).endswith(": missing") else str(error)
        ) from None
    try:
        return Spec.of(given, folder=home if folder is None else folder)
    except InputError as error:
        raise type(error)(f"{where}: {error}", **error.facts) from None


def _sources(given: Any, inputs: Inputs, planned: Any) -> tuple[Source, ...]:
    if not isinstance(given, list) or not given:
        raise fields.wrong("networks", given, "at least one entry [[networks]]")
    sources: list[Source] = []
    for position, entry in enumerate(given):
        found = None
        if planned is not None:
            entries = planned.get("networks") if isinstance(planned, dict) else None
            if not isinstance(entries, list) or len(entries) != len(given) or not isinstance(entries[position], dict):
                raise fields.wrong("resolved", entries, f"{words.count(len(given), 'entry', 'entries')} of networks")
            found = entries[position]
        sources.append(_source(entry, position, sources, inputs, found))
        if sources[-1].first + sources[-1].count > 1 << 53:
            raise fields.wrong(f"networks[{position}]", sources[-1].count, "at most 2^53 networks in all")
    return tuple(sources)


def _source(entry: Any, position: int, before: list[Source], inputs: Inputs, found: Any) -> Source:
    where = f"networks[{position}]."
    if not isinstance(entry, dict):
        raise fields.wrong(where[:-1], entry, "an entry [[networks]] with keys")
    if "kind" not in entry:
        raise InputError(f"{where}kind: missing; expected one of {', '.join(KINDS)}", key=where + "kind")
    kind = KINDS[fields.choice(*KINDS)(entry["kind"], where + "kind")]
    own = [o.name for o in kind.options]
    fields.unknown(list(entry), ["name", "kind", "domain", "split", "licence", *own], where)
    name = fields.identifier(entry.get("name", f"{kind.name}-{position}"), where + "name")
    if any(s.name == name for s in before):
        raise fields.wrong(where + "name", name, "a name that no earlier entry has")
    values = kind.check(entry, where)
    base = _base(kind, values, before, where)
    if found is not None:
        values |= {name: check(found.get(name), where + name) for name, check in kind.found.items()}
    elif kind.resolve is not None:
        values = kind.resolve(values, inputs, where)
    domain = _domain(entry.get("domain"), where + "domain")
    if domain is None and base is not None:
        domain = base.domain
    first = before[-1].first + before[-1].count if before else 0
    split = _split(entry.get("split", 0), kind, where + "split")
    return Source(name, kind.name, position, first, kind.count(values, base), values, domain, inputs, base, split)


def _split(given: Any, kind: Kind, key: str) -> int:
    """``true``: as many blocks as memory asks for; a number: at least so many."""
    split = int(given) if isinstance(given, bool) else int(fields.integer(0, 100_000)(given, key))
    if split and kind.name == "linear":
        raise fields.wrong(key, given, "no split: linear networks have no regions")
    return split


def _base(kind: Kind, values: Mapping[str, Any], before: list[Source], where: str) -> Source | None:
    if not kind.derived:
        return None
    for source in before:
        if source.name == values["of"]:
            if source.kind in ("linear", "graphs"):
                raise fields.wrong(
                    where + "of", values["of"], f"an entry of ReLU chains; this one is of kind {source.kind}"
                )
            depth, at = 1, source
            while at.base is not None:
                depth, at = depth + 1, at.base
            if depth > DEEPEST:
                raise fields.wrong(
                    where + "of", values["of"], f"an entry at most {DEEPEST - 1} steps from one that is not derived"
                )
            return source
    known = ", ".join(repr(s.name) for s in before) or "none yet"
    raise fields.wrong(where + "of", values["of"], f"the name of an earlier entry ({known})")


def _splits(given: Any, sources: Sequence[Source]) -> dict[str, list[str]]:
    """Splits by entries: each in one, and derived networks where their origins are."""
    if not isinstance(given, dict):
        raise fields.wrong("splits", given, "names of splits with lists of entries")
    splits = {
        fields.identifier(name, "splits"): fields.one_or_more(fields.identifier)(entries, f"splits.{name}")
        for name, entries in given.items()
    }
    where: dict[str, str] = {}
    known = {s.name for s in sources}
    for split, entries in splits.items():
        for entry in entries:
            if entry not in known or entry in where:
                raise fields.wrong(f"splits.{split}", entry, "the name of an entry that no other split has")
            where[entry] = split
    if splits and set(where) != known:
        raise fields.wrong("splits", sorted(known - set(where)), "every entry of [[networks]] in one split")
    for source in sources:
        if splits and source.base is not None and where[source.base.name] != where[source.name]:
            raise fields.wrong(
                f"splits.{where[source.name]}", source.name,
                f"it beside {source.base.name!r}, which its networks are made from: else one split holds near copies of another",
            )  # fmt: skip
    return splits


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
    known = tables.NAMES
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
