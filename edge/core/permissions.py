"""What a user may publish and subscribe to (reference: core.md section 3)."""

from dataclasses import dataclass

from edge.subjects import matches, overlap, subset


@dataclass(frozen=True, slots=True)
class SubjectRule:
    """``allow`` None means everything; ``deny`` wins."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()

    def permits(self, subject: str) -> bool:
        """A literal subject."""
        if self.allow is not None and not any(matches(pattern, subject) for pattern in self.allow):
            return False
        return not any(matches(pattern, subject) for pattern in self.deny)

    def permits_interest(self, subject: str, queue: str = "") -> bool:
        """A subscription: within what is allowed, and not wholly denied."""
        if self.allow is not None and not any(subset(subject, pattern) for pattern in self.allow):
            return False
        return not any(subset(subject, pattern) for pattern in self.deny)

    def filters(self, subject: str) -> bool:
        """True when a permitted subscription still overlaps something denied: its deliveries are looked at."""
        return any(overlap(subject, pattern) for pattern in self.deny)


@dataclass(frozen=True, slots=True)
class ResponseRule:
    """``allow_responses``: a client may answer what it was sent, ``max`` times (-1: any number) and for
    ``expires_ns`` (-1: for ever)."""

    max: int = 1
    expires_ns: int = 120_000_000_000


@dataclass(frozen=True, slots=True)
class Permissions:
    publish: SubjectRule = SubjectRule()
    subscribe: SubjectRule = SubjectRule()
    responses: ResponseRule | None = None
