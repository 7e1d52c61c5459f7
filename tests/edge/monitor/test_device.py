"""Wear as the kernel shows it for eMMC, an SD card, a partition, and nothing at all."""

import os
from pathlib import Path

import pytest

from edge.monitor.device import Wear, device_of, wear_of

STAT = "  100 0 200 300 400 0 2048 500 0 600 700 0 0 0 0 0 0\n"


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_emmc_by_its_partition(tmp_path: Path) -> None:
    disk = tmp_path / "mmcblk0"
    put(disk / "stat", STAT)
    put(disk / "device" / "name", "BJTD4R\n")
    put(disk / "device" / "life_time", "0x02 0x0b\n")
    put(disk / "device" / "pre_eol_info", "0x03\n")
    put(disk / "mmcblk0p2" / "partition", "2\n")
    assert wear_of(disk / "mmcblk0p2") == Wear("mmcblk0", "BJTD4R", 11, 3, 2048 * 512)


@pytest.mark.parametrize("stat", ["", "1 2 3", "a b c d e f g h"])
def test_a_disk_that_tells_nothing(tmp_path: Path, stat: str) -> None:
    put(tmp_path / "sda" / "stat", stat)
    assert wear_of(tmp_path / "sda") == Wear("sda")


def test_the_device_of_a_file(tmp_path: Path) -> None:
    device = os.stat(tmp_path).st_dev
    assert device_of(str(tmp_path), tmp_path) is None
    found = tmp_path / "devices" / "vda1"
    put(found / "stat", STAT)
    link = tmp_path / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(found)
    assert device_of(str(tmp_path), tmp_path) == found
    assert device_of(str(tmp_path / "gone"), tmp_path) is None
