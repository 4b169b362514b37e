"""The cases that come with gpupatch: small demonstrations, each a file in `gpupatch/cases`."""

import itertools
from importlib.resources import files

from gpupatch.errors import CaseError, suggestion
from gpupatch.files.toml import read_toml


def builtin_names() -> tuple[str, ...]:
    """Names of the built-in cases, sorted."""
    entries = (entry.name for entry in files("gpupatch").joinpath("cases").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml")))


def builtin_text(name: str) -> str:
    """The text of a built-in case, ready to be edited.

    Args:
        name: one of `builtin_names()`.

    Raises:
        CaseError: if there is no such case.
    """
    if name not in builtin_names():
        raise CaseError(
            f"there is no case file and no built-in case `{name}`. "
            f"{suggestion(name, builtin_names())}"
        )
    return files("gpupatch").joinpath("cases", f"{name}.toml").read_text(encoding="utf-8")


def builtin_summary(name: str) -> tuple[str, str]:
    """The title of a built-in case, and what the comment at its top says about it.

    Args:
        name: one of `builtin_names()`.

    Raises:
        CaseError: if there is no such case.
    """
    text = builtin_text(name)
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    about = " ".join(line.removeprefix("#").strip() for line in comment)
    return read_toml(text, name)["title"], about
