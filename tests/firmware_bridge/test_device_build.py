"""Compiling the device library: warnings, what it asks of libc, and one line for every way in which it can fail."""

import shutil
import subprocess
from pathlib import Path

import pytest

from firmware_bridge import device_build
from firmware_bridge.device_build import FLAGS, DeviceBuildError, build_host_device, device_sources

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


@needs_compiler
@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3", "-Os"])
def test_the_library_is_clean_and_needs_memory_functions_only(level: str, tmp_path: Path) -> None:
    """Hosted: a compiler may make calls of libc from loops (strlen, memset), so what it made is looked at."""
    out = tmp_path / "petiole.o"
    flags = [*FLAGS, level, "-fno-stack-protector", "-Wconversion"]
    done = subprocess.run(["cc", *flags, "-c", str(device_sources() / "petiole.c"), "-o", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = subprocess.run(["nm", "-u", str(out)], capture_output=True, text=True, check=True).stdout.split()
    assert set(wanted) - {"U"} <= {"memcpy", "memset", "memcmp"}
    # no global state: nothing in data or bss
    symbols = subprocess.run(["nm", str(out)], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line for line in symbols if line.split()[-2] in "bBdDcC"] == []


@needs_compiler
def test_the_header_is_fit_for_cplusplus(tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler here")
    source = tmp_path / "firmware.cpp"
    source.write_text('#include "petiole.h"\nint main() { return petiole_connected(0) && sizeof(petiole); }\n')
    done = subprocess.run(
        ["c++", "-Wall", "-Wextra", "-Werror", "-I", str(device_sources()), "-c", str(source), "-o", str(tmp_path / "f.o")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_the_example_says_what_is_wrong_with_its_options(tmp_path: Path) -> None:
    program = str(build_host_device(tmp_path))
    for options, said in [
        ([], "no PORT"),
        (["port", "--rate", "0"], "--rate"),
        (["port", "--rate", "fast"], "--rate"),
        (["port", "--count"], "--count"),
        (["port", "--speed", "9"], "--speed"),
        (["port", "--name", "n" * 300], "--name"),
    ]:
        done = subprocess.run([program, *options], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and said in done.stderr.splitlines()[0], (options, done.stderr)


@needs_compiler
def test_a_compiler_with_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "cc -g")
    assert build_host_device(tmp_path).is_file()


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(DeviceBuildError, match=r"^there is no C compiler \(no-such-compiler\)$"):
        build_host_device(tmp_path)


@needs_compiler
def test_a_compiler_that_fails(tmp_path: Path) -> None:
    with pytest.raises(DeviceBuildError, match=r"^cc failed: .*error") as caught:
        build_host_device(tmp_path / "is not there")
    assert "\n" not in str(caught.value)


def test_sources_of_an_installed_wheel_and_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "firmware_bridge"
    (package / "device").mkdir(parents=True)
    monkeypatch.setattr(device_build, "__file__", str(package / "device_build.py"))
    with pytest.raises(DeviceBuildError, match="not here"):
        device_sources()
    (package / "device" / "petiole.c").touch()
    assert device_sources() == package / "device"
