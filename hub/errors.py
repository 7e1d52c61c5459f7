"""What an operator of the hub can be told: one line that says what is wrong, where, and what to do."""

from edge.errors import PetioleError


class HubError(PetioleError):
    """str(exc) is the whole message; the command line prints it and leaves with status 1."""
