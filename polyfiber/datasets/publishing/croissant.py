"""Croissant: the description of a dataset that catalogues and loaders of machine learning read (MLCommons, version
1.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..plan import Plan

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(plan: Plan, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The document ``croissant.json``: what the files are, and the columns of every table."""
    spec = plan.spec
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": spec.name,
        "description": spec.description,
        "license": licence_url(spec.licence),
        "version": _version(str(spec.about.get("version", "1.0.0"))),
        "citeAs": spec.about.get("citation", f"{spec.title}, made by polyfiber from seed {spec.seed}."),
        "distribution": [],
        "recordSet": [],
    }
    if "authors" in spec.about:
        document["creator"] = [{"@type": "sc:Person", "name": name} for name in spec.about["authors"]]
    document |= {
        key: spec.about[ours] for key, ours in (("datePublished", "date"), ("url", "url")) if ours in spec.about
    }
    for name, entry in manifest["tables"].items():
        objects = [
            {
                "@type": "cr:FileObject",
                "@id": file["path"],
                "name": file["path"],
                "contentUrl": file["path"],
                "contentSize": f"{file['bytes']} B",
                "encodingFormat": "application/x-parquet",
                "sha256": file["sha256"],
            }
            for file in entry["files"]
        ]
        files = {  # beside this document: contained in no other file, so that loaders look here
            "@type": "cr:FileSet",
            "@id": f"{name}-files",
            "name": f"{name}-files",
            "encodingFormat": "application/x-parquet",
            "includes": f"{name}/*.parquet",
        }
        document["distribution"] += [*objects, files]
        document["recordSet"].append(
            {
                "@type": "cr:RecordSet",
                "@id": name,
                "name": name,
                "description": entry["about"],
                "field": [_field(name, c) for c in entry["columns"]],
            }
        )
    return document


def _field(table: str, column: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(column["type"])
    inner = kind.replace("list<", "").rstrip(">")
    found = {
        "@type": "cr:Field",
        "@id": f"{table}/{column['name']}",
        "name": f"{table}/{column['name']}",
        "description": f"{column['description']} Unit: {column['unit']}.",
        "dataType": {"bool": "sc:Boolean", "string": "sc:Text"}.get(
            inner, "sc:Float" if "float" in inner else "sc:Integer"
        ),
        "source": {"fileSet": {"@id": f"{table}-files"}, "extract": {"column": column["name"]}},
    }
    return found | ({"repeated": True} if inner != kind else {})


def licence_url(licence: str) -> str:
    """Address of a single SPDX licence; an expression stays what it is, also one of a version and later ones."""
    single = " " not in licence and not licence.startswith("LicenseRef") and not licence.endswith("+")
    return f"https://spdx.org/licenses/{licence}" if single else licence


def _version(text: str) -> str:
    """Three numbers, as Croissant asks for."""
    parts = text.lstrip("v").split(".")
    whole = all(p.isdigit() for p in parts) and len(parts) <= 3
    return ".".join([*parts, "0", "0"][:3]) if whole else text
