"""The units as systemd reads them, and the options they start the programs with."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here: units are not verified")
@pytest.mark.parametrize("unit", [path.name for path in UNITS.glob("*.service")])
def test_systemd_has_nothing_to_say(unit: str, tmp_path: Path) -> None:
    """Verified with a program that is there on every machine in the place of ours."""
    lines = (UNITS / unit).read_text().splitlines()
    found = [line.replace(line.split("=", 1)[1].split()[0], "/bin/true") if line.startswith("ExecStart=") else line for line in lines]
    target = tmp_path / unit
    target.write_text("\n".join(found) + "\n")
    name = str(target).replace("@.", "@ttyUSB0.")
    if name != str(target):
        shutil.copy(target, name)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and unit not in done.stderr, done.stderr
