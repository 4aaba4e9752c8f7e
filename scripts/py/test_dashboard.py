"""The dashboard in a real Chromium, fed by a real recorder.

FEEDD_BIN  the feedd binary (default: target/release/feedd of this workspace)

Needs chromium and chromedriver (Debian: chromium, chromium-driver). The check of accessibility needs npm, which fetches
axe-core into a temporary folder. What is not here is skipped and named; under CI a missing browser is a failure.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import recording

AXE = "axe-core@4.14.1"
# A busy machine may take its time.
WAIT_S = 90
START_NS = 1_723_075_200_000_000_000
MARKUP = '<img src=x onerror="document.title=1">'
# These change while nothing comes in.
RESTLESS = re.compile(r"program\.(uptime_ns|rss_bytes)|.*\.(quiet_ns|lag_ns|accepted_per_s)|latency\..*")


def trade(number, symbol="BTCUSDT"):
    """A line of a capture with one trade."""
    recv_ns = START_NS + number * 1_000_000
    frame = {"e": "trade", "E": recv_ns // 10**6, "s": symbol, "t": number, "p": "100.25", "q": "0.50"}
    frame |= {"T": recv_ns // 10**6, "m": False}
    frame = json.dumps(frame, separators=(",", ":"))
    return json.dumps({"recv_ns": recv_ns, "conn": "ws-1", "dir": "in", "frame": frame}) + "\n"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Recorder:
    """A recorder of what is written into a pipe, so that its numbers stand still when the test does; or of `arguments`."""

    def __init__(self, folder, *arguments, port=None, piped=True):
        self.folder, self.port = pathlib.Path(folder), port or free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        feed = self.folder / "binance" / "feed"
        command = [recording.binary(), "run", "--data-dir", str(self.folder / "data"), *arguments]
        command += ["--set", f"admin.listen=127.0.0.1:{self.port}"]
        if piped:
            feed.parent.mkdir(exist_ok=True)
            if not feed.exists():
                os.mkfifo(feed)
            command += ["--source", f"capture:{feed}", "--set", "batch.max_age=50ms"]
        self.log = open(self.folder / "log", "a+", encoding="utf-8")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        # Opening waits for the reader.
        self.pipe = open(feed, "w", encoding="utf-8") if piped else None
        try:
            wait_until(f"{self.origin} answers", self.answers)
        except BaseException:
            self.end()
            raise

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return self.get("/livez") == b"ok\n"
        except urllib.error.HTTPError as error:
            # It asks for its token.
            return error.code == 401
        except OSError:
            return False

    def get(self, path):
        with urllib.request.urlopen(self.origin + path, timeout=WAIT_S) as answer:
            return answer.read()

    def status(self):
        return json.loads(self.get("/status"))

    def write(self, lines):
        self.pipe.writelines(lines)
        self.pipe.flush()

    def rested(self, frames):
        """Waits until everything of so many frames is durable and with the sink; gives the status."""
        found = {}

        def is_rested():
            found.update(self.status())
            durable = found["journal"]["durable_seq"] == found["totals"]["accepted"]
            sink = found["sinks"][0]
            return found["totals"]["frames"] == frames and durable and sink["backlog"] == sink["buffered"] == 0

        wait_until(f"{frames} frames are recorded", is_rested)
        return found

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        if self.pipe:
            self.pipe.close()
        self.process.terminate()
        self.process.wait(timeout=WAIT_S)
        self.log.close()


def wait_until(what, is_reached):
    end = time.monotonic() + WAIT_S
    while not is_reached():
        assert time.monotonic() < end, f"not within {WAIT_S} s: {what}"
        time.sleep(0.1)


class Page:
    """The dashboard as a browser shows it, with what it asked for and what it complained about."""

    def __init__(self, origin):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        # No sandbox: the tests may run as root, in a container.
        for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = Service(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.origin = origin
        self.driver.get(origin + "/")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def shows(self, what, condition):
        wait_until(what, lambda: self.run(f"return {condition}"))

    def shows_run(self, status):
        """Waits until it shows that run, read at or after this status."""
        shown = f"document.documentElement.dataset.at >= '{status['at']}'"
        self.shows("a later document", f"{shown} && document.querySelector('#link').dataset.state === 'live'")

    def emulate(self, width, scheme):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        self.shows("the new size", f"innerWidth === {width}")

    def complaints(self):
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def requests(self):
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in sent]


def value_at(status, path):
    for key in path.split("."):
        status = status[int(key)] if isinstance(status, list) else status[key]
    return status


def exact(value):
    """As the page keeps it: exactly as sent."""
    return "" if value is None else json.dumps(value).strip('"')


class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = [name for name in ["chromium", "chromedriver"] if not shutil.which(name)]
        if missing and os.environ.get("CI"):
            raise AssertionError(f"missing: {missing} (Debian: chromium, chromium-driver)")
        if missing:
            raise unittest.SkipTest(f"no {missing}: install chromium and chromium-driver (Debian's names)")

    def folder(self):
        folder = tempfile.mkdtemp(prefix="feedd-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return pathlib.Path(folder)

    def recorder(self, *arguments, **options):
        recorder = Recorder(options.pop("folder", None) or self.folder(), *arguments, **options)
        self.addCleanup(recorder.end)
        return recorder

    def page(self, recorder):
        page = Page(recorder.origin)
        self.addCleanup(page.driver.quit)
        return page

    def is_clean(self, page):
        self.assertEqual(page.complaints(), [])
        foreign = [url for url in page.requests() if not url.startswith((page.origin + "/", "data:"))]
        self.assertEqual(foreign, [])

    def test_the_numbers_are_those_of_the_status(self):
        recorder = self.recorder()
        page = self.page(recorder)
        recorder.write(trade(n, symbol) for n in range(1, 1_201) for symbol in ["BTCUSDT", "ETHUSDT"])
        status = recorder.rested(2_400)
        page.shows_run(status)
        script = "return [...document.querySelectorAll('[data-field]')].map((n) => [n.dataset.field, n.dataset.value, n.textContent])"
        shown = [field for field in page.run(script) if field[0]]
        again = recorder.status()
        for path, value, text in shown:
            if RESTLESS.fullmatch(path):
                continue
            with self.subTest(path=path):
                found = value_at(status, path)
                self.assertEqual(found, value_at(again, path), "it did not stand still")
                self.assertEqual(value, exact(found))
                if isinstance(found, int) and not path.endswith(("_ns", "bytes")):
                    self.assertIn(f"{found:,}", text)
        paths = {path for path, *_ in shown}
        counts = ["totals.accepted", "totals.dropped", "totals.gaps", "verdict.lost", "verdict.durable_seq"]
        counts += ["sources.0.frames", "sources.0.accepted", "symbols.0.messages", "symbols.1.messages"]
        self.assertLessEqual({*counts, "sinks.0.stored_seq", "sinks.0.missed", "journal.durable_seq"}, paths)
        messages = {row["symbol"]: row["messages"] for row in status["symbols"]}
        self.assertEqual(messages, {"BTCUSDT": 1_200, "ETHUSDT": 1_200})
        self.assertEqual(page.text("#level"), status["verdict"]["level"].upper())
        self.is_clean(page)

    def test_numbers_beyond_a_double_stay_exact(self):
        page = self.page(self.recorder())
        text = '{"a":18446744073709551615,"b":-9223372036854775808,"c":[9007199254740993],"d":"9007199254740993 \\\\\\" 1",'
        text += '"e":0.12345678901234568,"f":1e300,"g":999999999999999,"h":null}'
        script = """
            const [text, done] = arguments;
            import("/dashboard/numbers.js").then(({ parse, grouped, moment, between, duration }) => {
                const read = parse(text);
                const shown = [grouped(read.a), grouped(read.b), moment("1723075200123456789")];
                done([read, [...shown, between("1723075200000000001", "1723075200000000003"), duration("2560000000")]]);
            });"""
        read, shown = page.driver.execute_async_script(script, text)
        expected = {"a": "18446744073709551615", "b": "-9223372036854775808", "c": ["9007199254740993"]}
        expected |= {"d": '9007199254740993 \\" 1', "e": 0.12345678901234568, "f": 1e300, "g": 999999999999999, "h": None}
        self.assertEqual(read, expected)
        texts = ["18,446,744,073,709,551,615", "-9,223,372,036,854,775,808", "2024-08-08 00:00:00.123", "2", "2.5\u202fs"]
        self.assertEqual(shown, texts)

    def test_symbols_and_log_lines_are_never_markup(self):
        folder = self.folder() / MARKUP
        folder.mkdir()
        recorder = self.recorder(folder=folder)
        page = self.page(recorder)
        recorder.write([trade(1, MARKUP), trade(2, "</script><b id=evil>")])
        page.shows_run(recorder.rested(2))
        for place in ["#symbols", "#log", "#settings", "#program"]:
            self.assertIn(MARKUP, page.text(place), place)
        self.assertIn("</script><b id=evil>", page.text("#symbols"))
        self.assertEqual(page.run("return [document.images.length, document.querySelectorAll('#evil').length]"), [0, 0])
        # What would let markup in is forbidden by the server, too.
        script = "try { document.body.innerHTML = '<b>'; return 'taken'; } catch (error) { return error.name; }"
        self.assertEqual(page.run(script), "TypeError")
        self.assertEqual(page.text("#symbols-title"), "Symbols")

    def test_it_goes_on_with_the_next_run(self):
        folder = self.folder()
        first = self.recorder(folder=folder)
        page = self.page(first)
        first.write(trade(n) for n in range(1, 21))
        page.shows_run(first.rested(20))
        self.assertIn("start 1,", page.text("#program"))
        self.is_clean(page)
        first.kill()
        page.shows("no answer", "document.querySelector('#link').dataset.state === 'lost'")
        self.assertEqual(page.text("#level"), "NO ANSWER")
        self.assertRegex(page.text("#verdict-text"), r"^no answer since \d\d:\d\d:\d\d UTC: ")
        self.assertEqual(page.text("#announce")[:15], "no answer since")
        second = self.recorder(folder=folder, port=first.port)
        second.write(trade(n) for n in range(21, 26))
        page.shows_run(second.rested(5))
        self.assertIn("start 2,", page.text("#program"))
        self.assertIn(f"pid {second.process.pid},", page.text("#program"))
        self.assertEqual(page.run("return document.querySelector('[data-field=\"sources.0.frames\"]').dataset.value"), "5")
        self.assertEqual(page.run("return performance.getEntriesByType('navigation').length"), 1, "it was not reloaded")
        # A browser reports each attempt to connect to nobody.
        self.assertEqual([line for line in page.complaints() if "net::ERR_" not in line], [])

    def test_thousands_of_symbols_are_sorted_and_filtered_by_the_keyboard(self):
        recorder = self.recorder()
        page = self.page(recorder)
        names = [f"S{n:04}USDT" for n in range(3_000)]
        recorder.write(trade(n, name) for n, name in enumerate(names, 1))
        recorder.write(trade(n, "S1234USDT") for n in range(3_001, 3_011))
        page.shows_run(recorder.rested(3_010))
        rows = "[...document.querySelectorAll('#symbols-table tbody tr:not(.spacer)')]"
        first = f"return {rows}[0].children[0].textContent"
        self.assertEqual(page.run("return document.querySelector('#symbols-table table').getAttribute('aria-rowcount')"), "3001")
        self.assertLess(page.run(f"return {rows}.length"), 100)
        button = "#symbols-table th:nth-child(6) button"
        page.run("document.querySelector(arguments[0]).focus()", button)
        page.driver.switch_to.active_element.send_keys(Keys.ENTER)
        self.assertEqual(page.run("return document.activeElement.closest('th').ariaSort"), "descending")
        self.assertEqual(page.run(first), "S1234USDT")
        page.driver.switch_to.active_element.send_keys(Keys.SPACE)
        self.assertEqual(page.run("return document.activeElement.closest('th').ariaSort"), "ascending")
        # Shift and Tab, back over the heads, lead to the filter.
        for _ in range(7):
            page.driver.switch_to.active_element.send_keys(Keys.SHIFT, Keys.TAB)
        self.assertEqual(page.run("return document.activeElement.type"), "search")
        page.driver.switch_to.active_element.send_keys("s299")
        self.assertEqual(page.text("#symbols-table .tools [role=status]"), "10 of 3000")
        expected = [f"S299{n}USDT" for n in range(10)]
        self.assertEqual(page.run(f"return {rows}.map((row) => row.children[0].textContent)"), expected)
        page.driver.switch_to.active_element.send_keys(Keys.BACKSPACE * 4)
        # The end of the list, by the keyboard.
        page.find("#symbols-table .scroll").send_keys(Keys.END)
        page.shows("the last row", f"{rows}.at(-1).getAttribute('aria-rowindex') === '3001'")
        self.is_clean(page)

    def test_it_fits_every_width_light_and_dark(self):
        recorder = self.recorder("--config", str(self.slow_strategy()), piped=False)
        page = self.page(recorder)
        page.shows("numbers", "document.querySelectorAll('#sinks article').length === 2")
        backs = set()
        for width in [360, 768, 1_280, 1_920]:
            for scheme in ["light", "dark"]:
                with self.subTest(width=width, scheme=scheme):
                    page.emulate(width, scheme)
                    beyond = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
                    self.assertEqual(page.run(beyond), 0)
                    wide = page.run("return [...document.querySelectorAll('main > *')].filter((n) => n.getBoundingClientRect().right > innerWidth + 1).length")
                    self.assertEqual(wide, 0)
                    backs.add((scheme, page.run("return getComputedStyle(document.body).backgroundColor")))
        self.assertEqual(len(backs), 2, backs)
        # The switch wins over the system, and is remembered.
        page.emulate(1_280, "light")
        page.find("#theme").send_keys("dark")
        self.assertIn(("dark", page.run("return getComputedStyle(document.body).backgroundColor")), backs)
        page.driver.refresh()
        page.shows("the page again", "document.documentElement.dataset.theme === 'dark'")
        self.is_clean(page)

    def slow_strategy(self):
        """Configures a simulated market, a database that is not there, and a strategy that sleeps."""
        path = self.folder() / "feedd.toml"
        path.write_text(
            '[analysis]\nbars = ["1s"]\n[[strategy]]\nkind = "slow"\ninterval = "1s"\nparameters = ["millis=400"]\n'
            '[[sink]]\nkind = "parquet"\n[[sink]]\nkind = "postgres"\nrequired = false\n'
            f'[postgres]\nhost = "127.0.0.1"\nport = {free_port()}\n'
        )
        return path

    def test_it_names_who_is_waited_for(self):
        recorder = self.recorder("--config", str(self.slow_strategy()), piped=False)
        page = self.page(recorder)
        flow = "document.querySelector('#flow')"
        page.shows("the sink that is away", f"{flow}.querySelector('.storage [data-waits]') !== null")
        page.shows("its breaker", "document.querySelectorAll('#sinks article')[1].dataset.level === 'warning'")
        self.assertIn("waits for postgres, away for ", page.text("#flow"))
        card = page.run("return document.querySelectorAll('#sinks article')[1].textContent")
        self.assertRegex(card, "next attempt in |an attempt runs")
        self.assertIn("It says: postgres: connecting", card)
        page.shows("the finding", "document.querySelector('#alerts').textContent.includes('FeeddSinkBreakerOpen')")
        # On a busy machine the bars may fall behind, too, and before.
        said = "/strategies (fall behind|too slow)|waits for strategies/"
        page.shows("the slow strategy", f"{said}.test({flow}.querySelector('.lane:last-child').textContent)")
        self.assertTrue(page.run(f"return {flow}.querySelectorAll('.lane')[1].querySelector('[data-waits]') !== null"))
        self.assertIn("strategy slow", page.text("#analysis"))
        self.assertRegex(page.text("#analysis"), "CRITICAL|WARNING")
        self.is_clean(page)

    def test_a_token_is_asked_for_and_kept_nowhere(self):
        folder = self.folder()
        (folder / "token").write_text("open-sesame\n")
        (folder / "token").chmod(0o600)
        page = self.page(self.recorder("--set", f"admin.token_file={folder / 'token'}", folder=folder))
        page.shows("the question", "document.querySelector('#token').open")
        field = page.find("#token-text")
        field.send_keys("wrong", Keys.ENTER)
        page.shows("the refusal", "document.querySelector('#token-wrong').textContent !== ''")
        field.send_keys("open-sesame", Keys.ENTER)
        page.shows("numbers", "document.querySelector('#link').dataset.state === 'live'")
        self.assertFalse(page.run("return document.querySelector('#token').open"))
        kept = page.run("return [location.href, document.cookie, JSON.stringify({...localStorage}), JSON.stringify({...sessionStorage}), document.querySelector('#token-text').value].join(' ')")
        self.assertNotIn("sesame", kept)
        self.assertNotIn("sesame", " ".join(page.requests()))
        page.driver.refresh()
        page.shows("the question again", "document.querySelector('#token').open")

    def test_it_is_accessible(self):
        axe = self.axe()
        recorder = self.recorder("--config", str(self.slow_strategy()), piped=False)
        page = self.page(recorder)
        page.shows("the finding", "document.querySelector('#alerts').textContent.includes('FeeddSinkBreakerOpen')")
        page.run(axe)
        script = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then(done);"
        for width, scheme in [(1_280, "light"), (1_280, "dark"), (360, "light"), (360, "dark")]:
            with self.subTest(width=width, scheme=scheme):
                page.emulate(width, scheme)
                found = page.driver.execute_async_script(script)
                self.assertGreater(found["testEngine"]["version"], "4")
                bad = [
                    (rule["id"], rule["impact"], node["target"], node.get("failureSummary"))
                    for rule in found["violations"]
                    if rule["impact"] in ("serious", "critical")
                    for node in rule["nodes"]
                ]
                self.assertEqual(bad, [])

    def axe(self):
        if not shutil.which("npm"):
            self.skipTest("no npm, which fetches axe-core: install npm (Debian's name)")
        folder = self.folder()
        done = subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"npm pack {AXE} failed: {done.stderr.strip()[-300:]}")
        shutil.unpack_archive(next(folder.glob("*.tgz")), folder)
        return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")


if __name__ == "__main__":
    unittest.main()
