"""Progress is a bar on a terminal, a sparse log elsewhere, and silence when asked."""

import contextlib
import io
import re

import pytest

from gpupatch.files.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_log_gets_one_line_per_interval_and_one_at_the_end():
    log, clock = io.StringIO(), Clock()
    with Progress(0.0, 10.0, stream=log, interval=5.0, clock=clock) as progress:
        for step in range(1, 11):
            clock.now += 2.0
            progress.update(float(step), step * 3_000_000)
    assert log.getvalue().splitlines() == [
        "gpupatch:  30 %, t = 3 of 10, 1.5 M updates/s, 0:14 to go",
        "gpupatch:  60 %, t = 6 of 10, 1.5 M updates/s, 0:08 to go",
        "gpupatch:  90 %, t = 9 of 10, 1.5 M updates/s, 0:02 to go",
        "gpupatch: 100 %, t = 10 of 10, 1.5 M updates/s, took 0:20",
    ]


def test_a_resumed_run_counts_from_where_it_began():
    log, clock = io.StringIO(), Clock()
    progress = Progress(8.0, 10.0, stream=log, interval=1.0, clock=clock)
    clock.now += 3600.0
    progress.update(9.0, 7_200)
    assert log.getvalue() == "gpupatch:  50 %, t = 9 of 10, 2 updates/s, unknown time to go\n"


def test_time_to_go_does_not_count_what_came_before_the_first_step():
    log, clock = io.StringIO(), Clock()
    progress = Progress(0.0, 10.0, stream=log, interval=1.0, clock=clock)
    clock.now += 30.0
    progress.update(1.0, 32)
    clock.now += 2.0
    progress.update(2.0, 64)
    assert log.getvalue().splitlines()[-1].endswith("t = 2 of 10, 2 updates/s, 0:16 to go")


def test_a_run_that_stops_early_says_how_far_it_came():
    log = io.StringIO()
    with contextlib.suppress(KeyboardInterrupt), Progress(0.0, 4.0, stream=log) as progress:
        progress.update(1.0)
        raise KeyboardInterrupt
    assert log.getvalue().startswith("gpupatch:  25 %, t = 1 of 4")


def test_a_terminal_gets_one_bar_that_fills():
    terminal = Terminal()
    with Progress(0.0, 0.5, stream=terminal) as progress:
        progress.update(0.25, 10)
        progress.update(0.5, 20)
    last = re.split(r"[\r\n]+", terminal.getvalue().strip())[-1]
    assert re.match(r"100 % \|#+\| t = 0\.5 \[\d\d:\d\d<00:00, .* updates/s\]$", last)


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_quiet_says_nothing(stream):
    with Progress(0.0, 1.0, quiet=True, stream=stream, interval=0.0) as progress:
        progress.update(1.0, 10)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("stream_type", [io.StringIO, Terminal])
def test_a_run_without_duration_is_complete(stream_type):
    stream = stream_type()
    with Progress(1.0, 1.0, stream=stream) as progress:
        progress.update(1.0)
    progress.close()
    assert "updates/s" in stream.getvalue()
