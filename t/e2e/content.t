#!/usr/bin/python3
"""What is inside a message, through a real Postfix and with a name server: links to listed hosts, programs, names."""
import base64
import binascii
import email.message
import email.policy
import os
import subprocess
import sys
import threading
import time
from email.mime.text import MIMEText

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import dnsd
import processes
import tap as taps
import tnef
from house import House

ZONE = """
test.uri.test          A 127.0.0.8
evil.example.uri.test  A 127.0.0.8
slow.example.uri.test  A 127.0.0.8 after 600ms
*.example.uri.test     A NXDOMAIN
"""
CONFIG = """
local_networks = {{"127.0.0.9/32"}}
dns {{ servers = {{"{address}"}}  timeout = 2s }}
profile "all" {{
    policies = {{"uribl", "patterns"}}
    uribl {{ enabled = yes  zones = {{"uri.test:8-16-64-128"}}  allow = {{"friend.example"}} }}
    patterns {{
        enabled = yes
        signatures = {{"exe TVqQAAMAA", "exe TVpQAAIAA", "rar 52617221"}}
        names = {{"*.exe", "*.pdf.*", "*.doc.*"}}
    }}
}}
"""
# The beginning of a Windows program.
PROGRAM = bytes.fromhex("4d5a90000300000004000000ffff0000b8000000000000004000000000000000") + b"\0" * 400


class ContentHouse(House):
    def configure(self, template):
        """With a name server, which the usual one has not."""
        self.daemon.configure(template)


def mail_of(house, message):
    """Send it; the reply, the daemon's line of it."""
    sender = house.sender()
    message["From"] = sender
    message["To"] = "bob@here.test"
    message["Subject"] = house.subject_of(sender)
    with house.client("smtp") as client:
        reply = client.message(sender, ["bob@here.test"], message.as_bytes(policy=email.policy.SMTP))
        client.quit()
    return reply, house.record_of(sender), house.subject_of(sender)


def attachment(name, content, subtype="octet-stream"):
    message = email.message.EmailMessage()
    message.set_content("Hello.\n")
    message.add_attachment(content, maintype="application", subtype=subtype, filename=name)
    return message


def yenc(data):
    out = b""
    for byte in data:
        c = (byte + 42) & 255
        out += bytes([61, (c + 64) & 255]) if c in (0, 9, 10, 11, 12, 13, 28, 29, 30, 32, 46, 61, 133) else bytes([c])
    return b"\n".join(out[i:i + 128] for i in range(0, len(out), 128)) + b"\n"


def html(text):
    """Text and HTML in base64."""
    message = email.message.EmailMessage()
    message.set_content("Hello.\n")
    message.add_alternative(text, subtype="html", cte="base64")
    return message


def links(tap, house):
    reply, record, _ = mail_of(house, html('<p><a href="https://www.evil.example/x">click</a></p>'))
    tap.reply(reply, 550, "a listed link in HTML in base64 is refused", "evil.example is listed by uri.test")
    tap.fields(record, {"verdict": "reject", "by": "uribl", "at": "message", "findings": "uribl:bad"}, "its log line")
    reply, record, subject = mail_of(house, html('<a href="https://www.friend.example/x">click</a>'))
    tap.reply(reply, 250, "an allowed one passes")
    tap.ok(house.sink.subject(subject), "and is delivered")
    reply, record, _ = mail_of(house, html('<a href="https://good.example/x">click</a> http://other.example'))
    tap.reply(reply, 250, "one that is not listed passes")
    reply, record, _ = mail_of(house, html('<a href="ht&#116;p://good.example&#64;e%76il.example/">click</a>'))
    tap.reply(reply, 550, "a disguised one is refused", "evil.example")
    reply, record, _ = mail_of(house, MIMEText("before www.evil.example. after\n"))
    tap.reply(reply, 550, "one in a text, without a scheme", "evil.example")
    many = "".join(f'<a href="http://slow.example/{i}">x</a> <a href="http://h{i}.example/">x</a>' for i in range(30))
    began = time.monotonic()
    reply, record, _ = mail_of(house, html(many))
    took = time.monotonic() - began
    tap.reply(reply, 550, "one slow among thirty others", "slow.example")
    tap.ok(took < 0.6 * 10, f"all are asked together ({took:.2f} s)")


def programs(tap, house):
    reply, record, _ = mail_of(house, attachment("setup.dat", PROGRAM))
    tap.reply(reply, 550, "a program in base64 is refused by SME's entry", "type exe")
    tap.fields(record, {"verdict": "reject", "by": "patterns", "at": "message"}, "its log line")
    inner = attachment("setup.dat", PROGRAM)
    outer = email.message.EmailMessage()
    outer.set_content("Forwarded.\n")
    outer.add_attachment(inner)
    reply, record, _ = mail_of(house, outer)
    tap.reply(reply, 550, "in a message that is forwarded", "type exe")
    outer = email.message.EmailMessage()
    outer["Content-Type"] = "message/partial; id=x; number=1; total=1"
    outer.set_payload(attachment("setup.dat", PROGRAM).as_string())
    reply, record, _ = mail_of(house, outer)
    tap.reply(reply, 550, "in a message that says to be a piece of one", "type exe")
    reply, record, _ = mail_of(house, attachment("a.rar", b"Rar!\x1a\x07\x00", "x-rar"))
    tap.reply(reply, 550, "a signature in hex", "type rar")
    reply, record, subject = mail_of(house, attachment("a.txt", b"This text tells of TVqQAAMAA.\nTVqQAAMAAAAEAAAA\n"))
    tap.reply(reply, 250, "a text that only tells of one passes")
    tap.ok(house.sink.subject(subject), "and is delivered")
    packed = tnef.winmail(tnef.attachment("notes.txt", b"hello"), tnef.attachment("SETUP.DAT", PROGRAM, "setup.dat"))
    reply, record, _ = mail_of(house, attachment("winmail.dat", packed, "ms-tnef"))
    tap.reply(reply, 550, "a program in a winmail.dat", "type exe")
    tap.fields(record, {"by": "patterns"}, "its log line")
    inner = tnef.winmail(tnef.attachment("msg", b"", embedded=packed))
    reply, record, _ = mail_of(house, attachment("other.dat", inner))
    tap.reply(reply, 550, "in a message in a winmail.dat that has another type and name", "type exe")
    reply, record, subject = mail_of(house, attachment("winmail.dat", packed[:packed.index(PROGRAM)], "ms-tnef"))
    tap.reply(reply, 250, "one that is cut off before it passes")
    tap.ok(house.sink.subject(subject), "and is delivered")
    page = tnef.attachment("page.htm", b'<a href="http://evil.example/">x</a>')
    reply, record, _ = mail_of(house, attachment("winmail.dat", tnef.winmail(page), "ms-tnef"))
    tap.reply(reply, 550, "a link in a winmail.dat", "evil.example is listed by uri.test")
    for what, text in (("begin-base64", b"begin-base64 644 setup.dat\n" + base64.encodebytes(PROGRAM) + b"====\n"),
                       ("uuencode", b"begin 644 setup.dat\n" + b"".join(
                           binascii.b2a_uu(PROGRAM[i:i + 45]) for i in range(0, len(PROGRAM), 45)) + b"`\nend\n"),
                       ("yEnc", b"=ybegin line=128 size=%d name=setup.dat\n" % len(PROGRAM) + yenc(PROGRAM) +
                        b"=yend size=%d\n" % len(PROGRAM))):
        message = email.message.EmailMessage()
        message.set_content("See:\n\n" + text.decode("latin-1") + "\nbye\n", charset="latin-1", cte="8bit")
        reply, record, _ = mail_of(house, message)
        tap.reply(reply, 550, f"a program in a text, in {what}", "type exe")
    for name in ("invoice.pdf.js", "setup.exe", "SETUP.EXE.", "dir\\setup.exe", "a\u202etxt.exe"):
        reply, record, _ = mail_of(house, attachment(name, b"harmless"))
        tap.reply(reply, 550, f"the name {ascii(name)} is refused", "names like")
    reply, record, subject = mail_of(house, attachment("invoice.pdf", b"%PDF-1.4"))
    tap.reply(reply, 250, "a plain name passes")


class Watch:
    """The daemon's processor time, and the most memory of its own that it had."""

    def __init__(self, house):
        self.pids, self.most, self.stop = house.daemon.children(), 0, threading.Event()
        self.before = self.cpu()
        self.thread = threading.Thread(target=self.run)

    def cpu(self):
        fields = [open(f"/proc/{pid}/stat", encoding="latin-1").read().rsplit(")", 1)[1].split() for pid in self.pids]
        return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")

    def run(self):
        while not self.stop.wait(0.02):
            for pid in self.pids:
                with open(f"/proc/{pid}/status", encoding="latin-1") as f:
                    self.most = max([self.most] + [int(x.split()[1]) for x in f if x.startswith("RssAnon:")])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.took = self.cpu() - self.before


def much(tap, house):
    """What is meant to cost time or memory: the daemon's are bounded, and nothing hides behind it."""
    last = "Content-Disposition: attachment; filename=last.exe\r\n\r\nx\r\n"
    multipart = "Content-Type: multipart/mixed; boundary="
    nested = "".join(f"{multipart}n{i}.\r\n\r\n--n{i}.\r\n" for i in range(10000))
    cases = [
        ("100000 empty parts",
         multipart + "b\r\n\r\n" + "--b\r\n\r\n\r\n" * 100000 + "--b\r\n" + last + "--b--\r\n", 550),
        ("10000 parts in each other", nested + last, 550),
        ("10000 messages in each other", "Content-Type: message/rfc822\r\n\r\n" * 10000 + last, 550),
        ("20000 blocks that never end",
         "\r\n" + "begin-base64 644 x\r\n=ybegin name=y\r\nbegin 644 z\r\n" * 20000, 250),
        ("a line of 100 MB", "\r\n" + "http://good.example/ " * 5000000, 250),
        ("a line of 100 MB in HTML", "Content-Type: text/html\r\n\r\n" + "<a href=x" * 11000000, 250),
    ]
    slow = 10 if "asan" in taps.build_dir() else 1
    for what, text, code in cases:
        sender = house.sender()
        with Watch(house) as watch, house.client("smtp") as client:
            reply = client.message(sender, ["bob@here.test"], f"From: {sender}\r\nMIME-Version: 1.0\r\n" + text)
            client.quit()
        tap.reply(reply, code, what, "names like" if code == 550 else "")
        tap.ok(watch.took < 5 * slow and watch.most < 100000 * slow,
               f"{what}: in bounded time and memory ({watch.took:.2f} s, {watch.most} kB)")


def mistakes(tap):
    """What is wrong with an entry is told when the file is read."""
    directory = processes.Directory()
    wrong = [('signatures = {"TVqQAAMAA"}', "needs a name and the first bytes"),
             ('signatures = {"exe 4d5"}', "hex with a digit missing"),
             ('signatures = {"exe T!qQ"}', "neither hex nor base64"),
             ('signatures = {"exe TV"}', "less than two bytes"),
             ('names = {".exe"}', 'did you mean "*.exe"'),
             ('names = {"exe"}', 'did you mean "*.exe"'),
             ('names = {"c:/*.exe"}', "has a path")]
    try:
        for entry, part in wrong:
            directory.write("conf", 'profile "all" { policies = {"patterns"}\n'
                                    f'patterns {{ enabled = yes\n{entry} }} }}\n')
            done = subprocess.run([os.path.join(taps.build_dir(), "sme-milter"), "-t", "-c", directory.file("conf")],
                                  capture_output=True, text=True, timeout=60)
            tap.ok(done.returncode == 78 and part in done.stderr + done.stdout, f"{entry}: named", done.stdout,
                   done.stderr)
    finally:
        directory.remove()


def main(tap):
    mistakes(tap)
    if os.geteuid() != 0:
        tap.note("Postfix starts as root only: the daemon is left out")
        return
    with dnsd.Server(zone=ZONE) as server, \
            ContentHouse(CONFIG.format(address=server.address), tap, main={"message_size_limit": "0"}) as house:
        links(tap, house)
        programs(tap, house)
        much(tap, house)
        server.mode = "mute"
        reply, record, _ = mail_of(house, html('<a href="https://unheard.example/x">click</a>'))
        tap.reply(reply, 250, "a name server that says nothing: nobody is refused")
        tap.fields(record, {"verdict": "accept", "findings": "uribl:unsure"}, "and nobody knows anything")


taps.run(main, needs_postfix=False)
