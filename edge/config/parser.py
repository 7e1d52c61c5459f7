"""nats-server's configuration format, parsed: blocks, lists, variables and included files become ``Block`` values.

Every value knows its place.  Includes and variables behave as in nats-server: an included file is read as if on its
own, relative to the file that includes it, and its keys then join the block that includes it; ``$name`` is looked for
in the enclosing blocks, read so far, and then in the environment, where the text is parsed like a value.
"""

import os
from collections.abc import Mapping
from typing import TypeAlias

from edge.config.lexer import Kind, Lexer, Place, Scalar, Token
from edge.errors import ConfigError

MAX_DEPTH = 64
MAX_INCLUDE_DEPTH = 16
MAX_FILES = 256
MAX_FILE_BYTES = 4 << 20

Data: TypeAlias = "Scalar | Block | list[Value]"


class Value:
    __slots__ = ("data", "place")

    def __init__(self, data: Data, place: Place) -> None:
        self.data = data
        self.place = place


class Entry:
    """A key and its value; ``referenced`` when it served as a variable, which makes any name a known one."""

    __slots__ = ("key", "place", "referenced", "value")

    def __init__(self, key: str, place: Place, value: Value) -> None:
        self.key = key
        self.place = place
        self.value = value
        self.referenced = False


class Block:
    __slots__ = ("entries", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.entries: dict[str, Entry] = {}


def parse_file(path: str, environ: Mapping[str, str]) -> Block:
    return _Session(environ).file(path, Place("", 0, 0))


def parse_text(text: str, environ: Mapping[str, str], path: str = "") -> Block:
    """The same without a file; ``path`` is for messages and for what the text includes."""
    return _Session(environ).text(text, path)


class _Session:
    """One reading of a configuration: the file, what it includes, the environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.open_files: list[str] = []
        self.open_variables: list[str] = []
        self.files = 0

    def file(self, path: str, place: Place) -> Block:
        """``place`` is where the file is named: in the including file, or nowhere."""
        identity = os.path.realpath(path)
        if identity in self.open_files:
            raise ConfigError(*place, f"{path} includes itself")
        if len(self.open_files) > MAX_INCLUDE_DEPTH or self.files >= MAX_FILES:
            raise ConfigError(*place, f"too many includes (at most {MAX_INCLUDE_DEPTH} deep, {MAX_FILES} in all)")
        self.files += 1
        self.open_files.append(identity)
        block = self.text(_read(path, place), path)
        self.open_files.pop()
        return block

    def text(self, text: str, path: str) -> Block:
        lexer = Lexer(text, path)
        block = Block(lexer.place(0))
        _Parser(lexer, self, [block]).top()
        return block

    def variable(self, name: str) -> Value | None:
        """From the environment."""
        text = self.environ.get(name)
        if text is None:
            return None
        if name in self.open_variables:
            raise ConfigError("", 0, 0, f"${name} refers to itself")
        self.open_variables.append(name)
        lexer = Lexer(text, "")
        value = _Parser(lexer, self, []).whole()
        self.open_variables.pop()
        return value


class _Parser:
    """One text.  ``scopes`` are the blocks around the place that is being read, innermost last."""

    def __init__(self, lexer: Lexer, session: _Session, scopes: list[Block]) -> None:
        self.lexer = lexer
        self.session = session
        self.scopes = scopes
        self.depth = 0

    def top(self) -> None:
        """The whole text: entries, or entries in braces as in JSON."""
        lexer = self.lexer
        lexer.skip_blank()
        while lexer.peek():
            if lexer.peek() == "{":
                start = lexer.pos
                lexer.pos += 1
                self.entries(start, "}")
                lexer.end_of_value("")
            else:
                self.entry("")
            lexer.skip_blank()

    def whole(self) -> Value:
        """The whole text is one value."""
        self.lexer.skip_space()
        if not self.lexer.peek():
            return Value("", self.lexer.place(0))
        value = self.value()
        self.lexer.skip_blank()
        if self.lexer.peek():
            self.lexer.expected(self.lexer.pos, "one value (put it in double quotes)")
        return value

    def entries(self, start: int, closer: str) -> None:
        """Up to and with the ``closer`` of a block that began at ``start``."""
        lexer = self.lexer
        while True:
            lexer.skip_blank()
            if not lexer.peek():
                lexer.fail(start, f"expected {closer!r} to close the block that begins here, found the end of the text")
            if lexer.peek() == closer:
                lexer.pos += 1
                return
            self.entry(closer)

    def entry(self, closer: str) -> None:
        key = self.lexer.key()
        if key.kind is Kind.INCLUDE:
            self.include(key)
        else:
            self.lexer.skip_separator(in_block=len(self.scopes) > 1)
            name = str(key.data)
            self.scopes[-1].entries[name] = Entry(name, self.lexer.place(key.offset), self.value())
        self.lexer.end_of_value(closer)

    def include(self, token: Token) -> None:
        path = os.path.join(os.path.dirname(self.lexer.path), str(token.data))
        included = self.session.file(os.path.normpath(path), self.lexer.place(token.offset))
        self.scopes[-1].entries.update(included.entries)

    def value(self) -> Value:
        token = self.lexer.value()
        place = self.lexer.place(token.offset)
        match token.kind:
            case Kind.OPEN_MAP:
                return Value(self.block(token.offset), place)
            case Kind.OPEN_LIST:
                return Value(self.sequence(token.offset), place)
            case Kind.VARIABLE:
                return Value(self.variable(token).data, place)
        return Value(token.data, place)

    def block(self, start: int) -> Block:
        block = Block(self.lexer.place(start))
        self.enter(start)
        self.scopes.append(block)
        self.entries(start, "}")
        self.scopes.pop()
        self.depth -= 1
        return block

    def sequence(self, start: int) -> list[Value]:
        lexer = self.lexer
        self.enter(start)
        values: list[Value] = []
        while True:
            lexer.skip_blank()
            if lexer.peek() == "]":
                lexer.pos += 1
                self.depth -= 1
                return values
            if not lexer.peek():
                lexer.fail(start, "expected ']' to close the list that begins here, found the end of the text")
            values.append(self.value())
            lexer.end_of_value("]")

    def enter(self, start: int) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.lexer.fail(start, f"blocks and lists are nested more than {MAX_DEPTH} deep")

    def variable(self, token: Token) -> Value:
        name = str(token.data)
        for block in reversed(self.scopes):
            if name in block.entries:
                entry = block.entries[name]
                entry.referenced = True
                return entry.value
        try:
            value = self.session.variable(name)
        except ConfigError as exc:
            self.lexer.fail(token.offset, f"${name} from the environment: {exc.problem}")
        if value is None:
            self.lexer.fail(
                token.offset, f"${name} is not defined: expected a key of that name before, or an environment variable"
            )
        return value


def _read(path: str, place: Place) -> str:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(*place, f"cannot read {path}: {exc.strerror}") from exc
    except ValueError as exc:  # a NUL in the name
        raise ConfigError(*place, f"cannot read {path!r}: {exc}") from exc
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(*place, f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        column = exc.start - raw.rfind(b"\n", 0, exc.start)
        raise ConfigError(path, line, column, f"expected UTF-8 text, found byte 0x{raw[exc.start]:02x}") from exc
