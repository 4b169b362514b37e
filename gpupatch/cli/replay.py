"""The command that runs one failed patch again: replay."""

import argparse
from pathlib import Path

from gpupatch.cli.arguments import OK, Command, backend_argument, trust_argument


def _replay(given: argparse.Namespace) -> int:
    from gpupatch.errors import InputError
    from gpupatch.plot.replay import replay_figure
    from gpupatch.run.replay import replay

    base = given.out or given.file.with_name(f"{given.file.stem}_replay")
    data, picture = (base.with_name(f"{base.name}{end}") for end in (".nc", ".png"))
    for path in (data, picture):
        if path.exists() and not given.overwrite:
            raise InputError(
                f"`{path}` exists already. Choose another name with `--out`, or replace it with "
                "`--overwrite`."
            )
    found = replay(given.file, backend=given.backend, every_step=given.steps, trust=given.trust)
    ds = found.to_xarray()
    ds.to_netcdf(data)
    replay_figure(ds).savefig(picture)
    if not given.quiet:
        print("\n".join(found.lines()))
        print(f"values and picture in {data}, {picture}")
    return OK


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a failed_patch.npz from the directory of a run"
    )
    backend_argument(parser)
    parser.add_argument("--steps", action="store_true", help="show every micro-step")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="NAME",
        help="where values and picture go, as NAME.nc and NAME.png (default: beside FILE)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier replay")
    trust_argument(parser)


COMMANDS = (
    Command("replay", "run one patch that failed again by itself", _replay, _replay_arguments),
)
