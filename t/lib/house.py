"""house.py - a daemon behind a Postfix of its own, as every end-to-end test needs them."""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True

from daemon import Daemon
from postfix import Postfix
from smtp import Smtp, mail_text
from tap import build_dir

# What every test needs that is not its subject. Nothing asks the DNS, and should something ask, nobody is there. 127.0.0.9 is the machine in the next room, 127.0.0.1 a stranger.
COMMON = """
local_networks = {"127.0.0.9/32", "192.168.1.0/24"}
local_domains = {"here.test"}
loadcheck { max_load = 1000 }
earlytalker { enabled = no }
fcrdns { enabled = no }
resolvable_fromhost { enabled = no }
spf { enabled = no }
dkim { enabled = no }
dmarc { enabled = no }
dns { servers = {"127.0.0.1:1"} }
"""


class House:
    """`config` may name the ports of Postfix's services: port = {@smtp@, @submission@}. `tap` hears of the logs when
    something fails."""

    def __init__(self, config, tap=None, extra=None, main=None, start=True):
        self.template = config
        self.tap = tap
        self.daemon = Daemon("")
        self.postfix = Postfix("unix:" + self.daemon.socket, extra, main)
        self.start_daemon = start
        self.mails = 0

    def __enter__(self):
        try:
            self.postfix.start()
            self.configure(self.template)
            if self.start_daemon:
                self.daemon.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, *_):
        if self.tap and (self.tap.failed or kind not in (None, SystemExit)):
            self.tap.diag("the daemon's log:\n" + self.daemon.text(80))
            self.tap.diag("Postfix's log:\n" + self.postfix.maillog(80))
        self.close()
        complaints = self.daemon.complaints()
        if self.tap and kind is None and complaints:
            self.tap.ok(False, "the daemon's log has no complaint of a sanitizer", "\n".join(complaints))

    def close(self):
        self.postfix.close()
        self.daemon.close()

    @property
    def port(self):
        return self.postfix.port

    @property
    def sink(self):
        return self.postfix.sink

    def configure(self, template):
        """Write the file; a reload is another thing."""
        self.daemon.configure(re.sub(r"@(\w+)@", lambda m: str(self.port[m.group(1)]), COMMON + template))

    def ctl(self, *words, stdin=None):
        """Run sme-milterctl with the daemon's configuration: exit status, standard output, standard error."""
        done = subprocess.run([os.path.join(build_dir(), "sme-milterctl"), "-c", self.daemon.config, *words],
                              input=stdin, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def client(self, service, helo="client.test", source="127.0.0.1", starttls=False, auth=False):
        """A session that has said EHLO (None: not yet), with TLS and AUTH where asked for; raises where these fail."""
        client = Smtp(self.port[service], source=source, tls=service == "submissions")
        if helo is not None:
            client.ehlo(helo)
        if starttls or (auth and not client.tls):
            reply = client.starttls()
            if reply.code != 220:
                raise RuntimeError(f"STARTTLS: {reply}")
            client.ehlo(helo)
        if auth:
            reply = client.auth(self.postfix.user, self.postfix.password)
            if reply.code != 235:
                raise RuntimeError(f"AUTH: {reply}\n{self.postfix.maillog()}")
        return client

    def sender(self):
        """A sender that no other message of this test has: how its log line is found."""
        self.mails += 1
        return f"m{self.mails}-{os.getpid()}@there.test"

    def record_of(self, sender, seconds=20):
        return self.daemon.wait_record(lambda r: r["from"] == f"<{sender}>", seconds)

    def subject_of(self, sender):
        return sender.split("@")[0]

    def send(self, client, sender=None, recipients=("bob@here.test",), **how):
        """One message; the last reply, its sender."""
        sender = sender or self.sender()
        how.setdefault("subject", self.subject_of(sender))
        reply = client.message(sender, list(recipients), mail_text(sender=how.pop("header_from", sender), **how))
        return reply, sender
