"""What is told while many runs are made: a line an event, or on a terminal bars."""

import io
import os
import re
import subprocess
import sys
import termios

import grids
import pytest

from reports import plans
from reports.board import Board


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def questions(tmp_path, data_home):
    book = grids.book(tmp_path / "demo.ipynb")
    return [plans.plan(str(book), given={"seed": seed, "steps": [1, 2]}) for seed in range(3)]


def tell(questions, swept=("seed", "steps")):
    """Two of three runs: one fails, one is begun twice."""
    first, second, _ = questions
    with Board(questions, [*swept]) as board:
        board.start(first)
        board.start(second, "worker-1 on host")
        board.cell(first, 2, 9)
        board.cell(second, 8, 9)
        board.end(first, "failed", "as asked\nand why")
        board.start(second, "worker-2 on host")
        board.cell(second, 1, 9)
        board.end(second, "finished", "page.html")
    return board


def test_without_a_terminal_there_is_one_line_an_event(questions, capsys):
    board = tell(questions)
    said = capsys.readouterr()
    one, two = (f"demo {plan.run_id} seed={plan.values['seed']} steps=1,2" for plan in questions[:2])
    lines = [re.sub(r"about 0:00:0\d", "about 0:00:00", line) for line in said.out.splitlines()]
    assert lines == [
        f"{one}: started",
        f"{two}: started on worker-1 on host",
        f"{one}: failed after 0 s: as asked and why (1 of 3, about 0:00:00 left)",
        f"{two}: started on worker-2 on host",
        f"{two}: finished after 0 s: page.html (2 of 3, about 0:00:00 left)",
    ]
    assert said.err == ""
    assert board.failed == {questions[0].key: "as asked\nand why"}


def test_on_a_terminal_there_is_a_bar_of_all_and_one_of_the_cells_of_each(questions, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    tell(questions)
    one, two = (f"demo {plan.run_id} seed={plan.values['seed']} steps=1,2" for plan in questions[:2])
    shown = screen.getvalue()
    for text in (f"{one}: cell 2 of 9", f"{two}: cell 8 of 9", f"{two}: cell 1 of 9", "runs: 0 of 3", "runs: 2 of 3"):
        assert text in shown
    assert re.search(r"runs: 1 of 3 .* about 0:00:0\d left", shown)
    assert "started" not in shown + capsys.readouterr().out


def test_more_runs_than_the_screen_has_lines_are_counted_and_not_shown(questions, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setenv("LINES", "3")
    monkeypatch.setenv("COLUMNS", "80")
    tell(questions)
    shown = screen.getvalue()
    assert f"demo {questions[0].run_id}" in shown
    assert f"demo {questions[1].run_id} seed=1 steps=1,2: cell 8" not in shown
    assert "runs: 2 of 3" in shown


@pytest.mark.slow
def test_a_grid_in_a_terminal_shows_its_own_bars_and_none_of_its_processes(tmp_path, data_home):
    file = grids.grid_file(grids.book(tmp_path / "demo.ipynb"), seeds=2)
    command = [sys.executable, "-m", "reports.cli", "grid", str(file), "--out", str(tmp_path / "out")]
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # how Linux says that the other end is closed
        pass
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert "runs: 2 of 2" in text
    assert re.search(r"demo \w{10} seed=[01]: cell \d of \d", text)
    assert "cell/s" not in text
    assert len(re.findall(r"seed=[01]: finished after \d+ s: \S+report.html", text)) == 2
