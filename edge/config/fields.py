"""Typed reading of one block: every entry is asked for by its name, and whatever nobody asked for is a mistake.

Names are those of nats-server, aliases included, in any case.  The errors name the place of the key and what was
expected there; nearness of an unknown key is measured against everything that could have stood in its place.
"""

from collections.abc import Iterable, Mapping
from typing import NoReturn, TypeVar

from edge.config.lexer import Place
from edge.config.parser import Block, Entry, Value
from edge.config.units import SECOND, duration_ns, size_bytes
from edge.errors import ConfigError
from edge.subjects import is_valid

D = TypeVar("D")


class Fields:
    """``noun`` is how the block is called in messages; ``warnings`` collects what is odd but harmless."""

    def __init__(self, block: Block, noun: str, warnings: list[str]) -> None:
        self.block = block
        self.noun = noun
        self.warnings = warnings
        self._asked: set[str] = set()
        self._known: set[str] = set()
        self._by_name: dict[str, list[Entry]] = {}
        for entry in block.entries.values():
            self._by_name.setdefault(entry.key.lower(), []).append(entry)

    # ---- entries

    def entry(self, *names: str) -> Entry | None:
        """The entry that bears one of these names; two of them in one block would be ambiguous."""
        self._known.add(names[0])
        self._asked.update(names)
        found = [entry for name in names for entry in self._by_name.get(name, ())]
        if len(found) > 1:
            fail(found[1].place, f"{found[1].key!r} says the same as {found[0].key!r} in line {found[0].place.line}")
        return found[0] if found else None

    def place(self, *names: str) -> Place:
        """Where the entry stands, else the block."""
        entry = self.entry(*names)
        return entry.place if entry else self.block.place

    # ---- values; the default is the answer when there is no such entry

    def string(self, *names: str, default: D) -> str | D:
        entry = self.entry(*names)
        return text(entry.value, entry.key) if entry else default

    def boolean(self, *names: str, default: D) -> bool | D:
        entry = self.entry(*names)
        if entry is None:
            return default
        if not isinstance(entry.value.data, bool):
            wrong(entry.value, entry.key, "true or false")
        return entry.value.data

    def integer(self, *names: str, lowest: int, highest: int, default: D) -> int | D:
        entry = self.entry(*names)
        if entry is None:
            return default
        data = entry.value.data
        if isinstance(data, bool) or not isinstance(data, int):
            wrong(entry.value, entry.key, "an integer")
        if not lowest <= data <= highest:
            wrong(entry.value, entry.key, f"an integer from {lowest} to {highest}")
        return data

    def size_bytes(self, *names: str, default: D) -> int | D:
        """``64MB``, or the same in quotes."""
        entry = self.entry(*names)
        if entry is None:
            return default
        data = entry.value.data
        if isinstance(data, str):
            try:
                return size_bytes(data)
            except ValueError as exc:
                fail(entry.place, f"{entry.key}: {exc}")
        if isinstance(data, bool) or not isinstance(data, int):
            wrong(entry.value, entry.key, "a size such as 64MB")
        return data

    def duration_ns(self, *names: str, default: D) -> int | D:
        """``"10ms"``.  A number of seconds is understood, as nats-server does, and warned about."""
        entry = self.entry(*names)
        if entry is None:
            return default
        data = entry.value.data
        if isinstance(data, bool) or not isinstance(data, (str, int)):
            wrong(entry.value, entry.key, 'a duration such as "10s"')
        if isinstance(data, int):
            self.warn(entry, f'{data} is taken for seconds; write a duration such as "10s" in quotes')
            data = f"{data}s"
        try:
            duration = duration_ns(data)
        except ValueError as exc:
            fail(entry.place, f"{entry.key}: {exc}")
        if duration < 0:
            fail(entry.place, f"{entry.key}: expected a duration that is not negative, found {data}")
        return duration

    def quoted_duration_ns(self, *names: str, default: D) -> int | D:
        """A duration that nats-server takes in a string only."""
        entry = self.entry(*names)
        if entry and not isinstance(entry.value.data, str):
            wrong(entry.value, entry.key, 'a duration in quotes, such as "1m"')
        return self.duration_ns(*names, default=default)

    def seconds_ns(self, *names: str, default: D) -> int | D:
        """Like authorization's ``timeout``: seconds, whole or not, or a duration in a string."""
        entry = self.entry(*names)
        if entry is None:
            return default
        data = entry.value.data
        if isinstance(data, str):
            return self.duration_ns(*names, default=default)
        if isinstance(data, bool) or not isinstance(data, (int, float)) or data < 0:
            wrong(entry.value, entry.key, 'seconds, or a duration such as "2s"')
        if data > 60:
            self.warn(entry, f'{data} seconds is long; a duration is written in quotes: "1m"')
        return int(data * SECOND)

    def subjects(self, *names: str) -> tuple[str, ...]:
        """One subject or a list of them."""
        entry = self.entry(*names)
        return subjects(entry.value, entry.key) if entry else ()

    def strings(self, *names: str) -> tuple[str, ...]:
        """One string or a list of them."""
        entry = self.entry(*names)
        return texts(entry.value, entry.key) if entry else ()

    def pairs(self, *names: str) -> tuple[tuple[str, str], ...]:
        """A block of strings, whatever their names."""
        entry = self.entry(*names)
        if entry is None:
            return ()
        if not isinstance(entry.value.data, Block):
            wrong(entry.value, entry.key, "a block { ... }")
        return tuple((inner.key, text(inner.value, inner.key)) for inner in entry.value.data.entries.values())

    def inner(self, *names: str) -> "Fields | None":
        """A block within this one."""
        entry = self.entry(*names)
        return fields(entry.value, entry.key, self.warnings) if entry else None

    def items(self, *names: str) -> list[Value] | None:
        entry = self.entry(*names)
        if entry is None:
            return None
        if not isinstance(entry.value.data, list):
            wrong(entry.value, entry.key, "a list [ ... ]")
        return entry.value.data

    # ---- what remains

    def warn(self, entry: Entry, problem: str) -> None:
        self.warnings.append(f"{entry.place.path}:{entry.place.line}:{entry.place.column}: {entry.key}: {problem}")

    def finish(self, refused: Mapping[str, str] | None = None, ignored: Iterable[str] = ()) -> None:
        """Nothing unasked may be left.

        ``refused`` are nats-server's keys that we cannot honour, with the reason: leaving them out silently would
        change who may do what, or where messages go.  ``ignored`` are those that change no promise: a warning.
        """
        refused = refused or {}
        ignored = frozenset(ignored)
        for entry in self.block.entries.values():
            name = entry.key.lower()
            if name in self._asked:
                continue
            if name in refused:
                fail(entry.place, f"{entry.key!r} is known to nats-server, but not supported here: {refused[name]}")
            if name in ignored:
                self.warn(entry, "known to nats-server, has no effect here")
            elif not entry.referenced:
                hint = nearest(name, self._known) or nearest(name, self._asked) or nearest(name, [*refused, *ignored])
                fail(entry.place, f"unknown key {entry.key!r} in {self.noun}{hint}")


def fields(value: Value, noun: str, warnings: list[str]) -> Fields:
    if not isinstance(value.data, Block):
        wrong(value, noun, "a block { ... }")
    return Fields(value.data, noun, warnings)


def text(value: Value, noun: str) -> str:
    if isinstance(value.data, (bool, int, float)):  # not shown: it may be a password
        fail(value.place, f"{noun}: expected a string, found a bare number or boolean; put it in quotes")
    if not isinstance(value.data, str):
        wrong(value, noun, "a string")
    return value.data


def texts(value: Value, noun: str) -> tuple[str, ...]:
    """A string, or a list of strings."""
    if isinstance(value.data, list):
        return tuple(text(item, noun) for item in value.data)
    if isinstance(value.data, str):
        return (value.data,)
    wrong(value, noun, "a string or a list of strings")


def subjects(value: Value, noun: str) -> tuple[str, ...]:
    found = texts(value, noun)
    for subject in found:
        if not is_valid(subject):
            fail(value.place, f"{noun}: {subject!r} is not a valid subject")
    return found


def nearest(name: str, candidates: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` or nothing; of equally near names the first."""
    from difflib import get_close_matches  # needed only on the way out

    close = get_close_matches(name, list(dict.fromkeys(candidates)), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def wrong(value: Value, noun: str, expected: str) -> NoReturn:
    fail(value.place, f"{noun}: expected {expected}, found {_found(value)}")


def fail(place: Place, problem: str) -> NoReturn:
    raise ConfigError(*place, problem)


def _found(value: Value) -> str:
    match value.data:
        case bool():
            return "true" if value.data else "false"
        case int() | float():
            return f"the number {value.data}"
        case str():
            return f"the string {value.data[:40]!r}"
        case Block():
            return "a block"
        case list():
            return "a list"
        case _:
            return "a datetime"
