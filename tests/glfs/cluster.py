#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A private GlusterFS for a test: a glusterd with its bricks, in a temporary directory, on a loopback address of its own.

    with Cluster() as cluster:
        cluster.create("v", replica=3, options={"network.ping-timeout": 5})
        cluster.start("v")
        cluster.make_file("v", "/disk", 64 << 20)

By itself, for trying things out by hand: cluster.py [REPLICA]
"""

import contextlib
import ctypes
import errno
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
PORT = 24007
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PATIENCE = 60  # seconds: for what takes two, on a machine with other work


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(SKIPPED)


def need(*programs):
    for program in programs:
        if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            skip(f"{program} is not installed (Debian: apt install glusterfs-server qemu-utils qemu-block-extra fio)")


def need_gluster():
    need("glusterd", "gluster")
    if os.geteuid():
        skip("bricks have attributes that only root may set")


def until(condition, what, seconds=PATIENCE):
    """What condition() says as soon as it is true."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def prctl(option, value):
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent():
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def processes_of(directory):
    """Those that name it on their command line: glusterd, bricks, self-heal daemons."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        words = command_line(pid)
        if words and os.path.basename(words[0]) in ("glusterd", "glusterfsd", "glusterfs", "gluster") and \
           any(directory + "/" in word for word in words):
            yield int(pid), words


def is_alive(pid):
    """Not dead, and not a zombie either."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_gone(pid):
    """Not even a zombie, which glusterd takes for a running brick. Daemons become our children when their parent ends
    (PR_SET_CHILD_SUBREAPER)."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not os.path.exists(f"/proc/{pid}")


def clean(directory):
    """Kills and removes all of it. What is in /var/run/gluster is named after nothing that we choose."""
    sockets, pids = set(), set()
    for _ in range(100):
        found = list(processes_of(directory))
        for pid, words in found:
            pids.add(pid)
            sockets |= {word for word in words if word.startswith("/") and word.endswith(".socket")}
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            break
        time.sleep(0.02)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    for path in sockets:
        if path.startswith(("/run/gluster/", "/var/run/gluster/")):
            with contextlib.suppress(OSError):
                os.unlink(path)
    shutil.rmtree(directory, ignore_errors=True)


def start_guard(directory):
    """A process that cleans when this one is gone, however it went. Its end of a pipe tells it."""
    ours, theirs = os.pipe()
    if os.fork():
        os.close(ours)
        return theirs
    with contextlib.suppress(BaseException):
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.closerange(3, ours)
        os.closerange(ours + 1, 256)
        os.read(ours, 1)
        clean(directory)
    os._exit(0)


def on_term(number, _frame):
    sys.exit(128 + number)


class Cluster:
    count = 0

    def __init__(self):
        need_gluster()
        signal.signal(signal.SIGTERM, on_term)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.dir = tempfile.mkdtemp(prefix="tcmu-glfs.")
        self.guard = start_guard(self.dir)
        self.host = self.free_address()
        self.socket = self.dir + "/glusterd.sock"
        self.glusterd = None
        for name in ("wd", "run", "log/bricks", "bricks"):
            os.makedirs(f"{self.dir}/{name}")

    @classmethod
    def free_address(cls):
        """By the pid, so that tests that run at the same time have different ones."""
        for _ in range(64):
            number = os.getpid() + (cls.count << 16)
            cls.count += 1
            host = f"127.{64 + (number >> 16) % 190}.{number >> 8 & 255}.{number & 255}"
            with socket.socket() as sock:
                try:
                    sock.bind((host, PORT))
                    return host
                except OSError as e:
                    if e.errno != errno.EADDRINUSE:
                        skip(f"nobody can listen on {host}: {e.strerror}")
        raise RuntimeError("no free loopback address")

    def __enter__(self):
        try:
            self.start_glusterd()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind not in (None, SystemExit):
            self.tell_logs()
        self.close()

    def close(self):
        if self.dir:
            clean(self.dir)
            if self.glusterd:
                self.glusterd.wait()
            os.close(self.guard)
            self.dir = None

    def tell_logs(self):
        """The last errors, when a test has failed."""
        for path in glob.glob(self.dir + "/log/*.log") + glob.glob(self.dir + "/log/bricks/*.log"):
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line for line in file if re.match(r"\[[^]]*\] [EC] ", line) and "No such file" not in line]
            for line in lines[-5:]:
                print(f"  {os.path.basename(path)}: {line.strip()[:300]}", file=sys.stderr)

    # ---- the daemon of the cluster

    def start_glusterd(self):
        options = {"working-directory": self.dir + "/wd", "run-directory": self.dir + "/run",
                   "glusterd-sockfile": self.socket, "logging-directory": self.dir + "/log",
                   "transport.socket.bind-address": self.host}
        arguments = [f"--xlator-option=management.{name}={value}" for name, value in options.items()]
        with open(self.dir + "/glusterd.out", "ab") as out:
            self.glusterd = subprocess.Popen(
                ["glusterd", "-N", "--log-level=INFO", f"--log-file={self.dir}/log/glusterd.log",
                 f"--pid-file={self.dir}/glusterd.pid", *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, preexec_fn=die_with_parent)
        until(self.glusterd_answers, "an answer of glusterd")

    def glusterd_answers(self):
        if self.glusterd.poll() is not None:
            with open(self.dir + "/glusterd.out", encoding="utf-8", errors="replace") as file:
                raise RuntimeError(f"glusterd has ended with {self.glusterd.returncode}: {file.read()[-500:]}")
        return os.path.exists(self.socket) and self.gluster("volume", "list", check=False).returncode == 0

    def kill_glusterd(self):
        self.glusterd.kill()
        self.glusterd.wait()

    def restart_glusterd(self):
        """Bricks are daemons: they go on meanwhile."""
        self.kill_glusterd()
        self.start_glusterd()

    def gluster(self, *words, check=True):
        done = subprocess.run(["gluster", "--mode=script", f"--glusterd-sock={self.socket}",
                               f"--log-file={self.dir}/log/cli.log", *map(str, words)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        if check and done.returncode:
            raise RuntimeError(f"gluster {' '.join(map(str, words))}: {done.stdout}{done.stderr}".strip())
        return done

    # ---- volumes

    def create(self, volume, replica=1, options=None):
        bricks = [f"{self.host}:{self.dir}/bricks/{volume}{i}" for i in range(replica)]
        kind = ["replica", replica] if replica > 1 else []
        # force: on the root file system, and all on the same host
        self.gluster("volume", "create", volume, *kind, *bricks, "force")
        for name, value in (options or {}).items():
            self.set(volume, name, value)

    def start(self, volume):
        self.gluster("volume", "start", volume)
        self.wait_for_bricks(volume)

    def stop(self, volume):
        self.gluster("volume", "stop", volume, "force")

    def set(self, volume, option, value):
        self.gluster("volume", "set", volume, option, value)

    def bricks(self, volume):
        return len(glob.glob(f"{self.dir}/wd/vols/{volume}/bricks/*"))

    def brick_dir(self, volume, i):
        return f"{self.dir}/bricks/{volume}{i}"

    def brick_file(self, volume, i, path):
        return self.brick_dir(volume, i) + "/" + path.lstrip("/")

    def brick_pid(self, volume, i):
        """None: it does not run."""
        name = self.brick_dir(volume, i).replace("/", "-").lstrip("-")
        try:
            with open(f"{self.dir}/run/vols/{volume}/{self.host}-{name}.pid", encoding="ascii") as file:
                pid = int(file.read() or 0)
        except (OSError, ValueError):
            return None
        return pid if pid and is_alive(pid) and self.dir in " ".join(command_line(pid)) else None

    def brick_pids(self, volume):
        return [self.brick_pid(volume, i) for i in range(self.bricks(volume))]

    def on_line(self, volume):
        """How many bricks glusterd thinks so of. None: it does not say."""
        done = self.gluster("volume", "status", volume, "--xml", check=False)
        if done.returncode:
            return None
        # Self-heal daemons are nodes, too, but not below the bricks' directory.
        nodes = re.findall(r"<node>.*?</node>", done.stdout, re.S)
        return sum(f"<path>{self.dir}/bricks/" in node and "<status>1</status>" in node for node in nodes)

    def wait_for_bricks(self, volume, seconds=PATIENCE):
        """Until each has told glusterd its port: before that clients are turned away."""
        until(lambda: self.on_line(volume) == self.bricks(volume), f"the bricks of {volume} on line", seconds)

    def kill_brick(self, volume, i):
        pid = self.brick_pid(volume, i)
        os.kill(pid, signal.SIGKILL)
        until(lambda: is_gone(pid), f"the end of brick {i} of {volume}")

    def freeze_brick(self, volume, i):
        os.kill(self.brick_pid(volume, i), signal.SIGSTOP)

    def thaw_brick(self, volume, i):
        os.kill(self.brick_pid(volume, i), signal.SIGCONT)

    def restart_bricks(self, volume):
        # glusterd starts none that it has not seen die yet.
        until(lambda: self.on_line(volume) == sum(map(bool, self.brick_pids(volume))),
              f"glusterd's notice of the dead bricks of {volume}")
        self.gluster("volume", "start", volume, "force")
        self.wait_for_bricks(volume)

    def heal_count(self, volume):
        """Entries that wait to be healed; None: it cannot be said just now."""
        text = self.gluster("volume", "heal", volume, "statistics", "heal-count", check=False).stdout
        counts = re.findall(r"^Number of entries: (\S+)", text, re.M)
        if not counts or not all(map(str.isdigit, counts)):
            return None
        return sum(map(int, counts))

    def clients(self, volume):
        """Connections of clients to the first brick."""
        text = self.gluster("volume", "status", volume, "clients").stdout
        return [int(n) for n in re.findall(r"^Clients connected : (\d+)", text, re.M)]

    # ---- files, by libgfapi in a process of its own: glfs_fini() takes up to ten seconds

    def gfapi(self, volume, what, path, *more):
        subprocess.run([sys.executable, __file__, "--gfapi", self.host, volume, what, path, *map(str, more)],
                       stdin=subprocess.DEVNULL, timeout=PATIENCE, check=True)

    def make_file(self, volume, path, size):
        self.gfapi(volume, "make", path, size)

    def make_directory(self, volume, path):
        self.gfapi(volume, "mkdir", path)

    def unlink(self, volume, path):
        self.gfapi(volume, "unlink", path)

    def config(self, volume, path, host=None, **options):
        """A config string of the handler. None as a value: an option without one."""
        words = [f"glfs/{volume}@{self.host if host is None else host}{path}", f"log={self.dir}/log/gfapi.log"]
        words += [name if value is None else f"{name}={value}" for name, value in options.items()]
        return ";".join(words)

    def url(self, volume, path):
        """For qemu-img and qemu-io."""
        return f"gluster+tcp://{self.host}:{PORT}/{volume}/{path.lstrip('/')}"


def gfapi_main(host, volume, what, path, size="0"):
    lib = ctypes.CDLL("libgfapi.so.0", use_errno=True)
    lib.glfs_new.restype = lib.glfs_creat.restype = ctypes.c_void_p
    lib.glfs_new.argtypes = [ctypes.c_char_p]
    fs = ctypes.c_void_p(lib.glfs_new(volume.encode()))

    def must(ok):
        if not ok:
            number = ctypes.get_errno()
            print(f"gfapi: {what} {path} on {volume}: {os.strerror(number)}", file=sys.stderr, flush=True)
            os._exit(1)

    must(lib.glfs_set_volfile_server(fs, b"tcp", host.encode(), PORT) == 0)
    lib.glfs_set_logging(fs, b"/dev/null", 3)
    must(lib.glfs_init(fs) == 0)
    if what == "unlink":
        must(lib.glfs_unlink(fs, path.encode()) == 0)
    elif what == "mkdir":
        must(lib.glfs_mkdir(fs, path.encode(), 0o700) == 0)
    else:
        fd = ctypes.c_void_p(lib.glfs_creat(fs, path.encode(), os.O_RDWR | os.O_CREAT, 0o600))
        must(fd)
        # before GlusterFS 6 there were two arguments
        must(lib.glfs_ftruncate(fd, ctypes.c_int64(int(size)), None, None) == 0)
        must(lib.glfs_close(fd) == 0)
    os._exit(0)


def by_hand(replica):
    with Cluster() as cluster:
        cluster.create("v", replica)
        cluster.start("v")
        cluster.make_file("v", "/disk", 64 << 20)
        print(f"glfs/v@{cluster.host}/disk\ngluster --glusterd-sock={cluster.socket} volume info\n{cluster.dir}\n"
              "Control-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--gfapi"]:
        gfapi_main(*sys.argv[2:])
    else:
        by_hand(int((sys.argv[1:] or ["1"])[0]))
