"""nats-server's command line: one table, read as Go's ``flag`` package reads it.

One dash or two; a value follows after ``=`` or as the next argument, even one that begins with a dash (``-p -1``); a
switch takes ``=false`` only attached.  A table of our own because argparse and click cost more than the rest of the
configuration together, at every start.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from edge.config.listen import MAX_PORT, port_number
from edge.config.options import CLIENT_PORT, Authorization, Config, JetStream, Listen, Log
from edge.core.auth import GLOBAL_ACCOUNT, User
from edge.core.tls_spec import Tls
from edge.errors import ConfigError

MAX_DIGITS = 19
NO_PROFILE = "--profile is known to nats-server, has no effect here"


class Flags(NamedTuple):
    """What the command line says; None is "not said".  Ports as written: -1 is one that the system chooses."""

    host: str | None = None
    port: int | None = None
    server_name: str | None = None
    pid_file: str | None = None
    http_port: int | None = None
    https_port: int | None = None
    client_advertise: str | None = None
    config_path: str | None = None
    check: bool | None = None
    ports_file_dir: str | None = None
    signal: str | None = None
    log_file: str | None = None
    log_size_limit: int | None = None
    logtime: bool | None = None
    logtime_utc: bool | None = None
    syslog: bool | None = None
    remote_syslog: str | None = None
    debug: bool | None = None
    trace: bool | None = None
    verbose_trace: bool | None = None
    debug_and_trace: bool | None = None
    debug_and_verbose_trace: bool | None = None
    max_traced_msg_len: int | None = None
    jetstream: bool | None = None
    store_dir: str | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    tls: bool | None = None
    tls_verify: bool | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_ca: str | None = None
    profile: int | None = None
    version: bool | None = None
    help: bool | None = None
    help_tls: bool | None = None


class Flag(NamedTuple):
    names: tuple[str, ...]
    field: str  # of Flags
    value: str  # how usage calls the value; "port" and "number" are integers; empty for a switch
    help: str


SERVER = (
    Flag(("a", "addr", "net"), "host", "host", "Bind to host address (default: 127.0.0.1; 0.0.0.0 with users)"),
    Flag(("p", "port"), "port", "port", "Use port for clients (default: 4222, -1: any free one)"),
    Flag(("n", "name", "server_name"), "server_name", "server_name", "Server name (default: auto)"),
    Flag(("P", "pid"), "pid_file", "file", "File to store PID"),
    Flag(("m", "http_port"), "http_port", "port", "Use port for http monitoring"),
    Flag(("ms", "https_port"), "https_port", "port", "Use port for https monitoring"),
    Flag(("c", "config"), "config_path", "file", "Configuration file"),
    Flag(("t",), "check", "", "Test configuration and exit"),
    Flag(
        ("sl", "signal"), "signal", "signal[=pid]",
        "Send signal to the server (ldm, stop, quit, term, reopen, reload); pid may be a PID file",
    ),
    Flag(("client_advertise",), "client_advertise", "host:port", "Client URL to advertise"),
    Flag(("ports_file_dir",), "ports_file_dir", "dir", "Creates a ports file in the specified directory"),
)
LOGGING = (
    Flag(("l", "log"), "log_file", "file", "File to redirect log output"),
    Flag(("T", "logtime"), "logtime", "", "Timestamp log entries (default: true)"),
    Flag(("logtime_utc",), "logtime_utc", "", "Timestamps in UTC instead of local timezone"),
    Flag(("s", "syslog"), "syslog", "", "Log to syslog"),
    Flag(("r", "remote_syslog"), "remote_syslog", "addr", "Syslog server addr (udp://localhost:514)"),
    Flag(("D", "debug"), "debug", "", "Enable debugging output"),
    Flag(("V", "trace"), "trace", "", "Trace the raw protocol"),
    Flag(("VV",), "verbose_trace", "", "Verbose trace"),
    Flag(("DV",), "debug_and_trace", "", "Debug and trace"),
    Flag(("DVV",), "debug_and_verbose_trace", "", "Debug and verbose trace"),
    Flag(("log_size_limit",), "log_size_limit", "number", "Logfile size limit in bytes (default: none)"),
    Flag(("max_traced_msg_len",), "max_traced_msg_len", "number", "Maximum printable length for traced messages"),
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
TLS = (
    Flag(("tls",), "tls", "", "Enable TLS, do not verify clients"),
    Flag(("tlscert",), "tls_cert", "file", "Server certificate file"),
    Flag(("tlskey",), "tls_key", "file", "Private key for server certificate"),
    Flag(("tlsverify",), "tls_verify", "", "Enable TLS, verify client certificates"),
    Flag(("tlscacert",), "tls_ca", "file", "Client certificate CA for verification"),
)
COMMON = (
    Flag(("profile",), "profile", "port", "Known to nats-server, has no effect here"),
    Flag(("h", "help"), "help", "", "Show this message"),
    Flag(("v", "version"), "version", "", "Show version"),
    Flag(("help_tls",), "help_tls", "", "TLS help"),
)
SECTIONS = (
    ("Server Options", SERVER),
    ("Logging Options", LOGGING),
    ("JetStream Options", JETSTREAM),
    ("Authorization Options", AUTHORIZATION),
    ("TLS Options", TLS),
    ("Common Options", COMMON),
)
TLS_EXAMPLE = (
    "    tls {",
    '        cert_file: "./certs/server-cert.pem"',
    '        key_file: "./certs/server-key.pem"',
    '        ca_file: "./certs/ca.pem"',
    "        verify: true",
    '        cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]',
    '        curve_preferences: ["CurveP256"]',
    "    }",
)
BY_NAME = {name: flag for _, flags in SECTIONS for flag in flags for name in flag.names}

HUB = "clusters are the hub's"
ELSEWHERE = dict.fromkeys(
    ("routes", "cluster", "cluster_listen", "cluster_name", "cluster_advertise", "no_advertise", "connect_retries"), HUB
)


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
    match flag.value:
        case "port":
            return _port(argument, value)
        case "number":
            return _number(argument, value)
    return value


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


def _number(argument: str, value: str) -> int:
    if len(value) < MAX_DIGITS and value.isdecimal():
        return int(value)
    raise _error(f"flag {argument}: expected a number, found {value!r}")


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
    return config._replace(
        path=flags.config_path or config.path,
        listen=Listen(
            flags.host or config.listen.host,
            port_number(flags.port, CLIENT_PORT) if flags.port else config.listen.port,
        ),
        client_advertise=flags.client_advertise or config.client_advertise,
        http=_monitor(config.http, flags.http_port),
        https=_monitor(config.https, flags.https_port),
        server_name=flags.server_name or config.server_name,
        pid_file=flags.pid_file or config.pid_file,
        ports_file_dir=flags.ports_file_dir or config.ports_file_dir,
        log=_log(config.log, flags),
        authorization=_authorization(config.authorization, flags),
        tls=_tls(config.tls, flags),
        jetstream=_jetstream(config.jetstream, flags),
        warnings=config.warnings + ((NO_PROFILE,) if flags.profile else ()),
    )


def _log(configured: Log, flags: Flags) -> Log:
    both, all_three = flags.debug_and_trace, flags.debug_and_verbose_trace
    return configured._replace(
        file=flags.log_file or configured.file,
        size_limit=flags.log_size_limit or configured.size_limit,
        time=_first(flags.logtime, configured.time),
        utc=_first(flags.logtime_utc, configured.utc),
        debug=_first(flags.debug, both, all_three, configured.debug),
        trace=_first(flags.trace, flags.verbose_trace, both, all_three, configured.trace),
        trace_verbose=_first(flags.verbose_trace, all_three, configured.trace_verbose),
        max_traced_msg_len=flags.max_traced_msg_len or configured.max_traced_msg_len,
        syslog=_first(flags.syslog, configured.syslog),
        remote_syslog=flags.remote_syslog or configured.remote_syslog,
    )


def _first(*answers: bool | None) -> bool:
    return next((answer for answer in answers if answer is not None), False)


def _monitor(configured: Listen | None, port: int | None) -> Listen | None:
    if not port:
        return configured
    return Listen(configured.host if configured else "", port_number(port, 0))


def _tls(configured: Tls | None, flags: Flags) -> Tls | None:
    """``--tls=false`` takes it away; any other of them stands for all that the file says."""
    if flags.tls is False:
        return None
    if not (flags.tls or flags.tls_verify or flags.tls_cert or flags.tls_key or flags.tls_ca):
        return configured
    if not flags.tls_cert or not flags.tls_key:
        raise _error("TLS needs --tlscert and --tlskey")
    from edge.config.lexer import Place
    from edge.config.tls import check_files

    tls = Tls(
        cert_file=flags.tls_cert,
        key_file=flags.tls_key,
        ca_file=flags.tls_ca or "",
        verify=bool(flags.tls_verify),
        timeout_ns=configured.timeout_ns if configured else 0,
    )
    check_files(tls, Place("", 0, 0), Place("", 0, 0))
    return tls


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


def usage_tls() -> str:
    from edge.core.tls_spec import CURVES, INSECURE_SUITES, SUITES

    lines = ["TLS configuration is specified in the tls section of a configuration file:", "", *TLS_EXAMPLE]
    lines += ["", "Available cipher suites include:", *(f"    {name}" for name in (*SUITES, *INSECURE_SUITES))]
    lines += ["", "Available curve preferences include:", *(f"    {name}" for name in CURVES)]
    return "\n".join(lines)
