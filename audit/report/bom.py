"""What was audited with what, as a CycloneDX 1.6 bill of materials: model, data, lexicons and packages. Cost: 0.5 s, for an import.

The library builds and orders the bill; it knows no `modelCard` and no `data`, so these are added to the JSON that it gives.
"""

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from audit.records import AuditRecord
from audit.report import wording
from audit.report.cards import name, task
from audit.report.declarations import declared, supplied
from audit.report.document_json import encoded
from audit.report.page import hashes_ids, smallest_cell
from audit.report.performance import told
from audit.report.publication import Publication
from audit.report.text import LONGEST, count, moment, shorten
from audit.report.toolkit_card import limitations, metric, risks

if TYPE_CHECKING:
    from cyclonedx.model import HashType
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component

MODEL, DATA = "model", "data"
SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
OF_TOOL: Final = "lrp-audit"
MOST_OF_A_VERSION: Final = 1_024  # characters, in the schema
SERIAL: Final = uuid.uuid5(uuid.NAMESPACE_URL, "lrp-audit/ml-bom")


def ml_bom(shown: Publication) -> bytes:
    """The bill as JSON; its serial number and time are those of the run, so the same record gives the same bytes."""
    from cyclonedx.output.json import JsonV1Dot6

    record = shown.record
    document = json.loads(JsonV1Dot6(_bom(record)).output_as_string())
    if moment(record.finished) is None:
        del document["metadata"]["timestamp"]
    added = {MODEL: {"modelCard": _card(record)}, DATA: {"data": [_contents(record)]}}
    for component in document["components"]:
        component |= added.get(component["bom-ref"], {})
    return encoded(document)


def _bom(record: AuditRecord) -> "Bom":
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.dependency import Dependency

    parts = [_model(record), _data(record), *_lexicons(record), *_packages(record)]
    first, *others = parts
    dependencies = [Dependency(first.bom_ref, [Dependency(other.bom_ref) for other in others])]
    told = (record.run_id, record.protocol_sha256, str(smallest_cell(record)), str(hashes_ids(record)))
    serial = uuid.uuid5(SERIAL, "\n".join(map(shorten, told)))
    return Bom(components=parts, serial_number=serial, metadata=_metadata(record), dependencies=dependencies)


def _metadata(record: AuditRecord) -> "BomMetaData":
    from cyclonedx.model import Property
    from cyclonedx.model.bom import BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository

    version = record.provenance.packages.get(OF_TOOL)
    tool = Component(name=OF_TOOL, type=ComponentType.APPLICATION, version=version and shorten(version))
    return BomMetaData(
        timestamp=moment(record.finished) or datetime.fromtimestamp(0, UTC), tools=ToolRepository(components=[tool]),
        properties=[Property(name=f"{OF_TOOL}:{key}", value=shorten(value, 400)) for key, value in _facts(record)],
    )  # fmt: skip


def _facts(record: AuditRecord) -> Iterable[tuple[str, str]]:
    """What a reader of the bill needs to find the audit."""
    yield from (
        ("run_id", record.run_id),
        ("protocol_sha256", record.protocol_sha256),
        ("seed", str(record.provenance.seed)),
    )
    yield from (("exit_code", str(record.exit_code)), ("exit_meaning", wording.exit_sentence(record.exit_code)))
    for verdict, n in sorted(Counter(finding.verdict.value for finding in record.findings).items()):
        yield f"findings:{verdict}", str(n)
    for gate in record.gates:
        yield f"gate:{shorten(gate.question)}", gate.state


def _model(record: AuditRecord) -> "Component":
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.component import Component, ComponentType

    licence, sha256 = supplied(record, "license"), record.model.sha256
    return Component(
        name=name(record), type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref=MODEL, hashes=_hashes(sha256),
        version=shorten(supplied(record, "system_version") or f"sha256:{sha256[:12]}", MOST_OF_A_VERSION),
        description=shorten(f"{record.model.architecture}, {count(record.model.parameters)} parameters", 400),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else (),
    )  # fmt: skip


def _data(record: AuditRecord) -> "Component":
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=shorten(record.data.path, 400) or DATA, type=ComponentType.DATA, bom_ref=DATA, hashes=_hashes(record.data.sha256)
    )  # fmt: skip


def _lexicons(record: AuditRecord) -> list["Component"]:
    from cyclonedx.model.component import Component, ComponentType

    return [
        Component(
            name=shorten(f"lexicon of {each.attribute}", 400), type=ComponentType.DATA, bom_ref=f"lexicon-{i}",
            hashes=_hashes(each.sha256), description=shorten(f"{each.source}. {each.provenance}", 2_000),
        )
        for i, each in enumerate(record.lexicons)
    ]  # fmt: skip


def _packages(record: AuditRecord) -> list["Component"]:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    named = [
        (shorten(package, 200), shorten(version, 80)) for package, version in sorted(record.provenance.packages.items())
    ]
    return [
        Component(
            name=package, version=version, type=ComponentType.LIBRARY, bom_ref=f"package-{i}",
            purl=PackageURL("pypi", name=package, version=version or None),
        )
        for i, (package, version) in enumerate(each for each in named if each[0].strip("/"))
    ]  # fmt: skip


def _hashes(sha256: str) -> "list[HashType]":
    from cyclonedx.model import HashAlgorithm, HashType

    return [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if SHA256.fullmatch(sha256) else []


def _card(record: AuditRecord) -> Mapping[str, Any]:
    image = record.config.get("task") == "image"
    uses = [declared(record, "intended_purpose"), f"Out of scope: {declared(record, 'out_of_scope')}"]
    return {
        "modelParameters": {
            "task": task(record), "modelArchitecture": shorten(record.model.architecture, 400), "datasets": [{"ref": DATA}],
            "inputs": [{"format": "image" if image else "text"}],
            "outputs": [{"format": shorten(f"one of the classes {', '.join(record.model.classes)}", 2_000)}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [_metric(metric(each)) for each in told(record)]},
        "considerations": {
            "useCases": uses, "technicalLimitations": limitations(record),
            "ethicalConsiderations": [{"name": risk, "mitigationStrategy": against} for risk, against in risks(record)],
        },
    }  # fmt: skip


def _metric(made: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same in the spelling of CycloneDX."""
    ends = made.get("confidence_interval")
    known = {key: value for key, value in made.items() if key != "confidence_interval"}
    if ends is None:
        return known
    return {**known, "confidenceInterval": {"lowerBound": ends["lower_bound"], "upperBound": ends["upper_bound"]}}


def _contents(record: AuditRecord) -> Mapping[str, Any]:
    data = record.data
    about = f"{count(data.used)} of {count(data.rows)} rows audited; source: {declared(record, 'data_source')}"
    sensitive = [shorten(attribute, 160) for attribute in data.attributes]
    return {
        "type": "dataset",
        "description": shorten(about, LONGEST),
        **({"sensitiveData": sensitive} if sensitive else {}),
    }
