"""``petiole-edge completion``: a script that makes the shell complete the commands, and what follows ``run``."""

from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem, get_completion_class

from edge.flags import SECTIONS, Flag
from edge.serve import PROGRAM
from edge.tools.errors import ToolError

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_PETIOLE_EDGE_COMPLETE"  # click's: with it set, the program answers the shell's question and ends

INSTALL = {
    "bash": f"{PROGRAM} completion bash > /usr/share/bash-completion/completions/{PROGRAM}",
    "zsh": f"{PROGRAM} completion zsh > /usr/local/share/zsh/site-functions/_{PROGRAM}",
    "fish": f"{PROGRAM} completion fish > ~/.config/fish/completions/{PROGRAM}.fish",
}


def script(cli: click.Command, shell: str) -> str:
    """To be put where the shell looks for it; how, it says itself."""
    complete = get_completion_class(shell)
    if complete is None:
        raise ToolError(f"{shell}: expected one of {', '.join(SHELLS)}")
    # click's class for bash would ask the bash here for its version; the script is for the one that reads it.
    made = complete(cli, {}, PROGRAM, VARIABLE)
    return f"{(made.source_template % made.source_vars()).strip()}\n\n# To install it: {INSTALL[shell]}\n"


class RunCommand(click.Command):
    """``run`` takes nats-server's flags, which click does not know."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return complete_flag(incomplete)


def complete_value(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For what stands behind the flags that ``param`` has taken so far."""
    given: Sequence[str] = ctx.params.get(param.name or "") or ()
    flag = _flags().get(given[-1]) if given else None
    if flag is None or not flag.value:
        return complete_flag(incomplete)
    return [CompletionItem(incomplete, type=flag.value)] if flag.value in ("file", "dir") else []


def complete_flag(incomplete: str) -> list[CompletionItem]:
    found = _flags()
    return [CompletionItem(name, help=flag.help) for name, flag in found.items() if name.startswith(incomplete)]


def _flags() -> dict[str, Flag]:
    """By name with its dashes: one for a letter or capitals, two for a word; the daemon takes either."""
    return {
        f"-{name}" if len(name) < 3 or name.isupper() else f"--{name}": flag
        for _, flags in SECTIONS
        for flag in flags
        for name in flag.names
    }
