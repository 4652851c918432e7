#!/usr/bin/python3
"""25 MB on 40 connections at the same time, all of it scanned: the daemon's own memory stays below 200 MB, with
all that it has mapped of them."""
import base64
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from daemon import Daemon
from milter import Milter, body_frames
from scanners import Clamd, Spamd

CONNECTIONS, SIZE = 40, 24_900_000
MEMORY_KB = 200_000
CONFIG = """
loadcheck {{ max_load = 1000 }}
dns {{ servers = {{"127.0.0.1:1"}} }}
virus {{ enabled = yes  socket = "{clamd}"  timeout = 120s }}
spamassassin {{ enabled = yes  server = "{spamd}"  timeout = 120s  size_limit = 30000000 }}
patterns {{ enabled = yes  names = {{"*.exe"}}  signatures = {{"exe TVqQAAMAA"}} }}
uribl {{ enabled = yes  zones = {{"uri.test:2"}} }}
profile "all" {{ policies = {{"dkim", "uribl", "patterns", "virus", "spamassassin"}} }}
"""


class Watch(threading.Thread):
    """The largest sum of what all processes of the daemon have in memory, in kB: of their own, and with what they have mapped."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon_process, self.over = daemon.process, threading.Event()
        self.own = self.all = 0

    def tree(self):
        found, at = [self.daemon_process.pid], 0
        while at < len(found):
            found += processes.children(found[at])
            at += 1
        return found

    def look(self):
        fields = [processes.status(pid) for pid in self.tree()]
        kb = {name: sum(int(f.get(name, "0 kB").split()[0]) for f in fields)
              for name in ("RssAnon", "RssShmem", "RssFile")}
        self.own = max(self.own, kb["RssAnon"] + kb["RssShmem"])
        self.all = max(self.all, sum(kb.values()))

    def run(self):
        while not self.over.wait(0.02):
            self.look()

    def stop(self):
        self.over.set()
        self.join(10)
        self.look()


def is_sanitized(program):
    """With a sanitizer memory is not what it is else, and freed memory is kept on purpose."""
    with open(program, "rb") as f:
        data = f.read()
    return b"__asan_init" in data or b"__tsan_init" in data


def mail_of(size):
    """A multipart message with a text and an attachment; the boundary is "b"."""
    text = base64.encodebytes(random.Random(1).randbytes(size * 57 // 78)).replace(b"\n", b"\r\n")
    return (b"--b\r\nContent-Type: text/plain\r\n\r\nsee http://there.example/\r\n--b\r\nContent-Type: application/pdf; "
            b"name=\"x.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + text + b"--b--\r\n")


def flood(path, frames):
    """All of them at once; how often each reply came."""
    replies = [None] * CONNECTIONS
    gate = threading.Barrier(CONNECTIONS)

    def one(i):
        fields = [("From", f"a{i}@there.test"), ("Subject", f"{i}"), ("MIME-Version", "1.0"),
                  ("Content-Type", 'multipart/mixed; boundary="b"')]
        with Milter(path) as milter:
            gate.wait(60)
            replies[i] = milter.message(f"a{i}@there.test", "bob@here.test", fields, frames)[0]

    threads = [threading.Thread(target=one, args=(i,)) for i in range(CONNECTIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(300)
    return {reply: replies.count(reply) for reply in replies}


def main(tap):
    directory = processes.Directory()
    clamd, spamd = (kind(directory.file(kind.__name__)) for kind in (Clamd, Spamd))
    clamd.delay = spamd.delay = 1
    frames = body_frames(mail_of(SIZE))
    config = CONFIG.format(clamd=directory.file("Clamd"), spamd=directory.file("Spamd"))
    try:
        with Daemon(config) as daemon:
            watch = Watch(daemon)
            watch.start()
            began = time.monotonic()
            replies = flood(daemon.socket, frames)
            took = time.monotonic() - began
            watch.stop()
            tap.same(replies, {"c": CONNECTIONS},
                     f"{CONNECTIONS} messages of {SIZE / 1e6:.1f} MB: all accepted ({took:.0f} s)")
            tap.ok(clamd.most > 1 and spamd.most > 1, f"clamd had {clamd.most} of them at once, spamd {spamd.most}")
            if not is_sanitized(daemon.program):
                tap.ok(watch.own < MEMORY_KB, f"the daemon's own memory: at most {watch.own // 1000} MB")
                tap.ok(watch.all < MEMORY_KB, f"with the pages of the files that it reads: {watch.all // 1000} MB")
            tap.ok(not daemon.complaints(), "no complaint in its log", daemon.text())
    finally:
        clamd.close()
        spamd.close()
        directory.remove()


taps.run(main)
