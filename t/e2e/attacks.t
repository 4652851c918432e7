#!/usr/bin/python3
"""Attacks that need raw bytes, through a real Postfix as `postfix snippet` sets it up: smuggling, header injection,
forged results in spellings that Postfix passes on in its own way, backscatter, slow clients, floods, large messages.

What else there is, and where each is tested: t/scenario/attacks/README."""
import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps
from house import House
from smtp import Smtp, mail_text

CONFIG = """
profile "all" {
    policies = {"badmailfrom", "spf", "badrcptto", "headers", "dkim", "dmarc", "patterns", "virus", "spamassassin"}
    badmailfrom { senders = {"bad@there.test"} }
    badrcptto { recipients = {"bad@here.test"} }
    dkim { enabled = yes }
    virus { enabled = yes  socket = "/nonexistent/clamd"  on_error = accept }
    spamassassin { server = "/nonexistent/spamd" }
    patterns { enabled = yes  names = {"*.exe"} }
}
"""
# What `postfix snippet` sets for Postfix 3.7.11: see t/e2e/snippet.t.
SNIPPET = {"smtpd_forbid_bare_newline": "normalize", "smtpd_forbid_unauth_pipelining": "yes",
           "smtpd_data_restrictions": ""}
FORGED = (b"X-Injected", b"Authentication-Results: mx.here.test; spf=pass")
# What one of two servers might take for the end of a message.
ENDS = {
    "LF . LF": b"\n.\n", "LF . CR LF": b"\n.\r\n", "CR LF . LF": b"\r\n.\n", "CR . CR": b"\r.\r",
    "CR . CR LF": b"\r.\r\n",
    "CR LF . CR": b"\r\n.\r", "LF . CR": b"\n.\r", "CR . LF": b"\r.\n", "CR CR LF . CR CR LF": b"\r\r\n.\r\r\n",
    "CR LF NUL . CR LF": b"\r\n\0.\r\n", "CR LF . NUL CR LF": b"\r\n.\0\r\n", "CR LF . blank CR LF": b"\r\n. \r\n",
    "LF CR . LF CR": b"\n\r.\n\r", "CR LF .. CR LF": b"\r\n..\r\n", "U+0085 . U+0085": b"\xc2\x85.\xc2\x85",
}


def crlf(text):
    return text.replace("\n", "\r\n").encode()



def begin(client, sender):
    client.mail(sender)
    client.rcpt("bob@here.test")
    return client.cmd("DATA")


def smuggling(tap, house):
    """Whatever comes after such an end, the filter has seen as many messages as Postfix delivers."""
    for number, (name, end) in enumerate(ENDS.items()):
        outer, inner = f"outer{number}", f"inner{number}"
        with house.client("smtp") as client:
            begin(client, f"{outer}@there.test")
            hidden = (b"MAIL FROM:<%s@there.test>\r\nRCPT TO:<bob@here.test>\r\nDATA\r\n" % inner.encode()
                      + crlf(mail_text(inner)) + b".\r\n")
            client.send(crlf(mail_text(outer)) + b"end" + end + hidden)
            reply = client.read()
            after = client.cmd("NOOP")
        mails = house.sink.subject(outer) if reply.code == 250 else []
        one = len(mails) == 1 and inner.encode() in mails[0].content
        tap.ok((reply.code == 250 and one) or reply.code >= 500, f"{name}: one message, or none",
               reply, *[repr(m.content[-300:]) for m in mails])
        tap.ok(after.code in (0, 250, 421), f"{name}: and no second conversation", after)
        tap.ok(not house.sink.subject(inner, 0.05), f"{name}: nothing was smuggled")


def pipelined(tap, house):
    """A client that does not wait for the answer to its dot, or sends commands of the next message with it."""
    with house.client("smtp") as client:
        begin(client, "piped@there.test")
        client.send(crlf(mail_text("piped")) + b".\r\nMAIL FROM:<bad@there.test>\r\nRCPT TO:<bob@here.test>\r\n")
        replies = [client.read() for _ in range(3)]
    tap.ok(replies[0].code in (250, 521, 550, 554), "commands behind the dot", *replies)
    tap.ok(replies[1].code != 250 or replies[2].code != 250, "are judged like any others", *replies)


def forged_results(tap, house):
    """Postfix delivers no field that says what only we may say, however it was sent."""
    name = "Authentication-Results"
    fields = [
        f"{name}: mx.here.test; spf=pass", f"{name} : mx.here.test; spf=pass", f"{name}\t: mx.here.test; spf=pass",
        f"{name.upper()}:MX.HERE.TEST;spf=pass", f"{name}:\n mx.here.test;\n spf=pass",
        f"{name}:\n\t(c)\n mx.here.test; spf=pass",
        f"{name}: mx.here.test 1; spf=pass", f"{name}: mx.here.test/1; spf=pass", f'{name}: "mx.here.test"; spf=pass',
        f"{name}: (a(b)\\)c)mx.here.test(d); spf=pass", f"{name}: mx.here.test.; spf=pass",
        f"{name}: mx.here.test; none",
        f"{name}: mx.here.test" + " " * 5000 + "; spf=pass", f"{name}: mx.here\u3002test; spf=pass",
        f"{name}: mx.\u200bhere.test; spf=pass", f"{name}:: mx.here.test; spf=pass", f"{name}:",
    ]
    for number, field in enumerate(fields):
        subject = f"forged{number}"
        with house.client("smtp") as client:
            reply = client.message(f"{subject}@there.test", ["bob@here.test"],
                                   mail_text(subject, extra=field + "\n"))
        mails = house.sink.subject(subject) if reply.code == 250 else []
        head = re.sub(rb"\r\n[ \t]+", b" ", mails[0].content.split(b"\r\n\r\n", 1)[0]) if mails else b""
        ours = [line for line in head.split(b"\r\n") if re.match(rb"(?i)authentication-results[ \t]*:", line)]
        forged = [line for line in ours if b"spf=pass" in line and b"mx" in line]
        good = not forged and len(ours) <= 1 + (field == f"{name}:")
        tap.ok(reply.code >= 500 or (mails and good), f"forged: {field[:60]!a}", reply, *ours)


def injected(tap, house):
    """CR, NUL and 8-bit bytes in header and envelope make no new field, and no line of the log."""
    bodies = {
        "a CR in a field": b"X-A: b\rAuthentication-Results: mx.here.test; spf=pass\r\n",
        "a CR LF coded in a word": b"Subject: =?utf-8?Q?a=0D=0AX-Injected:_yes?=\r\n",
        "a NUL in a field": b"X-A: b\0\r\n", "a NUL in a field's name": b"X-\0A: b\r\n",
        "8-bit in a field's name": b"X-\xff: b\r\n", "a field without a name": b": b\r\n",
        "a line that is no field": b"no field at all\r\nX-Behind: yes\r\n", "escapes": b"X-A: \x1b]0;owned\x07\r\n",
        "a line end of another alphabet": b"X-A: b\xe2\x80\xa8X-Injected: yes\r\n",
        "a fold of blanks only": b"X-A: b\r\n   \r\nX-B: c\r\n",
    }
    for number, (what, field) in enumerate(bodies.items()):
        subject = f"injected{number}"
        with house.client("smtp") as client:
            begin(client, f"{subject}@there.test")
            client.send(crlf(f"From: a@there.test\nTo: bob@here.test\nX-Mark: {subject}\n"
                             "Date: Thu, 01 Feb 2024 12:00:00 +0000\nMessage-ID: <1@there.test>\n") + field
                        + b"\r\nbody\r\n.\r\n")
            reply = client.read()
        mails = house.sink.wait(lambda m: subject.encode() in m.content) if reply.code == 250 else []
        head = mails[0].content.split(b"\r\n\r\n", 1)[0].split(b"\r\n") if mails else []
        wrong = [line for line in head if line.startswith(FORGED)]
        tap.ok(reply.code >= 500 or (mails and not wrong), f"injection: {what}", reply, *wrong)
        tap.ok(house.record_of(f"{subject}@there.test"), f"injection: {what}: one line in the log")
    for what, path in (("CR", b'<"a\rX-Injected: yes"@there.test>'), ("NUL", b"<a\0b@there.test>"),
                       ("escape", b"<\x1b[31m@there.test>"), ("two addresses", b"<a@b.test><c@d.test>"),
                       ("a source route", b"<@x.test,@y.test:bad@there.test>")):
        with house.client("smtp") as client:
            reply = client.cmd(b"MAIL FROM:" + path)
            second = client.rcpt("bob@here.test")
        tap.ok(reply.code in (250, 0, 421) or reply.code >= 500, f"envelope: {what}", reply)
        if what == "a source route":
            tap.ok(reply.code >= 500 or second.code >= 500, "a source route does not get past a list", reply, second)


def backscatter(tap, house):
    """A refusal is told to the client, at every step; nobody who is named as the sender gets a bounce."""
    before = house.sink.wait_count(0, 0)
    with house.client("smtp") as client:
        tap.reply(client.message("bad@there.test", ["bob@here.test"], mail_text("back1")), 550, "refused at MAIL")
    with house.client("smtp") as client:
        tap.reply(client.message("victim@elsewhere.test", ["bad@here.test"], mail_text("back2")), 550,
                  "refused at RCPT")
    with house.client("smtp") as client:
        reply = client.message("victim@elsewhere.test", ["bob@here.test", "bob@also-here.test"],
                               mail_text("back3", extra="Content-Disposition: attachment; filename=a.exe\n"))
        tap.reply(reply, 550, "refused at the end of the message")
    with house.client("smtp") as client:
        reply = client.message("victim@elsewhere.test", ["bob@here.test"],
                               mail_text("back4", sender="a@b.test, c@d.test"))
        tap.reply(reply, 550, "two authors")
    tap.ok(house.postfix.wait_empty(10), "nothing waits in the queue", house.postfix.queue())
    bounces = [m for m in house.sink.mails[before:] if m.sender == "" or "victim" in " ".join(m.recipients)]
    tap.ok(not bounces, "and nobody has got a bounce", *bounces)


def slow_and_many(tap, house):
    """Clients that say a byte now and then, or nothing, or come in crowds: others are served meanwhile."""
    slow = []
    try:
        for n in range(40):
            client = Smtp(house.port["smtp"])
            client.ehlo()
            if n % 2:
                begin(client, f"slow{n}@there.test")
                client.send(b"From: a")
            slow.append(client)
        crowd = []
        for _ in range(100):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", house.port["smtp"]))
            crowd.append(s)
        for s in crowd:
            s.close()
        began = time.monotonic()
        with house.client("smtp") as client:
            reply, sender = house.send(client)
        took = time.monotonic() - began
        tap.ok(reply.code == 250 and took < 20, f"a message beside 40 slow clients and 100 that left: {took:.1f} s",
               reply)
        tap.ok(house.record_of(sender), "which the filter has seen")
        for n, client in enumerate(slow):
            if n % 2:
                client.send(b"@there.test\r\n")
        slow[1].send(b"Date: Thu, 01 Feb 2024 12:00:00 +0000\r\nSubject: slow\r\n\r\nhi\r\n.\r\n")
        tap.reply(slow[1].read(), 250, "and a slow one comes to its end")
    finally:
        for client in slow:
            client.close()


def oversized(tap, house):
    parts = {
        "20000 fields": "X-A: b\n" * 20000, "a field of 90 kB": "X-A: " + "b" * 90000 + "\n",
        "a folded field of 5000 lines": "X-A: b\n" + " c\n" * 5000, "a name of 900 bytes": "X-" + "a" * 900 + ": b\n",
        "3000 addresses in To": "Cc: " + ",\n ".join(f"u{n}@x.test" for n in range(3000)) + "\n",
        "500 signatures": "DKIM-Signature: v=1; a=rsa-sha256; d=x.test; s=s; h=from; bh=AAAA; b=AAAA\n" * 500,
        "500 results": "Authentication-Results: mx.here.test; spf=pass\n" * 500,
        "nested comments": "To: " + "(" * 5000 + ")" * 5000 + "\n",
    }
    for number, (what, extra) in enumerate(parts.items()):
        began = time.monotonic()
        with house.client("smtp") as client:
            reply = client.message(f"large{number}@there.test", ["bob@here.test"],
                                   mail_text(f"large{number}", extra=extra))
        took = time.monotonic() - began
        tap.ok(reply.code == 250 or reply.code >= 500, f"oversized: {what}: an answer", reply)
        tap.ok(took < 20, f"oversized: {what}: in {took:.1f} s")
    with house.client("smtp") as client:
        client.mail("many@there.test")
        codes = {client.rcpt(f"u{n}@here.test").code for n in range(1010)}
    tap.ok(codes <= {250, 450, 451, 452, 550}, "oversized: 1010 recipients", codes)


def log_is_clean(tap, house):
    text = house.daemon.text(100000)
    bad = [line for line in text.split("\n") if re.search(r"[^\x20-\x7e\t]", line)]
    tap.ok(text and not bad, "every line of the daemon's log is printable ASCII", *bad[:5])
    crashes = re.findall(r"[^\n]*(?:signal|crash|panic|serves again)[^\n]*", text)
    tap.ok(not crashes, "and no process has ended", *crashes)


def main(tap):
    with House(CONFIG, tap, main=SNIPPET) as house:
        for part in (smuggling, pipelined, forged_results, injected, backscatter, oversized, slow_and_many,
                     log_is_clean):
            tap.note(f"---- {part.__name__}")
            part(tap, house)


taps.run(main)
