"""Noisy Digits: four course assignments on noisy MNIST digits, as submitted and corrected."""
