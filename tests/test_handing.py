"""A run handed on: found by its names, asked again, served here only, printed, packed, and as a notebook."""

import base64
import errno
import hashlib
import http.client
import io
import json
import math
import re
import shutil
import signal
import socket
import threading
import time
import zipfile
import zlib

import nbformat
import pytest
from known import course_started
from PIL import Image
from test_page import code, displayed, results
from test_reports import CELLS

from helpers.errors import CourseError
from reports import cli, found, handed, machine, page, plans, rerun, runs, served


def book(path, **cells):
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A demo")])
    for tag, source in (CELLS | cells).items():
        written.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": [tag]}))
    nbformat.write(written, path)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished run of the demo; its notebook is gone."""
    place = tmp_path_factory.mktemp("handed")
    demo = book(place / "demo.ipynb")
    folder, status = runs.run(plans.plan(str(demo), given={"size": "4"}), place / "out")
    assert status == "finished"
    demo.unlink()
    return folder.resolve()


@pytest.fixture
def changed(finished, tmp_path):
    """A copy of it whose results, or notebook, say something else: `changed(metrics={...})`."""

    def change(**others):
        folder = tmp_path / "there" / "demo" / finished.name
        if not folder.is_dir():
            shutil.copytree(finished, folder)
        (folder / "results.json").write_text(json.dumps(runs.results(folder) | others), "utf-8")
        return folder

    return change


@pytest.fixture
def answered(finished, monkeypatch):
    """Whoever asks again gets the first run's own answer, at once."""
    monkeypatch.setattr(runs, "run", lambda plan, out, force: (finished, "finished"))


def contents(folder):
    return {path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files(folder)}


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def course(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    return code, capsys.readouterr()


# found ----------------------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_folder_page_id_and_notebook_with_id(finished, monkeypatch):
    out = finished.parents[1]
    for name in (finished, finished / "report.html", finished.name, f"demo/{finished.name}"):
        assert found.named([str(name)], out)[0].folder == finished
    monkeypatch.chdir(finished)
    assert found.named(["."], out)[0].folder == finished
    assert found.named(["report.html"], out)[0].folder == finished


@pytest.mark.parametrize("name", ["nothing", "", " ", "..", "/", "demo", "a\0b"])
def test_what_is_no_run_is_told_with_those_there_are(finished, name):
    with pytest.raises(CourseError, match=f"expected its folder.*There are: {finished.name}"):
        found.named([name], finished.parents[1])


def test_a_slip_in_an_id_is_told_with_the_nearest(finished):
    with pytest.raises(CourseError, match=f"Did you mean `{finished.name}`"):
        found.named([finished.name[:-1]], finished.parents[1])


# asked again ----------------------------------------------------------------------------------------------------------


def test_asked_again_every_number_is_equal_and_nothing_is_left_or_touched(finished, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = contents(finished.parents[1])
    code, output = course(capsys, "rerun", finished)
    assert code == 0
    assert "2 metrics: 2 equal to the last bit, 0 within" in output.out
    assert "nothing that is recorded has changed" in output.out
    assert contents(finished.parents[1]) == before
    assert [*tmp_path.glob("course~*")] == []


def test_with_out_the_new_run_is_kept_beside_the_first_one_untouched(changed, capsys):
    folder = changed()
    before = contents(folder)
    code, output = course(capsys, "rerun", folder, "--out", folder.parents[1])
    assert code == 0
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}.2"]
    assert f"now: {folder}.2" in output.out
    assert contents(folder) == before
    code, output = course(capsys, "rerun", folder, "--out", folder / "new")
    assert (code, "inside of the run" in output.err) == (2, True)
    assert contents(folder) == before


def test_a_number_that_differs_is_named_and_one_that_is_close_says_how_close(answered, changed, finished, capsys):
    metrics = runs.results(finished)["metrics"]
    folder = changed(metrics={"draw": metrics["draw"] + 0.1, "mean": math.nextafter(metrics["mean"], 9), "old": 1.0})
    code, output = course(capsys, "rerun", folder)
    assert code == 1
    rows = {line.split()[0]: line for line in output.out.splitlines() if line.strip()}
    assert "DIFFERS" in rows["draw"]
    assert "within 0.0001" in rows["mean"]
    assert re.search(r"1\.0 +not there +DIFFERS", rows["old"])
    assert "3 metrics: 0 equal to the last bit, 1 within 0.0001 of the larger value, 2 not" in output.out


@pytest.mark.parametrize(
    ("then", "now", "verdict"),
    [
        (0.1 + 0.2, 0.1 + 0.2, "equal"),
        (0.1 + 0.2, 0.3, "within"),
        (0.0, -0.0, "within"),
        (None, None, "equal"),
        (None, 0.5, "differs"),
        (100.0, 100.009, "within"),
        (100.0, 100.02, "differs"),
        (1e-6, 2e-6, "differs"),
        (3, 4, "differs"),
    ],
)
def test_equal_is_to_the_last_bit_and_within_is_a_share_of_the_larger(then, now, verdict):
    rows = rerun.compared({"metrics": {"m": then}}, {"metrics": {"m": now}})
    assert [row.verdict for row in rows] == [verdict]


def test_tolerance_can_be_given_and_is_checked(answered, changed, finished, capsys):
    metrics = runs.results(finished)["metrics"]
    folder = changed(metrics=metrics | {"mean": metrics["mean"] * 1.01})
    assert course(capsys, "rerun", folder)[0] == 1
    code, output = course(capsys, "rerun", folder, "--tolerance", "0.05")
    assert (code, "1 within 0.05" in output.out) == (0, True)
    assert course(capsys, "rerun", folder, "--tolerance", "-1")[0] == 2


def test_another_commit_version_and_verdict_are_said(answered, changed, finished, capsys):
    found = runs.results(finished)
    provenance = found["provenance"] | {"git_commit": "0123456789"}
    provenance["versions"] = provenance["versions"] | {"torch": "1.0"}
    claims = [claim | {"verdict": "does not hold"} for claim in found["claims"]]
    status, output = course(capsys, "rerun", changed(provenance=provenance, claims=claims))
    assert status == 0  # the numbers are what is compared
    assert "git commit: 0123456789 then" in output.out
    assert "versions.torch: 1.0 then" in output.out
    assert "claim: one is one: does not hold then, holds now" in output.out


def test_other_code_of_the_notebook_is_said_and_what_ran_is_asked(answered, changed, monkeypatch, capsys, tmp_path):
    folder = changed()
    demo = book(tmp_path / "demo.ipynb", end="run.metric('new', 1)")
    monkeypatch.setattr(plans, "notebooks", lambda: [demo])
    code, output = course(capsys, "rerun", folder)
    assert code == 0
    assert "notebook code: demo.ipynb is another one today" in output.out
    assert "2 metrics" in output.out


def test_a_question_whose_data_or_helpers_changed_is_said(answered, changed, capsys):
    folder = changed()
    code, output = course(capsys, "rerun", folder.rename(folder.with_name("0123456789")))
    assert (code, "its id is another one now" in output.out) == (0, True)


def test_a_run_that_fails_when_asked_again_ends_with_1_and_its_reason(changed, capsys):
    folder = changed()
    (folder / "params.yaml").write_text("size: 4\nfail: bug\nseed: 0\n")
    code, output = course(capsys, "rerun", folder)
    assert (code, "ZeroDivisionError" in output.err) == (1, True)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"status": "failed"}, "nothing to compare"),
        ({"notebook": "../x"}, "expected a name"),
        ({"notebook": ".."}, "name"),
    ],
)
def test_what_cannot_be_asked_again_is_told(changed, capsys, others, said):
    code, output = course(capsys, "rerun", changed(**others))
    assert (code, said in output.err) == (2, True)


def test_a_cut_notebook_is_told(changed, capsys):
    folder = changed()
    (folder / "executed.ipynb").write_text('{"cells": [')
    code, output = course(capsys, "rerun", folder)
    assert (code, "not a readable notebook" in output.err) == (2, True)


# served ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def serving(tmp_path):
    """A server of a folder with a page, a run, something hidden and links that lead out; asked by `get(path)`."""
    out = tmp_path / "out"
    (out / "demo" / "abc").mkdir(parents=True)
    (out / "index.html").write_text("overview")
    (out / "demo" / "abc" / "report.html").write_text("report")
    (out / "demo" / ".abc~1").mkdir()
    (out / "demo" / ".abc~1" / "run.log").write_text("hidden")
    (tmp_path / "secret.txt").write_text("secret")
    (out / "link.txt").symlink_to(tmp_path / "secret.txt")
    (out / "up").symlink_to(tmp_path)
    (out / "ring").symlink_to(out / "ring")
    server = served.server(out, 0)
    thread = threading.Thread(target=served.serve, args=(server, False))
    thread.start()

    def get(path, host=None, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    get.server = server
    yield get
    server.shutdown()
    thread.join(timeout=10)


def test_the_overview_and_the_runs_are_served_on_localhost_only(serving):
    assert serving("/") == (200, "overview")
    assert serving("/demo/abc/report.html?x#y") == (200, "report")
    assert serving.server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/demo/../../secret.txt", "//secret.txt", "/link.txt", "/up/secret.txt",
     "/demo/.abc~1/run.log", "/demo/", "/demo", "/demo/abc/", "/ring", "/a%00b", "/" + "x" * 5000, "/nothing"],
)  # fmt: skip
def test_nothing_else_is_served(serving, path):
    for method in ("GET", "HEAD"):
        status, text = serving(path, method=method)
        assert status in (404, 414)
        assert "secret" not in text.replace(path, "")
        assert "hidden" not in text


def test_a_page_elsewhere_cannot_read_by_a_name_that_leads_here(serving):
    assert serving("/", host="example.org")[0] == 404
    assert serving("/", host=f"localhost:{serving.server.server_port}")[0] == 200


def test_a_port_that_is_taken_or_none_and_a_folder_without_reports_are_told(serving, capsys, tmp_path):
    out = tmp_path / "out"
    for port, said in ((serving.server.server_port, "--port 0"), (70000, "from 0 to 65535")):
        code, output = course(capsys, "serve", "--out", out, "--port", port, "--no-browser")
        assert (code, said in output.err) == (2, True)
    code, output = course(capsys, "serve", "--out", tmp_path / "none", "--no-browser")
    assert (code, "no reports are there" in output.err) == (2, True)


def test_the_browser_is_opened_unless_it_is_not_wanted(monkeypatch, serving, tmp_path):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    for wanted in (False, True):
        server = served.server(tmp_path / "out", 0)
        threading.Timer(0.3, server.shutdown).start()
        served.serve(server, wanted)
        assert opened == [served.address(server)] * wanted


def test_ctrl_c_ends_it_with_the_usual_line(finished):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = finished.parents[1]
    with course_started("serve", "--out", out, "--port", port, "--no-browser") as process:
        for _ in range(300):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) != errno.ECONNREFUSED:
                    break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read().startswith("course: interrupted")


# exported -------------------------------------------------------------------------------------------------------------


def test_a_zip_has_the_whole_folder_and_the_same_bytes_each_time(changed, tmp_path, capsys, monkeypatch):
    folder = changed()
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    monkeypatch.chdir(tmp_path)
    code, output = course(capsys, "export", folder, "--to", "zip")
    assert (code, output.out.strip()) == (0, f"demo-{folder.name}.zip")
    for path in files(folder):
        path.touch()
    assert course(capsys, "export", folder, "--to", "zip", "-o", "again.zip")[0] == 0
    assert (tmp_path / output.out.strip()).read_bytes() == (tmp_path / "again.zip").read_bytes()
    with zipfile.ZipFile("again.zip") as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files(folder) if not path.is_symlink()}
    assert inside == {f"demo-{folder.name}/{name}": data for name, data in there.items()}
    assert list(inside) == sorted(inside)


def test_the_notebook_has_its_outputs_and_nothing_of_papermill(finished, tmp_path, capsys):
    file = tmp_path / "new" / "ran.ipynb"
    assert course(capsys, "export", finished, "--to", "ipynb", "-o", file)[0] == 0
    ran = nbformat.read(file, as_version=4)
    nbformat.validate(ran)
    assert "papermill" not in json.dumps([ran.metadata, *(cell.metadata for cell in ran.cells)])
    assert "papermill" in (finished / "executed.ipynb").read_text("utf-8")
    assert any("image/png" in output.get("data", {}) for cell in ran.cells for output in cell.get("outputs", ()))
    assert ran.metadata.kernelspec.name == "python3"
    assert "size = 4" in "".join(cell.source for cell in ran.cells)


@pytest.mark.parametrize("to", ["zip", "ipynb"])
def test_an_export_goes_neither_into_the_run_nor_over_a_folder(finished, tmp_path, capsys, to):
    before = contents(finished)
    for file in (finished / f"x.{to}", finished / "new" / f"x.{to}", tmp_path):
        code, output = course(capsys, "export", finished, "--to", to, "-o", file)
        assert (code, re.search("Name (a file|one) elsewhere", output.err) is None) == (2, False)
    (tmp_path / "file").write_text("")
    code, output = course(capsys, "export", finished, "--to", to, "-o", tmp_path / "file" / "x")
    assert (code, "cannot be written" in output.err) == (2, True)
    assert contents(finished) == before


def test_without_a_browser_a_pdf_is_refused_with_what_to_do(finished, capsys, monkeypatch):
    monkeypatch.setattr(machine, "BROWSERS", ("no-such-browser",))
    code, output = course(capsys, "export", finished, "--to", "pdf")
    assert code == 3
    assert "no Chromium is on the PATH (no-such-browser)" in output.err
    assert len(output.err.splitlines()) <= 2


def test_a_browser_that_prints_nothing_is_told_and_leaves_nothing(finished, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(CourseError, match="has not printed.*it is broken"):
        handed.pdf(finished, tmp_path / "new" / "x.pdf", str(broken))
    assert [*(tmp_path / "new").iterdir()] == []


def drawn(pdf):
    """The pictures that each page of a PDF draws, in the order of pages, by the number of their object."""
    objects = {int(n): body for n, body in re.findall(rb"\n(\d+) 0 obj\n?(.*?)\nendobj", pdf, re.S)}
    pages = []
    for body in objects.values():
        if re.search(rb"/Type\s*/Page\b", body):
            names = dict(re.findall(rb"/(X\d+)\s+(\d+) 0 R", body))
            stream = objects[int(re.search(rb"/Contents\s+(\d+) 0 R", body)[1])]
            data = zlib.decompress(re.search(rb"stream\r?\n(.*?)\r?\nendstream", stream, re.S)[1])
            pages.append([int(names[name]) for name in re.findall(rb"/(X\d+) Do", data)])
    return pages


@pytest.mark.slow
def test_in_the_pdf_everything_is_unfolded_and_no_figure_is_cut(tmp_path, capsys, chromium):
    def picture(height):
        buffer = io.BytesIO()
        Image.effect_noise((600, height), 50).convert("RGB").save(buffer, "png")
        return displayed({"image/png": base64.b64encode(buffer.getvalue()).decode()}, alt="noise", caption="Noise.")

    cells = [code("x = 1\n" * k, picture(300 + 60 * k)) for k in range(1, 9)] + [code("y", picture(2400))]
    folder = tmp_path / "demo" / "abc"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(page.report(nbformat.v4.new_notebook(cells=cells), results(), []), "utf-8")
    (folder / "results.json").write_text(json.dumps(results()), "utf-8")
    assert course(capsys, "export", folder, "--to", "pdf", "-o", tmp_path / "x.pdf")[0] == 0
    data = (tmp_path / "x.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    pages = drawn(data)
    assert len(pages) > 3
    pictures = [one for of_page in pages for one in set(of_page)]
    assert len(pictures) >= 8
    assert len(pictures) == len(set(pictures))
