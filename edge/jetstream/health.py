"""Can the store keep what it is given?"""

from edge.errors import StoreError


class Health:
    """``error`` says what the last commit failed with; it is empty again with the first that succeeds."""

    def __init__(self) -> None:
        self.error = ""

    def failed(self, error: StoreError) -> None:
        self.error = str(error)

    def works(self) -> None:
        self.error = ""
