"""`lrp-audit explore`: the explorer on this computer, until it is stopped."""

import secrets
import socket
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from audit.errors import OutputError
from audit.explore.app import application
from audit.explore.shelf import Shelf
from audit.explore.views.clusters import points
from audit.explore.views.examples import examples

if TYPE_CHECKING:
    from audit.explore.live import Live


def explore(
    folder: Path, *, port: int = 0, root: str = "", hosts: tuple[str, ...] = (), browser: bool = True, model: bool = False,
    config_folder: Path | None = None,
) -> None:  # fmt: skip
    """Serve one run on 127.0.0.1 and print its address; `port` 0 is any free one, `root` the path and `hosts` the names of a proxy."""
    import uvicorn

    shelf, token = Shelf(folder), secrets.token_urlsafe(24)
    live = _loaded(folder, config_folder) if model else None
    sock = listener(port)
    port = sock.getsockname()[1]
    names = frozenset([f"127.0.0.1:{port}", f"localhost:{port}", *hosts])
    address = f"http://127.0.0.1:{port}{root}/?token={token}"
    print(f"{folder}: open {address}\nCtrl-C ends it; only this computer can reach it.", flush=True)
    if browser:
        webbrowser.open(address)
    threading.Thread(target=_ahead, args=(shelf,), daemon=True).start()
    served = application(shelf, token, names, root=root, live=live)
    config = uvicorn.Config(served, log_level="warning", access_log=False, server_header=False)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again when it has stopped
        uvicorn.Server(config).run(sockets=[sock])


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
