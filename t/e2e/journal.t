#!/usr/bin/python3
"""The journal through a real Postfix: every message and every refused connection is in it with what was found, while plain
sqlite3 reads along; nothing of what was written is; and whatever happens to the file, mail flows and the gap is told."""
import glob
import json
import os
import sqlite3
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps
from house import House

CONFIG = """
journal { %s }
profile "all" {
    policies = {"loadcheck", "relay", "helo", "badmailfrom", "badrcptto", "headers"}
    helo { level = lenient  reject = now }
    badmailfrom { senders = {"bad@there.test"}  reject = now }
    badrcptto { recipients = {"nobody@here.test"}  reject = now }
    headers { reject = never  past = 3650 }
}
"""
SECRET = "the-secret-subject"


def database(house):
    return house.daemon.directory.file("journal.sqlite")


def query(house, sql, *values):
    """What plain sqlite3 reads from the file, beside the daemon. A file that was removed, or made this moment, has nothing."""
    connection = None
    try:
        connection = sqlite3.connect(f"file:{database(house)}?mode=ro", uri=True, timeout=10)
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values).fetchall()]
    except sqlite3.OperationalError as error:
        if "no such table" in str(error) or "unable to open" in str(error):
            return []
        raise
    finally:
        if connection:
            connection.close()


def row_of(house, ref, seconds=20):
    rows = taps.wait_for(lambda: query(house, "SELECT * FROM journal_list WHERE ref = ?", ref), seconds)
    return rows[0] if rows else {}


def findings_of(house, ref):
    return query(house, "SELECT * FROM finding_list WHERE ref = ?", ref)


def agrees(tap, house, record, what):
    """The row says what the line says."""
    row = row_of(house, record["ref"] if record else "?")
    pairs = {"ref": "ref", "queue_id": "queue_id", "profile": "profile", "client": "client", "name": "name",
             "helo": "helo", "auth": "auth", "from": "sender", "rcpt": "rcpt", "nrcpt": "nrcpt", "size": "size",
             "verdict": "verdict", "by": "decided_by", "at": "stage", "reply": "reply", "karma": "karma",
             "findings": "findings"}
    wrong = [f"{field}: line {record[field]!r}, journal {row.get(column)!r}" for field, column in pairs.items()
             if record and record[field] != str(row.get(column))]
    tap.ok(row and not wrong, f"{what}: the row says what the line says", *wrong, row)
    return row


def verdicts(tap, house):
    with house.client("smtp") as client:
        reply, sender = house.send(client, subject=SECRET)
        tap.reply(reply, 250, "a message is accepted")
        accepted = house.record_of(sender)
        row = agrees(tap, house, accepted, "accepted")
        tap.same(row.get("kind"), "message", "it is a message")
        tap.ok(abs(time.mktime(time.strptime(row.get("time", "2000-01-01T00:00:00Z"), "%Y-%m-%dT%H:%M:%SZ"))
                   - time.mktime(time.gmtime())) < 120, "with the time of its end", row)
        notes = [f for f in findings_of(house, accepted["ref"]) if f["policy"] == "loadcheck"]
        tap.ok(notes and notes[0]["result"] == "nothing" and "load" in json.loads(notes[0]["facts"]),
               "the load that was compared is noted, although it was not too high", findings_of(house, accepted["ref"]))
        tap.same(query(house, "SELECT message_id FROM message WHERE ref = ?", accepted["ref"])[0]["message_id"][:1] != "<",
                 True, "the message id stands without brackets")
        ran = query(house, "SELECT stages FROM ran JOIN message ON message.ran = ran.id WHERE ref = ?", accepted["ref"])
        tap.ok(ran and "badrcptto" in ran[0]["stages"].split(";rcpt:")[1] and "helo:helo" in ran[0]["stages"],
               "what was run is known", ran)

    with house.client("smtp") as client:
        sender = house.sender()
        client.mail(sender)
        client.rcpt("bob@here.test")
        tap.reply(client.rcpt("nobody@here.test"), 550, "a recipient is refused")
        client.quit() # of RSET a milter hears at the next MAIL
        row = agrees(tap, house, house.record_of(sender), "one recipient of two")
        rcpt = query(house, "SELECT recipient.* FROM recipient JOIN message ON message.id = message WHERE ref = ?"
                            " ORDER BY number", row.get("ref"))
        tap.ok(len(rcpt) == 2 and rcpt[0]["refused_by"] == "" and rcpt[1]["refused_by"] == "badrcptto"
               and rcpt[1]["reply"].startswith("550 "), "who refused which", rcpt)
        tap.ok(any(f["policy"] == "badrcptto" and f["rcpt"] == "<nobody@here.test>" and f["judged"] == "now"
                   for f in findings_of(house, row.get("ref"))), "and the finding tells whom it is about")

    with house.client("smtp") as client:
        reply = client.mail("bad@there.test")
        tap.reply(reply, 550, "a sender is refused")
        agrees(tap, house, house.daemon.wait_record(lambda r: r["from"] == "<bad@there.test>"), "refused")

    with house.client("smtp") as client:
        reply, sender = house.send(client, date="Thu, 01 Jan 2015 00:00:00 +0000")
        tap.reply(reply, 250, "shadow mode refuses nothing")
        record = house.record_of(sender)
        agrees(tap, house, record, "in shadow mode")
        tap.ok(any(f["policy"] == "headers" and f["judged"] == "never" and f["result"] == "bad"
                   for f in findings_of(house, record["ref"])), "but what it would have refused is in the journal",
               findings_of(house, record["ref"]))

    with house.client("smtp", helo=None) as client:
        reply = client.cmd("HELO no\\one\tis [here]")
        client.quit()
    record = house.daemon.wait_record(lambda r: r["at"] == "close" and "one" in r["helo"])
    row = agrees(tap, house, dict(record, helo=row_of(house, record["ref"]).get("helo")) if record else None,
                 "a connection without MAIL")
    tap.same(row.get("kind"), "connection", "it is a connection")


def everything(house):
    """All bytes of the file and its log."""
    return b"".join(open(path, "rb").read() for path in glob.glob(database(house) + "*"))


def privacy(tap, house):
    tap.ok(SECRET.encode() not in everything(house), "no subject is in the file")
    house.configure(CONFIG % "subject = yes")
    house.daemon.reload()
    with house.client("smtp") as client:
        _, sender = house.send(client, subject=SECRET)
    ref = house.record_of(sender)["ref"]
    row_of(house, ref)
    rows = query(house, "SELECT subject FROM message WHERE ref = ?", ref)
    tap.same(rows and rows[0]["subject"], SECRET, "with subject = yes it is")
    house.configure(CONFIG % "enabled = no")
    house.daemon.reload()
    with house.client("smtp") as client:
        _, sender = house.send(client)
    record = house.record_of(sender)
    house.configure(CONFIG % "enabled = yes")
    house.daemon.reload()
    with house.client("smtp") as client:
        _, sender = house.send(client)
    row_of(house, house.record_of(sender)["ref"])
    tap.same(query(house, "SELECT * FROM message WHERE ref = ?", record["ref"]), [], "enabled = no: nothing is kept")


def flows(tap, house, what):
    with house.client("smtp") as client:
        reply, sender = house.send(client)
        tap.reply(reply, 250, f"{what}: mail flows")
    return house.record_of(sender)["ref"]


def stats(house):
    status, out, err = house.ctl("--json", "stats")
    try:
        return json.loads(out).get("journal", {})
    except ValueError:
        return {"state": f"exit {status}: {err}"}


def gaps(house):
    return [gap["why"] for gap in query(house, "SELECT * FROM gap_list")]


def faults(tap, house):
    tap.ok(any("begins here" in why for why in gaps(house)), "the journal says when it began", gaps(house))
    shell = sqlite3.connect(database(house), isolation_level=None, timeout=10)
    shell.execute("BEGIN IMMEDIATE")
    ref = flows(tap, house, "locked")
    tap.ok(taps.wait_for(lambda: stats(house).get("state") == "locked", 20), "locked: the state is shown", stats(house))
    shell.execute("ROLLBACK")
    shell.close()
    tap.ok(row_of(house, ref), "locked: it is written afterwards")
    for path in glob.glob(database(house) + "*"):
        os.unlink(path)
    ref = flows(tap, house, "deleted")
    tap.ok(row_of(house, ref), "deleted: a new file is begun")
    tap.ok(any("removed" in why for why in gaps(house)), "deleted: the gap is told", gaps(house))
    house.daemon.stop()
    with open(database(house), "r+b") as file:
        file.write(b"\xa5" * 8192)
    house.daemon.start()
    ref = flows(tap, house, "damaged")
    tap.ok(row_of(house, ref), "damaged: a new file is begun")
    tap.ok(any("damaged" in why for why in gaps(house)), "damaged: the gap is told", gaps(house))
    tap.same(stats(house).get("set_aside"), 1, "damaged: and the old one is set aside")


def keep(tap, house):
    ref = flows(tap, house, "before")
    row_of(house, ref)
    shell = sqlite3.connect(database(house), timeout=10)
    shell.execute("UPDATE message SET time = time - 40 * 86400000 WHERE ref = ?", (ref,))
    shell.commit()
    shell.close()
    ahead = flows(tap, house, "a clock that is ahead")
    row_of(house, ahead)
    shell = sqlite3.connect(database(house), timeout=10)
    shell.execute("UPDATE message SET time = time + 400 * 86400000 WHERE ref = ?", (ahead,))
    shell.commit()
    shell.close()
    newest = flows(tap, house, "and is put right")
    row_of(house, newest)
    status, out, err = house.ctl("--json", "why", "last")
    tap.ok(status == 0 and json.loads(out)["ref"] == newest, "why last is the last that was written", out, err)
    house.configure(CONFIG % "keep = 39d")
    house.daemon.reload()
    tap.ok(taps.wait_for(lambda: not query(house, "SELECT 1 FROM message WHERE ref = ?", ref), 20),
           "what is older than keep goes while the daemon runs")
    ref = flows(tap, house, "afterwards")
    tap.ok(row_of(house, ref), "and the rest goes on")
    house.daemon.stop()
    tap.same(glob.glob(database(house) + "-*"), [], "stopped, it is one file")
    tap.ok(row_of(house, ref), "with all that was written")
    house.daemon.start()


def main(tap):
    with House(CONFIG % "", tap) as house:
        verdicts(tap, house)
        privacy(tap, house)
        faults(tap, house)
        keep(tap, house)


taps.run(main)
