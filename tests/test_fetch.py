"""Downloads from a server of the test's own: whole, interrupted, resumed, wrong, and from nowhere."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from data_scripts.getting import fetch
from helpers.errors import CourseError, Missing

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256, MD5 = (f"{kind}:{hashlib.new(kind, CONTENT).hexdigest()}" for kind in ("sha256", "md5"))


class Server(ThreadingHTTPServer):
    """Serves CONTENT. `ends_after` bytes a connection breaks; `ranges` is whether it can begin in the middle."""

    ends_after, ranges, status = None, True, None
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked = []


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        if server.status:
            return self.send_error(server.status)
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if begin >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        self.wfile.write(CONTENT[begin : begin + (server.ends_after or len(CONTENT))])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def url_of(server) -> str:
    return f"http://127.0.0.1:{server.server_port}/photos.zip"


@pytest.mark.parametrize("checksum", [SHA256, MD5, ""])
def test_a_file_is_fetched_once(server, tmp_path, checksum):
    for _ in range(2):
        file = fetch.fetch(url_of(server), tmp_path / "new" / "photos.zip", checksum)
    assert file.read_bytes() == CONTENT
    assert server.asked == [None]
    assert [f.name for f in file.parent.iterdir()] == ["photos.zip"]


def test_a_broken_download_goes_on_where_it_ended(server, tmp_path):
    server.ends_after = 1_000_000
    with pytest.raises(Missing, match="cannot be reached .*are here and will be kept"):
        fetch.fetch(url_of(server), tmp_path / "photos.zip", SHA256)
    there = (tmp_path / "photos.zip.part").stat().st_size
    assert 0 < there <= 1_000_000
    assert not (tmp_path / "photos.zip").exists()
    server.ends_after = None
    assert fetch.fetch(url_of(server), tmp_path / "photos.zip", SHA256).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={there}-"]


def test_a_server_that_cannot_begin_in_the_middle_sends_it_again(server, tmp_path):
    server.ranges = False
    (tmp_path / "photos.zip.part").write_bytes(CONTENT[:1000])
    assert fetch.fetch(url_of(server), tmp_path / "photos.zip", SHA256).read_bytes() == CONTENT


def test_a_part_that_is_whole_is_not_sent_again(server, tmp_path):
    (tmp_path / "photos.zip.part").write_bytes(CONTENT)
    assert fetch.fetch(url_of(server), tmp_path / "photos.zip", SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_another_checksum_stops_with_both_values_and_keeps_nothing(server, tmp_path, kind):
    wanted = hashlib.new(kind, b"else").hexdigest()
    found = hashlib.new(kind, CONTENT).hexdigest()
    with pytest.raises(CourseError, match=f"{kind} is {found}, expected {wanted}") as caught:
        fetch.fetch(url_of(server), tmp_path / "photos.zip", f"{kind}:{wanted}")
    assert not isinstance(caught.value, Missing)
    assert list(tmp_path.iterdir()) == []


def test_a_users_own_file_with_another_checksum_is_told_and_left(tmp_path):
    (tmp_path / "mine.zip").write_bytes(b"mine")
    with pytest.raises(CourseError, match="mine.zip: md5 is .*, expected "):
        fetch.verify(tmp_path / "mine.zip", MD5, "of its authors")
    assert (tmp_path / "mine.zip").read_bytes() == b"mine"


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_server_that_refuses_is_named_with_its_status(server, tmp_path, status):
    server.status = status
    with pytest.raises(Missing, match=rf"{url_of(server)} cannot be reached \(HTTP {status}\)"):
        fetch.fetch(url_of(server), tmp_path / "photos.zip", SHA256)
    assert list(tmp_path.iterdir()) == []


def test_without_internet_it_is_said_in_a_few_words(server, tmp_path):
    url = url_of(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(Missing, match=r"cannot be reached \(ConnectionError\)$"):
        fetch.fetch(url, tmp_path / "photos.zip", SHA256)


def test_a_download_larger_than_the_disk_does_not_begin(server, tmp_path, monkeypatch):
    usage = fetch.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage._replace(free=2_000_000))
    with pytest.raises(CourseError, match="GiB free, .* needed for the download"):
        fetch.fetch(url_of(server), tmp_path / "photos.zip", SHA256)
    assert not any(file.stat().st_size for file in tmp_path.iterdir())
