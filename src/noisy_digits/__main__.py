"""Run the command ``noisy-digits``, also as ``python -m noisy_digits``."""

import signal
import sys

if interruptible := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the second of imports ends it without a traceback

# jsonschema would otherwise compile a grammar of IRIs, which no notebook holds: more than a second per run.
sys.modules.setdefault("rfc3987_syntax", None)  # pyright: ignore[reportArgumentType]

from noisy_digits._cli import main  # noqa: E402

if interruptible:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if __name__ == "__main__":
    main()
