"""``mappings``: under which subject a message goes on.

    mappings { a: b, "orders.*": "orders.{{partition(3,1)}}.$1", t: [ {destination: t.new, weight: 10%} ] }
"""

from edge.config.fields import Fields, fail, fields, text, wrong
from edge.config.parser import Block, Entry, Value
from edge.core.account_spec import Destination, Mapping
from edge.subjects import WHITE, is_valid


def read_mappings(block: Fields) -> tuple[Mapping, ...]:
    """Those that stand in ``block``."""
    entry = block.entry("mappings", "maps")
    if entry is None:
        return ()
    if not isinstance(entry.value.data, Block):
        wrong(entry.value, entry.key, "a block { subject: destination }")
    return tuple(_mapping(inner, block.warnings) for inner in entry.value.data.entries.values() if not inner.referenced)


def _mapping(entry: Entry, warnings: list[str]) -> Mapping:
    if not is_valid(entry.key):
        fail(entry.place, f"mappings: {entry.key!r} is not a valid subject")
    data = entry.value.data
    if isinstance(data, str):
        mapping = Mapping(entry.key, (Destination(data),))
    else:
        items = data if isinstance(data, list) else [entry.value]
        mapping = Mapping(entry.key, tuple(_destination(item, warnings) for item in items))
    _check(entry, mapping)
    return mapping


def _destination(value: Value, warnings: list[str]) -> Destination:
    if not isinstance(value.data, Block):
        wrong(value, "a mapping", "a subject, or { destination: ..., weight: 50% }")
    block = fields(value, "a destination", warnings)
    destination = Destination(
        block.string("destination", "dest", default=""),
        _weight(block),
        block.string("cluster", default=""),
    )
    block.finish()
    if not destination.subject:
        fail(value.place, "a mapping needs a destination")
    return destination


def _weight(block: Fields) -> int:
    entry = block.entry("weight")
    if entry is None:
        fail(block.block.place, "a destination needs a weight, such as weight: 50%")
    data = entry.value.data
    if isinstance(data, str) and text(entry.value, "weight").removesuffix("%").isdecimal():
        data = int(data.removesuffix("%"))
    if isinstance(data, bool) or not isinstance(data, int) or not 0 <= data <= 100:
        wrong(entry.value, "weight", "0 to 100 percent")
    return data


def _check(entry: Entry, mapping: Mapping) -> None:
    """Weights are counted for each cluster; a destination stands once."""
    weights: dict[str, int] = {}
    seen: set[str] = set()
    for destination in mapping.destinations:
        if destination.subject in seen:
            fail(entry.place, f"{mapping.source}: {destination.subject!r} is listed twice")
        seen.add(destination.subject)
        weights[destination.cluster] = weights.get(destination.cluster, 0) + destination.weight
        if weights[destination.cluster] > 100:
            fail(entry.place, f"{mapping.source}: the weights are {weights[destination.cluster]} % in all, at most 100")
        _check_transform(entry, mapping.source, destination.subject)


def _check_transform(entry: Entry, source: str, destination: str) -> None:
    from edge.core.transforms import check_mapping, is_call

    if any(not WHITE.isdisjoint(token) and not is_call(token) for token in destination.split(".")):
        fail(entry.place, f"{source}: cannot become {destination!r}: white space")
    try:
        check_mapping(source, destination)
    except ValueError as exc:
        fail(entry.place, f"{source}: cannot become {destination!r}: {exc}")
