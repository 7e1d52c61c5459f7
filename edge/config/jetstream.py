"""``jetstream``: where messages are kept, and how much of them.

``commit_window: "10ms"`` is ours: messages whose publisher waits for no ack may gather that long before they are
committed together; on flash this window is the wear.  A message that somebody waits for is committed at once.
"""

from edge.config.accounts import MAX_COUNT, switched_on
from edge.config.fields import Fields, fail, fields
from edge.config.options import JetStream
from edge.config.parser import Block, Entry
from edge.config.units import SECOND

MAX_COMMIT_WINDOW_NS = 60 * SECOND
DEFAULT = JetStream()
BAD_IN_DOMAIN = frozenset(" \t\r\n.*>")

REFUSED = dict.fromkeys(
    ("key", "ek", "encryption_key", "prev_key", "prev_ek", "prev_encryption_key", "cipher", "tpm"),
    "the store is not encrypted",
)
IGNORED = (
    *("strict", "unique_tag", "extension_hint", "max_outstanding_catchup", "max_buffered_size"),
    *("max_buffered_msgs", "request_queue_limit", "info_queue_limit", "meta_compact", "meta_compact_size"),
    *("meta_compact_sync", "max_concurrent_io"),
)


IGNORED_LIMITS = (
    *("max_ha_assets", "max_batch_inflight_per_stream", "max_batch_inflight_total", "max_batch_size"),
    "max_batch_timeout",
)


def read_jetstream(entry: Entry, warnings: list[str]) -> JetStream | None:
    """``enabled``, ``true`` or a block; None when it is switched off."""
    if not isinstance(entry.value.data, Block):
        return DEFAULT if switched_on(entry) else None
    block = fields(entry.value, "jetstream", warnings)
    enabled = block.boolean("enabled", "enable", default=True)
    sync_always, sync_interval_ns = _sync(block)
    limits = fields(found.value, "limits", warnings) if (found := block.entry("limits")) else None
    jetstream = JetStream(
        store_dir=block.string("store_dir", "storedir", "store", default=""),
        domain=_domain(block),
        max_file_bytes=_limit(block, "max_file_store", "max_file"),
        max_memory_bytes=_limit(block, "max_memory_store", "max_mem_store", "max_mem"),
        max_ack_pending=_count(limits, "max_ack_pending"),
        max_request_batch=_count(limits, "max_request_batch"),
        max_window_ns=(limits.duration_ns("duplicate_window", default=0) if limits else 0) or None,
        sync_interval_ns=sync_interval_ns,
        sync_always=sync_always,
        commit_window_ns=block.duration_ns("commit_window", default=DEFAULT.commit_window_ns),
    )
    if limits is not None:
        limits.finish({}, IGNORED_LIMITS)
    block.finish(REFUSED, IGNORED)
    if jetstream.commit_window_ns > MAX_COMMIT_WINDOW_NS:
        fail(block.place("commit_window"), "commit_window: expected at most 1m: it is what a power cut may take")
    return jetstream if enabled else None


def _sync(block: Fields) -> tuple[bool, int]:
    entry = block.entry("sync_interval", "sync")
    if entry and isinstance(entry.value.data, str) and entry.value.data.lower() == "always":
        return True, DEFAULT.sync_interval_ns
    return False, block.duration_ns("sync_interval", "sync", default=DEFAULT.sync_interval_ns)


def _limit(block: Fields, *names: str) -> int | None:
    """None without a limit, which nats-server also writes as -1."""
    size = block.size_bytes(*names, default=-1)
    return None if size < 0 else size


def _count(block: Fields | None, name: str) -> int | None:
    count = block.integer(name, lowest=-1, highest=MAX_COUNT, default=0) if block else 0
    return count if count > 0 else None


def _domain(block: Fields) -> str:
    domain = block.string("domain", default="")
    if not BAD_IN_DOMAIN.isdisjoint(domain):
        fail(block.place("domain"), f"domain: {domain!r} becomes one token of a subject: no '.', '*', '>' or spaces")
    return domain
