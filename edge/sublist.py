"""Who wants this subject: a trie of tokens with a bounded cache of results.

A result is immutable, so it can be walked while subscriptions come and go.  ``generation`` changes with every
insert and remove: whoever keeps something derived from results knows by it when to forget.
"""

from collections.abc import Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

MAX_CACHE = 16_384  # results kept; above it the cache starts anew (many one-time subjects must not hold memory)


class Interest(Protocol):
    """What a sublist holds: a pattern and, for a member of a queue group, the group's name ("" for none).  Two are
    the same only when they are one."""

    subject: str
    queue: str


S = TypeVar("S", bound=Interest)


class Match(NamedTuple, Generic[S]):
    plain: tuple[S, ...]
    queues: tuple[tuple[S, ...], ...]  # the members of each queue group


class Node(Generic[S]):
    __slots__ = ("kids", "plain", "queues")

    def __init__(self) -> None:
        self.kids: dict[str, Node[S]] = {}
        self.plain: dict[S, None] = {}  # in the order in which they came; thousands may be alike, and leave at once
        self.queues: dict[str, dict[S, None]] = {}

    def is_empty(self) -> bool:
        return not (self.kids or self.plain or self.queues)


class Sublist(Generic[S]):
    def __init__(self) -> None:
        self.root: Node[S] = Node()
        self.cache: dict[str, Match[S]] = {}
        self.families: dict[str, Match[S] | None] = {}
        self.generation = 0
        self.count = 0
        self.inserts = 0

    def insert(self, sub: S) -> None:
        node = self.root
        for token in sub.subject.split("."):
            kid = node.kids.get(token)
            if kid is None:
                kid = node.kids[token] = Node()
            node = kid
        if sub.queue:
            node.queues.setdefault(sub.queue, {})[sub] = None
        else:
            node.plain[sub] = None
        self._changed(1)

    def remove(self, sub: S) -> bool:
        """Forget ``sub`` (by identity); False when it was not there."""
        path: list[tuple[Node[S], str]] = []
        node = self.root
        for token in sub.subject.split("."):
            path.append((node, token))
            kid = node.kids.get(token)
            if kid is None:
                return False
            node = kid
        holders = node.queues.get(sub.queue, {}) if sub.queue else node.plain
        if sub not in holders:
            return False
        del holders[sub]
        if sub.queue and not holders:
            del node.queues[sub.queue]
        for parent, token in reversed(path):
            if not parent.kids[token].is_empty():
                break
            del parent.kids[token]
        self._changed(-1)
        return True

    def match(self, subject: str) -> Match[S]:
        """Everybody whose pattern matches this literal subject; nobody's matches one with an empty token."""
        found = self.cache.get(subject)
        if found is None:
            tokens = subject.split(".")
            found = self._walk(tokens) if "" not in tokens else Match((), ())
            if len(self.cache) >= MAX_CACHE:
                self.cache.clear()
            self.cache[subject] = found
        return found

    def match_once(self, subject: str) -> Match[S]:
        """As ``match``, for a subject that will hardly be seen again (a reply inbox): nothing is kept per subject.

        Where all that could match ends in a wildcard, the last token decides nothing and the result is kept for
        the whole family ``prefix.*``.
        """
        prefix, _, _ = subject.rpartition(".")
        found = self.families.get(prefix)
        if found is None:
            found = self.match_family(prefix)
            if found is None:
                return self._walk(subject.split("."))
        return found

    def match_family(self, prefix: str) -> Match[S] | None:
        """What every ``prefix.<token>`` matches; None where the last token decides."""
        if prefix not in self.families:
            if len(self.families) >= MAX_CACHE:
                self.families.clear()
            self.families[prefix] = self._family(prefix)
        return self.families[prefix]

    def sole(self, prefix: str) -> S | None:
        """The only one that any subject under ``prefix.>`` can reach, if there is just one that any of them may."""
        hits, nodes = self._descend(prefix.split("."))
        plain, queues = _gather(hits)
        found = [*plain, *(sub for members in queues for sub in members)]
        for kid in (kid for node in nodes for kid in node.kids.values()):
            for sub in self._below(kid):
                found.append(sub)
                if len(found) > 1:
                    return None
        return found[0] if len(found) == 1 else None

    def __iter__(self) -> Iterator[S]:
        return self._below(self.root)

    def _below(self, node: Node[S]) -> Iterator[S]:
        stack = [node]
        while stack:
            node = stack.pop()
            yield from node.plain
            for members in node.queues.values():
                yield from members
            stack.extend(node.kids.values())

    def __len__(self) -> int:
        return self.count

    def _changed(self, by: int) -> None:
        self.count += by
        self.inserts += by > 0
        self.generation += 1
        if self.cache:
            self.cache.clear()
        if self.families:
            self.families.clear()

    def _family(self, prefix: str) -> Match[S] | None:
        """What every ``prefix.<token>`` matches, or None where a literal last token makes a difference."""
        if not prefix:
            return None
        hits, nodes = self._descend(prefix.split("."))
        for node in nodes:
            for token, kid in node.kids.items():
                if token != "*" and token != ">" and (kid.plain or kid.queues):
                    return None
                if token in ("*", ">"):
                    hits.append(kid)
        return _gather(hits)

    def _walk(self, tokens: list[str]) -> Match[S]:
        hits, nodes = self._descend(tokens)
        return _gather(hits + nodes)

    def _descend(self, tokens: list[str]) -> tuple[list[Node[S]], list[Node[S]]]:
        """The ``>`` nodes passed on the way, and the nodes reached when all tokens are used up."""
        hits: list[Node[S]] = []
        nodes = [self.root]
        for token in tokens:
            following: list[Node[S]] = []
            for node in nodes:
                kids = node.kids
                rest = kids.get(">")
                if rest is not None:
                    hits.append(rest)
                # a publish to a literal "*" or ">" meets each wildcard node once, not twice
                if token != "*" and token != ">" and token in kids:
                    following.append(kids[token])
                if "*" in kids:
                    following.append(kids["*"])
            nodes = following
            if not nodes:
                break
        return hits, nodes


def _gather(hits: list[Node[S]]) -> Match[S]:
    plain: list[S] = []
    queues: dict[str, list[S]] = {}
    for node in hits:
        plain += node.plain
        for name, members in node.queues.items():
            queues.setdefault(name, []).extend(members)
    return Match(tuple(plain), tuple(tuple(members) for members in queues.values()))
