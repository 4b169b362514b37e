"""From a case to its results: build the parts, run them, write what came out."""

from gpupatch.run.build import Parts, build
from gpupatch.run.execute import RunResult, run_case

__all__ = ["Parts", "RunResult", "build", "run_case"]
