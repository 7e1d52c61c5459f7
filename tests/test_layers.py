"""Who may import whom (docs/architecture.md): no arrow points up."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEVELS = [
    {"edge.errors", "edge.json_text", "edge.message", "edge.subjects", "edge.version"},
    {"edge.sublist", "edge.protocol"},
    {"edge.core", "edge.store"},
    {"edge.jetstream", "edge.uplink", "edge.downlink"},
    {"edge.net", "edge.monitor"},
    {
        *("edge.config", "edge.flags", "edge.serve", "edge.lean", "edge.cli", "edge.tools"),
        *("edge.daemon", "edge.__main__"),
        *("edge.signals", "edge.lifecycle", "edge.reload", "edge.run_files", "edge.settings", "edge.storage", "edge.hubs", "edge.monitoring"),
        "edge.logins", "edge.varz_settings",
    },
]
PURE = {"asyncio", "time", "socket", "logging", "random", "threading", "sqlite3"}
OUTSIDE = {"edge.errors", "edge.message", "edge.subjects", "edge.version"}
SOURCES = [path for folder in ("edge", "hub", "firmware-bridge/firmware_bridge") for path in (ROOT / folder).rglob("*.py")]


def part(module: str) -> str:
    return ".".join(module.split(".")[:2])


def level(module: str) -> int | None:
    return next((i for i, parts in enumerate(LEVELS) if part(module) in parts), None)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_arrow_points_up(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    wanted = imports(path)
    ours = {name for name in wanted if name.split(".")[0] == "edge"}
    if module.split(".")[0] != "edge":
        assert {part(name) for name in ours} <= OUTSIDE, f"{module} imports {ours}"
        return
    own = level(module)
    if own is None:
        assert module == "edge", f"{module} has no place in the layers"
        return
    for name in ours:
        other = level(name)
        assert other is not None and other <= own, f"{module} imports {name}"
    if own < 2:
        assert not {name.split(".")[0] for name in wanted} & PURE, f"{module} is pure"
    forbidden = {"edge.core": "edge.store", "edge.store": "edge.core"}.get(part(module))
    assert forbidden not in {part(name) for name in ours}, f"{module} imports {forbidden}"
