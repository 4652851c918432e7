"""daemon.py - a private sme-milter: started, reloaded, killed and read by the tests."""
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True

import processes
from tap import build_dir, wait_for

LOG_FIELDS = ["ref", "queue_id", "profile", "client", "name", "helo", "auth", "from", "rcpt", "nrcpt", "size",
              "verdict", "by", "at", "reply", "karma", "ms", "findings"]


def unescape(text):
    """\\xHH, \\\\ and \\" back to what they stand for."""
    raw = re.sub(r'\\(?:x([0-9a-fA-F]{2})|(.))',
                 lambda m: chr(int(m.group(1), 16)) if m.group(1) else m.group(2), text)
    return raw.encode("latin-1", "replace").decode("utf-8", "backslashreplace")


def parse_line(line):
    """key=value key="quoted value" ... as a dict in the order of the line; None when it is not of that form."""
    fields, rest = {}, line.strip()
    while rest:
        match = re.match(r'([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?:\s+|$)', rest)
        if not match or match.group(1) in fields:
            return None
        value = match.group(2) if match.group(2) is not None else match.group(3)
        fields[match.group(1)] = unescape(value)
        rest = rest[match.end():]
    return fields


class Notify:
    """What systemd would be told: the datagrams at NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = path
        self.messages = []
        self.changed = threading.Condition()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                text = self.sock.recv(4096).decode("utf-8", "replace")
            except OSError:
                return
            with self.changed:
                self.messages.append(text)
                self.changed.notify_all()

    def count(self, word):
        return sum(word in m.split("\n") for m in self.messages)

    def wait(self, word, more_than, seconds):
        with self.changed:
            return self.changed.wait_for(lambda: self.count(word) > more_than, seconds)


class Daemon:
    """One running sme-milter. `config` is the text of its file without `listen`, `hostname` and `log`, given here."""

    def __init__(self, config, program=None, on_line=None):
        self.program = program or os.path.join(build_dir(), "sme-milter")
        self.directory = processes.Directory()
        self.socket = self.directory.file("m.sock")
        self.log = []      # every line of standard error, in order
        self.records = []  # those that are records of messages or connections, as dicts
        self.changed = threading.Condition()
        self.on_line = on_line
        self.process = None
        self.notify = Notify(self.directory.file("notify"))
        self.config = self.directory.file("sme-milter.conf")
        self.configure(config)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def configure(self, config):
        head = (f'listen = "unix:{self.socket}"\nlisten_group = "postfix"\nhostname = "mx.here.test"\n'
                f'state_dir = "{self.directory.path}"\nlog {{ to = stderr }}\n')
        self.directory.write("sme-milter.conf", head + config)

    def start(self, seconds=30):
        if not os.access(self.program, os.X_OK):
            raise RuntimeError(f"there is no {self.program}: build first, or say where by SME_BUILD=DIRECTORY")
        ready = self.notify.count("READY=1")
        environment = dict(os.environ, NOTIFY_SOCKET=self.notify.path)
        self.process = processes.start([self.program, "-c", self.config], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, env=environment)
        threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True).start()
        deadline = time.monotonic() + seconds
        while not self.notify.wait("READY=1", ready, 0.2):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.program} did not become ready (exit {self.process.poll()}):\n" + self.text())
        return self

    def _read(self, stream):
        for raw in stream:
            line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
            record = parse_line(line) if line.startswith("ref=") else None
            with self.changed:
                self.log.append(line)
                if record:
                    self.records.append(record)
                self.changed.notify_all()
            if self.on_line:
                self.on_line(line, record)

    def text(self, last=40):
        return "\n".join(self.log[-last:])

    def complaints(self):
        """What a sanitizer, or the daemon before it gave up, wrote."""
        words = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "panic")
        first = next((i for i, line in enumerate(self.log) if any(w in line for w in words)), None)
        return [] if first is None else self.log[first:first + 40]

    def wait_record(self, wanted, seconds=20, since=0):
        """The first record for which wanted(record) holds; None when the time is over."""
        def find():
            return next((r for r in self.records[since:] if wanted(r)), None)
        with self.changed:
            self.changed.wait_for(find, seconds)
            return find()

    def wait_line(self, part, seconds=20, since=0):
        def find():
            return next((line for line in self.log[since:] if part in line), None)
        with self.changed:
            self.changed.wait_for(find, seconds)
            return find()

    def reload(self, seconds=20):
        """HUP, and wait until the daemon says that the reload is over (well or not)."""
        ready = self.notify.count("READY=1")
        self.process.send_signal(signal.SIGHUP)
        return self.notify.wait("READY=1", ready, seconds)

    def children(self):
        return processes.children(self.process.pid)

    def kill9_child(self, seconds=20):
        """kill -9 the serving child, and wait until another one runs. The two pids; None for what there was not."""
        old = self.children()
        if not old:
            return None, None
        os.kill(old[0], signal.SIGKILL)
        new = wait_for(lambda: [c for c in self.children() if c not in old], seconds)
        return old[0], new[0] if new else None

    def stop(self, seconds=20):
        """TERM; the exit status, or None when it had to be killed."""
        if not self.process:
            return None
        obeyed = processes.stop(self.process, seconds)
        return self.process.returncode if obeyed else None

    def close(self):
        self.stop()
        self.notify.sock.close()
        self.directory.remove()
