#!/usr/bin/python3
"""sme-milterctl summary and shadow: the numbers agree with the journal's rows, names of strangers harm no terminal and no
browser, the page is looked at by a real one, and shadow promote changes one word of the configuration."""
import html.parser
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from tap import build_dir

ROWS = 6000
CONFIG = """# A comment that stays.
state_dir = "%s"
hostname  = "mail.here.test"
profile "smtp" {
    policies = {"fcrdns", "dnsbl", "helo"}   # in this order
    fcrdns { reject = never  karma = -1 } helo { reject = never }
}
"""


class Ctl:
    def __init__(self, directory):
        self.directory = directory
        self.state = directory.file("state")
        os.mkdir(self.state)
        self.config = directory.write("c.conf", CONFIG % self.state)

    def __call__(self, *words):
        done = subprocess.run([os.path.join(build_dir(), "sme-milterctl"), "-c", self.config, *words],
                              capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def query(self, sql):
        db = sqlite3.connect(f"file:{self.state}/journal.sqlite?mode=ro", uri=True)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()


class Page(html.parser.HTMLParser):
    """What is in a page, and whether every element is closed."""
    VOID = {"meta", "br", "link", "rect", "line"}

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.tags, self.text, self.attributes = [], [], set(), "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, *attr) for attr in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text += data


def none_yet(tap, ctl):
    status, out, err = ctl("summary")
    tap.ok(status == 66 and "journal.sqlite" in err and out == "", "without a journal it says so", status, out, err)
    status, out, err = ctl("summary", "--since", "yesterday")
    tap.ok(status == 64 and "--since" in err, "a wrong time is told", status, err)
    status, out, err = ctl("summary", "--top", "0")
    tap.same(status, 64, "a wrong number too")


def numbers(tap, ctl):
    status, out, err = ctl("--json", "summary", "--since", "2d")
    tap.ok(status == 0 and err == "", "summary --json", status, err)
    summary = json.loads(out)
    for what, sql in {
            "messages": "SELECT count(*) FROM message WHERE kind = 'message'",
            "connections": "SELECT count(*) FROM message WHERE kind = 'connection'",
            "recipients": "SELECT sum(nrcpt) FROM message",
            "bytes": "SELECT sum(size) FROM message WHERE kind = 'message'",
            "tls": "SELECT count(*) FROM message WHERE kind = 'message' AND tls <> ''"}.items():
        tap.same(summary[what], ctl.query(sql)[0][0], f"{what}: as many as the rows are")
    tap.same(summary["verdicts"]["reject"],
             ctl.query("SELECT count(*) FROM message WHERE kind = 'message' AND verdict = 'reject'")[0][0], "rejected")
    tap.same({row["name"]: row["reject"] + row["tempfail"] for row in summary["refused_by"]},
             dict(ctl.query("SELECT decided_by, count(*) FROM message WHERE verdict <> 'accept' GROUP BY 1")), "by policy")
    tap.same({row["name"]: row["would_reject"] for row in summary["findings"] if row["would_reject"]},
             dict(ctl.query("SELECT policy, count(*) FROM finding WHERE judged = 'never' GROUP BY 1")), "would reject")
    tap.same({row["name"]: row["times"] for row in summary["lists"]},
             dict(ctl.query("SELECT substr(value, 1, instr(value, '=') - 1), count(*) FROM finding, json_each(facts)"
                            " WHERE key = 'list' GROUP BY 1")), "lists")
    tap.same(sum(bar["messages"] for bar in summary["spam_scores"]),
             ctl.query("SELECT count(*) FROM finding WHERE facts LIKE '%spam.score%'")[0][0], "spam scores")
    tap.same(sum(sum(bar["verdicts"].values()) for bar in summary["volume"]), ROWS, "the bars hold all of them")
    ms = [row[0] for row in ctl.query("SELECT ms FROM message WHERE kind = 'message' ORDER BY ms")]
    tap.same((summary["ms"]["p50"], summary["ms"]["p95"], summary["ms"]["max"]),
             (ms[len(ms) // 2], ms[len(ms) * 95 // 100], ms[-1]), "percentiles")
    clients = dict(ctl.query("SELECT client, count(*) FROM message GROUP BY 1"))
    top = summary["clients"][0]
    tap.same(top["accept"] + top["reject"] + top["tempfail"], max(clients.values()), "the busiest client")
    status, out, err = ctl("summary", "--since", "1h")
    tap.ok(status == 0 and 0 < int(re.search(r"messages +(\d+)", out).group(1)) < ROWS / 10, "the last hour alone", out)


def terminal(tap, ctl):
    status, out, err = ctl("summary", "--since", "7d", "--top", "100")
    tap.same(status, 0, "summary")
    tap.ok(not re.search(r"[^\n\x20-\x7e]", out), "nothing in it moves a terminal")
    tap.ok("\\x1b" in out or "(none)" in out or "onload" in out, "though strangers tried")
    for part in ("Refused by", "DNS lists", "Viruses", "Spam scores", "Clients", "Sender domains", "Karma", "Gaps"):
        tap.has(out, part, f"it tells of {part}")


def page_text(tap, ctl):
    path = ctl.directory.file("summary.html")
    status, out, err = ctl("summary", "--since", "2d", "--html", path)
    tap.same((status, out, err), (0, "", ""), "summary --html")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    page = Page(text)
    tap.ok(not page.wrong and not page.open, "every element is closed", page.wrong, page.open)
    tap.ok({"svg", "table", "h1", "section"} <= page.tags, "plots and tables", page.tags)
    tap.ok("script" not in page.tags and "b.barracudacentral.org" in page.text and "<b>Bad</b>" in page.text,
           "names are text, whatever they look like")
    tap.same([a for a in page.attributes if a[1].startswith("on") or a[1] in ("src", "href")], [],
             "nothing comes from elsewhere, nothing is run")
    tap.ok("prefers-color-scheme: dark" in text and "width=device-width" in text, "dark, and on a phone")
    tap.same(sorted(os.listdir(ctl.directory.path)), ["c.conf", "state", "summary.html"], "and nothing else is left")
    status, _, err = ctl("summary", "--html", "/nowhere/x.html")
    tap.ok(status == 73 and "/nowhere/x.html" in err, "a page that cannot be written is told", status, err)
    return path


SHOWN = """<script>
document.title = JSON.stringify({width: document.documentElement.scrollWidth, sections: document.querySelectorAll('section').length,
  bars: document.querySelectorAll('rect').length, back: getComputedStyle(document.body).backgroundColor,
  high: Math.min(...[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().height))});
</script></body>"""


def browser(tap, ctl, path):
    """The page as Chromium lays it out; a script of the test's own measures it, in a copy without the page's ban on
    scripts."""
    chromium = shutil.which("chromium")
    if not chromium:
        return tap.note("chromium is not installed: the page is not looked at") if hasattr(tap, "note") else None
    with open(path, encoding="utf-8") as f:
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", f.read())
    copy = ctl.directory.write("measured.html", text.replace("</body>", SHOWN))
    seen = {}
    for what, size, more in (("desk", "1200,900", []), ("phone", "500,900", []),
                             ("dark", "1200,900", ["--blink-settings=preferredColorScheme=0"])):
        done = subprocess.run([chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                               f"--user-data-dir={ctl.directory.file('profile')}", f"--window-size={size}", *more,
                               "--dump-dom", "file://" + copy], capture_output=True, text=True, timeout=120)
        match = re.search(r"<title>(\{.*?\})</title>", done.stdout)
        seen[what] = json.loads(match.group(1).replace("&quot;", '"')) if match else {"error": done.stderr[-500:]}
    tap.ok(seen["desk"].get("sections", 0) >= 8 and seen["desk"].get("bars", 0) > 20 and seen["desk"].get("high", 0) > 100,
           "Chromium shows all of it", seen)
    tap.ok(seen["phone"].get("width", 9999) <= 500, "nothing is wider than a phone", seen)
    tap.ok(seen["desk"].get("back") == "rgb(255, 255, 255)" and seen["dark"].get("back") not in (None, "rgb(255, 255, 255)"),
           "it is light, and dark where that is preferred", seen)
    shot = ctl.directory.file("shot.png")
    subprocess.run([chromium, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={ctl.directory.file('profile')}",
                    "--window-size=1200,900", f"--screenshot={shot}", "file://" + path], capture_output=True, timeout=120)
    tap.ok(os.path.exists(shot) and os.path.getsize(shot) > 10000, "and can be pictured")


def mailed(tap, ctl):
    sendmail = ctl.directory.write("sendmail", f"#!/bin/sh\necho \"$@\" > {ctl.directory.path}/args\n"
                                               f"cat > {ctl.directory.path}/mail\n")
    os.chmod(sendmail, 0o755)
    status, out, err = ctl("summary", "--since", "2d", "--mail", "root", "--sendmail", sendmail)
    tap.same((status, out, err), (0, "", ""), "summary --mail")
    with open(ctl.directory.file("args")) as f:
        tap.same(f.read(), "-i -f root -- root\n", "sendmail is called as always")
    import email
    with open(ctl.directory.file("mail")) as f:
        mail = email.message_from_file(f)
    parts = [part.get_content_type() for part in mail.walk()]
    tap.same(parts, ["multipart/mixed", "text/plain", "text/html"], "the text, and the page beside it")
    tap.ok(mail.get_payload()[1].get_payload(decode=True).decode().rstrip().endswith("</html>"), "all of it")
    tap.has(mail.get_payload()[0].get_payload(), "Refused by", "the text is the summary")
    tap.same(ctl("summary", "--mail", "a b")[0], 64, "an address that is none")


def shadow(tap, ctl):
    status, out, err = ctl("--json", "shadow", "--since", "2d")
    tap.ok(status == 0 and err == "", "shadow --json", status, err)
    told = {row["policy"]: row for row in json.loads(out)}
    tap.same(sorted(told), ["fcrdns", "helo"], "the policies on never, and no other")
    row = told["fcrdns"]
    tap.same(row["would_reject"], ctl.query("SELECT count(*) FROM finding WHERE judged = 'never'")[0][0],
             "what it would have rejected")
    good = {client for client, in ctl.query("SELECT DISTINCT client FROM message JOIN finding ON message = message.id WHERE"
                                            " verdict = 'accept' AND facts = '{\"spf.result\":\"pass\"}'")}
    tap.same(row["good_clients"], len({c for c, in ctl.query("SELECT DISTINCT client FROM message JOIN finding ON message ="
                                                             " message.id WHERE judged = 'never'")} & good),
             "how many of its clients proved good")
    tap.has(row["advice"], "would have rejected good mail", "advice")
    tap.same(told["helo"]["would_reject"], 0, "one that found nothing is named too")
    status, out, err = ctl("shadow")
    tap.ok(status == 0 and "fcrdns" in out and not re.search(r"[^\n\x20-\x7e]", out), "shadow as text", out, err)


def promote(tap, ctl):
    with open(ctl.config) as f:
        before = f.read()
    tap.same(ctl("shadow", "promote", "fcrdn")[0], 64, "a policy that is none")
    tap.same(ctl("shadow", "promote", "--reject", "never", "helo")[0], 64, "a word that promotes nothing")
    status, out, err = ctl("-n", "shadow", "promote", "helo")
    tap.ok(status == 0 and "helo { reject = later }" in out, "-n shows it", status, out, err)
    with open(ctl.config) as f:
        tap.same(f.read(), before, "and changes nothing")
    os.chmod(ctl.config, 0o640)
    status, out, err = ctl("shadow", "promote", "--reject", "now", "helo")
    tap.same((status, err), (0, ""), "shadow promote")
    with open(ctl.config) as f:
        tap.same(f.read(), before.replace("helo { reject = never }", "helo { reject = now }"),
                 "that word is changed, the one beside it on the same line is not")
    with open(ctl.config + ".previous") as f:
        tap.same(f.read(), before, "the file of before is kept")
    tap.same(oct(os.stat(ctl.config).st_mode & 0o7777), "0o640", "with the rights that it had")
    tap.same(ctl("shadow", "promote", "helo")[1], "helo is on reject = never in no profile: nothing to do\n",
             "a second time there is nothing to do")
    with open(ctl.config, "w") as f:
        f.write("hostname = \"mail.here.test\"\n")
    status, out, err = ctl("shadow", "promote", "fcrdns")
    with open(ctl.config) as f:
        tap.ok(status == 0 and "fcrdns { reject = later }" in f.read(), "what only the defaults say gets a section", out, err)
    tap.same(sorted(n for n in os.listdir(ctl.directory.path) if "promote" in n), [], "nothing is left behind")


def units(tap, ctl):
    if not shutil.which("systemd-analyze"):
        return
    for name in ("sme-milter-summary.service", "sme-milter-summary.timer"):
        source = os.path.join(taps.TOP, "systemd", name + (".in" if name.endswith("service") else ""))
        with open(source) as f:
            ctl.directory.write(name, re.sub(r"@sbindir@/sme-milterctl", os.path.join(build_dir(), "sme-milterctl"), f.read())
                                .replace("User=sme-milter", "User=root").replace("Group=sme-milter", "Group=root"))
    done = subprocess.run(["systemd-analyze", "verify", ctl.directory.file("sme-milter-summary.service"),
                           ctl.directory.file("sme-milter-summary.timer")], capture_output=True, text=True)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "sme-milter-summary" in line]
    tap.same(said, [], "systemd has nothing to say against the units")


def main(tap):
    directory = processes.Directory()
    try:
        ctl = Ctl(directory)
        none_yet(tap, ctl)
        subprocess.run([os.path.join(build_dir(), "t", "lib", "journal_rows"), ctl.state, str(ROWS), "24"], check=True)
        numbers(tap, ctl)
        terminal(tap, ctl)
        path = page_text(tap, ctl)
        browser(tap, ctl, path)
        mailed(tap, ctl)
        shadow(tap, ctl)
        promote(tap, ctl)
        units(tap, ctl)
    finally:
        directory.remove()


taps.run(main, needs_postfix=False)
