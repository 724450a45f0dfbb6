"""The overview of all runs: what a row says, and that a thousand of them are found, sorted and read in a browser."""

import base64
import json
import random
import time
from datetime import UTC, datetime, timedelta

import pytest
from bs4 import BeautifulSoup
from test_page import CONTRAST, HOSTILE, Looked, judged, png, results, words, work_of_opening

from reports import overview, runs, said

NOTEBOOKS = ["00_start_here", "01_focus", "02_facex", "03_ria", "04_advise"]
ESTIMATE = dict(value=0.8, low=0.7, high=0.9, n=40, of="mosaics", undefined=0, chance=0.5, level=0.95, better="higher")
BARE = dict.fromkeys(("low", "high", "chance"))


def row(folder="01_focus/a1b2c3", **others):
    return overview.row(folder, results(**{"notebook": folder.partition("/")[0], **others}))


def soup_of(*rows, others=()):
    return BeautifulSoup(overview.index(list(rows), list(others)), "html.parser")


def started(iso, **others):
    return {"provenance": {"started": iso, "wall_s": 1.0, "device": "cpu", **others}}


# ------------------------------------------------------------------------------------------------ what it says


def test_a_card_shows_the_newest_run_and_the_table_all_of_them():
    old = row("01_focus/old", **started("2024-01-01T00:00:00"))
    new = row("01_focus/new", **started("2025-01-01T00:00:00"))
    other = overview.row("02_facex/z", {"notebook": "02_facex", "status": "failed"})
    soup = soup_of(old, other, new)
    assert [a["href"] for a in soup.select("article h2 a")] == ["01_focus/new/report.html", "02_facex/z/report.html"]
    links = [a["href"] for a in soup.select(".runs tbody th a")]
    assert links == ["01_focus/new/report.html", "01_focus/old/report.html", "02_facex/z/report.html"]
    assert "newest of 2 runs" in words(soup.select_one("article"))


def test_newest_is_newest_in_any_time_zone():
    early = row("01_focus/early", **started("2025-01-01T09:00:00+09:00"))
    late = row("01_focus/late", **started("2025-01-01T01:00:00+00:00"))
    never = row("01_focus/never", **started("yesterday"))
    (runs_,) = overview.by_notebook([never, early, late])
    assert [one["run_id"] for one in runs_] == ["late", "early", "never"]


def test_the_overview_of_nothing_says_how_to_begin():
    assert "make reports" in overview.index([])


def test_only_what_differs_from_the_defaults_is_listed():
    changed = row("01_focus/a", parameters={"n": 4, "lr": 0.1, "seeds": [0, 1]}, changed=["n", "seeds"])
    soup = soup_of(changed, row("01_focus/b", parameters={"n": 40}))
    cells = [words(cell) for cell in soup.select("td.changes")]
    assert cells == ["n = 4 seeds = 0, 1", "nothing"]


def test_what_is_everywhere_the_same_is_handed_over_once():
    rows = [row(f"01_focus/{n}", parameters={"n": n, "same": 1, **({"new": 2} if n else {})}) for n in (0, 1)]
    data = json.loads(soup_of(*rows).select_one("#data").string)
    assert data["same"] == {"01_focus": {"n": "0", "same": "1"}}
    assert [run["differs"] for run in data["runs"]] == [{}, {"n": "1", "new": "2"}]


def test_key_metrics_are_those_of_which_most_is_known_one_of_a_kind():
    estimates = {
        "side.a": {"better": "lower"},
        "interval": ESTIMATE | {"chance": None},
        "nothing": BARE,
        "both.a": ESTIMATE,
        "both.b": ESTIMATE,
        "chance": ESTIMATE | {"low": None},
        "undefined": ESTIMATE,
    }
    metrics = {name: None if name == "undefined" else 0.8 for name in estimates} | {"alone": 1}
    chosen = overview.key_metrics({"metrics": metrics, "estimates": estimates})
    assert [(one["name"], one["words"], one["chance"]) for one in chosen] == [
        ("both.a", "0.8 [0.7, 0.9]", "0.5"),
        ("interval", "0.8 [0.7, 0.9]", None),
        ("chance", "0.8", "0.5"),
    ]


@pytest.mark.parametrize(
    ("value", "about", "dot"),
    [
        (0.8, {}, dict(at=80, low=70, high=90, chance=50)),
        (0.8, {"better": "lower"}, dict(at=20, low=10, high=30, chance=50)),
        (0.8, {"chance": None, "low": -0.3, "high": 1.2}, dict(at=80, low=0, high=100)),
        (0.8, {"low": None, "high": None}, dict(at=80, low=80, high=80, chance=50)),
        (0.8, BARE, None),
        (2.5, {}, None),
        (-0.1, {}, None),
        (0.8, {"better": None}, None),
    ],
)
def test_a_dot_lies_between_chance_and_the_best_where_these_are_known(value, about, dot):
    (metric,) = overview.key_metrics({"metrics": {"m": value}, "estimates": {"m": ESTIMATE | about}})
    assert metric["dot"] == dot


def test_the_numbers_of_a_dot_stand_beside_it():
    soup = soup_of(row(metrics={"focus.all": 0.8}, estimates={"focus.all": ESTIMATE}))
    assert words(soup.select_one(".metric")) == "focus.all 0.8 [0.7, 0.9] , chance 0.5"
    assert soup.select_one(".metric .dot")["style"] == "--at: 80.0; --low: 70.0; --high: 90.0; --chance: 50.0; "
    assert soup.select_one(".metric .dot")["aria-hidden"] == "true"


def test_a_failed_run_shows_the_last_line_of_its_error():
    message = "too much\nTraceback of something\nGPU 0 is full " + "0" * 900 + "\n"
    failed = row(status="failed", error={"name": "OutOfMemoryError", "message": message}, answer="So it is.")
    soup = soup_of(failed)
    for place in (soup.select_one("article"), soup.select_one(".runs tbody tr")):
        assert words(place.select_one(".error")).startswith("OutOfMemoryError GPU 0 is full 000")
        assert len(words(place.select_one(".error"))) < 300
        assert "✗ failed" in words(place)
    assert "So it is." not in words(soup)


def test_a_run_that_is_not_finished_does_not_look_so():
    assert "○ incomplete" in words(soup_of(row(status="incomplete")).select_one(".runs tbody tr"))


def test_claims_are_counted():
    claims = [judged("a", "holds"), judged("b", "does not hold"), judged("c", "holds", kind="control")]
    soup = soup_of(row(claims=claims))
    assert [words(line) for line in soup.select("td[data-label=Claims] div")] == [
        "1 of 2 holds",
        "1 of 1 controls passes",
    ]
    assert said.tally(claims) in words(soup.select_one("article"))


def test_everything_that_has_a_name_is_text():
    names = dict(notebook=HOSTILE, title=HOSTILE, answer=HOSTILE, profile=HOSTILE, changed=[HOSTILE])
    names |= dict(parameters={HOSTILE: HOSTILE}, metrics={HOSTILE: 0.8}, estimates={HOSTILE: ESTIMATE})
    one = overview.row(f"01_focus/{HOSTILE}", results(**names, **started(HOSTILE, device=HOSTILE)))
    soup = soup_of(one, row(status=HOSTILE, error={"name": HOSTILE, "message": HOSTILE}), others=[HOSTILE])
    assert len(soup.select("script")) == 2  # the data and the page's own
    assert not soup.select("main img, main [onerror], main script")
    assert words(soup.main).count("window.hacked = 1") > 9


# ------------------------------------------------------------------------------------------- what it reads


def kept(out, folder, text=None, page=True, **others):
    """A run's folder with a page and with results, or with this text instead."""
    place = out / folder
    (place / "figures").mkdir(parents=True)
    if page:
        (place / "report.html").write_text("", encoding="utf-8")
    notebook, _, run_id = folder.partition("/")
    found = json.dumps(results(**{"notebook": notebook, "run_id": run_id, **others})) if text is None else text
    (place / "results.json").write_text(found, encoding="utf-8")
    return place


@pytest.mark.parametrize(
    "strange",
    [
        {"text": ""},
        {"text": "[" * 100_000},
        {"page": False},
        {"claims": 3},
        {"claims": [3]},
        {"changed": 5},
        {"metrics": [1], "estimates": {"focus": {}}},
        {"estimates": {"focus": 3}, "metrics": {"focus": 1}},
        {"estimates": {"focus": {"better": "lower"}}, "metrics": {"focus": 10**400}},
        {"error": "no"},
        {"notebook": None},
        {"parameters": [1]},
    ],
)
def test_a_folder_that_cannot_be_read_is_named_and_harms_no_other(tmp_path, strange):
    kept(tmp_path, "01_focus/whole")
    kept(tmp_path, "02_facex/strange", **strange)
    soup = BeautifulSoup(overview.write_index(tmp_path).read_text("utf-8"), "html.parser")
    assert [a["href"] for a in soup.select(".runs tbody th a")] == ["01_focus/whole/report.html"]
    assert words(soup.select_one(".others")).endswith("left out here: 02_facex/strange")


def test_names_that_are_not_text_do_not_lose_the_page(tmp_path):
    kept(tmp_path, "01_focus/\udcff", answer="\ud800")
    soup = BeautifulSoup(runs.write_index(tmp_path).read_text("utf-8"), "html.parser")
    assert soup.select_one(".runs tbody th a")["href"] == "01_focus/%FF/report.html"


def test_pictures_are_read_of_the_newest_run_of_each_notebook_only(tmp_path, monkeypatch):
    for folder in ("01_focus/a", "01_focus/b", "02_facex/c"):
        when = started(f"2025-01-0{ord(folder[-1]) - 96}T00:00:00")
        picture = kept(tmp_path, folder, **when) / "figures" / "one.png"
        picture.write_bytes(base64.b64decode(png()))
    drawn, thumbnail = [], overview._thumbnail
    monkeypatch.setattr(overview, "_thumbnail", lambda folder: drawn.append(folder.name) or thumbnail(folder))
    soup = BeautifulSoup(overview.write_index(tmp_path).read_text("utf-8"), "html.parser")
    assert drawn == ["b", "c"]
    assert len(soup.select("article img[src^='data:image/jpeg']")) == 2


# ----------------------------------------------------------------------------------------------- in a browser


def many(count):
    """Runs of five notebooks that differ in most ways; every tenth failed. Run i started i hours after the first."""
    draw = random.Random(0)
    for i in range(count):
        metrics = {"focus_mean.all": draw.random(), "accuracy": draw.random(), f"extra.{i % 3}": draw.random()}
        about = {name: ESTIMATE | {"low": max(0, v - 0.1), "high": min(1, v + 0.1)} for name, v in metrics.items()}
        parameters = {f"knob_{k}": k for k in range(38)} | {"seed": i % 4, "model": f"net{i % 7}"}
        failed = {"status": "failed", "error": {"name": "ValueError", "message": f"no maps\nrow {i} is empty"}}
        moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=i)
        yield f"{NOTEBOOKS[i % 5]}/{i:010}", results(
            notebook=NOTEBOOKS[i % 5], run_id=f"{i:010}", profile=draw.choice([None, "quick", "full"]),
            parameters=parameters, changed=["seed", "model"] if i % 4 else [],
            **(failed | {"metrics": {}} if i % 10 == 9 else {"metrics": metrics, "estimates": about}),
            **started(moment.isoformat(), wall_s=round(draw.expovariate(0.01), 1)),
        )  # fmt: skip


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    out = tmp_path_factory.mktemp("thousand")
    for folder, found in many(1000):
        (out / folder).mkdir(parents=True)
        (out / folder / "report.html").write_text("", encoding="utf-8")
        (out / folder / "results.json").write_text(json.dumps(found), encoding="utf-8")
    began = time.process_time()
    overview.write_index(out)
    return out, time.process_time() - began


@pytest.fixture
def look(chromium):
    opened = []

    def at(path, **options):
        opened.append(Looked(chromium, path, **options))
        return opened[-1]

    yield at
    for looked in opened:
        looked.context.close()


FRAME = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
SHOWN = "[...document.querySelectorAll('.runs tbody tr')].filter((r) => r.checkVisibility())"


def shown(looked):
    """Notebook and number of each run that is shown, from top to bottom."""
    links = looked.evaluate(SHOWN + ".map((r) => r.querySelector('a').getAttribute('href'))")
    return [(link.split("/")[0], int(link.split("/")[1])) for link in links]


def counted(looked):
    return looked.text_content("output")


def press(looked, selector, *keys):
    looked.focus(selector)
    for one in keys:
        looked.keyboard.press(one)


def head(column):
    return f".runs thead th:nth-child({column}) button"


@pytest.mark.slow
def test_a_thousand_runs_open_in_two_seconds_and_are_found(thousand, look):
    looked = look(thousand[0] / "index.html")
    assert counted(looked) == "1,000 of 1,000 runs"
    assert len(looked.asked) == 1
    assert work_of_opening(looked) < 2
    looked.fill("#by-text", "net3")
    looked.evaluate(FRAME)
    assert 0 < int(counted(looked).split()[0].replace(",", "")) < 1000
    assert looked.complaints == []


@pytest.mark.slow
def test_every_column_sorts_by_key_both_ways(thousand, look):
    looked = look(thousand[0] / "index.html")
    assert [number for _, number in shown(looked)] == [*range(999, -1, -1)]
    data = looked.evaluate("JSON.parse(document.getElementById('data').textContent).runs.map((run) => run.keys)")
    by_number = {int(keys[0].split("/")[1]): keys for keys in data}
    for column in (1, 2, 3, 5, 6, 7, 8, 9):
        for way in ("ascending", "descending"):
            press(looked, head(column), "Enter" if way == "ascending" else "Space")
            assert looked.get_attribute(f".runs thead th:nth-child({column})", "aria-sort") == way
            keys = [by_number[number][column - 1] for _, number in shown(looked)]
            known = [key for key in keys if key is not None]
            assert known == sorted(known, reverse=way == "descending")
            assert all(key is None for key in keys[len(known) :])
    assert looked.locator(".runs [aria-sort]").count() == 1


@pytest.mark.slow
def test_one_metric_is_shown_and_sorted_by(thousand, look):
    looked = look(thousand[0] / "index.html")
    looked.select_option("#by-metric", "focus_mean.all")
    press(looked, head(4), "Enter")
    values = {int(f.split("/")[1]): found["metrics"].get("focus_mean.all") for f, found in many(1000)}
    seen = [values[number] for _, number in shown(looked)]
    assert len(seen) == 900  # the failed have none
    assert seen == sorted(seen)
    names = looked.evaluate(
        SHOWN
        + ".flatMap((r) => [...r.querySelectorAll('.metric')].filter((m) => !m.hidden).map((m) => m.dataset.name))"
    )
    assert {*names} == {"focus_mean.all"}
    looked.select_option("#by-metric", "")
    assert len(shown(looked)) == 1000


@pytest.mark.slow
def test_runs_are_filtered_by_key_by_every_fact_and_by_any_parameter(thousand, look):
    looked = look(thousand[0] / "index.html")
    press(looked, "#by-notebook", "ArrowDown", "ArrowDown")
    assert {notebook for notebook, _ in shown(looked)} == {"01_focus"}
    for _ in range(len(looked.query_selector_all("#by-status option"))):  # letters count as one word only if typed fast
        if looked.input_value("#by-status") != "failed":
            press(looked, "#by-status", "ArrowDown")
    assert looked.input_value("#by-status") == "failed"
    assert shown(looked) == []  # it is the last notebook that fails
    assert looked.is_visible(".none")
    press(looked, "#by-notebook", "End")
    assert [number for _, number in shown(looked)] == [*range(999, 0, -10)]
    assert "ValueError row 999 is empty" in words(BeautifulSoup(looked.inner_html(".runs tbody tr"), "html.parser"))
    press(looked, ".sieve button", "Enter")
    assert counted(looked) == "1,000 of 1,000 runs"
    assert looked.evaluate("document.activeElement.id") == "by-text"
    looked.select_option("#by-parameter", "seed")
    looked.select_option("#by-value", "0")  # the default, which no row mentions
    assert {number % 4 for _, number in shown(looked)} == {0}
    assert len(shown(looked)) == 250
    looked.select_option("#by-parameter", "knob_3")
    assert len(shown(looked)) == 1000
    assert looked.evaluate("[...document.getElementById('by-value').options].map((o) => o.text)") == ["any", "3"]
    looked.select_option("#by-profile", "quick")
    quick = {int(f.split("/")[1]) for f, found in many(1000) if found["profile"] == "quick"}
    assert {number for _, number in shown(looked)} == quick


@pytest.mark.slow
def test_words_that_are_typed_are_all_searched_for(thousand, look):
    looked = look(thousand[0] / "index.html")
    looked.focus("#by-text")
    looked.keyboard.type("NET3 01_foc")
    wanted = {i for i in range(1000) if i % 7 == 3 and i % 5 == 1 and i % 4}
    assert {number for _, number in shown(looked)} == wanted
    assert counted(looked) == f"{len(wanted)} of 1,000 runs"
    looked.keyboard.type(" nowhere")
    assert shown(looked) == []


@pytest.mark.slow
def test_the_way_back_leads_to_the_same_rows(thousand, look):
    looked = look(thousand[0] / "index.html")
    looked.fill("#by-text", "net3")
    looked.select_option("#by-parameter", "seed")
    looked.select_option("#by-value", "2")
    press(looked, head(8), "Enter")
    before = shown(looked)
    looked.wait_for_url("**sort=7+ascending")
    looked.click(".runs tbody tr:not([hidden]) a")
    looked.wait_for_url("**/report.html")
    looked.go_back()
    looked.wait_for_selector("output")
    assert shown(looked) == before
    assert looked.input_value("#by-value") == "2"
    looked.reload()
    assert shown(looked) == before


def small(**others):
    estimates = {"m" * 90: ESTIMATE, HOSTILE: ESTIMATE}
    rows = [
        row("01_focus/a", metrics=dict.fromkeys(estimates, 0.8), estimates=estimates, **others),
        row(
            "02_facex/b",
            parameters={"n": "x" * 300, HOSTILE: HOSTILE, "__proto__": 1},
            changed=["n", HOSTILE, "__proto__"],
        ),
        row("02_facex/c", status="failed", error={"name": "Error", "message": "0" * 300}, profile=HOSTILE),
        row("constructor/d", status=HOSTILE),
    ]
    return overview.index(rows, ["03_ria/" + "z" * 200])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_overview_asks_for_nothing_and_reads_well(look, tmp_path, scheme):
    (tmp_path / "index.html").write_text(small(), "utf-8")
    looked = look(tmp_path / "index.html", scheme=scheme)
    looked.select_option("#by-parameter", HOSTILE)
    looked.select_option("#by-value", HOSTILE)
    assert counted(looked) == "1 of 4 runs"
    looked.select_option("#by-parameter", "__proto__")
    assert counted(looked) == "1 of 4 runs"
    press(looked, ".sieve button", "Enter")
    assert len(looked.asked) == 1
    assert looked.complaints == []
    assert looked.evaluate("window.hacked") is None
    assert looked.evaluate(CONTRAST) == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 390, 800, 1280])
def test_the_overview_never_scrolls_sideways(look, tmp_path, width):
    (tmp_path / "index.html").write_text(small(), "utf-8")
    looked = look(tmp_path / "index.html", width=width)
    # rows out of sight are not laid out, and those in sight cut what leaves them: both would hide it
    looked.evaluate("document.querySelectorAll('.runs tr').forEach((r) => { r.style.contentVisibility = 'visible'; })")
    assert looked.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_table_is_a_table_to_those_who_hear_it(look, tmp_path, width):
    (tmp_path / "index.html").write_text(small(), "utf-8")
    looked = look(tmp_path / "index.html", width=width)
    nodes = looked.context.new_cdp_session(looked.tab).send("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    assert (roles.count("table"), roles.count("row"), roles.count("columnheader")) == (1, 5, 9)


@pytest.mark.slow
def test_without_the_script_the_table_is_whole(chromium, tmp_path):
    (tmp_path / "index.html").write_text(small(), "utf-8")
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((tmp_path / "index.html").as_uri())
    assert tab.locator(".runs tbody tr").count() == 4
    assert tab.locator(".runs tbody tr").last.is_visible()
    assert tab.locator("form, button, .none").evaluate_all("all => all.filter((e) => e.checkVisibility()).length") == 0
    context.close()
