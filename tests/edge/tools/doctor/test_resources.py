"""Open files, memory and power."""

from collections.abc import Callable
from typing import Any

import pytest

from edge.config.options import Config, JetStream
from edge.tools.doctor.resources import THROTTLED, check_resources

Told = Callable[[Any], list[str]]


@pytest.mark.parametrize(
    ("limit", "wanted", "found"),
    [
        (65536, 65536, "OK files: 65536 open files are allowed: 65496 connections at once"),
        (1024, 65536, "OK files: 1024 open files are allowed: 984 connections at once"),
        (256, 65536, "WARN files: 256 open files are allowed: 216 connections at once; that is little"),
        (1024, 5000, "WARN files: 1024 open files are allowed: 984 connections at once, while max_connections is 5000"),
        (10, None, "WARN files: 10 open files are allowed: 0 connections at once; that is little"),
    ],
)
def test_files(model: Any, told: Told, limit: int, wanted: int | None, found: str) -> None:
    assert told(check_resources(model, Config(max_connections=wanted), None, limit))[0].startswith(found)


def test_the_limit_is_that_of_the_server(model: Any, told: Told) -> None:
    model.put("/proc/55/limits", "Limit   Soft Limit  Hard Limit Units\nMax open files            777                  4096  files\n")
    assert "777 open files" in told(check_resources(model, Config(), 55, 65536))[0]
    assert told(check_resources(model, Config(), 56, 65536)) == []


@pytest.mark.parametrize(
    ("available", "found"),
    [
        (800 << 10, "OK memory: 800.0M of 926.0M available"),
        (60 << 10, "WARN memory: 60.0M of 926.0M available: that is little"),
        (20 << 10, "FAIL memory: 20.0M of 926.0M available: the system is about to end processes"),
    ],
)
def test_memory(model: Any, told: Told, available: int, found: str) -> None:
    model.put("/proc/meminfo", f"MemTotal: {926 << 10} kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n")
    assert told(check_resources(model, Config(), None, 9999))[1].startswith(found)


def test_memory_that_is_promised_to_streams(model: Any, told: Told) -> None:
    model.put("/proc/meminfo", f"MemTotal: {926 << 10} kB\nMemAvailable: {800 << 10} kB\n")
    config = Config(jetstream=JetStream(max_memory_bytes=512 << 20))
    assert told(check_resources(model, config, None, 9999))[1].endswith("max_mem promises 512.0M to streams -> lower it below 463.0M")


@pytest.mark.parametrize(("text", "found"), [("0", "OK power"), ("50005", "FAIL power"), ("0x50000", "WARN power"), ("20000", "OK power"), ("VCHI", None)])
def test_power(model: Any, told: Told, text: str, found: str | None) -> None:
    model.put(THROTTLED, text + "\n")
    findings = told(check_resources(model, Config(), None, 9999))[1:]
    assert [each.split(":")[0] for each in findings] == ([found] if found else [])
