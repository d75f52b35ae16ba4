"""Entry point of the ``metabalance`` command, outside of the package, whose import takes seconds."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command; Ctrl-C while it is loading ends it in one line, too."""
    try:
        from metabalance.cli import main as run

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
