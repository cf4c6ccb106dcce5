"""``python -m xrfsr_dask`` and ``xrfsr``: signals are heard before anything else is imported."""

import _signal as signal  # what `signal` is made of, without the enumerations that it imports
import sys

_NOTHING_DONE = "xrfsr: interrupted before the work began; nothing was changed."


def _end(number: int, frame: object) -> None:
    """Say so and end, whatever is being imported; `interrupts.hear` takes over from here."""
    import os

    os.write(2, f"{_NOTHING_DONE}\n".encode())
    os._exit(1)


def _hear() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) not in (signal.SIG_IGN, None):  # as for what a shell runs in the background
            signal.signal(number, _end)


if sys.argv[0].endswith(("xrfsr", "xrfsr.exe")) or __name__ == "__main__":
    _hear()  # at once: the launcher goes on importing before it calls `main`


def main() -> int:
    """Run the command line; Ctrl-C and SIGTERM end it with one sentence from here on."""
    try:
        from xrfsr_dask import interrupts

        interrupts.hear()
        from xrfsr_dask.cli import main as run

        return run()
    except KeyboardInterrupt:
        exec("")  # see `interrupts.ignore`
        print(_NOTHING_DONE, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
