#!/usr/bin/python3
"""Every command of sme-milterctl: it has help and a place in the man page, its JSON is JSON, a word that it does not know
ends with 64; and hostile words in the envelope, the greeting and the header harm neither terminal nor JSON nor page."""
import html.parser
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps
from house import House
from tap import build_dir

CONFIG = """
journal { subject = yes }
profile "all" {
    policies = {"loadcheck", "whitelist", "relay", "helo", "badmailfrom", "badrcptto", "headers"}
    badmailfrom { senders = {"bad@there.test"} }
    badrcptto { recipients = {"nobody@here.test"} }
    headers { reject = never  require = {"From", "X-Stamp"} }
}
"""
# A terminal's escapes (7 and 8 bit), HTML, JSON, SQL, text that runs backwards, and bytes that are no UTF-8.
HOSTILE = b"\x1b]0;x\x07\x1b[2J<script>alert(1)</script>\",\"a\":\"'; DROP TABLE message;--" \
          b"\xe2\x80\xae\xc2\x9b31m\xff\xfe&amp;\\"


def commands():
    done = subprocess.run([os.path.join(build_dir(), "sme-milterctl"), "--help"], capture_output=True, text=True,
                          timeout=60)
    return [match.group(1) for match in re.finditer(r"^  ([a-z]+(?: [a-z]+)?) +[A-Z]", done.stdout, re.M)]


def help_and_man(tap, house):
    with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../man/sme-milterctl.8.in")) as f:
        man = f.read().replace("\\-", "-")
    names = commands()
    tap.ok(len(names) > 25 and "why" in names and "shadow promote" in names, f"--help lists {len(names)} commands",
           names)
    for name in names:
        status, out, err = house.ctl(*name.split(), "--help")
        tap.ok(status == 0 and (name == "complete" or out.startswith("usage: sme-milterctl") and name in out)
               and err == "", f"{name} --help", out, err)
        tap.ok(re.search(rf'^\.SS "?{name}\b', man, re.M), f"{name}: in the man page")
        if name != "complete":  # which takes every word
            status, out, err = house.ctl(*name.split(), "--no-such-option")
            tap.ok(status == 64 and out == "" and "--help" in err, f"{name}: a word that it does not know",
                   status, out, err)


def written(house, ref):
    def there():
        try:
            db = sqlite3.connect(f"file:{house.daemon.directory.file('journal.sqlite')}?mode=ro", uri=True, timeout=10)
            try:
                return db.execute("SELECT 1 FROM message WHERE ref = ?", (ref,)).fetchall()
            finally:
                db.close()
        except sqlite3.OperationalError:
            return []
    return taps.wait_for(there, 20)


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)


def hostile(tap, house):
    """One message with HOSTILE wherever it can stand, and what all commands make of it."""
    with house.client("smtp", helo=None) as client:
        local = HOSTILE.replace(b"\\", b"").replace(b'"', b"").replace(b"\xff\xfe", b"")  # Postfix takes no other bytes
        replies = [client.cmd(b"EHLO " + local.replace(b" ", b"_").replace(b"<", b"&lt;").replace(b">", b"")),
                   client.cmd(b'MAIL FROM:<"' + local + b'"@there.test> SMTPUTF8'),
                   client.cmd(b"RCPT TO:<bob@here.test>"), client.cmd(b"DATA")]
        client.send(b"From: <a@there.test>\r\nMessage-ID: <" + HOSTILE + b"@x>\r\nSubject: " + HOSTILE +
                    b"\r\nDate: Thu, 01 Jan 2015 00:00:00 +0000\r\n\r\nsecret body\r\n.\r\n")
        replies.append(client.read())
        tap.note(" ".join(str(reply.code) for reply in replies))
        record = house.daemon.wait_record(lambda r: "DROP" in r["from"] or "DROP" in r["helo"])
    tap.ok(record, "the message is in the log", house.daemon.text(5))
    written(house, record["ref"])
    db = sqlite3.connect(house.daemon.directory.file("journal.sqlite"))
    for view in ("journal_list", "finding_list", "message"):
        for row in db.execute(f"SELECT * FROM {view}"):
            text = "".join(str(value) for value in row)
            tap.ok(not re.search(r"[\x00-\x1f\x7f-\x9f]", text), f"{view}: no control character", repr(text)) \
                if re.search(r"[\x00-\x1f\x7f-\x9f]", text) else None
    row = db.execute("SELECT subject, message_id FROM message WHERE ref = ?", (record["ref"],)).fetchone()
    tap.ok(row and "DROP TABLE" in row[0] and "\\x1B" in row[0], "the subject is kept, escaped", row)
    db.close()
    page = house.daemon.directory.file("page.html")
    for words in (("why", record["ref"]), ("why", "last"), ("why", "127.0.0.1"), ("summary",), ("shadow",),
                  ("whatif", "--set", "headers.reject=now"), ("stats",), ("top", "--count", "1"),
                  ("summary", "--html", page)):
        status, out, err = house.ctl(*words)
        tap.ok(status in (0, 1) and not re.search(r"[^\n\x20-\x7e]", out + err), f"{words[0]}: plain text",
               status, out, err)
        if "--html" in words:
            continue
        status, out, err = house.ctl("--json", *words)
        value = json.loads(out)
        tap.ok(status in (0, 1) and out.isascii() and isinstance(value, (dict, list)), f"{words[0]}: JSON", status, err)
    with open(page, encoding="utf-8") as f:
        text = f.read()
    tap.ok("script" not in Page(text).tags and not re.search("[\x00-\x08\x7f-\x9f\u202e]", text),
           "and none of it is in the page")
    return record


def json_of_all(tap, house, record):
    for words in (("config", "check"), ("config", "show"), ("policies",), ("policies", "helo"),
                  ("-n", "karma", "prune"), ("karma", "list"), ("karma", "show", "192.0.2.7"),
                  ("-n", "karma", "capture", "192.0.2.7"), ("-n", "karma", "release", "192.0.2.7"), 
                  ("-n", "shadow", "promote", "headers"), ("shadow",), ("summary",), ("stats",),
                  ("why", "last"), ("why", "nothing@nowhere.test"), ("whatif", "--set", "badmailfrom.reject=never"),
                  ("dkim", "show", "here.test"), ("dmarc", "report")):
        status, out, err = house.ctl("--json", *words)
        try:
            json.loads(out)
            fine = True
        except ValueError:
            fine = False
        tap.ok(fine or (status == 1 or status >= 64) and out == "" and err, f"{' '.join(words)}: JSON",
               status, out[:300], err)


def permissions(tap, house):
    for name in ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"):
        path = house.daemon.directory.file(name)
        if os.path.exists(path):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            tap.ok(mode & 0o007 == 0, f"{name} is nobody else's", oct(mode))


def main(tap):
    with House(CONFIG, tap) as house:
        help_and_man(tap, house)
        record = hostile(tap, house)
        json_of_all(tap, house, record)
        permissions(tap, house)


taps.run(main)
