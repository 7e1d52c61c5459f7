"""A change of subjects as configurations write it down."""

from typing import NamedTuple

from edge.core.transforms import Transform
from edge.subjects import WHITE


class SubjectTransform(NamedTuple):
    src: str
    dest: str

    def fields(self) -> dict[str, object]:
        return self._asdict()

    def make(self) -> Transform | None:
        """None where nothing is changed."""
        return Transform(self.src, self.dest) if self.dest else None


def transform_problem(source: str, destination: str) -> str:
    """Why there is no such transform, in nats-server's words; empty when there is."""
    if not destination:
        return ""
    tokens = destination.split(".")
    for i, token in enumerate(tokens):
        if not token or ">" in tokens[:i]:
            return "invalid mapping destination: invalid transform" + (f" in {token}" if token else "")
        if not (token.startswith("{{") and token.endswith("}}")) and not WHITE.isdisjoint(token):
            return "invalid mapping destination: invalid transform"
    try:
        Transform(source, destination)
    except ValueError as exc:
        problem = str(exc)
        fits = problem != "invalid subject" and not problem.startswith("'>'")
        return f"invalid mapping destination: {problem}" if fits else "invalid subject"
    return ""
