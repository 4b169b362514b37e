"""Kernels with one bug each, and where it must be seen.

`python -m cuda_host.planted MODE` runs all of them, sound and planted, and heads on stderr what is
reported of each.
"""

import sys
from typing import NamedTuple

import numpy as np
from cuda_host.host import HERE, PROLOGUE, HostDevice, HostModule, KernelError


class Bug(NamedTuple):
    """How a planted bug shows.

    Attributes:
        error: in any mode, within the message of the error that ends the launch.
        report: mode in which it is reported, and what the report says.
        nan: whether it turns up as NaN, in any mode.
    """

    error: str = ""
    report: tuple[str, str] = ("", "")
    nan: bool = False


RACE = ("tsan", "data race")
BUGS = {
    "missing_barrier": Bug(report=RACE),
    "missing_barrier_before_write": Bug(report=RACE),
    "missing_syncwarp": Bug(report=RACE),
    "shuffle_for_syncwarp": Bug(report=RACE),
    "static_out_of_range": Bug(report=("asan", "index 32 out of bounds for type 'double [32]'")),
    "dynamic_out_of_range": Bug(report=("asan", "heap-buffer-overflow")),
    "global_out_of_range": Bug(report=("asan", "heap-buffer-overflow")),
    "divergent_barrier": Bug(error="divergent barrier"),
    "barrier_against_shuffle": Bug(error="deadlock"),
    "return_before_barrier": Bug(error="deadlock"),
    "lane_that_never_comes": Bug(error="deadlock"),
    "lane_missing_from_mask": Bug(error="thread 5 is not in the mask ffffffdf"),
    "different_calls": Bug(error="thread 3 is in __syncwarp"),
    "uninitialised_shared": Bug(nan=True),
    "shuffle_from_outside": Bug(nan=True),
    "two_blocks_at_one_address": Bug(report=RACE),
    "two_threads_at_one_address": Bug(report=RACE),
}
VARIANTS = ("sound", "planted")


def compile_all(device: HostDevice) -> HostModule:
    """All kernels in one module: `NAME_sound` and `NAME_planted`."""
    kernels = (HERE / "planted.cu").read_text()
    text = PROLOGUE.read_text()
    for planted, variant in enumerate(VARIANTS):
        text += f"#define PLANTED {planted}\n#define NAMED(name) name##_{variant}\n"
        text += f'#line 1 "planted.cu"\n{kernels}'
        text += "#undef PLANTED\n#undef NAMED\n#undef KERNEL\n#undef WHERE\n"
    return device.compile(text, [f"{name}_{variant}" for variant in VARIANTS for name in BUGS])


def launch(module: HostModule, name: str, variant: str) -> np.ndarray:
    """What a kernel makes of the numbers 1 to 128, from two blocks of 64 threads."""
    given, found = np.arange(1.0, 129.0), np.zeros(128)
    module.launch(f"{name}_{variant}", 2, 64, [found, given], shared=64 * 8)
    return found


def main(mode: str) -> None:
    module = compile_all(HostDevice(mode))
    for variant in VARIANTS:
        for name in BUGS:
            print(f"== {name}_{variant}", file=sys.stderr, flush=True)
            try:
                launch(module, name, variant)
            except KernelError as error:
                print(error, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
