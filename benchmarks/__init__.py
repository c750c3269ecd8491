"""What the suite costs: run by `make bench`."""
