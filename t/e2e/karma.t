#!/usr/bin/python3
"""Karma through a real Postfix: a client that misbehaves lands in the box, is refused, is released and is welcome; plain
sqlite3 reads along; kill -9 loses nothing that is older than a batch; and whatever happens to the file, mail flows."""
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
profile "all" {
    policies = {"karma", "badmailfrom"}
    karma { reject = later }
    badmailfrom { senders = {"bad@there.test"} }
}
"""


def database(house):
    return house.daemon.directory.file("karma.sqlite")


def query(house, sql):
    """What plain sqlite3 reads from the file, beside the daemon. A file that was made this moment has no tables yet."""
    connection = sqlite3.connect(f"file:{database(house)}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()


def mail_from(house, address, sender):
    """One connection of that client: its reply to MAIL, and the daemon's line."""
    since = len(house.daemon.records)
    with house.client("xclient", helo=None) as client:
        client.ehlo()
        client.xclient(addr=address, name="[UNAVAILABLE]")
        client.ehlo()
        reply = client.mail(sender)
        if reply.code == 250:
            client.quit()
    client_ip = address.removeprefix("IPV6:").lower()
    return reply, house.daemon.wait_record(lambda r: r["client"] == client_ip and r["from"], 20, since)


def learned(house, network, seconds=20, **wanted):
    """Wait until the view has this; what it has."""
    def look():
        rows = query(house, f"SELECT nice, naughty, history, connects, penalty_until, last_reason FROM karma_list "
                            f"WHERE network = '{network}'")
        if not rows:
            return None
        row = dict(zip(("nice", "naughty", "history", "connects", "penalty_until", "last_reason"), rows[0]))
        return row if all(row[key] == value for key, value in wanted.items()) else None
    return taps.wait_for(look, seconds) or query(house, "SELECT * FROM karma_list")


def through_the_box(tap, house, address, network):
    bad, good = "bad@there.test", "good@there.test"
    reply, record = mail_from(house, address, bad)
    tap.reply(reply, 550, f"{network}: a bad sender is refused")
    row = learned(house, network, naughty=1)
    tap.ok(isinstance(row, dict) and row["penalty_until"] is None and row["last_reason"] == "badmailfrom",
           "once is not enough for the box", row)
    reply, _ = mail_from(house, address, bad)
    tap.reply(reply, 550, "a second time")
    row = learned(house, network, naughty=2, connects=2)
    tap.ok(isinstance(row, dict) and row["penalty_until"], "now it is boxed, as plain sqlite3 sees", row)
    reply, record = mail_from(house, address, good)
    tap.reply(reply, 521, "in the box even its good mail is refused", "until")
    tap.fields(record, {"by": "karma", "verdict": "reject", "findings": "karma:bad"}, "by karma")
    status, out, err = house.ctl("karma", "show", network)
    tap.ok(status == 0 and "naughty" in out, "karma show tells of it", status, out, err)
    status, out, err = house.ctl("karma", "release", network)
    tap.same(status, 0, "released by the administrator")
    reply, _ = mail_from(house, address, good)
    tap.reply(reply, 250, "it is welcome at once")
    status, out, err = house.ctl("karma", "capture", network, "1h")
    tap.same(status, 0, "captured")
    reply, _ = mail_from(house, address, good)
    tap.reply(reply, 521, "refused at once")
    house.ctl("karma", "release", network)


def stats(house):
    status, out, err = house.ctl("--json", "stats")
    try:
        return json.loads(out).get("karma", {})
    except ValueError:
        return {"state": f"exit {status}: {err}"}


def wait_stats(house, state):
    return taps.wait_for(lambda: stats(house).get("state") == state, 20)


def locked(tap, house):
    shell = sqlite3.connect(database(house), isolation_level=None, timeout=10)
    shell.execute("BEGIN IMMEDIATE")
    reply, _ = mail_from(house, "192.0.2.40", "bad@there.test")
    tap.reply(reply, 550, "a shell holds the database: mail is answered as usual")
    tap.ok(wait_stats(house, "locked"), "the state is shown", stats(house))
    reply, _ = mail_from(house, "192.0.2.40", "bad@there.test")
    taps.wait_for(lambda: stats(house).get("waiting", 0) >= 2, 20)  # both connections have ended
    reply, _ = mail_from(house, "192.0.2.40", "good@there.test")
    tap.reply(reply, 521, "what was learned is known although it cannot be written")
    shell.execute("ROLLBACK")
    shell.close()
    tap.ok(isinstance(learned(house, "192.0.2.40", naughty=2), dict), "written when the shell lets go")
    tap.ok(wait_stats(house, "fine"), "and the state is fine again", stats(house))


def removed(tap, house):
    for path in glob.glob(database(house) + "*"):
        os.unlink(path)
    mail_from(house, "192.0.2.41", "bad@there.test")
    tap.ok(taps.wait_for(lambda: os.path.exists(database(house)), 20), "removed under the daemon: it makes a new one")
    row = learned(house, "192.0.2.41", naughty=1)
    tap.ok(isinstance(row, dict), "and learns into it", row, house.daemon.text())


def restarted(tap, house, prepare, what, state, said):
    house.daemon.stop()
    prepare()
    house.daemon.start()
    reply, _ = mail_from(house, "192.0.2.50", "good@there.test")
    tap.reply(reply, 250, f"{what}: mail flows")
    tap.ok(wait_stats(house, state), f"{what}: the state is {state}", stats(house))
    tap.ok(house.daemon.wait_line(said), f"{what}: the log says so", house.daemon.text())


def damage(house):
    with open(database(house), "r+b") as file:
        size = os.path.getsize(database(house))
        for page in range(1, size // 4096):
            file.seek(page * 4096)
            file.write(b"\xa5" * 1024)
    for path in glob.glob(database(house) + "-*"):
        os.unlink(path)


def newer(house):
    for path in glob.glob(database(house) + "*"):
        os.unlink(path)
    connection = sqlite3.connect(database(house))
    connection.execute("CREATE TABLE karma(net BLOB)")
    connection.execute("PRAGMA user_version = 4711")
    connection.commit()
    connection.close()


def killed(tap, house):
    """The serving process is killed right behind a connection: what ended in the last moments may be lost, nothing else.
    A batch is on disk after 50 ms; a busy machine is given 200."""
    rounds, each, old = 4, 400, 0
    for _ in range(rounds):
        codes, ended = [], []
        for _ in range(each):
            codes.append(mail_from(house, "192.0.2.60", "good@there.test")[0].code)
            ended.append(time.monotonic())
        old += sum(at < time.monotonic() - 0.2 for at in ended)
        if codes != [250] * each or not house.daemon.kill9_child()[1]:
            tap.ok(False, "mail flows, and a killed process is replaced", codes)
    mail_from(house, "192.0.2.61", "good@there.test")
    row = learned(house, "192.0.2.61", connects=1)
    rows = query(house, "SELECT connects FROM karma_list WHERE network = '192.0.2.60'")
    count = rows[0][0] if rows else 0
    tap.ok(isinstance(row, dict) and rounds < old <= count <= rounds * each,
           f"killed {rounds} times: {count} of {rounds * each} connections are remembered, of {old} that had to be", rows)


def restart(tap, house):
    mail_from(house, "192.0.2.62", "good@there.test")
    tap.same(house.daemon.stop(), 0, "stopped right behind a connection")
    tap.ok(isinstance(learned(house, "192.0.2.62", 0, connects=1), dict), "nothing is lost then")
    house.daemon.start()


def main(tap):
    with House(CONFIG, tap) as house:
        through_the_box(tap, house, "192.0.2.7", "192.0.2.7")
        through_the_box(tap, house, "IPV6:2001:db8:0:7::1", "2001:db8:0:7::/64")
        locked(tap, house)
        killed(tap, house)
        restart(tap, house)
        removed(tap, house)
        restarted(tap, house, lambda: damage(house), "damaged pages", "fine", "karma.sqlite")
        tap.ok(glob.glob(database(house) + ".damaged-*"), "the damaged file was set aside",
               os.listdir(house.daemon.directory.path))
        restarted(tap, house, lambda: newer(house), "a newer schema", "newer", "4711")
        tap.same(query(house, "PRAGMA user_version")[0][0], 4711, "and is left alone")


taps.run(main)
