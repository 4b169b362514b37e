"""Accuracy for cost: a case run over a sweep of its settings."""
