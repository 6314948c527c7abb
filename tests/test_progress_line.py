import io
from contextlib import redirect_stderr

import pytest

from garmentlite.edge import progress_line
from garmentlite.edge.progress_line import ProgressLine


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def visible(self):
        """What a terminal shows in the last line."""
        shown = []
        for part in self.getvalue().rpartition("\n")[2].split("\r"):
            shown[: len(part)] = part
        return "".join(shown).rstrip()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def show(line, terminal, *step):
    # In the test itself, because pytest puts its own file in the place of standard error before each test.
    with redirect_stderr(terminal):
        line.show(*step)


def clear(line, terminal):
    with redirect_stderr(terminal):
        line.clear()


@pytest.fixture
def clock(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress_line.time, "monotonic", lambda: clock[0])
    return clock


def test_nothing_is_written_where_standard_error_is_no_terminal():
    terminal = io.StringIO()
    line = ProgressLine()
    show(line, terminal, "Comparing", 1, 2)
    clear(line, terminal)
    assert terminal.getvalue() == ""


def test_line_tells_what_is_done_and_how_long_the_rest_takes(terminal, clock):
    line = ProgressLine()
    show(line, terminal, "Comparing", 1, 100)
    clock[0] = 50
    show(line, terminal, "Comparing", 50, 100)
    assert terminal.visible() == "Comparing " + "#" * 15 + "-" * 15 + " 50/100, 0:50 left"


def test_next_step_starts_its_own_time(terminal, clock):
    line = ProgressLine()
    show(line, terminal, "Loading", 1, 10)
    clock[0] = 100
    show(line, terminal, "Comparing", 0, 10)
    clock[0] = 101
    show(line, terminal, "Comparing", 5, 10)
    assert terminal.visible().endswith("5/10, 0:01 left")


def test_changes_in_quick_succession_are_left_out(terminal, clock):
    line = ProgressLine()
    for done in range(1, 1000):
        clock[0] += 0.001
        show(line, terminal, "Comparing", done, 1000)
    assert 5 <= terminal.getvalue().count("Comparing") <= 11


def test_cleared_line_leaves_nothing_and_is_written_once(terminal):
    line = ProgressLine()
    show(line, terminal, "Comparing", 1, 2)
    clear(line, terminal)
    assert terminal.visible() == ""
    written = terminal.getvalue()
    clear(line, terminal)
    assert terminal.getvalue() == written


def test_long_step_is_cut_off_at_the_width_of_the_terminal(terminal):
    show(ProgressLine(), terminal, "x" * 200, 1, 2)
    assert len(terminal.visible()) == 79
