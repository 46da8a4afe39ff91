"""A browser without a window, driven through chromedriver; the network is closed to it."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")
MISSING = CHROMIUM is None or DRIVER is None

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Every name of another host leads nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class Browser:
    """One window: pages, scripts in them, its size and colours, and pictures of it."""

    def __init__(self, address: str, session: str):
        self._session = f"{address}/session/{session}"

    def _ask(self, path: str, **data: Any) -> Any:
        return ask(f"{self._session}/{path}", data)

    def open(self, url: str) -> None:
        self._ask("url", url="about:blank")  # else another hash of one page would not load it anew
        self._ask("url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """Value that a script returns."""
        return self._ask("execute/sync", script=script, args=list(arguments))

    def wait(self, script: str, seconds: float = 10.0) -> None:
        """Wait until a script returns true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    def keys(self, selector: str, text: str) -> None:
        """Type into an element, as from a keyboard."""
        found = self._ask("element", using="css selector", value=selector)
        self._ask(f"element/{next(iter(found.values()))}/value", text=text)

    def command(self, name: str, **parameters: Any) -> Any:
        """A command of the browser's own protocol."""
        return self._ask("goog/cdp/execute", cmd=name, params=parameters)

    def show(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the size of the window and the colours that the user prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


def ask(url: str, data: dict[str, Any] | None = None, method: str | None = None) -> Any:
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error)["value"]["message"]) from None


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser whose profile lies in a new folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "driver.log").open("wb")
    driver = subprocess.Popen([str(DRIVER), f"--port={port}"], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                ask(f"{address}/status")
                break
            time.sleep(0.1)
        arguments = [*ARGUMENTS, f"--user-data-dir={folder / 'profile'}"]
        options = {"binary": CHROMIUM, "args": arguments}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        session = ask(f"{address}/session", wanted)["sessionId"]
        yield Browser(address, session)
        ask(f"{address}/session/{session}", method="DELETE")
    finally:
        driver.terminate()
        driver.wait(10)
        log.close()
