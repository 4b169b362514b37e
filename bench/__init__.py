"""Measurements of speed and accuracy; every figure in the documentation comes from here."""
