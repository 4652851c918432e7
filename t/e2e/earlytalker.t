#!/usr/bin/python3
"""Early talkers on real sockets: caught at the banner and behind DATA, on 25, 587 and 465; nobody else is, or waits."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from house import House
from smtp import Smtp, mail_text

WAIT = 2.0  # what a client is given; nobody who talks early is waited for so long
SLOW = 3.0  # where it is seen that somebody does not wait at all

CONFIG = f"""
profile "early" {{
    port = {{@smtp@, @cold@, @submission@, @submissions@, @xclient@, %d}}
    policies = {{"earlytalker"}}
    earlytalker {{ enabled = yes  wait = {WAIT:.0f}s }}
}}
profile "slow" {{
    port = {{@slow@}}
    policies = {{"earlytalker"}}
    earlytalker {{ enabled = yes  wait = {SLOW:.0f}s }}
}}
profile "data" {{
    port = {{@data@}}
    policies = {{"earlytalker"}}
    earlytalker {{ enabled = yes  wait = {WAIT:.0f}s  check_at = {{data}} }}
}}
"""

EXTRA = {
    "cold": {"like": "smtp", "max_use": "1"},  # a new smtpd for every client
    "slow": {"like": "smtp"},
    "data": {"like": "smtp"},
}

# Postfix's own looks at early bytes are off: what is seen here is seen by the daemon.
MAIN = {"smtpd_forbid_unauth_pipelining": "no", "smtpd_data_restrictions": "", "smtpd_discard_ehlo_keywords": "",
        "smtpd_client_connection_count_limit": "0", "smtpd_client_connection_rate_limit": "0"}


class Sources:
    """A new address for every client, so that a log line can be found by it."""

    def __init__(self):
        self.last = 0

    def next(self):
        self.last += 1
        return f"127.1.{self.last // 250}.{self.last % 250 + 1}"


class Early(Smtp):
    """A client that sends `words` so many seconds after the connect, if the banner has not come by then."""

    def __init__(self, port, words=None, after=0.0, **how):
        self.words, self.after = words, after
        self.began = time.monotonic()
        self.too_late = False
        super().__init__(port, **how)

    def read(self):
        if self.words:  # before the banner is read, in clear text or under TLS
            time.sleep(self.after)  # how this client behaves: the subject of the test
            words, self.words = self.words, None
            self.too_late = self.greeted()
            self.send(words)
        reply = super().read()
        if not hasattr(self, "banner_s"):
            self.banner_s = time.monotonic() - self.began
        return reply

    def greeted(self):
        """Whether the server has spoken meanwhile; TLS has words of its own, so it is not enough that bytes came."""
        patience = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            self.pending += self.sock.recv(1)
            return True
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            self.sock.settimeout(patience)


def early(house, service, sources, after, tries=5, **how):
    """A client that talks; again when this machine was so slow that the banner was faster."""
    port = how.pop("port", None) or house.port[service]
    for _ in range(tries):
        source = how.get("source") or sources.next()
        client = Early(port, b"EHLO early.test\r\n", after, **dict(how, source=source))
        if not client.too_late:
            return client, source
        client.close()
    raise RuntimeError(f"{service}: the banner always came before {after} s were over")


def caught(tap, house, client, source, what, starttls=False):
    tap.ok(client.greeting.code == 220, f"{what}: the banner comes", client.greeting)
    tap.reply(client.read(), 250, f"{what}: what was said early is answered")
    if starttls:
        client.starttls()
        client.ehlo("early.test")
    sender = house.sender()
    tap.reply(client.mail(sender), 550, f"{what}: refused at MAIL", "5.5.0")
    client.close()
    tap.fields(house.record_of(sender), {"client": source, "by": "earlytalker", "at": "mail", "verdict": "reject",
                                         "findings": "earlytalker:bad"}, f"{what}: log line")


def talkers(tap, house, sources):
    for after in (0, 0.3):
        for service in ("smtp", "cold", "submission"):
            # The first client of a service meets a new smtpd, the second one that has served before.
            for nth in ("first", "second"):
                client, source = early(house, service, sources, after)
                caught(tap, house, client, source, f"{service}, {after} s after the connect, {nth}",
                       starttls=service == "submission")
        client, source = early(house, "submissions", sources, after, tls=True)
        caught(tap, house, client, source, f"submissions, {after} s after the handshake")


def ipv6(tap, house, sources):
    port = house.port6
    for after in (0, 0.3):
        client, source = early(house, "ipv6", sources, after, port=port, host="::1", source="::1")
        caught(tap, house, client, source, f"IPv6, {after} s after the connect")
    with Early(port, host="::1", source="::1") as client:
        patient(tap, house, client, "::1", "IPv6")


def patient(tap, house, client, source, what):
    tap.ok(client.banner_s >= WAIT * 0.95, f"{what}: a patient client has waited", f"{client.banner_s:.3f} s")
    client.ehlo("patient.test")
    reply, sender = house.send(client)
    tap.reply(reply, 250, f"{what}: and its message is accepted")
    tap.fields(house.record_of(sender), {"client": source, "verdict": "accept", "findings": ""}, f"{what}: log line")


def patients(tap, house, sources):
    for service in ("smtp", "cold"):
        source = sources.next()
        with Early(house.port[service], source=source) as client:
            patient(tap, house, client, source, service)
    for service in ("submission", "submissions"):
        source = sources.next()
        with Early(house.port[service], source=source, tls=service == "submissions") as client:
            tap.ok(client.banner_s >= WAIT * 0.95, f"{service}: a patient client has waited",
                   f"{client.banner_s:.3f} s")
            client.ehlo("patient.test")
            if not client.tls:
                client.starttls()
                client.ehlo("patient.test")
            client.auth(house.postfix.user, house.postfix.password)
            reply, sender = house.send(client)
            tap.reply(reply, 250, f"{service}: and its message is accepted")
            tap.fields(house.record_of(sender), {"verdict": "accept", "findings": ""}, f"{service}: log line")


def forgiven(tap, house, sources):
    client, _ = early(house, "submissions", sources, 0.2, tls=True)
    with client:
        client.read()
        client.ehlo("early.test")
        tap.reply(client.auth(house.postfix.user, house.postfix.password), 235, "an early talker on 465 logs in")
        reply, sender = house.send(client)
        tap.reply(reply, 250, "who has authenticated is forgiven")
        tap.fields(house.record_of(sender), {"verdict": "accept", "auth": house.postfix.user}, "and logged so")


def best_of(measure, limit, tries=3):
    """The shortest of some tries: a busy machine makes times longer, never shorter."""
    shortest = None
    for _ in range(tries):
        seconds = measure()
        shortest = seconds if shortest is None else min(shortest, seconds)
        if shortest < limit:
            break
    return shortest


def nobody_waits(tap, house, sources):
    def local():
        with Early(house.port["slow"], source="127.0.0.9") as client:
            return client.banner_s

    def leaves():
        source = sources.next()
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", house.port["slow"]), 40, (source, 0)):
            time.sleep(0.1)
        record = house.daemon.wait_record(lambda r: r["client"] == source)
        if not record or record["findings"]:
            return SLOW * 10
        return time.monotonic() - began

    seconds = best_of(local, SLOW / 2)
    tap.ok(seconds < SLOW / 2, "a local client does not wait", f"{seconds:.3f} s of {SLOW}")
    client, _ = early(house, "slow", sources, 0)
    client.close()
    seconds = best_of(lambda: early(house, "slow", sources, 0.1)[0].banner_s, SLOW / 2)
    tap.ok(seconds < SLOW / 2, "the wait ends when the client has talked", f"{seconds:.3f} s of {SLOW}")
    seconds = best_of(leaves, SLOW / 2)
    tap.ok(seconds < SLOW / 2, "and when it has gone, and that is no finding", f"{seconds:.3f} s of {SLOW}")


def together(tap, house, sources, count):
    """So many clients at the same instant: the seconds until each had its banner."""
    banners = [None] * count
    gate = threading.Barrier(count)

    def one(i, source):
        gate.wait()
        began = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", house.port["smtp"]), 60, (source, 0)) as sock:
                if sock.recv(512).startswith(b"220"):
                    banners[i] = time.monotonic() - began
        except OSError as error:
            tap.diag(error)

    threads = [threading.Thread(target=one, args=(i, sources.next())) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    return [b for b in banners if b is not None]


def many(tap, house, sources):
    """One after the other they would take 50 waits, behind libmilter's two workers 25."""
    for _ in range(3):  # a machine that is busy elsewhere makes it longer, never shorter
        times = together(tap, house, sources, 50)
        tap.note(f"50 clients at once: {min(times, default=0):.3f} to {max(times, default=0):.3f} s")
        if len(times) != 50 or max(times) < WAIT * 5:
            break
    tap.same(len(times), 50, "50 clients at once: each has its banner")
    tap.ok(times and min(times) >= WAIT * 0.95, "each has waited", f"{min(times, default=0):.3f} s")
    tap.ok(times and max(times) < WAIT * 5, "side by side", f"the last one {max(times, default=0):.3f} s")


# ---- behind DATA ----

def tls_of(client, version):
    """STARTTLS with one version."""
    client.cmd("STARTTLS")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    client.sock = context.wrap_socket(client.sock)
    client.ehlo("data.test")


def content(sender):
    return mail_text(sender=sender, subject=sender.split("@")[0]).replace("\n", "\r\n").encode()


def to_data(house, sources, version=None):
    client = Early(house.port["data"], source=sources.next())
    client.ehlo("data.test")
    if version:
        tls_of(client, version)
    sender = house.sender()
    client.mail(sender)
    client.rcpt("bob@here.test")
    return client, sender


def early_data(tap, house, sources):
    for version in (None, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        what = f"DATA, {version.name if version else 'clear text'}"
        for _ in range(5):
            client, sender = to_data(house, sources, version)
            client.send(b"DATA\r\n")
            time.sleep(0.2)  # how this client behaves
            late = client.greeted()
            client.send(content(sender) + b".\r\n")
            if not late:
                break
            client.close()
        tap.reply(client.read(), 354, f"{what}: 354, after the content has begun")
        tap.reply(client.read(), 550, f"{what}: told at the end of the message", "5.5.0")
        client.close()
        tap.fields(house.record_of(sender), {"by": "earlytalker", "at": "message", "verdict": "reject"},
                   f"{what}: log line")


def in_order(tap, house, sources):
    """What looks the same from outside and is right."""
    for version in (None, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        tls = version.name if version else "clear text"
        client, sender = to_data(house, sources, version)
        text = content(sender)
        client.send(b"BDAT %d LAST\r\n" % len(text))
        time.sleep(0.2)  # so that the chunk lies unread when the daemon looks
        client.send(text)
        tap.reply(client.read(), 250, f"BDAT LAST, {tls}: accepted")
        client.close()
        tap.fields(house.record_of(sender), {"verdict": "accept", "findings": ""}, f"BDAT LAST, {tls}: log line")

        client, sender = to_data(house, sources, version)
        text = content(sender)
        client.send(b"BDAT %d\r\n" % (len(text) - 8))
        time.sleep(0.2)
        client.send(text[:-8])
        tap.reply(client.read(), 250, f"BDAT twice, {tls}: the first")
        client.send(b"BDAT 8 LAST\r\n" + text[-8:])
        tap.reply(client.read(), 250, f"BDAT twice, {tls}: accepted")
        client.close()
        tap.fields(house.record_of(sender), {"verdict": "accept", "findings": ""}, f"BDAT twice, {tls}: log line")

    with Early(house.port["data"], source=sources.next()) as client:
        client.ehlo("data.test")
        sender = house.sender()
        client.send(f"MAIL FROM:<{sender}>\r\nRCPT TO:<bob@here.test>\r\nDATA\r\n".encode())
        codes = [client.read().code for _ in range(3)]
        tap.same(codes, [250, 250, 354], "a pipelined group that ends in DATA")
        tap.reply(client.content(content(sender)), 250, "is in order")
        tap.fields(house.record_of(sender), {"verdict": "accept", "findings": ""}, "a pipelined group: log line")


# ---- where nothing can be seen ----

def as_somebody(house, address):
    """Seconds from XCLIENT to the new banner. The machine in the next room brings him, and is not waited for."""
    with Early(house.port["xclient"], source="127.0.0.9") as client:
        client.ehlo("proxy.test")
        began = time.monotonic()
        client.xclient(addr=address, port="40000", name="[UNAVAILABLE]")
        seconds = time.monotonic() - began
        client.ehlo("somebody.test")
        reply, sender = house.send(client)
    return seconds, reply, house.record_of(sender)


def blind(tap, house, sources):
    def said():
        return sum("earlytalker is blind" in line for line in house.daemon.log)

    tap.same(said(), 0, "so far everybody was seen")
    shortest = WAIT * 10
    for i in range(12):
        seconds, reply, record = as_somebody(house, f"203.0.113.{i + 1}")
        shortest = min(shortest, seconds)
        if i == 0:
            tap.reply(reply, 250, "a client behind a proxy: accepted")
            tap.fields(record, {"client": "203.0.113.1", "verdict": "accept", "findings": ""}, "and nothing is found")
    tap.ok(shortest < WAIT / 2, "nobody waits for what cannot be seen", f"{shortest:.3f} s")
    tap.same(said(), 1, "that nobody is seen is said once")
    house.daemon.reload()
    for i in range(6):
        as_somebody(house, f"203.0.113.{i + 20}")
    tap.same(said(), 2, "and once more after a reload")


# ---- what sme-milterctl says of it ----

class Advice:
    """Postfix's configuration, copied, so that nothing that runs changes."""

    def __init__(self, house):
        self.house = house
        self.directory = processes.Directory()
        self.conf = self.directory.file("conf")
        shutil.copytree(house.postfix.directory.file("conf"), self.conf)

    def postconf(self, *words):
        subprocess.run(["postconf", "-c", self.conf, *words], check=True, capture_output=True, timeout=60)

    def doctor(self):
        _, out, error = self.house.ctl("--json", "postfix", "doctor", "--config-dir", self.conf)
        return [(d["level"], d["service"], d["text"]) for d in json.loads(out or "[]") if d["check"] == "early"], error

    def snippet(self):
        _, out, error = self.house.ctl("postfix", "snippet", "--config-dir", self.conf)
        return " ".join(out.replace("\n# ", " ").split()) + error


def one_note(tap, advice, service, part, what):
    notes, error = advice.doctor()
    tap.ok([n[:2] for n in notes] == [("note", service)] and part in notes[0][2], f"doctor: {what}", notes, error)


def advised(tap, house, sources):
    advice = Advice(house)
    port = house.port["smtp"]
    service = f"127.0.0.1:{port}/inet"
    try:
        notes, error = advice.doctor()
        tap.ok(notes == [] and not error, "doctor: nothing to remark", notes, error)
        tap.has(advice.snippet(), "the policy earlytalker asks this machine's kernel", "snippet: what it rests on")
        advice.postconf("-P", service + "/smtpd_upstream_proxy_protocol=haproxy")
        one_note(tap, advice, service, "end at the proxy", "a proxy in front")
        advice.postconf("-PX", service + "/smtpd_upstream_proxy_protocol")
        advice.postconf("-e", "smtpd_upstream_proxy_protocol=haproxy")
        tap.has(advice.snippet(), "a proxy stands in front", "snippet: a proxy in front")
        advice.postconf("-X", "smtpd_upstream_proxy_protocol")

        advice.postconf("-M", f"{service}={service.replace('/', ' ')} n - n - 1 postscreen")
        advice.postconf("-M", "smtpd/pass=smtpd pass - - n - - smtpd")
        one_note(tap, advice, "smtpd/pass", "once more", "postscreen in front")
        tap.has(advice.snippet(), "postscreen stands in front", "snippet: postscreen in front")
        advice.postconf("-MX", "smtpd/pass")

        # A process in another network namespace stands for Postfix's master.
        other = processes.start(["unshare", "-n", "sleep", "300"], stderr=subprocess.DEVNULL)
        ours = os.readlink("/proc/self/ns/net")
        if taps.wait_for(lambda: other.poll() is not None or os.readlink(f"/proc/{other.pid}/ns/net") != ours, 20) and \
                other.poll() is None:
            advice.directory.write("queue/pid/master.pid", f"{other.pid:10d}\n")
            advice.postconf("-e", "queue_directory=" + advice.directory.file("queue"))
            one_note(tap, advice, "", "network namespace", "Postfix in a network namespace of its own")
        else:
            tap.note("no network namespace can be made here: not tested")
        processes.stop(other)
    finally:
        advice.directory.remove()


def add_ipv6(house):
    """One more service, on ::1. False when this machine has no IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
            house.port6 = processes.free_ports(1)[0]
    except OSError:
        house.port6 = 1
        return False
    with open(house.postfix.directory.file("conf/master.cf"), "a") as f:
        f.write(f"[::1]:{house.port6} inet n - n - - smtpd -o milter_macro_daemon_name=smtp\n")
    house.postfix.master.send_signal(signal.SIGHUP)
    return bool(taps.wait_for(lambda: house.port6 in processes.listening_ports(), 20))


def main(tap):
    with House(CONFIG.replace("%d", "1"), tap, EXTRA, MAIN, start=False) as house:
        has_ipv6 = add_ipv6(house)
        house.configure(CONFIG.replace("%d", str(house.port6)))
        house.daemon.start()
        sources = Sources()
        parts = [talkers, patients, forgiven, nobody_waits, many, early_data, in_order, blind, advised]
        for part in parts[:2] + ([ipv6] if has_ipv6 else []) + parts[2:]:
            tap.note(f"---- {part.__name__}")
            part(tap, house, sources)
        if not has_ipv6:
            tap.note("no ::1 here: IPv6 is not tested")


taps.run(main)
