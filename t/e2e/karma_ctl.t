#!/usr/bin/python3
"""The karma commands on a file without a daemon, beside a daemon that answers and beside one that does not; plain
sqlite3 on the same file; files that cannot be used."""
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps

CONFIG = """
state_dir = "{state}"
profile "first" {{ port = {{587}}  policies = {{"relay"}} }}
profile "mail" {{
    policies = {{"karma", "helo"}}
    karma {{ negative = 3  penalty = 2d  max_penalty = 10d  reject = {reject} }}
}}
"""
ZONE = """
7.2.0.192.in-addr.arpa PTR mx.a.test
mx.a.test A 192.0.2.7
8.2.0.192.in-addr.arpa PTR bad\\\\name.a.test
9.2.0.192.in-addr.arpa PTR SERVFAIL
"""
DAY = 86400
KEYS = ["network", "nice", "naughty", "history", "connects", "boxed_until", "released_at", "first_seen", "last_seen",
        "last_reason"]


class House:
    """A state directory, and sme-milterctl with a configuration that names it."""

    def __init__(self):
        self.directory = processes.Directory()
        self.state = self.directory.file("state")
        os.mkdir(self.state, 0o755)
        self.database = os.path.join(self.state, "karma.sqlite")
        self.configure()

    def configure(self, reject="later"):
        self.config = self.directory.write("conf", CONFIG.format(state=self.state, reject=reject))

    def run(self, *words, text=None, **how):
        done = subprocess.run([os.path.join(taps.build_dir(), "sme-milterctl"), "-c", self.config, *words], input=text,
                              capture_output=True, text=True, timeout=60, **how)
        return done.returncode, done.stdout, done.stderr

    def karma(self, *words, **how):
        return self.run("karma", *words, **how)

    def dry(self, *words, **how):
        return self.run("-n", "karma", *words, **how)

    def sql(self, text, *values):
        db = sqlite3.connect(self.database)
        try:
            with db:
                return db.execute(text, values).fetchall()
        finally:
            db.close()

    def clear(self):
        for name in os.listdir(self.state):
            os.unlink(os.path.join(self.state, name))

    def put(self, network, nice=0, naughty=0, connects=0, until=0, first=0, last=None, reason=""):
        line = {"network": network, "nice": nice, "naughty": naughty, "connects": connects, "penalty_until": until,
                "cleared_at": 0, "first_seen": first, "last_seen": int(time.time()) if last is None else last,
                "last_reason": reason}
        status, out, err = self.karma("import", "--replace", text=json.dumps(line) + "\n")
        if status:
            raise RuntimeError(f"import: {status} {out} {err}")


class Daemon(threading.Thread):
    """Something that listens where the daemon does."""

    def __init__(self, house, answer):
        super().__init__(daemon=True)
        self.answer, self.heard = answer, []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(os.path.join(house.state, "control"))
        self.socket.listen(4)
        self.kept = []

    def run(self):
        while True:
            try:
                caller, _ = self.socket.accept()
            except OSError:
                return
            self.kept.append(caller)
            if self.answer is None:
                continue
            self.heard.append(caller.recv(100))
            for byte in self.answer:
                caller.send(bytes([byte]))
            caller.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for caller in self.kept:
            caller.close()
        self.join(10)


def nothing_yet(tap, house):
    for words in ("list",), ("list", "--naughty"), ("export",):
        status, out, err = house.karma(*words)
        tap.ok(status == 0 and not out and "nothing has been learned" in err, f"{' '.join(words)}: there is no file",
               status, out, err)
    status, out, err = house.run("--json", "karma", "list")
    tap.ok(status == 0 and json.loads(out) == [], "list --json: an empty list", out)
    status, out, _ = house.karma("show", "192.0.2.7")
    tap.ok(status == 1 and "never been seen" in out, "show: never seen, 1", status, out)
    status, out, _ = house.karma("release", "192.0.2.7")
    tap.ok(status == 0 and "never been seen" in out, "release: nothing to forget", status, out)
    status, out, _ = house.karma("prune")
    tap.ok(status == 0 and out.startswith("0 clients"), "prune: nobody", status, out)
    status, out, _ = house.dry("capture", "192.0.2.7")
    tap.ok(status == 0 and "would be" in out, "-n capture: what would be done", status, out)
    status, out, _ = house.dry("import", text="192.0.2.1 1 2 3\n")
    tap.ok(status == 0 and out.startswith("1 would be added"), "-n import: the same", status, out)
    tap.same(os.listdir(house.state), [], "none of them made a file")


def usage(tap, house):
    for words in (["show"], ["show", "mx.a.test"], ["show", "192.0.2.0/24"], ["show", "192.0.2.1", "x"], ["capture"],
                  ["capture", "192.0.2.1", "soon"], ["capture", "192.0.2.1", "0"], ["release", "1"], ["list", "--top"],
                  ["list", "--top", "0"], ["list", "--nice", "--naughty"], ["list", "x"], ["prune", "old"],
                  ["export", "x"], ["import", "a", "b"], ["import", "--replce"]):
        status, out, err = house.karma(*words)
        tap.ok(status == 64 and not out and "--help" in err, f"{' '.join(words)}: 64", status, out, err)
    for words in ["prune", "90"], ["capture", "192.0.2.1", "5"]:
        status, out, err = house.karma(*words)
        tap.ok(status == 64 and f"{words[-1]}d would be days" in err, f"{' '.join(words)}: a number needs a unit", err)
    tap.same(os.listdir(house.state), [], "none of them did anything")
    for word in "list", "show", "capture", "release", "prune", "export", "import":
        status, out, err = house.karma(word, "--help")
        tap.ok(status == 0 and f"karma {word}" in out and not err, f"{word} --help")
    status, out, err = house.karma("import", house.directory.file("nowhere"))
    tap.ok(status == 66 and "nowhere" in err, "import: no such file: 66", status, err)


def box(tap, house):
    status, out, err = house.karma("capture", "192.0.2.7")
    now = time.time()
    tap.ok(status == 0 and "for 2d" in out and not err, "capture: for the policy's penalty", status, out, err)
    tap.ok(os.path.exists(house.database), "it makes the file")
    status, out, _ = house.run("--json", "karma", "capture", "2001:db8::5", "90m")
    said = json.loads(out)
    tap.ok(status == 0 and said["network"] == "2001:db8::/64" and said["refused"] is True and not said["dry_run"],
           "an IPv6 address is its /64", out)
    rows = house.sql("SELECT hex(net), penalty_until, last_reason FROM karma ORDER BY net")
    tap.ok([row[0] for row in rows] == ["4020010DB800000000" + "00" * 8, "80" + "00" * 10 + "FFFFC0000207"] and
           abs(rows[0][1] - now - 5400) < 60 and abs(rows[1][1] - now - 2 * DAY) < 60 and
           {row[2] for row in rows} == {"captured"}, "what stands in the file", rows)
    listed = house.sql("SELECT network, history, penalty_until FROM karma_list ORDER BY network")
    tap.ok(listed[0][0] == "192.0.2.7" and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", listed[0][2] or "") and
           house.karma("show", listed[1][0])[0] == 0, "plain SQL reads the view, and we read its networks", listed)
    status, out, _ = house.karma("show", "2001:db8::ffff")
    tap.ok(status == 0 and "in it until" in out and "captured" in out and 'profile "mail"' in out,
           "show: any address of the /64", status, out)
    house.put("192.0.2.7", nice=1, naughty=3, connects=9, until=int(now) + DAY, reason="helo")
    status, out, _ = house.dry("release", "192.0.2.7")
    tap.ok(status == 0 and "would be released" in out and "3 naughty" in out, "-n release", status, out)
    tap.same(house.sql("SELECT naughty FROM karma WHERE length(net) = 17 AND substr(hex(net), 1, 2) = '80'"), [(3,)],
             "it changes nothing")
    status, out, _ = house.karma("release", "::ffff:192.0.2.7")
    tap.ok(status == 0 and out.startswith("192.0.2.7 is released"), "release", status, out)
    row = house.sql("SELECT nice, naughty, connects, penalty_until, cleared_at FROM karma WHERE hex(net) LIKE '80%'")[0]
    tap.ok(row[:4] == (1, 0, 9, 0) and abs(row[4] - now) < 60, "what stands in the file", row)
    status, out, _ = house.karma("release", "192.0.2.7")
    tap.ok(status == 0 and "is not in the penalty box" in out, "release: once more", status, out)
    status, out, _ = house.karma("release", "192.0.2.99")
    tap.ok(status == 0 and "never been seen" in out, "release: a stranger: noted, 0", status, out)
    house.configure("never")
    status, out, _ = house.dry("capture", "192.0.2.7", "1h")
    tap.ok("reject = never" in out, "capture tells when nobody is refused", out)
    house.configure()


def only_captured(tap, house):
    """Somebody who never came has no time of a visit, however one asks."""
    house.clear()
    house.karma("capture", "192.0.2.70", "1h")
    shown, listed = house.karma("show", "192.0.2.70")[1], house.karma("list")[1].splitlines()[1]
    tap.ok("last seen    -\n" in shown and re.search(r":\d\d  -  +captured$", listed), "never seen: both say so",
           shown, listed)
    one, two = (json.loads(house.run("--json", "karma", *words)[1]) for words in (["show", "192.0.2.70"], ["list"]))
    tap.ok(one["last_seen"] is two[0]["last_seen"] is one["first_seen"] is two[0]["first_seen"] is None, "--json too",
           one, two)
    tap.same(house.sql("SELECT last_seen FROM karma_list"), [(None,)], "and the view")
    status, out, _ = house.karma("prune", "1s")
    tap.ok(status == 0 and out.startswith("0 clients"), "and is not pruned", out)


def show(tap, house):
    now = int(time.time())
    for record, words in (
            (dict(nice=0, naughty=0, connects=1), ["3 more naughty connections", "boxed for 2d", "not in it\n"]),
            (dict(nice=0, naughty=1, connects=1), ["2 more naughty connections"]),
            (dict(nice=2, naughty=4, connects=8), ["history      -2: 2 nice and 4 naughty of 8 connections",
                                                   "one more naughty connection, and it is boxed for 2d"]),
            (dict(nice=0, naughty=6, connects=6), ["boxed for 6d"]),
            (dict(nice=0, naughty=60, connects=60), ["boxed for 10d"]),
            (dict(nice=0, naughty=3, connects=3, until=now + 2 * DAY - 30), ["in it until", "for another 1d 23h",
                                                                             "boxed for 2d from then"]),
            (dict(nice=0, naughty=3, connects=3, until=now + 9 * DAY), ["a naughty connection does not lengthen that"]),
            (dict(nice=0, naughty=3, connects=3, until=now - 60), ["not in it; it was until"]),
            (dict(nice=0, naughty=3, connects=3, until=now + 3650 * DAY), ["a clock was wrong", "boxed for 2d"]),
            (dict(nice=0, naughty=3, connects=3, until=now + 3650 * DAY, reason="captured"), ["for another 36"]),
            (dict(first=1767225600, last=1767225661, connects=1, reason="dn\\\\sbl\\x1b[31m"),
             ["first seen   2026-01-01 00:00:00 UTC", "last seen    2026-01-01 00:01:01 UTC",
              "last reason  dn\\\\sbl\\x1b[31m"])):
        house.put("192.0.2.50", **record)
        status, out, err = house.karma("show", "192.0.2.50")
        missing = [word for word in words if word not in out]
        tap.ok(status == 0 and not missing and not err, f"show: {words[0]}", *missing, out, err)
    status, out, _ = house.run("--json", "karma", "show", "192.0.2.50")
    said = json.loads(out)
    tap.ok(status == 0 and list(said) == KEYS + ["next"] and said["next"] == {"naughty_connections": 3,
           "boxed_for_s": 2 * DAY} and said["last_seen"] == "2026-01-01T00:01:01Z", "show --json", out)


def listing(tap, house):
    now = int(time.time())
    house.clear()
    house.put("192.0.2.7", nice=9, naughty=1, connects=12, reason="spf")
    house.put("192.0.2.8", nice=0, naughty=4, connects=4, until=now + DAY, reason="helo\\x0adnsbl")
    house.put("192.0.2.9", nice=0, naughty=2, connects=2)
    house.put("2001:db8:0:1::/64", nice=3, naughty=3, connects=7, until=now + 3650 * DAY)
    status, out, err = house.karma("list")
    lines = out.splitlines()
    tap.ok(status == 0 and not err and len(lines) == 5 and "(UTC)" in lines[0], "list: a heading and four clients",
           out, err)
    tap.same([line.split()[:5] for line in lines[1:]],
             [["2001:db8:0:1::/64", "3", "3", "0", "7"], ["192.0.2.7", "9", "1", "8", "12"],
              ["192.0.2.8", "0", "4", "-4", "4"], ["192.0.2.9", "0", "2", "-2", "2"]], "by address")
    tap.ok("helo\\x0adnsbl" in out, "what came from outside is escaped", out)
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now + DAY))
    tap.ok(until in lines[3] and str(time.gmtime(now + 3650 * DAY).tm_year) not in lines[1], "boxed until, if believed",
           *lines)

    def names(*words):
        return [one["network"] for one in json.loads(house.run("--json", "karma", "list", *words)[1])]

    tap.same(names("--naughty"), ["192.0.2.8", "192.0.2.9", "2001:db8:0:1::/64"], "--naughty")
    tap.same(names("--nice"), ["192.0.2.7"], "--nice")
    tap.same(names("--naughty", "--top", "1"), ["192.0.2.8"], "--top 1")
    tap.same(names("--top=2"), ["2001:db8:0:1::/64", "192.0.2.7"], "--top=2")
    one = json.loads(house.run("--json", "karma", "list", "--nice")[1])[0]
    tap.ok(list(one) == KEYS and one["nice"] == 9 and one["boxed_until"] is None and one["history"] == 8,
           "--json: its members", one)
    zone = house.directory.write("zone", ZONE)
    status, out, err = house.karma("list", "--dns", zone)
    tap.ok(status == 0 and "mx.a.test, spf" in out and "bad\\\\name.a.test (does not lead back), helo" in out and
           "(not known: servfail)" in out and "(no name)" in out, "--resolve", out, err)
    rows = json.loads(house.run("--json", "karma", "list", "--dns", zone)[1])
    tap.same([(row["name"], row["name_verified"]) for row in rows],
             [(None, False), ("mx.a.test", True), ("bad\\\\name.a.test", False), (None, False)], "--resolve --json")
    status, _, err = house.karma("list", "--dns", house.directory.file("nowhere"))
    tap.same(status, 66, "no zone file: 66")


def prune(tap, house):
    now = int(time.time())
    house.clear()
    for i, days in enumerate((0, 29, 31, 89, 91, 400)):
        house.put(f"192.0.2.{i}", connects=1, last=now - days * DAY)
    house.put("192.0.2.77", connects=1, last=now - 400 * DAY, until=now + DAY, reason="captured")
    status, out, _ = house.dry("prune")
    tap.ok(status == 0 and out.startswith("2 clients") and "would be" in out and "90d" in out, "-n prune", status, out)
    status, out, _ = house.karma("prune")
    tap.ok(status == 0 and out.startswith("2 clients"), "prune: 90 days", status, out)
    status, out, _ = house.run("--json", "karma", "prune", "30d")
    tap.ok(status == 0 and json.loads(out)["forgotten"] == 2, "prune 30d", status, out)
    tap.same(house.sql("SELECT network FROM karma_list ORDER BY network"),
             [("192.0.2.0",), ("192.0.2.1",), ("192.0.2.77",)], "who is in the box stays")


def exchange(tap, house):
    house.clear()
    house.karma("capture", "192.0.2.1", "400d")
    house.sql("INSERT INTO karma VALUES (x'4020010DB8000000010000000000000000', 1, 2, 3, 4, 1767225600.1234567, 5, 6,"
              " ?)", "a\n\\b\"é")
    before = house.sql("SELECT * FROM karma ORDER BY net")
    status, exported, err = house.karma("export")
    tap.ok(status == 0 and len(exported.splitlines()) == 2 and not err, "export: a line for each", exported, err)
    path = house.directory.write("exported", exported)
    house.clear()
    status, out, err = house.karma("import", path)
    tap.ok(status == 0 and out.startswith("2 added, 0 replaced, 0 already there") and not err, "import", status, out,
           err)
    tap.same(house.sql("SELECT * FROM karma ORDER BY net"), before, "nothing was lost on the way")
    tap.same(house.karma("export")[1], exported, "and exporting gives the same again")
    house.sql("UPDATE karma SET nice = 77")
    status, out, _ = house.karma("import", path)
    tap.ok(status == 0 and out.startswith("0 added, 0 replaced, 2 already there"), "again: they are there", status, out)
    tap.same(house.sql("SELECT DISTINCT nice FROM karma"), [(77,)], "and stay as they are")
    status, out, _ = house.dry("import", "--replace", path)
    tap.ok(status == 0 and "2 would be replaced" in out, "-n --replace", status, out)
    status, out, _ = house.karma("import", "--replace", "-", text=exported)
    tap.ok(status == 0 and "2 replaced" in out, "--replace, standard input", status, out)
    tap.same(house.sql("SELECT * FROM karma ORDER BY net"), before, "as they were exported")
    lines = exported.splitlines()
    text = "\n" + lines[0] + "\nno line\n" + lines[1][:40] + "\n" + "x" * 9999 + "\n" + lines[1] + "\n"
    house.clear()
    status, out, err = house.karma("import", text=text)
    tap.ok(status == 65 and not out and "nothing is imported" in err, "bad lines: 65, and nothing is imported", status,
           out, err)
    tap.ok(not os.path.exists(house.database) or not house.sql("SELECT * FROM karma"), "indeed")
    status, out, err = house.karma("import", "--skip-bad", text=text)
    tap.ok(status == 65 and "2 added" in out and "3 bad" in out, "--skip-bad: the others are read", status, out, err)
    tap.same(re.findall(r"^standard input:(\d+): ", err, re.M), ["3", "4", "5"], "each is named")
    status, out, err = house.karma("import", text="bad\n" * 1000)
    tap.ok(status == 65 and "1000 bad" in err and len(err.splitlines()) <= 102, "very many: not each", status, out)
    status, out, err = house.karma("import", text=house.run("--json", "karma", "list")[1])
    tap.ok(status == 65 and "karma export" in err, "what `list --json` prints is told apart", status, err)
    status, out, _ = house.karma("import", text="")
    tap.ok(status == 0 and out.startswith("0 added"), "an empty file", status, out)


def tool(tap, house):
    def row(ip, penalty="", naughty="", nice="", connects="", name=""):
        return f" {ip:<18}  {penalty:>24}    {naughty:>3}     {nice:>3}     {connects:>3}    {name:>30}\n"

    start = int(time.time()) - 3600
    day = time.strftime("%a %b %e %H:%M", time.gmtime(start))
    text = ("using karma db at /var/lib/qpsmtpd/karma/karma.db\n"
            "      IP Address                 Penalty        Naughty  Nice  Connects  Hostname\n" +
            row("192.0.2.1", "", "", 12, 1234, "mx.example.net") + row("192.0.2.2", day, 3, "", 5) +
            row("", "", "", "", 2) + row("0.0.0.1", "", "", "", 2) + row("192.0.2.3", "", "", "", 9) +
            "$VAR1 = {\n          'nice' => 12,\n          'connects' => 1252\n        };\n")
    house.clear()
    environment = dict(os.environ, TZ="UTC")
    status, out, err = house.karma("import", text=text, env=environment)
    tap.ok(status == 0 and out.startswith("3 added") and "2 left out" in out and "0 bad" in out, "a karma_tool listing",
           status, out, err)
    tap.same(re.findall(r"^standard input:(\d+): left out: ", err, re.M), ["5", "6"], "IPv6 in disguise is named")
    rows = house.sql("SELECT network, nice, naughty, connects FROM karma_list ORDER BY network")
    tap.same(rows, [("192.0.2.1", 12, 0, 1234), ("192.0.2.2", 0, 3, 5), ("192.0.2.3", 0, 0, 9)], "the counts")
    until = house.sql("SELECT max(penalty_until) FROM karma")[0][0]
    tap.same(until, start // 60 * 60 + 2 * DAY, "the penalty ends when the policy's penalty is over")
    status, out, _ = house.karma("prune")
    tap.ok(out.startswith("0 clients"), "who was imported is not pruned at once", out)


def told(tap, house):
    house.clear()
    for answer, status_wanted, part in ((b"ok\n", 0, ""), (b"ok, but later\n", 0, "ok, but later"),
                                        (b"error: out of \x1border\n", 75, "\\x1border"), (b"", 75, "not answer"),
                                        (None, 75, "not answer")):
        with Daemon(house, answer) as daemon:
            status, out, err = house.karma("capture", "192.0.2.7")
            tap.ok(status == status_wanted and "is in the penalty box" in out and (part in err if part else not err),
                   f"a daemon that says {answer!r}: {status_wanted}", status, out, err)
            if answer == b"ok\n":
                house.karma("release", "192.0.2.7")
                house.karma("import", "--replace", text="192.0.2.7 1 2 3\n")
                house.dry("capture", "192.0.2.7")
                house.karma("show", "192.0.2.7")
                tap.same(daemon.heard, [b"karma\n"] * 8, "it is told before each command and after each change")
        if answer != b"error: out of \x1border\n":
            os.unlink(os.path.join(house.state, "control"))
        else:  # a socket that nobody listens at any more
            status, out, err = house.karma("release", "192.0.2.7")
            tap.ok(status == 0 and not err, "a daemon that has gone", status, err)
            os.unlink(os.path.join(house.state, "control"))


def trouble(tap, house):
    house.clear()
    house.karma("capture", "192.0.2.7")
    db = sqlite3.connect(house.database, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    status, out, _ = house.karma("list")
    tap.ok(status == 0 and "192.0.2.7" in out, "somebody writes: it can be read", status, out)
    status, out, err = house.karma("capture", "192.0.2.8")
    tap.ok(status == 75 and "locked" in err and not out, "and locks it for long: 75", status, out, err)
    db.execute("ROLLBACK")
    db.execute("PRAGMA user_version = 99")
    db.close()
    status, out, err = house.karma("list")
    tap.ok(status in (69, 78) and "99" in err and house.database in err, "a newer version, by its number", status, err)
    house.clear()
    foreign = sqlite3.connect(house.database)
    foreign.execute("CREATE TABLE other (x)")
    foreign.close()
    status, out, err = house.karma("capture", "192.0.2.7")
    tap.ok(status == 65 and house.database in err, "somebody else's database: 65", status, err)
    with open(house.database, "w") as f:
        f.write("this is no database at all " * 100)
    for words in ("list",), ("capture", "192.0.2.7"), ("export",), ("show", "192.0.2.7"):
        status, out, err = house.karma(*words)
        tap.ok(status == 65 and house.database in err and not out, f"{words[0]}: no database: 65", status, out, err)
    house.clear()
    os.rmdir(house.state)
    status, out, err = house.karma("capture", "192.0.2.7")
    tap.ok(status in (66, 73) and house.database in err, "no directory", status, err)
    os.mkdir(house.state, 0o755)


def permission(tap, house):
    if os.geteuid() != 0:
        return
    house.clear()
    house.karma("capture", "192.0.2.7")
    os.chmod(house.database, 0o600)
    for words in ("list",), ("release", "192.0.2.7"):
        status, out, err = house.karma(*words, user=65534, group=65534, extra_groups=[])
        tap.ok(status == 77 and house.database in err and "root" in err, f"{words[0]}: no permission: 77", status, err)
    os.chmod(house.state, 0o700)
    status, out, err = house.karma("list", user=65534, group=65534, extra_groups=[])
    tap.ok(status == 77 and house.database in err, "nor for the directory: 77", status, err)
    os.chmod(house.state, 0o755)
    house.clear()
    os.chown(house.state, 65534, 65534)
    house.karma("capture", "192.0.2.7")
    tap.same(os.stat(house.database).st_uid, 65534, "what root makes belongs to the directory's owner")


def main(tap):
    house = House()
    try:
        nothing_yet(tap, house)
        usage(tap, house)
        box(tap, house)
        only_captured(tap, house)
        show(tap, house)
        listing(tap, house)
        prune(tap, house)
        exchange(tap, house)
        tool(tap, house)
        told(tap, house)
        trouble(tap, house)
        permission(tap, house)
    finally:
        house.directory.remove()


taps.run(main, needs_postfix=False)
