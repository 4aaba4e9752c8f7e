"""The Debian package: what it holds, and what becomes of it on a machine that installs, upgrades and removes it.

    python3 package_test.py PACKAGE.deb

The second part runs in a machine of its own: the root folder below a layer that is thrown away, with processes of its
own. That takes root; without it, or where such a layer is not allowed, it is skipped. Nothing of this machine changes.
"""

import glob
import gzip
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

INSIDE = "--inside"
DATA = pathlib.Path("/var/lib/feedd")
CONFIG = pathlib.Path("/etc/feedd/feedd.toml")
UNIT = pathlib.Path("/usr/lib/systemd/system/feedd.service")
EXPOSURE_MAX = 2.0
# Longest wait for anything; a busy machine is slow.
WAIT_S = 60


def run(*command, **more):
    """Runs a command to its end, with nobody who could answer a question."""
    quiet = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **more.pop("env", {})}
    return subprocess.run(command, **quiet, env=environment, **more)


class Contents(unittest.TestCase):
    """What needs no installation."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name)
        subprocess.run(["dpkg-deb", "-x", PACKAGE, cls.root], check=True)

    def installed(self, path):
        return self.root / str(path).lstrip("/")

    def test_lintian_finds_nothing(self):
        found = run("lintian", "--allow-root", "--fail-on", "error,warning", PACKAGE)
        self.assertEqual((found.returncode, found.stdout), (0, ""), found.stderr)

    def test_the_unit_exposes_little_and_lets_threads_be_pinned(self):
        unit = self.installed(UNIT)
        shown = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
        exposure = re.search(r"Overall exposure level for feedd.service: ([0-9.]+) ", shown.stdout)
        self.assertIsNotNone(exposure, shown.stdout + shown.stderr)
        print(f"exposure of the unit: {exposure[1]}")
        self.assertLessEqual(float(exposure[1]), EXPOSURE_MAX, shown.stdout)
        self.assertIn("sched_setaffinity", allowed_calls(unit))
        self.assertNotIn("mount", allowed_calls(unit))

    def test_manual_pages_are_formatted_without_a_warning(self):
        pages = sorted(self.installed("/usr/share/man/man1").iterdir())
        commands = {page.name.removesuffix(".1.gz") for page in pages}
        self.assertLessEqual({"feedd", "feedd-run", "feedd-journal-verify", "venue-sim", "bench-pipeline"}, commands)
        for page in pages:
            shown = run("man", "--warnings", "-E", "UTF-8", "-l", page, env={"MANWIDTH": "100", "MANROFFSEQ": ""})
            self.assertEqual((shown.returncode, shown.stderr), (0, ""), page.name)
            for part in ["NAME", "SYNOPSIS"]:
                self.assertIn(part, shown.stdout, page.name)

    def test_each_command_of_the_help_has_a_page(self):
        feedd = self.installed("/usr/bin/feedd")
        listed = run(feedd, "--help").stdout.split("Commands:")[1].split("Options:")[0]
        commands = re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE)
        self.assertIn("run", commands)
        for command in commands:
            page = self.installed(f"/usr/share/man/man1/feedd-{command}.1.gz")
            self.assertEqual(page.exists(), command != "help", command)
            if page.exists():
                self.assertIn(command, gzip.decompress(page.read_bytes()).decode())

    def test_completions_are_scripts_of_their_shells(self):
        scripts = {
            "bash": "/usr/share/bash-completion/completions/feedd",
            "zsh": "/usr/share/zsh/vendor-completions/_feedd",
            "fish": "/usr/share/fish/vendor_completions.d/feedd.fish",
        }
        for shell, path in scripts.items():
            script = self.installed(path)
            self.assertIn("journal", script.read_text())
            if shutil.which(shell) is None:
                print(f"not checked: {path}, there is no {shell} (Debian's name: {shell})")
                continue
            checked = run(shell, "-n", script)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""), shell)
        # As bash asks: what can follow `feedd jour`, and `feedd journal `.
        ask = 'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _feedd feedd "${@: -1}" "${@: -2:1}"; echo "${COMPREPLY[@]}"'
        for words, expected in [(["feedd", "jour"], "journal"), (["feedd", "journal", "ve"], "verify")]:
            answer = run("bash", "-c", ask, "bash", self.installed(scripts["bash"]), *words)
            self.assertIn(expected, answer.stdout.split(), answer.stderr)


def allowed_calls(unit):
    """The system calls that the unit's filter lets through."""
    lists = re.findall(r"^SystemCallFilter=(~?)(.*)$", unit.read_text(), re.MULTILINE)
    allowed = set()
    for inverted, words in lists:
        calls = set().union(*(expanded(word) for word in words.split()))
        allowed = allowed - calls if inverted else allowed | calls
    return allowed


def expanded(word):
    """A set of calls with those of the sets in it."""
    if not word.startswith("@"):
        return {word}
    listed = run("systemd-analyze", "syscall-filter", "--no-pager", word).stdout.splitlines()[1:]
    words = [line.strip() for line in listed if line.strip() and not line.strip().startswith("#")]
    return set().union(*(expanded(word) for word in words))


def setting(name):
    """What the installed unit says."""
    return re.search(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)[1]


class Manager:
    """Plays systemd towards one service."""

    def __init__(self, name):
        self.path = f"/run/{name}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.heard = []

    def wait_for(self, message, process):
        limit = time.monotonic() + WAIT_S
        self.socket.settimeout(0.1)
        while message not in self.heard:
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except TimeoutError:
                ended = process.poll()
                if ended is not None:
                    raise AssertionError(f"ended with {ended} before {message}: {process.stderr.read()}") from None
                if time.monotonic() > limit:
                    raise AssertionError(f"still waiting for {message}: {self.heard}") from None


class Installed(unittest.TestCase):
    """On a machine of its own, in the order of a package's life."""

    def setUp(self):
        done = run("dpkg", "-i", PACKAGE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def as_feedd(self, *command, **more):
        return run(*command, user="feedd", group="feedd", extra_groups=[], cwd=DATA, umask=0o077, **more)

    def service(self, manager):
        """Starts what the unit starts, as the user it names."""
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "8000000"}
        return subprocess.Popen(
            setting("ExecStart").split(), user=setting("User"), group=setting("Group"), extra_groups=[],
            cwd=setting("WorkingDirectory"), umask=int(setting("UMask"), 8), env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )

    def record(self, name, epoch):
        """Records until something is safe, and ends in order."""
        manager = Manager(name)
        process = self.service(manager)
        try:
            manager.wait_for("READY=1", process)
            limit = time.monotonic() + WAIT_S
            while True:
                asked = self.as_feedd("feedd", "status", "--json", "--config", CONFIG)
                self.assertLess(asked.returncode, 3, asked.stderr)
                status = json.loads(asked.stdout)
                if (status["journal"]["durable_seq"] or 0) > 2_000:
                    break
                self.assertLess(time.monotonic(), limit, status["verdict"])
                time.sleep(0.1)
            self.assertEqual(status["program"]["epoch"], epoch)
            self.assertEqual(status["program"]["data_dir"], str(DATA))
            self.assertEqual(status["verdict"]["lost"], 0)
            manager.wait_for("WATCHDOG=1", process)
            reloaded = self.as_feedd(*setting("ExecReload").split())
            self.assertEqual(reloaded.returncode, 0, reloaded.stdout + reloaded.stderr)
            manager.wait_for("RELOADING=1", process)
            owner = pathlib.Path(f"/proc/{process.pid}").stat().st_uid
            self.assertEqual(owner, pwd.getpwnam("feedd").pw_uid)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
            manager.socket.close()
        self.assertEqual(process.returncode, 0, said)
        self.assertIn("Final accounting", said)
        return status

    def verify(self):
        """Journal, positions and files agree."""
        verdict = self.as_feedd("feedd", "verify", "--config", CONFIG)
        self.assertEqual(verdict.returncode, 0, verdict.stdout + verdict.stderr)

    def test_a_life(self):
        self.check_what_is_there()
        self.record("first", 1)
        self.check_files()
        self.verify()
        self.check_system_calls()
        self.check_upgrade()
        self.check_removal()

    def check_what_is_there(self):
        user = pwd.getpwnam("feedd")
        self.assertEqual((user.pw_dir, user.pw_shell), (str(DATA), "/usr/sbin/nologin"))
        found = DATA.stat()
        self.assertEqual((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid), (0o700, user.pw_uid, user.pw_gid))
        self.assertEqual(glob.glob("/etc/systemd/system/*/feedd.service"), [], "nobody has said yet what to record")
        # With what it names in its place.
        checked = run("systemd-analyze", "verify", "--man=yes", UNIT)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))
        checked = self.as_feedd("feedd", "check", "--config", CONFIG)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def check_files(self):
        """Nobody else can read what is recorded."""
        found = [DATA, *DATA.rglob("*")]
        self.assertTrue(any(path.suffix == ".parquet" for path in found), found)
        for path in found:
            mode = stat.S_IMODE(path.lstat().st_mode)
            self.assertEqual(mode & 0o077, 0, f"{path} {mode:o}")

    def check_system_calls(self):
        """What a recording asks of the system is what the unit's filters let through."""
        trace = DATA / "trace"
        traced = self.as_feedd(
            "strace", "-f", "-qq", "-o", trace, "feedd", "run", "--config", CONFIG, "--for", "3s",
            "--set", f"batching.core={min(os.sched_getaffinity(0))}",
        )
        self.assertEqual(traced.returncode, 0, traced.stderr)
        text = trace.read_text(errors="replace")
        trace.unlink()
        used = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", text, re.MULTILINE))
        self.assertTrue(used & {"fsync", "fdatasync"}, used)
        self.assertIn("sched_setaffinity", used, "a thread was pinned")
        self.assertEqual(used - allowed_calls(UNIT), set(), "not let through by SystemCallFilter")
        self.assertEqual(re.findall(r"^.*PROT_WRITE\|PROT_EXEC.*$", text, re.MULTILINE), [], "MemoryDenyWriteExecute")
        families = set(re.findall(r"socket\((AF_[A-Z0-9]+)", text))
        self.assertLessEqual(families, {"AF_UNIX", "AF_INET", "AF_INET6"}, "RestrictAddressFamilies")

    def check_upgrade(self):
        """A later version takes the place of the programs; settings and data stay."""
        CONFIG.write_text(CONFIG.read_text() + '\n[log]\nlevel = "debug"\n')
        secret = CONFIG.parent / "postgres.password"
        secret.write_text("of the operator")
        before = {path: path.read_bytes() for path in DATA.rglob("*.parquet")}
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["dpkg-deb", "-R", PACKAGE, f"{folder}/later"], check=True)
            control = pathlib.Path(folder, "later/DEBIAN/control")
            later, count = re.subn(r"^Version: .*$", r"Version: 999.0.0-1", control.read_text(), flags=re.MULTILINE)
            self.assertEqual(count, 1)
            control.write_text(later)
            subprocess.run(["dpkg-deb", "-Znone", "-b", f"{folder}/later", f"{folder}/later.deb"], check=True, capture_output=True)
            done = run("dpkg", "-i", f"{folder}/later.deb")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        version = run("dpkg-query", "-W", "-f", "${Version}", "feedd").stdout
        self.assertEqual(version, "999.0.0-1")
        self.assertIn('level = "debug"', CONFIG.read_text())
        # The traced run was the second start.
        settings = self.record("second", 3)["settings"]
        self.assertIn("log.level", [setting["key"] for setting in settings])
        self.assertTrue(before)
        for path, content in before.items():
            self.assertEqual(path.read_bytes(), content, path)
        self.verify()

    def check_removal(self):
        """`remove` leaves data and settings, `purge` deletes them; neither asks."""
        recorded = sorted(DATA.rglob("*"))
        for action, leaves in [("-r", True), ("-P", False)]:
            done = run("dpkg", action, "feedd")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertFalse(pathlib.Path("/usr/bin/feedd").exists())
            self.assertEqual((CONFIG.exists(), DATA.exists()), (leaves, leaves), action)
            if leaves:
                self.assertEqual(sorted(DATA.rglob("*")), recorded)
        self.assertEqual((CONFIG.parent / "postgres.password").read_text(), "of the operator")


def machine_of_its_own():
    """Makes the layer and goes below it. Called in a namespace of its own, so its end takes everything away."""
    layer = pathlib.Path(tempfile.mkdtemp())
    mount = lambda *words: subprocess.run(["mount", *map(str, words)], check=True)
    mount("-t", "tmpfs", "tmpfs", layer)
    for name in ["upper", "work", "root"]:
        (layer / name).mkdir()
    root = layer / "root"
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={layer}/upper,workdir={layer}/work", root)
    mount("-t", "proc", "proc", root / "proc")
    mount("--rbind", "/dev", root / "dev")
    package = shutil.copy(PACKAGE, root / "tmp")
    os.chroot(root)
    os.chdir("/")
    os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"
    # A machine that has feedd already shall be as one that never had.
    run("dpkg", "-P", "feedd")
    return "/tmp/" + pathlib.Path(package).name


class MachineOfItsOwn(unittest.TestCase):
    """Runs the second part."""

    def test_installed(self):
        if os.geteuid() != 0:
            self.skipTest("installing takes root")
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        try_out = 'mount -t tmpfs tmpfs "$1" && mkdir "$1/u" "$1/w" && mount -t overlay overlay -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" "$1"'
        with tempfile.TemporaryDirectory() as folder:
            possible = run(*unshare, "sh", "-c", try_out, "sh", folder)
        if possible.returncode != 0:
            self.skipTest(f"a layer over the root folder is not allowed here: {possible.stderr.strip()}")
        inside = subprocess.run([*unshare, sys.executable, os.path.abspath(__file__), PACKAGE, INSIDE])
        self.assertEqual(inside.returncode, 0)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.path.isfile(sys.argv[1]):
        sys.exit(__doc__)
    PACKAGE = os.path.abspath(sys.argv[1])
    if INSIDE in sys.argv:
        PACKAGE = machine_of_its_own()
        unittest.main(argv=[sys.argv[0], "Installed"])
    unittest.main(argv=[sys.argv[0], "Contents", "MachineOfItsOwn"])
