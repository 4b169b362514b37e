"""Where patches are advanced: the NumPy reference and the compiled backends."""
