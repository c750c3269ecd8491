"""Run the command ``noisy-digits``, also as ``python -m noisy_digits``."""

import signal
import sys

if interruptible := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the second of imports ends it without a traceback

from noisy_digits.pipeline.warm import run_warm

if __name__ == "__main__" and (status := run_warm(sys.argv[1:])) is not None:
    sys.exit(status)

from noisy_digits._cli import main

if interruptible:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if __name__ == "__main__":
    main()
