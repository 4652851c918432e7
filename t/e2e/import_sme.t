#!/usr/bin/python3
"""`import sme`: an SME Server's databases become a configuration that does what the properties said. Most effects are seen
by `sme-milterctl test` and `config show`, which run on what was written; then a whole server moves, and its mail goes
through a real Postfix."""
import base64
import glob
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from daemon import Daemon
from postfix import Postfix
from smtp import Smtp, mail_text
from wiring import CTL, Sandbox, ctl

# What every case has: a machine, and nothing that depends on the one that runs the test.
PLAIN = {"DomainName": "here.test", "SystemName": "mail", "LocalIP": "192.168.1.1", "LocalNetmask": "255.255.255.0"}
FILTER = {"status": "enabled", "MaxLoad": "100000", "VirusScan": "disabled"}
ACCOUNTS = {"admin": "system", "bart": "user|FirstName|Bart", "simpsons": "group|Members|bart",
            "sales": "pseudonym|Account|bart", "everyone": "pseudonym|Account|shared|Visible|internal",
            "lisa": "user|Visible|internal", "shared": "system|Visible|internal", "web": "ibay|Name|x",
            "boss@other.test": "pseudonym|Account|bart", "cgi-bin": "url"}
DOMAINS = {"here.test": "domain|SystemPrimaryDomain|yes", "other.test": "domain|Content|x"}
NETWORKS = {"192.168.1.0": "network|Mask|255.255.255.0|SystemLocalNetwork|yes"}
ZONE = """
there.test            A  192.0.2.25
there.test            MX 10 mx.there.test
mx.there.test         A  192.0.2.25
25.2.0.192.in-addr.arpa PTR mx.there.test
soft.test             MX 10 mx.there.test
mx.soft.test          A 192.0.2.25
soft.test             TXT "v=spf1 ~all"
fail.test             MX 10 mx.there.test
fail.test             TXT "v=spf1 -all"
strict.test           MX 10 mx.there.test
strict.test           TXT "v=spf1 -all"
_dmarc.strict.test    TXT "v=DMARC1; p=reject"
25.2.0.192.list.test  A 127.0.0.2
25.2.0.192.other-list.test A 127.0.0.2
there.test.names.test A 127.0.0.2
link.test.links.test  A 127.0.0.8
"""
EXE = base64.b64encode(b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff").decode()
ATTACHED = ('MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n',
            f"--b\nContent-Type: text/plain\n\nhi\n--b\nContent-Type: application/octet-stream\n"
            f"Content-Transfer-Encoding: base64\n\n{EXE}\n--b--\n")


def dated(mail, days=0):
    """The message, of that many days from today."""
    day = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(time.time() + 86400 * days))
    return re.sub(r"(?m)^Date: .*?(\r?)$", lambda m: f"Date: {day}{m.group(1)}", mail)


def record(kind, props):
    return "|".join([kind] + [f"{name}|{value}" for name, value in props.items()])


class Server:
    """The databases of an SME Server, and what is made of them."""

    def __init__(self, qpsmtpd=None, sqpsmtpd=None, uqpsmtpd=None, spamassassin=None, plain=None, accounts=ACCOUNTS,
                 domains=DOMAINS, networks=NETWORKS, mailpatterns=None, raw=None, folder=None):
        self.directory = processes.Directory()
        self.db, self.out = self.directory.file("db"), self.directory.file("out")
        self.folder = None
        os.mkdir(self.db)
        lines = dict(PLAIN, **(plain or {}))
        lines["qpsmtpd"] = record("service", dict(FILTER, **(qpsmtpd or {})))
        lines["sqpsmtpd"] = record("service", dict({"status": "enabled"}, **(sqpsmtpd or {})))
        lines["uqpsmtpd"] = record("service", dict({"status": "enabled"}, **(uqpsmtpd or {})))
        if spamassassin is not None:
            lines["spamassassin"] = record("service", spamassassin)
        self.write("configuration", lines)
        for name, rows in (("accounts", accounts), ("domains", domains), ("networks", networks), ("hosts", {}),
                           ("mailpatterns", mailpatterns or {})):
            self.write(name, rows)
        for name, text in (raw or {}).items():
            self.directory.write("db/" + name, text)
        for name, text in (folder or {}).items():
            self.folder = self.directory.file("qpsmtpd")
            os.makedirs(os.path.dirname(self.directory.file("qpsmtpd/" + name)), exist_ok=True)
            with open(self.directory.file("qpsmtpd/" + name), "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
        self.zone = self.directory.write("zone", ZONE)
        self.values = {}

    def write(self, name, rows):
        self.directory.write("db/" + name, "# DO NOT MODIFY THIS FILE.\n" +
                             "".join(f"{key}={value}\n" for key, value in sorted(rows.items())))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.directory.remove()

    def run(self, *words, db=True):
        return ctl("import", "sme", *(["--db", self.db] if db else []),
                   *(["--qpsmtpd", self.folder] if self.folder else []), "--out", self.out, *words)

    @property
    def conf(self):
        return os.path.join(self.out, "sme-milter.conf")

    def imported(self, tap=None, what="", status=0):
        done = self.run()
        self.said = done.stdout
        if tap and done.returncode != status:
            tap.ok(False, f"{what}: exit {status}", done.returncode, done.stdout, done.stderr)
        return self

    def show(self, option, profile="smtp"):
        """The value in force of "policy.option"."""
        if profile not in self.values:
            done = ctl("--json", "config", "show", "--profile", profile, config=self.conf)
            self.values[profile] = {row["option"]: row["value"] for row in json.loads(done.stdout or "[]")}
        return self.values[profile].get(option)

    def judge(self, ip="192.0.2.25", helo="mx.there.test", sender="a@there.test", rcpt="bart@here.test", header="",
              body="Hello.\n", more=(), date=0):
        """Exit status and output of `test` for one message."""
        path = self.directory.write("m.eml", dated(mail_text(sender=sender, to=rcpt, body=body, extra=header), date))
        done = ctl("test", path, "--ip", ip, "--helo", helo, "--from", sender, "--rcpt", rcpt, "--dns", self.zone,
                   *more, config=self.conf)
        return done.returncode, done.stdout + done.stderr


# ---- one property each: what is set, and what it does ----

def refused(*parts, **how):
    def check(tap, server, name):
        status, said = server.judge(**how)
        tap.ok(status == 1 and all(p in said for p in parts), f"{name}: refused", status, said)
    return check


def accepted(*parts, without=(), **how):
    def check(tap, server, name):
        status, said = server.judge(**how)
        tap.ok(status == 0 and all(p in said for p in parts) and not any(p in said for p in without),
               f"{name}: accepted", status, said)
    return check


def shows(option, value, profile="smtp"):
    def check(tap, server, name):
        tap.same(server.show(option, profile), value, f"{name}: {profile}: {option}")
    return check


LISTS = {"DNSBL": "enabled", "RBLList": "list.test:Blocked: see <http://x.test/?ip=%IP%>,dnsbl.sorbs.net"}
BARE_IP = {"helo": "192.0.2.25"}

CASES = [
    ("nothing is set", {}, [accepted(), shows("dnsbl.enabled", None), shows("helo.level", "lenient"),
                            shows("spf.reject_policy", "0"), shows("dmarc.policy", "off"), shows("karma.reject", "never"),
                            shows("virus.enabled", None)]),
    ("DNSBL and RBLList", LISTS, [
        refused("Blocked: see <http://x.test/?ip=192.0.2.25>"), shows("dnsbl.enabled", "yes"),
        accepted(ip="192.168.1.9"), accepted(more=("--auth", "bart", "--port", "587", "--tls", "TLSv1.3"))]),
    ("RBLList, DNSBL disabled", dict(LISTS, DNSBL="disabled"), [accepted(without=("Blocked",))]),
    ("RBLList with dead lists only", {"DNSBL": "enabled", "RBLList": "dnsbl.sorbs.net,rbl.orbs.org"}, [accepted()]),
    ("RHSBL and SBLList", {"RHSBL": "enabled", "SBLList": "names.test,rhsbl.sorbs.net"}, [refused("names.test")]),
    ("RHSBL disabled", {"SBLList": "names.test"}, [accepted()]),
    ("URIBL and UBLList", {"URIBL": "enabled", "UBLList": "links.test:8-16-64-128"},
     [refused("link.test", body="see http://link.test/x\n"), accepted(body="see http://there.test/x\n")]),
    ("UBLList with another mask", {"URIBL": "enabled", "UBLList": "links.test:16"},
     [accepted(body="see http://link.test/x\n")]),
    ("HeloPolicy lenient", {"HeloPolicy": "lenient"}, [accepted(helo="no-dot"), refused(**BARE_IP)]),
    ("HeloPolicy rfc", {"HeloPolicy": "rfc"}, [refused(helo="no-dot"), accepted(without=("refused",))]),
    ("HeloPolicy strict", {"HeloPolicy": "strict"}, [shows("helo.level", "strict"), refused(helo="[192.0.2.25]")]),
    ("MaximumDateOffset", {"MaximumDateOffset": "3"},
     [refused("5.6.0", date=-10), refused("5.6.0", date=10), accepted(date=-1)]),
    ("MaximumDateOffset 0", {"MaximumDateOffset": "0"}, [accepted(date=-100), accepted(date=100)]),
    ("SPFRejectPolicy 0", {"SPFRejectPolicy": "0"}, [accepted(sender="a@fail.test")]),
    ("SPFRejectPolicy 1", {"SPFRejectPolicy": "1"},
     [refused("5.7.23", sender="a@fail.test"), accepted(sender="a@soft.test")]),
    ("SPFRejectPolicy 2", {"SPFRejectPolicy": "2"}, [refused("5.7.23", sender="a@soft.test")]),
    ("DMARCReject enabled", {"DMARCReject": "enabled"}, [refused("5.7.26", sender="a@strict.test")]),
    ("DMARCReject 1", {"DMARCReject": "1"}, [refused("5.7.26", sender="a@strict.test")]),
    ("DMARCReject none, which was enabled by mistake", {"DMARCReject": "none"}, [accepted(sender="a@strict.test")]),
    ("DMARCReporting", {"DMARCReporting": "disabled"}, [shows("dmarc.reporting", "no")]),
    ("Karma", {"Karma": "enabled", "KarmaNegative": "4", "KarmaStrikes": "5"},
     [shows("karma.reject", "later"), shows("karma.negative", "4"), shows("karma.strikes", "5")]),
    ("MaxLoad", {"MaxLoad": "0"}, [lambda tap, s, name: tap.ok(
        s.judge()[0] == 75 or float(open("/proc/loadavg").read().split()[0]) == 0, f"{name}: put off", s.judge())]),
    ("Bcc", {"Bcc": "enabled", "BccUser": "archive", "BccMode": "cc"},
     [accepted("archive@here.test", "X-Copied-To"), accepted("archive@here.test", ip="192.168.1.9")]),
    ("BccMode bcc, another domain", {"Bcc": "enabled", "BccUser": "archive@far.test", "BccMode": "bcc"},
     [accepted("archive@far.test", without=("X-Copied-To",))]),
    ("BccDirection outgoing", {"Bcc": "enabled", "BccDirection": "outgoing"},
     [accepted(without=("maillog@",)), accepted("maillog@here.test", ip="192.168.1.9", rcpt="x@far.test")]),
    ("Bcc disabled", {"Bcc": "disabled", "BccUser": "archive"}, [accepted(without=("archive@",))]),
    ("VirusScan", {"VirusScan": "enabled", "MaxScannerSize": "10000000"},
     [shows("virus.enabled", "yes"), shows("virus.max_size", "10000000"), shows("virus.enabled", "yes", "submission")]),
    ("tnef2mime", {"tnef2mime": "disabled"}, [shows("tnef2mime.enabled", None)]),
    ("disclaimer", {"disclaimer": "enabled"}, [shows("disclaimer.enabled", "yes", "submission")]),
]


def properties(tap):
    for name, props, checks in CASES:
        with Server(qpsmtpd=props) as server:
            server.imported(tap, name)
            for check in checks:
                check(tap, server, name)


def odd_values(tap):
    """A value that is none is named with its record and line, and SME's default is used."""
    rows = [("SPFRejectPolicy", "9", "spf.reject_policy", "0"), ("MaxScannerSize", "25M", None, None),
            ("HeloPolicy", "loose", "helo.level", "lenient"), ("DNSBL", "ja", "dnsbl.enabled", None),
            ("KarmaNegative", "-3", "karma.negative", "2"), ("LogLevel", "loud", None, None),
            ("MaximumDateOffset", "99999999999999999999", "headers.past", "0"), ("DMARCReject", "10", "dmarc.policy", "off"),
            ("BccMode", "both", None, None), ("RBLList", "no zone at all", "dnsbl.enabled", None)]
    for prop, value, option, default in rows:
        with Server(qpsmtpd={prop: value, **({"DNSBL": "enabled"} if prop == "RBLList" else {})}) as server:
            done = server.run()
            tap.ok(done.returncode == 1 and re.search(rf"(?m)^left out: qpsmtpd\{{{prop}\}}: .*configuration:\d+\]$",
                                                      done.stdout), f"{prop} = {value}: named", done.returncode,
                   done.stdout)
            if option:
                tap.same(server.show(option), default, f"{prop} = {value}: the default")
    for user in ("maillog@", "@here.test", "two words", "admin,bart", "a@b@here.test", ""):
        with Server(qpsmtpd={"Bcc": "enabled", "BccUser": user}) as server:
            done = server.run()
            tap.ok(done.returncode == 1 and "left out: qpsmtpd{BccUser}: no address can be made of it" in done.stdout and
                   server.show("bcc.enabled") is None, f"BccUser = {user}: no copies", done.returncode, done.stdout)
    with Server(qpsmtpd={"HeloPolcy": "rfc", "AllowHosts": "1.2.3.4"}, raw={}) as server:
        done = server.run()
        tap.ok(done.returncode == 1 and "left out: qpsmtpd{HeloPolcy}: there is no such property; did you mean HeloPolicy?"
               in done.stdout, "an unknown property: the nearest right one", done.stdout)
        tap.has(done.stdout, "notice: qpsmtpd{AllowHosts}: has no effect: a rule of the firewall", "one that has no effect")


ODD = ["", "two words", "x@y@z", 'a"b', "back\\slash", "caf\u00e9", "x" * 5000, "-1", "0", "99999999999", "${x}", "$(rm)", "a,b",
       "a:b", "::1", "[2001:db8::5]:26", "10.0.0.1:99999", "host:25", "# c", "/x/", "../x", "a\\nb", "a\\|b", "%s%n", "{", "}",
       "enabled", "1", "25", "a.b.c.", "@", ".x", "zone=garbage", "a b:c", "\x7f", "custom", "localhost", "*", "="]


def whatever(tap):
    """Whatever stands in the properties, keys and names, what can be read is imported, and the daemon takes it."""
    dice = random.Random(7)

    def odd(usual=None):
        return usual if usual is not None and dice.random() < 0.6 else dice.choice(ODD)

    properties = sorted({p for _, props, _ in CASES for p in props} | {"Greeting", "tlsCipher", "TCPPort", "SoftLimit",
                                                                      "Proxy", "access", "Instances", "timeout"})
    for turn in range(12):
        props = [{p: odd() for p in properties if dice.random() < 0.4} for _ in range(3)]
        with Server(*props, spamassassin={p: odd() for p in ("status", "Subject", "RejectLevel", "MaxMessageSize")},
                    plain={k: odd(v) for k, v in dict(PLAIN, GatewayIP="10.0.0.1", DelegateMailServer="10.0.0.2",
                                                      SMTPSmartHost="smart.test", EmailUnknownUser="admin").items()},
                    accounts={odd(f"a{i}"): f"{odd('user')}|Visible|internal|Account|{odd()}" for i in range(20)},
                    domains={odd(f"d{i}.test"): f"domain|MailServer|{odd('10.0.0.8')}" for i in range(8)},
                    networks={odd(f"10.{i}.0.0"): f"network|Mask|{odd('255.255.0.0')}" for i in range(8)},
                    mailpatterns={odd(f"p{i}"): f"pattern|Body|{odd('TVqQAAMAA')}|Status|enabled" for i in range(8)}
                    ) as server:
            done = server.run()
            checked = subprocess.run([os.path.join(taps.build_dir(), "sme-milter"), "-t", "-c", server.conf],
                                     capture_output=True, text=True, timeout=60)
            snippet = ctl("postfix", "snippet", "--postfix-version", "3.7.11", "--settings",
                          os.path.join(server.out, "postfix"), config=server.conf)
            said = done.stdout + done.stderr
            tap.ok(done.returncode == 1 and checked.returncode == 0 and snippet.returncode == 0 and
                   all(c == "\n" or " " <= c <= "~" for c in said), f"odd databases, {turn}", done.returncode,
                   done.stderr[-1000:], checked.stderr, snippet.stderr)


def each_is_told(tap):
    """Each property that is set, and each file of SME Server's page, has its line."""
    values = {"Authentication": "enabled", "Bcc": "enabled", "BccMode": "bcc", "BccUser": "x", "DNSBL": "enabled",
              "Instances": "7", "InstancesPerIP": "3", "LogLevel": "5", "MaxScannerSize": "1000000",
              "MaximumDateOffset": "4", "PatternsScan": "enabled", "Proxy": "enabled", "RBLList": "list.test",
              "RHSBL": "enabled", "RelayRequiresAuth": "disabled", "SoftLimit": "100000000", "SBLList": "names.test",
              "TCPProxyPort": "26", "TlsBeforeAuth": "1", "UBLList": "links.test:8", "URIBL": "enabled",
              "VirusScan": "enabled", "access": "private", "qplogsumm": "enabled", "status": "enabled",
              "tnef2mime": "disabled", "Karma": "enabled", "KarmaNegative": "4", "KarmaStrikes": "4",
              "HeloPolicy": "rfc", "MaxLoad": "6", "SPFRejectPolicy": "2", "DMARCReject": "enabled",
              "DMARCReporting": "disabled", "disclaimer": "enabled", "BccDirection": "incoming", "tlsCipher": "HIGH",
              "TLSv1": "disabled", "TLSv1.3": "enabled", "SSLv2": "disabled", "SSLv3": "disabled", "TLSv1.1": "disabled",
              "TLSv1.2": "enabled", "Greeting": "hello", "timeout": "300", "timeoutsmtpd": "200"}
    ports = ("qpsmtpd", "sqpsmtpd", "uqpsmtpd")
    for differs in (False, True):
        own = {"Bcc": "disabled", "VirusScan": "disabled", "tnef2mime": "enabled"} if differs else {}
        with Server(qpsmtpd=dict(values, TCPPort="2525"), sqpsmtpd=dict(values, TCPPort="2465", **own),
                    uqpsmtpd=dict(values, TCPPort="2587"), spamassassin={
                        "status": "enabled", "Sensitivity": "custom", "RejectLevel": "12", "TagLevel": "4",
                        "Subject": "x", "SubjectTag": "enabled", "MaxMessageSize": "300000"},
                    plain={"clamav": "service|status|enabled|x|y", "GatewayIP": "192.168.1.254",
                           "EmailUnknownUser": "returntosender", "ExternalIP": "203.0.113.7"}) as server:
            done = server.run()
            told = set(re.findall(r"(?m)^(?:notice: |left out: )?(\S+\{[^}]+\}|file \S+): ", done.stdout))
            wanted = {f"{r}{{{p}}}" for r in ports for p in list(values) + ["TCPPort"]}
            wanted |= {f"spamassassin{{{p}}}" for p in ("status", "Sensitivity", "RejectLevel", "TagLevel", "Subject",
                                                        "SubjectTag", "MaxMessageSize")} | {"clamav{status}", "clamav{x}"}
            files = ("badhelo badmailfrom badrcptto badrcptto_ext dkim dnsbl_allow dnsbl_zones forcespamcheck goodrcptto "
                     "invalid_resolvable_fromhost IP loglevel memory_threshold norelayclients peers plugin_dirs plugins "
                     "relayclients rhsbl_zones signatures_patterns smtpgreeting spool_dir spool_perms subject_prefix "
                     "timeout timeoutsmtpd tls_before_auth tls_ciphers tls_protocols uribl_zones")
            wanted |= {"file " + name for name in files.split()}
            tap.ok(not wanted - told, "each property and file is told of", sorted(wanted - told), done.stdout)
            tap.same(sorted(t for t in re.findall(r"(?m)^left out: (.*)", done.stdout)), [], "and none left out")


def inheriting(tap):
    """What sqpsmtpd and uqpsmtpd do not set is qpsmtpd's; what they set is their own."""
    with Server(qpsmtpd={"VirusScan": "enabled", "Bcc": "enabled", "PatternsScan": "enabled"},
                uqpsmtpd={"VirusScan": "disabled", "DNSBL": "enabled"}, sqpsmtpd={"Bcc": "disabled"}) as server:
        server.imported(tap, "x")
        for profile, virus, bcc in (("smtp", "yes", "yes"), ("submission", None, "yes"), ("submissions", "yes", None)):
            tap.same((server.show("virus.enabled", profile), server.show("bcc.enabled", profile),
                      server.show("patterns.enabled", profile)), (virus, bcc, "yes"), f"{profile}: its own or qpsmtpd's")
        tap.has(server.said, "notice: uqpsmtpd{DNSBL}: has no effect: port 587", "a property that the port has no use for")
        status, said = server.judge(more=("--port", "465", "--tls", "TLSv1.3"))
        tap.ok(status == 1 and "authentication is required" in said, "465 is for relaying only", said)


def spam(tap):
    custom = {"status": "enabled", "Sensitivity": "custom", "RejectLevel": "12", "TagLevel": "4", "SubjectTag": "enabled",
              "Subject": "[SPAM]", "MaxMessageSize": "300000"}
    rows = [(custom, ("yes", "12", "4", "300000", "[SPAM]")),
            (dict(custom, Sensitivity="high"), ("yes", "0", "3", "300000", "[SPAM]")),
            (dict(custom, RejectLevel="3"), ("yes", "0", "4", "300000", "[SPAM]")),
            (dict(custom, SubjectTag="disabled"), ("yes", "12", "0", "300000", "[SPAM]"))]
    for props, wanted in rows:
        with Server(spamassassin=props) as server:
            server.imported(tap, "spamassassin")
            got = tuple(server.show("spamassassin." + o) for o in ("enabled", "reject_at", "tag_at", "size_limit",
                                                                    "subject_prefix"))
            tap.same(tuple(g if g is not None else "0" for g in got), wanted, f"spamassassin: {props}")
            tap.same(server.show("forcespamcheck.enabled", "submission"), "yes", "and of our own people's mail")
    with Server(spamassassin={"status": "disabled"}) as server:
        tap.same(server.imported().show("spamassassin.enabled"), None, "spamassassin: disabled")


def attachments(tap):
    patterns = {"exe": "pattern|Body|TVqQAAMAA,TVpQAAIAA|Status|enabled", "zip": "pattern|Body|UEsDBAoAA|Status|disabled"}
    how = {"header": ATTACHED[0], "body": ATTACHED[1]}
    for scan, check in (("enabled", refused("exe", **how)), ("disabled", accepted(**how))):
        with Server(qpsmtpd={"PatternsScan": scan}, mailpatterns=patterns) as server:
            check(tap, server.imported(tap), f"PatternsScan {scan}")
    with Server(qpsmtpd={"PatternsScan": "enabled"}, mailpatterns={"exe": "pattern|Body|x,TVqQAAMAA|Status|on",
                                                                   "odd": "pattern|Status|perhaps"}) as server:
        done = server.run()
        tap.ok(done.returncode == 1 and "left out: pattern exe: \"x\"" in done.stdout and
               "left out: pattern odd" in done.stdout, "patterns that are none", done.stdout)
        refused("exe", **how)(tap, server, "and the rest")


def recipients(tap):
    with Server() as server:
        server.imported(tap, "accounts")
        for who in ("bart@here.test", "simpsons@other.test", "sales@here.test", "bart-lists@here.test", "web@here.test",
                    "boss@other.test", "admin@here.test", "root@mail.here.test", "postmaster@here.test"):
            accepted(rcpt=who)(tap, server, who)
        for who in ("nobody@here.test", "boss@here.test", "cgi-bin@here.test"):
            refused("invalid recipient", rcpt=who)(tap, server, who)
        for who in ("lisa@here.test", "everyone@other.test", "shared@here.test", "lisa@mail.here.test"):
            refused("badrcptto_ext", rcpt=who)(tap, server, f"{who} is internal")
            accepted(rcpt=who, ip="192.168.1.9")(tap, server, f"{who} from the local network")
        for who in ("a%b@here.test", "a!b@here.test"):
            refused("badrcptto", rcpt=who)(tap, server, who)
    for plain in ({"EmailUnknownUser": "admin"}, {"DelegateMailServer": "10.0.0.8"}):
        with Server(plain=plain) as server:
            server.imported(tap, str(plain))
            tap.same(server.show("goodrcptto.enabled"), None, f"{plain}: unknown recipients are not ours to refuse")
    with Server(plain={"EmailUnknownUser": "returntosender"}) as server:
        refused("invalid recipient", rcpt="nobody@here.test")(tap, server.imported(tap), "returntosender")
    with Server(domains=dict(DOMAINS, **{"inner.test": "domain|MailServer|10.0.0.9"})) as server:
        server.imported(tap, "MailServer")
        tap.same(server.show("smtp_forward.routes"), '{"inner.test 10.0.0.9"}', "MailServer: the inner server is asked")
        status, said = server.judge(rcpt="anybody@inner.test")
        tap.hasnt(said, "invalid recipient", "goodrcptto knows nobody of that domain, and refuses nobody")


def mapped(server, box, name):
    """What virtual_alias_maps of the import makes of it."""
    with open(os.path.join(server.out, "postfix/main.cf")) as f:
        maps = re.findall(r"(?m)^virtual_alias_maps = (.*)", f.read())
    return maps and subprocess.run(["postmap", "-c", box.conf, "-q", name, maps[0]], capture_output=True, text=True,
                                   timeout=60).stdout.strip() or None


def groups(tap):
    """A group's mail goes to its members; one without any is no recipient."""
    with Server(accounts={"bart": "user", "lisa": "user|EmailForward|both|ForwardAddress|l@far.test", "shared": "system",
                          "family": "group|Members|bart,Lisa , gone,admin", "nobody": "group|Members|gone,nobody,family",
                          "empty": "group|Members|", "news": "list", "everyone": "pseudonym|Account|shared"}
                ) as server, Sandbox() as box:
        done = server.run()
        tap.same({n: mapped(server, box, n) for n in ("family", "nobody", "empty", "shared", "news")},
                 {"family": "bart, lisa, admin", "nobody": None, "empty": None, "shared": "bart, lisa", "news": None},
                 "Members")
        for part in ('left out: family{Members}: the member "gone" is no user',
                     "notice: empty{Members}: empty has no members: it gets no mail",
                     "family{Members}: virtual_alias_maps", "notice: news: mailing lists (there are 1)"):
            tap.has(done.stdout, part, "told")
        for who in ("family", "everyone", "shared", "news"):
            accepted(rcpt=f"{who}@here.test")(tap, server, who)
        for who in ("nobody", "empty"):
            refused("invalid recipient", rcpt=f"{who}@here.test")(tap, server, f"{who} has no members")
    with Server(accounts={**{f"u{i}": "user" for i in range(1001)},
                          "all": "group|Members|" + ",".join(f"u{i}" for i in range(1001))}) as server, Sandbox() as box:
        done = server.run()
        tap.ok(done.returncode == 1 and "left out: all{Members}: Postfix does not expand" in done.stdout and
               mapped(server, box, "all") is None, "more members than Postfix takes", done.stdout)


def nobodies(tap):
    """Whoever mail is to go to is somebody."""
    for user in ("a b", "a/b", "@x", "x@", "a,b"):
        with Server(plain={"EmailUnknownUser": user}) as server:
            done = server.run()
            tap.ok(done.returncode == 1 and "left out: EmailUnknownUser: " in done.stdout and "luser_relay" not in
                   open(os.path.join(server.out, "postfix/main.cf")).read(), f"EmailUnknownUser={user}", done.stdout)
            refused("invalid recipient", rcpt="nobody@here.test")(tap, server, "strangers' guesses are refused then")
    for name, told in (("gone", True), ("bart", False), ("Admin", False), ("x@far.test", False)):
        for prop, how in (("EmailUnknownUser", {"plain": {"EmailUnknownUser": name}}),
                          ("qpsmtpd{BccUser}", {"qpsmtpd": {"Bcc": "enabled", "BccUser": name}})):
            with Server(**how) as server:
                done = server.run()
                said = f'notice: {prop}: "{name}" is none of the accounts' in done.stdout
                tap.ok(done.returncode == 0 and said == told,
                       f"{prop}={name}: a notice" if told else f"{prop}={name}: none", done.stdout)
    with Server(accounts={"bart": "user", "a": "pseudonym|Account|b", "b": "pseudonym|Account|A",
                          "c": "pseudonym|Account|a", "d": "pseudonym|Account|e", "e": "pseudonym|Account|bart"}) as server, Sandbox() as box:
        done = server.run()
        tap.same({n: mapped(server, box, n) for n in "abcde"}, {"a": None, "b": None, "c": None, "d": "e", "e": "bart"},
                 "pseudonyms in a circle")
        for name in "abc":
            tap.has(done.stdout, f"left out: {name}: the pseudonym leads to", "named")
            refused("invalid recipient", rcpt=f"{name}@here.test")(tap, server, name)
        accepted(rcpt="d@here.test")(tap, server, "a chain")


def block_lists(tap):
    """Lists as older servers wrote them, lists that stand twice, masks that are none."""
    with Server(qpsmtpd={"DNSBL": "enabled", "RBLList": "list.test:other-list.test:dnsbl.sorbs.net,list.test,"
                                                        "LIST.test:text"}) as server:
        done = server.run()
        tap.same(server.show("dnsbl.zones"), '{"list.test", "other-list.test"}', "a colon between lists")
        for part in ('"list.test:other-list.test:dnsbl.sorbs.net" are several lists', 'the list "list.test" stands twice',
                     'the list "LIST.test:text" stands twice', 'the list "dnsbl.sorbs.net"'):
            tap.has(done.stdout, "notice: qpsmtpd{RBLList}: " + part, "told")
        tap.same(done.returncode, 0, "all of it was meant")
    for mask in ("x", "300", "", "8-", "8-x", "0", "-8"):
        with Server(qpsmtpd={"URIBL": "enabled", "UBLList": f"links.test:{mask},names.test:8-16"}) as server:
            done = server.run()
            tap.ok(done.returncode == 1 and f'left out: qpsmtpd{{UBLList}}: "links.test:{mask}": behind the colon' in
                   done.stdout and "links.test" not in server.show("uribl.zones"), f"UBLList: the mask {mask!r}",
                   done.stdout, server.show("uribl.zones"))


def own_names(tap):
    """This machine's outer address; servers that nobody can ask."""
    with Server(plain={"ExternalIP": "203.0.113.7"}) as server:
        server.imported(tap, "ExternalIP")
        tap.has(open(os.path.join(server.out, "goodrcptto")).read(), "\npostmaster@[203.0.113.7]\n", "postmaster there")
        tap.ok(re.search(r"(?m)^mynetworks = .* 203\.0\.113\.7( |$)", open(os.path.join(server.out, "postfix/main.cf")
                                                                       ).read()), "it is in mynetworks")
    for rows in ({"domains": dict(DOMAINS, **{"inner.test": "domain|MailServer|host_x"})},
                 {"plain": {"DelegateMailServer": "host_x"}}):
        with Server(**rows) as server:
            done = server.run()
            main = open(os.path.join(server.out, "postfix/main.cf")).read()
            tap.ok(done.returncode == 1 and "host_x" not in main and re.search(r"(?m)^relay_domains =$", main) and
                   re.search(r"(?m)^left out: (domain inner.test\{MailServer\}|DelegateMailServer): ", done.stdout),
                   "a server that smtp_forward cannot ask is none for Postfix either", done.stdout, main)


def links(tap):
    """A domain that signs with another one's key: its link is taken when the key is there."""
    key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout
    with Server(folder={"me": "mail.here.test\n", "dkim/here.test/selector": "may2013\n", "dkim/here.test/private": key}
                ) as server:
        os.symlink("/var/service/qpsmtpd/config/dkim/here.test", server.directory.file("qpsmtpd/dkim/other.test"))
        os.symlink("gone.test", server.directory.file("qpsmtpd/dkim/third.test"))
        os.symlink("fourth.test", server.directory.file("qpsmtpd/dkim/fourth.test"))
        done = server.run()
        tap.same(os.readlink(os.path.join(server.out, "dkim/other.test")), "here.test", "a link to a key")
        for name, to in (("third", "gone"), ("fourth", "fourth")):
            tap.ok(f"left out: dkim/{name}.test: is a link to {to}.test, which is not there" in done.stdout and
                   not os.path.lexists(os.path.join(server.out, f"dkim/{name}.test")), f"{name}.test: one to none",
                   done.stdout)


def read_only(tap):
    with Server() as server:
        os.mkdir(server.out, 0o555)
        # Root may write everywhere; a stranger may not.
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", CTL, "import", "sme",
                               "--db", server.db, "--out", server.out], capture_output=True, text=True, timeout=60)
        if "setpriv" not in done.stderr:
            tap.same((done.returncode, os.listdir(server.out)), (77, []), "a directory that is read-only: 77")


def forwarding(tap):
    """EmailForward decides where a user's mail goes; an address that was left in the record does not."""
    rows = {"": None, "local": None, "procmail": None, "sometimes": None, "forward": "lisa@far.test",
            "both": "lisa, lisa@far.test"}
    for how, wanted in rows.items():
        with Server(accounts={"lisa": f"user|EmailForward|{how}|ForwardAddress|lisa@far.test"}) as server, Sandbox() as box:
            done = server.run()
            with open(os.path.join(server.out, "postfix/main.cf")) as f:
                maps = re.findall(r"(?m)^virtual_alias_maps = (.*)", f.read())
            got = maps and subprocess.run(["postmap", "-c", box.conf, "-q", "lisa", maps[0]], capture_output=True,
                                          text=True, timeout=60).stdout.strip()
            tap.same(got or None, wanted, f"EmailForward={how}")
            told = {None: "notice: lisa{ForwardAddress}: has no effect"}.get(wanted, "lisa: virtual_alias_maps")
            if how == "sometimes":
                told = 'left out: lisa{EmailForward}: "sometimes" is none of'
            tap.ok(told in done.stdout and done.returncode == (how == "sometimes"), f"EmailForward={how}: it is said",
                   done.returncode, done.stdout)


def ports(tap):
    """Whatever the ports are, each service has one of its own."""
    for qp, sq, uq, wanted in ((465, 465, 587, [25, 465, 587]), (25, 25, 25, [25, 465, 587]), (587, 25, 587, [25, 465, 587]),
                               (2525, 465, 2525, [2525, 465, 587]), (465, 25, 587, [465, 25, 587])):
        with Server({"TCPPort": qp}, {"TCPPort": sq}, {"TCPPort": uq}) as server:
            done = server.run()
            with open(os.path.join(server.out, "postfix/master.cf")) as f:
                got = [{"smtp": 25, "submissions": 465, "submission": 587}.get(name, name)
                       for name in re.findall(r"(?m)^(\S+) inet", f.read())]
            tap.same([int(port) for port in got], wanted, f"TCPPort {qp}, {sq}, {uq}")
            tap.same(done.returncode, int([qp, sq, uq] != wanted), "and what is changed is named")


def circles(tap):
    """A MailServer that is this machine, by whichever of its addresses."""
    for host in ("127.0.0.1:2525", "192.168.1.1", "203.0.113.7", "0.0.0.0", "[::]:25", "localhost", "MAIL.here.test"):
        with Server(domains=dict(DOMAINS, **{"inner.test": f"domain|MailServer|{host}"}),
                    plain={"ExternalIP": "203.0.113.7"}) as server:
            done = server.run()
            tap.ok(done.returncode == 1 and "is this machine itself" in done.stdout and
                   server.show("smtp_forward.routes") == "{}", f"MailServer {host}: mail would go in a circle",
                   done.stdout, server.show("smtp_forward.routes"))


def networks(tap):
    with Server(networks=dict(NETWORKS, **{"10.1.0.0": "network|Mask|255.255.0.0"}), plain={
            "GatewayIP": "192.168.1.254", "ExternalIP": "203.0.113.7"}, qpsmtpd={"HeloPolicy": "rfc"}) as server:
        server.imported(tap, "networks")
        for ip in ("192.168.1.9", "10.1.2.3", "127.0.0.1", "203.0.113.7"):
            accepted(ip=ip, helo="no-dot")(tap, server, f"{ip} is local")
        refused(ip="10.2.0.1", helo="no-dot")(tap, server, "10.2.0.1 is not")
        tap.same(server.show("relay.except", "smtp-local"), '{"192.168.1.254"}', "GatewayIP is none of ours")
        refused(helo="203.0.113.7")(tap, server, "nobody else is ExternalIP")
    with Server(networks={"0.0.0.0": "network|Mask|0.0.0.0", "10.9.0.0": "network|Mask|255.0.255.0",
                          "192.168.1.0": "host|Mask|255.255.255.0"}) as server:
        done = server.run()
        for key, why in (("0.0.0.0", "wider than /8"), ("10.9.0.0", "is no network"), ("192.168.1.0", "not network")):
            tap.ok(re.search(rf"left out: network {re.escape(key)}: .*{why}", done.stdout), f"network {key}: {why}",
                   done.stdout)
        refused(ip="10.9.0.1", helo="192.0.2.1")(tap, server, "and is not local")


# ---- bad input ----

def bad_input(tap):
    with Server() as server:
        done = ctl("import", "sme", "--db", server.directory.file("nowhere"), "--out", server.out)
        tap.ok(done.returncode == 66 and "configuration is not there" in done.stderr, "no databases: 66", done.stderr)
        tap.ok(not os.path.exists(server.out), "and nothing written")
        tap.same(ctl("import", "sme").returncode, 64, "no --db: 64")
        server.directory.write("db/configuration", bytes(range(256)).decode("latin-1") * 50)
        done = server.run()
        tap.ok(done.returncode == 65 and not os.path.exists(server.out), "a database that is none: 65, nothing written",
               done.returncode, done.stderr)
        tap.ok(all(32 <= ord(c) < 127 or c == "\n" for c in done.stderr), "no strange byte on the terminal")
    text = "".join(f"{k}={v}\n" for k, v in ACCOUNTS.items())
    with Server(raw={"accounts": text + "bart=user|Visible|internal\nno record\nodd=user|Visible\nbad\x01key=user\n"
                     "robot=android\n/re/=user\nnowhere=pseudonym|Account|gone\nhalf=user|Visible|inter"}) as server:
        done = server.run()
        said = done.stdout + done.stderr
        tap.same(done.returncode, 1, "bad records: 1")
        for part in ("accounts:2: warning: bart: the key stands again on line 11", '"no record": there is no =',
                     "odd: cut off at the property Visible", '"bad\\x01key": it has binary bytes',
                     "robot: the account is of the unknown type", "/re/: the account's name cannot be",
                     'nowhere: the pseudonym leads to "gone"', "half: cut off at the property Visible"):
            tap.ok(part in said, f"named: {part}", said)
        accepted(rcpt="odd@here.test")(tap, server, "the rest is imported")
        refused("badrcptto_ext", rcpt="bart@here.test")(tap, server, "of two records the last counts")
    with Server(plain={"DomainName": "two words"}) as server:
        done = server.run()
        tap.ok(done.returncode == 1 and 'left out: DomainName: "two words" is no domain name' in done.stdout,
               "a domain that is none", done.stdout)


def files(tap):
    """Twice is once; what was before is kept; nothing is half written."""
    with Server(qpsmtpd=LISTS) as server:
        dry = server.run("-n")
        tap.ok(dry.returncode == 0 and "would write" in dry.stdout and not os.path.exists(server.out), "-n writes nothing",
               dry.stdout)
        server.imported(tap, "first")
        first = tree(server.out)
        tap.ok("sme-milter.conf" in first and "postfix/main.cf" in first and "postfix/master.cf" in first and
               "sme-milter.service.d/50koozali.conf" in first, "what is written", sorted(first))
        again = server.run()
        tap.ok(tree(server.out) == first and "written:" not in again.stdout, "importing twice gives the same bytes")
        comments = re.findall(r"(?m)^( *)# (.+)\n\1\S+ = ", first["sme-milter.conf"].decode())
        values = re.findall(r"(?m)^ *\w+ = ", first["sme-milter.conf"].decode())
        tap.ok(len(values) > 30 and len(comments) >= len(values) - 6, "each value has its comment", len(comments),
               len(values))
        server.write("accounts", {"homer": "user"})
        server.imported(tap, "changed")
        tap.same(open(os.path.join(server.out, "goodrcptto.previous"), "rb").read(), first["goodrcptto"],
                 "the previous one is kept")
        refused("invalid recipient", ip="192.0.2.9")(tap, server, "and the new one counts: bart is gone")
        before = tree(server.out)
        os.mkdir(os.path.join(server.out, "signatures_patterns"))
        server.write("mailpatterns", {"exe": "pattern|Body|TVqQAAMAA|Status|enabled"})
        server.write("accounts", {"marge": "user"})
        failed = server.run()
        tap.ok(failed.returncode == 73 and "nothing is changed" in failed.stderr, "one that cannot be written",
               failed.returncode, failed.stderr)
        after = tree(server.out)
        tap.same({n: t for n, t in after.items() if not n.endswith(".previous")},
                 {n: t for n, t in before.items() if not n.endswith(".previous")}, "then none is")
        tap.ok(not glob.glob(os.path.join(server.out, ".import-*")), "and nothing is left behind")
        os.rmdir(os.path.join(server.out, "signatures_patterns"))
        os.makedirs(os.path.join(server.out, "conf.d"), exist_ok=True)
        server.directory.write("out/conf.d/own.conf", "earlytalker { wait = 2s }\nhelo { level = strict }\n")
        failed = server.run()
        tap.ok(failed.returncode == 78 and "own.conf" in failed.stderr and tree(server.out)["goodrcptto"] ==
               before["goodrcptto"], "what the daemon would not accept is not written", failed.stderr)
        server.directory.write("out/conf.d/own.conf", "earlytalker { wait = 2s }\n")
        server.imported(tap, "with conf.d")
        server.values = {}
        tap.same(server.show("earlytalker.wait"), "2s", "conf.d is the administrator's")
        checked = subprocess.run([os.path.join(taps.build_dir(), "sme-milter"), "-t", "-c", server.conf],
                                 capture_output=True, text=True, timeout=60)
        tap.same(checked.returncode, 0, "sme-milter -t accepts it all")
        out = json.loads(server.run("--json").stdout)
        fates = {row["fate"] for row in out["properties"]}
        tap.ok(fates == {"imported", "notice"} and "sme-milter.conf" in out["files"], "--json", fates)
        quiet = server.run("-q").stdout
        tap.ok("qpsmtpd{DNSBL}" not in quiet and "dropped" in quiet, "-q tells only what was not imported", quiet)


def kept(tap):
    """Whatever stood there before an import is kept, however often it is repeated."""
    with Server() as server:
        os.mkdir(server.out)
        texts = ["# mine, from before\n", "# by hand, 1\n", "# by hand, 2\n"]
        for turn, text in enumerate(texts):
            server.directory.write("out/sme-milter.conf", text)
            server.write("accounts", {f"user{turn}": "user"})
            done = server.run()
            name = "sme-milter.conf.previous" + (f".{turn + 1}" if turn else "")
            tap.ok(done.returncode == 0 and f"sme-milter.conf (before: {name})" in done.stdout, "it is told", done.stdout,
                   done.stderr)
        found = tree(server.out)
        tap.same([found.get(f"sme-milter.conf.previous{n}", b"").decode() for n in ("", ".2", ".3")], texts,
                 "each of three edits is kept")
        tap.ok(b"user0" in found["goodrcptto.previous"] and b"user1" in found["goodrcptto.previous.2"] and
               b"user2" in found["goodrcptto"], "and each list", sorted(found))


def conf_d(tap):
    """conf.d opens the sections and profiles of the import again, for what it does not set."""
    with Server(qpsmtpd=dict(LISTS, disclaimer="enabled"), folder={"disclaimer": "Our words.\n",
                                                                       "badmailfrom": "@bad.test\n"}) as server:
        os.makedirs(server.directory.file("out/conf.d"))
        server.directory.write("out/conf.d/own.conf", 'helo { timeout = 3s }\ndnsbl { allow = {"192.0.2.25"} }\n'
                               'profile "smtp" { helo { karma = -3 } }\n')
        done = server.run()
        tap.ok(done.returncode == 0 and "No such file" not in done.stdout + done.stderr, "it is imported", done.stdout,
               done.stderr)
        tap.same((server.show("helo.timeout"), server.show("helo.level"), server.show("helo.karma"),
                  server.show("helo.karma", "smtp-local")), ("3s", "lenient", "-3", None), "both are in force")
        accepted(without=("Blocked",))(tap, server, "dnsbl.allow, as the import advises")
        server.directory.write("out/conf.d/own.conf", "helo { level = strict }\n")
        done = server.run()
        line = open(server.conf).read().split("\n").index("    level = lenient") + 1
        said = f'{server.out}/conf.d/own.conf:1: "level" is already set at {server.out}/sme-milter.conf:{line}'
        checked = subprocess.run([os.path.join(taps.build_dir(), "sme-milter"), "-t", "-c", server.conf],
                                 capture_output=True, text=True, timeout=60)
        tap.ok(done.returncode == 78 and said in done.stderr and ".import-" not in done.stderr,
               "what both set is an error that names both", done.stderr)
        tap.ok(checked.returncode == 78 and said in checked.stderr, "of sme-milter -t too", checked.stderr)


def tree(top):
    found = {}
    for path, _, names in os.walk(top):
        for name in names:
            full = os.path.join(path, name)
            with open(full, "rb") as f:
                found[os.path.relpath(full, top)] = f.read()
    return found


def many(tap):
    rows = "".join(f"user{i}=user|FirstName|A{i}|LastName|B|Uid|{i}|Visible|{'internal' if i % 4 == 0 else 'x'}\n"
                   for i in range(100000))
    with Server(raw={"accounts": rows}) as server:
        before = os.times().children_user + os.times().children_system
        done = server.run("-q")
        spent = os.times().children_user + os.times().children_system - before
        # A sanitizer's build needs several times as long; the figure is that of a plain one.
        most = 20 if b"__asan_init" in open(CTL, "rb").read() else 2
        tap.ok(done.returncode == 0 and spent < most, f"100000 accounts in {spent:.2f} s", done.stderr)
        refused("invalid recipient", rcpt="user100000@here.test")(tap, server, "who is not among them")
        accepted(rcpt="user99999@here.test")(tap, server, "who is")
        refused("badrcptto_ext", rcpt="user4@other.test")(tap, server, "who is internal")


# ---- a folder of qpsmtpd ----

FOLDER = {
    "peers/0": "tls\nkarma negative 3 strikes 4 reject naughty\nearlytalker wait 0\nrelay\nhelo policy lenient reject naughty\n"
               "headers future 3 past 3\nloadcheck max_load 100000\nbadmailfrom\nbadmailfromto\nbadrcptto\ndnsbl reject naughty\n"
               "uribl action deny\nsender_permitted_from reject 1 no_dmarc_policy 2\ncheck_goodrcptto extn -\nmy_plugin x\n"
               "count_unrecognized_commands 6\nrhsbl\ndkim reject 0\n",
    "badhelo": "aol.com\n!\\.test$\n(bad|worse)\\.test\n",
    "badmailfrom": "user+tag@bad.test go away\n@spam.test\n^[a-z]+@regex\\.test$ no machines\n$include more\n",
    "badmailfromto": "a@soft.test bart@here.test\n",
    "badrcptto": "!\ngone@here.test he has left\n",
    "dnsbl_zones": "list.test:Listed - %IP%\ndnsbl.sorbs.net\n",
    "rhsbl_zones": "names.test\n",
    "uribl_zones": "links.test 8,16 deny\n",
    "rcpthosts": "here.test\n.sub.test\n",
    "me": "mail.here.test\n",
    "goodrcptto": "bart@here.test\ngone@here.test\n",
    "relayclients": "127.0.0.1\n192.168.\n",
    "norelayclients": "192.168.1.254\n",
    "karma_tlds": "top:-4\n",
    "loglevel": "6\n",
    "dkim/here.test/selector": "may2013\n",
    "disclaimer": "Gr\xfc\xdfe\n".encode("latin-1"),
    "strange": "x\n",
}


def folder(tap):
    key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout
    karma = f" {'192.0.2.1':<18}  {'':>24}    {'':>3}     {'12':>3}     {'1234':>3}    {'mx.example.net':>30}\n"
    contents = dict(FOLDER, **{"dkim/here.test/private": key, "karma.list": karma})
    with Server(folder=contents) as server:
        done = server.run(db=False)
        tap.same(done.returncode, 1, "what is left out makes it 1")
        for part in ("my_plugin: is none of qpsmtpd's own", "$include more", "file strange", "sorbs"):
            tap.ok(part in done.stdout, f"named: {part}", done.stdout)
        fine = {"rcpt": "bart@here.test"}
        accepted(**fine, ip="192.0.2.9", sender="a@far.test")(tap, server, "a fine message")
        refused(helo="aol.com", ip="192.0.2.9")(tap, server, "badhelo")
        refused(helo="mx.worse.test", ip="192.0.2.9")(tap, server, "badhelo: a regular expression")
        refused(helo="mx.example.org", ip="192.0.2.9")(tap, server, "badhelo: one that must match")
        refused("go away", sender="user+tag@bad.test", ip="192.0.2.9")(tap, server, "badmailfrom: a plus is a plus")
        refused("no machines", sender="abc@regex.test", ip="192.0.2.9")(tap, server, "badmailfrom: a regular expression")
        refused("badmailfromto", sender="a@soft.test", ip="192.0.2.9")(tap, server, "badmailfromto")
        refused("he has left", rcpt="gone@here.test", ip="192.0.2.9", sender="a@far.test")(tap, server, "badrcptto")
        refused("invalid recipient", rcpt="nobody@here.test", ip="192.0.2.9", sender="a@far.test")(tap, server, "goodrcptto")
        refused("Listed - 192.0.2.25", sender="a@far.test")(tap, server, "dnsbl_zones with its text")
        refused("names.test", ip="192.0.2.9", sender="a@there.test")(tap, server, "rhsbl_zones")
        accepted(ip="192.168.3.4", helo="aol.com")(tap, server, "relayclients: a prefix")
        tap.same((server.show("karma.negative"), server.show("karma.strikes"), server.show("spf.reject_policy"),
                  server.show("unrecognized_commands.max"), server.show("uribl.zones"), server.show("relay.except")),
                 ("3", "4", "2", "6", '{"links.test:8-16"}', '{"192.168.1.254"}'), "arguments of plugins")
        tap.same((server.show("bogus_bounce.enabled"), server.show("virus.enabled"), server.show("dmarc.policy")),
                 (None, None, None), "what was not loaded is off")
        path = os.path.join(server.out, "dkim/here.test/may2013.private")
        tap.ok(open(path, "rb").read() == key and os.stat(path).st_mode & 0o137 == 0, "the key, for the daemon alone",
               oct(os.stat(path).st_mode))
        status, said = server.judge(ip="192.168.3.4", sender="bart@here.test", rcpt="x@far.test")
        tap.ok(status == 0 and "d=here.test" in said and "s=may2013" in said, "mail is signed with it", said)
        tap.same(open(os.path.join(server.out, "disclaimer/disclaimer.txt")).read(), "Grüße\n", "the disclaimer, in UTF-8")
        state = server.directory.file("state")
        os.mkdir(state)
        own = server.directory.write("karma.conf", f'state_dir = "{state}"\n')
        done = ctl("karma", "import", os.path.join(server.out, "karma.import"), config=own)
        tap.ok(done.returncode == 0 and "1 added" in done.stdout, "karma import takes the listing", done.stdout, done.stderr)
    with Server(folder=contents, qpsmtpd={"HeloPolicy": "strict"}) as server:
        done = server.run()
        tap.has(done.stdout, "notice: file dnsbl_zones: is not read: the property RBLList says it", "databases say it better")
        tap.same((server.show("helo.level"), server.show("karma.negative")), ("strict", "2"), "and count")
        tap.ok("aol.com" not in open(os.path.join(server.out, "badhelo")).read() and
               "notice: file badhelo: aol.com is left out" in done.stdout, "badhelo without SME Server's own", done.stdout)
        tap.ok(os.path.exists(os.path.join(server.out, "dkim/here.test/may2013.private")), "keys come from the folder")
    with Server() as server:
        tap.same(ctl("import", "sme", "--qpsmtpd", server.db, "--out", server.out).returncode, 66, "a folder that is none")


# ---- the whole server ----

def systemd(tap):
    with Server(qpsmtpd={"SoftLimit": "200000000"}) as server:
        server.imported(tap, "SoftLimit")
        text = open(os.path.join(server.out, "sme-milter.service.d/50koozali.conf")).read()
        tap.ok("MemoryHigh=500000000\n" in text and "MemoryMax=1000000000\n" in text and "LimitDATA=" in text and
               "# qpsmtpd{SoftLimit} = 200000000" in text, "SoftLimit: the drop-in", text)
        if shutil.which("systemd-analyze"):
            unit = server.directory.write("unit/sme-milter.service", "[Service]\nExecStart=/bin/true\n")
            shutil.copytree(os.path.join(server.out, "sme-milter.service.d"), unit + ".d")
            done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
            tap.hasnt(done.stdout + done.stderr, "50koozali", "systemd has nothing to say of it")


def postfix_takes_it(tap):
    with Server(plain={"SMTPSmartHost": "smart.test"}, networks=dict(NETWORKS, **{
            "10.1.0.0": "network|Mask|255.255.0.0"}), qpsmtpd={"RelayRequiresAuth": "disabled", "Instances": "33",
                                                               "Greeting": "hello there"}) as server, Sandbox() as box:
        server.imported(tap, "Postfix")
        done = ctl("postfix", "snippet", "--config-dir", box.conf, "--settings", os.path.join(server.out, "postfix"),
                   config=server.conf)
        tap.same(done.returncode, 0, "postfix snippet --settings takes what was written")
        tap.same(box.apply(done.stdout), (0, ""), "the commands run")
        tap.same(box.check(), (0, ""), "postfix check has nothing to say")
        tap.has(box.value("mynetworks"), "10.1.0.0/16", "RelayRequiresAuth=disabled: the local network may relay")
        tap.has(box.value("mydestination"), "other.test", "domains")


def whole(tap):
    """A sample server, moved; its mail through all three ports of a real Postfix."""
    box = processes.Directory()
    socket = box.file("m.sock")
    try:
        with Postfix("unix:" + socket, main={"relay_domains": "here.test, other.test"}) as postfix:
            port = postfix.port
            move(tap, postfix, socket, box, {"smtp": port["xclient"], "submissions": port["submissions"],
                                             "submission": port["submission"]})
    finally:
        box.remove()


def move(tap, postfix, socket, box, port):
    props = dict(FILTER, TCPPort=port["smtp"], HeloPolicy="rfc", Bcc="enabled", BccUser="maillog", BccMode="bcc",
                 PatternsScan="enabled", MaximumDateOffset="5", disclaimer="enabled")
    with Server(qpsmtpd=props, sqpsmtpd={"TCPPort": port["submissions"]}, uqpsmtpd={"TCPPort": port["submission"]},
                mailpatterns={"exe": "pattern|Body|TVqQAAMAA|Status|enabled"},
                folder={"badmailfrom": "@bad.test we do not like you\n", "disclaimer": "Our words.\n"}) as server:
        os.makedirs(server.directory.file("out/conf.d"))
        server.directory.write("out/conf.d/here.conf", f"""listen = "unix:{socket}"
listen_group = "postfix"
state_dir = "{box.path}"
dns {{ servers = {{"127.0.0.1:1"}} }}
earlytalker {{ enabled = no }}
fcrdns {{ enabled = no }}
resolvable_fromhost {{ enabled = no }}
dkim {{ enabled = no }}
""")
        server.imported(tap, "the whole server")
        daemon = Daemon("")
        daemon.config = server.conf
        with daemon:
            talk(tap, postfix, daemon, port)
            tap.same(daemon.complaints(), [], "nothing went wrong within")


def talk(tap, postfix, daemon, port):
    def send(name, reply, service="smtp", sender="carol@there.test", rcpt="bart@here.test", ip="192.0.2.25",
             helo="mx.there.test", **how):
        subject = f"{len(seen)}-{os.getpid()}"
        seen.append(subject)
        client = Smtp(port[service], tls=service == "submissions")
        client.ehlo(helo)
        if service == "smtp":
            client.xclient(ADDR=ip, NAME="[UNAVAILABLE]")
            client.ehlo(helo)
        elif service == "submission":
            client.starttls()
            client.ehlo(helo)
        if service != "smtp":
            tap.reply(client.auth(postfix.user, postfix.password), 235, f"{name}: AUTH")
        got = client.message(sender, [rcpt], dated(mail_text(subject=subject, sender=sender, to=rcpt, **how)))
        tap.reply(got, reply[0], name, reply[1])
        client.quit()
        return postfix.sink.subject(subject) if reply[0] == 250 else []

    seen = []
    mails = send("a stranger's mail", (250, ""))
    tap.ok(sorted(r for m in mails for r in m.recipients) == ["bart@here.test", "maillog@here.test"],
           "delivered, with its copy (Bcc)", mails)
    send("an unknown recipient", (550, "invalid recipient"), rcpt="nobody@here.test")
    send("an internal one", (550, ""), rcpt="lisa@here.test")
    send("an internal one, from the local network", (250, ""), rcpt="lisa@here.test", ip="192.168.1.9")
    send("a sender of the folder's badmailfrom", (550, "we do not like you"), sender="x@bad.test")
    send("a HELO without a dot", (550, ""), helo="nodot")
    send("an attachment", (550, "exe"), extra=ATTACHED[0], body=ATTACHED[1])
    for service in ("submissions", "submission"):
        mails = send(service, (250, ""), service, sender="bart@here.test", rcpt="far@away.test", helo="nodot")
        tap.ok(mails and b"Our words." in (mails[0].content if isinstance(mails[0].content, bytes)
                                           else mails[0].content.encode()), f"{service}: with the disclaimer", mails)
    profiles = {r["profile"] for r in daemon.records}
    tap.same(profiles, {"smtp", "smtp-local", "submission"}, "each port has its profile")


def main(tap):
    properties(tap)
    odd_values(tap)
    whatever(tap)
    each_is_told(tap)
    inheriting(tap)
    spam(tap)
    attachments(tap)
    recipients(tap)
    groups(tap)
    nobodies(tap)
    block_lists(tap)
    own_names(tap)
    links(tap)
    read_only(tap)
    forwarding(tap)
    ports(tap)
    circles(tap)
    networks(tap)
    bad_input(tap)
    files(tap)
    kept(tap)
    conf_d(tap)
    many(tap)
    folder(tap)
    systemd(tap)
    postfix_takes_it(tap)
    whole(tap)


if __name__ == "__main__":
    taps.run(main)
