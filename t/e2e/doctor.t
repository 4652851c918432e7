#!/usr/bin/python3
"""`postfix doctor`: a sound set-up has no finding; each way to break it has exactly one, and its remedy mends it."""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from tap import build_dir

CTL = os.path.join(build_dir(), "sme-milterctl")
ESCAPE = "\x1b"


class Milter:
    """Answers the negotiation of the milter protocol, or does something else with the connection."""

    def __init__(self, address, mode=0o666, answer="milter"):
        self.answer = answer
        self.hold = []
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(address)
        if family == socket.AF_UNIX:
            os.chmod(address, mode)
        self.listener.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.answer == "milter":
                    client.recv(64)
                    client.sendall(struct.pack(">IcIII", 13, b"O", 6, 0x1FF, 0))
                    client.recv(64)
                elif self.answer == "smtp":
                    client.sendall(b"220 mx.here.test ESMTP\r\n")
                    client.recv(64)
                if self.answer == "nothing":
                    self.hold.append(client)  # until the end
                else:
                    client.close()
            except OSError:
                client.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # else the thread in accept() keeps it open for one more client
        except OSError:
            pass
        self.listener.close()
        for client in self.hold:
            client.close()


class Patient:
    """A configuration directory as the snippet leaves it, with a listening milter and a resolver of its own."""

    def __init__(self, tap):
        self.tap = tap
        self.directory = processes.Directory()
        self.file = self.directory.file
        self.conf = self.file("conf")
        self.socket = self.file("m.sock")
        for name in ("conf", "queue", "data"):
            os.makedirs(self.file(name))
        shutil.copy("/usr/share/postfix/master.cf.dist", self.conf + "/master.cf")
        self.directory.write("conf/main.cf", f"compatibility_level = 3.6\nqueue_directory = {self.file('queue')}\n"
                             f"data_directory = {self.file('data')}\nalias_maps =\nmyhostname = mx.here.test\n")
        self.resolv = self.directory.write("resolv.conf", "# ours\nnameserver 127.0.0.1\n")
        self.config = self.directory.write("sme-milter.conf", "")
        self.configure()
        snippet = self.ctl("postfix", "snippet", "--config-dir", self.conf)
        subprocess.run(["sh", "-e"], input=snippet.stdout, text=True, check=True)
        self.sound = self.files()
        self.milter = Milter(self.socket)

    def configure(self, more="", listen=None):
        self.directory.write("sme-milter.conf", f'listen = "{listen or "unix:" + self.socket}"\n{more}')

    def files(self):
        return {name: open(os.path.join(self.conf, name)).read() for name in ("main.cf", "master.cf")}

    def ctl(self, *words, env=None):
        return subprocess.run([CTL, "-c", self.config, *words], capture_output=True, text=True, timeout=60, env=env)

    def doctor(self, *words, env=None):
        return self.ctl("postfix", "doctor", "--config-dir", self.conf, "--resolv-conf", self.resolv, *words, env=env)

    def set(self, *words):
        done = subprocess.run(["postconf", "-c", self.conf, *words], capture_output=True, text=True, timeout=60)
        if done.returncode or done.stderr:
            raise RuntimeError(f"postconf {words}: {done.stderr}")

    def heal(self):
        """The files as they were."""
        for name, text in self.sound.items():
            self.directory.write("conf/" + name, text)
        self.configure()

    def findings(self, name, status=1):
        """All findings of one run, after checking that both forms of output agree on them."""
        plain, listed = self.doctor(), self.doctor("--json")
        every = json.loads(listed.stdout or "[]")
        found = [f for f in every if f["level"] in ("warning", "problem")]
        lines = [f"{f['level']:8} {f['check']}" + (f" ({f['service']})" if f["service"] else "") + ": " + f["text"]
                 for f in every]
        shown = [line for line in plain.stdout.splitlines() if not line.startswith("  ")][:-1]
        self.tap.ok(plain.returncode == listed.returncode == status, f"{name}: exit {status}",
                    plain.stdout + plain.stderr)
        self.tap.ok(shown == lines and ESCAPE not in plain.stdout, f"{name}: text and JSON say the same", *shown)
        return found

    def one(self, name, level, check, *words, service="", mended_by_remedy=True):
        """Exactly one finding, with these words in it; its remedy, really run, ends it. Then all is sound again."""
        found = self.findings(name)
        good = [(f["level"], f["check"], f["service"]) for f in found] == [(level, check, service)]
        self.tap.ok(good and all(w in found[0]["text"] for w in words), f"{name}: one {level}, {check} {service}",
                    *(str(f) for f in found))
        if mended_by_remedy and found:
            subprocess.run(["sh", "-e"], input=found[0]["remedy"], text=True, capture_output=True)
            self.tap.same(self.findings(name + ", after the remedy", 0), [], f"{name}: the remedy is one")
        self.heal()

    def close(self):
        self.milter.close()
        self.directory.remove()


ALL = "smtp/inet, submissions/inet, submission/inet"


def sound(tap, p):
    tap.same(p.findings("sound", 0), [], "a sound set-up has no finding")
    text = p.doctor().stdout
    for check in ("version", "resolver", "socket", "socket-user", "milters", "default-action", "timeout", "protocol",
                  "bypass", "smuggling", "profile", "non-smtpd", "edits"):
        tap.ok(f"\nok       {check}" in "\n" + text, f"and a line for the check {check}", text)
    tap.has(text, "0 problems, 0 warnings", "and the sum")


def the_socket(tap, p):
    p.milter.close()
    p.one("socket without a listener", "problem", "socket", "Connection refused", mended_by_remedy=False)
    os.unlink(p.socket)
    p.one("no socket", "problem", "socket", p.socket, "No such file", mended_by_remedy=False)
    p.directory.write("m.sock", "a file")
    p.one("a file in its place", "problem", "socket", "not a socket", mended_by_remedy=False)
    os.unlink(p.socket)
    for answer, words in (("nothing", "2 seconds"), ("smtp", "not a milter"), ("close", "closed at once")):
        p.milter = Milter(p.socket, answer=answer)
        p.one(f"a socket that answers {answer}", "problem", "socket", words, mended_by_remedy=False)
        p.milter.close()
        os.unlink(p.socket)

    p.milter = Milter(p.socket, mode=0o660)  # owned by root: nobody else may connect
    p.one("a socket Postfix's user may not use", "problem", "socket-user", "postfix", "write to", "0660",
          mended_by_remedy=False)
    shutil.chown(p.socket, group="postfix")
    tap.same(p.findings("its group is postfix", 0), [], "with Postfix's group it may")
    os.makedirs(p.file("closed"))
    os.chmod(p.file("closed"), 0o700)
    inner = Milter(p.file("closed/m.sock"))
    p.configure(listen="unix:" + p.file("closed/m.sock"))
    p.set("-e", "smtpd_milters=unix:" + p.file("closed/m.sock"))
    found = p.findings("a directory Postfix's user may not pass")
    tap.ok(len(found) == 1 and found[0]["check"] == "socket-user" and "pass" in found[0]["text"]
           and found[0]["remedy"] == "chmod o+x " + p.file("closed"), "the directory that is closed is named",
           *map(str, found))
    subprocess.run(["sh", "-e"], input=found[0]["remedy"] if found else "false", text=True)
    tap.same(p.findings("after the remedy", 0), [], "the remedy is one")
    p.heal()
    inner.close()

    port = processes.free_ports(1)[0]
    over_tcp = Milter(("127.0.0.1", port))
    p.configure(listen=f"inet:{port}@127.0.0.1")
    p.set("-e", f"smtpd_milters=inet:127.0.0.1:{port}")
    p.one("TCP", "warning", "tcp", "44 ms", mended_by_remedy=False)
    over_tcp.close()


def as_somebody_else(tap, p):
    """Without root what cannot be checked is a note, not a finding."""
    os.chmod(p.socket, 0o666)
    command = [CTL, "-c", p.config, "--json", "postfix", "doctor", "--config-dir", p.conf, "--resolv-conf", p.resolv]
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command],
                          capture_output=True, text=True, timeout=60)
    if done.returncode == 127 or "setpriv" in done.stderr or not os.access(CTL, os.X_OK):
        tap.note("setpriv cannot be used: " + done.stderr)
        return
    notes = [f["check"] for f in json.loads(done.stdout or "[]") if f["level"] == "note"]
    tap.ok(done.returncode == 0 and notes == ["socket-user"], "as another user: a note that root is needed",
           done.stdout, done.stderr)


def the_services(tap, p):
    ours = "unix:" + p.socket
    p.set("-e", "smtpd_milters=")
    p.one("no milter at all", "problem", "milters", "empty", service=ALL)
    p.set("-e", "smtpd_milters=unix:/elsewhere/m.sock")
    found = p.findings("another milter only")
    tap.ok(len(found) == 1 and "unix:/elsewhere/m.sock" in found[0]["text"]
           and f"{ours},unix:/elsewhere/m.sock" in found[0]["remedy"],
           "it is named, and kept by the remedy", *map(str, found))
    p.heal()
    p.set("-P", "submission/inet/smtpd_milters=")
    p.one("one service overrides it", "problem", "milters", service="submission/inet")
    p.set("-M", "127.0.0.1:10025/inet=127.0.0.1:10025 inet n - n - - smtpd -o smtpd_milters=")
    tap.same(p.findings("a loopback service without the filter", 0), [], "which is how a content filter hands back")
    p.heal()
    p.set("-F", "smtp/inet/chroot=y")
    p.one("chroot", "problem", "chroot", p.file("queue"), service="smtp/inet")

    inside = Milter(p.file("queue/m.sock"))
    p.configure(listen="unix:" + p.file("queue/m.sock"))
    p.set("-e", "smtpd_milters=unix:m.sock")
    for service in ALL.split(", "):
        p.set("-F", service + "/chroot=y")
    tap.same(p.findings("chroot with the socket inside", 0), [], "and a socket inside of the queue directory is fine")
    p.heal()
    inside.close()

    p.set("-e", f"smtpd_milters={ours}, {ours}")
    p.one("listed twice", "problem", "twice", "2 times", service=ALL)
    p.set("-e", f"smtpd_milters={ours}, {{ {ours}, default_action=accept }}")
    p.one("listed twice in two notations", "problem", "twice", service=ALL)
    for before in ("inet:localhost:8891", "unix:/run/opendkim/opendkim.sock", "unix:/run/spamass/spamass.sock"):
        p.set("-e", f"smtpd_milters={before} {ours}")
        p.one(f"{before} before us", "problem", "order", before, "comes before", service=ALL, mended_by_remedy=False)
    p.set("-e", f"smtpd_milters={ours} inet:localhost:8891")
    p.one("a signer after us", "problem", "order", "opendkim", "comes after", service=ALL)
    p.set("-e", f"smtpd_milters={ours} unix:/run/clamav/clamav-milter.ctl")
    p.one("an editor after us", "warning", "order", "clamav", "edits", service=ALL, mended_by_remedy=False)
    p.set("-e", f"smtpd_milters={ours} unix:/run/x")
    p.one("somebody unknown after us", "warning", "order", "unix:/run/x", service=ALL, mended_by_remedy=False)
    p.set("-e", f"smtpd_milters=unix:/run/sme-milter/old.sock,{ours}")
    p.one("a socket we had before", "problem", "order", "does not listen", service=ALL)
    p.set("-e", f"non_smtpd_milters={ours}")
    p.one("non_smtpd_milters", "problem", "non-smtpd", "sendmail")

    for unwired in ("smtp", "submissions", "submission"):
        p.set("-MX", unwired + "/inet")
    p.one("no smtpd service", "problem", "services", mended_by_remedy=False)


def how_postfix_treats_us(tap, p):
    ours = "unix:" + p.socket
    for action, level, words in (("accept", "problem", "unfiltered"), ("reject", "problem", "for ever"),
                                 ("quarantine", "warning", "hold queue"), ("explode", "problem", "does not know")):
        p.set("-e", f"milter_default_action={action}")
        p.one(f"milter_default_action = {action}", level, "default-action", words, service=ALL)
    p.set("-P", "smtp/inet/milter_default_action=accept")
    p.one("one service accepts", "problem", "default-action", service="smtp/inet")
    p.set("-e", f"smtpd_milters={{ {ours}, default_action=accept }}")
    p.one("in the braces", "problem", "default-action", service=ALL)
    p.set("-e", "milter_default_action=shutdown")
    tap.same(p.findings("shutdown", 0), [], "milter_default_action = shutdown is fine")
    p.heal()
    p.set("-e", "milter_protocol=2")
    p.one("milter_protocol = 2", "problem", "protocol", "{daemon_port}", service=ALL)
    for name, value in (("connect", "1s"), ("command", "1s"), ("content", "10s"), ("command", "soon")):
        p.set("-e", f"milter_{name}_timeout={value}")
        p.one(f"milter_{name}_timeout = {value}", "problem", "timeout", value, service=ALL)
    for name, value in (("command", "1h"), ("content", "20m")):
        p.set("-e", f"milter_{name}_timeout={value}")
        p.one(f"milter_{name}_timeout = {value}", "warning", "timeout", "gives up", service=ALL)


def round_the_filter(tap, p):
    p.set("-P", "smtp/inet/receive_override_options=no_address_mappings,no_milters")
    p.one("no_milters", "problem", "bypass", "no_milters", service="smtp/inet")
    p.set("-e", "smtpd_milter_maps=static:DISABLE")
    p.one("smtpd_milter_maps", "warning", "bypass", "smtpd_milter_maps", service=ALL)
    p.set("-P", "smtp/inet/smtpd_proxy_filter=127.0.0.1:10024")
    p.one("smtpd_proxy_filter", "problem", "bypass", "no body", service="smtp/inet")
    p.set("-e", "smtpd_forbid_bare_newline=no")
    p.one("smtpd_forbid_bare_newline", "warning", "smuggling", "hide another one", service=ALL)
    p.set("-e", "content_filter=scan:127.0.0.1:10024")
    p.one("content_filter", "warning", "content-filter", "signed", service=ALL)
    p.set("-e", "message_size_limit=0")
    p.one("message_size_limit", "warning", "size", "limits.message_size", service=ALL)


def which_profile(tap, p):
    p.configure('profile "mx" { port = {25}  policies = {"headers"} }\n'
                'profile "submission" { daemon_name = {"submission", "submissions"}  policies = {"headers"} }\n')
    tap.same(p.findings("profiles by port and by name", 0), [], "both conditions are understood")
    p.set("-P", "submission/inet/milter_macro_daemon_name=other")
    p.one("a service no profile is for", "warning", "profile", "587", "other", service="submission/inet",
          mended_by_remedy=False)


def edits(tap, p):
    checks = p.file("checks")
    p.set("-e", f"header_checks=regexp:{checks}")
    p.directory.write("checks", "# comment\n\n/^Received: from local/ IGNORE\n/^Subject: viagra/ REJECT no\n"
                      "/^X-Mailer:/\n  WARN\n")
    tap.same(p.findings("rules that only judge", 0), [], "are no finding, nor is dropping a trace field")
    p.directory.write("checks", "/^Subject: (.*)/\n    REPLACE Subject: [in] $1\n")
    p.one("header_checks with REPLACE", "warning", "edits", "line 1", "REPLACE", "before the filter",
          mended_by_remedy=False)
    for parameter, line, words in (
            ("body_checks", "if !/x/\n/^-- $/m ignore\nendif\n", ("line 2", "ignore", "before the filter")),
            ("mime_header_checks", "!/^Content-Type:/ strip\n", ("strip", "before the filter")),
            ("smtp_header_checks", "|^From: \\|(.*)|i REPLACE From: $1\n/^To:/ PREPEND X-Y: z\n",
             ("line 1", "and more", "after the filter")),
            ("milter_header_checks", "/^Authentication-Results:/ IGNORE\n", ("Authentication-Results",))):
        p.directory.write("checks", line)
        p.set("-e", f"{parameter}=pcre:{checks}")
        p.one(parameter, "warning", "edits", *words, mended_by_remedy=False)
    p.set("-P", "smtp/unix/smtp_generic_maps=static:x@y")
    p.one("smtp_generic_maps of one service", "warning", "edits", "smtp_generic_maps", service="smtp/unix")
    p.set("-e", "header_checks=regexp:{{/^Subject:/ WARN}, {/^From: me/ IGNORE}}")
    p.one("rules in main.cf itself", "warning", "edits", "IGNORE", mended_by_remedy=False)
    p.set("-e", "header_checks=regexp:/nonexistent/file, texthash:/etc/passwd")
    tap.same(p.findings("tables that cannot be looked into", 0), [], "are notes")
    tap.has(p.doctor().stdout, "note     edits: header_checks: /nonexistent/file cannot be read", "that say so")
    p.heal()
    p.set("-e", "always_add_missing_headers=yes")
    p.one("always_add_missing_headers", "warning", "edits", "Message-ID")
    p.set("-e", "remote_header_rewrite_domain=domain.invalid")
    p.one("remote_header_rewrite_domain", "warning", "edits", "domain.invalid")
    p.set("-e", "message_drop_headers=bcc, DKIM-Signature, return-path")
    p.one("message_drop_headers", "warning", "edits", "DKIM-Signature")


def the_host(tap, p):
    for server in ("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "149.112.112.112", "208.67.222.222",
                   "208.67.220.220", "2001:4860:4860::8888", "2606:4700:4700:0:0:0:0:1111", "2620:fe::fe",
                   "2620:119:35::35"):
        p.directory.write("resolv.conf", f"search here.test\nnameserver 127.0.0.1\nnameserver  {server} \n")
        p.one(f"resolver {server}", "warning", "resolver", server, "block lists", mended_by_remedy=False)
    p.directory.write("resolv.conf", "nameserver 127.0.0.1\n")
    for servers, bad in (('"1.1.1.1"', "1.1.1.1"), ('"127.0.0.1:5353", "8.8.4.4:53"', "8.8.4.4:53")):
        p.configure(f"dns {{ servers = {{{servers}}} }}\n")
        p.one(f"dns.servers {bad}", "warning", "resolver", "dns.servers", bad, mended_by_remedy=False)
    p.directory.write("resolv.conf", "nameserver 192.168.1.1\n# nameserver 8.8.8.8\nnameserver 8.8.8.80\n")
    tap.same(p.findings("other resolvers", 0), [], "are no finding")
    os.unlink(p.resolv)
    tap.same(p.findings("no resolv.conf", 0), [], "is a note")
    p.directory.write("resolv.conf", "nameserver 127.0.0.1\n")
    p.set("-e", "smtpd_miltres=unix:/x")
    p.one("a misspelt parameter", "warning", "postconf", "smtpd_miltres", mended_by_remedy=False)

    os.makedirs(p.file("bin"), exist_ok=True)
    real = shutil.which("postconf", path="/usr/sbin:/usr/bin")
    p.directory.write("bin/postconf", f"#!/bin/sh\n{real} \"$@\" | sed 's/^mail_version = .*/mail_version = 3.1.15/'\n",
                      0o755)
    old = p.doctor("--json", env=dict(os.environ, PATH=p.file("bin") + ":/usr/bin:/bin"))
    found = [f for f in json.loads(old.stdout) if f["level"] == "warning"]
    tap.ok(old.returncode == 1 and [f["check"] for f in found] == ["version"] and "{daemon_port}" in found[0]["text"],
           "Postfix 3.1: a warning", old.stdout)


def what_stops_it(tap, p):
    p.directory.write("bin/postconf", "#!/bin/sh\necho postconf: fatal: out of order >&2\nexit 1\n", 0o755)
    done = p.doctor(env=dict(os.environ, PATH=p.file("bin") + ":/usr/bin:/bin"))
    tap.ok(done.returncode == 69 and "out of order" in done.stderr and not done.stdout,
           "Postfix does not answer: exit 69")
    done = p.ctl("postfix", "doctor", "--config-dir", p.file("nowhere"))
    tap.ok(done.returncode == 69 and "nowhere" in done.stderr, "no such directory: exit 69", done.stderr)
    p.configure("nonsense = 1\n")
    tap.same(p.doctor().returncode, 78, "an erroneous configuration: exit 78")
    p.heal()
    for words in (["--config-dir", "relative"], ["--bogus"], ["word"]):
        tap.same(p.ctl("postfix", "doctor", *words).returncode, 64, f"{words}: exit 64")


def strange_bytes(tap, p):
    """What stands in main.cf reaches the terminal escaped, and a command line only if it is printable."""
    with open(p.conf + "/main.cf", "ab") as f:
        f.write(b"smtpd_milters = unix:/run/\x1b[31m\xff'; touch x\nnot_known = \x1b[1m\n")
    done = p.doctor()
    tap.ok(done.returncode == 1 and ESCAPE not in done.stdout and "\\x1b[31m\\xff" in done.stdout, "escaped",
           repr(done.stdout))
    tap.ok("\\x1b" not in "".join(f["remedy"] for f in json.loads(p.doctor("--json").stdout)), "and no such remedy")
    p.heal()


def main(tap):
    p = Patient(tap)
    try:
        for check in (sound, the_services, how_postfix_treats_us, round_the_filter, which_profile, edits, the_host,
                      strange_bytes, what_stops_it, as_somebody_else, the_socket):
            check(tap, p)
    finally:
        p.close()


if not shutil.which("postconf", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")):
    taps.skip_all("Postfix is not installed")
taps.run(main)
