import asyncio
import os

import pytest

from hub.demo.serial_cable import SerialCable


def over_a_cable(scene):
    async def main():
        cable = SerialCable()
        ends = [os.open(path, os.O_RDWR | os.O_NOCTTY) for path in (cable.device_end, cable.bridge_end)]
        try:
            await scene(cable, *ends)
        finally:
            for end in ends:
                os.close(end)
            cable.close()

    asyncio.run(main())


async def read(fd, count):
    data = b""
    while len(data) < count:
        data += await asyncio.to_thread(os.read, fd, count - len(data))
    return data


EVERY_BYTE = bytes(range(256))


@pytest.mark.parametrize("turned", [False, True])
def test_every_byte_passes_as_it_is(turned):
    async def scene(_, device, bridge):
        near, far = (bridge, device) if turned else (device, bridge)
        os.write(near, EVERY_BYTE)
        assert await read(far, 256) == EVERY_BYTE

    over_a_cable(scene)


def test_end_may_be_closed_and_opened_again():
    async def scene(cable, device, bridge):
        again = os.open(cable.bridge_end, os.O_RDWR | os.O_NOCTTY)
        os.close(bridge)
        os.dup2(again, bridge)
        os.close(again)
        os.write(device, b"hello")
        assert await read(bridge, 5) == b"hello"

    over_a_cable(scene)


def test_what_nobody_reads_is_lost_and_blocks_nobody():
    async def scene(_, device, bridge):
        os.set_blocking(device, False)
        for _ in range(100):
            try:
                os.write(device, b"x" * 4096)
            except BlockingIOError:
                pass
            await asyncio.sleep(0)
        os.set_blocking(device, True)
        os.write(bridge, b"other way")
        assert await read(device, 9) == b"other way"

    over_a_cable(scene)
