"""``petiole-edge run``: flags and file to a configuration, and the configuration to a running server."""

import os
import sys
from collections.abc import Sequence

from edge.config.load import load_config
from edge.config.options import Config
from edge.errors import PetioleError
from edge.flags import parse_flags, usage, usage_tls
from edge.lean import import_loop_without_tls
from edge.version import VERSION

PROGRAM = "petiole-edge"


def serve(argv: Sequence[str]) -> int:
    """The exit status."""
    try:
        flags = parse_flags(argv)
        if flags.help:
            print(usage(f"{PROGRAM} run"))
            return 0
        if flags.version:
            print(f"{PROGRAM}: v{VERSION}")
            return 0
        if flags.help_tls:
            print(usage_tls())
            return 0
        if flags.signal:
            _send(flags.signal)
            return 0
        config = load_config(flags.config_path, flags, os.environ)
    except PetioleError as exc:
        print(f"{PROGRAM}: {exc}", file=sys.stderr)
        return 1
    if flags.check:
        return _say_valid(config)
    import_loop_without_tls()  # without effect where a certificate has been read
    from edge.daemon import run  # what serves is loaded once there is something to serve

    return run(config, flags)


def check(path: str) -> int:
    """What ``-t`` does: the exit status, with one line that says what is wrong or that nothing is."""
    return serve(["-t", "-c", path])


def _send(expression: str) -> None:
    from edge.signals import send

    send(expression)


def _say_valid(config: Config) -> int:
    """To standard error, as nats-server."""
    for warning in config.warnings:
        print(f"{PROGRAM}: warning: {warning}", file=sys.stderr)
    if not config.digest:
        print(f"{PROGRAM}: no configuration file given: add -c FILE", file=sys.stderr)
        return 1
    print(f"{PROGRAM}: configuration file {config.path} is valid ({config.digest})", file=sys.stderr)
    return 0
