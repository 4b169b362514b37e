"""The errors a user can meet: each says what was asked, what was found and what to do."""


class GpupatchError(Exception):
    """Any failure that gpupatch explains in one message.

    Attributes:
        exit_code: what the command line returns to the shell.
    """

    exit_code = 2


class InputError(GpupatchError):
    """Something in what the user wrote cannot be run as it stands."""


class RuleError(InputError):
    """A micro-rule that cannot be traced, lowered or used as asked."""


class GridError(InputError):
    """A patch grid whose numbers contradict each other."""


class SchemeError(InputError):
    """Parts that are each fine but do not fit together."""


class CaseError(InputError):
    """A case file with one or more mistakes, all of them listed."""


class BackendError(GpupatchError):
    """A backend that was asked for by name and cannot run here."""


class NonFiniteError(GpupatchError):
    """The state became infinite or undefined; the run stops at the last good state.

    Attributes:
        time: model time of the failure, same units as the case.
        member: index of the member.
        patch: index of the patch on each axis.
        field: name of the field.
    """

    exit_code = 3

    def __init__(self, time: float, member: int, patch: tuple[int, ...], field: str):
        self.time, self.member, self.patch, self.field = time, member, patch, field
        where = ", ".join(str(index) for index in patch)
        super().__init__(
            f"field `{field}` stopped being finite at t = {time:.6g} in patch ({where}) of member "
            f"{member}. Use a smaller `time.dt` (or `time.step`), or check the rule, its "
            "parameters and the initial state."
        )


class QuarantineError(NonFiniteError):
    """More patches failed in one burst than may be replaced by their neighbours.

    Attributes:
        time: model time of the burst, same units as the case.
    """

    def __init__(self, time: float, failed: int, patches: int, share: float):
        self.time = time
        GpupatchError.__init__(
            self,
            f"{failed} of {patches} patches failed in a burst at t = {time:.6g}, more than the "
            f"{100 * share:.3g} % that their neighbours may stand in for "
            "(`run.max_quarantined`). Use a smaller `burst.dt` or `time.step`, or look at one of "
            "them with `gpupatch replay`.",
        )


def suggestion(name: str, allowed) -> str:
    """The end of a message about an unknown name: the nearest valid name and all of them."""
    import difflib

    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean `{near[0]}`? " if near else ""
    return f"{hint}Known: {', '.join(names)}."
