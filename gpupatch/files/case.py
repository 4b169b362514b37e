"""A case: everything that one run needs to know, read from a TOML file or built in."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, TypeAdapter, ValidationError, model_validator

from gpupatch.errors import CaseError
from gpupatch.files.builtin import builtin_text
from gpupatch.files.checks import AXES, coarse_fields, find_mistakes, formula_variables
from gpupatch.files.expression import Expression
from gpupatch.files.forms import Coefficient, Initial
from gpupatch.files.mistakes import Mistake, found_by_pydantic, refuse, unknown_key
from gpupatch.files.particle_checks import interactions, model_parameters
from gpupatch.files.particles import Particles
from gpupatch.files.schema import (
    Burst,
    Checkpoint,
    Compare,
    Diagnostics,
    Grid,
    Model,
    NamedSolution,
    Output,
    Run,
    Scheme,
    Time,
)
from gpupatch.files.scheme_checks import read_keys
from gpupatch.files.toml import read_toml, set_entry
from gpupatch.files.values import Number, Section, Text

_LARGEST = 10_000_000


@dataclass(frozen=True)
class RuleFile:
    """A file of Python that declares a micro-rule, as it was when it was trusted.

    Attributes:
        path: the file.
        function: name of the rule in it.
        source: its text; run this rather than reading the file again.
        sha256: digest of the text, in hexadecimal.
    """

    path: Path
    function: str
    source: bytes
    sha256: str


class Case(Section):
    """Everything that one run needs to know; each attribute is a section of the file.

    Attributes:
        title: what the results are called.
        model: the micro-simulator, a rule on lattices.
        particles: the micro-simulator, if it is made of particles instead.
        constants: named numbers for use in formulas.
        coefficients: fields that do not change, by name.
        grid: domain and patches.
        scheme: coupling of the patches.
        burst: the short runs between leaps, for schemes that leap.
        initial: initial state per field, in the order of the file: a number or formula in
            coordinates, parameters and constants (t is `time.start`), a file, or noise.
        time: steps and saved times.
        members: values of parameters or constants to sweep; every combination is a member.
        output: what is kept.
        checkpoint: when a run can be resumed.
        run: backend, precision and seed.
        compare: the truth to measure against.

    Raises:
        CaseError: if the sections do not fit together, with all mistakes.
    """

    title: Text = ""
    model: Model | None = None
    particles: Particles | None = None
    constants: dict[str, Number] = Field(default_factory=dict)
    coefficients: dict[str, Coefficient] = Field(default_factory=dict)
    grid: Grid
    scheme: Scheme = Field(default_factory=Scheme)
    burst: Burst | None = None
    initial: Annotated[dict[str, Initial], Field(min_length=1)]
    time: Time
    members: dict[str, Annotated[tuple[Number, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    output: Output = Field(default_factory=Output)
    checkpoint: Checkpoint = Field(default_factory=Checkpoint)
    diagnostics: Diagnostics = Field(default_factory=Diagnostics)
    run: Run = Field(default_factory=Run)
    compare: Compare | None = None

    _name: str = PrivateAttr("case")
    _directory: Path = PrivateAttr(Path())
    _file: Path | None = PrivateAttr(None)
    _named_by: tuple[Path, ...] | None = PrivateAttr(None)
    _sources: dict[Path, bytes] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(self._name, find_mistakes({name: getattr(self, name) for name in _SECTIONS}))
        return self

    @property
    def name(self) -> str:
        """The built-in name, or the name of the file without its ending."""
        return self._name

    @property
    def directory(self) -> Path:
        """Where the paths in the case start."""
        return self._directory

    @property
    def file(self) -> Path | None:
        """The file that the case was read from; None if it is built in or made of tables."""
        return self._file

    def told_by(self, *named: Path) -> Case:
        """This case, said to come from a file that tells itself where paths start.

        Only what lies within the directories that the user named is then read without trust.

        Args:
            named: directories that the user named, or works in.
        """
        self._named_by = named
        return self

    def read_from(self, file: Path) -> Case:
        """This case, said to have been read from a file."""
        self._file = file
        return self

    @property
    def ndim(self) -> int:
        """Number of space dimensions."""
        return len(self.grid.domain)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the coordinates: the first `ndim` of x, y, z."""
        return AXES[: self.ndim]

    @property
    def exact(self) -> NamedSolution | dict[str, float | str] | None:
        """The exact solution: from the library, or a number or formula per field."""
        given = None if self.compare is None else self.compare.exact
        if given is None or isinstance(given, NamedSolution | dict):
            return given
        return {self.field_names[0]: given}

    @property
    def field_names(self) -> tuple[str, ...]:
        """The coarse fields, in the order of the file."""
        return coarse_fields(self.scheme, self.initial)

    @property
    def parameters(self) -> dict[str, float]:
        """Values of the parameters of the micro-simulator that formulas may use, by name."""
        return model_parameters(self.model, self.particles)

    @property
    def member_values(self) -> tuple[dict[str, float], ...]:
        """Values of the swept names, one dict per member, the last name fastest."""
        rows = itertools.product(*self.members.values())
        return tuple(dict(zip(self.members, row, strict=True)) for row in rows)

    def numbers(self, member: Mapping[str, float] | None = None) -> dict[str, float]:
        """Values of all parameters and constants, by name.

        Args:
            member: swept values, which win over those of the micro-simulator and `[constants]`.
        """
        return {**self.constants, **self.parameters, **(member or {})}

    def formula(self, text: float | str, *, timed: bool = True) -> Expression:
        """A number or formula of this case as a function of coordinates, t and `numbers()`.

        Args:
            text: the number or formula.
            timed: whether it may depend on t.
        """
        return Expression(str(text), self.variables(timed=timed))

    def variables(self, *, timed: bool) -> tuple[str, ...]:
        """Names that a formula of this case may use.

        Args:
            timed: whether it may depend on t.
        """
        names = (*self.parameters, *self.constants, *self.members)
        return formula_variables(self.ndim, names, timed=timed)

    def solution_parameters(self, member: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Parameters that the case gives to its `NamedSolution`, as numbers and lists.

        Args:
            member: swept values.

        Raises:
            CaseError: if the case compares with no such solution.
        """
        if not isinstance(self.exact, NamedSolution):
            raise CaseError(f"case `{self.name}` names no exact solution in `compare.exact`.")
        numbers = self.numbers(member)
        return {
            name: float(Expression(value, numbers)(**numbers)) if isinstance(value, str) else value
            for name, value in self.exact.params.items()
        }

    def path(self, relative: str, *, trust: bool = False) -> Path:
        """A path in the case, seen from the directory of the case.

        Args:
            relative: as the case says it.
            trust: whether it may lie outside that directory.

        Raises:
            CaseError: if it does lie outside without trust, or is no file.
        """
        if "\0" in relative:
            raise CaseError(f"case `{self.name}` reads {relative!r}, which is no name of a file.")
        found = self._directory / relative
        place = found.resolve()
        if not trust and not place.is_relative_to(self._directory.resolve()):
            raise CaseError(
                f"case `{self.name}` reads `{relative}`, which is outside its directory. "
                "Check that you want that, and run with `--trust`."
            )
        named = self._named_by
        if not (trust or named is None or any(place.is_relative_to(d.resolve()) for d in named)):
            raise CaseError(
                f"case `{self.name}` reads `{found}`, where a file of its run says that the case "
                "was. Check that, and say `--trust`, or do it from the directory of the case."
            )
        if not found.is_file():
            raise CaseError(f"case `{self.name}` reads `{found}`, but there is no such file.")
        return found

    def data_file(self, reference: str, *, trust: bool = False) -> tuple[Path, str | None]:
        """The file and the name of the array that "values.npz:name" or "values.npy" mean.

        Args:
            reference: as the case says it.
            trust: whether the file may lie outside the directory of the case.

        Raises:
            CaseError: as for `path`.
        """
        path, _, key = reference.partition(":")
        return self.path(path, trust=trust), key or None

    @property
    def code(self) -> dict[str, str]:
        """The Python that the case names, as "file.py:name" by path in the case."""
        named = {}
        if self.model is not None and self.model.rule is not None:
            named["model.rule"] = self.model.rule
        for key, form in interactions(self.particles).items():
            if form.potential is not None and ":" in form.potential:
                named[f"particles.{key}.potential"] = form.potential
        return named

    def rule_file(self, reference: str, *, trust: bool = False) -> RuleFile:
        """The file that "file.py:name" means; it is read once, so that what runs has its digest.

        Args:
            reference: as the case says it.
            trust: whether the user agrees to run the code in it.

        Raises:
            CaseError: if there is no trust, or no such file.
        """
        path, _, function = reference.rpartition(":")
        if not trust:
            raise CaseError(
                f"case `{self.name}` runs the code in `{path}`. Read it, and run with `--trust`."
            )
        found = self.path(path, trust=True)
        if found not in self._sources:
            self._sources[found] = found.read_bytes()
        source = self._sources[found]
        return RuleFile(found, function, source, hashlib.sha256(source).hexdigest())

    def code_digests(self, trust: bool) -> dict[str, str]:
        """SHA-256 of the Python that the case names, by path in the case.

        Args:
            trust: whether the user agrees to run it.

        Raises:
            CaseError: if there is no trust, or no such file.
        """
        return {
            path: self.rule_file(reference, trust=trust).sha256
            for path, reference in self.code.items()
        }

    def with_tables(self, table: Mapping[str, Any]) -> Case:
        """A case of other tables with the name, the directory and the code of this one.

        Raises:
            CaseError: if it has mistakes; all are listed.
        """
        case = parse_case(table, self._name, self._directory)
        case._sources, case._named_by = self._sources, self._named_by
        return case

    def resolved(self) -> dict[str, Any]:
        """The case with all defaults and overrides filled in, as plain tables.

        `load_case` reads it back, as `dump_toml` writes it, to an equal case.
        """
        table = _plain(self)
        read = read_keys(self.scheme, self.particles is not None)
        table["scheme"] = {key: one for key, one in table["scheme"].items() if key in read}
        return table


_SECTIONS = tuple(Case.model_fields)


def load_case(path_or_name: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Case:
    """Read a case file, or a built-in case.

    Args:
        path_or_name: a path, or the name of a built-in case; a name with an ending `.toml` or
            with a directory is always a path.
        overrides: assignments `path.to.key=value` that change single entries.

    Returns:
        The case.

    Raises:
        CaseError: if there is no such case, it is not TOML, or has mistakes; all are listed.
    """
    source = os.fspath(path_or_name)
    path = Path(source)
    from_file = path.suffix == ".toml" or path.name != source or path.is_file()
    if from_file:
        text, directory = _read(path), path.parent
    else:
        text, directory = builtin_text(source), Path()
    table = read_toml(text, source)
    for assignment in overrides:
        set_entry(table, assignment)
    case = parse_case(table, path.stem, directory)
    case._file = path if from_file else None
    return case


def parse_case(table: Mapping[str, Any], name: str = "case", directory: Path = Path()) -> Case:
    """Make a case of plain tables.

    Args:
        table: the sections, as TOML gives them.
        name: what the case is called in messages and results.
        directory: where its paths start.

    Returns:
        The case.

    Raises:
        CaseError: if it has mistakes; all are listed.
    """
    sections: dict[str, Any] = {}
    table = _with_kind(table)
    mistakes = [Mistake(key, unknown_key(key, _SECTIONS)) for key in table if key not in _SECTIONS]
    for key, field in Case.model_fields.items():
        if key in table:
            try:
                sections[key] = _reader(key).validate_python(table[key])
            except ValidationError as error:
                mistakes += found_by_pydantic(key, table[key], error.errors())
        elif field.is_required():
            mistakes.append(Mistake(key, "this section is needed, but missing."))
        else:
            make: Any = field.default_factory
            sections[key] = field.default if make is None else make()
    refuse(name, mistakes + find_mistakes(sections))
    case = Case.model_construct(**sections)
    case._name, case._directory = name, directory
    return case


@functools.cache
def _reader(section: str) -> TypeAdapter:
    """What reads one section."""
    return TypeAdapter(Case.model_fields[section].rebuild_annotation())


def _with_kind(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Particles leap with fluxes if nothing else is said."""
    scheme = table.get("scheme", {})
    if "particles" not in table or not isinstance(scheme, dict) or "kind" in scheme:
        return table
    return {**table, "scheme": {"kind": "flux", **scheme}}


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise CaseError(f"`{path}` is no file, so it cannot be a case.")
        if path.stat().st_size > _LARGEST:
            raise CaseError(f"`{path}` is larger than {_LARGEST} bytes. Put data into other files.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CaseError(f"`{path}` is not UTF-8 text ({error}).") from error
    except OSError as error:
        raise CaseError(f"the case file `{path}` cannot be read: {error.strerror}.") from error


def _plain(value: Any) -> Any:
    """Sections as tables and tuples as lists, without what is absent or an empty table."""
    if isinstance(value, Section | dict):
        entries = {key: _plain(one) for key, one in dict(value).items()}
        return {key: one for key, one in entries.items() if one is not None and one != {}}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
