"""Build cases with odd values, in a process of little memory and little time for each.

    python tests/robustness/sweep.py [--begin] STRIDE CASE...

Every `STRIDE`-th odd value is tried, if the parser takes it. With `--begin` what is built also
runs: the diagnostics of every run, and the run itself as far as it gets in a moment. The answer, in
JSON, is the number of values that were tried, and a list of findings.
"""

from __future__ import annotations

import io
import json
import signal
import sys
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from robustness.odd_values import accepted
from robustness.schema_walk import bases

import gpupatch as gp
from gpupatch.files.case import Case
from gpupatch.files.toml import read_toml
from gpupatch.run import build
from gpupatch.run.build import Parts
from gpupatch.run.diagnose import tested_for_free
from gpupatch.simulation import simulate

SECONDS = 5.0
MOMENT = 1.0
"""Seconds of the processor after which a run that has begun is left."""
LARGEST = 4 * 10**9
FLUX = Path(__file__).resolve().parents[1] / "cases" / "v06_flux.toml"
NUMPY, _ = gp.get_backend("numpy")


class TooSlow(BaseException):
    """A case kept the builder, or a run, busy; no handler of errors catches it."""


def main(stride: int, names: list[str], begin: bool = False) -> None:
    """Try the values, and print what was found."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (LARGEST, LARGEST))
    signal.signal(signal.SIGPROF, _too_slow)
    tried, findings = 0, []
    for name in names:
        for key, value, case in accepted(base(name), stride):
            tried += 1
            problem = built(case, begin)
            if problem:
                findings.append([name, key.name, repr(value)[:80], problem])
    print(json.dumps({"tried": tried, "findings": findings}))


def base(name: str) -> dict[str, Any]:
    """A built-in case, or the one whose lattices leap with fluxes, as a table."""
    return read_toml(FLUX.read_text(), name) if name == "flux" else bases()[name]


def built(case: Case, begin: bool = False) -> str:
    """What is wrong with how the case is built (and begins) or is refused, or nothing."""
    with (
        warnings.catch_warnings(record=True) as told,
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(out),
    ):
        warnings.simplefilter("always")
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            parts = build(case, NUMPY)
            if begin:
                _begin(case, parts)
        except gp.GpupatchError as error:
            if len(str(error)) > 3000:
                return f"a message of {len(str(error))} characters"
        except BaseException:
            return traceback.format_exc(limit=-5)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    if begin:
        # a state that grows beyond numbers ends a run with a message of its own
        return ""
    by_numpy = [one for one in told if issubclass(one.category, RuntimeWarning)]
    if by_numpy or len(told) > 3:
        return f"{len(told)} warnings, such as {told[-1].message} ({told[-1].filename})"
    return ""


def _begin(case: Case, parts: Parts) -> None:
    """What a run does first; a run that goes on is left after a moment."""
    time = case.time
    signal.setitimer(signal.ITIMER_PROF, MOMENT)
    try:
        tested_for_free(case, parts)
        simulate(
            parts.scheme, parts.initial, time.end, start=time.start, save=2,
            projection=parts.projection, exact=parts.exact,
        )  # fmt: skip
    except TooSlow:
        return


def _too_slow(*_: object) -> None:
    raise TooSlow


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--begin"]
    main(int(words[0]), words[1:], "--begin" in sys.argv)
