#!/usr/bin/python3
"""The Postfix side of `import sme`: a database, `postfix snippet --settings --apply`, and what Postfix does then."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from house import House
from postfix import INNER_SERVICES, Postfix
from smtp import Smtp, mail_text
from wiring import Sandbox, ctl, postconf

FILES = ("configuration", "accounts", "domains", "networks", "hosts", "mailpatterns")
BASE = {
    "configuration": ["DomainName=example.org", "SystemName=mail", "LocalIP=192.168.1.1",
                      "LocalNetmask=255.255.255.0", "SystemMode=servergateway"],
    "domains": ["example.org=domain|Content|Primary"],
    "networks": ["192.168.1.0=network|Mask|255.255.255.0|Router|default"],
}


def database(directory, more, name="db"):
    """The files of a server: the base, and these lines; a line replaces the one of its key."""
    for file in FILES:
        lines = {line.split("=")[0]: line for line in BASE.get(file, []) + more.get(file, [])}
        directory.write(f"{name}/{file}", "".join(line + "\n" for line in lines.values()))
    return directory.file(name)


def moved(box, more, notes=None):
    """Import into an empty folder and apply that: what the two commands said."""
    for name in ("db", "out"):
        shutil.rmtree(box.directory.file(name), ignore_errors=True)
        os.makedirs(box.directory.file(name))
    done = ctl("import", "sme", "--db", database(box.directory, more), "--out", box.directory.file("out"))
    applied = box.snippet("--apply", "--settings", box.directory.file("out/postfix"))
    return done, applied


def service(port, *properties):
    return "|".join(["qpsmtpd=service" if port == 25 else "sqpsmtpd=service" if port == 465 else "uqpsmtpd=service"] +
                    list(properties))


# What stands in the database, and what Postfix then has: "smtp/inet/x" an option of the service, "-smtp/inet" that it
# is not there, others of main.cf.
PROPERTIES = [
    ({}, {"myhostname": "mail.example.org", "mydomain": "example.org", "myorigin": "example.org",
          "mynetworks": "127.0.0.0/8 [::1]/128 192.168.1.1", "relay_domains": "", "luser_relay": "",
          "local_recipient_maps": "proxy:unix:passwd.byname $alias_maps", "message_size_limit": "10240000",
          "smtp/inet/smtpd_client_connection_count_limit": "5", "smtp/inet/smtpd_sasl_auth_enable": "yes",
          "smtp/inet/smtpd_tls_auth_only": "yes", "submissions/inet/smtpd_tls_wrappermode": "yes",
          "submission/inet/smtpd_tls_security_level": "encrypt", "smtp/inet:process_limit": "40",
          "submission/inet:process_limit": "10", "smtpd_tls_mandatory_protocols": ">=TLSv1.2"}),
    ([service(465, "status", "disabled")], {"-submissions/inet": "", "submission/inet:process_limit": "10"}),
    ([service(25, "TCPPort", "2525")], {"-smtp/inet": "", "2525/inet/milter_macro_daemon_name": "smtp"}),
    ([service(587, "access", "localhost")],
     {"-submission/inet": "", "127.0.0.1:submission/inet/milter_macro_daemon_name": "submission"}),
    ([service(25, "Instances", "7"), service(587, "Instances", "8")],
     {"smtp/inet:process_limit": "7", "submission/inet:process_limit": "8", "submissions/inet:process_limit": "10"}),
    ([service(25, "Instances", "many")], {"smtp/inet:process_limit": "40"}),
    ([service(25, "InstancesPerIP", "3")],
     {f"{name}/inet/smtpd_client_connection_count_limit": value
      for name, value in (("smtp", "3"), ("submissions", "5"))}),
    ([service(25, "Authentication", "disabled")], {"smtp/inet/smtpd_sasl_auth_enable": "no"}),
    ([service(587, "Authentication", "disabled")],
     {"submission/inet/smtpd_sasl_auth_enable": "no", "submission/inet/smtpd_client_restrictions": "",
      "submission/inet/smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
      "submissions/inet/smtpd_sasl_auth_enable": "yes"}),
    ([service(25, "TlsBeforeAuth", "0")], {"smtp/inet/smtpd_tls_auth_only": "no"}),
    ([service(25, "TLSv1.1", "disabled")], {"smtp/inet/smtpd_tls_protocols": "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1"}),
    ([service(587, "TLSv1.2", "disabled")],
     {"submission/inet/smtpd_tls_mandatory_protocols": "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1,!TLSv1.2"}),
    ([service(25, "tlsCipher", "HIGH:!aNULL:!kRSA")],
     {"smtp/inet/tls_high_cipherlist": "HIGH:!aNULL:!kRSA", "smtp/inet/smtpd_tls_ciphers": "high",
      "tls_preempt_cipherlist": "yes"}),
    ([service(25, "tlsCipher", "HIGH; rm -rf $HOME")], {"-smtp/inet/tls_high_cipherlist": ""}),
    (["modSSL=service|CipherSuite|HIGH:!MD5"], {"submission/inet/tls_high_cipherlist": "HIGH:!MD5",
                                              "submission/inet/smtpd_tls_mandatory_ciphers": "high"}),
    ([service(25, "RelayRequiresAuth", "disabled")],
     {"mynetworks": "127.0.0.0/8 [::1]/128 192.168.1.1 192.168.1.0/24"}),
    ([service(25, "RelayRequiresAuth", "disabled"), "GatewayIP=192.168.1.254"],
     {"mynetworks": "!192.168.1.254 127.0.0.0/8 [::1]/128 192.168.1.1 192.168.1.0/24"}),
    ([service(25, "Greeting", "mail.example.org ESMTP Costs $5, why?")],
     {"smtpd_banner": "$myhostname ESMTP Costs $$5, why?"}),
    ([service(25, "Greeting", "Costs {$5}")], {"smtpd_banner": "$myhostname ESMTP $mail_name"}),
    ([service(25, "Greeting", "hello"), service(587, "Greeting", "for users")],
     {"smtpd_banner": "$myhostname ESMTP hello",
      "submission/inet/smtpd_banner": "$myhostname ESMTP for users", "-submissions/inet/smtpd_banner": ""}),
    ([service(25, "timeout", "400", "timeoutsmtpd", "60")], {"smtp/inet/smtpd_timeout": "400s"}),
    (["qmail=service|MaxMessageSize|77000000"],
     {"message_size_limit": "77000000", "mailbox_size_limit": "0", "virtual_mailbox_limit": "0"}),
    (["SMTPSmartHost=smart.example.net"], {"relayhost": "[smart.example.net]"}),
    (["EmailUnknownUser=returntosender"], {"luser_relay": ""}),
    (["EmailUnknownUser=admin"], {"luser_relay": "admin", "local_recipient_maps": ""}),
    (["EmailUnknownUser=a,b|/bin/sh"], {"luser_relay": ""}),
    (["DelegateMailServer=10.0.0.5"],
     {"mydestination": "mail.example.org, localhost.example.org, localhost", "relay_domains": "example.org",
      "transport_maps": "inline:{{example.org = smtp:[10.0.0.5]}}"}),
]
OTHERS = [
    ({"domains": ["inner.test=domain|MailServer|10.0.0.6:2525", "here.test=domain"]},
     {"mydestination": "mail.example.org, localhost.example.org, localhost, example.org, here.test",
      "relay_domains": "inner.test", "transport_maps": "inline:{{inner.test = smtp:[10.0.0.6]:2525}}"}),
    ({"networks": ["10.2.0.0=network|Mask|255.255.0.0|RelayRequiresAuth|disabled"]},
     {"mynetworks": "127.0.0.0/8 [::1]/128 192.168.1.1 10.2.0.0/16"}),
    ({"networks": ["0.0.0.0=network|Mask|0.0.0.0|RelayRequiresAuth|disabled"]},
     {"mynetworks": "127.0.0.0/8 [::1]/128 192.168.1.1"}),
    ({"configuration": ["ExternalIP=203.0.113.7"]},
     {"mynetworks": "127.0.0.0/8 [::1]/128 192.168.1.1 203.0.113.7", "recipient_delimiter": "-"}),
    ({"accounts": ["alice=user", "bob=user", "team=group|Members|alice,bob"]},
     {"virtual_alias_maps": "inline:{{team = alice, bob}}"}),
    ({"accounts": ["alice=user|FirstName|A", "info=pseudonym|Account|alice", "x@inner.test=pseudonym|Account|alice"]},
     {"virtual_alias_maps": "inline:{{info = alice}, {x@inner.test = alice}}"}),
]


def get(box, name):
    if ":" in name.replace("127.0.0.1:", ""):
        entry, field = name.rsplit(":", 1)
        return postconf(box.conf, "-Fh", f"{entry}/{field}").stdout.strip()
    if name.startswith("-"):
        flag = "-P" if name.count("/") == 2 else "-M"
        return postconf(box.conf, flag, name[1:]).stdout.strip()
    if name.count("/") == 2:
        return postconf(box.conf, "-Ph", name).stdout.strip()
    # $names are worth looking at where a stranger wrote them, and a nuisance elsewhere.
    return postconf(box.conf, "-h" if name in ("smtpd_banner", "local_recipient_maps") else "-hx", name).stdout.strip()


def properties(tap):
    with Sandbox() as box:
        files, before = box.files(), box.says()
        for more, wanted in [({"configuration": lines} if lines else {}, w) for lines, w in PROPERTIES] + OTHERS:
            name = "; ".join(sum(more.values(), [])) or "nothing but a name"
            done, applied = moved(box, more)
            good = done.returncode in (0, 1) and (applied.returncode, applied.stderr) == (0, "")
            tap.ok(good, f"{name}: imported, and applied", done.stderr, applied.stderr)
            tap.same({n: get(box, n) for n in wanted}, wanted, f"{name}: Postfix has it")
            tap.same(box.check(), (0, ""), f"{name}: postfix check has nothing to say")
            complaints = postconf(box.conf, "-n").stderr + postconf(box.conf, "-M").stderr
            tap.same(complaints, "", f"{name}: nor postconf")
            box.snippet("--revert")
            tap.ok(box.says() == before and box.files() == files, f"{name}: and back")


def strange(tap):
    """Whatever stands in a database, only words get into main.cf, and what does not is named."""
    with Sandbox() as box:
        evil = "x\\ny $mydomain ${z} {a} , \\|x `id` \\\\"
        lines = [service(25, "Greeting", evil, "tlsCipher", evil, "TCPPort", evil, "access", evil),
                 f"SMTPSmartHost={evil}", f"EmailUnknownUser={evil}", f"DelegateMailServer={evil}",
                 f"GatewayIP={evil}", f"LocalIP={evil}"]
        done, applied = moved(box, {"configuration": lines, "domains": [f"a.test=domain|MailServer|{evil}"],
                                    "accounts": [f"info=pseudonym|Account|{evil}"]})
        tap.ok(done.returncode == 1 and "\x1b" not in done.stdout, "import says that it has left something out",
               done.stderr)
        for name in ("Greeting", "tlsCipher", "SMTPSmartHost", "EmailUnknownUser", "GatewayIP", "MailServer"):
            told = [line for line in done.stdout.splitlines() if line.startswith("left out") and name in line]
            tap.ok(told, f"it names {name}", done.stdout)
        tap.same((applied.returncode, applied.stderr), (0, ""), "what is left can be applied")
        tap.same(box.check(), (0, ""), "postfix check has nothing to say")
        tap.hasnt("".join(box.files()), "id`", "and nothing of that has come in")


# ---- a Postfix at work ----

LIVE = """
profile "submission" { port = {@submissions@, @submission@}  policies = {"tls", "relay", "headers"}
                       tls { require = yes }  relay { only = yes } }
profile "smtp" { port = {@smtp@}  policies = {"headers"} }
"""


class Moved(Postfix):
    """The private Postfix, wired by the import of a database whose TCPPorts are free ones."""

    def __init__(self, house):
        super().__init__("unix:" + house.daemon.socket)
        self.house = house
        self.services = {"smtp": {}, "submissions": {}, "submission": {}}
        for name in list(self.main):
            ours = name.startswith(("smtpd_", "milter_", "non_smtpd", "disable_vrfy", "local_recipient", "relay_tr", "my"))
            if ours and not name.startswith(("smtpd_tls_cert", "smtpd_tls_key")):
                del self.main[name]
        # What is not the subject: who may say that he is somebody else, and not to wait for what is not there.
        self.main.update(smtpd_authorized_xclient_hosts="127.0.0.1", smtp_connect_timeout="1s",
                         smtpd_client_event_limit_exceptions="",  # else no network that relays is counted
                         smtpd_sasl_path=self.directory.file("auth"))
        self.imported = self.applied = None

    def _start_master(self):
        conf = self.directory.file("conf")
        self.port = dict(zip(self.services, processes.free_ports(len(self.services))))
        self.directory.write("conf/main.cf", "".join(f"{k} = {v}\n" for k, v in self.main.items()))
        self.directory.write("conf/master.cf", "smtp inet n - n - - smtpd\n" + INNER_SERVICES.lstrip("\n"))
        db = database(self.directory, {
            "configuration": [
                service(25, "TCPPort", str(self.port["smtp"]), "RelayRequiresAuth", "disabled", "Greeting", "Welcome",
                        "InstancesPerIP", "2", "status", "enabled"),
                service(465, "TCPPort", str(self.port["submissions"]), "access", "private"),
                service(587, "TCPPort", str(self.port["submission"])),
                "GatewayIP=192.168.1.254", "EmailUnknownUser=admin", "qmail=service|MaxMessageSize|200000"],
            "domains": ["inner.test=domain|MailServer|192.0.2.9:2525"],
            "accounts": ["alice=user", "bob=user", "info=pseudonym|Account|alice", "team=group|Members|alice,bob"],
        })
        self.imported = ctl("import", "sme", "--db", db, "--out", self.directory.file("out"))
        # The one thing that the database cannot know.
        with open(self.directory.file("out/postfix/main.cf"), "a") as f:
            f.write(f"smtpd_sasl_path = {self.directory.file('auth')}\n")
        self.applied = ctl("postfix", "snippet", "--config-dir", conf, "--settings", self.directory.file("out/postfix"),
                           "--apply", config=self.house.daemon.config)
        daemons = postconf(conf, "-h", "daemon_directory").stdout.strip()
        self.master = processes.start([os.path.join(daemons, "master"), "-d", "-c", conf], stdout=subprocess.DEVNULL,
                                      stderr=open(self.directory.file("master.err"), "ab"))
        wanted = set(self.port.values())
        taps.wait_for(lambda: self.master.poll() is not None or wanted <= processes.listening_ports(), 20)
        return self.master.poll() is None and wanted <= processes.listening_ports()


def as_if_from(client, address):
    client.ehlo()
    reply = client.cmd(f"XCLIENT ADDR={address} NAME=[UNAVAILABLE]")
    if reply.code != 220:
        raise RuntimeError(f"XCLIENT: {reply}")
    client.ehlo()


def at_work(tap):
    house = House(LIVE, tap)
    house.postfix = Moved(house)
    os.makedirs(house.postfix.directory.file("db"))
    os.makedirs(house.postfix.directory.file("out"))
    with house:
        postfix = house.postfix
        tap.same((postfix.imported.returncode, postfix.imported.stderr), (0, ""), "a server is imported")
        tap.same((postfix.applied.returncode, postfix.applied.stderr), (0, ""), "and applied")
        with Smtp(house.port["smtp"]) as client:
            tap.same(client.greeting.text.splitlines()[0], "mail.example.org ESMTP Welcome", "SystemName and Greeting")
            tap.has(client.ehlo().text, "SIZE 200000", "MaxMessageSize")
        for address, code, name in (("192.168.1.7", 250, "RelayRequiresAuth disabled: the local network relays"),
                                    ("192.168.1.254", 554, "GatewayIP does not"),
                                    ("203.0.113.7", 554, "and strangers do not")):
            with Smtp(house.port["smtp"]) as client:
                as_if_from(client, address)
                client.mail("alice@example.org")
                tap.reply(client.rcpt("bob@elsewhere.test"), code, name)

        def reached(rcpt):
            return {r for m in house.sink.subject(f"to {rcpt}") for r in m.recipients}

        with Smtp(house.port["smtp"]) as client:
            as_if_from(client, "203.0.113.7")
            reply, sender = house.send(client, recipients=["nobody-knows@example.org"])
            tap.reply(reply, 250, "EmailUnknownUser: nobody is unknown")
            tap.fields(house.record_of(sender), {"profile": "smtp", "client": "203.0.113.7"}, "the filter has seen it")
            reply, sender = house.send(client, recipients=["info@example.org"], subject="to info")
            got = house.sink.subject("to info")
            tap.ok(reply.code == 250 and got and "alice@example.org" in str(got[0].recipients),
                   "a pseudonym's mail goes to its account", reply, got)
            for rcpt, wanted in (("team@example.org", {"alice@example.org", "bob@example.org"}),
                                 ("team-x@example.org", {"alice-x@example.org", "bob-x@example.org"})):
                reply, sender = house.send(client, recipients=[rcpt], subject=f"to {rcpt}")
                taps.wait_for(lambda: wanted <= reached(rcpt), 20)
                tap.ok(reply.code == 250 and reached(rcpt) == wanted, f"{rcpt}: its members get it", reply, reached(rcpt))
            house.send(client, recipients=["carol@inner.test"])
            tap.ok(taps.wait_for(lambda: "192.0.2.9]:2525" in postfix.maillog(200), 20),
                   "MailServer: the domain's mail goes there", postfix.maillog(30))
        several = [Smtp(house.port["smtp"], source="127.0.0.9") for _ in range(3)]
        tap.same([c.greeting.code for c in several], [220, 220, 421], "InstancesPerIP")
        for client in several:
            client.close()
        for name in ("submissions", "submission"):
            with house.client(name, auth=True) as client:
                reply, sender = house.send(client, recipients=["bob@elsewhere.test"], subject=name)
                tap.reply(reply, 250, f"{name}: relays for who has logged in")
                tap.fields(house.record_of(sender), {"profile": "submission", "auth": postfix.user},
                           "through the filter")
        for address, code in (("192.168.1.7", 250), ("203.0.113.7", 554)):
            with Smtp(house.port["submissions"], tls=True) as client:
                as_if_from(client, address)
                client.auth(postfix.user, postfix.password)
                client.mail("alice@example.org")
                tap.reply(client.rcpt("bob@elsewhere.test"), code, f"access private: {address}")


def main(tap):
    properties(tap)
    strange(tap)
    at_work(tap)


if not shutil.which("postconf", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")):
    taps.skip_all("Postfix is not installed")
taps.run(main)
