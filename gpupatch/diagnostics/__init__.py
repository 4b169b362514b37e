"""Tests of the assumptions of patch dynamics, D1 to D11."""

from gpupatch.diagnostics.diagnosis import diagnose, free_diagnosis
from gpupatch.diagnostics.finding import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose", "free_diagnosis"]
