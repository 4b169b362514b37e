"""What is fuzzed: any text given to a parser is understood, or refused with an `InputError`.

Each target takes text and returns nothing. Anything else than an `InputError`, anything that
`watch` forbids, and anything that takes longer than `SECONDS` is a finding.
"""

from __future__ import annotations

import time

import numpy as np
from robustness.watch import watched

from gpupatch.errors import InputError
from gpupatch.files.case import parse_case
from gpupatch.files.energy import energy
from gpupatch.files.expression import Expression
from gpupatch.files.toml import dump_toml, read_toml, set_entry

SECONDS = 1.0
_X = np.array([-1.5, 0.0, 2.0])


class TooSlow(Exception):
    """A short text kept the parser busy."""


def expression(text: str) -> None:
    """A formula of x and t, and its value at three places."""
    with _bounded(text), watched():
        try:
            value = Expression(text, ("x", "t"))(x=_X, t=1.0)
        except InputError:
            return
    assert value.shape == _X.shape
    assert value.dtype == np.float64


def potential(text: str) -> None:
    """An energy of r, and its value."""
    with _bounded(text), watched():
        try:
            function = energy(text, ("r", "A"))
            with np.errstate(all="ignore"):
                function(np.array([1.0, 2.0]), 3.0)
        except InputError:
            return


def case(text: str) -> None:
    """A case file; what is understood reads back as the same case when it is written out."""
    with _bounded(text), watched():
        try:
            found = parse_case(read_toml(text, "fuzzed.toml"))
        except InputError:
            return
        again = parse_case(read_toml(dump_toml(found.resolved()), "again.toml"))
    assert again.resolved() == found.resolved()


def assignment(text: str) -> None:
    """One `--set` of the command line on a small table."""
    with _bounded(text), watched():
        try:
            set_entry({"grid": {"patches": 8}, "title": "a"}, text)
        except InputError:
            return


class _bounded:
    def __init__(self, text: str):
        self.text = text

    def __enter__(self) -> None:
        self.began = time.process_time()

    def __exit__(self, kind: object, *_: object) -> None:
        spent = time.process_time() - self.began
        if kind is None and spent > SECONDS:
            raise TooSlow(f"{spent:.1f} s for {self.text[:200]!r}")


TARGETS = {
    "expression": expression,
    "potential": potential,
    "case": case,
    "assignment": assignment,
}
