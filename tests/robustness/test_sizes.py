"""What no memory holds is refused by its size, before anything is allocated."""

import json
import os
import subprocess
import sys

import pytest

from gpupatch import memory
from gpupatch.errors import GpupatchError, InputError
from gpupatch.steps import count_steps

LIMIT = 3 * 10**9
_ASK = """
import json, resource, time
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
import gpupatch as gp
from gpupatch.files.case import load_case
from gpupatch.files.expression import Expression
from gpupatch.micro import lattice
from gpupatch.run import build
backend, _ = gp.get_backend("numpy")
grid = gp.PatchGrid([(0.0, 1.0)], [8], 5, ratio=0.2)
heat = lattice.get("diffusion", 1)
built = lambda name, *changes: build(load_case(name, changes), backend)
asked = {{
    "patches": lambda: gp.PatchGrid([(0.0, 1.0)], [10**9], 5, ratio=0.2),
    "sites": lambda: gp.PatchGrid([(0.0, 1.0)] * 2, [8, 8], [10**6, 10**6], ratio=0.2),
    "endless patches": lambda: gp.PatchGrid([(0.0, 1.0)], [10**400], 5, ratio=0.2),
    "sites of a width": lambda: gp.PatchGrid(
        [(0.0, 1.0)], [8], dx=1e-300, core=0.1, buffer=0.0
    ),
    "replicas": lambda: gp.Problem(heat, grid, {{"D": 1.0}}, replicas=10**12),
    "members": lambda: gp.Problem(heat, grid, members={{"D": range(10**5), "E": range(10**5)}}),
    "a chain": lambda: gp.chain(10**12),
    "angles": lambda: gp.chain_angles(10**12),
    "micro-steps": lambda: gp.Burst(1.0, dt=1e-12).steps(1.0),
    "case patches": lambda: built("burgers", "grid.patches=1000000000"),
    "case sites": lambda: built("burgers", "grid.sites=1000000001"),
    "case saves": lambda: gp.simulate(
        gp.CoupledScheme(gp.Problem(heat, grid, {{"D": 1.0}}), backend), {{"u": 0.0}}, 1.0,
        save=10**9,
    ),
    "case replicas": lambda: built("brownian_soft", "run.replicas=1000000000"),
    "case count": lambda: built("burgers", "run.replicas=1000000000000"),
    "case density": lambda: built("brownian_soft", "initial.density=1e15"),
    "case boxes": lambda: built("lj_fluid", "scheme.boxes=1000000000"),
    "case chains": lambda: built("polymer_stretch", "scheme.chains=1000000000"),
    "case cells": lambda: built("lj_fluid", "grid.patches=1000000000"),
    "case members": lambda: built(
        "burgers", *(f"members.{{name}}=[{{','.join('1' * 1000)}}]" for name in "abc"),
        "constants={{ a = 1, b = 1, c = 1 }}",
    ),
    "a power of powers": lambda: Expression("9**9**9"),
    "a large power": lambda: Expression("10**400"),
    "a long formula": lambda: Expression("x" * 10**6, ("x",)),
    "a nested formula": lambda: Expression("(" * 10**6 + "1" + ")" * 10**6),
    "nested lists": lambda: built("burgers", "coefficients.k=" + "[" * 10**5 + "]" * 10**5),
}}
answers = {{}}
for what, ask in asked.items():
    began = time.process_time()
    try:
        ask()
        answers[what] = "accepted", 0.0
    except gp.GpupatchError as error:
        answers[what] = str(error), time.process_time() - began
    except BaseException as error:
        answers[what] = repr(error), 1e9
print(json.dumps(answers))
"""
ASKED = [line.split('"')[1] for line in _ASK.splitlines() if line.startswith('    "')]


@pytest.fixture(scope="module")
def answers():
    """Message and CPU seconds for everything in `ASKED`, in a process of little memory."""
    if sys.platform == "win32":
        pytest.skip("limits of a process are those of POSIX")
    done = subprocess.run(
        [sys.executable, "-c", _ASK.format(limit=LIMIT)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-1000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("what", ASKED)
def test_what_no_memory_holds_is_refused_without_touching_it(answers, what):
    message, seconds = answers[what]
    assert seconds < 5, message
    assert message != "accepted"
    assert len(message) < 3000


def test_a_size_is_told_in_words_whatever_it_is():
    assert memory.size(0) == "0 B"
    assert memory.size(999) == "999 B"
    assert memory.size(1000) == "1 kB"
    assert memory.size(12_345_678) == "12.3 MB"
    assert memory.size(10**5000) == "more than 1e+21 B"
    assert memory.numbers([10**9, 10**9], 3) == 24 * 10**18


def test_what_fits_is_not_refused(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1000)
    memory.require(1000, "a table", "Make it smaller.")
    with pytest.raises(InputError, match=r"a table: about 1 kB of memory.* but 1 kB are free"):
        memory.require(1001, "a table", "Make it smaller.")


def test_steps_fill_a_time_and_are_refused_when_they_would_not_advance_it():
    assert count_steps(1.0, 0.25) == 4
    assert count_steps(-1.0, 0.3) == 4
    assert count_steps(0.3, 0.1) == 3
    assert count_steps(0.0, 0.1) == 1
    for step in (1e-300, 0.0, -1.0, 1e-17):
        with pytest.raises(GpupatchError, match="too short to advance"):
            count_steps(1.0, step)
