"""Case files: what they mean, and how every mistake in them is told."""

import re
from types import NoneType
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpupatch.burst import EDGES, ESTIMATORS, STEPPERS
from gpupatch.coupling import KINDS
from gpupatch.errors import CaseError
from gpupatch.files.builtin import builtin_names, builtin_summary
from gpupatch.files.case import Case, load_case, parse_case
from gpupatch.files.faces import Faces
from gpupatch.files.forms import (
    CellCoefficient,
    ExpressionCoefficient,
    FileCoefficient,
    FileInitial,
    RandomCoefficient,
    RandomInitial,
)
from gpupatch.files.particles import NeighboursForm, PairForm, Particles
from gpupatch.files.schema import Burst, NamedSolution, Scheme, Time
from gpupatch.files.toml import dump_toml, read_toml, set_entry
from gpupatch.lifting import particles
from gpupatch.particles import lattice_gas
from gpupatch.particles.dynamics import DYNAMICS
from gpupatch.particles.interaction import MIXINGS
from gpupatch.particles.model import SEARCHES
from gpupatch.particles.observe import KERNELS
from gpupatch.particles.potential import TRUNCATIONS
from gpupatch.projection import OPTIONS
from gpupatch.scheme import sampling
from gpupatch.scheme.burst import LIFTS, METHODS

HEAT = """
title = "heat"
[model]
name = "diffusion"
params = { D = 0.5 }
[grid]
domain = [[0.0, "2*pi"]]
patches = 8
sites = 9
ratio = 0.2
[initial]
u = "sin(x)"
[time]
end = 1.0
"""


def heat(*overrides: str) -> Case:
    return parse_case(table(*overrides), "heat")


def table(*overrides: str):
    found = read_toml(HEAT, "heat.toml")
    for assignment in overrides:
        set_entry(found, assignment)
    return found


def mistakes(*overrides: str) -> list[str]:
    with pytest.raises(CaseError) as caught:
        heat(*overrides)
    head, *lines = str(caught.value).splitlines()
    listed = [line.strip() for line in lines if re.match(r"  \S", line)]
    assert head.startswith(f"{len(listed)} mistake")
    return listed


def test_an_absent_key_has_its_default():
    case = heat()
    assert case.scheme.kind == "coupled"
    assert case.scheme.order == 4
    assert case.grid.boundary == ("periodic",)
    assert case.grid.positions == ("equispaced",)
    assert case.time.micro == "rk4"
    assert case.time.save == 11
    assert case.run.backend == "auto"
    assert case.burst is None
    assert case.compare is None
    assert case.member_values == ({},)


def test_a_number_may_be_a_formula_of_numbers():
    case = heat("grid.ratio=1/6", "model.params.D=0.01/pi", "time.end=2*pi")
    assert case.grid.domain == ((0.0, 2 * np.pi),)
    assert case.grid.ratio == (1 / 6,)
    assert case.parameters == {"D": 0.01 / np.pi}
    assert case.time.end == 2 * np.pi


def test_a_single_value_stands_for_all_axes():
    case = heat("grid.domain=[[0, 1], [0, 2]]", "grid.sites=5", "initial.u=x*y")
    assert case.axes == ("x", "y")
    assert case.grid.patches == (8, 8)
    assert case.grid.sites == (5, 5)
    assert case.grid.boundary == ("periodic", "periodic")
    assert case.grid.offset == (0.0, 0.0)


def test_positions_of_one_axis_need_no_second_brackets():
    case = heat("grid.positions=[0.1, 0.2]", "grid.patches=2")
    assert case.grid.positions == ((0.1, 0.2),)


def faces_of(boundary: str) -> Faces:
    (faces,) = heat("grid.ratio=", "grid.dx=0.01", f"grid.boundary={boundary}").grid.boundary
    assert isinstance(faces, Faces)
    return faces


def test_a_boundary_has_shorthands_for_equal_ends():
    for boundary, robin_form in (
        ("neumann", (0.0, 1.0, 0.0)),
        ("{ dirichlet = 2 }", (1.0, 0.0, 2.0)),
    ):
        faces = faces_of(boundary)
        assert faces.lo.robin_form == faces.hi.robin_form == robin_form


def test_each_end_has_its_own_condition_in_numbers_or_formulas():
    faces = faces_of("[{ lo = { dirichlet = 'sin(t)' }, hi = { robin = [1, '1/2', 'D*t'] } }]")
    assert faces.lo.robin_form == (1.0, 0.0, "sin(t)")
    assert faces.hi.robin_form == (1.0, 0.5, "D*t")


def test_a_field_may_have_its_own_condition():
    faces = faces_of("{ dirichlet = 0, fields = { v = { neumann = 1 } } }")
    assert faces.lo.fields["v"].robin_form == (0.0, 1.0, 1.0)


def test_a_coefficient_has_one_of_four_forms():
    case = heat(
        "constants.eps=1/40",
        "coefficients.a={ expr = '1.1 + sin(2*pi*x/eps)', at = 'faces' }",
        "coefficients.b={ cell = [1, 10.0], at = 'faces', axis = 0 }",
        "coefficients.c={ file = 'k.npz:c' }",
        "coefficients.d={ random = 'lognormal', sigma = 1, seed = 3 }",
        "coefficients.e=2",
    )
    a, b, c, d, e = case.coefficients.values()
    assert a == ExpressionCoefficient(expr="1.1 + sin(2*pi*x/eps)", at="faces")
    assert b == CellCoefficient(cell=(1.0, 10.0), at="faces", axis=0)
    assert c == FileCoefficient(file="k.npz:c")
    assert d == RandomCoefficient(random="lognormal", sigma=1.0, seed=3)
    assert e == ExpressionCoefficient(expr=2.0)


def test_a_cell_is_nested_once_per_axis():
    plane = ("grid.domain=[[0, 1], [0, 1]]", "initial.u=x")
    case = heat(*plane, "coefficients.k={ cell = [[1, 2], [3, 4], [5, 6]] }")
    cell = case.coefficients["k"]
    assert isinstance(cell, CellCoefficient)
    assert np.shape(cell.cell) == (3, 2)
    assert (
        "nested 1 deep in 2 dimensions" in mistakes(*plane, "coefficients.k={ cell = [1, 2] }")[0]
    )
    assert "same length" in mistakes("coefficients.k={ cell = [[1, 2], [3]] }")[0]


def test_an_initial_state_is_a_formula_a_file_or_noise():
    case = heat(
        "initial.v=0.5",
        "initial.w={ file = 'w.npy' }",
        "initial.x={ random = 'smooth', amplitude = 0.1, mean = 'x' }",
    )
    assert list(case.initial) == ["u", "v", "w", "x"]
    assert case.initial["v"] == 0.5
    assert case.initial["w"] == FileInitial(file="w.npy")
    assert case.initial["x"] == RandomInitial(random="smooth", amplitude=0.1, mean="x")


def test_members_are_all_combinations_the_last_name_fastest():
    case = heat("members.D=[1, 2]", "members.q=[3, 4, 5]", "constants.q=0")
    assert case.member_values[:2] == ({"D": 1.0, "q": 3.0}, {"D": 1.0, "q": 4.0})
    assert len(case.member_values) == 6
    assert case.numbers() == {"q": 0.0, "D": 0.5}
    assert case.numbers(case.member_values[-1]) == {"q": 5.0, "D": 2.0}


def test_a_formula_of_the_case_knows_coordinates_time_and_numbers():
    case = heat("constants.L=2")
    formula = case.formula("exp(-D*t)*sin(x/L)")
    assert formula.names == ("D", "L", "t", "x")
    assert case.formula(-1e-5)(x=np.zeros(3)).tolist() == [-1e-5] * 3
    with pytest.raises(CaseError, match="unknown name `t`"):
        case.formula("t", timed=False)


def test_an_exact_solution_is_named_or_given_per_field():
    assert heat().exact is None
    assert heat("compare.exact=sin(x)").exact == {"u": "sin(x)"}
    assert heat("compare.exact={ u = 'sin(x)' }").exact == {"u": "sin(x)"}
    case = heat("compare.exact={ solution = 'heat_mode', params = { wavenumbers = [1, 2] } }")
    assert case.exact == NamedSolution(solution="heat_mode", params={"wavenumbers": (1.0, 2.0)})


def test_parameters_of_a_solution_may_follow_those_of_the_model():
    exact = "compare.exact={ solution = 'heat_mode', params = { diffusivity = 'D', k = [1, 2] } }"
    case = heat(exact, "members.D=[3, 4]")
    assert case.solution_parameters() == {"diffusivity": 0.5, "k": (1.0, 2.0)}
    assert case.solution_parameters(case.member_values[1])["diffusivity"] == 4.0
    with pytest.raises(CaseError, match="names no exact solution"):
        heat().solution_parameters()


def test_all_mistakes_are_listed_at_once_with_their_paths_and_the_nearest_names():
    found = mistakes(
        "grdi.patches=3",
        "grid.patchs=3",
        "scheme.kind=brst",
        "time.end=-1",
        "initial.u=sinn(x)",
        "run.seed=-1",
        "compare.full_domain=1",
    )
    assert [line.partition(":")[0] for line in found] == [
        "grdi", "grid.patchs", "scheme.kind", "run.seed", "compare.full_domain", "time.end",
    ]  # fmt: skip
    assert "Did you mean `grid`?" in found[0]
    assert "Did you mean `patches`?" in found[1]
    assert "found 'brst'" in found[2]
    assert "Did you mean 'burst'?" in found[2]


def test_a_mistake_in_a_value_for_all_axes_is_listed_once():
    found = mistakes("grid.domain=[[0, 1], [0, 1], [0, 1]]", "grid.patches=0")
    assert found == ["grid.patches: found 0; it must be greater than or equal to 1"]


def test_a_mistake_in_a_shorthand_boundary_is_listed_once_where_it_was_written():
    found = mistakes("grid.boundary={ dirichle = 0 }")
    assert len(found) == 1
    assert found[0].startswith("grid.boundary.dirichle: there is no such key.")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["model.rule=a.py:f"], "model: both are given; give exactly one of `name` and `rule`"),
        (["model.name="], "model: neither is given"),
        (["model.name=", "model.rule=a.txt"], 'model.rule: found .* must be "file.py:name"'),
        (["model.params.x=1"], "model.params.x: this name belongs to the grid"),
        (["constants.D=1"], "constants.D: a parameter has the same name"),
        (["members.D=[]"], "members.D: found .* at least 1 item"),
        (["grid.dx=0.1"], "grid: both are given; give exactly one of `ratio` and `dx`"),
        (["grid.ratio="], "grid: neither is given"),
        (["grid.boundary=neumann"], "grid.ratio: this is for periodic axes only"),
        (["grid.boundary=wall"], 'grid.boundary: found .wall.; it must be "periodic"'),
        (["grid.ratio=", "grid.dx=1", "grid.boundary={ lo = {}, hi = {} }"], "exactly one of"),
        (["grid.patches=[3, 4]"], "grid.patches: found 2 entries, but the domain has 1 axes"),
        (["grid.domain=[[1, 0]]"], "grid.domain.0: found .*; the second must be larger"),
        (["grid.domain=[0, 1]"], "grid.domain.0: found 0; it must be a list"),
        (["grid.domain=[]"], "grid.domain: found 0 axes"),
        (["grid.sites=8"], "grid.sites: .* must be odd"),
        (["grid.sites="], "grid: give `sites`, or all of `core`, `buffer` and `dx`"),
        (["grid.sites=9.0"], "grid.sites: found 9.0; it must be a whole number"),
        (["grid.core=0.1"], "grid.core: this has no effect with scheme.kind = 'coupled'"),
        (["scheme.order=3"], "scheme.order: found 3; it must be 2, 4, 6, 8 or 'spectral'"),
        (["scheme.order=spectrl"], "Did you mean 'spectral'"),
        (["scheme.lift=projection"], "scheme.lift: this has no effect with kind = 'coupled'"),
        (["scheme.phases=[2, 2]"], "scheme.phases: found 2 entries"),
        (["scheme.couple=staggered", "grid.patches=7"], "grid.patches: .* an even number"),
        (["scheme.kind=burst"], "burst: scheme.kind = 'burst' needs this section"),
        (["scheme.kind=flux", "burst.length=1"], "time.projection: found 'none'"),
        (["scheme.kind=burst", "scheme.couple=edgy"], "scheme.couple: this has no effect"),
        (["burst.length=1"], "burst: this has no effect with time.projection = 'none'"),
        (["burst={}"], "burst.length: this key is needed, but missing"),
        (["time.projection=pfe", "time.step=1", "burst.length=1"], "burst: this has no effect"),
        (["time.projection=pfe"], "time.step: projection = 'pfe' needs it"),
        (["time.step=0.1"], "time.step: this has no effect with projection = 'none'"),
        (["time.tol=0.1"], "time.tol: this has no effect"),
        (["time.end=0"], "time.end: found 0.0; it must be after the start, 0.0"),
        (["time.end=soon"], "time.end: found 'soon'; unknown name `soon`"),
        (["time="], "time: this section is needed, but missing"),
        (["time=3"], "time: found 3; it must be a table"),
        (["time.save=1"], "time.save: found 1; it must be a number of times, at least 2"),
        (["time.save=[0, 2]"], "time.save: the times must rise and lie between"),
        (["time.dt=0"], "time.dt: found 0.0; it must be greater than 0"),
        (["time.dt=true"], "time.dt: found True; it must be a number"),
        (["time.dt=inf"], "time.dt: found inf; it must be finite"),
        (["initial={}"], "initial: found .* at least 1 item"),
        (["initial.u=sin(y)"], "initial.u: unknown name `y`"),
        (["initial.u=[1]"], "initial.u: found .*; it must be a number or a formula"),
        (["initial.u={ rndom = 1 }"], "initial.u: found .*Did you mean `random`"),
        (["initial.u={ file = 'u.txt' }"], "initial.u.file: .* must be .values.npz:name"),
        (["initial.u={ file = 'u.npz' }"], "initial.u.file"),
        (["initial.u={ random = 'normal', amplitude = 1, mean = 'q' }"], "initial.u.mean: unknown"),
        (["coefficients.k=t"], "coefficients.k.expr: unknown name `t`"),
        (["coefficients.k={ expr = 1, cell = [1] }"], "`expr` and `cell` exclude each other"),
        (["coefficients.k={ cell = [1], axis = 1 }"], "coefficients.k.axis: found 1"),
        (["output.fields=['v']"], "output.fields: there is no field `v`"),
        (["output.every=2"], "output.every: this has no effect without patches = true"),
        (["compare={}"], "compare: neither is given"),
        (["compare.exact=u", "compare.full_domain=true"], "compare: both are given"),
        (["compare.exact=sin(q)"], "compare.exact: unknown name `q`"),
        (["compare.exact={ w = 1 }"], "compare.exact.w: there is no field `w`"),
        (["compare.exact=1", "initial.v=1"], "compare.exact: with more than one field"),
        (["compare.exact={ solution = 'a', params = { b = 'c' } }"], "params.b: unknown name `c`"),
        (["compare.exact={ solution = 'a', parms = {} }"], "Did you mean `params`"),
    ],
)
def test_a_mistake_says_where_it_is_what_was_found_and_what_is_allowed(overrides, told):
    assert any(re.search(told, line) for line in mistakes(*overrides)), mistakes(*overrides)


def test_a_burst_must_leave_time_to_measure():
    burst = ("scheme.kind=burst", "time.projection=rk2", "time.step=0.1", "burst.length=0.01")
    assert heat(*burst).burst == Burst(length=0.01)
    assert mistakes(*burst, "burst.heal=0.01")[0].startswith("burst.heal: found 0.01")
    assert mistakes(*burst, "burst.dt=0.02")[0].startswith("burst.dt: found 0.02")


def test_a_wrong_formula_is_shown_with_a_mark_under_the_place():
    with pytest.raises(CaseError) as caught:
        heat("initial.u=1 + sin(q)")
    *_, formula, mark = str(caught.value).splitlines()
    assert formula[mark.index("^")] == "q"


def test_sections_that_contradict_each_other_cannot_be_put_together_in_python_either():
    case = heat()
    sections = {name: getattr(case, name) for name in ("model", "grid", "initial", "time")}
    assert Case(**sections, title="heat").resolved() == case.resolved()
    with pytest.raises(CaseError, match="needs this section"):
        Case(**sections, scheme=Scheme(kind="burst"))


@pytest.mark.parametrize("name", builtin_names())
def test_a_resolved_case_reads_back_as_the_same_case(name):
    case = load_case(name)
    text = dump_toml(case.resolved())
    assert parse_case(read_toml(text, name), name, case.directory) == case


@pytest.mark.parametrize("name", builtin_names())
def test_a_built_in_case_has_a_title_and_says_what_it_is_about(name):
    title, about = builtin_summary(name)
    assert title
    assert about.endswith(".")
    assert load_case(name).name == name
    assert load_case(name).title == title


def test_an_unknown_name_lists_the_built_in_cases():
    with pytest.raises(CaseError, match=r"no built-in case `burger`\. Did you mean `burgers`"):
        load_case("burger")


def test_a_case_file_is_found_by_its_path(tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    path.write_text(HEAT)
    case = load_case(path, ["time.end=3"])
    assert (case.name, case.directory, case.time.end) == ("mine", tmp_path, 3.0)
    monkeypatch.chdir(tmp_path)
    assert load_case("mine.toml").time.end == 1.0


def test_a_missing_case_file_is_named():
    with pytest.raises(CaseError, match=r"`nowhere/case.toml` cannot be read: No such file"):
        load_case("nowhere/case.toml")


def test_a_case_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "case.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CaseError, match="is not UTF-8"):
        load_case(path)


def test_paths_stay_inside_the_directory_of_the_case_unless_trusted(tmp_path):
    inside = tmp_path / "case"
    inside.mkdir()
    (tmp_path / "u.npz").touch()
    (inside / "u.npz").touch()
    (inside / "link.npz").symlink_to(tmp_path / "u.npz")
    case = parse_case(table(), "heat", inside)
    assert case.data_file("u.npz:u") == (inside / "u.npz", "u")
    for outside in ("../u.npz", str(tmp_path / "u.npz"), "link.npz"):
        with pytest.raises(CaseError, match="outside its directory"):
            case.path(outside)
        assert case.path(outside, trust=True).is_file()
    with pytest.raises(CaseError, match="no such file"):
        case.path("v.npz")


def test_a_rule_file_needs_trust_and_is_pinned_by_its_digest(tmp_path):
    (tmp_path / "rules.py").write_text("x = 1\n")
    rule = table("model.name=", "model.rule=rules.py:burgers")
    case = parse_case(rule, "mine", tmp_path)
    with pytest.raises(CaseError, match="--trust"):
        case.rule_file(case.code["model.rule"])
    found = case.rule_file(case.code["model.rule"], trust=True)
    assert (found.path, found.function) == (tmp_path / "rules.py", "burgers")
    assert found.source == b"x = 1\n"
    assert found.sha256 == "9e26bf369911c45c243c684147b23fc9e1dcfcf257d299a1c632016a6fcd33f4"
    assert heat().code == {}


SCALARS = st.one_of(st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(st.dictionaries(st.text(), VALUES))
def test_any_table_survives_being_written_and_read(found):
    assert read_toml(dump_toml(found), "text") == found


@given(st.dictionaries(st.sampled_from(list(Case.model_fields)), VALUES))
def test_any_table_is_a_case_or_a_case_error(found):
    try:
        parse_case({**table(), **found})
    except CaseError as error:
        assert "mistake" in str(error)  # noqa: PT017


def test_a_syntax_error_is_shown_with_its_line_and_column():
    with pytest.raises(CaseError) as caught:
        read_toml('title = "a"\nx = = 3\n', "case.toml")
    message, line, mark = str(caught.value).splitlines()
    assert "`case.toml` is not TOML" in message
    assert "line 2, column 5" in message
    assert line.strip() == "x = = 3"
    assert line[mark.index("^")] == "="


def test_text_nested_without_end_is_refused():
    with pytest.raises(CaseError):
        read_toml("x = " + "[" * 100_000, "case.toml")


def test_set_takes_toml_values_and_bare_words():
    found = table()
    for assignment in (
        "time.end=2.5",
        "grid.patches=[96]",
        "scheme.couple=edgy",
        "initial.u=sin(pi*x)",
        'title="a = b"',
        "output.patches=true",
        "grid.ratio=",
    ):
        set_entry(found, assignment)
    assert found["time"]["end"] == 2.5
    assert found["grid"]["patches"] == [96]
    assert found["scheme"]["couple"] == "edgy"
    assert found["initial"]["u"] == "sin(pi*x)"
    assert found["title"] == "a = b"
    assert found["output"]["patches"] is True
    assert "ratio" not in found["grid"]


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("time.end", "is not of the form"),
        ("=3", "is not of the form"),
        ("time..end=3", "is not of the form"),
        ("title.x=3", "`title` is 'heat', which has no entries"),
        ("grid.patches=[1,", "is not TOML"),
        ("grid.patches=3\nevil=2", r"grid\.patches: found '3\\nevil=2'"),
    ],
)
def test_a_faulty_set_is_refused(assignment, told):
    with pytest.raises(CaseError, match=told):
        heat(assignment)


@pytest.mark.parametrize(
    ("section", "key", "offered"),
    [
        (Time, "micro", STEPPERS),
        (Time, "projection", tuple(OPTIONS)),
        (Burst, "slope", ESTIMATORS),
        (Scheme, "couple", KINDS),
        (Scheme, "edge", (*EDGES, *sampling.EDGES)),
        (Scheme, "lift", (*LIFTS, *particles.METHODS)),
        (Scheme, "method", METHODS),
        (Scheme, "number", particles.NUMBERS),
        (Scheme, "kernel", KERNELS),
        (Particles, "dynamics", (*DYNAMICS, *lattice_gas.KINDS)),
        (PairForm, "truncation", TRUNCATIONS),
        (PairForm, "mixing", MIXINGS),
        (NeighboursForm, "search", SEARCHES),
    ],
)
def test_a_choice_lists_what_the_parts_offer(section, key, offered):
    assert choices(section.model_fields[key].annotation) == set(offered)


def choices(annotation) -> set[str]:
    """Words of a literal, or of the literal in a union with None."""
    return {
        word
        for one in get_args(annotation)
        for word in (get_args(one) or [one])
        if word is not NoneType
    }
