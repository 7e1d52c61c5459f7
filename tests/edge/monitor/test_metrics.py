"""The exposition as Prometheus reads it, and as its linter would have it."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from edge.monitor.metrics import exposition
from tests.edge.monitor import figures

FAMILIES = {"bare": figures.bare(), "full": figures.full(), "nasty": figures.full(figures.NASTY)}


def read(shown: Any) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """By sample name and labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(exposition(shown).decode()):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), f"{sample.name} twice with the same labels"
            found[sample.name][labels] = sample.value
    return found


def test_values() -> None:
    found = read(figures.full())
    assert found["petiole_connections"] == {(("kind", "nats"),): 2, (("kind", "websocket"),): 1}
    assert found["petiole_received_messages_total"][("account", "TELEMETRY"), ("peer", "client")] == 1
    assert found["petiole_sent_bytes_total"][("account", "TELEMETRY"), ("peer", "leaf")] == 8
    assert found["petiole_leaf_rtt_seconds"] == {(("account", "$G"), ("hub", "hub1"), ("link", "1")): 0.012345678}
    assert found["petiole_leaf_up"][("account", "TELEMETRY"), ("hub", ""), ("link", "2")] == 0
    assert found["petiole_uplink_backlog_messages"][("uplink", "TELEMETRY"),] == 12_345
    assert found["petiole_uplink_oldest_seconds"] == {(("uplink", "TELEMETRY"),): 3700.5, (("uplink", "calm"),): 0}
    assert found["petiole_uplink_state"][("state", "blocked"), ("uplink", "TELEMETRY")] == 1
    assert sum(found["petiole_uplink_state"].values()) == 2
    assert found["petiole_store_disk_life_used_ratio"] == {(("disk", "mmcblk0"),): 0.3}
    assert found["petiole_stream_last_message_timestamp_seconds"] == {(("account", "$G"), ("stream", "TELEMETRY")): 1799999995}
    assert found["petiole_process_uptime_seconds"] == {(): 90}
    assert found["petiole_process_written_bytes_total"] == {(): 1 << 30}
    assert found["petiole_consumer_ack_pending_messages"][("account", "$G"), ("consumer", "TELEMETRY"), ("stream", "TELEMETRY")] == 2


def test_large_counts_are_exact() -> None:
    text = exposition(figures.full()).decode()
    assert f'petiole_sent_bytes_total{{account="TELEMETRY",peer="client"}} {(1 << 60) + 1}\n' in text


def test_what_is_not_configured_is_not_there() -> None:
    found = read(figures.bare())
    assert not [name for name in found if re.search("leaf_|uplink|mqtt|store|stream|consumer_|written", name)]


@pytest.mark.parametrize("shown", FAMILIES.values(), ids=FAMILIES)
def test_the_linter_has_nothing_to_say(shown: Any) -> None:
    """The rules of ``promtool check metrics``."""
    text = exposition(shown).decode()
    assert text.endswith("\n") and "\n\n" not in text
    families = list(text_string_to_metric_families(text))
    # The parser takes "_total" from the family of a counter.
    names = [family.name + ("_total" if family.type == "counter" else "") for family in families]
    assert len(set(names)) == len(names)
    for family, name in zip(families, names, strict=True):
        assert re.fullmatch(r"petiole_[a-z][a-z_]*[a-z]", name), name
        assert family.documentation.strip().endswith((".", "?")) or ": " in family.documentation, name
        assert family.type in ("gauge", "counter"), name
        assert f"# TYPE {name} {family.type}\n" in text, name
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info") if name != "petiole_info" else ()), name
        assert not re.search(r"_(gauge|counter|milliseconds|ms|minutes|hours|kb|mb|kilobytes|percent)(_|$)", name), name
        for sample in family.samples:
            assert sample.name == name
            assert not {"le", "quantile", "instance", "job"} & sample.labels.keys(), name


@given(st.text())
def test_whatever_a_stream_is_called(name: str) -> None:
    clean = name.encode("utf-8", "replace").decode()
    found = read(figures.full(name))
    assert found["petiole_stream_messages"][("account", "$G"), ("stream", clean)] == 1000


def test_each_is_described() -> None:
    page = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text()
    described = set(re.findall(r"petiole_\w+", page))
    assert described == {name for name in read(figures.full())}


def test_names_cannot_break_out() -> None:
    found = read(figures.full('x"} 1\npetiole_forged{a="'))
    assert "petiole_forged" not in found
