"""From a spec to partitions: pure, printable, the same for everybody who reads the same spec."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import words
from .._once import cached_property
from .._values.checked import shown
from .._version import __version__
from ..complexes.blocks.block import Block
from ..errors import FileFormatError, InputError
from ..words import one_line
from .sources import Source
from .spec import FORMAT_VERSION, Spec
from .storage.documents import reason
from .storage.places import Place
from .storage.store import Directory

MOST = 1_000_000
"""Partitions of a plan; more would be files that no file system likes."""


FORMER = ("folder",)
"""Keys of plans that are not written any more."""


@dataclass(frozen=True)
class Partition:
    """A piece of work: networks ``first`` to ``stop - 1``, all of one entry of the spec.

    Attributes
    ----------
    index : int
    first, stop : int
        Ids of networks.
    source : str
    entropy, key : int, tuple of int
        Network ``first + i`` draws from ``SeedSequence(entropy, spawn_key=(*key, offset + i))``.
    offset : int
        Number of network ``first`` within its entry.
    part : int
        Number of the partition among those of one network that is split; 0 otherwise.
    blocks : tuple of Block
        The blocks to enumerate, where the complex of network ``first`` is split.
    """

    index: int
    first: int
    stop: int
    source: str
    entropy: int
    key: tuple[int, ...]
    offset: int
    part: int = 0
    blocks: tuple[Block, ...] = ()

    def __len__(self) -> int:
        return self.stop - self.first if self.part == 0 else 0

    def to_json(self) -> dict[str, Any]:
        """As ``plan.json`` holds it."""
        document: dict[str, Any] = {
            "index": self.index,
            "source": self.source,
            "networks": [self.first, self.stop],
            "seed": {"entropy": self.entropy, "spawn_key": list(self.key), "offset": self.offset},
        }
        if self.blocks:
            document |= {"part": self.part, "blocks": [block.to_dict() for block in self.blocks]}
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Partition:
        """What `to_json` wrote."""
        seed = document["seed"]
        return cls(
            document["index"],
            document["networks"][0],
            document["networks"][1],
            document["source"],
            seed["entropy"],
            tuple(seed["spawn_key"]),
            seed["offset"],
            document.get("part", 0),
            tuple(Block.from_dict(b) for b in document.get("blocks", ())),
        )


@dataclass(frozen=True)
class Plan:
    """What will be done: a spec, its partitions, and the versions that the bytes depend on.

    Examples
    --------
    >>> from polyfiber.datasets import Spec, make_plan
    >>> spec = {"name": "tiny", "seed": 1, "partition": 2, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]}
    >>> plan = make_plan(Spec.of(spec))
    >>> [(p.first, p.stop) for p in plan.partitions]
    [(0, 2), (2, 4), (4, 5)]
    """

    __repr__ = one_line

    spec: Spec
    partitions: tuple[Partition, ...]
    versions: Mapping[str, str]

    def partition(self, index: int) -> Partition:
        """The partition of a number; a plan that travels to a worker holds only some."""
        if index not in self._by_index:
            raise InputError(f"partition {index} does not exist; the plan has {len(self.partitions)}, from 0")
        return self._by_index[index]

    @cached_property
    def _by_index(self) -> dict[int, Partition]:
        return {p.index: p for p in self.partitions}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the resolved spec; two plans with the same one make the same rows."""
        return self.spec.fingerprint

    def to_json(self) -> dict[str, Any]:
        """The document ``plan.json``."""
        spec = self.spec
        return {
            "format": "polyfiber dataset plan",
            "format_version": FORMAT_VERSION,
            "fingerprint": self.fingerprint,
            "versions": dict(self.versions),
            "spec": spec.given,
            "resolved": spec.resolved(),
            "partitions": [p.to_json() for p in self.partitions],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, where: str = "plan.json", dataset: Any = None) -> Plan:
        """Read what `to_json` wrote; ``dataset`` is the place that holds copies of the files of the spec.

        Raises
        ------
        FileFormatError
            Another format or a newer version.
        InputError
            The spec no longer gives the same plan: files of networks have changed.
        """
        try:
            if document["format"] != "polyfiber dataset plan":
                raise FileFormatError(f"{where}: not the plan of a dataset")
            version = int(document["format_version"])
            if version > FORMAT_VERSION:
                raise FileFormatError(f"{where}: format version {version}; this release reads up to {FORMAT_VERSION}")
            spec = Spec.of(document["spec"], planned=document["resolved"], dataset="." if dataset is None else dataset)
            partitions = tuple(Partition.from_json(p) for p in document["partitions"])
            fingerprint, found = document["fingerprint"], dict(document["versions"])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise FileFormatError(f"{where}: not the plan of a dataset: {reason(error)}") from None
        if spec.fingerprint != fingerprint:
            raise InputError(
                f"{where}: the spec gives another plan now than when the directory was made (files of networks or "
                "defaults have changed); plan into another directory"
            )
        _check_partitions(spec, partitions, where)
        plan = Plan(spec, partitions, found)
        told = {key: value for key, value in document.items() if key not in FORMER}
        if json.loads(json.dumps(plan.to_json())) != told:
            raise FileFormatError(f"{where}: damaged: what it says beside the spec is not what the spec gives")
        return plan

    @classmethod
    def read(cls, directory: str | Path | Place | Directory) -> Plan:
        """The plan of a dataset."""
        files = directory if isinstance(directory, Directory) else Directory(directory)
        if not files.has("plan.json"):
            raise FileFormatError(f"{files}: no plan.json; not the directory of a dataset")
        return cls.from_json(files.json("plan.json", "the plan"), where=f"{files}/plan.json", dataset=files.place)


def _check_partitions(spec: Spec, partitions: tuple[Partition, ...], where: str) -> None:
    """Partitions of a document are those that the spec is cut into; only the blocks are taken from it."""
    whole = all(isinstance(v, int) for p in partitions for v in (p.index, p.first, p.stop, p.offset, p.part))
    rest = iter(partitions)
    expected = 0
    for source in spec.sources if whole else ():
        step = 1 if source.split else spec.partition
        start = 0
        while start < source.count:
            stop = min(source.count, start + step)
            part = 0
            while True:
                own = Partition(
                    expected,
                    source.first + start,
                    source.first + stop,
                    source.name,
                    spec.seed,
                    (source.position,),
                    start,
                    part,
                )
                found = next(rest, None)
                if found is None or replace(found, blocks=()) != own or (found.blocks and not source.split):
                    raise FileFormatError(f"{where}: partition {expected} is not the one that the spec gives")
                expected, part = expected + 1, part + 1
                after = partitions[expected] if expected < len(partitions) else None
                if not (source.split and after is not None and after.first == own.first and after.part == part):
                    break
            start = stop
    if not whole or expected != len(partitions):
        raise FileFormatError(f"{where}: {words.count(len(partitions), 'partition')}; the spec gives {expected}")


def make_plan(spec: Spec) -> Plan:
    """Cut the networks of a spec into partitions.

    Examples
    --------
    >>> from polyfiber.datasets import Spec, make_plan
    >>> entry = {"kind": "random", "architecture": [2, 4, 1], "count": 5}
    >>> plan = make_plan(Spec.of({"name": "tiny", "seed": 1, "partition": 2, "networks": [entry]}))
    >>> [(p.first, p.stop) for p in plan.partitions]
    [(0, 2), (2, 4), (4, 5)]
    """
    from .execution.splitting import plan_split

    if not isinstance(spec, Spec):
        raise InputError(f"expected a Spec, as of `Spec.of` or `read_spec`, found {shown(spec)}")
    if spec.count > MOST * spec.partition:
        raise InputError(
            f"partition: {words.count(spec.count, 'network')} by {spec.partition} are more than {MOST} partitions; "
            f"expected at least {-(-spec.count // MOST)} networks per partition",
            key="partition",
        )
    partitions: list[Partition] = []

    def add(source: Source, start: int, stop: int, part: int = 0, blocks: tuple[Block, ...] = ()) -> None:
        first, last = source.first + start, source.first + stop
        key = (source.position,)
        partitions.append(Partition(len(partitions), first, last, source.name, spec.seed, key, start, part, blocks))

    for source in spec.sources:
        if source.split:
            for start in range(source.count):
                blocks = plan_split(spec, source.first + start, source.split)
                if not blocks:  # a network that cannot be made: its row says why
                    add(source, start, start + 1)
                for part, block in enumerate(blocks):
                    add(source, start, start + 1, part, (block,))
            continue
        for start in range(0, source.count, spec.partition):
            add(source, start, min(source.count, start + spec.partition))
    return Plan(spec, tuple(partitions), dict(versions()))


@cache
def versions() -> Mapping[str, str]:
    """Versions that the bytes of the files depend on; asked once per process, it costs more than a small partition."""
    found = {"polyfiber": __version__}
    for package in ("numpy", "scipy", "numba", "pyarrow"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return MappingProxyType(found)
