import pytest

from edge.net.machine_clock import MachineClock


@pytest.mark.parametrize(
    ("paths", "awaits", "sure"),
    [
        ([], False, False),
        (["run/systemd/timesync/"], True, False),
        (["run/systemd/timesync/synchronized"], False, True),
        (["sys/class/rtc/rtc0"], False, True),
        (["run/systemd/timesync/", "sys/class/rtc/rtc0"], False, True),
    ],
)
def test_who_knows_the_time(tmp_path, paths, awaits, sure):
    for path in paths:
        folder = tmp_path / (path if path.endswith("/") else path.rpartition("/")[0])
        folder.mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            (tmp_path / path).touch()
    clock = MachineClock(str(tmp_path))
    assert (clock.awaits_time(), clock.is_sure()) == (awaits, sure)


def test_this_machine():
    clock = MachineClock()
    assert (len(clock.boot), clock.since_boot() > 0) == (36, True)


def test_machine_without_boot_id_still_tells_boots_apart(tmp_path):
    assert MachineClock(str(tmp_path)).boot.startswith("since ")
