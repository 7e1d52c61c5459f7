import pytest

from edge.uplink.meter import SECOND, Meter, Watch


def test_a_rate_is_known_soon_and_forgotten_soon() -> None:
    meter = Meter()
    assert meter.rate(0) == 0
    for second in range(5):
        meter.add(10, second * SECOND)
    assert meter.rate(5 * SECOND) == pytest.approx(10, rel=0.2)
    for second in range(5, 300):
        meter.add(10, second * SECOND)
    assert meter.rate(300 * SECOND) == pytest.approx(10, rel=0.1)
    assert meter.rate(600 * SECOND) < 0.01


def test_a_minute_without_progress_is_an_alarm_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch("T")
    watch.waits(0)
    watch.waits(50 * SECOND)
    watch.tick(59 * SECOND, 7, "why")
    assert not watch.stalled and watch.deadline() == 60 * SECOND
    for second in range(60, 200):
        watch.tick(second * SECOND, 7, "no leader")
    assert watch.stalled and caplog.text.count("ALARM: nothing has gone for 60 s, 7 messages wait: no leader") == 1
    watch.moves(300 * SECOND, more=True)
    assert not watch.stalled and watch.deadline() == 360 * SECOND and "it goes on" in caplog.text
    watch.moves(301 * SECOND, more=False)
    assert watch.deadline() is None
    watch.waits(400 * SECOND)
    watch.rests()
    assert watch.deadline() is None
