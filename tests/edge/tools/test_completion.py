"""What a shell is told when somebody presses the tabulator."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ :; }}
_petiole_edge_completion petiole-edge
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def bash(tmp_path: Path) -> Path:
    """A folder with the script, and a program of the name it asks."""
    script = subprocess.run([sys.executable, "-m", "edge", "completion", "bash"], capture_output=True, text=True, check=True)
    (tmp_path / "script").write_text(script.stdout)
    program = tmp_path / "petiole-edge"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edge "$@"\n')
    program.chmod(0o755)
    return tmp_path


def complete(folder: Path, *words: str) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in ("petiole-edge", *words))
    script = ASK.format(script=folder / "script", words=quoted)
    path = f"{folder}:/usr/bin:/bin"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={"PATH": path}, timeout=60)
    assert done.stderr == "", done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash(bash: Path) -> None:
    assert {"run", "check", "top", "report", "passwd", "completion", "version"} <= set(complete(bash, ""))
    assert complete(bash, "re") == ["report", "restore"]
    assert complete(bash, "report", "str") == ["streams"]
    assert complete(bash, "top", "--sort", "msgs") == ["msgs_to", "msgs_from"]
    assert complete(bash, "completion", "") == ["bash", "zsh", "fish"]


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_the_flags_of_the_daemon(bash: Path) -> None:
    assert complete(bash, "run", "--store") == ["--store_dir"]
    assert {"-c", "-p", "--jetstream", "-DV"} <= set(complete(bash, "run", "-"))
    assert {"-c", "--config"} <= set(complete(bash, "run", "-js", ""))
    assert complete(bash, "run", "-c", "x") == []  # files, which bash finds itself
    assert complete(bash, "run", "-p", "4") == []


@pytest.mark.parametrize(("shell", "text"), [("bash", "complete -o nosort"), ("zsh", "#compdef petiole-edge"), ("fish", "complete --no-files")])
def test_scripts_say_where_they_go(shell: str, text: str) -> None:
    done = subprocess.run([sys.executable, "-m", "edge", "completion", shell], capture_output=True, text=True, check=True)
    assert text in done.stdout and done.stdout.splitlines()[-1].startswith(f"# To install it: petiole-edge completion {shell} > ")
    assert done.stderr == ""
    if shell == "zsh":
        assert done.stdout.startswith("#compdef petiole-edge")
