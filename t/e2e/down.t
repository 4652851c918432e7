#!/usr/bin/python3
"""When the daemon is down, hangs, ends or comes back: milter_default_action is in force, and not a moment longer."""
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from house import House
from smtp import mail_text
from tap import wait_for

CONFIG = """
badmailfrom { senders = {"@bad.test"} }
profile "smtp-local" { port = {@smtp@} }
profile "smtp" { port = {@smtp@, @open@, @impatient@} }
"""
EXTRA = {
    "open": {"like": "smtp", "milter_default_action": "accept"},
    "impatient": {"like": "smtp", "milter_command_timeout": "2s", "milter_connect_timeout": "2s"},
}


def both_actions(tap, house, when, postfix_says=451):
    """tempfail on one service, accept on the other."""
    with house.client("smtp") as client:
        tap.reply(client.greeting, 220, f"{when}, tempfail: greeting")
        tap.reply(client.mail("a@there.test"), postfix_says, f"{when}, tempfail: MAIL is put off")
        client.quit()
    with house.client("open") as client:
        sender = f"{when.replace(' ', '-')}@bad.test"
        tap.reply(client.message(sender, ["bob@here.test"], mail_text(subject=sender)), 250,
                  f"{when}, accept: a message passes unfiltered")
        client.quit()
    tap.same(len(house.sink.subject(sender)), 1, f"{when}, accept: and is delivered")


def in_force(tap, house, when):
    """The daemon filters: the bad sender is refused on every service, good mail passes and is logged."""
    for service in ("smtp", "open"):
        with house.client(service) as client:
            tap.reply(client.mail("x@bad.test"), 550, f"{when}, {service}: the filter refuses", "5.7.1")
            reply, sender = house.send(client)
            tap.reply(reply, 250, f"{when}, {service}: and accepts")
            tap.fields(house.record_of(sender), {"verdict": "accept", "profile": "smtp"},
                       f"{when}, {service}: log line")
            client.quit()


def down_and_up(tap, house):
    both_actions(tap, house, "never started")
    house.daemon.start()
    in_force(tap, house, "just started")


def second_start(tap, house):
    second = subprocess.run([house.daemon.program, "-c", house.daemon.config], capture_output=True, text=True,
                            timeout=30, stdin=subprocess.DEVNULL)
    tap.ok(second.returncode not in (0, None) and second.returncode > 0, "a second start on a live socket refuses",
           second.returncode, second.stderr)
    tap.has(second.stderr, house.daemon.socket, "and says which socket")
    in_force(tap, house, "after a refused second start")


def hanging(tap, house):
    children = house.daemon.children()
    tap.same(len(children), 1, "there is one serving process")
    os.kill(children[0], signal.SIGSTOP)
    try:
        began = time.monotonic()
        with house.client("impatient") as client:
            tap.reply(client.mail("a@there.test"), 451, "the daemon hangs: MAIL is put off")
        tap.ok(time.monotonic() - began < 10, "within 10 s", time.monotonic() - began)
    finally:
        try:
            os.kill(children[0], signal.SIGCONT)
        except ProcessLookupError:
            pass
    in_force(tap, house, "after that")


def drain(tap, house):
    client = house.client("smtp")
    sender = house.sender()
    client.mail(sender)
    client.rcpt("bob@here.test")
    tap.reply(client.cmd("DATA"), 354, "a message is half sent")
    client.send("Subject: " + house.subject_of(sender) + "\r\nFrom: a@there.test\r\n")
    status = []
    stopping = threading.Thread(target=lambda: status.append(house.daemon.stop(30)))
    stopping.start()
    tap.ok(wait_for(lambda: not os.path.exists(house.daemon.socket), 10), "TERM: the socket goes at once")
    both_actions(tap, house, "while it drains")
    tap.ok(stopping.is_alive(), "the daemon waits for the open session")
    tap.reply(client.content("\nrest\n"), 250, "whose message is accepted")
    tap.reply(client.quit(), 221, "and which ends well")
    tap.fields(house.record_of(sender), {"verdict": "accept", "profile": "smtp"}, "it was filtered")
    tap.same(len(house.sink.subject(house.subject_of(sender))), 1, "and delivered")
    stopping.join(40)
    tap.same(status, [0], "then the daemon ends with status 0")
    tap.same(processes.session_members(house.daemon.process.pid), [], "and leaves no process behind")
    both_actions(tap, house, "stopped")
    house.daemon.start()
    in_force(tap, house, "started again")


def stale_socket(tap, house):
    pid = house.daemon.process.pid
    children = house.daemon.children()
    os.kill(pid, signal.SIGKILL)
    house.daemon.process.wait(10)
    tap.ok(wait_for(lambda: not any(processes.is_alive(c) for c in children), 20),
           "kill -9 of the parent: the serving process ends, too")
    if not os.path.exists(house.daemon.socket):  # it may well clean up; leave what a power failure would
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(house.daemon.socket)
        stale.close()
    both_actions(tap, house, "killed")
    house.daemon.start()
    in_force(tap, house, "with a stale socket in the way")


def main(tap):
    with House(CONFIG, tap, EXTRA, start=False) as house:
        for part in (down_and_up, second_start, hanging, drain, stale_socket):
            tap.note(f"---- {part.__name__}")
            part(tap, house)


taps.run(main)
