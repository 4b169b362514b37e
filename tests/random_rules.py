"""Rules that no one would write, from Hypothesis, as the text of a function."""

from hypothesis import strategies as st

from gpupatch.micro import functions as gp
from gpupatch.micro.rule import Rule, rule

FIELDS = ("u", "v", "w")


def leaves(n_fields: int, reach: int):
    """Neighbours, coefficients at sites and faces, parameters, place, time and numbers."""
    offsets = st.integers(-reach, reach)
    fields = st.builds("{}[{}]".format, st.sampled_from(FIELDS[:n_fields]), offsets)
    numbers = st.integers(-3, 3).map(lambda n: f"({n / 2})")
    others = st.sampled_from(["k[0]", "k[0.5]", "k[-0.5]", "k[1]", "p", "dx", "x", "t"])
    return st.one_of(fields, fields, fields, numbers, others)


def formulas(leaf, smooth: bool):
    """Sums, products and functions of leaves that stay of moderate size."""

    def grow(inner):
        pairs = ["({} + {})", "({} - {})", "({} * {})", "({} / (2 + ({})**2))"]
        single = ["gp.tanh({})", "gp.sin({})", "gp.exp(-({})**2)", "gp.sqrt(1 + ({})**2)",
                  "(gp.cos({}) / dx)", "({})**2", "({})**3", "gp.log(2 + gp.cos({}))"]  # fmt: skip
        kinks = ["gp.where(u[0] > 1.0, {}, {})", "gp.maximum({}, {})", "gp.minimum({}, {})"]
        chosen = pairs if smooth else pairs + kinks
        joined = st.builds(lambda f, a, b: f.format(a, b), st.sampled_from(chosen), inner, inner)
        applied = st.builds(lambda f, a: f.format(a), st.sampled_from(single), inner)
        return st.one_of(joined, joined, applied)

    return st.recursive(leaf, grow, max_leaves=6)


@st.composite
def rules(draw, smooth: bool = False) -> Rule:
    """A rule of one to three fields that reads one or two neighbours.

    Args:
        draw: given by Hypothesis.
        smooth: whether functions with a kink in a field are left out.
    """
    n_fields, reach = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    rates = [draw(formulas(leaves(n_fields, reach), smooth)) for _ in range(n_fields)]
    fields = FIELDS[:n_fields]
    spread = [f"({f}[1] - 2 * {f}[0] + {f}[-1]) / dx**2" for f in fields]
    returned = ", ".join(f"{a} + {b}" for a, b in zip(spread, rates, strict=True))
    text = f"def drawn({', '.join(fields)}, k, p, dx, x, t):\n    return {returned}\n"
    space: dict = {"gp": gp}
    exec(text, space)
    return rule(fields=" ".join(fields), coefficients="k")(space["drawn"])
