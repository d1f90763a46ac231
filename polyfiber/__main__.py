"""``python -m polyfiber`` and the command ``polyfiber``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported ends quietly too."""
    try:
        from .cli.app import main as run
    except KeyboardInterrupt:
        print("polyfiber: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
