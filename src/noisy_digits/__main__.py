"""``python -m noisy_digits``: the same as the command ``noisy-digits``."""

from noisy_digits.cli import main

main()
