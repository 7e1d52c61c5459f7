from edge.core.brake import AGAIN, MOST, Brake


def test_whoever_waits_goes_on_when_enough_has_arrived() -> None:
    brake = Brake()
    told: list[str] = []
    brake.add(MOST)
    assert not brake.is_on
    brake.add(100)
    assert brake.is_on
    brake.wait(lambda: told.append("a"))
    brake.wait(lambda: brake.wait(lambda: told.append("later")))
    brake.arrived(100)
    assert brake.is_on and not told
    brake.arrived(MOST - AGAIN)
    assert not brake.is_on and told == ["a"]
    brake.add(MOST)
    assert brake.is_on
    brake.arrived(MOST)
    assert told == ["a", "later"] and brake.underway == AGAIN
