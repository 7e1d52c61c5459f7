import click
import pytest

from hub.cli import main


def commands(group, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path, command", list(commands(main)))
def test_every_command_has_help(path, command, petiole_hub):
    assert command.help
    assert petiole_hub(*path, "--help").exit_code == 0


@pytest.mark.parametrize("words", [("status",), ("down",), ("tail", "a.>"), ("command", "send", "e", "d", "v")])
def test_no_hub_here(words, petiole_hub, tmp_path):
    result = petiole_hub(*words, "--dir", tmp_path / "none")
    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path}/none: no hub was ever started here; petiole-hub up starts one\n"
