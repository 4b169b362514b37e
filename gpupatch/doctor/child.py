"""What runs in the process of one probe."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

from gpupatch.doctor.examine import MARK, probe_named
from gpupatch.doctor.record import answer


def main(name: str) -> None:
    """Answer one probe, print the record on a line of its own, and stop at once.

    Libraries that print on their own or fail while they are unloaded do not disturb that.

    Args:
        name: of the probe.
    """
    record = answer(probe_named(name))
    sys.stdout.write(f"\n{MARK}{json.dumps(asdict(record), default=str)}\n")
    sys.stdout.flush()
    os._exit(0)
