#!/usr/bin/python3
"""What is inside a message, through a real Postfix and with a name server: links to listed hosts, programs, names."""
import email.message
import email.policy
import os
import subprocess
import sys
import time
from email.mime.text import MIMEText

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import dnsd
import processes
import tap as taps
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
        reply = client.message(sender, ["bob@here.test"], message.as_bytes(policy=email.policy.SMTP).decode("latin-1"))
        client.quit()
    return reply, house.record_of(sender), house.subject_of(sender)


def attachment(name, content, subtype="octet-stream"):
    message = email.message.EmailMessage()
    message.set_content("Hello.\n")
    message.add_attachment(content, maintype="application", subtype=subtype, filename=name)
    return message


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
    reply, record, _ = mail_of(house, attachment("a.rar", b"Rar!\x1a\x07\x00", "x-rar"))
    tap.reply(reply, 550, "a signature in hex", "type rar")
    reply, record, subject = mail_of(house, attachment("a.txt", b"This text tells of TVqQAAMAA.\nTVqQAAMAAAAEAAAA\n"))
    tap.reply(reply, 250, "a text that only tells of one passes")
    tap.ok(house.sink.subject(subject), "and is delivered")
    for name in ("invoice.pdf.js", "setup.exe", "SETUP.EXE.", "dir\\setup.exe", "a\u202etxt.exe"):
        reply, record, _ = mail_of(house, attachment(name, b"harmless"))
        tap.reply(reply, 550, f"the name {ascii(name)} is refused", "names like")
    reply, record, subject = mail_of(house, attachment("invoice.pdf", b"%PDF-1.4"))
    tap.reply(reply, 250, "a plain name passes")


def much(tap, house):
    text = ("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + "--b\r\n\r\n\r\n" * 100000 +
            "--b\r\nContent-Disposition: attachment; filename=last.exe\r\n\r\nx\r\n--b--\r\n")
    sender = house.sender()
    with house.client("smtp") as client:
        began = time.monotonic()
        reply = client.message(sender, ["bob@here.test"], f"From: {sender}\r\nSubject: much\r\n" + text)
        took = time.monotonic() - began
        client.quit()
    tap.reply(reply, 550, "100000 empty parts hide nothing", "names like")
    tap.ok(took < 20, f"in bounded time ({took:.2f} s)")


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
    with dnsd.Server(zone=ZONE) as server, ContentHouse(CONFIG.format(address=server.address), tap) as house:
        links(tap, house)
        programs(tap, house)
        much(tap, house)
        server.mode = "mute"
        reply, record, _ = mail_of(house, html('<a href="https://unheard.example/x">click</a>'))
        tap.reply(reply, 250, "a name server that says nothing: nobody is refused")
        tap.fields(record, {"verdict": "accept", "findings": "uribl:unsure"}, "and nobody knows anything")


taps.run(main, needs_postfix=False)
