"""The report page: what it shows, what it hides, and that nothing on it runs or leaves."""

import base64
import io
import json
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from reports import page, said
from reports.equations import mathml

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
SVG = (
    f'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="40"><script>{HOSTILE}</script><rect width="9"/></svg>'
)
BAR = "\r  0%|          | 0/10 [00:00<?, ?it/s]\r100%|##########| 10/10 [00:02<00:00, 5.00it/s]\n"
EQUATIONS = [
    r"\mathrm{Focus}(m,c)=\frac{\sum_{p\in T}R^+_p}{\sum_{p}R^+_p}",
    r"\mathbf 1\!\left[\,\arg\max_p R_{i,p} \in M_i\,\right]",
    r"\hat{y} = \operatorname*{arg\,max}_{k} \operatorname{softmax}(z)_k",
    r"\lVert x \rVert_2 + |x| + \frac1N \tfrac12 \sqrt2",
    r"\begin{cases}1 & \text{if } x>0\\ 0 & \text{otherwise}\end{cases}",
    r"\begin{aligned}a &= b \\ &= \mathbb{E}_{x\sim p}\bigl[x\bigr]\end{aligned}",
    r"\begin{bmatrix}1&2\\3&4\end{bmatrix} \underbrace{a+b}_{\text{sum}} \Bigl\{x\Bigr\}",
]


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (600, 200), "white").save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


def displayed(data, **metadata):
    return new_output("display_data", data=data, metadata=metadata)


def printed(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def code(source="", *outputs, tags=()):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def judged(claim, verdict, why="", kind="paper", paper="", seen=""):
    holds = {"holds": True, "does not hold": False}.get(verdict)
    return dict(kind=kind, claim=claim, paper=paper, seen=seen, verdict=verdict, holds=holds, why=why)


def results(**others):
    claims = [
        judged("chance is one half", "holds", "within 0.03", paper=0.49, seen=0.503),
        judged(HOSTILE, "does not hold", HOSTILE, seen="a < b"),
        judged("noise hurts", "not judged", "not trained here"),
        judged("as before", "cannot tell", "too few", kind="control"),
    ]
    provenance = {"started": "2025-03-01T10:00:00", "wall_s": 83.2, "device": "cpu", "versions": {"torch": "2.9.0"}}
    return {
        "notebook": "01_focus", "title": "Where does it look?", "run_id": "a1b2c3", "status": "finished",
        "answer": f"On the object. {HOSTILE}", "error": None, "profile": "quick", "parameters": {"n": 4},
        "metrics": {"focus_median.gradcam": 0.98}, "claims": claims, "tables": [], "figures": [],
        "skipped": [{"file": HOSTILE, "reason": "not an image"}], "notes": [HOSTILE], "provenance": provenance,
        **others,
    }  # fmt: skip


PARAMETERS = [
    {
        "name": "seed",
        "type": "int",
        "value": 0,
        "default": 0,
        "changed": False,
        "choices": "0 or more",
        "help": HOSTILE,
    },
    {"name": "n", "type": "int", "value": 4, "default": 40, "changed": True, "choices": "2 to 80", "help": "images"},
]


def notebook(*more):
    wide = pd.DataFrame([range(100000, 100040)], columns=[f"quantile_{i}" for i in range(40)])
    named = pd.DataFrame({HOSTILE: [0.98]}, index=pd.Index(["gradcam"], name="method"))
    return new_notebook(
        cells=[
            new_markdown_cell("# Where does it look?\nProse with $R^+$, `$code$`, \\$5, $6 and $7."),
            code("secret_parameter = 1", tags=["parameters"]),
            new_markdown_cell("### 1 · Focus\n" + "\n\n".join(f"$${e}$$" for e in EQUATIONS)),
            new_markdown_cell("#### Symbols\n| symbol | meaning |\n|---|---|\n| $|T|$ | size |\n\n```\n$fenced$\n```"),
            code(
                "# the plot\nplot()",
                displayed({"image/png": png()}, **{"image/png": {"alt": "a spot", "caption": "A."}}),
            ),
            code("def focus(R):\n    return R", displayed({"image/svg+xml": SVG}, alt='a "line"'), tags=["hide-input"]),
            code(
                "x = 'long' * " + "9" * 300, displayed({"image/png": png()}), printed("done\n"), printed(BAR, "stderr")
            ),
            code(
                "t",
                displayed({"text/html": wide.to_html()}),
                displayed({"text/html": named.to_html()}, caption="By method"),
            ),
            code(
                "w",
                displayed({"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "HBox(...)"}),
            ),
            code(
                "h",
                displayed({"text/html": HOSTILE + '<p onclick="x()">kept</p><img src="https://example.org/i.png">'}),
            ),
            new_markdown_cell(f"### 1 · Focus\n![far away](https://example.org/far.png) {HOSTILE} [a](javascript:x())"),
            *more,
        ]
    )


def broken():
    error = new_output(
        "error", ename="ValueError", evalue="no maps", traceback=["\x1b[38;5;160mValueError\x1b[0m: <b>" + "0" * 400]
    )
    prose = [new_markdown_cell("Prose. " * 900) for _ in range(2)]
    return notebook(prose[0], code("raise ValueError", error), new_markdown_cell("## After"), prose[1])


FAILED = results(status="failed", answer=None, error={"name": "ValueError", "message": HOSTILE})


@pytest.fixture(scope="module")
def html():
    return page.report(notebook(), results(), PARAMETERS, {"results.json": b"{}", "t/focus.csv": b"a,b\n1,2\n"})


@pytest.fixture(scope="module")
def soup(html):
    return BeautifulSoup(html, "html.parser")


def words(soup):
    return " ".join(soup.get_text(" ").split())


# ----------------------------------------------------------------------------------- what is on the page


def test_answer_introduction_parameters_and_claims_come_before_the_notebook(soup):
    text = words(soup.body)
    order = [
        "On the object.",
        "Prose with",
        "Changed for this run",
        "1 of 3 of the paper's claims holds, 1 does not, 1 not judged; 0 of 1 controls pass, 1 cannot be told.",
        "What the paper claims",
        "chance is one half",
        "Controls of our own",
        "as before",
        "the plot",
    ]
    assert [part for part in order if part not in text] == []
    assert sorted(order, key=text.index) == order


def test_every_verdict_is_a_word_not_only_a_colour(soup):
    verdicts = [words(row.td) for row in soup.select(".claims tbody tr")]
    assert verdicts == ["✓ holds", "✗ does not hold", "– not judged", "○ cannot tell"]


def test_changed_parameters_are_listed_first_and_the_rest_are_folded(soup):
    assert [words(th) for th in soup.select(".parameters tbody th")] == ["n changed", "seed"]
    assert soup.find("code", string="seed").find_parent("details")


def test_tagged_cells_and_inputs_are_hidden(html):
    assert "secret_parameter" not in html
    assert "return</span>" not in html


def test_code_is_folded_under_what_it_is_about(soup):
    summaries = [words(s) for s in soup.select("details.code > summary")]
    assert summaries[0] == "the plot"
    assert (
        said.first_words("import x\n\ndef f(R: dict, T=(1, 2)) -> int:\n    pass")
        == "<code>f(R: dict, T=(1, 2))</code>"
    )
    assert said.first_words("\n# Drawing: two <b>\ndef f():\n    pass") == "<span>Drawing: two &lt;b&gt;</span>"
    assert said.first_words("x = 1") == "<code>x = 1</code>"
    assert not soup.select("details.code[open]")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a `b<c>` d", "a <code>b&lt;c&gt;</code> d"),
        ("`a` and `b`", "<code>a</code> and <code>b</code>"),
        ("one ` alone <", "one ` alone &lt;"),
        ("", ""),
    ],
)
def test_backticks_make_code_of_text_and_of_nothing_else(text, html):
    assert said.ticked(text) == html


def test_progress_bars_and_widgets_leave_no_trace(soup):
    assert not re.search(r"it/s|HBox|\d%\|", words(soup))
    assert "done" in words(soup)


def page_of(*cells, **more):
    return BeautifulSoup(page.report(new_notebook(cells=list(cells)), results(**more), []), "html.parser")


def test_a_notebooks_own_warnings_are_folded_and_those_of_libraries_left_out():
    ours = "/tmp/ipykernel_1/2.py:3: UserWarning: mild\n  warn('mild')\n"
    theirs = "/x/site-packages/a.py:3: UserWarning: loud\n  warn('loud')\n/y.py:1: FutureWarning: late\n  f()\n"
    soup = page_of(code("w", printed(BAR + theirs + ours + theirs, "stderr")), code("v", printed(theirs, "stderr")))
    (fold,) = soup.select("details.messages")
    assert words(fold.summary) == "Messages while it ran"
    assert fold.pre.get_text() == ours.rstrip("\n")


def test_numbers_are_shown_without_their_types_and_objects_not_at_all():
    texts = ["(np.float64(0.98), np.int64(3))", "<Axes: title={'center': 'a'}>", "[<matplotlib.lines.Line2D at 0x7f>]"]
    outputs = [new_output("execute_result", data={"text/plain": text}) for text in texts]
    soup = page_of(code("x", *outputs, printed("np.True_ np.float32(-1e-05)")))
    assert [words(pre) for pre in soup.select("pre.output")] == ["(0.98, 3)", "np.True_ -1e-05"]


def test_claims_stand_on_the_page_once():
    tables = [displayed({"text/html": f"<table><tr><td>{kind}</td></tr></table>"}) for kind in ("paper's", "ours")]
    answer = displayed({"text/markdown": "**So it is.**"})
    soup = page_of(code("# The claims\nrun.claims()\nrun.answer(a)", *tables, answer))
    assert len(soup.select("table.claims")) == 2
    assert not soup.select("article table")
    assert "Each claim stands above" in words(soup.article)
    assert "So it is." in words(soup.article)


def test_claims_of_older_runs_are_read_as_the_papers():
    old = [{"claim": "a", "paper": 1, "seen": 1.0, "holds": holds, "why": ""} for holds in (True, False, None)]
    soup = page_of(claims=old)
    assert [words(row.td) for row in soup.select(".claims tbody tr")] == ["✓ holds", "✗ does not hold", "– not judged"]
    assert said.tally(old) == "1 of 3 of the paper's claims holds, 1 does not, 1 not judged"


def test_reasons_are_folded_below_their_claim(soup):
    assert words(soup.select_one(".claims tbody th details")) == "Why within 0.03"
    assert not soup.select(".claims details[open]")


def test_claims_that_were_all_left_out_are_not_counted_as_failed():
    claims = [judged("a", "not judged"), judged("b", "not judged"), judged("c", "not judged", kind="control")]
    assert said.tally(claims) == "none of the paper's 2 claims was judged; none of our 1 controls was judged"


def test_what_was_seen_has_a_line_for_each_network_and_a_long_list_is_folded():
    few, many = "; ".join(f"net{i} {i}" for i in range(3)), "; ".join(f"net{i} <{i}>" for i in range(16))
    soup = page_of(claims=[judged("a", "holds", seen=few), judged("b", "holds", seen=many)])
    first, second = soup.select(".claims tbody tr > td:last-child")
    assert [words(line) for line in first.select("div")] == ["net0 0", "net1 1", "net2 2"]
    assert words(second.summary) == "16 results"
    assert words(second.select("details > div")[15]) == "net15 <15>"


def test_the_cover_stands_on_the_first_screen():
    figures = [dict(name="a", alt="no"), dict(name="b", alt='one "spot"', cover=True)]
    png_bytes = base64.b64decode(png())
    soup = BeautifulSoup(page.report(notebook(), results(figures=figures), [], cover=png_bytes), "html.parser")
    assert soup.select_one("header .cover img")["alt"] == 'one "spot"'
    assert "over" in soup.header["class"]  # 600 x 200: too wide to stand beside the answer


def test_what_stands_between_the_knobs_goes_with_them():
    knobs = [code("a = 1", tags=["parameters-above"]), new_markdown_cell("Then more knobs."), code(tags=["parameters"])]
    soup = page_of(new_markdown_cell("# T\nWhat it is."), *knobs, new_markdown_cell("And on."))
    assert words(soup.select_one(".opening")).endswith("What it is.")
    assert "more knobs" not in words(soup)
    assert words(soup.article) == "And on."


def test_papermills_word_on_an_error_is_left_out():
    word = new_markdown_cell("An Exception was encountered.", metadata={"tags": ["papermill-error-cell-tag"]})
    soup = page_of(word, new_markdown_cell("# T\nWhat it is."), code("x"), status="failed")
    assert "Exception" not in words(soup)
    assert words(soup.select_one(".opening")).endswith("What it is.")


def test_row_numbers_that_nobody_named_are_dropped():
    table = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
    gappy, named = table.set_axis([0, 42]), table.set_axis(pd.Index([0, 42], name="tile"))
    cleaned = [
        BeautifulSoup(page.clean(t.to_html()), "html.parser") for t in (gappy, named, table.set_axis(["p", "q"]))
    ]
    assert [len(soup.select("tbody tr:first-child > *")) for soup in cleaned] == [2, 3, 3]


def test_a_metric_is_recorded_with_its_interval():
    estimate = dict(value=0.98, low=0.97, high=0.99, n=40, of="mosaics", undefined=2, chance=0.5, level=0.95)
    run = results(
        metrics={"a": 0.98, "b": 1, "c": None}, estimates={"a": estimate | {"better": "higher"}, "c": {"low": None}}
    )
    assert said.measured(run) == {
        "a": "0.98 [0.97, 0.99], 95 % interval; 40 mosaics, 2 undefined left out; chance 0.5; higher is better",
        "b": "1",
        "c": "–",
    }


def test_figures_carry_their_description_or_are_marked(soup):
    figures = soup.select("figure.plot")
    assert [f.img["alt"] for f in figures] == ["a spot", 'a "line"', "No description"]
    assert ["no-description" in f["class"] for f in figures] == [False, False, True]
    assert words(figures[0].figcaption) == "A."
    assert all(img["src"].startswith("data:") and img["alt"] for img in soup.select("img"))


def test_tables_have_captions_scoped_headers_and_a_box_to_scroll_in(soup):
    for table in soup.select("table"):
        assert table.caption.get_text()
        assert all(th.get("scope") in ("row", "col") for th in table.select("th"))
        assert "scroll" in table.parent["class"]
    assert "By method" in words(soup)


def test_headings_skip_no_level_and_contents_find_them(soup):
    levels = [int(h.name[1]) for h in soup.select("h1, h2, h3, h4, h5, h6")]
    assert levels.count(1) == levels[0] == 1
    assert all(below - above <= 1 for above, below in zip(levels, levels[1:], strict=False))
    ids = [tag["id"] for tag in soup.select("[id]")]
    assert len(ids) == len(set(ids))
    assert {"1-·-Focus", "1-·-Focus-2", "run-claims", "run-record"} <= set(ids)


def test_downloads_are_inside_the_page(soup):
    link = soup.select_one("a[download='t/focus.csv']")
    assert link["href"].startswith("data:text/csv;")
    assert base64.b64decode(link["href"].partition("base64,")[2]) == b"a,b\n1,2\n"


def test_a_value_that_the_profile_has_otherwise_is_told_beside_it_and_at_the_top():
    other = [PARAMETERS[0] | {"instead": 7}, PARAMETERS[1]]
    soup = BeautifulSoup(page.report(new_notebook(), results(), other), "html.parser")
    assert "quick profile but for 1 value, 1 parameter changed" in soup.find(class_="facts").get_text()
    (row,) = [row for row in soup.select("table.parameters tr") if row.th.get_text() == "seed"]
    assert row.td.get_text() == "0 (profile: 7)"
    assert "but for" not in page.report(new_notebook(), results(), PARAMETERS)


def test_the_record_shows_everything_also_what_it_does_not_know():
    run = results(provenance={"started": "2025-03-01T10:00:00", "unheard_of": {"deep": {"deeper": "yes!"}}})
    assert "yes!" in page.report(new_notebook(), run, [])


def test_a_page_of_nothing_is_small_and_whole():
    text = page.report(new_notebook(), {"notebook": "x", "title": "x", "status": "finished"}, [])
    assert len(text) < 120_000
    assert text.rstrip().endswith("</html>")


def test_the_failing_cell_is_marked_and_its_code_is_open():
    soup = BeautifulSoup(page.report(broken(), FAILED, []), "html.parser")
    assert soup.select_one(".banner a")["href"] == "#run-error"
    assert soup.select_one("#run-error details.code[open]")
    assert soup.select_one("#run-error .traceback .ansi-red-fg")


def test_a_run_that_failed_outside_a_cell_has_no_dead_link():
    soup = BeautifulSoup(page.report(new_notebook(), FAILED, []), "html.parser")
    assert soup.select_one(".banner")
    assert not soup.select(".banner a")


def test_an_expected_error_does_not_make_a_run_fail():
    assert 'id="run-error"' not in page.report(broken(), results(), [])


# ------------------------------------------------------------------------------------ what must not be there


def test_nothing_on_the_page_loads_or_runs(soup):
    assert len(soup.select("script")) == 1  # ours
    assert not soup.select("iframe, object, embed, [onclick], [onerror], link:not([rel=icon])")
    assert not [a for a in soup.select("a[href]") if a["href"].startswith("javascript")]
    assert "kept" in words(soup)
    policy = soup.select_one("meta[http-equiv=Content-Security-Policy]")["content"]
    assert policy.startswith("default-src 'none'")
    assert "far away" in words(soup)  # a picture from elsewhere becomes its description and a link


@pytest.mark.parametrize("text", ["java\nscript:x()", " JavaScript:x()", "data:text/html,x", "vbscript:x"])
def test_links_that_run_code_are_dropped(text):
    assert "href" not in page.clean(f'<a href="{text}">a</a>')


@pytest.mark.parametrize("css", ["background:url(https://example.org/x)", "background: URL ('//example.org')"])
def test_styles_that_load_are_dropped(css):
    cleaned = page.clean(f'<p style="{css}">a</p><td style="{css}">a</td><style>p {{ {css} }}</style>')
    assert "example.org" not in cleaned


LOADING = [
    r'<p style="background:\75 rl(https://example.org/x)">a</p>',
    r"<style>@\69mport 'https://example.org/x';</style>",
    '<svg><a><set attributeName="href" to="javascript:x()"/><text>a</text></a></svg>',
    '<svg><image href="https://example.org/x"/></svg>',
    '<math><mtext><style><img src="x" onerror="javascript:x()"></style></mtext></math>',
    '<noscript><p title="</noscript><img src=x onerror=javascript:x()>"></noscript>',
    '<table background="https://example.org/x"><td>a</td></table>',
    '<a href="data:text/html,javascript:x()">a</a><a href="JAVA&#10;SCRIPT:x()" ping="https://example.org/x">b</a>',
    '<form action="https://example.org/x"><button formaction="javascript:x()">a</button><input name="a"></form>',
    '<math href="javascript:x()"><maction actiontype="statusline" xlink:href="javascript:x()">a</maction></math>',
    '<meta http-equiv="refresh" content="0;url=https://example.org/x"><base href="https://example.org/">',
    '<video src="https://example.org/x" poster="https://example.org/x"></video>',
]


@pytest.mark.parametrize("html", LOADING)
def test_html_is_safe_by_what_it_allows(html):
    for tag in BeautifulSoup(page.clean(html), "html.parser").find_all(True):
        assert tag.name in {"a", "p", "div", "table", "caption", "tbody", "tr", "td", "span", "math", "mtext", "img"}
        said = {name: value for name, value in tag.attrs.items() if name not in ("class", "alt", "title")}
        assert not said or (tag.name == "math" and not re.search("example|script", str(said)))


def test_what_notebooks_show_is_kept():
    html = (
        '<small>seed 0</small><table><thead><tr><th scope="col" style="text-align: right;">a</th></tr></thead></table>'
        '<details><summary>Answer</summary>a</details><h3 id="a-b">a</h3><a href="#a-b">a</a>'
        '<img src="data:image/png;base64,AAAA" alt="a spot"><math display="block"><mi>x</mi></math>'
    )
    soup = BeautifulSoup(page.clean(html), "html.parser")
    assert soup.select_one('th[scope=col][style="text-align: right;"]')
    for kept in ("small", "details summary", "h3#a-b", "a[href]", "img[src][alt]", "math[display=block] mi"):
        assert soup.select_one(kept), kept


# ------------------------------------------------------------------------------------------------ equations


def prose(source):
    text = page.report(new_notebook(cells=[new_markdown_cell(source)]), results(), [])
    return BeautifulSoup(text, "html.parser").select_one("article")


@pytest.mark.parametrize("latex", EQUATIONS)
def test_the_course_s_equations_convert(latex):
    assert "<math" in mathml(latex, "block")
    assert not re.search(r"math-error|\\|&amp;|negative|mathvariant=.bold|\u2060|\u2061", mathml(latex, "block"))


@pytest.mark.parametrize("latex", [r"\frac", r"\nosuch{x}", "a & b", "{", "<script>"])
def test_what_does_not_convert_shows_its_source_and_stays_text(latex):
    html = mathml(latex)
    assert "<script" not in html
    assert "math-error" in html or latex == "<script>"


@pytest.mark.parametrize(
    "source", ["`$x$`", "```\n$$x$$\n```", r"\$5 and \$6", "$5 and $6", "`$$` and `$$`", "    $x$"]
)
def test_dollars_that_are_not_equations_stay(source):
    assert not prose(source).select("math")
    assert "$" in prose(source).get_text()


@pytest.mark.parametrize(
    "source", ["$x$", "a $x$, b", "> $$x$$", "- $$\n  x\n  $$", "| a |\n|---|\n| $|x|$ |", "**$x_i*y$**"]
)
def test_equations_are_found_wherever_markdown_has_text(source):
    assert len(prose(source).select("math")) == 1


def test_names_and_limits_are_set_as_in_print():
    html = mathml(r"\max_p \mathrm{Focus} \mathbf 1", "block")
    assert "<munder><mo" in html
    assert "<mtext>Focus</mtext>" in html
    assert "𝟏" in html


# ------------------------------------------------------------------------------------------- in a browser


class Looked:
    """A page in a browser, with everything it asked for and everything it complained about."""

    def __init__(self, chromium, path, scheme="light", width=1280):
        self.context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
        self.tab, self.asked, self.sent, self.complaints = self.context.new_page(), [], [], []
        self.tab.route("**/*", self.only_files)
        self.tab.on("request", lambda r: r.url.startswith("data:") or self.asked.append(r.url))
        self.tab.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        self.tab.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.tab.goto(path.as_uri())
        self.tab.wait_for_load_state("load")

    def only_files(self, route):
        self.sent.append(route.request.url)
        route.continue_() if route.request.url.startswith("file:") else route.abort()

    def __getattr__(self, name):
        return getattr(self.tab, name)


def work_of_opening(looked):
    """Seconds of processor time that a page takes to open: how long it takes is others' doing, too."""
    session = looked.context.new_cdp_session(looked.tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent():
        looked.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        measured = session.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in measured if one["name"] == "TaskDuration")

    before = spent()
    looked.reload()
    return spent() - before


@pytest.fixture
def browser_page(chromium, tmp_path):
    """Opens HTML in a browser: `browser_page(html, scheme="dark", width=360)`."""
    opened = []

    def look(html, **options):
        path = tmp_path / f"{len(opened)}.html"
        path.write_text(html, "utf-8")
        opened.append(Looked(chromium, path, **options))
        return opened[-1]

    yield look
    for looked in opened:
        looked.context.close()


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
                        return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
                                                            if (c[3]) return c; } return [255, 255, 255, 255]; };
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => { const [a, b] = [light(rgba(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
                  return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 80)]; })
    .filter(([ratio]) => ratio < 4.5);
}"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["report", "failed"])
def test_the_page_asks_for_nothing_and_reads_well(browser_page, html, scheme, kind):
    looked = browser_page(html if kind == "report" else page.report(broken(), FAILED, PARAMETERS), scheme=scheme)
    looked.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert len(looked.asked) == 1
    assert looked.complaints == []
    assert looked.evaluate("window.hacked") is None
    assert looked.evaluate(CONTRAST) == []


@pytest.mark.slow
@pytest.mark.parametrize("text", ["report", "failed"])
def test_a_phone_never_scrolls_sideways(browser_page, html, text):
    pages = {"report": html, "failed": page.report(broken(), FAILED, PARAMETERS)}
    looked = browser_page(pages[text], width=360)
    for state in ("false", "true"):
        looked.evaluate(f"document.querySelectorAll('details').forEach((d) => {{ d.open = {state}; }})")
        assert looked.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_what_is_recorded_has_room_on_a_phone(browser_page):
    looked = browser_page(page.report(new_notebook(), results(), []), width=360)
    looked.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    entries = looked.locator("dl dl dd")
    assert entries.all_inner_texts() == ["2.9.0"]
    assert entries.evaluate_all("all => all.every((dd) => dd.clientWidth > 100)")


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_long_line_of_an_error_wraps(browser_page, width):
    looked = browser_page(page.report(broken(), FAILED, PARAMETERS), width=width)
    wide = looked.evaluate("(e => [e.scrollWidth, e.clientWidth])(document.querySelector('#run-error .traceback'))")
    assert wide[0] <= wide[1]


@pytest.mark.slow
def test_equations_take_up_room(browser_page, html):
    sizes = browser_page(html).evaluate(
        "[...document.querySelectorAll('math')].map((m) => m.getBoundingClientRect()).map((r) => [r.width, r.height])"
    )
    assert len(sizes) == len(EQUATIONS) + 2
    assert all(width > 5 and height > 5 for width, height in sizes)


@pytest.mark.slow
def test_a_failed_run_opens_at_its_error_unless_asked_otherwise(browser_page, tmp_path):
    looked = browser_page(page.report(broken(), FAILED, []))
    where = "document.getElementById('run-error').getBoundingClientRect().top"
    assert looked.evaluate("scrollY") > 800
    assert -1 <= looked.evaluate(where) < 100
    looked.goto("about:blank")
    looked.goto((tmp_path / "0.html").as_uri() + "#run-record")
    assert looked.evaluate(where) < -800


@pytest.mark.slow
def test_contents_lead_somewhere_and_one_switch_shows_all_code(browser_page, html):
    looked = browser_page(html)
    lost = "[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => decodeURIComponent(a.hash.slice(1)))"
    assert looked.evaluate(lost + ".filter((id) => !document.getElementById(id))") == []
    looked.click(".show-code")
    assert looked.evaluate("document.querySelectorAll('details.code:not([open])').length") == 0
    assert looked.get_attribute(".show-code", "aria-pressed") == "true"


@pytest.mark.slow
def test_print_unfolds_everything_and_drops_the_contents(browser_page, html):
    looked = browser_page(html, scheme="dark")
    assert looked.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    looked.emulate_media(media="print")
    looked.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert looked.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    assert not looked.is_visible(".contents")
    assert looked.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    looked.evaluate("dispatchEvent(new Event('afterprint'))")
    assert looked.evaluate("document.querySelectorAll('details.code[open]').length") == 0


@pytest.mark.slow
def test_the_policy_stops_what_the_cleaning_might_miss(browser_page, html):
    hole = "<script>window.hacked = 1</script><img src='https://example.org/leak.png' onerror='window.hacked = 1'>"
    looked = browser_page(html.replace("</main>", hole + "</main>"))
    assert looked.evaluate("window.hacked") is None
    assert len(looked.sent) == 1  # the refused request never set out
    assert len(looked.complaints) >= 2  # the browser says what it refused


POLICY = re.compile(r"<meta [^>]*Content-Security-Policy[^>]*>")
HARMFUL = [
    *LOADING,
    "<script>x()</script>",
    '<svg onload="x()"></svg>',
    "<img src=x onerror=x()>",
    '<iframe srcdoc="a">',
]


@pytest.mark.slow
@pytest.mark.parametrize("alone", ["the policy", "the cleaning"])
def test_either_of_policy_and_cleaning_holds_without_the_other(browser_page, html, alone):
    """Everything hostile, seen and clicked, under the policy but not cleaned; then cleaned, and without the policy."""
    parts = [re.sub(r"x\(\)", "window.hacked=1", part) for part in HARMFUL]
    parts = [part for part in parts if "refresh" not in part or alone == "the cleaning"]  # no policy stops a refresh
    if alone == "the cleaning":
        parts, html = [page.clean(part) for part in parts], POLICY.sub("", html)
    assert bool(POLICY.search(html)) == (alone == "the policy")
    looked = browser_page(html.replace("</main>", f"<section id='harm'>{''.join(parts)}</section></main>"))
    clicked = "[...document.querySelectorAll('#harm a, #harm button')].map((e) => { e.click?.(); return 1; }).length"
    assert looked.evaluate(clicked) >= 1
    looked.wait_for_timeout(300)
    assert looked.evaluate("window.hacked") is None
    assert [url for url in looked.sent if "example.org" in url] == []


@pytest.mark.slow
def test_downloads_come_out_whole(browser_page):
    data = json.dumps({"focus": 0.98}).encode()
    looked = browser_page(page.report(new_notebook(), results(), [], {"results.json": data}))
    with looked.expect_download() as download:
        looked.click("a[download='results.json']")
    assert download.value.path().read_bytes() == data


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_picture_opens_large_by_click_and_by_key_and_esc_closes_it(browser_page, html, width):
    looked = browser_page(html, width=width)
    looked.click(".plot button.enlarge")
    assert looked.evaluate("document.querySelector('.large img').getBoundingClientRect().width") >= min(600, width - 40)
    looked.keyboard.press("Escape")
    assert not looked.is_visible(".large")
    looked.focus(".plot button.enlarge")
    looked.keyboard.press("Enter")
    assert looked.get_attribute(".large img", "alt") == "a spot"
    looked.click(".large > button")
    assert not looked.is_visible(".large")
    assert looked.evaluate("document.activeElement.className") == "enlarge"
    assert looked.complaints == []


@pytest.mark.slow
def test_a_table_that_scrolls_says_so(browser_page, html):
    looked = browser_page(html, width=1280)
    assert looked.locator(".hint").count() == 1
    assert looked.locator(".hint + .scroll.scrolls[tabindex='0'] th", has_text="quantile_39").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_the_caption_of_a_table_that_scrolls_is_read_whole(browser_page, html, width):
    looked = browser_page(html, width=width)
    right = looked.evaluate("""() => { const table = document.querySelector(".scroll.scrolls table");
      table.createCaption().textContent = "word ".repeat(90);
      table.parentElement.scrollLeft = 50;
      return table.caption.getBoundingClientRect().right - table.parentElement.getBoundingClientRect().right; }""")
    assert right <= 0
