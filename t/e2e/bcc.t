#!/usr/bin/python3
"""bcc as the archive's owner sees it: who gets a copy, of what, how many, and whether the message tells of it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps
from house import House

ARCHIVE = "archive@here.test"
CONFIG = """
bcc {
    enabled = yes
    to = "archive@here.test"
    ignore_from = {"boss@there.test", "@quiet.test"}
    ignore_to = {"secret@here.test"}
}
badrcptto { recipients = {"gone@here.test"} }
profile "submission" { port = {@submission@}                bcc { direction = outgoing } }
profile "silent"     { port = {@silent@}    policies = {"bcc", "headers", "badrcptto"}  bcc { mode = bcc } }
profile "incoming"   { port = {@incoming@}  policies = {"relay", "bcc"}  bcc { direction = incoming } }
profile "outgoing"   { port = {@outgoing@}  policies = {"relay", "bcc"}  bcc { direction = outgoing } }
profile "smtp-local" { port = {@smtp@} }
profile "smtp"       { port = {@smtp@} }
"""
# The next two may send anywhere: what is tested is ours, not Postfix's relaying.
ANYWHERE = {"like": "smtp", "mynetworks": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks,reject"}
EXTRA = {"silent": {"like": "smtp"}, "incoming": ANYWHERE, "outgoing": ANYWHERE}


class Copies:
    def __init__(self, tap, house):
        self.tap, self.house = tap, house

    def check(self, what, service, copied, told=False, recipients=("bob@here.test",), sender=None, wanted=None, **how):
        """Send one message; everybody must get it exactly once, the archive if `copied`."""
        with self.house.client(service, **how) as client:
            subject = self.house.subject_of(self.house.sender())
            reply, _ = self.house.send(client, sender or subject + "@there.test", recipients, subject=subject)
            client.quit()
        self.tap.reply(reply, 250, f"{what}: accepted")
        self.house.sink.subject(subject)
        self.house.postfix.wait_empty()
        mails = self.house.sink.subject(subject, 0)
        got = sorted(r for m in mails for r in m.recipients)
        self.tap.same(got, sorted(list(wanted or recipients) + ([ARCHIVE] if copied else [])),
                      f"{what}: {'one copy for the archive' if copied else 'no copy'}, everybody gets one message")
        self.tap.same(mails[0].header("X-Copied-To") if mails else "no mail", [ARCHIVE] if told else [],
                      f"{what}: {'the message tells of it' if told else 'the message does not tell'}")
        return mails


def modes(tap, c):
    mails = c.check("mode = cc", "smtp", True, told=True)
    tap.ok(mails and len({m.content for m in mails}) == 1, "all get the same bytes")
    c.check("mode = cc, several recipients", "smtp", True, told=True, recipients=["bob@here.test", "carol@here.test"])
    mails = c.check("mode = bcc", "silent", True)
    tap.ok(mails and b"archive" not in b"".join(m.content for m in mails), "mode = bcc: no word of the archive in it")
    c.check("mode = cc, local network", "smtp", True, told=True, source="127.0.0.9")


def duplicates(tap, c):
    for word, address in (("as it is", ARCHIVE), ("in capitals", "Archive@HERE.test")):
        with c.house.client("smtp") as client:
            reply, sender = c.house.send(client, recipients=["bob@here.test", address])
            client.quit()
        tap.reply(reply, 250, f"the archive is a recipient already, {word}: accepted")
        c.house.sink.subject(c.house.subject_of(sender))
        c.house.postfix.wait_empty()
        got = [r.lower() for m in c.house.sink.subject(c.house.subject_of(sender), 0) for r in m.recipients]
        tap.same(sorted(got), [ARCHIVE, "bob@here.test"], f"the archive is a recipient already, {word}: one copy")
    with c.house.client("smtp") as client:
        for n in range(3):
            reply, sender = c.house.send(client)
            c.house.sink.subject(c.house.subject_of(sender))
            c.house.postfix.wait_empty()
            got = [r for m in c.house.sink.subject(c.house.subject_of(sender), 0) for r in m.recipients]
            tap.same(sorted(got), [ARCHIVE, "bob@here.test"], f"message {n + 1} of one session: one copy")


def directions(tap, c):
    far = ["far@away.test"]
    c.check("incoming: to a local domain", "incoming", True, told=True)
    c.check("incoming: from here to elsewhere", "incoming", False, recipients=far, source="127.0.0.9")
    c.check("incoming: to both", "incoming", True, told=True, recipients=far + ["bob@here.test"], source="127.0.0.9")
    c.check("outgoing: from a stranger", "outgoing", False)
    c.check("outgoing: from the local network", "outgoing", True, told=True, recipients=far, source="127.0.0.9")
    c.check("outgoing: from the local network to a local domain", "outgoing", True, told=True, source="127.0.0.9")
    c.check("outgoing: authenticated", "submission", True, told=True, recipients=far, auth=True)


def ignored(tap, c):
    c.check("ignore_from, an address", "smtp", False, sender="boss@there.test")
    c.check("ignore_from, in capitals", "smtp", False, sender="Boss@There.test")
    c.check("ignore_from, a domain", "smtp", False, sender="anybody@quiet.test")
    c.check("ignore_from, another address of that domain", "smtp", True, told=True, sender="big-boss@there.test")
    c.check("ignore_to", "smtp", False, recipients=["secret@here.test"])
    c.check("ignore_to and another recipient", "smtp", True, told=True,
            recipients=["secret@here.test", "bob@here.test"])


def refused(tap, c):
    with c.house.client("silent") as client:
        sender = c.house.sender()
        reply, _ = c.house.send(client, sender, header_from="")
        tap.reply(reply, 550, "a refused message", "5.6.0")
        client.quit()
    tap.ok(c.house.record_of(sender), "a refused message: logged")
    c.house.postfix.wait_empty()
    tap.same(c.house.sink.subject(c.house.subject_of(sender), 0), [], "a refused message: not copied")
    with c.house.client("silent") as client:
        sender = c.house.sender()
        client.mail(sender)
        tap.reply(client.rcpt("gone@here.test"), 550, "the only recipient refused")
        tap.reply(client.cmd("DATA"), 554, "then there is no message")
        client.quit()
    c.check("one of two recipients refused", "silent", True, recipients=["gone@here.test", "bob@here.test"],
            wanted=["bob@here.test"])


def main(tap):
    with House(CONFIG, tap, EXTRA) as house:
        copies = Copies(tap, house)
        for part in (modes, duplicates, directions, ignored, refused):
            tap.note(f"---- {part.__name__}")
            part(tap, copies)


taps.run(main)
