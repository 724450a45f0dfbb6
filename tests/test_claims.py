"""The claims ledger: every claim once, counted by verdict over runs on drawn and on real pictures, with links."""

import csv
import io
import json

import pytest
from bs4 import BeautifulSoup
from test_compare import claim, kept, out, results  # noqa: F401
from test_page import CONTRAST, HOSTILE, browser_page  # noqa: F401

from reports import claims
from reports.cli import main
from reports.found import Found, everything
from reports.place import Place

REAL = {"dataset": ["/photos/imagenette"], "data": {"imagenette": "ffff"}}


@pytest.fixture
def ledger(kept, out):  # noqa: F811
    """Three runs on drawn pictures, one of them asked again, one on real ones, and a failed one."""
    kept("a", claims=[claim("far above chance", "holds"), claim(HOSTILE, "not judged", kind="control")])
    kept("b", claims=[claim("far above chance", "does not hold", seen="0.4"), claim("new", "cannot tell")], k=1)
    kept("c", claims=[claim("far above chance", "does not hold")], k=2)
    kept("c.2", claims=[claim("far above chance", "holds")], k=2)
    kept("d", claims=[claim("far above chance", "cannot tell")], **REAL)
    kept("e", claims=[claim("far above chance", "holds")], status="failed", k=3)
    assert main(["claims", "--out", str(out)]) == 0
    return out


def table(folder):
    rows = csv.DictReader(io.StringIO((folder / "claims.csv").read_text("utf-8")))
    return {(row["claim"], row["pictures"]): row for row in rows}


def test_verdicts_are_counted_apart_for_drawn_and_real_pictures(ledger):
    rows = table(ledger)
    drawn, real = rows["far above chance", "drawn"], rows["far above chance", "real"]
    assert [drawn[word] for word in claims.VERDICTS] == ["2", "1", "0", "0"]
    assert [real[word] for word in claims.VERDICTS] == ["0", "0", "1", "0"]
    assert drawn["paper"] == "0.9"


def test_a_question_asked_again_counts_once_and_a_failed_run_not_at_all(ledger):
    assert table(ledger)["far above chance", "drawn"]["runs"].split() == ["a", "b", "c.2"]


def test_the_page_links_every_run_of_a_claim(ledger):
    soup = BeautifulSoup((ledger / "claims.html").read_text("utf-8"), "html.parser")
    row = next(row for row in soup.select(".ledger tbody tr") if row.th.text == "far above chance")
    links = [a["href"] for a in row.select("a")]
    assert links == [f"./01_focus/{run}/report.html#run-claims" for run in ("c.2", "a", "b", "d")]
    assert all((ledger / link.partition("#")[0]).is_file() for link in links)


def test_a_claim_that_runs_contradict_is_mixed_in_the_sum(ledger):
    lines = {line["pictures"]: line for line in claims.totals(claims.ledger([*everything(ledger)]))}
    assert (lines["drawn"]["of"], lines["drawn"]["mixed"], lines["drawn"]["cannot tell"]) == (2, 1, 1)
    assert (lines["real"]["of"], lines["real"]["cannot tell"]) == (1, 1)


def test_the_papers_claims_come_before_our_controls(ledger):
    rows = claims.ledger(everything(ledger))
    assert [row["kind"] for row in rows] == ["paper", "paper", "control"]


@pytest.mark.parametrize(
    ("parameters", "pictures"),
    [
        ({"dataset": ["scenes"]}, "drawn"),
        ({"dataset": "faces", "training_set": "/photos/faces"}, "real"),
        ({"dataset": ["scenes", "/photos/x"]}, "real"),
        ({"dataset": "scenes", "images": 200}, "drawn"),
        ({"dataset": "scenes", "images": "/photos/mine"}, "real"),
        ({"dataset": ""}, "not noted"),
    ],
)
def test_pictures_are_drawn_when_all_data_sets_are_ours(parameters, pictures):
    assert Found(None, results() | {"parameters": parameters}).pictures == pictures


def test_a_run_that_is_not_as_we_write_it_does_not_break_the_ledger(kept, out):  # noqa: F811
    kept("a", claims=["no claim", {"claim": "old", "holds": True}, {"kind": "paper"}])
    (out / "x/y").mkdir(parents=True)
    (out / "x/y/results.json").write_text(json.dumps({"notebook": 3, "parameters": {}}), "utf-8")
    assert claims.write(out, Place(out / "claims.html")) == {"claims": 1, "runs": 1, "failed": 0}


def test_without_runs_the_page_says_what_to_do(out):  # noqa: F811
    assert main(["claims", "--out", str(out)]) == 0
    assert "No run here has judged a claim" in (out / "claims.html").read_text("utf-8")


def test_a_folder_that_is_not_there_is_a_mistake(tmp_path, capsys):
    assert main(["claims", "--out", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_nothing_in_the_ledger_is_markup_of_a_run(ledger):
    soup = BeautifulSoup((ledger / "claims.html").read_text("utf-8"), "html.parser")
    assert len(soup.find_all("script")) == 1
    assert not soup.select("[onerror], img")


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_the_ledger_asks_for_nothing_and_reads_well(browser_page, ledger, scheme, width):  # noqa: F811
    looked = browser_page((ledger / "claims.html").read_text("utf-8"), scheme=scheme, width=width)
    looked.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert len(looked.asked) == 1
    assert looked.complaints == []
    assert looked.evaluate("window.hacked") is None
    assert looked.evaluate(CONTRAST) == []
    assert looked.evaluate("document.documentElement.scrollWidth") <= width
