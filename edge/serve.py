"""``petiole-edge run``: flags and file to a configuration, and the configuration to a running server."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.config.load import load_config
from edge.errors import ConfigError
from edge.flags import parse_flags, usage
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
        config = load_config(flags.config_path, flags, os.environ)
    except ConfigError as exc:
        print(f"{PROGRAM}: {exc}", file=sys.stderr)
        return 1
    if flags.check:
        return _say_valid(config.path, config.warnings)
    import_loop_without_tls()
    from edge.daemon import run  # what serves is loaded once there is something to serve

    return run(config)


def check(path: str) -> int:
    """What ``-t`` does: the exit status, with one line that says what is wrong or that nothing is."""
    return serve(["-t", "-c", path])


def _say_valid(path: str, warnings: Sequence[str]) -> int:
    for warning in warnings:
        print(f"{PROGRAM}: warning: {warning}", file=sys.stderr)
    if not path:
        print(f"{PROGRAM}: no configuration file given: add -c FILE", file=sys.stderr)
        return 1
    import hashlib  # OpenSSL: not for the daemon

    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    print(f"{PROGRAM}: configuration file {path} is valid (sha256:{digest})")
    return 0
