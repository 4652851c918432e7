#!/usr/bin/python3
"""peer.t - broken milter peers: the daemon stays, serves the next session, and gives its memory back.

SME_MILTER names the daemon and HOSTILE the peer (t/lib/hostile); else they are looked for where things are built.
"""
import os
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib"))

import processes
import tap

DAEMON = os.environ.get("SME_MILTER") or os.path.join(tap.build_dir(), "sme-milter")
HOSTILE = os.environ.get("HOSTILE") or os.path.join(tap.build_dir(), "t/lib/hostile")
LARGE = {"oversized", "oversized-2mb", "recipients-10000", "body-100mb", "header-lines-64k", "many-headers", "words",
         "never-reads", "half-frames", "silent-500", "come-and-go"}
MARGIN_KB = 12 * 1024  # what the allocator may keep of a case that hands over up to 100 MB
LOST_KB = 2 * 1024     # and what all of them may add when they come a second time
MAY_END = "odd-macros"  # libmilter itself may crash here: then the supervisor has another child serve
# The built-in profiles, DNS and all, but nobody answers: what a stranger's bytes do to the questions counts here.
CONFIG = """listen = "unix:%s"
state_dir = "%s"
log { to = stderr }
dns {
    servers = {"127.0.0.1:%d"}
    timeout = 100ms
}
loadcheck { max_load = 10000 }
earlytalker { enabled = no }
"""


def deaf_port():
    """A UDP port of our own where every question is refused at once: the socket talks to itself only."""
    deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    deaf.bind(("127.0.0.1", 0))
    deaf.connect(deaf.getsockname())
    return deaf


def tree(pid):
    """A process and its descendants."""
    found = [pid]
    for member in found:
        found += processes.children(member)
    return found


def private_kb(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Private_") and "Huge" not in line)
        except OSError:
            pass
    return total


def is_sanitized():
    """With AddressSanitizer freed memory stays with the process, on purpose."""
    with open(DAEMON, "rb") as f:
        return b"__asan_init" in f.read()


def files(pids):
    total = 0
    for pid in pids:
        try:
            total += len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            pass
    return total


class Peer:
    def __init__(self, t, directory):
        self.t = t
        self.sanitized = is_sanitized()
        self.socket = directory.file("m.sock")
        self.log = directory.file("log")
        self.deaf = deaf_port()
        config = directory.write("sme-milter.conf", CONFIG % (self.socket, directory.path, self.deaf.getsockname()[1]))
        with open(self.log, "wb") as log:
            self.daemon = processes.start([DAEMON, "-c", config], stdout=log, stderr=log)

    def hostile(self, case, seconds=120):
        try:
            done = subprocess.run([HOSTILE, "unix:" + self.socket, case], stdin=subprocess.DEVNULL, timeout=seconds,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired as late:
            return 124, (late.stdout or b"").decode("latin-1") + f"not done within {seconds} s"
        return done.returncode, done.stdout.decode("latin-1")

    def wait_ready(self):
        return tap.wait_for(lambda: self.daemon.poll() is None and os.path.exists(self.socket)
                            and self.hostile("normal", 30)[0] == 0, 30)

    def tail(self, lines=15):
        with open(self.log, "rb") as f:
            return [line[:200] for line in f.read()[-100000:].decode("latin-1").splitlines()[-lines:]]

    def check_case(self, case, what):
        t, members = self.t, sorted(tree(self.daemon.pid))
        before = private_kb(members)
        status, output = self.hostile(case)
        t.ok(status == 0, f"{case}: {what}", f"exit status {status}", output)
        status, output = self.hostile("normal", 30)
        t.ok(status == 0, f"{case}: a plain session is served after it", output, *self.tail())
        t.ok(sorted(tree(self.daemon.pid)) == members, f"{case}: the same processes serve", *self.tail())
        if case in LARGE and not self.sanitized:
            self.check_memory(members, before + MARGIN_KB, f"{case}: its memory returns")

    def check_restart(self, case, what):
        """As check_case, where the serving process may end: another one takes over at once."""
        self.hostile(case)
        status = tap.wait_for(lambda: self.hostile("normal", 30)[0] == 0, 10)
        self.t.ok(status and self.daemon.poll() is None, f"{case}: {what}: the service stays", *self.tail())

    def check_memory(self, members, limit, name):
        self.t.ok(tap.wait_for(lambda: private_kb(members) <= limit, 25), name,
                  f"now {private_kb(members)} kB, limit {limit} kB")

    def check_again(self, members):
        """The large cases once more: memory that a first time may leave in the allocator is there to be used again."""
        before = private_kb(members)
        for case in sorted(LARGE - {"half-frames"}):
            self.hostile(case)
        self.check_memory(members, before + LOST_KB, "the second time the large cases take no more memory")

    def check_log(self):
        """Every line is printable ASCII, and there are lines: a log that is empty proves nothing."""
        with open(self.log, "rb") as f:
            lines = f.read().split(b"\n")
        bad = [line for line in lines if any(c < 0x20 or c > 0x7e for c in line)]
        self.t.ok(not bad, "the log has printable ASCII only", *[repr(line) for line in bad[:5]])
        self.t.ok(any(b"\\x1b" in line for line in lines), "the log shows a stranger's escape byte escaped",
                  f"{len(lines)} lines")


def main(t):
    if not os.access(DAEMON, os.X_OK) or not os.access(HOSTILE, os.X_OK):
        t.ok(False, f"{DAEMON} and {HOSTILE} are built")
        return
    listed = subprocess.run([HOSTILE, "list"], stdout=subprocess.PIPE, check=True).stdout.decode()
    cases = [line.split("\t") for line in listed.splitlines()]
    directory = processes.Directory()
    peer = Peer(t, directory)
    try:
        if not t.ok(peer.wait_ready(), "the daemon serves a plain session", *peer.tail()):
            return
        members = tree(peer.daemon.pid)
        open_before = files(members)
        for case, what in cases:
            if case != MAY_END:
                peer.check_case(case, what)
        if not peer.sanitized:
            peer.check_again(tree(peer.daemon.pid))
        t.ok(tap.wait_for(lambda: files(tree(peer.daemon.pid)) <= open_before, 15), "no descriptor is left open",
             f"before {open_before}, now {files(tree(peer.daemon.pid))}")
        peer.check_restart(MAY_END, dict(cases)[MAY_END])
        peer.check_log()
    finally:
        ended = processes.stop(peer.daemon, 30)
        directory.remove()
    t.ok(ended and peer.daemon.returncode == 0, "the daemon ends well", f"status {peer.daemon.returncode}")


tap.run(main, needs_postfix=False)
