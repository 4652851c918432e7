#!/usr/bin/python3
"""The journal on a disk that becomes full, or is read-only from the start: mail flows, the state is named, and when the
disk takes writes again so does the journal, without a restart, with what waited.
The disk is a tmpfs in a mount namespace of this test's own: without root's rights this is not tested."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps
from disk import Disk
from house import House

CONFIG = """
profile "all" {
    policies = {"helo", "badmailfrom"}
    badmailfrom { senders = {"bad@there.test"} }
}
"""
SOON = 20  # the daemon tries every five seconds


def journal(house):
    status, out, _ = house.ctl("--json", "stats")
    return json.loads(out).get("journal", {}) if status == 0 else {}


def flows(tap, house, what, count=1):
    """So many messages; the reference of the last."""
    for _ in range(count):
        with house.client("smtp") as client:
            reply, sender = house.send(client)
            if reply.code != 250:
                break
    tap.reply(reply, 250, f"{what}: mail flows")
    return house.record_of(sender)["ref"]


def is_known(house, ref):
    return taps.wait_for(lambda: house.ctl("why", ref)[0] == 0, SOON)


def in_trouble(tap, house, what, state, begin, end):
    begin()
    first = flows(tap, house, what)
    # A page or two may be left in the file and its log: more comes until there is no room.
    tap.ok(taps.wait_for(lambda: flows(tap, house, what, 5) and journal(house).get("state") == state, SOON),
           f"{what}: the state is named", journal(house))
    ref = flows(tap, house, what)
    status, out, err = house.ctl("why", ref)
    tap.ok(status == 0 or err, f"{what}: why tells of it, or says that it cannot", status, out, err)
    end()
    ref = flows(tap, house, f"{what}, and over")
    tap.ok(is_known(house, ref), f"{what}: afterwards it is written again, without a restart", journal(house))
    tap.ok(is_known(house, first), f"{what}: with what waited", house.ctl("why", first), journal(house))
    tap.same(journal(house).get("state"), "fine", f"{what}: and the state is fine")


def from_the_start(tap, house, disk):
    house.daemon.stop()
    disk.remount("ro")
    house.daemon.start()
    flows(tap, house, "read-only from the start")
    # stats has no socket to ask at: it would be on that disk.
    tap.ok("journal.sqlite: read-only" in house.daemon.text(80), "read-only from the start: the log names it",
           house.daemon.text(20))
    disk.remount("rw")
    ref = flows(tap, house, "writable")
    tap.ok(is_known(house, ref), "and when it can be written it is", journal(house))


def main(tap):
    with House(CONFIG, tap, start=False) as house:
        disk = Disk(house, "16m")
        try:
            house.daemon.start()
            flows(tap, house, "before")
            in_trouble(tap, house, "full", "full", disk.fill, disk.empty)
            from_the_start(tap, house, disk)
        finally:
            disk.close()


if os.geteuid() != 0 or not shutil.which("unshare"):
    taps.skip_all("mounts need root's rights and unshare(1)")
if "SME_OWN_MOUNTS" not in os.environ:
    os.environ["SME_OWN_MOUNTS"] = "yes"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, os.path.realpath(__file__)])
taps.run(main)
