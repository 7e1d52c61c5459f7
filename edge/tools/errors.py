"""What a person is told instead of a traceback."""

from edge.errors import PetioleError


class ToolError(PetioleError):
    """A command cannot do what was asked; ``str(exc)`` is one line that says why and what to do about it."""
