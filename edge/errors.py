"""What can go wrong, by who has to act on it.

``ProtocolError``  a peer broke a rule: answer, close that peer, nobody else notices
``StoreError``     we cannot keep a promise: tell the client, turn health red
``ApiError``       a JetStream request that is answered with an error
``ConfigError``    the user's file or flags: say where and what was expected, exit
``StartError``     the surroundings (a port in use, a store in use): one line, exit
"""


class PetioleError(Exception):
    """Base of every error this package raises on purpose."""


class ProtocolError(PetioleError):
    """A peer broke the protocol; ``str(exc)`` is the text that goes on the wire, empty for a silent close.

    ``reason`` is what the log and monitoring say of it.
    """

    def __init__(self, text: str, reason: str = "Protocol Violation") -> None:
        super().__init__(text)
        self.reason = reason


class StoreError(PetioleError):
    """What was asked of the store is not on disk.  ``full`` tells a full disk from a broken one."""

    def __init__(self, text: str, full: bool = False) -> None:
        super().__init__(text)
        self.full = full


class ApiError(PetioleError):
    """A JetStream API error: HTTP-like ``code``, nats-server's ``err_code`` and its text."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.err_code = err_code
        self.description = description


class ConfigError(PetioleError):
    """A mistake in the configuration, with its place; lines and columns count from 1, 0 is unknown."""

    def __init__(self, path: str, line: int, column: int, problem: str) -> None:
        where = ":".join(str(part) for part in (path, line, column) if part)
        super().__init__(f"{where}: {problem}" if where else problem)
        self.path = path
        self.line = line
        self.column = column
        self.problem = problem


class StartError(PetioleError):
    """The server cannot start here; ``str(exc)`` is one line that says what to do about it."""
