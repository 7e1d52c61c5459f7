"""nats-server's flags: read as it reads them, and known by the names it knows."""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.flags import BY_NAME, ELSEWHERE, Flags, parse_flags, usage


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], Flags()),
        (["-p", "4333"], Flags(port=4333)),
        (["--port=4333"], Flags(port=4333)),
        (["-port", "4333"], Flags(port=4333)),
        (["--p", "4333"], Flags(port=4333)),
        (["-p", "-1"], Flags(port=-1)),
        (["-p", "1", "-p", "2"], Flags(port=2)),
        (["-a", "h"], Flags(host="h")),
        (["--addr", "h"], Flags(host="h")),
        (["--net=h"], Flags(host="h")),
        (["-n", "x"], Flags(server_name="x")),
        (["--name", "x"], Flags(server_name="x")),
        (["--server_name", "x"], Flags(server_name="x")),
        (["-P", "f", "-m", "5", "-c", "x.conf"], Flags(pid_file="f", http_port=5, config_path="x.conf")),
        (["--pid", "f", "--http_port", "5", "--config", "x.conf"], Flags(pid_file="f", http_port=5, config_path="x.conf")),
        (["-t"], Flags(check=True)),
        (["-js", "-sd", "/x"], Flags(jetstream=True, store_dir="/x")),
        (["--jetstream", "--store_dir=/x"], Flags(jetstream=True, store_dir="/x")),
        (["-js=false"], Flags(jetstream=False)),
        (["-D", "-V"], Flags(debug=True, trace=True)),
        (["--debug=0", "--trace=T"], Flags(debug=False, trace=True)),
        (["-DV"], Flags(debug_and_trace=True)),
        (["-VV"], Flags(verbose_trace=True)),
        (["-DVV"], Flags(debug_and_verbose_trace=True)),
        (["-ms", "5", "--client_advertise=h:1"], Flags(https_port=5, client_advertise="h:1")),
        (["-s", "-r", "udp://h:514", "--logtime_utc"], Flags(syslog=True, remote_syslog="udp://h:514", logtime_utc=True)),
        (["--log_size_limit", "100", "--max_traced_msg_len=7"], Flags(log_size_limit=100, max_traced_msg_len=7)),
        (["-sl", "reload=5"], Flags(signal="reload=5")),
        (["--signal=stop"], Flags(signal="stop")),
        (["--tls", "--tlscert", "c", "--tlskey=k"], Flags(tls=True, tls_cert="c", tls_key="k")),
        (["--tlsverify", "--tlscacert=a"], Flags(tls_verify=True, tls_ca="a")),
        (["--tls=false"], Flags(tls=False)),
        (["--profile", "5", "--help_tls"], Flags(profile=5, help_tls=True)),
        (["-l", "f", "-T=false"], Flags(log_file="f", logtime=False)),
        (["--user", "a", "--pass", "b=c"], Flags(user="a", password="b=c")),
        (["--pass=-x"], Flags(password="-x")),
        (["--pass", "-x"], Flags(password="-x")),
        (["--auth", "t"], Flags(token="t")),
        (["-v"], Flags(version=True)),
        (["--help"], Flags(help=True)),
        (["version"], Flags(version=True)),
        (["help"], Flags(help=True)),
    ],
)
def test_flags(argv: list[str], expected: Flags) -> None:
    assert parse_flags(argv) == expected


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--prot", "1"], "unknown flag --prot (did you mean '--port'?); see --help"),
        (["-q"], "unknown flag -q; see --help"),
        (["--xyz=1"], "unknown flag --xyz; see --help"),
        (["--jetsream"], "unknown flag --jetsream (did you mean '--jetstream'?); see --help"),
        (["-p4222"], "unknown flag -p4222; see --help"),
        (["-p"], "flag -p needs a value: <port>"),
        (["-c"], "flag -c needs a value: <file>"),
        (["-p", "x"], "flag -p: expected a port from -1 to 65535, found 'x'"),
        (["-p="], "flag -p=: expected a port from -1 to 65535, found ''"),
        (["-p", "70000"], "flag -p: expected a port from -1 to 65535, found '70000'"),
        (["-js=maybe"], "flag -js=maybe: expected true or false"),
        (["x.conf"], "unrecognized argument 'x.conf'; see --help"),
        (["-js", "true"], "unrecognized argument 'true'; see --help"),
        (["-"], "unrecognized argument '-'; see --help"),
        (["--"], "unknown flag -- (did you mean '-v'?); see --help"),
        (["--log_size_limit", "x"], "flag --log_size_limit: expected a number, found 'x'"),
        (["--routes=x"], "flag --routes is known to nats-server, but not supported here: clusters are the hub's"),
        (["--cluster", "nats://x"], "flag --cluster is known to nats-server, but not supported here: clusters are the hub's"),
    ],
)
def test_mistakes_are_one_line(argv: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_flags(argv)
    assert str(caught.value) == problem


def test_every_flag_of_nats_server_is_known_by_its_name() -> None:
    nats_server = Path(sysconfig.get_path("scripts")) / "nats-server"
    text = subprocess.run([nats_server, "--help"], capture_output=True, text=True, check=True).stdout
    theirs = set(re.findall(r"(?<![\w-])--?([A-Za-z_]+)(?=[ ,\n])", text))
    assert len(theirs) > 50
    assert theirs <= {*BY_NAME, *ELSEWHERE}


def test_usage_names_every_flag() -> None:
    text = usage("petiole-edge run")
    assert text.startswith("Usage: petiole-edge run [options]\n")
    for name in BY_NAME:
        assert re.search(rf"(?<!\w)--?{name}\b", text)


@given(st.lists(st.sampled_from(["-p", "-1", "--", "-", "-js", "=", "-c", "x", "--port=", "-D=1", "help"]) | st.text()))
def test_nothing_but_config_error(argv: list[str]) -> None:
    try:
        parse_flags(argv)
    except ConfigError as exc:
        assert exc.problem
