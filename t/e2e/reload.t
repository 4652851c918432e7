#!/usr/bin/python3
"""SIGHUP, and kill -9 of the serving process, while several clients send: nothing is lost, nothing comes twice.

Every message is either delivered exactly once or was refused with 4xx; reloads alone refuse nothing at all. Each
configuration sends its copy to another archive, so a message that got none passed unfiltered, and one that got two was
judged by two configurations.
"""
import os
import sys
import threading
import time
from collections import Counter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps
from house import House
from smtp import mail_text

CLIENTS = 6
SECONDS = 5

CONFIG = """
profile "smtp-local" { port = {@smtp@} }
profile "smtp" { port = {@smtp@}  bcc { enabled = yes  to = "copy-%s@here.test" } }
"""
BROKEN = ['profile "smtp" { port = {@smtp@} ', 'no_such_option = 1\n', 'profile "smtp" { policies = {"nonsense"} }\n']


class Load:
    """Clients that send one message after the other, in sessions of one to three."""

    def __init__(self, house, name):
        self.house, self.name = house, name
        self.delivered, self.refused, self.odd = set(), {}, []
        self.begun = Counter()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._client, args=(n,)) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _client(self, number):
        count = session = 0
        while not self.over.is_set():
            session += 1
            try:
                with self.house.client("smtp", helo=f"{self.name}{number}.test") as client:
                    if client.greeting.code != 220:
                        self.odd.append(("greeting", client.greeting))
                    for _ in range(session % 3 + 1):
                        count += 1
                        self._send(client, f"{self.name}-{number}-{count}")
                    bye = client.quit()
                    if bye.code != 221:
                        self.odd.append(("QUIT", bye))
            except (OSError, ValueError, RuntimeError) as error:
                self.odd.append(("session", repr(error)))

    def _send(self, client, subject):
        self.begun[subject] += 1
        reply = client.message(subject + "@there.test", ["bob@here.test"], mail_text(subject=subject, body="x" * 2000))
        if reply.code == 250:
            self.delivered.add(subject)
        elif 400 <= reply.code < 500:
            self.refused[subject] = reply
            client.cmd("RSET")
        else:
            self.odd.append((subject, reply))

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(120)
        self.house.postfix.wait_empty()
        return self


def account(tap, house, load):
    """The books must balance: sent = delivered + refused, and the sink and the log say the same."""
    name, sent = load.name, sum(load.begun.values())
    tap.note(f"{name}: sent {sent}, delivered {len(load.delivered)}, refused {len(load.refused)}, odd {len(load.odd)}")
    tap.same(load.odd, [], f"{name}: every answer is 250 or 4xx, in order, and no session breaks")
    tap.same(len(load.delivered) + len(load.refused), sent, f"{name}: sent = delivered + refused")
    got, copies, queue_ids = Counter(), {}, {}
    for mail in house.sink.mails:
        if mail.subject in load.begun:
            got.update(mail.subject for r in mail.recipients if r == "bob@here.test")
            copies.setdefault(mail.subject, []).extend(r for r in mail.recipients if r != "bob@here.test")
            queue_ids[mail.subject] = mail.queue_id
    tap.same(sorted(load.delivered - set(got)), [], f"{name}: no message is lost after its 250")
    tap.same(sorted(s for s, n in got.items() if n != 1), [], f"{name}: none arrives twice")
    tap.same(sorted(s for s in load.refused if s in got), [], f"{name}: none arrives that was refused")
    tap.same({s: c for s, c in copies.items() if len(c) != 1}, {},
             f"{name}: each was judged by exactly one configuration")
    with house.daemon.changed:
        logged = Counter(r["queue_id"] for r in house.daemon.records
                         if r["verdict"] == "accept" and r["at"] == "message")
    tap.same({s: logged[q] for s, q in queue_ids.items() if logged[q] != 1}, {},
             f"{name}: each is logged once as accepted")
    return Counter(c for each in copies.values() for c in each)


def under_load(house, name, disturb, seconds=SECONDS):
    """Run disturb(n) again and again while the load runs."""
    load = Load(house, name)
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        number += 1
        disturb(number)
        time.sleep(0.1)  # the pace of the disturbance
    return load.end(), number


def reload_alone(tap, house):
    answered = []

    def disturb(number):
        if number % 4 == 3:
            house.configure(BROKEN[number // 4 % len(BROKEN)])
        else:
            house.configure(CONFIG % "ab"[number % 2])
        answered.append(house.daemon.reload())

    load, count = under_load(house, "hup", disturb)
    tap.note(f"{count} reloads")
    tap.ok(all(answered) and count >= 8, "every reload comes to its end", answered)
    copies = account(tap, house, load)
    tap.same(load.refused, {}, "reloads alone refuse nothing")
    tap.ok(len(load.delivered) >= 50, "and there was a load worth the name", len(load.delivered))
    tap.same(sorted(copies), ["copy-a@here.test", "copy-b@here.test"], "both configurations were in use")


def broken_configuration(tap, house):
    house.configure(CONFIG % "a")
    house.daemon.reload()
    for number, text in enumerate(BROKEN):
        seen = len(house.daemon.log)
        house.configure(text)
        tap.ok(house.daemon.reload(), f"reload of broken configuration {number + 1} ends")
        tap.ok(house.daemon.wait_line(house.daemon.config + ":", since=seen), "the log names its file and line",
               house.daemon.text())
        with house.client("smtp") as client:
            reply, sender = house.send(client)
        tap.reply(reply, 250, "mail flows on")
        mails = house.sink.subject(house.subject_of(sender))
        house.postfix.wait_empty()
        got = sorted(r for m in house.sink.subject(house.subject_of(sender), 0) for r in m.recipients)
        tap.same(got, ["bob@here.test", "copy-a@here.test"], "under the old configuration")
    house.configure(CONFIG % "b")
    tap.ok(house.daemon.reload(), "reload of the next good one ends")
    with house.client("smtp") as client:
        reply, sender = house.send(client)
    house.sink.subject(house.subject_of(sender))
    house.postfix.wait_empty()
    got = sorted(r for m in house.sink.subject(house.subject_of(sender), 0) for r in m.recipients)
    tap.same(got, ["bob@here.test", "copy-b@here.test"], "and it is in force")


def open_sessions(tap, house):
    """What happens to a message that is half sent."""
    house.configure(CONFIG % "a")
    house.daemon.reload()
    with house.client("smtp") as client:
        sender = house.sender()
        client.mail(sender)
        client.rcpt("bob@here.test")
        tap.reply(client.cmd("DATA"), 354, "a message is half sent")
        client.send("Subject: " + house.subject_of(sender) + "\r\nFrom: a@there.test\r\n")
        house.configure(CONFIG % "b")
        tap.ok(house.daemon.reload(), "and the daemon is reloaded")
        tap.reply(client.content("\nrest\n"), 250, "the message is accepted")
        house.sink.subject(house.subject_of(sender))
        house.postfix.wait_empty()
        got = sorted(r for m in house.sink.subject(house.subject_of(sender), 0) for r in m.recipients)
        tap.same(got, ["bob@here.test", "copy-a@here.test"], "under the configuration it began with")
    with house.client("smtp") as client:
        sender = house.sender()
        client.mail(sender)
        client.rcpt("bob@here.test")
        tap.reply(client.cmd("DATA"), 354, "another is half sent")
        client.send("Subject: " + house.subject_of(sender) + "\r\nFrom: a@there.test\r\n")
        old, new = house.daemon.kill9_child()
        tap.ok(old and new and old != new, "the serving process is killed and replaced", f"{old} {new}")
        tap.reply(client.content("\nrest\n"), 451, "that message is refused for now")
        with house.client("smtp") as other:
            reply, other_sender = house.send(other)
            tap.reply(reply, 250, "a new session works at once")
        tap.ok(house.record_of(other_sender), "and is filtered")
        house.postfix.wait_empty()
        tap.same(house.sink.subject(house.subject_of(sender), 0), [], "the refused one is not delivered")


def killed(tap, house):
    pids = set()

    def disturb(number):
        house.configure(CONFIG % "ab"[number % 2])
        house.daemon.reload(2)
        time.sleep(0.2)
        pids.update(p for p in house.daemon.kill9_child() if p)

    load, count = under_load(house, "kill", disturb)
    tap.note(f"{count} times killed")
    tap.ok(len(pids) > count >= 3, "each kill hit another process", f"{count} {sorted(pids)}")
    account(tap, house, load)
    tap.ok(len(load.delivered) >= 20, "and mail went through between them", len(load.delivered))
    tap.ok(house.daemon.process.poll() is None, "the parent process has lived through it all")


def main(tap):
    with House(CONFIG % "a", tap) as house:
        for part in (broken_configuration, open_sessions, reload_alone, killed):
            tap.note(f"---- {part.__name__}")
            part(tap, house)
        tap.same(house.daemon.stop(), 0, "TERM at the end: exit status 0")


taps.run(main)
