"""Where a stream's messages come from beside its own subjects: the one stream it mirrors, or several it sources
(reference: sourcing.md).
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

from edge.core.times import parse_rfc3339, rfc3339
from edge.jetstream.errors import invalid_json
from edge.jetstream.fields import check_object
from edge.jetstream.subject_transform import SubjectTransform

KINDS = {
    "name": "string", "opt_start_seq": "uint", "opt_start_time": "string", "filter_subject": "string",
    "subject_transforms": "objects", "external": "object", "consumer": "object",
}  # fmt: skip
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORM_FEED = "\f"


class External(NamedTuple):
    """Where the origin's API is asked instead of ``$JS.API``, and under which prefix it delivers."""

    api: str
    deliver: str

    def fields(self) -> dict[str, object]:
        return self._asdict()


class OriginConsumer(NamedTuple):
    """A consumer that somebody made at the origin for us."""

    name: str
    deliver_subject: str

    def fields(self) -> dict[str, object]:
        return {name: value for name, value in self._asdict().items() if value}


class Origin(NamedTuple):
    """A stream, here or elsewhere, whose messages are wanted."""

    name: str
    opt_start_seq: int = 0
    opt_start_time: str = ""
    filter_subject: str = ""
    transforms: tuple[SubjectTransform, ...] = ()
    external: External | None = None
    consumer: OriginConsumer | None = None

    def fields(self) -> dict[str, object]:
        optional: tuple[tuple[str, object], ...] = (
            ("opt_start_seq", self.opt_start_seq),
            ("opt_start_time", self.opt_start_time),
            ("filter_subject", self.filter_subject),
            ("subject_transforms", [transform.fields() for transform in self.transforms]),
            ("external", self.external and self.external.fields()),
            ("consumer", self.consumer and self.consumer.fields()),
        )
        return {"name": self.name} | {name: value for name, value in optional if value}

    @property
    def place(self) -> str:
        """The stream and where it is, as ``Nats-Stream-Source`` begins."""
        place = self.name
        if self.external is not None:
            place += f":{short_hash(self.external.api)}"
        if self.consumer is not None:
            place += f":C={short_hash(self.consumer.name)}"
        return place

    @property
    def key(self) -> str:
        """What tells this origin from the others of a stream: place, filters, destinations."""
        if not self.transforms:
            return f"{self.place} {self.filter_subject or '>'} >"
        sources = FORM_FEED.join(transform.src or ">" for transform in self.transforms)
        return f"{self.place} {sources} {FORM_FEED.join(transform.dest or '>' for transform in self.transforms)}"


def short_hash(text: str) -> str:
    """Eight characters for a text, the same as nats-server makes of it.

    hashlib would bring OpenSSL into a process that encrypts nothing.
    """
    module = import_module("_sha2" if sys.version_info >= (3, 12) else "_sha256")
    return "".join(DIGITS[byte % 62] for byte in module.sha256(text.encode()).digest()[:8])


# ---- from JSON


def read_origin(fields: Mapping[str, Any] | None) -> Origin | None:
    """ApiError 10025 for what nats-server cannot read."""
    if fields is None:
        return None
    known = check_object(fields, KINDS)
    external, consumer = known.get("external"), known.get("consumer")
    return Origin(
        known.get("name", ""),
        known.get("opt_start_seq", 0),
        _start_time(known.get("opt_start_time")),
        known.get("filter_subject", ""),
        tuple(_read_transform(item) for item in known.get("subject_transforms", ())),
        None if external is None else External(**_strings(external, "api", "deliver")),
        None if consumer is None else OriginConsumer(**_strings(consumer, "name", "deliver_subject")),
    )


def _start_time(text: str | None) -> str:
    """In the zone that it is given in."""
    if text is None:
        return ""
    try:
        ns = parse_rfc3339(text)
    except ValueError as exc:
        raise invalid_json(f'opt_start_time: "{text}" is not a time') from exc
    return rfc3339(ns) if text.endswith("Z") else text


def _read_transform(fields: Mapping[str, Any]) -> SubjectTransform:
    return SubjectTransform(**_strings(fields, "src", "dest"))


def _strings(fields: Mapping[str, Any], *names: str) -> dict[str, str]:
    known = check_object(fields, dict.fromkeys(names, "string"))
    return {name: known.get(name, "") for name in names}
