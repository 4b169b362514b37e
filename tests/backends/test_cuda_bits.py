"""Kernels compute the lowered expressions and nothing else: the same bits as NumPy, unfused."""

import numpy as np
import pytest
from problems import problem

from gpupatch.backends._cuda_source import STATE
from gpupatch.backends._tables import rule_tables
from gpupatch.micro import lattice
from gpupatch.micro.lower import STEP
from gpupatch.micro.printers import ArrayPrinter

NOW, STEP_LENGTH = 0.3, 1e-4
LIBRARY = [candidate for entries in lattice._LIBRARY.values() for candidate in entries]


def lowered_increments(given, program):
    """The lowered rates times the step, evaluated array by array as they are printed."""
    model, lowering = given.model, program.point
    block = lowering.block([STEP * rate for rate in model.rule.rates])
    statics, scalars, _, _ = rule_tables(model, lowering, program.exact, STEP_LENGTH, "float64")
    statics = statics.reshape(len(statics), -1, *model.sites)
    per_patch = np.repeat(scalars, len(model.origin), axis=0)
    spread = (slice(None), *(None,) * len(model.sites))
    values = {"np": np, "now": NOW, "t": NOW}
    values |= {name: per_patch[:, k][spread] for name, k in block.scalars}
    printer = ArrayPrinter()
    for name, expression in block.stage:
        values[name] = eval(printer(expression), values)
    for load in block.loads:
        array = given.u if load.array == "field" else statics
        window = tuple(
            slice(w.start + o, w.stop + o) for w, o in zip(model.inside, load.offset, strict=True)
        )
        values[load.symbol] = array[(slice(None), load.index, *window)]
    for name, expression in block.statements:
        values[name] = eval(printer(expression), values)
    return [eval(printer(output), values) for output in block.outputs]


@pytest.mark.parametrize("candidate", LIBRARY, ids=lambda r: r.name)
def test_increments_have_the_bits_of_the_lowered_expressions(host, candidate):
    given = problem(candidate, shared=False)
    kernels = host.load(given.model, "float64")
    passes = kernels.batch.passes("euler", STATE)
    u = kernels.pack(given.u)
    out = host.device.put(np.full(u.shape, np.nan))
    kernels._rate(passes, u, out, STEP_LENGTH, NOW)
    inside = given.model.inside
    for field, expected in enumerate(lowered_increments(given, passes.program)):
        found = host.device.get(out)[(slice(None), field, *inside)]
        np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))
