"""What every embedded data set promises on the disk, whatever it draws."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pandas as pd
import pytest

from data_scripts.drawn import embedded, faces, scenes


class Kind(NamedTuple):
    module: object
    draws: str  # the function that draws one picture
    size: int  # the smallest
    more: dict  # parameters of its own

    @property
    def name(self):
        return self.module.__name__.split(".")[-1]

    def prepare(self, root, images, **options):
        return self.module.prepare(root, images=images, **{"size": self.size} | options)


KINDS = [Kind(scenes, "scene", 32, {"bias": 0.9}), Kind(faces, "face", 64, {})]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def small(kind, tmp_path_factory):
    return kind.prepare(tmp_path_factory.mktemp("data"), 100)


def read(folder):
    return pd.read_csv(folder / "index.csv", keep_default_na=False)


def there(root):
    """What lies there; the locks of those who draw stay."""
    return sorted(path.name for path in root.iterdir() if path.suffix != ".lock")


def must_not_draw(*args, **options):
    raise AssertionError("drew a picture")


def test_an_image_does_not_depend_on_how_many_are_drawn_or_who_draws_them(kind, small, tmp_path):
    more = kind.prepare(tmp_path, 120, workers=2)
    assert read(more)[:100].equals(read(small))
    drawn = [path.relative_to(small) for path in small.rglob("*.png")]
    assert len(drawn) >= 200 + 15 * (kind.name == "faces")  # a picture, a mask, and layers of the test split
    for file in drawn:
        assert (more / file).read_bytes() == (small / file).read_bytes()


def test_another_seed_draws_other_images(kind, small, tmp_path):
    other = kind.prepare(tmp_path, 20, seed=1)
    assert (other / "images/000000.png").read_bytes() != (small / "images/000000.png").read_bytes()


def test_a_second_prepare_draws_nothing(kind, small, monkeypatch):
    monkeypatch.setattr(kind.module, kind.draws, must_not_draw)
    before = small.stat().st_mtime_ns
    assert kind.prepare(small.parent, 100) == small
    assert small.stat().st_mtime_ns == before


def test_a_changed_generator_draws_anew(kind, tmp_path):
    folder = kind.prepare(tmp_path, 20)
    manifest = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**manifest, "source": "an older one"}))
    kind.prepare(tmp_path, 20)
    assert json.loads((folder / "dataset.json").read_text()) == manifest


def test_other_parameters_replace_the_set(kind, tmp_path):
    kind.prepare(tmp_path, 40)
    folder = kind.prepare(tmp_path, 20, size=72, **kind.more)
    assert len(read(folder)) == len(list((folder / "images").iterdir())) == 20
    asked = {"images": 20, "size": 72, "seed": 0} | kind.more
    assert json.loads((folder / "dataset.json").read_text())["parameters"] == asked
    assert there(tmp_path) == [kind.name]


@pytest.mark.parametrize("file", ["holiday.jpg", "dataset.json"])
@pytest.mark.parametrize("text", ["", "[]", '{"generator": "another"}'])
def test_somebody_elses_folder_is_left_alone(kind, tmp_path, file, text):
    (tmp_path / kind.name).mkdir()
    (tmp_path / kind.name / file).write_text(text)
    with pytest.raises(FileExistsError, match=f"holds no {kind.name}"):
        kind.prepare(tmp_path, 20)
    assert [path.name for path in (tmp_path / kind.name).iterdir()] == [file]
    assert (tmp_path / kind.name / file).read_text() == text


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_prepare_leaves_no_half_written_folder(kind, tmp_path, monkeypatch, stop):
    draw, calls = getattr(kind.module, kind.draws), []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 8:
            raise stop
        return draw(*arguments, **options)

    monkeypatch.setattr(kind.module, kind.draws, interrupted)
    with pytest.raises(stop):
        kind.prepare(tmp_path, 20, workers=1)
    assert there(tmp_path) == []


def test_an_interrupted_prepare_keeps_the_set_it_was_to_replace(kind, tmp_path, monkeypatch):
    folder = kind.prepare(tmp_path, 20)
    monkeypatch.setattr(kind.module, kind.draws, must_not_draw)
    with pytest.raises(AssertionError, match="drew a picture"):
        kind.prepare(tmp_path, 30, workers=1)
    assert len(read(folder)) == 20
    assert there(tmp_path) == [kind.name]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("images", 19, "at least 20"),
        ("images", 20.5, "whole number"),
        ("size", 31, "at least"),
        ("size", "128", "whole number"),
        ("seed", -1, "from 0"),
        ("name", "", "without a path"),
        ("name", "../elsewhere", "without a path"),
        ("workers", 0, "above 0"),
    ],
)
def test_a_bad_parameter_is_named_with_its_value_and_what_was_expected(kind, tmp_path, name, value, wanted):
    with pytest.raises(ValueError, match=f"`{name}` is .*{wanted}") as error:
        kind.module.prepare(tmp_path, **{name: value})
    assert repr(value) in str(error.value)
    assert there(tmp_path) == []


def test_two_who_ask_at_once_draw_it_once(kind, tmp_path, monkeypatch):
    drawn, waits = [], threading.Barrier(2)
    real = embedded._drawn
    monkeypatch.setattr(embedded, "_drawn", lambda *given: drawn.append(1) or real(*given))

    def ask(_):
        waits.wait(timeout=30)
        return kind.prepare(tmp_path, 20, workers=1)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(ask, range(2))
    assert first == second
    assert drawn == [1]
