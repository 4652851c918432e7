#!/usr/bin/python3
"""What `postfix snippet` prints: Postfix takes it without a word, twice is once, and it does what its comments say."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from house import House
from postfix import INNER_SERVICES, Postfix
from smtp import Smtp, mail_text
from tap import TOP
from wiring import Sandbox, commands, ctl, postconf, settings

BROKEN_POSTCONF = "#!/bin/sh\necho 'postconf: fatal: nothing works today' >&2\nexit 1\n"


def accepted_by_postfix(tap):
    with Sandbox() as box:
        printed = box.snippet()
        tap.same((printed.returncode, printed.stderr), (0, ""), "snippet: exit 0, nothing on standard error")
        found, strange = commands(printed.stdout)
        tap.ok(len(found) > 30 and not strange, "only commands and comments", *strange)
        tap.ok(all(w[:3] == ["postconf", "-c", box.conf] and w[3] in ("-e", "-M", "-P") and len(w) == 5 for w in found),
               "each command is postconf -e, -M or -P in the named directory")
        tap.same(box.apply(printed.stdout), (0, ""), "the commands run without a word")
        once = box.files()
        tap.same(box.apply(printed.stdout), (0, ""), "and again")
        tap.ok(box.files() == once, "the second run changes nothing")
        again = box.snippet()
        tap.same(settings(again.stdout), settings(printed.stdout), "the lines for what they made are the same lines")
        tap.same(box.check(), (0, ""), "postfix check has nothing to say")
        tap.ok(not os.path.exists(box.directory.file("mail.log")), "nor has its log")
        for what in ("-n", "-M", "-P"):
            listed = postconf(box.conf, what)
            tap.same((listed.returncode, listed.stderr), (0, ""), f"postconf {what} has no warning")
        for name, value in (("smtpd_milters", "unix:/run/sme-milter/milter.sock"), ("non_smtpd_milters", ""),
                            ("milter_default_action", "tempfail"), ("milter_protocol", "6"),
                            ("milter_connect_timeout", "5s"), ("milter_content_timeout", "300s"),
                            ("smtpd_forbid_bare_newline", "normalize"), ("smtpd_forbid_unauth_pipelining", "yes"),
                            ("smtpd_sasl_type", "dovecot"), ("smtpd_tls_mandatory_protocols", ">=TLSv1.2"),
                            ("mynetworks", "127.0.0.0/8 [::1]/128")):
            tap.same(box.value(name), value, f"{name} is {value or 'empty'}")
        tap.ok(0 < int(box.value("milter_command_timeout").rstrip("s")) <= 10, "a fault ends within 10 seconds",
               box.value("milter_command_timeout"))
        three_services(tap, box)


def three_services(tap, box):
    for name, processes_most in (("smtp", "40"), ("submissions", "10"), ("submission", "10")):
        field = {f: postconf(box.conf, "-Fh", f"{name}/inet/{f}").stdout.strip()
                 for f in ("chroot", "process_limit", "command")}
        tap.same((field["chroot"], field["process_limit"], field["command"].split()[0]), ("n", processes_most, "smtpd"),
                 f"{name}: chroot, processes, command")
        tap.same(box.option(f"{name}/inet/milter_macro_daemon_name"), name, f"{name}: its name for the filter")
        tap.same(box.option(f"{name}/inet/smtpd_client_connection_count_limit"), "5",
                 f"{name}: connections of one client")
        if name != "smtp":
            for guard in ("smtpd_client_restrictions", "smtpd_relay_restrictions"):
                tap.same(box.option(f"{name}/inet/{guard}"), "permit_sasl_authenticated,reject", f"{name}: {guard}")


def what_is_there_already(tap):
    """Other names, postscreen, other filters, old options: used or dropped as the comments say."""
    with Sandbox() as box:
        box.write("smtpd_milters = inet:localhost:18891, unix:/run/mine.sock\n")
        postconf(box.conf, "-M", "smtps/inet=smtps inet n - y - - smtpd -o smtpd_milters=")
        postconf(box.conf, "-M", "smtp/inet=smtp inet n - y - 1 postscreen")
        postconf(box.conf, "-M", "smtpd/pass=smtpd pass - - y - - smtpd")
        printed = box.snippet()
        tap.same(box.apply(printed.stdout), (0, ""), "smtps and postscreen: the commands run")
        tap.has(postconf(box.conf, "-M", "smtp/inet").stdout, "postscreen", "postscreen keeps port 25")
        tap.same(box.option("smtpd/pass/milter_macro_daemon_name"), "smtp", "behind it smtpd/pass is wired")
        tap.same(box.option("smtps/inet/milter_macro_daemon_name"), "submissions", "smtps is used for port 465")
        tap.same(postconf(box.conf, "-M", "submissions/inet").stdout, "", "and no second service for that port")
        tap.hasnt(postconf(box.conf, "-P").stdout, "smtpd_milters", "an old override of smtpd_milters is gone")
        tap.same(box.value("smtpd_milters"), "unix:/run/sme-milter/milter.sock,inet:localhost:18891,unix:/run/mine.sock",
                 "filters whose work nobody took over stay, behind ours")
        tap.has(re.sub(r"\n# ", " ", printed.stdout),
                "Until now smtpd_milters was: inet:localhost:18891, unix:/run/mine.sock",
                "and the comment tells what it was")
        once = box.files()
        box.apply(box.snippet().stdout)
        tap.ok(box.files() == once, "all of this too is the same the second time")


def options(tap):
    with Sandbox() as box:
        more = box.snippet("--hostname", "mail.example.org", "--networks=192.168.1.0/24,2001:db8::/32")
        values = settings(more.stdout)
        tap.same(values["myhostname"], "mail.example.org", "--hostname")
        tap.same(values["mynetworks"], "127.0.0.0/8 [::1]/128 192.168.1.0/24 [2001:db8::]/32", "--networks")
        plain = settings(box.snippet().stdout)
        tap.ok("mynetworks" not in plain and "myhostname" not in plain, "neither is touched without being asked for")
        tap.same(box.apply(more.stdout), (0, ""), "Postfix takes both")
        tap.same(box.snippet("-n").stdout, box.snippet().stdout, "--dry-run makes no difference")

        listed = json.loads(box.snippet("--json").stdout)
        tap.ok(all(set(step) == {"command", "arguments", "why"} and step["why"] for step in listed),
               "--json: command, arguments, why")
        tap.same([[s["command"]] + s["arguments"] for s in listed], commands(box.snippet().stdout)[0],
                 "--json has the same commands")

        for listen, wanted in (("inet:8895@127.0.0.1", "inet:127.0.0.1:8895"), ("inet6:8895@[::1]", "inet:[::1]:8895"),
                               ("unix:/run/other.sock", "unix:/run/other.sock"),
                               ("inet:8895@localhost", "inet:127.0.0.1:8895")):
            box.write("smtpd_milters = unix:/run/sme-milter/milter.sock\n")
            box.directory.write("sme-milter.conf", f'listen = "{listen}"\n')
            tap.same(settings(box.snippet().stdout).get("smtpd_milters"), wanted,
                     f"listen = {listen}, and the socket it had before is gone")
        box.directory.write("sme-milter.conf", 'nonsense = 1\n')
        tap.same(box.snippet().returncode, 78, "an erroneous configuration: exit 78")

        for words in (["--networks", "0.0.0.0/0"], ["--networks", "::/0"], ["--networks", "10.0.0.1/8"],
                      ["--hostname", "a;b"], ["--hostname", ""], ["--config-dir", "relative"],
                      ["--config-dir", "/a\nb"], ["--postfix-version", "new"], ["--postfix-version", "3.7.1.1"],
                      ["--postfix-version", "3.7-\x1b[1m"],
                      ["--bogus"], ["word"]):
            wrong = ctl("postfix", "snippet", *words)
            tap.ok(wrong.returncode == 64 and not wrong.stdout and "\x1b" not in wrong.stderr,
                   f"{words}: exit 64", wrong.stderr)


VERSIONS = {  # what differs, by version; None: not printed
    "3.5.8": {"smtpd_tls_mandatory_protocols": "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1", "smtpd_forbid_bare_newline": None,
              "smtpd_forbid_unauth_pipelining": None, "smtpd_data_restrictions": "reject_unauth_pipelining",
              "smtpd_discard_ehlo_keywords": "chunking, silent-discard"},
    "3.5.25": {"smtpd_forbid_bare_newline": "normalize", "smtpd_forbid_unauth_pipelining": "yes",
               "smtpd_data_restrictions": None, "smtpd_discard_ehlo_keywords": None},
    "3.6.12": {"smtpd_tls_mandatory_protocols": ">=TLSv1.2", "smtpd_forbid_bare_newline": None,
               "smtpd_forbid_unauth_pipelining": "yes", "smtpd_data_restrictions": "reject_unauth_pipelining"},
    "3.7.5": {"smtpd_forbid_bare_newline": None, "smtpd_forbid_unauth_pipelining": None},
    "3.7.9": {"smtpd_forbid_bare_newline": "yes", "smtpd_forbid_unauth_pipelining": "yes",
              "smtpd_data_restrictions": None},
    "3.7.11": {"smtpd_forbid_bare_newline": "normalize", "milter_default_action": "tempfail"},
    "3.8.4": {"smtpd_forbid_bare_newline": "yes"},
    "3.9.0": {"smtpd_forbid_bare_newline": "normalize", "smtpd_tls_protocols": ">=TLSv1"},
    "3.11.1": {"milter_default_action": "shutdown"},
    "3.12-20260101": {"milter_default_action": "shutdown", "smtpd_forbid_bare_newline": "normalize"},
    "3.1.0": {"smtpd_milter_maps": None, "milter_macro_defaults": ""},
    "3.2.0": {"smtpd_milter_maps": ""},
}


def versions(tap):
    for version, wanted in VERSIONS.items():
        values = settings(ctl("postfix", "snippet", "--postfix-version", version).stdout)
        got = {name: values.get(name) for name in wanted}
        tap.same(got, wanted, f"Postfix {version}")
    old = ctl("postfix", "snippet", "--postfix-version", "2.10.1")
    tap.same(old.returncode, 69, "too old for postconf -P: exit 69")
    with Sandbox() as box:
        empty = box.directory.file("bin")
        os.mkdir(empty)
        box.directory.write("bin/postconf", BROKEN_POSTCONF, 0o755)
        broken = ctl("postfix", "snippet", config=box.config, env=dict(os.environ, PATH=empty + ":/usr/bin:/bin"))
        tap.ok(broken.returncode == 69 and "nothing works today" in broken.stderr and not broken.stdout,
               "postconf fails: exit 69 and its own words", broken.stderr)


def the_files(tap):
    """postfix-snippets/ says the same as the program."""
    values = settings(ctl("postfix", "snippet", "--postfix-version", "3.7.11", config="/dev/null").stdout)
    wanted = {n: v for n, v in values.items() if "/" not in n}
    main = os.path.join(TOP, "postfix-snippets", "main.cf")
    got = dict(re.findall(r"(?m)^(\w+) *= *(.*?) *$", open(main).read()))
    tap.same(got, wanted, "postfix-snippets/main.cf has the same settings")
    with Sandbox() as box:
        shutil.copy(os.path.join(TOP, "postfix-snippets", "master.cf"), os.path.join(box.conf, "master.cf"))
        listed = postconf(box.conf, "-P").stdout
        got = {m[0]: m[1] for m in re.findall(r"(?m)^(\S+) = (.*)$", listed)}
        tap.same(got, {n: v for n, v in values.items() if n.count("/") == 2},
                 "postfix-snippets/master.cf has the same options")
        entries = {"/".join(line.split()[:2]): line.split()[:8]
                   for line in postconf(box.conf, "-M").stdout.splitlines()}
        tap.same(entries, {n: v.split() for n, v in values.items() if n.count("/") == 1}, "and the same services")


class Wired(Postfix):
    """The private Postfix of the other tests, but with the settings that the snippet makes."""

    def __init__(self, house):
        super().__init__("unix:" + house.daemon.socket)
        self.house = house
        self.services = {n: {} for n in ("smtp", "submissions", "submission")}
        for name in list(self.main):
            if name.startswith(("smtpd_", "milter_", "non_smtpd", "disable_vrfy")) and \
                    not name.startswith(("smtpd_tls_cert", "smtpd_tls_key")):
                del self.main[name]

    def _start_master(self):
        conf = self.directory.file("conf")
        self.directory.write("conf/main.cf", "".join(f"{k} = {v}\n" for k, v in self.main.items()))
        self.directory.write("conf/master.cf", INNER_SERVICES.lstrip("\n"))
        printed = ctl("postfix", "snippet", "--config-dir", conf, config=self.house.daemon.config)
        subprocess.run(["sh", "-e"], input=printed.stdout, text=True, check=True)
        # The only thing that differs from what an administrator has: the ports, and where Dovecot's socket is.
        self.port = dict(zip(self.services, processes.free_ports(len(self.services))))
        for name, port in self.port.items():
            postconf(conf, "-F", f"{name}/inet/service=127.0.0.1:{port}")
        link = self.directory.file("queue/private/auth")
        if not os.path.islink(link):
            os.symlink(self.directory.file("auth"), link)
        daemons = postconf(conf, "-h", "daemon_directory").stdout.strip()
        self.master = processes.start([os.path.join(daemons, "master"), "-d", "-c", conf], stdout=subprocess.DEVNULL,
                                      stderr=open(self.directory.file("master.err"), "ab"))
        wanted = set(self.port.values())
        taps.wait_for(lambda: self.master.poll() is not None or wanted <= processes.listening_ports(), 20)
        return self.master.poll() is None and wanted <= processes.listening_ports()


LIVE = """
profile "submission" { port = {@submissions@, @submission@}  policies = {"tls", "relay", "headers"}
                       tls { require = yes }  relay { only = yes } }
profile "smtp" { port = {@smtp@}  policies = {"headers"} }
"""


def at_work(tap):
    house = House(LIVE, tap)
    house.postfix = Wired(house)
    with house:
        port_25(tap, house)
        port_465_and_587(tap, house)
        resolv = house.daemon.directory.write("resolv.conf", "nameserver 127.0.0.1\n")
        words = ["postfix", "doctor", "--config-dir", house.postfix.directory.file("conf"), "--resolv-conf", resolv]
        well = ctl(*words, config=house.daemon.config)
        tap.ok(well.returncode == 0 and "0 problems, 0 warnings" in well.stdout,
               "doctor finds nothing wrong with all that", well.stdout + well.stderr)
        house.daemon.stop()
        ill = ctl(*words, config=house.daemon.config)
        findings = [line for line in ill.stdout.splitlines() if line.startswith(("problem", "warning"))]
        tap.ok(ill.returncode == 1 and len(findings) == 1 and findings[0].startswith("problem  socket: "),
               "the daemon is stopped: doctor says that and nothing else", ill.stdout + ill.stderr)
        with Smtp(house.port["smtp"]) as client:
            client.ehlo()
            tap.reply(client.mail("alice@there.test"), 451, "and clients are told to come back later")


def port_25(tap, house):
    with Smtp(house.port["smtp"]) as client:
        tap.reply(client.mail("alice@there.test"), 503, "25: a client says who it is first")
        greeting = client.ehlo()
        tap.hasnt(greeting.text, "AUTH", "25: no AUTH in clear text")
        tap.reply(client.cmd("VRFY bob"), 502, "25: no VRFY")
        tap.reply(client.starttls(), 220, "25: TLS for who wants it")
        tap.hasnt(client.ehlo().text, "AUTH", "25: no AUTH with TLS either")
        tap.reply(client.message("alice@there.test", ["bob@here.test"], mail_text("ordinary")), 250,
                  "25: mail comes in")
        tap.ok(house.sink.subject("ordinary"), "25: and is delivered")
        client.mail("alice@there.test")
        tap.reply(client.rcpt("bob@elsewhere.test"), 554, "25: strangers do not relay", "5.7.1")
    with Smtp(house.port["smtp"]) as client:
        client.ehlo()
        client.mail("alice@there.test")
        client.rcpt("bob@here.test")
        client.cmd("DATA")
        hidden = mail_text("smuggled").replace("\n", "\r\n")
        client.send(mail_text("outer").replace("\n", "\r\n") + "\n.\nMAIL FROM:<x@there.test>\r\n"
                    "RCPT TO:<bob@here.test>\r\nDATA\r\n" + hidden + ".\r\n")
        tap.reply(client.read(), 250, "25: a bare LF around a dot does not end a message")
        tap.reply(client.cmd("NOOP"), 250, "25: so there is one message, not two")
    outer = house.sink.subject("outer")
    tap.ok(len(outer) == 1 and b"Subject: smuggled" in outer[0].content and not house.sink.subject("smuggled", 0.1),
           "25: and the hidden one is part of its body")


def port_465_and_587(tap, house):
    with Smtp(house.port["submission"]) as client:
        tap.hasnt(client.ehlo().text, "AUTH", "587: no AUTH before TLS")
        tap.reply(client.mail("alice@here.test"), 530, "587: nothing before TLS", "STARTTLS")
    for service in ("submissions", "submission"):
        with house.client(service, starttls=service == "submission") as client:
            tap.ok(client.tls_version() in ("TLSv1.2", "TLSv1.3"), f"{service}: {client.tls_version()}")
            tap.has(client.ehlo().text, "AUTH", f"{service}: AUTH under TLS")
            client.mail("alice@here.test")
            tap.reply(client.rcpt("bob@here.test"), 554, f"{service}: nothing without AUTH, not even to us", "5.7.1")
        with house.client(service, auth=True) as client:
            tap.reply(client.message("alice@here.test", ["bob@elsewhere.test"], mail_text(service)), 250,
                      f"{service}: relays for who has logged in")
            tap.ok(house.sink.subject(service), f"{service}: and it is delivered")


def main(tap):
    accepted_by_postfix(tap)
    what_is_there_already(tap)
    options(tap)
    versions(tap)
    the_files(tap)
    at_work(tap)


if not shutil.which("postconf", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")):
    taps.skip_all("Postfix is not installed")
taps.run(main)
