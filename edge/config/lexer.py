"""nats-server's configuration format, cut into keys and values.  Text in, tokens out; no files, no variables.

The format has no token that means the same everywhere: ``a`` is a key or a value by where it stands.  So the
parser asks for what the grammar wants next (``key``, ``value``, ``end_of_value``) and the lexer reads that, or says
what it found instead (reference: core.md section 7, compared with ``nats-server -t``).
"""

from bisect import bisect_right
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias

from edge.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

SPACE = " \t"
NEWLINE = "\n\r"
BLANK = " \t\n\r\v\f\x85\xa0"
SEPARATORS = "=:"
BARE_END = frozenset(" \t\n\r;,]}")
TRUE = frozenset(("true", "yes", "on"))
FALSE = frozenset(("false", "no", "off"))
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\"}
POWERS = "kmgtpe"
MAX_INT = 2**63 - 1
# Passwords hashed with bcrypt look like variables and are not (nats-server knows the first of these).
BCRYPT = ("$2a$", "$2b$", "$2y$")


class Kind(Enum):
    KEY = auto()
    INCLUDE = auto()
    SCALAR = auto()
    VARIABLE = auto()
    OPEN_MAP = auto()
    OPEN_LIST = auto()


Test = Callable[[str], bool]
Scalar: TypeAlias = "str | bool | int | float | datetime"


class Token(NamedTuple):
    kind: Kind
    data: Scalar  # the key, the path to include, the scalar, the variable's name without its $
    offset: int


class Place(NamedTuple):
    """Where something stands; line and column count from 1."""

    path: str
    line: int
    column: int


class Lexer:
    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.pos = 0
        self._lines = [0, *(i + 1 for i, char in enumerate(text) if char == "\n")]
        if "\0" in text:
            self.fail(text.index("\0"), "found a NUL character, expected text")

    # ---- where we are

    def place(self, offset: int) -> Place:
        line = bisect_right(self._lines, offset)
        return Place(self.path, line, offset - self._lines[line - 1] + 1)

    def fail(self, offset: int, problem: str) -> NoReturn:
        raise ConfigError(*self.place(offset), problem)

    def expected(self, offset: int, expected: str) -> NoReturn:
        self.fail(offset, f"expected {expected}, found {self._found(offset)}")

    def peek(self) -> str:
        """The next character, empty at the end of the text."""
        return self.text[self.pos : self.pos + 1]

    def _found(self, offset: int) -> str:
        char = self.text[offset : offset + 1]
        if not char:
            return "the end of the text"
        if char in NEWLINE:
            return "the end of the line"
        end = self._span(offset, lambda c: c not in BARE_END)
        return repr(self.text[offset : max(end, offset + 1)][:24])

    def _span(self, offset: int, wanted: Test) -> int:
        """The end of the run of wanted characters that begins at ``offset``."""
        text, end = self.text, len(self.text)
        while offset < end and wanted(text[offset]):
            offset += 1
        return offset

    # ---- what stands between keys and values

    def skip_space(self) -> None:
        self.pos = self._span(self.pos, SPACE.__contains__)

    def skip_blank(self) -> None:
        """White space, new lines and comments."""
        while True:
            self.pos = self._span(self.pos, BLANK.__contains__)
            if not self._skip_comment():
                return

    def _skip_comment(self) -> bool:
        if not self.text.startswith(("#", "//"), self.pos):
            return False
        self.pos = self._span(self.pos, lambda c: c not in NEWLINE)
        return True

    def skip_separator(self, in_block: bool) -> None:
        """What may stand between a key and its value; within a block the value may follow on another line."""
        self.pos = self._span(self.pos, BLANK.__contains__)
        if self.peek() and self.peek() in SEPARATORS:
            self.pos += 1
            self.pos = self._span(self.pos, (BLANK if in_block else SPACE).__contains__)

    def end_of_value(self, closer: str) -> None:
        """After a value: a comment, a new line, a terminator, or the ``closer``, which stays unread."""
        self.skip_space()
        if self._skip_comment():
            return
        char = self.peek()
        if not char or char == closer:
            return
        if char not in NEWLINE and char != "," and (char != ";" or closer == "]"):
            terminators = "','" if closer == "]" else "',' or ';'"
            also = f" or {closer!r}" if closer else ""
            self.expected(self.pos, f"a new line, {terminators}{also} after the value")
        self.pos += 1

    # ---- keys

    def key(self) -> Token:
        start = self.pos
        if self.peek() in ("'", '"'):
            return Token(Kind.KEY, self._raw("the quoted key"), start)
        self.pos = self._span(start, lambda c: c not in BLANK and c not in SEPARATORS)
        text = self.text[start : self.pos]
        if not text or text[0] in "]),;/":
            self.expected(start, "a key")
        for brace in "{}":
            if brace in text:
                self.fail(start + text.index(brace), f"expected white space or ':' before {brace!r}")
        if text.lower() == "include" and self.peek() and self.peek() not in SEPARATORS:
            return self._include()
        return Token(Kind.KEY, text, start)

    def _include(self) -> Token:
        self.skip_space()
        start, char = self.pos, self.peek()
        if char and char in "'\"":
            return Token(Kind.INCLUDE, self._raw("the file name"), start)
        self.pos = self._span(start, lambda c: c not in " \t\n\r;}'")
        text = self.text[start : self.pos]
        if not text or text[0] in "[{(-\\0123456789":
            self.expected(start, "the name of a file to include (quote unusual names)")
        return Token(Kind.INCLUDE, text, start)

    def _raw(self, noun: str) -> str:
        """Text up to the quote that opened it, without escapes; may span lines."""
        quote = self.text[self.pos]
        end = self.text.find(quote, self.pos + 1)
        if end < 0:
            self.fail(self.pos, f"expected {quote} to close {noun} that begins here, found the end of the text")
        raw = self.text[self.pos + 1 : end]
        self.pos = end + 1
        return raw

    # ---- values

    def value(self) -> Token:
        start, char = self.pos, self.peek()
        match char:
            case "[":
                self.pos += 1
                return Token(Kind.OPEN_LIST, char, start)
            case "{":
                self.pos += 1
                return Token(Kind.OPEN_MAP, char, start)
            case "'":
                return Token(Kind.SCALAR, self._raw("the string"), start)
            case '"':
                return Token(Kind.SCALAR, self._quoted(), start)
            case "(":
                return Token(Kind.SCALAR, self._text_block(), start)
            case ".":
                self.fail(start, "expected a value, found '.' (numbers begin with a digit; quote a string)")
        if char == "-" or "0" <= char <= "9":
            return self._number()
        return self._bare()

    def _quoted(self) -> str:
        start = self.pos
        self.pos += 1
        parts: list[str] = []
        while True:
            begin = self.pos
            self.pos = self._span(begin, lambda c: c not in '"\\')
            parts.append(self.text[begin : self.pos])
            if not self.peek():
                self.fail(start, 'expected " to close the string that begins here, found the end of the text')
            if self.peek() == '"':
                self.pos += 1
                return self._joined(parts, start)
            parts.append(self._escape())

    def _bare(self) -> Token:
        start = self.pos
        parts: list[str] = []
        while True:
            begin = self.pos
            self.pos = self._span(begin, lambda c: c not in BARE_END and c not in "\\'")
            parts.append(self.text[begin : self.pos])
            if self.peek() != "\\":
                break
            parts.append(self._escape())
        if self.peek() == "'":
            self.fail(self.pos, "expected the end of the value, found ' (put the whole value in double quotes)")
        if self.pos == start:
            self.expected(start, "a value")
        if len(parts) > 1:
            return Token(Kind.SCALAR, self._joined(parts, start), start)
        return _classified(parts[0], start)

    def _escape(self) -> str:
        start = self.pos
        char = self.text[start + 1 : start + 2]
        if char == "x":
            digits = self.text[start + 2 : start + 4]
            if len(digits) != 2 or not set(digits) <= set("0123456789abcdefABCDEF"):
                self.fail(start, f"expected two hexadecimal digits after \\x, found {digits!r}")
            self.pos += 4
            return bytes.fromhex(digits).decode("utf-8", "surrogateescape")
        if char not in ESCAPES:
            self.fail(start, f"expected one of \\n \\t \\r \\\" \\\\ \\xHH, found {self.text[start : start + 2]!r}")
        self.pos += 2
        return ESCAPES[char]

    def _joined(self, parts: list[str], start: int) -> str:
        """``\\xHH`` writes bytes, and two of them may be one character."""
        try:
            return "".join(parts).encode("utf-8", "surrogateescape").decode()
        except UnicodeError:
            self.fail(start, "expected UTF-8 text, found other bytes written with \\x")

    def _text_block(self) -> str:
        """``(`` up to a ``)`` on a line of its own; the line ends between them belong to the text."""
        start = self.pos
        end = start
        while (end := self.text.find("\n)", end)) >= 0:
            after = self.text[end + 2 : end + 4]
            if not after or after[0] == "\n" or after == "\r\n":
                self.pos = end + 2
                return self.text[start + 1 : end + 1]
            end += 1
        self.fail(start, "expected ')' on a line of its own to close the text block that begins here")

    # ---- numbers, and what only begins like one

    def _number(self) -> Token:
        start = self.pos
        negative = self.text[start] == "-"
        end = self._digits(start + negative)
        if end == start + negative:
            self.expected(end, "a digit after '-' (quote a string)")
        char = self.text[end : end + 1]
        if char == "-" and not negative:
            return self._datetime(start)
        if char == ".":
            return self._float_or_address(start, end)
        if char and char.lower() in POWERS:
            unit_end = self._span(end + 1, "bBiI".__contains__)
            if self._ends_number(unit_end):
                return self._integer(start, end, unit_end)
        elif negative or self._ends_number(end):
            return self._integer(start, end, end)
        return self._bare()

    def _digits(self, offset: int) -> int:
        return self._span(offset, "0123456789".__contains__)

    def _ends_number(self, offset: int) -> bool:
        return offset == len(self.text) or self.text[offset] in BARE_END

    def _integer(self, start: int, digits_end: int, end: int) -> Token:
        unit = self.text[digits_end:end].lower()
        if digits_end - start > 20:
            self.fail(start, "expected an integer of 64 bits, found a longer one")
        number = int(self.text[start:digits_end])
        if unit:
            if unit[1:] not in ("", "b", "i", "ib"):
                self.fail(digits_end, f"expected a unit such as k, kb or kib, found {self.text[digits_end:end]!r}")
            number *= (1000 if len(unit) == 1 else 1024) ** (POWERS.index(unit[0]) + 1)
        if not -MAX_INT - 1 <= number <= MAX_INT:
            self.fail(start, f"expected an integer of 64 bits, found {self.text[start:end]}")
        self.pos = end
        return Token(Kind.SCALAR, number, start)

    def _float_or_address(self, start: int, dot: int) -> Token:
        end = self._digits(dot + 1)
        if end == dot + 1:
            self.expected(end, "a digit after '.' (quote a string)")
        if self.text[end : end + 1] == ".":
            self.pos = self._span(end, "0123456789.:-".__contains__)
            return Token(Kind.SCALAR, self.text[start : self.pos], start)
        self.pos = end
        return Token(Kind.SCALAR, float(self.text[start:end]), start)

    def _datetime(self, start: int) -> Token:
        from datetime import datetime  # rare, and two milliseconds of every start

        self.pos = start + 20
        text = self.text[start : self.pos]
        try:
            if len(text) != 20 or text[10] != "T" or text[19] != "Z":
                raise ValueError
            return Token(Kind.SCALAR, datetime.fromisoformat(text), start)
        except ValueError:
            self.expected(start, "a datetime such as 2026-11-23T04:05:06Z (quote a string)")


def _classified(text: str, start: int) -> Token:
    """A bare word: a boolean, a variable, or a string."""
    word = text.lower()
    if word in TRUE or word in FALSE:
        return Token(Kind.SCALAR, word in TRUE, start)
    if text.startswith("$") and not text.startswith(BCRYPT):
        return Token(Kind.VARIABLE, text[1:], start)
    return Token(Kind.SCALAR, text, start)
