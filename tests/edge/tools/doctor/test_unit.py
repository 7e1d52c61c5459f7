"""The systemd unit in every state that an operator meets."""

from collections.abc import Callable
from typing import Any

import pytest

from edge.tools.doctor.unit import check_unit, find_unit

Told = Callable[[Any], list[str]]
FINE = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success", "NRestarts": "0", "UnitFileState": "enabled", "LimitNOFILE": "65536"}


def answer(model: Any, **changes: str) -> None:
    model.path("/run/systemd/system").mkdir(parents=True, exist_ok=True)
    model.answers["systemctl"] = "".join(f"{key}={value}\n" for key, value in (FINE | changes).items())


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "OK unit: petiole-edge.service is active, enabled"),
        ({"UnitFileState": "disabled"}, "WARN unit: petiole-edge.service runs, but does not start with the machine -> systemctl enable"),
        ({"NRestarts": "17"}, "WARN unit: petiole-edge.service runs, after 17 restarts by itself -> journalctl"),
        ({"ActiveState": "inactive", "SubState": "dead"}, "WARN unit: petiole-edge.service is inactive -> systemctl start"),
        ({"ActiveState": "failed", "Result": "exit-code"}, "FAIL unit: petiole-edge.service does not stay up (exit-code) -> journalctl"),
        ({"ActiveState": "activating", "SubState": "auto-restart", "Result": "signal"}, "FAIL unit: petiole-edge.service does not stay up (signal)"),
        ({"LoadState": "masked"}, "FAIL unit: petiole-edge.service is masked -> systemctl status"),
        ({"LoadState": "not-found"}, "OK unit: petiole-edge.service is not installed here; petiole-edge runs as pid 5"),
    ],
)
def test_states(model: Any, told: Told, changes: dict[str, str], found: str) -> None:
    answer(model, **changes)
    (text,) = told(check_unit(find_unit(model), 5))
    assert text.startswith(found)


def test_what_it_gives(model: Any) -> None:
    answer(model)
    assert find_unit(model).open_files == 65536  # type: ignore[union-attr]
    answer(model, LimitNOFILE="infinity")
    assert find_unit(model).open_files is None  # type: ignore[union-attr]


def test_no_systemd(model: Any, told: Told) -> None:
    model.answers["systemctl"] = "LoadState=loaded\n"  # the program is there, but it is not what runs the machine
    assert find_unit(model) is None
    assert told(check_unit(None, None)) == ["OK unit: petiole-edge.service is not installed here; petiole-edge does not run"]
    model.path("/run/systemd/system").mkdir(parents=True)
    del model.answers["systemctl"]
    assert find_unit(model) is None
