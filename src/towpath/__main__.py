"""The `towpath` command, also as `python -m towpath`."""

import signal


def main() -> None:
    """Run the command line."""
    before = signal.getsignal(signal.SIGINT)
    # Loading takes a few tenths of a second. Ctrl-C then ends the process without a word instead of with a traceback
    # of imports; a parent that had it ignored keeps it so.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from towpath.cli.main import main as run

    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, before)
    run()


if __name__ == "__main__":
    main()
