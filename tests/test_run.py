"""helpers/run.py, check.need: what a run says and keeps, and what is asked of its input before any work."""

import json
import re

import pandas as pd
import pytest
import torch

from helpers import check, networks, pictures, stats
from helpers.run import Run


@pytest.fixture
def run(tmp_path):
    return Run("demo", {"seed": 3}, str(tmp_path / "run"))


def kept(run):
    return json.loads((run.folder / "results.json").read_text("utf-8"))


def test_a_claim_keeps_its_estimate_in_words_its_verdict_and_the_rule(run):
    run.claim("more", paper=0.9, seen=stats.mean([0.1, 0.2, 0.15, 0.12], of="trainings") > 0)
    run.claim("less", paper="lower", seen=stats.share(9, 10) < 0.2)
    run.control("random", seen=stats.mean([0.4, 0.6], of="draws") > 0, expected="above 0")
    run.claim("other data", paper="yes", seen=None, why="this run has one data set")
    rows = kept(run)["claims"]
    assert [r["verdict"] for r in rows] == ["holds", "does not hold", "cannot tell", "not judged"]
    assert [r["kind"] for r in rows] == ["paper", "paper", "control", "paper"]
    assert [r["holds"] for r in rows] == [True, False, None, None]
    assert rows[0]["why"] == "its 95 % interval lies above 0"
    assert "0.14 [" in rows[0]["seen"]
    assert rows[3]["why"] == "this run has one data set"


def test_a_claim_that_is_not_judged_says_why(run):
    with pytest.raises(ValueError, match="say why"):
        run.claim("other data", paper="yes", seen=None)


def test_claims_and_controls_are_counted_apart(run, capsys):
    run.claim("a", paper=1, seen=stats.fact(True, "1", "counted"))
    run.claim("b", paper=1, seen=None, why="not tried")
    run.control("c", seen=stats.fact(False, "0", "counted"))
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.run.display", shown.append)
        run.claims()
    assert "1 of 2 of the paper&#x27;s claims hold" in shown[0].data
    assert "0 of 1 controls pass" in shown[1].data


def test_a_metric_is_a_plain_number_and_an_estimate_keeps_its_interval(run):
    run.metric("count", 3)
    run.metric("share", stats.share(5, 10, chance=0.5), better="higher")
    results = kept(run)
    assert results["metrics"] == {"count": 3, "share": 0.5}
    assert results["estimates"]["share"]["chance"] == 0.5
    assert results["estimates"]["share"]["better"] == "higher"
    assert results["estimates"]["share"]["low"] < 0.5 < results["estimates"]["share"]["high"]
    with pytest.raises(ValueError, match="there already"):
        run.metric("count", 4)


def test_a_cell_may_run_again_in_jupyterlab_and_what_it_says_then_counts():
    shown = Run("demo", {"seed": 3})  # no folder: nothing is kept
    for value in (1.0, 2.0):
        shown.metric("count", value)
        shown.table(pd.DataFrame({"n": [value]}), "all")
        shown.claim("more", paper=1, seen=stats.fact(value > 1, f"{value:g}", "counted"))
    assert shown.results["metrics"] == {"count": 2.0}
    assert [entry["name"] for entry in shown.results["tables"]] == ["all"]
    assert [row["verdict"] for row in shown.results["claims"]] == ["holds"]


def test_a_name_stands_for_one_table_in_a_report(run):
    run.table(pd.DataFrame({"n": [1]}), "all")
    with pytest.raises(ValueError, match="tables: all is there already"):
        run.table(pd.DataFrame({"n": [2]}), "all")


def test_a_table_shows_no_row_numbers_and_no_number_as_0_that_is_not(run, monkeypatch):
    table = pd.DataFrame({"p": [0.123456, 1.2e-7, 0.0, float("nan")], "n": [1, 2, 3, 4], "who": ["a", "b", "c", "d"]})
    shown = []
    monkeypatch.setattr("helpers.run.display", shown.append)
    run.table(table, "all", shown=table[table["n"] != 2])
    run.table(table.set_index("who")[["p", "n"]], "named")
    heads, cells = ([re.findall(rf"<{kind}>(.*?)</{kind}>", html.data) for html in shown] for kind in ("th", "td"))
    assert heads[0] == ["p", "n", "who"]  # no column of 0, 2, 3
    assert heads[1][-4:] == ["a", "b", "c", "d"]
    assert cells[1][::2] == ["0.1235", "1.2e-07", "0.0", "–"]
    assert (run.folder / "tables" / "all.csv").read_text().splitlines()[2] == "1.2e-07,2,b"


def test_a_study_is_one_tidy_table_and_notes_where_networks_came_from(run):
    def fit(size):
        return networks.Classifier("net", torch.nn.Linear(1, 1), torch.arange(2), source=f"trained at {size}")

    table = run.study([{"size": 1}, {"size": 2}], fit, lambda net, size: [{"x": size * k} for k in (1, 10)])
    expected = pd.DataFrame({"size": [1, 1, 2, 2], "x": [1, 10, 2, 20]})
    pd.testing.assert_frame_equal(table, expected)
    assert kept(run)["provenance"]["weights"] == {"net, size=1": "trained at 1", "net, size=2": "trained at 2"}


def test_prose_of_the_drawn_pictures_is_said_only_of_them(run, tmp_path, shared_home):
    assert not run.embedded  # nothing was loaded yet
    run.data(pictures.load("scenes"))
    assert run.embedded
    folder = tmp_path / "own" / "cat"
    folder.mkdir(parents=True)
    from PIL import Image

    Image.new("RGB", (8, 8)).save(folder / "a.png")
    run.data(pictures.load(tmp_path / "own"))
    assert not run.embedded


def test_everything_that_pictures_lack_is_told_at_once(shared_home):
    photos = pictures.load("scenes")
    check.need(photos, classes=2, each=2, masks=True, boxes=True, square=True, regions=["object"])
    with pytest.raises(ValueError, match="needs 11 or more") as caught:
        check.need(photos, classes=11, each=999, attributes=["Hat"], regions=["nose"])
    for said in ("999 pictures or more of every class", "no column `Hat`", "no region nose"):
        assert said in str(caught.value)


def test_masks_and_boxes_are_asked_for_by_name(tmp_path, data_home):
    from PIL import Image

    (tmp_path / "a").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "a" / "x.png")
    photos = pictures.load(tmp_path)
    with pytest.raises(ValueError, match="no masks; this needs the column `mask`") as caught:
        check.need(photos, masks=True, boxes=True, square=True)
    assert "no boxes" in str(caught.value)
    assert "8 x 6 pixels; this needs square pictures" in str(caught.value)


def test_a_network_is_asked_for_its_grid_and_the_methods_that_know_it():
    net = networks.Classifier("compact_vgg", networks.build("compact_vgg", 2).eval(), torch.arange(2))
    check.need(net, at=64, grid=True, explains=["gradcam", "lrp"])
    with pytest.raises(ValueError, match="cannot be explained by gradcma at 64 px"):
        check.need(net, at=64, explains=["gradcma"])
    with pytest.raises(TypeError, match="colour"):
        check.need(net, colour=True)
