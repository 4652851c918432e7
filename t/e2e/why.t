#!/usr/bin/python3
"""why and whatif through a real Postfix: what was refused is explained, what is said to change it does change it when it
is written into the configuration, and whatif tells the same of all that came before."""
import json
import os
import re
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps
from house import House

CONFIG = """
profile "all" {
    policies = {"loadcheck", "whitelist", "relay", "helo", "badmailfrom", "badrcptto", "headers"}
    helo { level = lenient }
    badmailfrom { senders = {"bad@there.test"} }
    badrcptto { recipients = {"nobody@here.test"} }
    headers { %s }
}
"""
STRICT = 'require = {"From", "X-Stamp"}'


def why(house, word):
    status, out, err = house.ctl("--json", "why", word)
    return status, json.loads(out) if status == 0 else {}, err


def written(house, ref):
    """Whether the journal has it; it is written a moment after the answer."""
    path = house.daemon.directory.file("journal.sqlite")

    def there():
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
            try:
                return connection.execute("SELECT count(*) FROM journal_list WHERE ref = ?", (ref,)).fetchone()[0]
            finally:
                connection.close()
        except sqlite3.OperationalError:
            return 0

    return taps.wait_for(there, 20)


def lines_of(explained):
    return {o["line"]: o["outcome"] for o in explained.get("otherwise_with", [])}


def refused_message(tap, house):
    """Refused at its end: all of it is known."""
    with house.client("smtp") as client:
        reply, sender = house.send(client)
        tap.reply(reply, 550, "a message without a field that must be there is refused")
        record = house.record_of(sender)
    written(house, record["ref"])
    status, one, err = why(house, record["ref"])
    tap.same(status, 0, "why finds it by its reference")
    tap.same((one.get("outcome", {}).get("verdict"), one.get("outcome", {}).get("by")), ("reject", "headers"), "who decided")
    found = [f for f in one.get("findings", []) if f["policy"] == "headers"]
    tap.ok(found and found[0]["result"] == "bad" and found[0]["facts"].get("field") == "X-Stamp",
           "with what was compared", found)
    lines = lines_of(one)
    tap.ok(lines.get("headers { reject = never }", {}).get("verdict") == "accept", "without the finding: accepted", lines)
    tap.ok(lines.get('headers { require = {"From"} }', {}).get("verdict") == "accept", "without the entry: accepted", lines)
    tap.ok(lines.get('whitelist { clients += {"127.0.0.1"} }', {}).get("verdict") == "accept", "whitelisted: accepted",
           lines)
    status, text, _ = house.ctl("why", record["ref"])
    tap.ok(status == 0 and "headers { reject = never }\n      accepted" in text and "For the sender:" in text
           and record["ref"] in text, "the same as text", text)
    for word in ("last", sender, "127.0.0.1", f"<{sender}>"):
        tap.same(house.ctl("why", word)[0], 0, f"why {word.replace(sender, 'SENDER')}")
    return record


def what_if(tap, house, record):
    status, out, err = house.ctl("whatif", "--set", "headers.require=From")
    tap.ok(status == 1 and "reject -> accept" in out and record["ref"] in out, "whatif: it would be accepted", out, err)
    status, out, err = house.ctl("--json", "whatif", "--set", "headers.require=From", "--since", "1h")
    rows = json.loads(out) if out else {}
    tap.ok(status == 1 and rows.get("verdicts", {}).get("reject_to_accept", 0) >= 1
           and rows.get("otherwise_then") == 0, "the same as JSON", out, err)
    status, out, err = house.ctl("whatif", "--set", "headers.max_received=60")
    tap.ok(status == 0 and " 0 would fare otherwise" in out, "what changes nothing: exit 0", out, err)
    status, out, err = house.ctl("whatif", "--set", "patterns.names=*.exe")
    tap.ok(status == 65 and out == "" and "patterns.names" in err and "not recorded" in err,
           "what cannot be told is named, and nothing printed", out, err)
    status, out, err = house.ctl("whatif", "--set", "heders.require=From")
    tap.ok(status == 65 and out == "" and 'did you mean "headers"' in err, "the nearest policy", out, err)
    status, out, err = house.ctl("whatif", "--set", "headers.requir=From")
    tap.ok(status == 65 and out == "" and 'did you mean "require"' in err, "the nearest option", out, err)
    status, out, err = house.ctl("whatif", "--set", "headers.max_received=many")
    tap.ok(status == 65 and out == "" and "max_received" in err, "a bad value", out, err)
    tap.same(house.ctl("whatif")[0], 64, "no --set: usage")


def other_config(tap, house, record):
    """Another whole file, with --set over it or not."""
    here = open(house.daemon.config).read()
    there = house.daemon.directory.write("other.conf", here.replace(STRICT, 'require = {"From"}'))
    status, out, err = house.ctl("whatif", "--config", there)
    tap.ok(status == 1 and "reject -> accept" in out and record["ref"] in out and not err, "whatif --config FILE", out, err)
    status, out, err = house.ctl("--json", "whatif", f"--config={there}", "--set", "headers.require+=X-Stamp")
    told = json.loads(out) if out else {}
    tap.ok(status == 0 and told.get("changed") == 0 and told.get("config") == there and told.get("not_recorded") == [],
           "with --set over it: as it is now", out, err)
    status, out, err = house.ctl("whatif", "--config", house.daemon.config)
    tap.ok(status == 0 and " 0 would fare otherwise" in out, "the same file", out, err)
    house.daemon.directory.write("other.conf", here.replace("headers {", "headers { timeout = 3s "))
    status, out, err = house.ctl("whatif", "--config", there)
    tap.ok(status == 78 and out == "" and "other.conf:" in err, "a file with an error", out, err)
    house.daemon.directory.write("other.conf", here.replace("dns {", "dns { timeout = 1s ") + "helo { timeout = 1s }\n")
    status, out, err = house.ctl("whatif", "--config", there)
    tap.ok(status == 0 and "helo.timeout: not recorded is when the answers came" in err and " dns: " in err,
           "what cannot be told of it is named", out, err)
    tap.same(house.ctl("whatif", "--config", "/nowhere/at.all")[0], 78, "no such file")


def others(tap, house):
    status, out, err = house.ctl("why", "nobody@nowhere.test")
    tap.ok(status == 1 and out == "" and "nothing of" in err, "nothing is found: exit 1", out, err)
    tap.same(house.ctl("why")[0], 64, "no word: usage")
    with house.client("smtp") as client:
        client.cmd("EHLO mx.there.test")
        client.cmd('MAIL FROM:<"evil\x1b[2J"@there.test>')
        client.cmd("RCPT TO:<nobody@here.test>")
        client.quit()
    out = taps.wait_for(lambda: "evil" in house.ctl("why", "last")[1] and house.ctl("why", "last")[1], 20) or ""
    tap.ok("evil" in out and not re.search(r"[^\n\x20-\x7e]", out), "nothing of a stranger reaches the terminal", out)


def changed_for_real(tap, house):
    """What whatif and why said is what happens."""
    house.configure(CONFIG % 'require = {"From"}')
    house.daemon.reload()
    with house.client("smtp") as client:
        reply, sender = house.send(client)
        tap.reply(reply, 250, "with the line that why named the same message is accepted")
    record = house.record_of(sender)
    written(house, record["ref"])
    status, one, _ = why(house, record["ref"])
    tap.same((status, one.get("outcome", {}).get("verdict")), (0, "accept"), "and why says so")
    status, out, _ = house.ctl("whatif", "--set", "headers.max_received=60")
    tap.ok(status == 0 and "decided otherwise then" in out, "what was decided before the change is counted apart", out)
    status, out, _ = house.ctl("why", "bob@here.test")
    tap.ok(status == 0 and "why REF tells of one" in out, "of several there is a list", out)


def main(tap):
    with House(CONFIG % STRICT, tap) as house:
        record = refused_message(tap, house)
        what_if(tap, house, record)
        other_config(tap, house, record)
        others(tap, house)
        changed_for_real(tap, house)


taps.run(main)
