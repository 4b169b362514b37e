"""The command that looks at the machine: doctor."""

import argparse
import json
import sys
import time

from gpupatch.cli.arguments import OK, Command

BROKEN = 4
_PATIENCE = 4.0


def _doctor(given: argparse.Namespace) -> int:
    from gpupatch.doctor.examine import examine
    from gpupatch.doctor.record import PROBLEM
    from gpupatch.doctor.table import as_json, line, verdict

    talks = not given.json
    records, group = [], None
    for probe, record in examine(waiting=_Patience()):
        records.append((probe, record))
        if not talks or (given.quiet and record.state != PROBLEM):
            continue
        if probe.group != group and not given.quiet:
            print(f"{'' if group is None else chr(10)}{probe.group}")
            group = probe.group
        print(line(probe, record), flush=True)
    if given.json:
        print(json.dumps(as_json(records), indent=2))
    elif not given.quiet:
        print(f"\n{verdict(records)}")
    return BROKEN if any(record.state == PROBLEM for _, record in records) else OK


class _Patience:
    """Says once on a terminal what is being waited for, when it takes long."""

    def __init__(self):
        self._began, self._said = time.monotonic(), not sys.stderr.isatty()

    def __call__(self, probes: list) -> None:
        if self._said or time.monotonic() - self._began < _PATIENCE:
            return
        self._said = True
        print(
            f"gpupatch: waiting for {'; '.join(probe.name for probe in probes)} "
            "(what is compiled now is kept)",
            file=sys.stderr,
        )


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the same for programs")


COMMANDS = (
    Command("doctor", "look whether everything works on this machine", _doctor, _doctor_arguments),
)
