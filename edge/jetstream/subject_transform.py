"""A change of subjects as configurations write it down."""

from typing import NamedTuple

from edge.core.transforms import Transform


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
    if (at := next((i for i, token in enumerate(tokens) if not token or ">" in tokens[:i]), None)) is not None:
        return "invalid mapping destination: invalid transform" + (f" in {tokens[at]}" if tokens[at] else "")
    try:
        Transform(source, destination)
    except ValueError as exc:
        problem = str(exc)
        fits = problem != "invalid subject" and not problem.startswith("'>'")
        return f"invalid mapping destination: {problem}" if fits else "invalid subject"
    return ""
