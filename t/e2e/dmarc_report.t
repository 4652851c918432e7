#!/usr/bin/python3
"""Aggregate reports, from rows to messages: what is listed and sent, whom it is sent to, what happens when a
destination, the DNS or this program fails in the middle, and that every report is what RFC 9990's schema wants."""
import datetime
import email
import email.policy
import gzip
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from postfix import Postfix

DAY = 86400
NS = "{urn:ietf:params:xml:ns:dmarc-2.0}"
SCHEMA = os.path.join(taps.TOP, "t", "lib", "dmarc-2.0.xsd")

# What stands in for sendmail: keeps each message with its arguments, and behaves as the recipient's name says.
SENDMAIL = """#!/bin/sh
set -e
dir={dir}
for to; do :; done
n=$(mktemp "$dir/mails/XXXXXXXX")
printf '%s\\n' "$@" > "$n.args"
cat > "$n.body"
mv "$n.body" "$n.eml"
case $to in
nobody@*) exit 67 ;;
later@*) [ -e "$dir/now" ] || exit 75 ;;
crash@*) kill -SEGV $$ ;;
kill@*) [ -e "$dir/killed" ] || {{ touch "$dir/killed"; kill -KILL $PPID; }} ;;
wait@*) touch "$dir/waiting"; n=0; while [ ! -e "$dir/go" ] && [ $n -lt 400 ]; do sleep 0.05; n=$((n + 1)); done ;;
esac
exit 0
"""

ATTACK = "</domain><x a=\"'&amp;]]>\x01\x1b\xff\xc3"


class Reports:
    """A state directory with rows in it, a zone file, and a sendmail that keeps what it gets."""

    def __init__(self, tap):
        self.tap = tap
        self.directory = processes.Directory()
        self.today = int(time.time()) // DAY * DAY
        self.yesterday = self.today - DAY
        for name in ("state", "mails"):
            os.mkdir(self.directory.file(name))
        self.config = self.directory.write("c.conf", f'hostname = "mx.here.test"\n'
                                                     f'state_dir = "{self.directory.file("state")}"\n'
                                                     f'dns {{ timeout = 2s }}\n')
        self.sendmail = self.directory.write("sendmail", SENDMAIL.format(dir=self.directory.path), 0o755)
        self.zone("")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.directory.remove()

    def zone(self, text):
        self.directory.write("zone", text)

    def add(self, *rows):
        """Rows as the daemon adds them; the usual ones where a row says nothing else. The counters."""
        text = ""
        for row in rows:
            full = {"at": self.yesterday + 3600, "ip": "192.0.2.1", "domain": "a.test", "org": "a.test", "p": "reject",
                    "rua": "mailto:reports@a.test", "from": "a.test", "mailfrom": "a.test", "rcpt": "here.test",
                    "did": "reject", "spfdomain": "a.test", "spfresult": "fail"} | row
            fields = []
            for key, values in full.items():
                for value in values if isinstance(values, list) else [values]:
                    raw = value if isinstance(value, bytes) else str(value).encode("latin-1")
                    fields.append(key + "=" + "".join(chr(b) if 0x20 <= b < 0x7f and b != 0x5c else f"\\x{b:02x}"
                                                      for b in raw))
            text += "\t".join(fields) + "\n"
        done = subprocess.run([os.path.join(taps.build_dir(), "t", "lib", "dmarc_rows"), self.directory.file("state")],
                              input=text, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"dmarc_rows: {done.stdout}{done.stderr}")
        return [int(n) for n in done.stdout.split()]

    def command(self, *words, sendmail=None):
        return [os.path.join(taps.build_dir(), "sme-milterctl"), "-c", self.config, "dmarc", "report", "--dns",
                self.directory.file("zone"), "--sendmail", sendmail or self.sendmail, *words]

    def run(self, *words, **how):
        """Exit status, standard output, standard error."""
        done = subprocess.run(self.command(*words, **how), capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def send(self, *words, **how):
        return self.run("--send", *words, **how)

    def listed(self, *words):
        code, out, err = self.run("--json", *words)
        try:
            return json.loads(out)
        except ValueError:
            self.tap.ok(False, "the list is JSON", code, out, err)
            return []

    def mails(self):
        """What sendmail got since the last time: Mail, by recipient."""
        found = []
        for name in sorted(os.listdir(self.directory.file("mails"))):
            if name.endswith(".eml"):
                path = self.directory.file("mails/" + name)
                found.append(Mail(path, path[:-4] + ".args"))
        shutil.rmtree(self.directory.file("mails"))
        os.mkdir(self.directory.file("mails"))
        return sorted(found, key=lambda m: (m.to, m.file))

    def query(self, sql):
        connection = sqlite3.connect(self.directory.file("state/dmarc.sqlite"), timeout=10)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


class Mail:
    def __init__(self, path, args):
        with open(path, "rb") as f:
            self.raw = f.read()
        with open(args) as f:
            self.args = f.read().split("\n")[:-1]
        self.message = email.message_from_bytes(self.raw, policy=email.policy.default)
        self.to = self.args[-1]
        parts = [p for p in self.message.walk() if p.get_content_type() == "application/gzip"]
        self.parts = len(parts)
        self.file = parts[0].get_filename() if parts else ""
        self.gzip = parts[0].get_content() if parts else b""
        self.xml = gzip.decompress(self.gzip) if parts else b""
        self.tree = ElementTree.fromstring(self.xml) if parts else None

    def text(self, path):
        found = self.tree.find("/".join(NS + name for name in path.split("/")))
        return None if found is None else found.text

    def records(self):
        return self.tree.findall(NS + "record")

    def valid(self):
        """Empty, or what xmllint says."""
        if not shutil.which("xmllint"):
            return ""
        done = subprocess.run(["xmllint", "--huge", "--noout", "--schema", SCHEMA, "-"], input=self.xml,
                              capture_output=True, timeout=120)
        return "" if done.returncode == 0 else done.stderr.decode("utf-8", "replace")[:2000]


def day(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d")


def one_report(tap):
    with Reports(tap) as r:
        r.add({"times": 3}, {"ip": "2001:db8::1", "mailfrom": "", "times": 2},
              {"at": r.yesterday, "from": "sub.a.test"},
              {"at": r.today - 1, "dkim": "pass", "did": "none", "sig": ["a.test/s1/pass", "b.test/s2/fail"]},
              {"at": r.today + DAY}, {"at": r.yesterday - DAY, "ip": "192.0.2.9"})
        code, out, err = r.run()
        tap.ok(code == 0 and f"{day(r.yesterday)} a.test: 7 messages in 4 records" in out,
               "what would be sent is listed", code, out, err)
        tap.has(out, f"{day(r.yesterday - DAY)} a.test: 1 message in 1 record", "with a day that was not sent")
        tap.has(out, "reports@a.test: wanted", "and where it is wanted")
        tap.same(len(r.listed()), 2, "in JSON, too")
        tap.same([x["messages"] for x in r.listed("--day", day(r.today + DAY))], [1], "a day that is named")
        before = r.query("SELECT * FROM report")
        code, out, err = r.send("-n")
        tap.ok(code == 0 and "would be sent" in out, "a dry run says what it would do", code, out, err)
        tap.same((r.mails(), r.query("SELECT * FROM report")), ([], before), "and does nothing")
        code, out, err = r.send("--day", day(r.yesterday))
        tap.ok(code == 0 and "reports@a.test: sent" in out, "one day is sent", code, out, err)
        mails = r.mails()
        tap.same([m.to for m in mails], ["reports@a.test"], "one message to one address")
        check_mail(tap, r, mails[0])
        code, out, err = r.send("--day", day(r.yesterday))
        tap.ok(code == 0 and r.mails() == [], "it is not sent again", code, out, err)
        tap.same([x["state"] for x in r.listed("--day", day(r.yesterday))], ["sent"], "the list says that it was")
        r.send()
        tap.same([m.records()[0].find(f"{NS}row/{NS}source_ip").text for m in r.mails()], ["192.0.2.9"],
                 "the day before is sent on its own")
        for words, part in ((["--day", day(r.today), "--send"], "not over"), (["--day", "2026-13-01"], "needs a day"),
                            (["--what"], "does not take")):
            code, out, err = r.run(*words)
            tap.ok(code == 64 and part in err, f"{words[-1]}: a mistake", code, out, err)


def check_mail(tap, r, m):
    tap.same(m.args, ["-i", "-f", "postmaster@mx.here.test", "--", "reports@a.test"], "sendmail's arguments")
    tap.hasnt(m.raw, b"\r", "lines end as sendmail wants them")
    tap.ok(max(len(line) for line in m.raw.split(b"\n")) < 998, "no line is too long")
    tap.same(m.valid(), "", "the XML is valid")
    rid = m.text("report_metadata/report_id")
    subject = re.fullmatch(r"Report Domain: a\.test\s+Submitter: mx\.here\.test\s+Report-ID: <(.+)>",
                           m.message["Subject"])
    tap.ok(subject and subject.group(1) == rid, "the Subject is as RFC 9990 wants it", m.message["Subject"])
    begin, end = r.yesterday, r.today - 1
    tap.ok(re.fullmatch(rf"mx\.here\.test!a\.test!{begin}!{end}!([A-Za-z0-9]+)\.xml\.gz", m.file),
           "so is the file's name", m.file)
    tap.same(m.message["From"], '"mx.here.test" <postmaster@mx.here.test>', "From")
    tap.same(m.message["Auto-Submitted"], "auto-generated", "it says that no person wrote it")
    tap.same(m.message["Message-ID"], f"<{rid}>", "Message-ID")
    tap.ok(email.utils.parsedate_to_datetime(m.message["Date"]).timestamp() > time.time() - 600, "Date")
    tap.same((m.message.get_content_type(), m.parts), ("multipart/mixed", 1), "one attachment")
    tap.same(m.gzip[4:8], b"\0\0\0\0", "whose bytes do not depend on the time")
    tap.same([m.text(x) for x in ("report_metadata/date_range/begin", "report_metadata/date_range/end")],
             [str(begin), str(end)], "the day")
    tap.same([(x.tag[len(NS):], x.text) for x in m.tree.find(NS + "policy_published")],
             [("domain", "a.test"), ("discovery_method", "treewalk"), ("p", "reject"), ("sp", "reject"),
              ("np", "reject"), ("fo", "0"), ("adkim", "r"), ("aspf", "r"), ("testing", "n")], "the policy")
    rows = {x.find(f"{NS}row/{NS}source_ip").text + " " + x.find(f"{NS}identifiers/{NS}header_from").text + " "
            + x.find(f"{NS}row/{NS}policy_evaluated/{NS}disposition").text: x.find(f"{NS}row/{NS}count").text
            for x in m.records()}
    tap.same(rows, {"192.0.2.1 a.test reject": "3", "192.0.2.1 a.test pass": "1", "192.0.2.1 sub.a.test reject": "1",
                    "2001:db8::1 a.test reject": "2"}, "every message is counted once")
    signed = [x for x in m.records() if x.find(f"{NS}auth_results/{NS}dkim") is not None]
    tap.same([[y.text for y in x] for x in signed[0].findall(f"{NS}auth_results/{NS}dkim")],
             [["a.test", "s1", "pass"], ["b.test", "s2", "fail"]], "signatures")


def policies(tap):
    with Reports(tap) as r:
        r.add({}, {"p": "quarantine", "did": "quarantine"}, {"p": "quarantine", "testing": "y", "did": "none",
              "override": "policy_test_mode"}, {"strict": "y", "psl": "y", "sp": "none"},
              {"domain": "b.test", "org": "b.test", "from": "b.test", "rua": "mailto:reports@b.test"})
        code, out, err = r.send("--domain", "A.test")
        mails = r.mails()
        tap.ok(code == 0 and len(mails) == 4, "a policy that changes makes a report each", code, out, err)
        tap.same([m.valid() for m in mails], [""] * 4, "all are valid")
        tap.same(len({m.text("report_metadata/report_id") for m in mails}), 4, "each with an id of its own")
        tap.same(len({m.file for m in mails}), 4, "and a name of its own")
        tap.same(sorted(" ".join(m.text("policy_published/" + tag) for tag in ("p", "testing", "adkim", "sp"))
                        for m in mails),
                 ["quarantine n r quarantine", "quarantine y r quarantine", "reject n r reject", "reject n s none"],
                 "each has one policy")
        tap.same([m.text("record/row/policy_evaluated/reason/type") for m in mails
                  if m.text("policy_published/testing") == "y"], ["policy_test_mode"], "with the reason where t=y held")
        r.send()
        tap.same([m.to for m in r.mails()], ["reports@b.test"], "another domain's is left for later")
        r.add({"ip": "192.0.2.77"})
        r.send()
        late = r.mails()
        tap.ok(len(late) == 1 and late[0].file not in {m.file for m in mails} and len(late[0].records()) == 1,
               "what is learned after the report was sent makes another one")


def destinations(tap):
    with Reports(tap) as r:
        out_rua = ["same", "yes", "no", "moved", "astray", "fails", "spf"]
        r.add({"rua": ",".join(["mailto:first@sub.a.test!10m", "https://a.test/", "mailto:-oX/etc/passwd@a.test"]
                               + [f"mailto:r@{n}.other.test" for n in out_rua])})
        agreements = [("yes", '"v=DMARC1;"'), ("moved", '"v=DMARC1; rua=mailto:new@moved.other.test"'),
                      ("astray", '"v=DMARC1; rua=mailto:x@victim.test"'), ("fails", "SERVFAIL"),
                      ("spf", '"v=spf1 -all"'), ("same", '"x=1"'), ("same", '"v=DMARC1"')]
        r.zone("".join(f"a.test._report._dmarc.{n}.other.test TXT {text}\n" for n, text in agreements))
        code, out, err = r.send()
        mails = r.mails()
        tap.same(sorted(m.to for m in mails),
                 ["first@sub.a.test", "new@moved.other.test", "r@same.other.test", "r@yes.other.test"],
                 "the owner's addresses, and those that agree")
        tap.same(code, 75, "one is not known: exit status 75")
        for name, said in (("no", "does not agree"), ("spf", "does not agree"), ("astray", "another host"),
                           ("moved", "another address of its own")):
            tap.ok(re.search(rf"r@{name}\.other\.test: refused \(.*{said}", out), f"{name}: {said}", out)
        tap.ok(re.search(r"r@fails\.other\.test: waiting \(.*servfail", out), "a temporary error is no refusal", out)
        tap.hasnt(out + err, "oX", "an address that looks like an option is no address")
        r.zone('a.test._report._dmarc.fails.other.test TXT "v=DMARC1;"\n')
        code, out, err = r.send()
        again = r.mails()
        tap.same((code, [m.to for m in again]), (0, ["r@fails.other.test"]), "the next run sends what was missing")
        tap.same({m.file for m in again + mails}, {mails[0].file}, "under the same name")
        tap.same({m.gzip for m in again + mails}, {mails[0].gzip}, "and it is the same file")
        tap.same(r.query("SELECT DISTINCT state FROM report"), [("sent",)], "now it is done")


def sendmails(tap):
    with Reports(tap) as r:
        r.add({"rua": "mailto:nobody@a.test,mailto:later@a.test,mailto:crash@a.test,mailto:fine@a.test"},
              {"domain": "b.test", "org": "b.test", "rua": "mailto:nobody@b.test"})
        code, out, err = r.send(sendmail="/nonexistent/sendmail")
        tap.same((code, r.query("SELECT DISTINCT state FROM report")), (69, [("collecting",)]),
                 "no sendmail: nothing begins")
        code, out, err = r.send()
        tap.same(len(r.mails()), 5, "every address is tried")
        tap.same(code, 75, "sendmail fails for some: exit status 75")
        for address, said in (("nobody@a.test", "refused"), ("later@a.test", "waiting"), ("crash@a.test", "waiting"),
                              ("fine@a.test", "sent")):
            tap.has(out, f"{address}: {said}", f"{address}: {said}")
        tap.ok(re.search(r"b\.test: 1 message in 1 record, p=reject .*: failed\n", out),
               "nobody wants it: it has failed, which is no error", out)
        r.directory.write("now", "")
        code, out, err = r.send()
        tap.same([m.to for m in r.mails()], ["crash@a.test", "later@a.test"], "only those that wait are tried again")
        tap.has(out, "later@a.test: sent", "one of them goes well")
        old = r.today - 7 * DAY
        connection = sqlite3.connect(r.directory.file("state/dmarc.sqlite"))
        connection.execute("UPDATE report SET day = ? WHERE domain = 'a.test'", (day(old),))
        connection.commit()
        connection.close()
        r.send()
        tap.same(r.query("SELECT state FROM report WHERE domain = 'a.test'"), [("sent",)], "after seven days it ends")
        r.mails()
        tap.ok(r.send()[0] == 0 and r.mails() == [], "and is left alone")


def killed(tap):
    with Reports(tap) as r:
        r.add({"rua": "mailto:a@a.test,mailto:kill@a.test,mailto:z@a.test", "times": 3, "sig": "a.test/s/pass"})
        code, out, err = r.send()
        tap.same(code, -signal.SIGKILL, "killed after sendmail took the message, before it was noted")
        first = r.mails()
        tap.same([m.to for m in first], ["a@a.test", "kill@a.test"], "it had come so far")
        tap.same([x["state"] for x in r.listed()], ["sending"], "the report is known to be on its way")
        r.add({"times": 5})
        code, out, err = r.send()
        second = [m for m in r.mails() if m.file == first[0].file]
        tap.same(code, 0, "the next run goes well")
        tap.same([m.to for m in second], ["kill@a.test", "z@a.test"], "who may have it, and who has not, get it")
        tap.same({m.file for m in first + second}, {first[0].file}, "under the name that it had")
        tap.same(len({m.text("report_metadata/report_id") for m in first + second}), 1, "with the id that it had")
        tap.same({m.gzip for m in first + second}, {first[0].gzip}, "byte for byte the same")
        tap.ok(all(m.message["Subject"] == first[0].message["Subject"] for m in second), "and the same Subject")
        total = sum(int(x.find(f"{NS}row/{NS}count").text) for x in first[0].records())
        tap.same(total, 3, "what was learned meanwhile is not in it")
        tap.same(r.query("SELECT state, count(*) FROM report GROUP BY state"), [("sent", 2)], "all is sent")


def together(tap):
    with Reports(tap) as r:
        r.add({"rua": "mailto:wait@a.test"})
        one = processes.start(r.command("--send"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            tap.ok(taps.wait_for(lambda: os.path.exists(r.directory.file("waiting")), 30), "one run is at work")
            code, out, err = r.send()
            tap.ok(code == 75 and "at work" in err, "a second one says so and goes", code, out, err)
            tap.same(r.run()[0], 0, "listing needs no lock")
            r.directory.write("go", "")
            tap.same(one.wait(30), 0, "the first one ends well")
        finally:
            r.directory.write("go", "")
            processes.stop(one)
            one.stdout.close()
        tap.same(len(r.mails()), 1, "one message was sent")


def attacks(tap):
    with Reports(tap) as r:
        word = re.sub(r"[/ \x01\x1b]", "", ATTACK)
        counters = r.add({"mailfrom": ATTACK, "rcpt": ATTACK, "override": ATTACK, "comment": ATTACK,
                          "spfdomain": ATTACK, "fo": ATTACK[:20],
                          "sig": [f"{i}{word}/s{word}/fail" for i in range(120)]},
                         {"from": ATTACK}, {"domain": ATTACK}, {"domain": "../../x"}, {"rua": "mailto:" + ATTACK},
                         {"rua": "mailto:a@a.test%0aBcc:x@y.test"}, {"rua": "mailto:$(id)@a.test"},
                         {"domain": "e.test", "rua": "mailto:`id`;x@a.test"},
                         {"domain": "a.test\nX: y", "from": "a.test"})
        tap.same(counters[:3], [1, 4, 4], "rows without a true domain or a usable address are not kept")
        code, out, err = r.send()
        mails = r.mails()
        tap.same((code, len(mails)), (0, 1), "the rest is sent")
        tap.ok(all(c >= 0x20 or c == 0x0a for c in out.encode()), "no control byte on the terminal", repr(out))
        m = mails[0]
        tap.same(m.valid(), "", "valid XML")
        tap.same(len(m.records()), 1, "of one record")
        seen = ATTACK.replace("\x01", "").replace("\x1b", "").replace("\xff\xc3", "\ufffd\ufffd")
        for path in ("identifiers/envelope_from", "identifiers/envelope_to", "auth_results/spf/domain",
                     "row/policy_evaluated/reason/comment"):
            tap.same(m.text("record/" + path), seen, f"{path} is what was there")
        tap.same(m.text("record/row/policy_evaluated/reason/type"), "other", "an unknown reason")
        tap.same(len(m.records()[0].findall(f"{NS}auth_results/{NS}dkim")), 100, "a hundred signatures at most")
        with open(r.directory.file("state/dmarc.sqlite"), "r+b") as f:
            f.seek(100)
            f.write(b"rubbish" * 2000)
        code, out, err = r.send()
        tap.ok(code in (65, 74) and out == "" and r.mails() == [], "a damaged file is not reported from", code, out,
               err)


def many(tap):
    with Reports(tap) as r:
        rows = 100000
        r.add({"vary": rows, "sig": "a.test/s1/pass", "dkim": "pass"})
        began = time.monotonic()
        code, out, err = r.send()
        took = time.monotonic() - began
        mails = r.mails()
        tap.same((code, len(mails), len(mails[0].records()) if mails else 0), (0, 1, rows),
                 f"{rows} records in one report")
        tap.ok(took < 60, f"in {took:.1f} s, {len(mails[0].raw)} bytes for sendmail")
        tap.same(mails[0].valid(), "", "valid")


def real_sendmail(tap):
    if os.geteuid() != 0 or not shutil.which("postfix"):
        return tap.note("Postfix starts as root only: its sendmail is not tested")
    with Postfix() as postfix, Reports(tap) as r:
        r.add({"times": 2})
        os.environ["MAIL_CONFIG"] = postfix.directory.file("conf")
        try:
            code, out, err = r.send(sendmail="/usr/sbin/sendmail")
        finally:
            del os.environ["MAIL_CONFIG"]
        tap.ok(code == 0 and "reports@a.test: sent" in out, "Postfix's sendmail takes a report", code, out, err)
        got = taps.wait_for(lambda: list(postfix.sink.mails), 30)
        if tap.ok(got and len(got) == 1, "and delivers it", postfix.maillog()):
            tap.same((got[0].sender, got[0].recipients), ("postmaster@mx.here.test", ["reports@a.test"]),
                     "as it was told to")
            parts = [p for p in email.message_from_bytes(got[0].content, policy=email.policy.default).walk()
                     if p.get_content_type() == "application/gzip"]
            tap.ok(b"<count>2</count>" in gzip.decompress(parts[0].get_content()), "whole")


def unit(tap):
    """The service and its timer, as systemd's own tools see them."""
    if not shutil.which("systemd-analyze"):
        return tap.note("systemd's tools are not installed")
    directory = processes.Directory()
    try:
        with open(os.path.join(taps.TOP, "systemd", "sme-milter-dmarc.service.in")) as f:
            text = f.read()
        with open(os.path.join(taps.TOP, "systemd", "sme-milter-dmarc.timer")) as f:
            timer = f.read()
        tap.ok(re.search(r"(?m)^ExecStart=@sbindir@/sme-milterctl dmarc report --send$", text), "it sends the reports")
        # verify wants the program to be there, so it judges the unit with another one.
        runnable = re.sub(r"(?m)^ExecStart=.*", "ExecStart=" + shutil.which("true"), text)
        paths = [directory.write("sme-milter-dmarc.service", runnable),
                 directory.write("sme-milter-dmarc.timer", timer)]
        done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, timeout=60)
        tap.same((done.returncode, done.stdout + done.stderr), (0, ""), "systemd-analyze verify is silent")
        settings = dict(re.findall(r"(?m)^(\w+)=(.*)$", text))
        forbidden = [key for key in settings if re.match(
            "NoNewPrivileges|SystemCall|Restrict|PrivateDevices|ProtectKernel|ProtectClock|ProtectHostname"
            "|LockPersonality|MemoryDenyWriteExecute|DynamicUser", key)]
        tap.same(forbidden, [], "nothing takes postdrop's set-group-ID bit away")
        tap.same((settings["User"], settings["ProtectSystem"]), ("sme-milter", "strict"), "it is no root")
        tap.has(timer, "UTC", "the timer knows what a day is")
    finally:
        directory.remove()


def main(tap):
    if not shutil.which("xmllint"):
        tap.note("xmllint is not installed: reports are not validated")
    for test in (one_report, policies, destinations, sendmails, killed, together, attacks, many, real_sendmail, unit):
        tap.note(test.__name__)
        test(tap)


taps.run(main, needs_postfix=False)
