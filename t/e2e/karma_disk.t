#!/usr/bin/python3
"""Karma on a disk that is full or read-only: from the start, under way and after kill -9. The box refuses and the state
is named; when the disk takes writes again the daemon does so too, without a restart, and nothing was lost meanwhile.
Also a schema that becomes newer under the daemon, a large import beside it, and its socket when that is removed.
The disk is a tmpfs in a mount namespace of this test's own: without root's rights this is not tested."""
import glob
import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps
from disk import Disk
from house import House

CONFIG = """
profile "all" {
    policies = {"karma", "badmailfrom"}
    karma { reject = later }
    badmailfrom { senders = {"bad@there.test"} }
}
"""
BAD, GOOD = "bad@there.test", "good@there.test"
BOXED = "192.0.2.7"
SOON = 15  # the daemon tries every five seconds


def mail_from(house, address, sender):
    with house.client("xclient", helo=None) as client:
        client.ehlo()
        client.xclient(addr=address, name="[UNAVAILABLE]")
        client.ehlo()
        reply = client.mail(sender)
        if reply.code == 250:
            client.quit()
    return reply


def connects(disk, network):
    connection = sqlite3.connect(f"file:{disk.file('karma.sqlite')}?mode=ro", uri=True, timeout=10)
    try:
        rows = connection.execute("SELECT connects FROM karma_list WHERE network = ?", (network,)).fetchall()
    finally:
        connection.close()
    return rows[0][0] if rows else 0


def serves(tap, house, what, address):
    """Mail flows, and who was boxed is known. One connection of `address` is learned."""
    tap.reply(mail_from(house, address, GOOD), 250, f"{what}: mail flows")
    tap.reply(mail_from(house, BOXED, GOOD), 521, f"{what}: the box refuses")
    status, out, err = house.ctl("karma", "show", BOXED)
    tap.ok("in it until" in out, f"{what}: a command reads it", status, out, err)


def recovers(tap, house, disk, what, address, since, wanted=1):
    tap.ok(house.daemon.wait_line("written again", SOON, since), f"{what}: over, it is written without a restart",
           house.daemon.text())
    tap.ok(taps.wait_for(lambda: connects(disk, address) == wanted, SOON), f"{what}: what was learned then is there",
           connects(disk, address))


def said(tap, house, what, word, since):
    tap.ok(house.daemon.wait_line(f"karma.sqlite: {word}", SOON, since), f"{what}: called {word}", house.daemon.text())
    lines = [line for line in house.daemon.log[since:] if f"karma.sqlite: {word}" in line]
    tap.same(len(lines), 1, f"{what}: once")


def kill9(house):
    """The machine stops: nobody tidies up."""
    children = house.daemon.children()
    os.kill(house.daemon.process.pid, signal.SIGKILL)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass
    house.daemon.process.wait(20)
    taps.wait_for(lambda: all(not os.path.exists(f"/proc/{child}") for child in children), 20)


def from_the_start(tap, house, disk, what, word, end, begin, over, address):
    end()
    begin()
    since = len(house.daemon.log)
    house.daemon.start()
    serves(tap, house, what, address)
    said(tap, house, what, word, since)  # a log that was left there may have room for some
    over()
    recovers(tap, house, disk, what, address, since)


def under_way(tap, house, disk):
    since = len(house.daemon.log)
    disk.fill()
    for i in range(1, 100):  # the log has room for some
        mail_from(house, "192.0.2.44", GOOD)
        if house.daemon.wait_line("karma.sqlite: full", 0.2, since):
            break
    said(tap, house, "full under way", "full", since)
    serves(tap, house, "full under way", "192.0.2.45")
    disk.empty()
    recovers(tap, house, disk, "full under way", "192.0.2.45", since)
    tap.same(connects(disk, "192.0.2.44"), i, "full under way: of the others too")


def longest_locked(house, spans):
    """Collect in `spans` for how long the daemon calls its file locked, from its log lines."""
    def on_line(line, _):
        if "karma.sqlite: locked" in line:
            spans.append(-time.monotonic())
        elif "written again (was locked)" in line and spans:
            spans[-1] += time.monotonic()
    house.daemon.on_line = on_line


def import_beside(tap, house, disk):
    """Many rows, through a lock that the daemon gets in between."""
    count, spans, result = 150000, [], []
    rows = "".join(json.dumps({"network": f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", "nice": 1, "naughty": 0,
                               "connects": 1, "penalty_until": 0, "cleared_at": 0, "first_seen": 1, "last_seen": int(time.time()),
                               "last_reason": ""}) + "\n" for i in range(count))
    longest_locked(house, spans)
    began = time.monotonic()
    thread = threading.Thread(target=lambda: result.append(house.ctl("karma", "import", stdin=rows)))
    thread.start()
    answered, sent = set(), 0
    while thread.is_alive():
        answered.add(mail_from(house, "192.0.2.46", GOOD).code)
        sent += 1
    thread.join()
    took = time.monotonic() - began
    tap.ok(result[0][0] == 0 and result[0][1].startswith(f"{count} added"), "a large import beside the daemon", *result)
    tap.ok(answered == {250} and sent > 5, f"it serves meanwhile: {sent} connections in {took:.1f} s", answered)
    tap.ok(taps.wait_for(lambda: connects(disk, "192.0.2.46") == sent, SOON), "each is remembered",
           connects(disk, "192.0.2.46"))
    house.daemon.on_line = None
    tap.ok(all(0 <= span < 0.7 for span in spans), "and the daemon is never kept from writing for long", spans)


def newer_under_way(tap, house, disk):
    def version(n):
        connection = sqlite3.connect(disk.file("karma.sqlite"), timeout=10)
        connection.execute(f"PRAGMA user_version = {n}")
        connection.close()

    connection = sqlite3.connect(disk.file("karma.sqlite"), timeout=10)
    ours = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    before, since = connects(disk, "192.0.2.47"), len(house.daemon.log)
    version(4711)
    tap.ok(house.daemon.wait_line("schema version 4711", SOON, since), "a newer schema under way is noticed",
           house.daemon.text())
    for _ in range(3):
        tap.reply(mail_from(house, "192.0.2.47", GOOD), 250, "newer under way: mail flows")
    status, out, err = house.ctl("--json", "stats")
    tap.same(json.loads(out)["karma"]["state"], "newer", "newer under way: stats say so")
    tap.same(connects(disk, "192.0.2.47"), before, "newer under way: nothing is written")
    version(ours)
    recovers(tap, house, disk, "newer under way", "192.0.2.47", since, before + 3)


def its_socket(tap, house, disk):
    os.unlink(disk.file("control"))
    tap.ok(taps.wait_for(lambda: os.path.exists(disk.file("control")), SOON), "a socket that was removed is made again")
    tap.same(house.ctl("stats")[0], 0, "and answers")


def replaced_directory(tap, house):
    """With a plain directory: another one takes the place of the daemon's."""
    state = house.daemon.directory.file("plain")
    os.mkdir(state, 0o755)
    house.daemon.stop()
    with open(house.daemon.config) as f:
        text = f.read()
    house.daemon.directory.write("sme-milter.conf", text.replace(house.daemon.directory.file("disk"), state))
    house.daemon.start()
    tap.same(house.ctl("stats")[0], 0, "a plain directory")
    os.rename(state, state + ".old")
    os.mkdir(state, 0o755)
    tap.ok(taps.wait_for(lambda: os.path.exists(os.path.join(state, "control")), SOON),
           "a directory that was replaced gets the socket again")
    status, out, err = house.ctl("--json", "stats")
    fine = taps.wait_for(lambda: json.loads(house.ctl("--json", "stats")[1])["karma"]["state"] == "fine", SOON)
    tap.ok(status == 0 and fine, "and it answers", status, out, err)
    mail_from(house, "192.0.2.48", GOOD)
    tap.ok(taps.wait_for(lambda: house.ctl("karma", "show", "192.0.2.48")[0] == 0, SOON), "a new file is learned into",
           house.ctl("karma", "show", "192.0.2.48"), glob.glob(state + "/*"))
    shutil.rmtree(state + ".old")


def main(tap):
    with House(CONFIG, tap, start=False) as house:
        house.configure(CONFIG)
        disk = Disk(house, "64m")
        try:
            house.daemon.start()
            for _ in range(2):
                tap.reply(mail_from(house, BOXED, BAD), 550, "a bad sender")
            tap.ok(taps.wait_for(lambda: connects(disk, BOXED) == 2, SOON), "is learned")
            its_socket(tap, house, disk)
            from_the_start(tap, house, disk, "read-only", "read-only", house.daemon.stop,
                           lambda: disk.remount("ro"), lambda: disk.remount("rw"), "192.0.2.40")
            from_the_start(tap, house, disk, "full", "full", house.daemon.stop, disk.fill, disk.empty, "192.0.2.41")
            from_the_start(tap, house, disk, "read-only after kill -9", "read-only", lambda: kill9(house),
                           lambda: disk.remount("ro"), lambda: disk.remount("rw"), "192.0.2.42")
            from_the_start(tap, house, disk, "full after kill -9", "full", lambda: kill9(house), disk.fill, disk.empty,
                           "192.0.2.43")
            under_way(tap, house, disk)
            import_beside(tap, house, disk)
            newer_under_way(tap, house, disk)
            replaced_directory(tap, house)
        finally:
            disk.close()


if os.geteuid() != 0 or not shutil.which("unshare"):
    taps.skip_all("mounts need root's rights and unshare(1)")
if "SME_OWN_MOUNTS" not in os.environ:
    os.environ["SME_OWN_MOUNTS"] = "yes"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, os.path.realpath(__file__)])
taps.run(main)
