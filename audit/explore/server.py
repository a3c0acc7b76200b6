"""`lrp-audit explore`: the explorer on this computer, until it is stopped."""

import re
import socket
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from audit.errors import OutputError
from audit.explore.app import application
from audit.explore.guard import Door
from audit.explore.shelf import Shelf
from audit.explore.views.clusters import points
from audit.explore.views.examples import examples

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from audit.explore.live import Live

ROOT: Final = re.compile(r"(/[A-Za-z0-9._~%@+-]+)*")
MOST_ADDRESS: Final = 400_000  # bytes of an address with its headers


def explore(
    folder: Path, *, port: int = 0, root: str = "", hosts: tuple[str, ...] = (), browser: bool = True, model: bool = False,
    config_folder: Path | None = None,
) -> None:  # fmt: skip
    """Serve one run on 127.0.0.1 and print its address; `port` 0 is any free one, `root` the path and `hosts` the names of a proxy."""
    import uvicorn

    if not ROOT.fullmatch(root):
        raise OutputError(f"--root-path {root!r:.80}: is no path; give one such as /user/ada/proxy/8888")
    print(f"reading {folder}{' and its model' if model else ''}", file=sys.stderr, flush=True)
    shelf = Shelf(folder)
    live = _loaded(folder, config_folder) if model else None
    sock = listener(port)
    port = sock.getsockname()[1]
    names = frozenset([f"127.0.0.1:{port}", f"localhost:{port}", *(name.lower() for name in hosts if name)])
    address = f"http://127.0.0.1:{port}{root}/?token="
    door = Door(lambda token: print(f"another browser can open {address}{token}", flush=True))
    print(
        f"{folder}: open {address}{door.token}\nIt opens once. Ctrl-C ends it; only this computer can reach it.",
        flush=True,
    )
    if browser:
        webbrowser.open(f"{address}{door.token}")
    threading.Thread(target=_ahead, args=(shelf,), daemon=True).start()
    served = application(shelf, door, names, root=root, live=live)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again when it has stopped
        uvicorn.Server(configured(served)).run(sockets=[sock])


def configured(served: "ASGIApp") -> "uvicorn.Config":
    """How uvicorn serves it: no sockets but HTTP, and addresses as long as the longest text of a live explanation."""
    import uvicorn

    return uvicorn.Config(
        served, log_level="warning", access_log=False, server_header=False, http="h11", ws="none",
        h11_max_incomplete_event_size=MOST_ADDRESS,
    )  # fmt: skip


def _ahead(shelf: Shelf) -> None:
    """What is asked for soon, and takes seconds."""
    examples(shelf, ())
    points(shelf)


def _loaded(folder: Path, config_folder: Path | None) -> "Live":
    from audit.explore.live import Live

    return Live(folder, config_folder)


def listener(port: int) -> socket.socket:
    """A socket on 127.0.0.1 that already takes connections; OutputError where the port is taken."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
    except OSError as error:
        made.close()
        raise OutputError(f"--port {port}: cannot be used ({error.strerror}); leave it out for any free one") from None
    made.listen()
    return made
