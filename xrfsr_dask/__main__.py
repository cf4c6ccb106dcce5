"""``python -m xrfsr_dask`` and ``xrfsr``: signals are heard before the first long import."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C and SIGTERM end it with one sentence from here on."""
    try:
        from xrfsr_dask import interrupts

        interrupts.hear()
        from xrfsr_dask.cli import main as run

        return run()
    except KeyboardInterrupt:
        exec("")  # see `interrupts.ignore`
        print("xrfsr: interrupted before the work began; nothing was changed.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
