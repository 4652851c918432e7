#!/usr/bin/python3
"""Scanners and name servers that take longer than Postfix has patience: it is told that the milter is still at work,
and the mail is accepted. Scanners that are deaf or die. Two scanners take as long as one. The scores of logterse."""
import os
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import dnsd
import processes
import tap as taps
from house import House
from scanners import DEAF, DIES, Clamd, Spamd

PATIENCE_S = 4  # Postfix's milter_content_timeout
SLOW_S = 7
EACH_S, BOTH_S = 0.3, 0.36

ZONE = f"""
test.uri.test          A 127.0.0.2
late.example.uri.test  A 127.0.0.2 after 20s
*.example.uri.test     A NXDOMAIN
"""
CONFIG = """
local_networks = {{"127.0.0.9/32"}}
loadcheck {{ max_load = 1000 }}
dns {{ servers = {{"{address}"}}  timeout = 10s }}
virus {{ enabled = yes  socket = "{clamd}"  timeout = 30s }}
spamassassin {{ enabled = yes  server = "{spamd}"  timeout = 30s  reject_at = 10 }}
uribl {{ enabled = yes  zones = {{"uri.test:2"}} }}
profile "short"  {{ port = {{@short@}}   policies = {{"virus", "spamassassin"}}  unsure = tempfail
                    virus {{ timeout = 2s }} spamassassin {{ timeout = 2s  size_limit = 9000000 }} }}
profile "easy"   {{ port = {{@easy@}}    policies = {{"virus", "spamassassin"}}
                    virus {{ timeout = 2s  on_error = accept }} spamassassin {{ timeout = 2s  size_limit = 9000000 }} }}
profile "worker" {{ port = {{@worker@}}  policies = {{"virus"}}
                    virus {{ engine = libclamav  database = "{database}" }} }}
profile "links"  {{ port = {{@links@}}   policies = {{"uribl"}} }}
profile "both"   {{ port = {{@smtp@}}    policies = {{"virus", "spamassassin"}} }}
"""
EXTRA = {name: {"like": "smtp"} for name in ("worker", "links", "short", "easy")}


class ScanHouse(House):
    def configure(self, template):
        """With a name server, which the usual one has not."""
        self.daemon.configure(re.sub(r"@(\w+)@", lambda m: str(self.port[m.group(1)]), template))


def timed(house, service, body):
    """The reply, the seconds from the end of the message to it, the sender."""
    sender = house.sender()
    text = (f"From: {sender}\r\nTo: bob@here.test\r\nSubject: {house.subject_of(sender)}\r\n"
            f"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <{sender}>\r\n\r\n{body}\r\n")
    with house.client(service) as client:
        client.mail(sender)
        client.rcpt("bob@here.test")
        client.cmd("DATA")
        began = time.monotonic()
        reply = client.content(text)
        took = time.monotonic() - began
        client.quit()
    return reply, took, sender


def patience(tap, house, clamd, spamd):
    for name, service in (("clamd", clamd), ("spamd", spamd)):
        service.delay = SLOW_S
        reply, took, sender = timed(house, "smtp", "hello")
        service.delay = 0
        tap.reply(reply, 250, f"{name} takes {SLOW_S} s, Postfix has patience for {PATIENCE_S} s: 250")
        tap.ok(took >= SLOW_S, f"and it was waited for ({took:.1f} s)")
        mails = house.sink.subject(house.subject_of(sender)) if reply.code == 250 else []
        tap.same([m.header("X-Virus-Status") for m in mails], [["clean"]], "what it found is in the header")
    reply, took, _ = timed(house, "links", "see http://late.example/")
    tap.reply(reply, 250, "a list of links does not answer: 250")
    tap.ok(took > PATIENCE_S, f"and was waited for, longer than Postfix has patience ({took:.1f} s)")


def dead(tap, house, clamd, spamd):
    """A message larger than any socket's buffer, and a scanner that reads nothing of it, or dies in the middle."""
    large = ("x" * 76 + "\r\n") * 60000
    for name, service in (("clamd", clamd), ("spamd", spamd)):
        for manner in (DEAF, DIES):
            service.manner = manner
            reply, took, sender = timed(house, "short", large)
            tap.reply(reply, 451, f"{name} is {manner}: 451", "scanner could not be asked")
            tap.ok(took < PATIENCE_S, f"in time ({took:.1f} s)")
            tap.fields(house.record_of(sender), {"karma": "0", "verdict": "tempfail"}, "and nobody is blamed")
            reply, took, _ = timed(house, "easy", large)
            tap.reply(reply, 250, f"{name} is {manner}, where that does not matter: 250")
            tap.ok(took < PATIENCE_S, f"in time ({took:.1f} s)")
        service.manner = None


def servers(house):
    return [w for child in house.daemon.children() for w in processes.children(child)]


def signalled(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def slow_job(tap, house):
    """A scan of the worker stands still for a while, while its server lives: it is waited for."""
    tap.reply(timed(house, "worker", "first")[0], 250, "libclamav: accepted")
    alive, held, done = servers(house), [], threading.Event()

    def hold():
        while not held and not done.is_set():
            jobs = [job for server in alive for job in processes.children(server)]
            held.extend(job for job in jobs if signalled(job, signal.SIGSTOP))
        done.wait(SLOW_S)
        for job in held:
            signalled(job, signal.SIGCONT)

    for number in range(10):  # a job that has ended before it can be held is none
        thread = threading.Thread(target=hold)
        thread.start()
        reply, took, _ = timed(house, "worker", f"second {number}\r\n" + ("x" * 76 + "\r\n") * 60000)
        done.set()
        thread.join()
        done.clear()
        if took >= SLOW_S - 1:
            break
        held.clear()
    tap.reply(reply, 250, f"a scan stands still for {SLOW_S} s: 250")
    tap.ok(took >= SLOW_S - 1, f"it was waited for ({took:.1f} s)")
    tap.same(servers(house), alive, "its server is still the same")


def stopped_server(tap, house):
    """The worker's server stands still: another one does the job."""
    old = servers(house)
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    reply, took, _ = timed(house, "worker", "third")
    tap.reply(reply, 250, "the server stands still: 250")
    tap.ok(took > PATIENCE_S, f"which takes longer than Postfix has patience ({took:.1f} s)")
    tap.ok(taps.wait_for(lambda: any(not processes.is_alive(p) for p in old), 10), "and it is replaced")
    for pid in old:  # that of another kind of work
        signalled(pid, signal.SIGCONT)


def together(tap, house, clamd, spamd):
    """The best of some tries: a busy machine makes any one of them late."""
    clamd.delay = spamd.delay = EACH_S
    tries = [timed(house, "smtp", f"number {i}") for i in range(8)]
    clamd.delay = spamd.delay = 0
    tap.same({r.code for r, _, _ in tries}, {250}, "8 messages with two scanners of 300 ms each")
    best = min(took for _, took, _ in tries)
    tap.ok(EACH_S <= best <= BOTH_S, f"Postfix's reply comes after {best * 1000:.0f} ms, not 600")


def scores(tap, house, spamd):
    """Column 9 of logterse."""
    path = house.daemon.config
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace("log { to = stderr }", "log { to = stderr  format = logterse }"))
    tap.ok(house.daemon.reload(), "the format is logterse now")
    for score, code, verdict in (("7.3/5.0", 250, "queued"), ("-1.2/5.0", 250, "queued"),
                                 ("12/5.0", 550, "spamassassin")):
        spamd.answer = score
        reply, _, sender = timed(house, "smtp", f"score {score}")
        tap.reply(reply, code, f"score {score}: {code}")
        line = house.daemon.wait_line(f"<{sender}>") or ""
        columns = line.split("\t")
        tap.same(columns[5:6] + columns[8:], [verdict, "score={} required={}".format(*score.split("/"))],
                 f"score {score}: in the line that SME's statistics read")


def main(tap):
    directory = processes.Directory()
    clamd, spamd = (kind(directory.file(kind.__name__)) for kind in (Clamd, Spamd))
    os.chmod(directory.file("Clamd"), 0o666)
    os.chmod(directory.file("Spamd"), 0o666)
    directory.write("db/test.ndb", "Test.Ours:0:*:" + b"a signature of this test".hex() + "\n")
    try:
        with dnsd.Server(ZONE) as server:
            config = CONFIG.format(address=f"127.0.0.1:{server.port}", clamd=directory.file("Clamd"),
                                   spamd=directory.file("Spamd"), database=directory.file("db"))
            main_cf = {"milter_content_timeout": f"{PATIENCE_S}s"}
            with ScanHouse(config, tap, extra=EXTRA, main=main_cf) as house:
                patience(tap, house, clamd, spamd)
                dead(tap, house, clamd, spamd)
                slow_job(tap, house)
                stopped_server(tap, house)
                together(tap, house, clamd, spamd)
                scores(tap, house, spamd)
    finally:
        clamd.close()
        spamd.close()
        directory.remove()


taps.run(main)
