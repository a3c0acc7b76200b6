"""Who may ask: the token, this computer's names, our own pages; and nothing outside the run folder."""

import http.client
import json
import shutil
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from PIL import Image

from audit.errors import OutputError
from audit.explore.guard import HEADERS, Door
from audit.explore.server import explore
from audit.pipeline import Run
from audit.store.runs import verify
from tests.audit.explore.served import Served, served


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes


def asked(
    at: Served, path: str, *, method: str = "GET", body: bytes | None = None, cookie: str | None = None, headers: Mapping[str, str] = {}
) -> Answer:  # fmt: skip
    """`cookie`: another than the right one."""
    place = urlsplit(at.base)
    with closing(http.client.HTTPConnection(place.netloc, timeout=30)) as connection:
        name, value = at.door.cookie
        sent = {"Cookie": f"{name}={value if cookie is None else cookie}", **headers}
        connection.request(method, path if path.startswith(place.path) else place.path + path, body, sent)
        found = connection.getresponse()
        return Answer(found.status, found.headers, found.read())


def test_without_the_token_nothing_is_told(texts_served: Served) -> None:
    for path in ("/", "/examples", "/points.json", "/static/explorer.js", "/style.css", "/nothing"):
        answer = asked(texts_served, path, cookie="")
        assert answer.status == 403 and b"holds the token" in answer.body
    assert asked(texts_served, "/?token=another", cookie="").status == 403
    assert asked(texts_served, "/", cookie="another").status == 403


def test_the_token_is_changed_for_a_cookie_and_leaves_the_address(texts_served: Served) -> None:
    answer = asked(texts_served, f"/examples?page=1&token={texts_served.door.token}", cookie="")
    assert answer.status == 303 and answer.headers["Location"] == "/examples?page=1"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie


def test_a_token_opens_once_and_then_there_is_another(texts_served: Served) -> None:
    told = list[str]()
    door = Door(told.append)
    first = door.token
    assert door.opens(first) and not door.opens(first) and told == [door.token] != [first] and door.opens(told[0])
    spent = texts_served.door.token
    assert asked(texts_served, f"/?token={spent}", cookie="").status == 303
    again = asked(texts_served, f"/?token={spent}", cookie="")
    assert again.status == 403 and b"opened already" in again.body
    assert asked(texts_served, f"/?token={spent}").status == 303  # whoever has the cookie may open the old address
    assert spent not in texts_served.door.cookie


def test_two_explorers_in_one_browser_keep_their_own_cookies(texts_served: Served) -> None:
    (mine, secret), (other, value) = texts_served.door.cookie, Door().cookie
    assert mine != other
    cookies = f"{other}={value}; {mine}={secret}"
    assert asked(texts_served, "/", headers={"Cookie": cookies}).status == 200


def test_showing_the_token_never_leads_to_another_host(texts_served: Served) -> None:
    place = urlsplit(texts_served.base)
    with closing(http.client.HTTPConnection(place.netloc, timeout=30)) as connection:
        connection.request("GET", f"//evil.example/?token={texts_served.door.token}")
        assert connection.getresponse().headers["Location"] == "/evil.example/"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", ""])
def test_another_host_is_refused_as_after_dns_rebinding(texts_served: Served, host: str) -> None:
    assert asked(texts_served, "/", headers={"Host": host}).status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", None])
def test_other_pages_may_change_nothing(texts_served: Served, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    for path in ("/worklist", "/photograph"):
        answer = asked(texts_served, path, method="POST", body=b"name=x&ids=[]", headers=headers)
        assert answer.status == 403
    assert not (texts_served.shelf.folder / "explorer" / "x.json").exists()


def test_too_much_is_refused_before_it_is_read(texts_served: Served) -> None:
    headers = {"Origin": texts_served.base, "Content-Length": "50000000"}
    assert asked(texts_served, "/worklist", method="POST", headers=headers).status == 413


@pytest.mark.parametrize("length", [None, "5"])
def test_a_body_in_chunks_that_does_not_say_how_long_it_is_is_refused(texts_served: Served, length: str | None) -> None:
    lines = [
        "POST /worklist HTTP/1.1",
        f"Host: {urlsplit(texts_served.base).netloc}",
        f"Cookie: {'='.join(texts_served.door.cookie)}",
    ]
    lines += [f"Origin: {texts_served.base}", "Transfer-Encoding: chunked", "Connection: close"]
    lines += [f"Content-Length: {length}"] if length else []
    with socket.create_connection(("127.0.0.1", urlsplit(texts_served.base).port or 0), timeout=30) as sent:
        sent.sendall("\r\n".join([*lines, "", "5", "name=", "0", "", ""]).encode())
        assert sent.recv(100).startswith(b"HTTP/1.1 413")


def test_an_address_may_be_as_long_as_the_longest_text(texts_served: Served) -> None:
    answer = asked(texts_served, f"/live?{urlencode({'part': '1', 'text': chr(0x4E2D) * 20_000})}")
    assert answer.status == 200 and b"at most" not in answer.body


def test_every_answer_has_the_headers(texts_served: Served) -> None:
    for path, cookie in (("/", None), ("/", ""), ("/nothing", None), ("/static/explorer.js", None)):
        answer = asked(texts_served, path, cookie=cookie)
        assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/worklist/..%2F..%2Faudit.json",
                                  "/worklist/x%00.csv", "/static//etc/passwd"])  # fmt: skip
def test_no_path_leads_outside(texts_served: Served, path: str) -> None:
    assert asked(texts_served, path).status in (400, 404)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"name": "../x", "ids": '["r1"]'}, "a name has 1 to 60"), ({"name": "x", "ids": '["r1", "no such"]'}, "ids that this run has not"),
        ({"name": "x", "ids": json.dumps([f"r{k % 500}" for k in range(2000)] + ["no such"])}, "ids that this run has not"),
        ({"name": "x", "ids": "[" * 100_000}, "Not saved"), ({str(k): "" for k in range(200)}, "Not saved"),
        ({"name": "x", "ids": "[1]"}, "ids that this run has not"), ({"name": "x", "ids": "{}"}, "ids that this run has not"),
        ({"name": "x", "ids": "[]"}, "no example is selected"), ({"name": "x", "ids": "["}, "Not saved"),
        ({"name": "x", "note": "n" * 2001, "ids": '["r1"]'}, "at most 2,000"),
        ({"name": "x", "every": "1", "source": "sort=-no"}, "no column"),
    ],
)  # fmt: skip
def test_a_worklist_that_cannot_be_kept_is_told(texts_served: Served, form: Mapping[str, str], told: str) -> None:
    answer = asked(
        texts_served, "/worklist", method="POST", body=urlencode(form).encode(), headers={"Origin": texts_served.base}
    )
    assert answer.status == 400 and told in answer.body.decode()
    assert not list(texts_served.shelf.folder.glob("explorer/*"))


def test_a_worklist_is_saved_below_the_run_and_the_run_still_verifies(texts_served: Served, text_run: Run) -> None:
    form = {"name": "Surest errors", "note": "=1+1", "ids": json.dumps(["r1", "r2", "r1"])}
    answer = asked(
        texts_served, "/worklist", method="POST", body=urlencode(form).encode(), headers={"Origin": texts_served.base}
    )
    assert answer.status == 303 and answer.headers["Location"] == "/worklists?saved"
    assert [path.name for path in (text_run.folder / "explorer").iterdir()] == ["Surest errors.json"]
    table = asked(texts_served, "/worklist/Surest%20errors.csv").body.decode()
    assert table.splitlines()[0].startswith("id,label,predicted") and table.count("\n") == 3
    assert json.loads(asked(texts_served, "/worklist/Surest%20errors.json").body)["ids"] == ["r1", "r2"]
    assert verify(text_run.folder) == []
    again = asked(
        texts_served, "/worklist", method="POST", body=urlencode(form).encode(), headers={"Origin": texts_served.base}
    )
    assert again.status == 400 and b"there is a worklist" in again.body
    other = {**form, "ids": '["r3"]', "replace": "1"}
    asked(
        texts_served, "/worklist", method="POST", body=urlencode(other).encode(), headers={"Origin": texts_served.base}
    )
    assert json.loads(asked(texts_served, "/worklist/Surest%20errors.json").body)["ids"] == ["r3"]
    for name in ("../audit", "Surest errors"):
        gone = asked(
            texts_served,
            "/worklist/remove",
            method="POST",
            body=urlencode({"name": name}).encode(),
            headers={"Origin": texts_served.base},
        )
        assert gone.status == 303
    assert list((text_run.folder / "explorer").iterdir()) == [] and (text_run.folder / "audit.json").exists()


def test_worklists_never_leave_the_run_folder_by_a_link(texts_served: Served, text_run: Run, tmp_path: Path) -> None:
    link = text_run.folder / "explorer"
    (tmp_path / "secret.json").write_text(json.dumps({"name": "secret", "note": "told", "ids": []}), encoding="utf-8")
    if link.is_dir():
        link.rmdir()
    link.symlink_to(tmp_path)
    try:
        form = urlencode({"name": "x", "ids": '["r1"]'}).encode()
        answer = asked(texts_served, "/worklist", method="POST", body=form, headers={"Origin": texts_served.base})
        assert answer.status == 400 and b"is a link" in answer.body
        assert [path.name for path in tmp_path.iterdir()] == ["secret.json"]
        assert asked(texts_served, "/worklist/secret.json").status == 404
        assert b"secret" not in asked(texts_served, "/worklists").body
    finally:
        link.unlink()


def test_a_photograph_of_the_data_is_asked_for_by_its_id_alone(images_served: Served, tmp_path: Path) -> None:
    private = tmp_path / "private.png"
    Image.new("RGB", (25, 25)).save(private)
    for path in ("/photograph", "/live"):
        answer = asked(images_served, f"{path}?{urlencode({'key': f'id:{private}'})}")
        assert b"is no id in" in answer.body and b"PNG" not in answer.body
    known = images_served.shelf.column("id")[0].as_py()
    assert asked(images_served, f"/photograph?key=id:{known}").body.startswith(b"\x89PNG")


def test_a_damaged_file_of_explanations_is_told(text_run: Run, tmp_path: Path) -> None:
    folder = tmp_path / text_run.folder.name
    shutil.copytree(text_run.folder, folder)
    (folder / "explanations.parquet").write_bytes(b"PAR1 no table")
    with served(folder) as at:
        for path in ("/example?id=r1", "/picture?id=r1"):
            answer = asked(at, path)
            assert answer.status == 500 and b"explanations.parquet: cannot be read" in answer.body


@pytest.mark.parametrize("root", ["x", "//evil.example", "@evil.example", '/"x', "/a/../b c"])
def test_a_path_of_a_proxy_that_is_none_is_refused(text_run: Run, root: str) -> None:
    with pytest.raises(OutputError, match=r"--root-path .* is no path"):
        explore(text_run.folder, root=root, browser=False)


def test_a_proxy_may_take_its_path_from_the_address_or_leave_it_encoded(text_run: Run) -> None:
    root = "/user/ada%40home/proxy/8888"
    with served(text_run.folder, root=root) as at:
        port = urlsplit(at.base).netloc
        for path in ("/examples", f"{root}/examples"):
            with closing(http.client.HTTPConnection(port, timeout=30)) as connection:
                connection.request("GET", f"{path}?token={at.door.token}")
                assert connection.getresponse().headers["Location"] == f"{root}/examples"
            with closing(http.client.HTTPConnection(port, timeout=30)) as connection:
                connection.request("GET", path, headers={"Cookie": "=".join(at.door.cookie)})
                assert connection.getresponse().status == 200


def test_below_the_path_of_a_proxy_every_link_stays_below_it(text_run: Run) -> None:
    with served(text_run.folder, root="/user/ada/proxy/8888") as at:
        answer = asked(at, f"/?token={at.door.token}", cookie="")
        assert (
            answer.headers["Location"] == "/user/ada/proxy/8888/"
            and "Path=/user/ada/proxy/8888" in answer.headers["Set-Cookie"]
        )
        for path in ("/", "/examples", "/clusters", "/groups", "/runs", "/worklists"):
            content = asked(at, path).body.decode()
            links = [
                part.partition('"')[0] for mark in ('href="', 'src="', 'action="') for part in content.split(mark)[1:]
            ]
            assert len(links) > 8 and all(
                link.startswith(("/user/ada/proxy/8888/", "#", "data:,")) for link in links
            ), links


def test_nothing_of_the_run_is_written_by_looking(texts_served: Served, text_run: Run) -> None:
    def state(folder: Path) -> list[tuple[str, int]]:
        return sorted((path.name, path.stat().st_mtime_ns) for path in folder.rglob("*"))

    before = state(text_run.folder)
    for path in (
        "/",
        "/examples",
        "/clusters",
        "/groups",
        "/runs",
        "/worklists",
        "/example?id=r1",
        "/points.json",
        "/live?text=she",
        "/report.html",
        "/debug.html",
    ):
        assert asked(texts_served, path).status == 200
    assert state(text_run.folder) == before


def test_the_reports_of_the_run_are_shown_as_they_are_and_run_no_script(texts_served: Served, text_run: Run) -> None:
    for name in ("report.html", "debug.html"):
        answer = asked(texts_served, f"/{name}")
        assert answer.body == (text_run.folder / name).read_bytes()
        assert (
            "script-src" not in answer.headers["Content-Security-Policy"]
            and "default-src 'none'" in answer.headers["Content-Security-Policy"]
        )
