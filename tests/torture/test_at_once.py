"""The same question, asked three times at once."""

import pytest
from watched import litter, started

from reports import runs

pytestmark = [pytest.mark.slow, pytest.mark.torture]


@pytest.mark.parametrize("forced", [False, True], ids=["asked", "asked again, with --force"])
def test_a_question_asked_three_times_at_once_is_answered_once(demo, tmp_path, tally, forced):
    out, words = tmp_path / "out", ["--force"] * forced
    if forced:
        with started("run", demo, "--out", out) as first:
            assert first.wait(timeout=120) == 0
    question = ("run", demo, "--out", out, *words)
    with started(*question) as a, started(*question) as b, started(*question) as c:
        said = [process.communicate(timeout=240) for process in (a, b, c)]
        codes = [process.returncode for process in (a, b, c)]
    answers = [folder for folder in (out / "demo").iterdir() if folder.is_dir()]
    left = litter(tmp_path)
    tally("at once", tries=3, tracebacks=sum("Traceback" in text for both in said for text in both), litter=len(left))
    assert codes == [0, 0, 0]
    assert {runs.results(folder)["status"] for folder in answers} == {"finished"}
    assert len(answers) == 1 + forced
    assert sum("there already" in text for text, _ in said) == 2
    assert left == []
