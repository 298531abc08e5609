"""A server with a page, and the browser that shows it: Chromium, which selenium drives.

Both are processes of their own, and everything here waits for them: nothing in it needs the reactor.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any, Final, cast

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from twisted_chat.client.blocking import Client

from .deadlines import TEST_SECONDS
from .programs import ROOT, TIMEOUT, TWISTD

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
"""The names under which systems have Chromium."""

FLAGS: Final = (
    *("--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Several windows are used at once, and one of them has the focus: the others are not slowed down.
    *(
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        "--disable-background-timer-throttling",
    ),
)

DESKTOP: Final = (1180, 760)
PHONE: Final = (360, 740)
"""Widths and heights in pixels."""

SHOWN: Final = """
const textOf = (selector) => document.querySelector(selector)?.textContent;
const { id, localName, className } = document.activeElement ?? {};
return {
  focus: `${localName} ${id || className}`,
  room: textOf("#room-name"),
  banner: textOf("#banner-text"),
  dialog: textOf("dialog[open]"),
  written: document.querySelector("#text")?.value,
  note: textOf("#composer-note"),
  messages: [...document.querySelectorAll(".message .text")].slice(-9).map((one) => one.textContent),
};
"""
"""Returns what somebody sees, for a test that has waited for something else."""


def find_browser() -> tuple[str, str]:
    """Find Chromium and its driver. Without them, a test is skipped, unless the checks run (`CI`).

    With `NO_BROWSER` it is always skipped: the checks run it on one Python, since it tests the page.
    """
    if os.environ.get("NO_BROWSER"):
        raise SkipTest("NO_BROWSER is set")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        missing = "there is no Chromium with a chromedriver here: install chromium and chromium-driver"
        raise RuntimeError(missing) if os.environ.get("CI") else SkipTest(missing)
    return browser, driver


class ChatServer:
    """A server with a place for browsers and one for JSON lines, which keep their ports when it is started again."""

    def __init__(self, *arguments: str, history: str = "") -> None:
        """Start it, with the messages of a file that `twisted-chat export` could have written."""
        self.home = Path(tempfile.mkdtemp())
        self.port = self.web = 0
        self._arguments = arguments
        if history:
            command = [sys.executable, "-m", "twisted_chat", "import"]
            done = subprocess.run(
                command,
                cwd=self.home,
                env=self._environment,
                input=history,
                text=True,
                capture_output=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"the history was not imported:\n{done.stderr}")
        self.start()

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web}/"

    def start(self) -> None:
        """Start it, and wait until it listens at both places."""
        command = [*TWISTD, "chat", "--port", str(self.port), "--web", str(self.web), *self._arguments]
        self._process = subprocess.Popen(
            command, cwd=self.home, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        output = self._process.stdout
        assert output is not None
        log = ""
        ports: list[str] = []
        while len(ports) < 2:
            line = output.readline()
            if not line:
                raise RuntimeError(f"the server has ended:\n{log}")
            log += line
            ports += re.findall(r"listening on \S+:(\d+)$", line)
        self.port, self.web = map(int, ports)
        Thread(target=output.read, daemon=True).start()  # so that it can go on writing

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal, and wait for its end."""
        self._process.send_signal(number)
        self._process.wait(TIMEOUT)

    def close(self) -> None:
        """Stop it, and remove what it has stored."""
        if self._process.poll() is None:
            self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


class Browser:
    """Chromium with a fresh profile."""

    def __init__(self) -> None:
        """Start it."""
        browser, driver = find_browser()
        self._profile = tempfile.mkdtemp()
        options = Options()
        options.binary_location = browser
        for flag in (*FLAGS, f"--user-data-dir={self._profile}"):
            options.add_argument(flag)
        if os.getuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium does not start as root with it
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.set_script_timeout(TEST_SECONDS)  # one of them scrolls through ten thousand messages
        cast(Any, self.driver.command_executor).client_config.timeout = TEST_SECONDS  # of the connection to the driver
        self._first = self.driver.current_window_handle

    def close(self) -> None:
        """End it."""
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, url: str) -> Tab:
        """Show a page in a tab of its own."""
        return Tab(self.driver, url)

    def close_tabs(self) -> None:
        """Close all tabs."""
        for handle in self.driver.window_handles:
            if handle != self._first:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.driver.switch_to.window(self._first)
        self.driver.get_log("browser")  # what it has is about pages that are gone


_browsers: list[Browser] = []


def shared_browser() -> Browser:
    """Return the browser of this process. It is started once, which takes a second and 300 MB."""
    if not _browsers:
        _browsers.append(Browser())
        atexit.register(_browsers[0].close)
    return _browsers[0]


class Tab:
    """A tab of the browser, as somebody sees and uses it. Waits have a deadline."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        """Open it, and show a page in it."""
        self.driver = driver
        driver.switch_to.new_window("tab")
        self._handle = driver.current_window_handle
        self.command("Emulation.setFocusEmulationEnabled", enabled=True)  # all are looked at
        self.size(*DESKTOP)
        self.prefer("light")
        driver.get(url)

    def use(self) -> webdriver.Chrome:
        """Have the driver's next commands concern this tab."""
        if self.driver.current_window_handle != self._handle:
            self.driver.switch_to.window(self._handle)
        return self.driver

    def command(self, name: str, **arguments: Any) -> Any:
        """Run a command of the DevTools protocol."""
        return self.use().execute_cdp_cmd(name, arguments)

    # The window

    def size(self, width: int, height: int, is_phone: bool = False) -> None:
        """Give the screen another size. A window is never narrower than 500 pixels, but the screen may be."""
        scale = 2 if is_phone else 1
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=is_phone
        )
        touch = {"maxTouchPoints": 5} if is_phone else {}
        self.command("Emulation.setTouchEmulationEnabled", enabled=is_phone, **touch)

    def prefer(self, theme: str) -> None:
        """Have the system prefer `light` or `dark`."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def look_away(self) -> None:
        """Look at something else. A browser without windows believes that each of its tabs is looked at."""
        self.run("document.hasFocus = () => false; dispatchEvent(new Event('blur'))")

    def look_back(self) -> None:
        """Look at this tab again."""
        self.run("delete document.hasFocus; dispatchEvent(new Event('focus'))")

    def picture(self, path: Path) -> None:
        """Write a picture of the page."""
        path.write_bytes(self.use().get_screenshot_as_png())

    def problems(self) -> list[str]:
        """Take the lines of the browser's log that are no mere remarks."""
        return [entry["message"] for entry in self.use().get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    # What is on the page

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.use().execute_script(script, *arguments)

    def run_async(self, script: str, *arguments: Any) -> Any:
        """Run a script that calls its last argument with its result."""
        return self.use().execute_async_script(script, *arguments)

    def wait(self, condition: Callable[[], Any], problem: Callable[[], str]) -> Any:
        """Wait until something is true, and return it. If it never is, the error has the problem and what is shown."""
        try:
            return WebDriverWait(self.driver, TIMEOUT, poll_frequency=0.05).until(lambda _: condition())
        except TimeoutException as error:
            raise AssertionError(f"{problem()}; the page: {self.run(SHOWN)}") from error

    def wait_for(self, script: str, *arguments: Any) -> Any:
        """Wait until a script returns something true, and return that."""
        return self.wait(lambda: self.run(script, *arguments), lambda: f"{script} {arguments} was never true")

    def wait_until_still(self) -> None:
        """Wait until nothing slides any more: what moves is measured with errors of rounding, as 43.99998 pixels."""
        moves = "document.getAnimations().map(({ finished }) => finished)"
        self.run_async(f"Promise.allSettled({moves}).then(arguments[0])")

    def wait_for_frame(self) -> None:
        """Wait until a whole frame was drawn: what the page does on scrolling is done then."""
        self.run_async("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    def find(self, selector: str) -> WebElement:
        """Wait for an element that is displayed."""
        script = "return [...document.querySelectorAll(arguments[0])].find((one) => one.checkVisibility()) ?? null"
        found: WebElement = self.wait_for(script, selector)
        return found

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements that are displayed."""
        script = """return [...document.querySelectorAll(arguments[0])]
            .filter((one) => one.checkVisibility()).map((one) => one.textContent)"""
        found: list[str] = self.run(script, selector)
        return found

    def wait_for_text(self, selector: str, pattern: str) -> str:
        """Wait until an element's text matches a pattern, and return the text."""
        last: list[str] = []

        def matching() -> str | None:
            last[:] = self.texts(selector)
            return next((text for text in last if re.search(pattern, text)), None)

        found: str = self.wait(matching, lambda: f"no {selector} has a text like {pattern!r}: {last}")
        return found

    # What people do

    def press(self, *keys: str, on: str = "") -> None:
        """Press keys at what has the focus, or in an element."""
        (self.find(on) if on else self.use().switch_to.active_element).send_keys(*keys)

    def click(self, selector: str) -> None:
        """Press a button. The page may draw it anew meanwhile: then the new one is pressed."""

        def pressed() -> bool:
            try:
                self.find(selector).click()
            except StaleElementReferenceException:
                return False
            return True

        self.wait(pressed, lambda: f"{selector} was drawn anew again and again")

    def choose(self, label: str) -> None:
        """Choose an entry of the menu that is open."""
        script = """return [...document.querySelectorAll("[role=menuitem]")]
            .find((one) => one.textContent === arguments[0]) ?? null"""
        found: WebElement = self.wait_for(script, label)
        found.click()

    def fill(self, **fields: str) -> None:
        """Fill in the fields of the dialog that is open, and press its button."""
        for name, value in fields.items():
            field = self.find(f"dialog [name={name}]")
            if field.tag_name == "select":
                self.run("arguments[0].value = arguments[1]", field, value)
            else:
                field.clear()
                field.send_keys(value)
        self.click("dialog .dialog-buttons .primary")
        self.wait_for("return document.querySelector('dialog') === null")

    def log_in(self, nick: str, password: str = "") -> None:
        """Choose a nick, with the password of its account, and wait until the chat is there."""
        self.find("#nick").clear()  # it proposes the last one
        self.press(nick, on="#nick")
        if password:
            self.click("#has-account")
            self.press(password, on="#password")
        self.click("#login-button")
        self.wait_for_text("#room-name", ".")
        self.wait_for("return document.querySelector('#timeline :is(.start, .message)') !== null")

    def write(self, text: str) -> None:
        """Put a text into the box, as a keyboard for any script does."""
        self.click("#text")
        self.command("Input.insertText", text=text)  # the driver's own keys have no emoji

    def say(self, text: str) -> None:
        """Write a message, and send it."""
        self.write(text)
        self.press(Keys.ENTER)

    def said(self) -> list[str]:
        """Return the messages that are shown."""
        return self.texts("#timeline .message .text")

    def wait_for_message(self, text: str, classes: str = "") -> WebElement:
        """Wait for a message with exactly this text."""
        script = """return [...document.querySelectorAll(`.message${arguments[1]}`)]
            .find((one) => one.querySelector(".text").textContent === arguments[0]) ?? null"""
        problem = f"the message {text!r}{classes} is not there"
        found: WebElement = self.wait(lambda: self.run(script, text, classes), lambda: problem)
        return found


class PageTestCase(SynchronousTestCase):
    """A server, and what people need who use it."""

    def setUp(self) -> None:
        """Skip the test where there is no browser."""
        find_browser()
        self.browser = shared_browser()
        self.server = self.start_server()
        self.addCleanup(self.browser.close_tabs)  # before the server is closed
        self.tabs: list[Tab] = []

    def start_server(self) -> ChatServer:
        """Start the server that the tests of this class need."""
        server = ChatServer()
        self.addCleanup(server.close)
        return server

    def open(self, query: str = "") -> Tab:
        """Show the page in a tab."""
        tab = self.browser.open(self.server.url + query)
        self.tabs.append(tab)
        return tab

    def join(self, nick: str, room: str = "lobby") -> Tab:
        """Have somebody come in with the page, and enter a room."""
        tab = self.open(f"?room={room}")
        tab.log_in(nick)
        return tab

    def client(self, nick: str, room: str = "lobby", **options: Any) -> Client:
        """Have somebody in a room who does not use the page."""
        people = ExitStack()
        self.addCleanup(people.close)
        return people.enter_context(Client("127.0.0.1", self.server.port, nick=nick, room=room, **options))

    def assert_no_problems(self, *known: str) -> None:
        """The browser has logged no warning and no error, but for what a test has caused."""
        problems = [problem for tab in self.tabs for problem in tab.problems()]
        self.assertEqual([one for one in problems if not any(word in one for word in known)], [])
