"""``petiole-edge``.  ``run`` goes straight to the daemon: its flags are nats-server's, and click stays unloaded."""

import sys


def main() -> None:
    if sys.argv[1:2] == ["run"]:
        from edge.serve import serve

        sys.exit(serve(sys.argv[2:]))
    from edge.cli import cli

    cli(prog_name="petiole-edge")


if __name__ == "__main__":
    main()
