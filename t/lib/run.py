#!/usr/bin/python3
"""run.py - what `bootstrap run` and `bootstrap run --once` do: a daemon behind a private Postfix on loopback.

usage: run.py [--once]
"""
import os
import signal
import sys
import threading

sys.dont_write_bytecode = True

import dnsd
import processes
from daemon import Daemon
from postfix import PASSWORD, USER, Postfix
from smtp import Smtp, mail_text
from tap import build_dir

WISHES = {"smtp": 2525, "submissions": 2465, "submission": 2587}

CONFIG = """
# 127.0.0.9 plays a machine of the local network; any other loopback address is a stranger.
local_networks = {{"127.0.0.9/32"}}
local_domains = {{"here.test"}}

loadcheck {{ max_load = 1000 }}
# A name server of our own, in which the names of this example exist.
dns {{ servers = {{"{dns}"}} }}
badmailfrom {{ senders = {{"@bad.test mail from bad.test is not accepted here"}} }}
badrcptto {{ recipients = {{"gone@here.test"}} }}

profile "submission" {{
    port = {{{submissions}, {submission}}}
    policies = {{"tls", "relay", "helo", "badmailfrom", "bogus_bounce", "bcc", "headers"}}
    bcc {{ enabled = yes  to = "archive@here.test"  direction = outgoing }}
}}
profile "smtp-local" {{ port = {{{smtp}}} }}
profile "smtp" {{ port = {{{smtp}}} }}
"""

ZONE = """
there.test MX 10 mx.there.test
mx.there.test A 192.0.2.25
bad.test A 192.0.2.66
here.test MX 10 mx.here.test
mx.here.test A 192.0.2.1
client.test A 127.0.0.1
1.0.0.127.in-addr.arpa PTR client.test
"""


def choose_ports():
    chosen = {}
    for service, wish in WISHES.items():
        port = wish
        while port in chosen.values() or not processes.port_is_free(port):
            port += 1
        if port != wish:
            print(f"port {wish} is in use; {service} listens on {port} instead")
        chosen[service] = port
    return chosen


class Talk:
    """A client that tells what it says and hears."""

    def __init__(self, port, tls=False, source="127.0.0.1"):
        self.client = Smtp(port, source=source, tls=tls)

    def say(self, line, shown=None):
        reply = self.client.cmd(line)
        print(f"    {shown or line:58} -> {reply.code} {reply.text.splitlines()[-1]}")
        return reply

    def hello(self, name):
        self.say("EHLO " + name)

    def starttls(self, name):
        self.client.starttls()
        self.client.ehlo(name)
        print(f"    {'STARTTLS, EHLO ' + name:58} -> {self.client.tls_version()}")

    def auth(self):
        reply = self.client.auth(USER, PASSWORD)
        print(f"    {'AUTH as ' + USER:58} -> {reply.code} {reply.text}")

    def send(self, sender, recipients, message):
        if self.say(f"MAIL FROM:<{sender}>").code != 250:
            return
        if not [r for r in recipients if self.say(f"RCPT TO:<{r}>").code == 250]:
            return
        if self.say("DATA").code == 354:
            reply = self.client.content(message)
            print(f"    {'the message':58} -> {reply.code} {reply.text}")

    def end(self):
        self.client.quit()


# title, service, what the client does, sender, recipients, how the message differs, the decision that must come of it
# (None: Postfix refuses it before it asks the filter).
CASES = [
    ("Good mail from a stranger", "smtp", {}, "carol@there.test", ["bob@here.test"], {}, "accept"),
    ("A client whose HELO name is a bare IP address", "smtp", {"helo": "192.0.2.1"}, "spam@there.test",
     ["bob@here.test"], {}, "reject"),
    ("The same from the local network (127.0.0.9)", "smtp", {"helo": "192.0.2.1", "source": "127.0.0.9"},
     "printer@here.test", ["bob@here.test"], {}, "accept"),
    ("A sender whose domain does not exist", "smtp", {}, "ghost@nowhere.test", ["bob@here.test"], {}, "reject"),
    ("A sender on the list of badmailfrom", "smtp", {}, "news@bad.test", ["bob@here.test"], {}, "reject"),
    ("A bounce to two recipients", "smtp", {}, "", ["bob@here.test", "carla@here.test"],
     {"header_from": "mailer-daemon@there.test"}, "accept"),
    ("A message without From", "smtp", {}, "dave@there.test", ["bob@here.test"], {"header_from": ""}, "reject"),
    ("A stranger who wants to relay", "smtp", {}, "eve@there.test", ["far@away.test"], {}, None),
    ("Authenticated submission with TLS from the first byte, copied by bcc", "submissions", {"auth": True},
     "alice@here.test", ["far@away.test"], {}, "accept"),
    ("Authenticated submission with STARTTLS, its bad HELO name forgiven", "submission",
     {"auth": True, "helo": "192.0.2.1"}, "alice.phone@here.test", ["bob@here.test"], {}, "accept"),
    ("Submission without AUTH", "submission", {"tls": True}, "mallory@here.test", ["far@away.test"], {}, None),
    ("Submission without TLS", "submission", {}, "trudy@here.test", ["far@away.test"], {}, None),
]


def decision(record):
    text = record["verdict"]
    if record["by"]:
        text += f" by {record['by']} at {record['at']}"
    elif record["at"] != "message":
        text = "nothing to refuse until the client went away"
    print(f"  decision  {text}   (profile {record['profile']}, ref {record['ref']})")
    print(f"  findings  {record['findings'].replace(',', ', ') or 'none'}")
    if record["reply"]:
        print(f"  reply     {record['reply']}")


def play(number, case, daemon, postfix):
    """One case; True when the filter decided as it should."""
    title, service, client, sender, recipients, message, wanted = case
    print(f"\n{number}. {title}\n  sent to port {postfix.port[service]} ({service})")
    seen = len(daemon.records)
    talk = Talk(postfix.port[service], service == "submissions", client.get("source", "127.0.0.1"))
    helo = client.get("helo", "client.test")
    talk.hello(helo)
    if service == "submission" and (client.get("auth") or client.get("tls")):
        talk.starttls(helo)
    if client.get("auth"):
        talk.auth()
    talk.send(sender, recipients, mail_text(subject=f"case {number}", sender=message.get("header_from", sender)))
    talk.end()
    record = daemon.wait_record(lambda r: r["from"] == f"<{sender}>", 5 if wanted else 1, seen)
    if record:
        decision(record)
    if wanted is None:
        print("  Postfix refused this by itself: relaying, TLS and AUTH are its business")
        return True
    if wanted == "accept":
        mails = postfix.sink.subject(f"case {number}")
        print(f"  delivered to {', '.join(sorted(r for m in mails for r in m.recipients)) or 'nobody'}")
        return bool(record and record["verdict"] == wanted and mails)
    return bool(record and record["verdict"] == wanted)


def once(daemon, postfix):
    wrong = [number for number, case in enumerate(CASES, 1) if not play(number, case, daemon, postfix)]
    print()
    if wrong:
        print(f"not decided as expected: {', '.join(map(str, wrong))}; the daemon's log:\n{daemon.text()}")
        return 1
    print(f"{len(CASES)} messages sent through {', '.join(f'{p} ({n})' for n, p in postfix.port.items())}, "
          "each decided as it should be")
    return 0


def instructions(daemon, postfix):
    port = postfix.port
    print(f"""
sme-milter runs behind a private Postfix on 127.0.0.1:
    {port['smtp']} smtp    {port['submissions']} submissions (TLS)    {port['submission']} submission (STARTTLS)
    AUTH: user {USER}, password {PASSWORD}    local domain: here.test

Send to it, for example:
    curl -s smtp://127.0.0.1:{port['smtp']}/client.test \\
        --mail-from carol@there.test --mail-rcpt bob@here.test -T MESSAGE
    curl -s smtps://127.0.0.1:{port['submissions']}/client.test -k -u {USER}:{PASSWORD} \\
        --mail-from alice@here.test --mail-rcpt far@away.test -T MESSAGE
    curl -s smtp://127.0.0.1:{port['submission']}/client.test --ssl-reqd -k -u {USER}:{PASSWORD} \\
        --mail-from alice@here.test --mail-rcpt bob@here.test -T MESSAGE
    swaks --server 127.0.0.1 --port {port['smtp']} --helo 192.0.2.1 --from carol@there.test --to bob@here.test
    openssl s_client -quiet -starttls smtp -connect 127.0.0.1:{port['submission']}

configuration: {daemon.config} (edit it, then: kill -HUP {daemon.process.pid})
delivered:     {postfix.directory.file('delivered')}/
Postfix's log: {postfix.log_path}

The daemon's log follows; Ctrl-C ends all of it.
""", flush=True)


def main():
    arguments = sys.argv[1:]
    if arguments not in ([], ["--once"]):
        sys.exit(__doc__)
    if os.geteuid() != 0:
        print("run: Postfix starts as root only", file=sys.stderr)
        sys.exit(77)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: (stopping.set(), sys.exit(130) if arguments else None))
    ports = choose_ports()
    follow = not arguments
    names = dnsd.Server(zone=ZONE)
    daemon = Daemon(CONFIG.format(dns=names.address, **ports), os.path.join(build_dir(), "sme-milter"),
                    on_line=(lambda line, _: print(line, flush=True)) if follow else None)
    status = 0
    try:
        with names, Postfix("unix:" + daemon.socket, ports=dict(ports, xclient=0)) as postfix:
            daemon.start()
            if follow:
                instructions(daemon, postfix)
                while not stopping.wait(0.5) and daemon.process.poll() is None:
                    pass
                if not stopping.is_set():
                    print(f"the daemon ended with status {daemon.process.returncode}")
                    status = 1
            else:
                status = once(daemon, postfix)
    finally:
        daemon.close()
    sys.exit(status)


if __name__ == "__main__":
    main()
