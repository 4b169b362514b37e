"""From a case to its results: build the parts, run them, write what came out."""

from gpupatch.run.build import Parts, build
from gpupatch.run.execute import RunResult, run_case
from gpupatch.run.resume import resume

__all__ = ["Parts", "RunResult", "build", "resume", "run_case"]
