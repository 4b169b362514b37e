"""Fuzz a parser, led by the code that its inputs reach.

    python tests/robustness/fuzz.py expression -runs=100000 corpus/expression

The first word is a target of `targets.py`; the others are those of libFuzzer: `-runs=N`,
`-max_total_time=SECONDS`, `-seed=N` and directories with inputs to begin from, of which the first
also receives what is found on the way. `-fork` is not used, so that a finding ends the run.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
with atheris.instrument_imports(include=["gpupatch", "tomllib"]):  # pyright: ignore
    from robustness.targets import TARGETS


def main() -> None:
    """Run the fuzzer on the target that the command line names."""
    target = TARGETS[sys.argv.pop(1)]

    def one(data: bytes) -> None:
        target(data.decode("utf-8", errors="replace"))

    atheris.Setup([*sys.argv, "-timeout=20", "-rss_limit_mb=2048"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
