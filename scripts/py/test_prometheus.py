"""Alerts and dashboard against a real Prometheus that scrapes real recorders. See recording.py.

Prometheus comes with Debian's package prometheus; the server of PostgreSQL with postgresql. Where they are
missing, what needs them is left out, with a note; under CI that is a failure.

The unit tests of the rules are a step of scripts/test (promtool). The rules here are those of alerts/feedd.yml with two substitutions, so that minutes pass in seconds: every `for:` becomes 2 s,
every range ([5m], [1m] ...) becomes 15 s. Their limits stay as they are.
"""

import contextlib
import glob
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request

import recording

RULES = recording.WORKSPACE / "alerts" / "feedd.yml"
DASHBOARD = recording.WORKSPACE / "dashboards" / "feedd.json"
OPERATIONS = recording.WORKSPACE / "docs" / "operations.md"
METRIC = re.compile(r"\bfeedd_[a-z0-9_]+")
# Longest wait for anything: a busy machine is slow.
WAIT_S = 90
SIM = ["--source", "sim", "--set", "source.0.burst_every_frames=0"]


def need(what, package):
    """The path of a program; without it the test is left out, and says so."""
    path = shutil.which(what)
    if path is None:
        message = f"{what} is not installed (Debian's package {package})"
        assert not os.environ.get("CI"), message
        raise unittest.SkipTest(message)
    return path


def postgres_programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return pathlib.Path(found[-1]) if found else pathlib.Path(need("initdb", "postgresql")).parent


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(what, reached, told=lambda: ""):
    limit = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < limit, f"still waiting for: {what}\n{told()}"
        time.sleep(0.2)


def expressions():
    """Every expression of the dashboard: where it stands, and what a query must say."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"].replace("$__rate_interval", "15s")
            yield panel["title"], expr.replace("$job", "feedd").replace("$instance", ".*")


def alert_blocks():
    """Name and text of each rule."""
    parts = re.split(r"^ +- alert: (\w+)$", RULES.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


class Files(unittest.TestCase):
    def test_every_rule_has_a_severity_its_texts_a_guide_and_unit_tests(self):
        guide, tests = OPERATIONS.read_text(), (RULES.parent / "feedd_test.yml").read_text()
        blocks = alert_blocks()
        self.assertGreater(len(blocks), 20)
        for name, block in blocks.items():
            with self.subTest(rule=name):
                self.assertRegex(block, r"severity: (critical|warning)\n")
                for annotation in ("summary:", "description:", f"operations.md#{name.lower()}\n", "dashboard_url:"):
                    self.assertIn(annotation, block)
                self.assertIn(f"\n### {name}\n", guide)
                self.assertIn(f"name: {name} fires\n", tests)
                self.assertIn(f"name: {name} is quiet\n", tests)

    def test_the_rules_inside_feedd_have_the_same_names(self):
        inside = set(re.findall(r"^\| `(Feedd\w+)` \|", OPERATIONS.read_text(), flags=re.MULTILINE))
        only_prometheus = {"FeeddDown", "FeeddAlertsNotSent"}
        self.assertEqual(inside, set(alert_blocks()) - only_prometheus)

    def test_the_dashboard_is_whole(self):
        dashboard = json.loads(DASHBOARD.read_text())
        self.assertGreaterEqual(dashboard["schemaVersion"], 39)
        self.assertIn("datasource", [variable["type"] for variable in dashboard["templating"]["list"]])
        panels = dashboard["panels"]
        ids = [panel["id"] for panel in panels]
        self.assertEqual(len(ids), len(set(ids)))
        taken = {}
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    other = taken.setdefault((x, y), panel["title"])
                    self.assertIs(other, panel["title"], f"{panel['title']} lies over {other}")
            for target in panel.get("targets", []):
                self.assertEqual(target["datasource"]["uid"], "${datasource}", panel["title"])
            if panel["type"] != "row":
                self.assertTrue(panel["targets"] and panel["description"], panel["title"])
        rows = [panel["title"] for panel in panels if panel["type"] == "row"]
        self.assertEqual(
            rows,
            ["Is all well", "Overview", "Sources", "Rings and threads", "Journal", "Sinks", "Analysis", "Resources"],
        )


class Recorder:
    """A recorder of its own, with its log and address."""

    def __init__(self, folder, name, *arguments):
        self.log = folder / f"{name}.log"
        self.process = None
        data = ["run", "--data-dir", str(folder / name), "--set", "admin.listen=127.0.0.1:0"]
        self.arguments = [recording.binary(), *data, *arguments]
        self.start()

    def start(self):
        with self.log.open("w") as log:
            self.process = subprocess.Popen(self.arguments, stderr=log, stdout=subprocess.DEVNULL)
        wait_until("its address", lambda: self.address() or self.process.poll() is not None, self.log.read_text)
        assert self.process.poll() is None, self.log.read_text()

    def address(self):
        found = re.search(r"dashboard and metrics: http://([^/]+)/", self.log.read_text())
        return found and found[1]

    def page(self, path):
        with urllib.request.urlopen(f"http://{self.address()}{path}", timeout=30) as answer:
            return answer.read().decode()

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Postgres:
    """A server of the test's own, which can be stopped and started."""

    def __init__(self, folder):
        programs, self.folder, self.port = postgres_programs(), folder, free_port()
        folder.mkdir()
        # The server refuses to run as root.
        self.user = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            self.user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        self.ctl, self.data = str(programs / "pg_ctl"), str(folder / "data")
        self.run([str(programs / "initdb"), "-A", "trust", "-U", "postgres", "--no-sync", "-D", self.data])

    def run(self, command):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=True, timeout=60, cwd=self.folder, **quiet, **self.user)

    def start(self):
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run([self.ctl, "start", "-w", "-D", self.data, "-l", str(self.folder / "log"), "-o", options])

    def stop(self):
        self.run([self.ctl, "stop", "-m", "immediate", "-D", self.data])

    def settings(self):
        values = ["sink.kind=postgres", "postgres.host=127.0.0.1", f"postgres.port={self.port}"]
        values += ["postgres.database=postgres", "postgres.user=postgres", "retry.delay=100ms", "retry.max_delay=500ms"]
        return [part for value in values for part in ("--set", value)]


class Prometheus:
    """A server that scrapes the recorders every second."""

    def __init__(self, folder, recorders):
        folder.mkdir()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        rules = re.sub(r"^( +for): .*$", r"\1: 2s", RULES.read_text(), flags=re.MULTILINE)
        (folder / "rules.yml").write_text(re.sub(r"\[\d+m\]", "[15s]", rules))
        targets = [
            {"targets": [recorder.address()], "labels": {"instance": name}} for name, recorder in recorders.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "feedd", "file_sd_configs": [{"files": ["targets.json"]}]}],
        }
        self.targets = folder / "targets.json"
        self.targets.write_text(json.dumps(targets))
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self.log = folder / "log"
        command = [need("prometheus", "prometheus"), f"--config.file={folder / 'prometheus.yml'}"]
        command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)
        wait_until("Prometheus", self.is_ready, self.log.read_text)

    def is_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            return self.ask("query", query='count(up{job="feedd"} == 1)')["result"] != []
        return False

    def ask(self, what, **arguments):
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]

    def firing(self):
        """Rule and recorder of each alert that fires."""
        alerts = self.ask("alerts")["alerts"]
        return {(a["labels"]["alertname"], a["labels"]["instance"]) for a in alerts if a["state"] == "firing"}

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=30)


class Feed:
    """Trades of two symbols, ten a second, through a pipe; one of them can be made mute."""

    def __init__(self, folder):
        # The folder's name is the venue.
        (folder / "binance").mkdir()
        self.pipe, self.symbols = folder / "binance" / "feed", ["BTCUSDT", "ETHUSDT"]
        os.mkfifo(self.pipe)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with self.pipe.open("w") as pipe, contextlib.suppress(BrokenPipeError):
            for number in range(1, 1_000_000):
                if self.over.wait(0.1):
                    return
                for symbol in self.symbols:
                    at = time.time_ns()
                    trade = {"e": "trade", "E": at // 10**6, "s": symbol, "t": number, "p": "100.25", "q": "0.50"}
                    frame = json.dumps({**trade, "T": at // 10**6, "m": False}, separators=(",", ":"))
                    print(json.dumps({"recv_ns": at, "conn": "ws-1", "dir": "in", "frame": frame}), file=pipe)
                pipe.flush()

    def end(self):
        self.over.set()
        self.thread.join()


class Scraped(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("prometheus", "prometheus")
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="feedd-prometheus-")))
        # The server of PostgreSQL reaches its own folder in it.
        folder.chmod(0o711)
        cls.postgres = Postgres(folder / "postgres")
        cls.postgres.start()
        cls.addClassCleanup(cls.postgres.stop)
        cls.feed = Feed(folder)
        away, none = cls.postgres.settings(), ["--set", "sink.kind=null"]
        slow = ["--set", "analysis.bars=1s", "--set", "strategy.0.kind=slow", "--set", "strategy.0.interval=1s"]
        cls.recorders = {
            # Its journal grows while the database is away.
            "journal": [*SIM, *away, "--set", "source.0.rate=5000", "--set", "journal.bytes_max=16MiB"]
            + ["--set", "journal.segment_bytes=256KiB"],
            # Its source waits while the database is away, and only then: at this rate a slow commit is bridged.
            "direct": [*SIM, *away, "--set", "source.0.rate=50", "--set", "journal.mode=off"]
            + ["--set", "ring.capacity=64"],
            # The same, but it does not wait.
            "loss": [*SIM, *away, "--set", "source.0.rate=50", "--set", "journal.mode=off"]
            + ["--set", "ring.capacity=64", "--set", "source.0.full=drop"],
            "slow": [*SIM, *none, *slow, "--set", "strategy.0.parameters=millis=300"],
            "mute": ["--source", f"capture:{cls.feed.pipe}", *none],
        }
        cls.recorders = {name: Recorder(folder, name, *arguments) for name, arguments in cls.recorders.items()}
        for recorder in cls.recorders.values():
            cls.addClassCleanup(recorder.end)
        cls.feed.thread.start()
        cls.addClassCleanup(cls.feed.end)
        cls.prometheus = Prometheus(folder / "prometheus", cls.recorders)
        cls.addClassCleanup(cls.prometheus.end)

    def wait(self, what, reached):
        wait_until(what, reached, lambda: f"firing: {sorted(self.prometheus.firing())}")

    def test_a_every_metric_that_is_named_exists_and_every_expression_holds(self):
        pages = "".join(recorder.page("/metrics") for recorder in self.recorders.values())
        there = set()
        for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", pages, flags=re.MULTILINE):
            there |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
        named = set(METRIC.findall("".join(alert_blocks().values())))
        named |= {name for _, expr in expressions() for name in METRIC.findall(expr)}
        self.assertGreater(len(named), 50)
        self.assertEqual(named - there, set())
        empty = [
            f"{title}: {expr}"
            for title, expr in expressions()
            if self.prometheus.ask("query", query=expr)["result"] == [] and not re.search(r" (==|>) \d", expr)
        ]
        # A rate needs two looks.
        if empty:
            time.sleep(5)
            asked = [expr.split(": ", 1)[1] for expr in empty]
            self.assertEqual([expr for expr in asked if self.prometheus.ask("query", query=expr)["result"] == []], [])

    def test_b_alerts_fire_for_what_is_provoked_and_clear(self):
        fires = self.prometheus.firing
        # The database has been there: rows were stored.
        stored = 'min(feedd_sink_stored_events_total{instance=~"journal|direct"}) > 0'
        self.wait("rows in the database", lambda: self.prometheus.ask("query", query=stored)["result"])
        self.wait("a symbol that is known", lambda: '"usual_ns":0' not in self.recorders["mute"].page("/status"))
        for rule, name in (("FeeddSinkBreakerOpen", "journal"), ("FeeddFeedStale", "mute")):
            self.assertNotIn((rule, name), fires())

        self.postgres.stop()
        del self.feed.symbols[1]
        seen = set()
        away = {
            ("FeeddSinkBreakerOpen", "journal"),
            ("FeeddJournalFullIn4h", "journal"),
            ("FeeddSinkBreakerOpen", "direct"),
            ("FeeddRingSaturated", "direct"),
            ("FeeddBackpressure", "direct"),
            ("FeeddDroppingEvents", "loss"),
        }
        others = {
            ("FeeddFeedStale", "mute"),
            ("FeeddBackpressure", "slow"),
            ("FeeddSlowStrategy", "slow"),
        }

        def all_seen():
            seen.update(fires())
            return away | others <= seen

        try:
            wait_until("all of them", all_seen, lambda: f"missing: {sorted((away | others) - seen)}")
            # The same inside feedd.
            status = json.loads(self.recorders["journal"].page("/status"))
            found = {(finding["rule"], finding["who"]) for finding in status["findings"]}
            self.assertIn(("FeeddSinkBreakerOpen", "postgres"), found)
            self.assertIn("FeeddSinkBreakerOpen", [alert["rule"] for alert in status["alerts"]])
        finally:
            self.postgres.start()
        self.feed.symbols.append("ETHUSDT")
        self.recorders["slow"].end()
        self.wait("nothing of it", lambda: not (away | {("FeeddFeedStale", "mute")}) & fires())
        self.wait("no slow strategy", lambda: not {("FeeddBackpressure", "slow"), ("FeeddSlowStrategy", "slow")} & fires())
        # A rule that nothing was provoked for.
        self.assertNotIn("FeeddUnaccountedEvents", {rule for rule, _ in seen})


if __name__ == "__main__":
    unittest.main()
