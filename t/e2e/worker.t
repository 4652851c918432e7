#!/usr/bin/python3
"""virus { engine = libclamav } in the worker, with signatures of this test, behind a real Postfix: found in every
wrapping, at once, while signatures are loaded again, while jobs and servers are killed; no file, no process is left."""
import io
import os
import signal
import sys
import threading
import time
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import base64

import processes
import tap as taps
from house import House

# In two halves, so that no scanner of this machine takes this file for what it tests.
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EI" + "CAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
LATER = "a signature that comes later"
CONFIG = """
virus {{ enabled = yes  engine = libclamav  database = "{database}"  timeout = 30s }}
profile "accept" {{ port = {{@accept@}}  policies = {{"virus"}}  virus {{ on_error = accept  encrypted = reject }} }}
profile "none"   {{ port = {{@none@}}    policies = {{"virus"}}  virus {{ database = "{empty}" }} }}
profile "all"    {{ port = {{@smtp@}}    policies = {{"virus"}} }}
"""
EXTRA = {name: {"like": "smtp"} for name in ("accept", "none")}
KILLS = 100


def hexed(text):
    return text.encode().hex()


def zipped(data, times=1):
    for _ in range(times):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("inside.bin", data)
        data = out.getvalue()
    return data


def encrypted_zip():
    """A zip whose one member says that it is encrypted."""
    data = bytearray(zipped(b"secret " * 20))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


def bomb(megabytes, behind=b""):
    """A small zip of very many zeros, and something behind them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z, z.open("zeros", "w") as f:
        for _ in range(megabytes):
            f.write(bytes(1 << 20))
        f.write(behind)
    return out.getvalue()


def attached(data, name="x.bin"):
    text = base64.encodebytes(data).decode().replace("\n", "\r\n")
    return ("--b\r\nContent-Type: text/plain\r\n\r\nsee there\r\n--b\r\nContent-Type: application/octet-stream; "
            f'name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}--b--\r\n')


class Mail:
    def __init__(self, tap, house):
        self.tap, self.house, self.lock = tap, house, threading.Lock()

    def send(self, service, body, mixed=False):
        with self.lock:
            sender = self.house.sender()
        head = (f"From: {sender}\r\nTo: bob@here.test\r\nSubject: {self.house.subject_of(sender)}\r\n"
                f"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <{sender}>\r\nMIME-Version: 1.0\r\n")
        if mixed:
            head += 'Content-Type: multipart/mixed; boundary="b"\r\n'
        with self.house.client(service) as client:
            reply = client.message(sender, ["bob@here.test"], head + "\r\n" + body)
            client.quit()
        return reply

    def refused(self, what, body, part, service="smtp", code=550, mixed=False):
        self.tap.reply(self.send(service, body, mixed), code, f"{what}: {code}", part)

    def passes(self, what, body, service="smtp", mixed=False):
        self.tap.reply(self.send(service, body, mixed), 250, what + ": 250")


def servers(house):
    """The worker's servers, which are children of the serving process."""
    return [w for child in house.daemon.children() for w in processes.children(child)]


def descriptors(house):
    return sum(len(os.listdir(f"/proc/{child}/fd")) for child in house.daemon.children())


def found(tap, mail):
    eicar = EICAR.encode()
    mail.refused("EICAR as text", EICAR + "\r\n", "Virus found: Test.Eicar.UNOFFICIAL")
    mail.refused("EICAR in base64", attached(eicar), "Virus found: Test.Eicar", mixed=True)
    mail.refused("EICAR in a zip", attached(zipped(eicar), "x.zip"), "Virus found: Test.Eicar", mixed=True)
    mail.refused("EICAR in 5 zips", attached(zipped(eicar, 5), "x.zip"), "Virus found: Test.Eicar", mixed=True)
    mail.passes("clean mail", "hello\r\n")
    mail.passes("the same again", "hello\r\n")
    mail.passes("a clean zip", attached(zipped(b"nothing"), "x.zip"), mixed=True)
    mail.refused("EICAR in 25 zips is too deep to be looked at", attached(zipped(eicar, 25), "x.zip"),
                 "the virus scanner could not be asked", code=451, mixed=True)
    mail.passes("the same with on_error = accept", attached(zipped(eicar, 25), "x.zip"), "accept", mixed=True)
    mail.passes("an encrypted zip", attached(encrypted_zip(), "x.zip"), mixed=True)
    mail.refused("an encrypted zip with encrypted = reject", attached(encrypted_zip(), "x.zip"),
                 "encrypted content is not accepted here", "accept", mixed=True)
    mail.refused("EICAR beside an encrypted zip", attached(encrypted_zip(), "x.zip")[:-7] + attached(eicar),
                 "Virus found: Test.Eicar", mixed=True)
    mail.refused("EICAR in 110 MB of zeros", attached(bomb(110, eicar)), "Virus found: Test.Eicar", mixed=True)
    packed, began = attached(zipped(bomb(450))), time.monotonic()
    mail.refused("a zip bomb: what is not looked at does not pass", packed, "the virus scanner could not be asked",
                 code=451, mixed=True)
    mail.passes("a zip bomb with on_error = accept", packed, "accept", mixed=True)
    tap.ok(time.monotonic() - began < 60, f"both in {time.monotonic() - began:.1f} s, {len(packed)} bytes each")
    mail.refused("no signatures at all: not clean", "hello\r\n", "the virus scanner could not be asked", "none",
                 code=451)
    tap.ok(mail.house.daemon.wait_line("scan: no worker: "), "the log says why")


def many(tap, mail, count=30):
    replies = [None] * count

    def one(i):
        replies[i] = mail.send("smtp", f"number {i} {EICAR if i % 2 else ''}\r\n").code

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    began = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    tap.same(replies, [250, 550] * (count // 2), f"{count} at once ({time.monotonic() - began:.1f} s)")


class Stream:
    """Messages all the time, one after the other; the codes they got."""

    def __init__(self, mail, body, count=2):
        self.codes, self.stop = [], threading.Event()

        def run():
            number = 0
            while not self.stop.is_set():
                number += 1
                self.codes.append(mail.send("smtp", f"{body} {number} {threading.get_ident()}\r\n").code)

        self.threads = [threading.Thread(target=run) for _ in range(count)]
        for t in self.threads:
            t.start()

    def more(self, count):
        wanted = len(self.codes) + count
        return taps.wait_for(lambda: len(self.codes) >= wanted, 60)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(60)
        return sorted(set(self.codes))


def reloads(tap, mail, directory):
    """New signatures while mail flows: there is no moment without."""
    mail.passes("what will be a virus", LATER + "\r\n")
    old = servers(mail.house)
    virus, clean = Stream(mail, EICAR), Stream(mail, "hello")
    directory.write("db/later.ndb", f"Test.Later:0:*:{hexed(LATER)}\n")
    mail.house.daemon.reload()
    tap.ok(taps.wait_for(lambda: mail.send("smtp", LATER + "\r\n").code == 550, 30), "new signatures are in use")
    more = virus.more(5) and clean.more(5)
    tap.same((virus.end(), clean.end(), bool(more)), ([550], [250], True), "without a gap")
    tap.ok(taps.wait_for(lambda: len(servers(mail.house)) == len(old), 20), "the old server has ended")
    directory.write("db/later.ndb", "this is no signature\n")
    mail.house.daemon.reload()
    tap.ok(mail.house.daemon.wait_line("the old one stays", 30), "broken ones are not taken")
    mail.refused("the old ones stay", LATER + "\r\n", "Test.Later")
    os.unlink(directory.file("db/later.ndb"))
    mail.house.daemon.reload()
    tap.ok(taps.wait_for(lambda: mail.send("smtp", LATER + "\r\n").code == 250, 30), "a signature that is gone")


def killed(tap, mail):
    """Servers and jobs are killed under load: no virus passes, mail flows, nothing is left over."""
    before = descriptors(mail.house)
    virus, clean = Stream(mail, EICAR), Stream(mail, "hello")
    jobs = killed_servers = 0
    deadline = time.monotonic() + 60
    while jobs < KILLS and time.monotonic() < deadline:
        for server in servers(mail.house):
            for job in processes.children(server):
                try:
                    os.kill(job, signal.SIGKILL)
                    jobs += 1
                except ProcessLookupError:
                    pass
    for _ in range(3):
        for server in servers(mail.house):
            os.kill(server, signal.SIGKILL)
            killed_servers += 1
        clean.more(3)
    flows = clean.more(8) and virus.more(8)
    viruses, others = virus.end(), clean.end()
    tap.ok(jobs >= 10 and killed_servers >= 3, f"{jobs} jobs and {killed_servers} servers were killed")
    tap.ok(set(viruses) <= {451, 550} and 550 in viruses, "no virus passes meanwhile", str(viruses))
    tap.ok(set(others) <= {250, 451} and 250 in others, "clean mail is accepted, or put off", str(others))
    tap.ok(flows, "mail flows")
    tap.ok(taps.wait_for(lambda: descriptors(mail.house) <= before, 20), "no descriptor is left over",
           f"before: {before}, now: {descriptors(mail.house)}")
    mail.refused("a virus afterwards", EICAR + " afterwards\r\n", "Virus found")
    mail.passes("clean mail afterwards", "hello afterwards\r\n")


def stopped(tap, mail):
    """A server that does nothing any more is replaced while mail waits for it."""
    old = servers(mail.house)
    for server in old:
        os.kill(server, signal.SIGSTOP)
    mail.refused("a virus while the server is stopped", EICAR + " stopped\r\n", "Virus found")
    mail.passes("clean mail afterwards", "hello stopped\r\n")
    tap.ok(mail.house.daemon.wait_line("it does nothing any more"), "the log says why there is a new server")
    tap.ok(taps.wait_for(lambda: any(not processes.is_alive(p) for p in old), 10), "the old one is gone")
    for server in old:
        if processes.is_alive(server):
            os.kill(server, signal.SIGCONT)


def left_over(pids):
    """Temporary directories of those servers."""
    left = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                left.append(f.read().split(b"\0")[2].decode())
        except (OSError, IndexError):
            pass
    return left


def main(tap):
    directory = processes.Directory()
    directory.write("db/test.ndb", f"Test.Eicar:0:*:{hexed(EICAR)}\n")
    os.mkdir(directory.file("empty"))
    try:
        config = CONFIG.format(database=directory.file("db"), empty=directory.file("empty"))
        with House(config, tap, extra=EXTRA) as house:
            mail = Mail(tap, house)
            found(tap, mail)
            many(tap, mail)
            reloads(tap, mail, directory)
            killed(tap, mail)
            stopped(tap, mail)
            last = servers(house)
            directories = left_over(last)
            tap.ok(last and all(os.path.isdir(d) for d in directories), "servers have directories")
            house.daemon.stop()
            tap.ok(taps.wait_for(lambda: not any(processes.is_alive(p) for p in last), 10), "they end with the daemon")
            tap.ok(taps.wait_for(lambda: not any(os.path.exists(d) for d in directories), 10), "and leave no directory",
                   str(directories))
            house.daemon.start()
            mail.refused("a virus after a new start", EICAR + "\r\n", "Virus found")
            last = servers(house)
            house.daemon.kill9_child()
            tap.ok(last and taps.wait_for(lambda: not any(processes.is_alive(p) for p in last), 20),
                   "the servers of a killed serving process end too")
            mail.refused("a virus after the serving process was killed", EICAR + " killed\r\n", "Virus found")
    finally:
        directory.remove()


taps.run(main)
