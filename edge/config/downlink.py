"""Blocks of ours: what the hub sends to be kept and done here, and what it is told of that.

    commands { hub_domain: hub, stream: COMMANDS, parallel: 1, timeout: "60s", keep: 1000, max_bytes: 64MB }
    desired  { hub_domain: hub, bucket: DESIRED, max_bytes: 16MB }
    reported { bucket: REPORTED, max_bytes: 16MB }
    files    { hub_domain: hub, bucket: FILES, dir: "/var/lib/petiole/files", max_bytes: 16MB }
"""

import re

from edge.config.fields import Fields, fail
from edge.config.options import Bucket, Commands, Downlink, Files
from edge.subjects import is_literal

MAX_PARALLEL = 1000
MAX_KEEP = 100_000


def read_downlink(top: Fields) -> Downlink | None:
    """None: nothing of it is configured."""
    commands, desired, reported, files = (top.inner(name) for name in ("commands", "desired", "reported", "files"))
    if commands is desired is reported is files is None:
        return None
    return Downlink(
        commands=_commands(commands) if commands else None,
        desired=_bucket(desired, "DESIRED", _hub_domain(desired)) if desired else None,
        reported=_bucket(reported, "REPORTED", "") if reported else None,
        files=_files(files) if files else None,
    )


def _files(block: Fields) -> Files:
    files = Files(
        hub_domain=_hub_domain(block),
        dir=block.string("dir", default=""),
        bucket=block.string("bucket", default=Files("", "").bucket),
        max_bytes=block.size_bytes("max_bytes", default=Files("", "").max_bytes),
    )
    block.finish()
    if not files.dir:
        fail(block.place("dir"), "files: expected dir, the folder where they go")
    _bucket_name(block, files.bucket)
    _positive(block, files.max_bytes)
    return files


def _bucket(block: Fields, default: str, hub_domain: str) -> Bucket:
    bucket = Bucket(
        bucket=block.string("bucket", default=default),
        hub_domain=hub_domain,
        max_bytes=block.size_bytes("max_bytes", default=Bucket("").max_bytes),
    )
    block.finish()
    _bucket_name(block, bucket.bucket)
    _positive(block, bucket.max_bytes)
    return bucket


def _commands(block: Fields) -> Commands:
    default = Commands("")
    commands = Commands(
        hub_domain=_hub_domain(block),
        stream=block.string("stream", default=default.stream),
        parallel=block.integer("parallel", lowest=1, highest=MAX_PARALLEL, default=default.parallel),
        timeout_ns=block.duration_ns("timeout", default=default.timeout_ns),
        keep=block.integer("keep", lowest=0, highest=MAX_KEEP, default=default.keep),
        max_bytes=block.size_bytes("max_bytes", default=default.max_bytes),
    )
    block.finish()
    _token(block, "stream", commands.stream)
    if not commands.timeout_ns:
        fail(block.place("timeout"), "timeout: expected longer than nothing")
    _positive(block, commands.max_bytes)
    return commands


def _hub_domain(block: Fields) -> str:
    domain = block.string("hub_domain", default="")
    if not domain:
        fail(block.place("hub_domain"), f"{block.noun}: expected hub_domain, the JetStream domain of the hub")
    _token(block, "hub_domain", domain)
    return domain


def _bucket_name(block: Fields, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        fail(block.place("bucket"), f"bucket: expected letters, digits, - and _, found {name!r}")


def _positive(block: Fields, max_bytes: int) -> None:
    if max_bytes <= 0:
        fail(block.place("max_bytes"), "max_bytes: expected a size above 0")


def _token(block: Fields, key: str, value: str) -> None:
    if "." in value or not is_literal(value):
        fail(block.place(key), f"{key}: expected a name without dots, spaces and wildcards, found {value!r}")
