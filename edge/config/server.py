"""What stands at the top of the file and needs no block: names, limits, times, the log."""

from edge.config.fields import Fields, fail
from edge.config.listen import MAX_PORT, address, port_number, read_listen
from edge.config.options import CLIENT_PORT, Config, Listen, Log
from edge.config.units import SECOND

MAX_INT32 = 2**31 - 1
MAX_INT64 = 2**63 - 1
MAX_TOKENS = 255  # of a subject, where they are counted
SHORTEST_LAME_DUCK_NS = 30 * SECOND
LOG_FORMATS = ("text", "json")
WRITE_TIMEOUTS = ("default", "close", "retry")


def read_server(top: Fields, config: Config) -> Config:
    return _lame_duck(top, _limits(top, _names(top, config)))._replace(
        log=_log(top), http=_http(top), https=_https(top), http_base_path=_base_path(top)
    )


def _names(top: Fields, config: Config) -> Config:
    name = top.string("server_name", default="")
    if any(char.isspace() for char in name):
        fail(top.place("server_name"), f"server_name: expected a name without white space, found {name!r}")
    return config._replace(
        listen=read_listen(top, CLIENT_PORT),
        client_advertise=top.string("client_advertise", default=""),
        server_name=name,
        server_tags=top.strings("server_tags"),
        server_metadata=top.pairs("server_metadata"),
        proxy_protocol=top.boolean("proxy_protocol", default=False),
        pid_file=top.string("pid_file", "pidfile", default=""),
        ports_file_dir=top.string("ports_file_dir", default=""),
        no_header_support=top.boolean("no_header_support", default=False),
        no_fast_producer_stall=top.boolean("no_fast_producer_stall", default=False),
        no_system_account=top.boolean("no_system_account", "no_system", "no_sys_acc", default=False),
    )


def _limits(top: Fields, config: Config) -> Config:
    """Zero is the default, as in nats-server, but for counts, where it is no limit."""

    def number(*names: str, default: int, highest: int = MAX_INT32) -> int:
        return top.integer(*names, lowest=0, highest=highest, default=0) or default

    connections = top.integer("max_connections", "max_conn", lowest=-1, highest=MAX_INT32, default=None)
    subscriptions = top.integer("max_subscriptions", "max_subs", lowest=-1, highest=MAX_INT32, default=0)
    timeout = top.string("write_timeout", default="default")
    if timeout not in WRITE_TIMEOUTS:
        fail(top.place("write_timeout"), f"write_timeout: expected {', '.join(WRITE_TIMEOUTS)}, found {timeout!r}")
    return config._replace(
        max_payload_bytes=number("max_payload", default=config.max_payload_bytes),
        max_control_line_bytes=number("max_control_line", default=config.max_control_line_bytes),
        max_pending_bytes=number("max_pending", default=config.max_pending_bytes, highest=MAX_INT64),
        max_connections=config.max_connections if connections is None else connections if connections > 0 else None,
        max_subscriptions=subscriptions if subscriptions > 0 else None,
        max_subscription_tokens=top.integer(
            "max_subscription_tokens", "max_sub_tokens", lowest=1, highest=MAX_TOKENS, default=None
        ),
        max_closed_clients=number("max_closed_clients", default=config.max_closed_clients),
        ping_interval_ns=top.duration_ns("ping_interval", default=0) or config.ping_interval_ns,
        ping_max=number("ping_max", default=config.ping_max),
        write_deadline_ns=top.duration_ns("write_deadline", default=0) or config.write_deadline_ns,
    )


def _lame_duck(top: Fields, config: Config) -> Config:
    duration_ns = top.quoted_duration_ns("lame_duck_duration", default=config.lame_duck_duration_ns)
    grace_ns = top.quoted_duration_ns("lame_duck_grace_period", default=0) or config.lame_duck_grace_period_ns
    if duration_ns < SHORTEST_LAME_DUCK_NS:
        fail(top.place("lame_duck_duration"), "lame_duck_duration: expected at least 30s")
    if grace_ns >= duration_ns:
        fail(top.place("lame_duck_grace_period"), "lame_duck_grace_period: expected less than lame_duck_duration")
    return config._replace(lame_duck_duration_ns=duration_ns, lame_duck_grace_period_ns=grace_ns)


# ---- the log


def _log(top: Fields) -> Log:
    verbose = top.boolean("trace_verbose", default=False)
    headers = top.boolean("trace_headers", default=False)
    form = top.string("log_format", default="text")
    if form not in LOG_FORMATS:
        fail(top.place("log_format"), f"log_format: expected one of {', '.join(LOG_FORMATS)}, found {form!r}")
    return Log(
        file=top.string("log_file", "logfile", default=""),
        size_limit=top.integer("log_size_limit", "logfile_size_limit", lowest=0, highest=MAX_INT64, default=0),
        max_num=max(top.integer("log_max_num", "logfile_max_num", lowest=-1, highest=MAX_INT32, default=0), 0),
        time=top.boolean("logtime", default=True),
        utc=top.boolean("logtime_utc", default=False),
        debug=top.boolean("debug", default=False),
        trace=top.boolean("trace", default=False) or verbose or headers,
        trace_verbose=verbose,
        trace_headers=headers,
        max_traced_msg_len=top.integer("max_traced_msg_len", lowest=0, highest=MAX_INT32, default=0),
        syslog=top.boolean("syslog", default=False),
        remote_syslog=top.string("remote_syslog", default=""),
        format=form,
    )


# ---- monitoring


def _http(top: Fields) -> Listen | None:
    """A port of 0 is none."""
    return _monitor(top, ("http",), ("http_port", "monitor_port"))


def _https(top: Fields) -> Listen | None:
    return _monitor(top, ("https",), ("https_port",))


def _monitor(top: Fields, names: tuple[str, ...], port_names: tuple[str, ...]) -> Listen | None:
    entry, port_entry = top.entry(*names), top.entry(*port_names)
    if entry and port_entry:
        fail(port_entry.place, f"{port_entry.key!r} says the same as {entry.key!r} in line {entry.place.line}")
    if entry:
        return None if entry.value.data == 0 else address(entry, 0)
    port = top.integer(*port_names, lowest=-1, highest=MAX_PORT, default=0)
    return Listen("", port_number(port, 0)) if port else None


def _base_path(top: Fields) -> str:
    """Without a slash at the end, with one before."""
    written = top.string("http_base_path", default="").strip("/")
    return f"/{written}" if written else ""
