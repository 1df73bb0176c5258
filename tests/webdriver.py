"""
A real browser, Chromium without a window, driven by WebDriver: https://www.w3.org/TR/webdriver2/.

Of the standard library, for what is on the way elsewhere (selenium's manager) looks for browsers
in the Internet.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from tests.procfs import PATIENCE, waitFor

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def missing() -> str:
    """
    @return: why there is no browser here; empty: there is one.
    """
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"there is no {program} here (Debian: chromium, chromium-driver)"
    return ""


class Browser:
    """
    One, with an empty profile.  Its methods wait: do not call them in the thread that serves what
    it is to load.
    """

    def __init__(self) -> None:
        self.profile = tempfile.mkdtemp(prefix="rvgahp-browser-")
        self._log = Path(self.profile, "driver.log")
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                ["chromedriver", "--port=0"], stdout=log, stderr=subprocess.STDOUT
            )
        self._session = ""
        try:
            port = waitFor(self._port, "chromedriver's port")
            self._base = f"http://127.0.0.1:{port}"
            options = {"args": [*_FLAGS, f"--user-data-dir={self.profile}/data"]}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session = f"/session/{made['sessionId']}"
        except BaseException:
            self.close()
            raise

    def _port(self) -> str:
        said = self._log.read_text()
        _, found, rest = said.partition("started successfully on port ")
        return rest.split(".")[0] if found else ""

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, method=method)
        with urllib.request.urlopen(request, timeout=4 * PATIENCE) as answer:
            return json.loads(answer.read())["value"]

    def close(self) -> None:
        """
        End it.
        """
        try:
            if self._session:
                self._ask("DELETE", self._session)
        finally:
            self._process.terminate()
            self._process.wait(timeout=PATIENCE)
            shutil.rmtree(self.profile, ignore_errors=True)

    def go(self, url: str) -> None:
        """
        Load a page.
        """
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """
        @param script: the body of a function in JavaScript.
        @return: what it returns.
        """
        body = {"script": script, "args": arguments}
        return self._ask("POST", f"{self._session}/execute/sync", body)

    def command(self, name: str, **parameters: Any) -> Any:
        """
        @return: the answer to a command of the DevTools protocol.
        """
        body = {"cmd": name, "params": parameters}
        return self._ask("POST", f"{self._session}/goog/cdp/execute", body)

    def wait(self, script: str, seconds: float = PATIENCE) -> Any:
        """
        @return: what an expression is when it is true.
        """
        return waitFor(lambda: self.run(f"return {script}"), script, seconds)

    def complaints(self) -> list[str]:
        """
        @return: what the browser's console has got since the last look.
        """
        lines = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [f"{one['level']} {one['message']}" for one in lines]

    def look(self, width: int = 1280, height: int = 900, **features: str) -> None:
        """
        @param features: of the medium, such as C{prefers_color_scheme}.
        """
        size = {"width": width, "height": height}
        self.command(
            "Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=width < 600
        )
        told = [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
        ]
        self.command("Emulation.setEmulatedMedia", media="", features=told)

    def picture(self, path: str, isWhole: bool = True) -> None:
        """
        Keep what it shows.
        """
        data = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=isWhole)[
            "data"
        ]
        Path(path).write_bytes(base64.b64decode(data))
