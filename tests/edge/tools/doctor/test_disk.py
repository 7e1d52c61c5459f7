"""File systems, room and wear as a Pi shows them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config.options import JetStream
from edge.tools.doctor.disk import check_disk
from edge.tools.doctor.machine import Space

Told = Callable[[Any], list[str]]
OPTIONS = JetStream("/var/lib/petiole", max_file_bytes=1 << 30)


def mounted(model: Any, kind: str, options: str = "rw", super_options: str = "rw") -> None:
    model.put("/proc/self/mountinfo", f"21 1 8:1 / / {options} shared:1 - {kind} /dev/mmcblk0p2 {super_options}\n")


def kind_of(model: Any, told: Told) -> list[str]:
    return told(check_disk(model, OPTIONS))[:-1]  # the last is its room


def test_an_ordinary_disk(model: Any, told: Told) -> None:
    mounted(model, "ext4", "rw,noatime")
    assert told(check_disk(model, OPTIONS)) == [
        "OK disk: ext4 on / (/dev/mmcblk0p2)",
        "OK disk: 10.0G of 16.0G free, the store has 0, max_file: 1.0G",
    ]


@pytest.mark.parametrize(
    ("kind", "options", "found"),
    [
        ("ext4", "ro", "FAIL disk: ext4 on / is mounted read-only"),
        ("tmpfs", "rw", "FAIL disk: tmpfs on / is memory"),
        ("nfs4", "rw", "FAIL disk: nfs4 on / is on the network"),
        ("vfat", "rw", "WARN disk: vfat on / has no journal"),
        ("overlay", "rw", "WARN disk: overlay on /: what is written goes with the container"),
        ("ext4", "rw,nobarrier", "FAIL disk: ext4 on / is mounted with nobarrier"),
        ("ext4", "rw,data=writeback", "WARN disk: ext4 on / is mounted with data=writeback"),
    ],
)
def test_file_systems_on_which_an_ack_is_worth_less(model: Any, told: Told, kind: str, options: str, found: str) -> None:
    mounted(model, kind, "rw" if "," in options else options, options)
    assert kind_of(model, told)[0].startswith(found)


def test_room(model: Any, told: Told) -> None:
    def room(free: int, files: int = 1000) -> str:
        model.room = Space(free, 16 << 30, files, 2000)
        return "\n".join(told(check_disk(model, OPTIONS)))

    assert room(40 << 20).startswith("FAIL disk: 40.0M of 16.0G free, the store has 0: messages are refused")
    assert room(100 << 20).startswith("WARN disk: 100.0M of 16.0G free, the store has 0: that is little")
    assert room(500 << 20).startswith("WARN disk: 500.0M of 16.0G free, the store has 0: max_file promises 1.0G")
    assert room(2 << 30).startswith("OK")
    assert "FAIL disk: 5 more files can be made" in room(2 << 30, 5)
    model.room = Space(2 << 30, 16 << 30, 0, 0)  # btrfs does not count files
    assert len(told(check_disk(model, OPTIONS))) == 1


def test_what_the_store_has_counts_as_its_own(model: Any, told: Told, tmp_path: Path) -> None:
    (tmp_path / "petiole.db").write_bytes(b"")
    with (tmp_path / "petiole.db").open("ab") as file:
        file.truncate(600 << 20)
    with (tmp_path / "reserve").open("ab") as file:
        file.truncate(24 << 20)
    model.room = Space(500 << 20, 16 << 30, 1000, 2000)
    options = OPTIONS._replace(store_dir=str(tmp_path))
    assert told(check_disk(model, options)) == ["OK disk: 500.0M of 16.0G free, the store has 600.0M, max_file: 1.0G"]
    model.room = Space(30 << 20, 16 << 30, 1000, 2000)  # with the reserve it is enough to go on
    assert told(check_disk(model, options))[0].startswith("WARN")


def emmc(model: Any, **files: str) -> None:
    partition = model.path("/sys/devices/mmc0/block/mmcblk0/mmcblk0p2")
    for name, text in ({"life_time": "0x01 0x02", "name": "8GTF4R"} | files).items():
        model.put(f"/sys/devices/mmc0/block/mmcblk0/device/{name}", text + "\n")
    model.put("/sys/devices/mmc0/block/mmcblk0/stat", "1 2 3 4 5 6 2097152 8 9 10 11\n")
    model.put("/sys/devices/mmc0/block/mmcblk0/mmcblk0p2/partition", "2\n")
    model.device = partition


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, "OK wear: mmcblk0 (8GTF4R): up to 20 % of its life is used; 1.0G written since the start of the machine"),
        ({"life_time": "0x0a 0x03"}, "WARN wear: mmcblk0 (8GTF4R): 90-100 % of its life is used"),
        ({"life_time": "0x01 0x0b"}, "FAIL wear: mmcblk0 (8GTF4R) is past the life it was made for"),
        ({"pre_eol_info": "0x01"}, "OK wear: mmcblk0 (8GTF4R): up to 20 %"),
        ({"pre_eol_info": "0x02"}, "FAIL wear: mmcblk0 (8GTF4R): 80 % of its spare blocks are used"),
        ({"pre_eol_info": "0x03"}, "FAIL wear: mmcblk0 (8GTF4R): hardly a spare block is left"),
        ({"life_time": "0x00 0x00"}, "OK wear: mmcblk0 (8GTF4R) does not tell how worn it is; 1.0G"),
        ({"life_time": "?"}, "OK wear: mmcblk0 (8GTF4R) does not tell how worn it is"),
    ],
)
def test_wear(model: Any, told: Told, files: dict[str, str], found: str) -> None:
    emmc(model, **files)
    assert told(check_disk(model, OPTIONS))[-1].startswith(found)


def test_errors_that_the_file_system_has_met(model: Any, told: Told) -> None:
    emmc(model)
    model.put("/sys/fs/ext4/mmcblk0p2/errors_count", "0\n")
    assert len(told(check_disk(model, OPTIONS))) == 2
    model.put("/sys/fs/ext4/mmcblk0p2/errors_count", "3\n")
    assert "FAIL disk: ext4 on mmcblk0p2 has met 3 errors" in told(check_disk(model, OPTIONS))[-1]


def test_a_whole_disk_is_its_own_device(model: Any, told: Told) -> None:
    model.put("/sys/devices/pci/block/nvme0n1/stat", "short\n")
    model.device = model.path("/sys/devices/pci/block/nvme0n1")
    assert told(check_disk(model, OPTIONS))[-1] == "OK wear: nvme0n1 does not tell how worn it is"
