"""nats-server's command line: one table, read as Go's ``flag`` package reads it.

One dash or two; a value follows after ``=`` or as the next argument, even one that begins with a dash (``-p -1``); a
switch takes ``=false`` only attached.  A table of our own because argparse and click cost more than the rest of the
configuration together, at every start.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from edge.config.listen import MAX_PORT, port_number
from edge.config.options import CLIENT_PORT, Authorization, Config, JetStream, Listen
from edge.core.auth import GLOBAL_ACCOUNT, User
from edge.errors import ConfigError


class Flags(NamedTuple):
    """What the command line says; None is "not said".  Ports as written: -1 is one that the system chooses."""

    host: str | None = None
    port: int | None = None
    server_name: str | None = None
    pid_file: str | None = None
    http_port: int | None = None
    config_path: str | None = None
    check: bool | None = None
    ports_file_dir: str | None = None
    log_file: str | None = None
    logtime: bool | None = None
    debug: bool | None = None
    trace: bool | None = None
    debug_and_trace: bool | None = None
    jetstream: bool | None = None
    store_dir: str | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    version: bool | None = None
    help: bool | None = None


class Flag(NamedTuple):
    names: tuple[str, ...]
    field: str  # of Flags
    value: str  # how usage calls the value; empty for a switch
    help: str


SERVER = (
    Flag(("a", "addr", "net"), "host", "host", "Bind to host address (default: 127.0.0.1; 0.0.0.0 with users)"),
    Flag(("p", "port"), "port", "port", "Use port for clients (default: 4222, -1: any free one)"),
    Flag(("n", "name", "server_name"), "server_name", "server_name", "Server name (default: auto)"),
    Flag(("P", "pid"), "pid_file", "file", "File to store PID"),
    Flag(("m", "http_port"), "http_port", "port", "Use port for http monitoring"),
    Flag(("c", "config"), "config_path", "file", "Configuration file"),
    Flag(("t",), "check", "", "Test configuration and exit"),
    Flag(("ports_file_dir",), "ports_file_dir", "dir", "Creates a ports file in the specified directory"),
)
LOGGING = (
    Flag(("l", "log"), "log_file", "file", "File to redirect log output"),
    Flag(("T", "logtime"), "logtime", "", "Timestamp log entries (default: true)"),
    Flag(("D", "debug"), "debug", "", "Enable debugging output"),
    Flag(("V", "trace", "VV"), "trace", "", "Trace the raw protocol"),
    Flag(("DV", "DVV"), "debug_and_trace", "", "Debug and trace"),
)
JETSTREAM = (
    Flag(("js", "jetstream"), "jetstream", "", "Enable JetStream functionality"),
    Flag(("sd", "store_dir"), "store_dir", "dir", "Set the storage directory"),
)
AUTHORIZATION = (
    Flag(("user",), "user", "user", "User required for connections"),
    Flag(("pass",), "password", "password", "Password required for connections"),
    Flag(("auth",), "token", "token", "Authorization token required for connections"),
)
COMMON = (
    Flag(("h", "help"), "help", "", "Show this message"),
    Flag(("v", "version"), "version", "", "Show version"),
)
SECTIONS = (
    ("Server Options", SERVER),
    ("Logging Options", LOGGING),
    ("JetStream Options", JETSTREAM),
    ("Authorization Options", AUTHORIZATION),
    ("Common Options", COMMON),
)
BY_NAME = {name: flag for _, flags in SECTIONS for flag in flags for name in flag.names}

NO_TLS = "connections are not encrypted yet"
HUB = "clusters are the hub's"
ELSEWHERE = {
    **dict.fromkeys(("tls", "tlscert", "tlskey", "tlsverify", "tlscacert", "help_tls", "ms", "https_port"), NO_TLS),
    **dict.fromkeys(("routes", "cluster", "cluster_listen", "cluster_name", "cluster_advertise"), HUB),
    **dict.fromkeys(("no_advertise", "connect_retries"), HUB),
    **dict.fromkeys(("sl", "signal"), "send the signal with kill or systemctl"),
    **dict.fromkeys(("s", "syslog", "r", "remote_syslog"), "the log goes to standard error or to --log"),
    **dict.fromkeys(("log_size_limit", "logtime_utc", "max_traced_msg_len"), "it has no effect here"),
    **dict.fromkeys(("client_advertise", "profile"), "it has no effect here"),
}


def parse_flags(argv: Sequence[str]) -> Flags:
    """The arguments after the program's name (and command).  Raises ConfigError without a place."""
    said: dict[str, Any] = {}  # by field of Flags; each value of the type its flag has
    arguments = iter(argv)
    for argument in arguments:
        if not argument.startswith("-") or argument == "-":
            if argument not in ("help", "version"):
                raise _error(f"unrecognized argument {argument!r}; see --help")
            said[argument] = True
            continue
        name, equals, value = argument.removeprefix("-").removeprefix("-").partition("=")
        flag = BY_NAME.get(name)
        if flag is None:
            raise _error(_unknown(name, argument.partition("=")[0]))
        said[flag.field] = _value(flag, argument, value if equals else None, arguments)
    return Flags()._replace(**said)


def _value(flag: Flag, argument: str, attached: str | None, arguments: Iterator[str]) -> str | int | bool:
    if not flag.value:
        return _switch(argument, attached)
    value = attached if attached is not None else next(arguments, None)
    if value is None:
        raise _error(f"flag {argument} needs a value: <{flag.value}>")
    return _port(argument, value) if flag.value == "port" else value


def _switch(argument: str, attached: str | None) -> bool:
    match (attached or "").lower() if attached is not None else "true":
        case "true" | "t" | "1":
            return True
        case "false" | "f" | "0":
            return False
    raise _error(f"flag {argument}: expected true or false")


def _port(argument: str, value: str) -> int:
    if len(value) < 7 and value.removeprefix("-").isdecimal() and -1 <= int(value) <= MAX_PORT:
        return int(value)
    raise _error(f"flag {argument}: expected a port from -1 to {MAX_PORT}, found {value!r}")


def _unknown(name: str, written: str) -> str:
    if name in ELSEWHERE:
        return f"flag {written} is known to nats-server, but not supported here: {ELSEWHERE[name]}"
    from edge.config.fields import nearest  # needed only on the way out

    return f"unknown flag {written}{nearest(_dashed(name), map(_dashed, BY_NAME))}; see --help"


def _dashed(name: str) -> str:
    return f"-{name}" if len(name) < 3 or name.isupper() else f"--{name}"


def _error(problem: str) -> ConfigError:
    return ConfigError("", 0, 0, problem)


# ---- over the file


def apply_flags(config: Config, flags: Flags) -> Config:
    """What the command line says replaces what the file says; ``load.settle`` fills what both left open."""
    both = flags.debug_and_trace
    return config._replace(
        path=flags.config_path or config.path,
        listen=Listen(
            flags.host or config.listen.host,
            port_number(flags.port, CLIENT_PORT) if flags.port else config.listen.port,
        ),
        http=_http(config.http, flags.http_port),
        server_name=flags.server_name or config.server_name,
        pid_file=flags.pid_file or config.pid_file,
        ports_file_dir=flags.ports_file_dir or config.ports_file_dir,
        log=config.log._replace(
            file=flags.log_file or config.log.file,
            time=_first(flags.logtime, config.log.time),
            debug=_first(flags.debug, both, config.log.debug),
            trace=_first(flags.trace, both, config.log.trace),
        ),
        authorization=_authorization(config.authorization, flags),
        jetstream=_jetstream(config.jetstream, flags),
    )


def _first(*answers: bool | None) -> bool:
    return next((answer for answer in answers if answer is not None), False)


def _http(configured: Listen | None, port: int | None) -> Listen | None:
    if not port:
        return configured
    return Listen(configured.host if configured else "", port_number(port, 0))


def _jetstream(configured: JetStream | None, flags: Flags) -> JetStream | None:
    """``-sd`` names the directory, ``-js`` switches on (and ``-js=false`` off)."""
    jetstream = configured
    if flags.jetstream is not None:
        jetstream = (configured or JetStream()) if flags.jetstream else None
    if jetstream and flags.store_dir:
        jetstream = jetstream._replace(store_dir=flags.store_dir)
    return jetstream


def _authorization(configured: Authorization, flags: Flags) -> Authorization:
    """One user, or a token, in the place of whatever single user or token the file has."""
    if not (flags.user or flags.password or flags.token):
        return configured
    if flags.password and not flags.user:
        raise _error("--pass needs --user beside it")
    if flags.user and flags.token:
        raise _error("--auth and --user exclude each other")
    if len(configured.users) > 1 or any(user.account != GLOBAL_ACCOUNT for user in configured.users):
        raise _error("--user and --auth do not go with the list of users in the configuration file")
    users = (User(flags.user, flags.password or "", GLOBAL_ACCOUNT),) if flags.user else ()
    return configured._replace(users=users, token=flags.token or "", no_auth_user="")


# ---- help


def usage(program: str) -> str:
    lines = [f"Usage: {program} [options]", ""]
    for title, flags in SECTIONS:
        lines += [f"{title}:", *map(_usage_line, flags), ""]
    return "\n".join(lines)


def _usage_line(flag: Flag) -> str:
    names = ", ".join(map(_dashed, flag.names)) + (f" <{flag.value}>" if flag.value else "")
    return f"    {names:<36} {flag.help}"
