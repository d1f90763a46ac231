"""From a spec to partitions: pure, printable, the same for everybody who reads the same spec."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._version import __version__
from ..errors import FileFormatError, InputError
from .spec import FORMAT_VERSION, Spec


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
    """

    index: int
    first: int
    stop: int
    source: str
    entropy: int
    key: tuple[int, ...]
    offset: int

    def __len__(self) -> int:
        return self.stop - self.first


@dataclass(frozen=True)
class Plan:
    """What will be done: a spec, its partitions, and the versions that the bytes depend on."""

    spec: Spec
    partitions: tuple[Partition, ...]
    versions: Mapping[str, str]

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
            "folder": str(spec.folder),
            "spec": spec.given,
            "resolved": spec.resolved(),
            "partitions": [
                {
                    "index": p.index,
                    "source": p.source,
                    "networks": [p.first, p.stop],
                    "seed": {"entropy": p.entropy, "spawn_key": list(p.key), "offset": p.offset},
                }
                for p in self.partitions
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, where: str = "plan.json") -> Plan:
        """Read what `to_json` wrote.

        Raises
        ------
        FileFormatError
            Another format or a newer version.
        InputError
            The spec no longer gives the same plan: files of networks have changed.
        """
        if document.get("format") != "polyfiber dataset plan":
            raise FileFormatError(f"{where}: not the plan of a dataset")
        if int(document["format_version"]) > FORMAT_VERSION:
            raise FileFormatError(
                f"{where}: format version {document['format_version']}; this release reads up to {FORMAT_VERSION}"
            )
        plan = make_plan(Spec.of(document["spec"], folder=document["folder"]))
        if plan.fingerprint != document["fingerprint"]:
            raise InputError(
                f"{where}: the spec gives another plan now than when the directory was made (files of networks or "
                "defaults have changed); plan into another directory"
            )
        return Plan(plan.spec, plan.partitions, dict(document["versions"]))

    @classmethod
    def read(cls, directory: str | Path) -> Plan:
        """The plan of a dataset directory."""
        path = Path(directory) / "plan.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            raise FileFormatError(f"{directory}: no plan.json; not the directory of a dataset") from None
        except ValueError as error:
            raise FileFormatError(f"{path}: not JSON: {error}") from None
        return cls.from_json(document, where=str(path))


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
    partitions: list[Partition] = []
    for source in spec.sources:
        for start in range(0, source.count, spec.partition):
            stop = min(source.count, start + spec.partition)
            partitions.append(
                Partition(
                    len(partitions),
                    source.first + start,
                    source.first + stop,
                    source.name,
                    spec.seed,
                    (source.position,),
                    start,
                )
            )
    return Plan(spec, tuple(partitions), versions())


def versions() -> dict[str, str]:
    """Versions that the bytes of the files depend on."""
    found = {"polyfiber": __version__}
    for package in ("numpy", "scipy", "numba", "pyarrow"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found
