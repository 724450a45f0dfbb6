"""notebooks/06_audit.ipynb: its rule by hand; then the whole in small: scenes, faces, a folder, random weights."""

import json
import re
import runpy
import shlex

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from known import few_faces_for_embedded, few_for_embedded, own_folder, step_through, wide_weights

from helpers import networks
from helpers.errors import CourseError
from helpers.pictures import REPO
from reports import plans

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"size": 48, "epochs": 2, "images": 48, "mosaics": 4, "explained": 6, "random_draws": 1, "top": 6}
LENSES = ("object", "what", "lean", "belief", "rival")
WORDS = {1: "good", 0: "cannot tell", -1: "poor"}


@pytest.fixture(scope="module")
def nb(notebook):
    return notebook("06_audit")


# the rule


@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_a_verdict_moves_with_its_line_and_turns_round_with_its_sign(nb, low, width, line, shift):
    high = low + width
    assert nb.word(low, high, line) == -nb.word(-high, -low, -line)
    if min(abs(low - line), abs(high - line)) > 1e-9:
        assert nb.word(low + shift, high + shift, line + shift) == nb.word(low, high, line)


@given(st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=30), st.floats(0, 1))
def test_the_line_is_the_highest_at_which_no_more_than_a_share_is_called_poor(nb, highs, alpha):
    line = nb.line_at(highs, alpha)
    assert nb.poor_share(highs, line) <= alpha + 1e-9
    higher = [h for h in highs if h > line]
    assert not higher or alpha == 1 or nb.poor_share(highs, min(higher)) > alpha - 1e-9


def test_the_strictest_lens_is_the_one_with_the_lowest_margin_and_has_a_wider_interval(nb):
    few = {"a": nb.stats.mean([0.1, 0.2, 0.3, 0.4]), "b": nb.stats.mean([0.0, 0.1, 0.2, 0.5])}
    found = nb.strictest({name: nb.Lens(e, e, name, "gap") for name, e in few.items()})
    assert found.said == "b"
    assert found.margin.low < few["b"].low
    assert found.margin.high > few["b"].high


def test_an_estimate_turned_round_keeps_its_width_at_every_level(nb):
    e = nb.stats.mean(np.arange(20.0))
    for level in (0.95, 0.99):
        turned, wide = nb.turned(e).widened(level), e.widened(level)
        assert (turned.low, turned.high) == (-wide.high, -wide.low)


def test_every_line_has_its_reason_and_says_whether_it_is_calibrated():
    said = yaml.safe_load((REPO / "notebooks/06_audit.yaml").read_text("utf-8"))
    assert tuple(said["lenses"]) == ("energy", "focus", "patches", "place", "gap", "agreement", "rival")
    for one in said["lenses"].values():
        assert isinstance(one["line"], float)
        assert one["why"]
        assert len(one["false_alarms"]) == (2 if one["power"] else 0)
    assert bool(said["calibrated"]) == any(one["power"] for one in said["lenses"].values())


def test_no_line_accuses_the_network_that_sets_it():
    power = runpy.run_path(str(REPO / "benchmarks/power.py"))
    highs = [0.38089842, -0.03562367, 0.41, 0.5]
    found = pd.DataFrame({"lens": "energy", "set": "drawn", "strength": 0.0, "seed": range(4), "high": highs})
    for lines in (power["lines_of"](found), {"energy": highs[0]}):
        said = power["settings"](found, lines)["lenses"]["energy"]
        assert lines["energy"] - 1e-4 <= said["line"] <= lines["energy"]


def test_the_notebook_has_no_metric_of_its_own():
    """What measures is taken from a notebook of a paper: each of 01 to 05 is asked."""
    code = "\n".join(
        c.source for c in nbformat.read(REPO / "notebooks/06_audit.ipynb", 4).cells if c.cell_type == "code"
    )
    asked = {of: {*re.findall(rf"\b{of}\.(\w+)\(", code)} for of in ("focus", "facex", "ria", "advise", "debias")}
    assert {"focus", "focus_of", "mosaics", "randomised"} <= asked["focus"]
    assert {"facex", "sums", "merged"} <= asked["facex"]
    assert {"containment", "lost_boxes", "tight_box"} <= asked["ria"]
    assert {"protocol", "penalised", "rank_correlations"} <= asked["advise"]
    assert {"equalized_odds", "phi_of", "region_of"} <= asked["debias"]


# the whole, in small


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A place for data where a few small scenes and faces pass for the embedded ones."""
    home = tmp_path_factory.mktemp("home")
    few_for_embedded(home, 240, 48)
    return home


@pytest.fixture(scope="module")
def audited(home, tmp_path_factory):
    """`audited(...)`: results, all that was shown, and the folder of a run with SMALL and these; each once."""
    kept = {}

    def run(**asked):
        if (key := json.dumps(asked, sort_keys=True)) not in kept:
            folder, said = tmp_path_factory.mktemp("run"), []
            with pytest.MonkeyPatch.context() as patch:
                where = {"DATA": home, "RUN_DIR": folder, "NOTEBOOK": plans.notebook("06_audit")}
                for variable, value in where.items():
                    patch.setenv(f"COURSE_{variable}", str(value))
                patch.setattr("helpers.run.display", lambda what, **_: said.append(getattr(what, "data", "")))
                try:
                    step_through(plans.plan("06_audit", given=SMALL | asked))
                finally:
                    plt.close("all")
            text = "\n".join(one for one in said if isinstance(one, str))
            kept[key] = json.loads((folder / "results.json").read_text("utf-8")), text, folder
        return kept[key]

    return run


@pytest.fixture(scope="module")
def embedded(audited):
    return audited()


def table(folder, name):
    return pd.read_csv(folder / f"tables/{name}.csv")


@pytest.mark.slow
def test_a_page_has_five_verdicts_and_never_one_score(embedded):
    results, _, folder = embedded
    found = table(folder, "dials")
    assert len(found) == 5
    assert {*found["verdict"]} <= {*WORDS.values()}
    for name, said in zip(LENSES, found["verdict"], strict=True):
        assert WORDS[results["metrics"][f"verdict.{name}"]] == said
        assert f"margin.{name}" in results["estimates"]
    assert not [name for name in results["metrics"] if "total" in name or "score" in name]
    assert [figure["name"] for figure in results["figures"] if figure["cover"]] == ["dials"]


@pytest.mark.slow
def test_the_answer_says_what_would_change_a_verdict_and_that_the_lines_are_not_calibrated(embedded):
    results, said, _ = embedded
    assert "hat would change" in results["answer"]
    calibrated = yaml.safe_load((REPO / "notebooks/06_audit.yaml").read_text("utf-8"))["calibrated"]
    assert ("not calibrated" in results["answer"]) == (not calibrated)
    assert ("not calibrated" in said) == (not calibrated)


@pytest.mark.slow
def test_every_picture_is_in_the_table_and_the_worst_are_named_by_file(embedded):
    _, said, folder = embedded
    found = table(folder, "pictures")
    assert len(found) == SMALL["images"]
    assert found["object energy"].between(0, 1).all()
    wrong = found[found["right"] == 0].sort_values("object energy")
    first = (wrong if len(wrong) else found.sort_values("object energy"))["file"].iloc[0]
    assert first in said.split("The worst cases first")[1]


@pytest.mark.slow
def test_another_background_is_asked_for_accuracy_and_for_decisions(embedded):
    folder = embedded[2]
    pictures, gaps = table(folder, "pictures"), table(folder, "gaps").set_index("gap")["difference"]
    changed, fell = pictures["changed"], pictures["right"] - pictures["swapped"]
    assert (changed[fell != 0] == 1).all()  # what is told right only once has changed
    for name, mean in (("decisions that change", changed.mean()), ("accuracy", fell.mean())):
        said = re.match(r"[+-]?[\d.]+", gaps[f"background swapped: {name}"])
        assert float(said[0]) == pytest.approx(mean, abs=0.006)


@pytest.mark.slow
def test_every_line_to_copy_is_a_run_that_there_is(embedded, home, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(home))
    lines = [shlex.split(line) for line in embedded[1].splitlines() if line.startswith("course run 0")]
    assert {"01_focus", "03_ria", "04_advise"} <= {words[2] for words in lines}
    for words in lines:
        given = dict(text.split("=", 1) for text in words[4::2])
        plans.plan(words[2], given=given)


@pytest.mark.slow
def test_a_network_with_random_weights_is_told_not_to_be_believed(audited, home):
    torch.manual_seed(0)
    net = networks.build("timm:vit_tiny_patch16_224", 10)
    torch.save(net.state_dict(), home / "vit.pth")
    asked = {"model": "timm:vit_tiny_patch16_224", "weights": str(home / "vit.pth")}
    results, *_ = audited(**asked)
    assert re.match("(Nothing|No heatmap) on this page can be believed", results["answer"])
    assert results["metrics"]["verdict.belief"] == -1
    assert max(results["metrics"][f"verdict.{name}"] for name in LENSES) < 1


@pytest.mark.slow
def test_a_folder_without_masks_has_boxes_by_lost_and_a_lens_that_cannot_tell(audited, home):
    results, said, folder = audited(dataset=str(own_folder(home)), model="compact_vgg", weights=str(wide_weights(home)))
    assert results["metrics"]["verdict.lean"] == 0
    assert "nothing to lean on is known" in said
    assert "containment" in table(folder, "pictures")


@pytest.mark.slow
def test_an_attribute_is_asked_of_the_decisions_and_a_rival_picture_by_picture(audited, home):
    few_faces_for_embedded(home, 240, 64)
    asked = {"target": "Smiling", "attributes": ["Wearing_Necktie"], "place": ["10 20 20 16"], "rival": "auto"}
    results, _, folder = audited(dataset="faces", epochs=1, images=36, **asked)
    gaps = table(folder, "gaps")["gap"]
    assert gaps.str.startswith("Wearing_Necktie: yes").sum() == 2
    found = table(folder, "attributes").iloc[0]
    assert found["chance"] == pytest.approx(20 * 16 / 48**2)
    assert {"rival", "random 0"} == {*table(folder, "compared")["against"]}
    assert "less that of the rival" in table(folder, "dials")["measured"].iloc[4]
    assert (folder / "tables/regions.csv").is_file()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"plant": 0.9, "weights": "FILE"}, "a bias is planted where weights=train"),
        ({"target": "label"}, "label"),
        ({"attributes": ["Hat"]}, "no column `Hat`"),
        ({"place": ["auto", "1 2 3 4"]}, "place has 2 entries"),
        ({"fit": "cover"}, "fit=squash"),
        ({"images": 5}, "images"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_trained(asked, told, audited, home):
    before = {*(home / "models").glob("*")}
    asked = {name: str(wide_weights(home)) if value == "FILE" else value for name, value in asked.items()}
    with pytest.raises(CourseError, match=re.escape(told)):
        audited(**asked)
    assert {*(home / "models").glob("*")} == before
