#!/usr/bin/python3
"""DKIM through a real Postfix, beside another implementation (python3-dkim): what we sign verifies there after
delivery, also when a copy for an archive is announced; what it signs we verify; whose mail is signed and whose is not;
keys and reload."""
import base64
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps

try:
    import dkim
    import nacl.signing
except ImportError as missing:
    taps.skip_all(f"{missing} (Debian: python3-dkim, python3-nacl)")

import dnsd
import house as houses
import processes
from house import House

CONFIG = """
dns {{ servers = {{"{dns}"}} timeout = 2s }}
key_dir = "{keys}"
bcc {{ to = "archive@here.test" }}
dkim {{ skip = {{}} }}
profile "submission" {{ port = {{@submission@}} policies = {{"relay", "dkim"}} }}
profile "copied"     {{ port = {{@copied@}}     policies = {{"relay", "dkim", "bcc"}} bcc {{ enabled = yes }} }}
profile "unsigned"   {{ port = {{@unsigned@}}   policies = {{"relay", "dkim"}}        dkim {{ sign = no }} }}
profile "smtp"       {{ port = {{@smtp@}}       policies = {{"relay", "dkim"}} }}
"""
ANYWHERE = {"like": "smtp", "mynetworks": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks,reject"}
NEIGHBOUR = "127.0.0.9"


def openssl(*words, stdin=None):
    return subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=True).stdout


class Signer:
    """The other implementation: signs as d=far.test, with keys of its own."""

    def __init__(self):
        self.rsa = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        der = openssl("pkey", "-pubout", "-outform", "DER", stdin=self.rsa)
        seed = nacl.signing.SigningKey.generate()
        self.ed = base64.b64encode(bytes(seed))
        public = {"rsa": der, "ed25519": bytes(seed.verify_key)}
        self.records = {f"{k[0]}._domainkey.far.test": f"v=DKIM1; k={k}; p=" + base64.b64encode(p).decode()
                        for k, p in public.items()}

    def sign(self, message, algorithm, canonical, **how):
        selector, key = (b"e", self.ed) if algorithm == "ed25519-sha256" else (b"r", self.rsa)
        return dkim.sign(message, selector, b"far.test", key, canonicalize=tuple(c.encode() for c in canonical),
                         signature_algorithm=algorithm.encode(), **how) + message


class Mail:
    def __init__(self, tap, house, records):
        self.tap, self.house, self.records, self.number = tap, house, records, 0

    def dns(self, name, timeout=5):
        return self.records.get(name.decode().rstrip(".").lower(), "").encode() or None

    def send(self, what, service, content, sender=None, recipient="bob@here.test", **how):
        """One message; what arrives for the recipient, and the log's record."""
        self.number += 1
        sender = self.house.sender() if sender is None else sender
        with self.house.client(service, **how) as client:
            reply = client.message(sender, [recipient], content)
            client.quit()
        self.tap.reply(reply, 250, f"{what}: accepted")
        self.house.postfix.wait_empty()
        subject = f"n{self.number}"
        mails = self.house.sink.subject(subject)
        record = self.house.record_of(sender) if sender else None
        return (mails[0].content if mails else b""), record

    def content(self, author, extra=b"", body=b"Hello.\r\n"):
        return (b"From: " + author + b"\r\nTo: bob@here.test\r\nSubject: n%d\r\n" % (self.number + 1) +
                b"Date: Thu, 01 Feb 2024 12:00:00 +0000\r\nMessage-ID: <%d@x>\r\n" % self.number + extra +
                b"\r\n" + body)

    def verdicts(self, content):
        """Of the other implementation: [(d=, a=, good)] for each signature, topmost first."""
        found = []
        count = content.split(b"\r\n\r\n", 1)[0].lower().count(b"dkim-signature:")
        for index in range(count):
            one = dkim.DKIM(content)
            try:
                good = one.verify(idx=index, dnsfunc=self.dns)
            except dkim.DKIMException as why:
                good = str(why)
            found.append((one.domain.decode() if one.domain else "?",
                          one.signature_fields.get(b"a", b"?").decode() if good is True else "?", good))
        return found


BOTH = [("a.test", "rsa-sha256", True), ("a.test", "ed25519-sha256", True)]


def signed(tap, m):
    long_text = b" ".join(b"word%d" % n for n in range(120))
    cases = {
        "plain": {}, "8-bit": {"author": b"J\xc3\xb6rg <joe@a.test>", "body": b"\xe4\xf6 \xff\r\n"},
        "an empty body": {"body": b""}, "empty lines": {"body": b"\r\n\r\n\r\n"},
        "dots": {"body": b".\r\n..\r\na\r\n.x\r\n"},
        "blanks": {"body": b" a \t b \r\n\t\r\nc \t\r\n\r\n \r\n"},
        "odd folding": {"author": b"Joe\r\n\t<joe@a.test>\t ",
                        "extra": b"Cc:\r\n  x@y.test,\r\n\tz@y.test  \r\nX:y\r\n"},
        "a long field": {"extra": b"References: " + b"\r\n ".join(b"<%d@x.test>" % n for n in range(500)) + b"\r\n"},
        "a long line": {"body": long_text + b"\r\n"},
        "a body in a file": {"body": b"0123456789 abcdef\r\n" * 100000},
        "forged fields": {"extra": b"DKIM-Signature: v=1; a=rsa-sha256; d=a.test; s=x; h=from; bh=; b=\r\n"},
    }
    for what, parts in cases.items():
        content, _ = m.send(what, "submission", m.content(parts.pop("author", b"joe@a.test"), **parts), auth=True)
        tap.same(m.verdicts(content)[:2], BOTH, f"{what}: both signatures verify elsewhere")
    content, _ = m.send("local", "smtp", m.content(b"joe@a.test"), source=NEIGHBOUR)
    tap.same(m.verdicts(content), BOTH, "a local client: both signatures verify elsewhere")
    content, _ = m.send("bounce", "smtp", m.content(b"MAILER-DAEMON@a.test"), sender="", source=NEIGHBOUR)
    tap.same(m.verdicts(content), BOTH, "a bounce is signed by its From")
    content, _ = m.send("below", "smtp", m.content(b"joe@x.a.test"), source=NEIGHBOUR)
    tap.same(m.verdicts(content), BOTH, "a domain below a.test is signed by a.test")
    content, _ = m.send("copied", "copied", m.content(b"joe@a.test"), source=NEIGHBOUR)
    tap.ok(b"\r\nX-Copied-To: archive@here.test\r\n" in content, "bcc: the copy is announced")
    tap.same(m.verdicts(content), BOTH, "bcc: both signatures verify elsewhere")
    changed = content.replace(b"Subject: n", b"Subject: m")
    tap.ok(all(v[2] is not True for v in m.verdicts(changed)), "another subject: none verifies")
    added = content.replace(b"\r\nTo: ", b"\r\nFrom: boss@a.test\r\nTo: ", 1)
    tap.ok(all(v[2] is not True for v in m.verdicts(added)), "another From: none verifies")


def unsigned(tap, m):
    for what, service, author, how in (
            ("a stranger", "smtp", b"joe@a.test", {}), ("no key", "smtp", b"joe@b.test", {"source": NEIGHBOUR}),
            ("sign = no", "unsigned", b"joe@a.test", {"source": NEIGHBOUR}),
            ("two domains", "smtp", b"joe@a.test, joe@b.test", {"source": NEIGHBOUR}),
            ("no author", "smtp", b"nobody:;", {"source": NEIGHBOUR})):
        content, _ = m.send(what, service, m.content(author), **how)
        tap.ok(content and b"dkim-signature:" not in content.lower(), f"{what}: not signed")


def verified(tap, m, signer):
    bodies = {"plain": b"Hello.\r\n", "blanks": b"a  b \r\n\r\n\t\r\n", "empty": b"", "dots": b".\r\n.a\r\n"}
    odd = b"X:1\r\nCc:\r\n\tx@y.test ,\r\n  z@y.test\r\nComments:   two  blanks \r\n"
    for algorithm in ("rsa-sha256", "ed25519-sha256"):
        for canonical in (("simple", "simple"), ("simple", "relaxed"), ("relaxed", "simple"), ("relaxed", "relaxed")):
            for what, body in bodies.items():
                name = f"{algorithm}, {'/'.join(canonical)}, {what}"
                message = signer.sign(m.content(b"Far <joe@far.test>", odd, body), algorithm, canonical)
                _, record = m.send(name, "smtp", message)
                tap.has(record["findings"], "dkim:good", f"{name}: verified")
                tap.same(record["karma"], "1", f"{name}: it counts for the client")
    def changed(what, author, old, new, finding):
        message = signer.sign(m.content(author), "rsa-sha256", ("relaxed", "simple"))
        _, record = m.send(what, "smtp", message.replace(old, new, 1))
        tap.same(record["findings"], finding, f"{what}: {finding or 'no finding'}")

    changed("as it was", b"joe@far.test", b"", b"", "dkim:good")
    changed("more blanks in Subject", b"joe@far.test", b"Subject: ", b"Subject:  ", "dkim:good")
    changed("another body", b"joe@far.test", b"Hello", b"hello", "dkim:bad")
    changed("another From", b"joe@far.test", b"joe@far.test", b"Joe@far.test", "dkim:bad")
    changed("signed by another domain", b"joe@other.test", b"", b"", "")
    changed("another domain's, broken", b"joe@other.test", b"Hello", b"hello", "")
    with m.house.client("smtp") as client:  # nothing passes from one message to the next
        turns = ((b"", "dkim:good"), (b"Hello", "dkim:bad"), (None, ""), (b"", "dkim:good"))
        for number, (old, finding) in enumerate(turns):
            sender = m.house.sender()
            message = m.content(b"joe@far.test")
            m.number += 1
            if old is not None:
                message = signer.sign(message, "rsa-sha256", ("relaxed", "simple")).replace(old, b"", 1)
            name = f"one connection, {number + 1}"
            tap.reply(client.message(sender, ["bob@here.test"], message), 250, f"{name}: accepted")
            tap.same(m.house.record_of(sender)["findings"], finding, f"{name}: {finding or 'nothing'}")
        client.quit()


def reloaded(tap, m, keys):
    """Keys are read at the start and on reload, at no other time; one that others can read is not used."""
    status, out, _ = m.house.ctl("dkim", "new", "b.test", "n")
    tap.same(status, 0, "keys for another domain")
    for line in out.splitlines():
        if not line.startswith(";"):
            m.records[line.split("\t")[0].rstrip(".")] = "".join(line.split('"')[1::2])
    content, _ = m.send("before", "smtp", m.content(b"joe@b.test"), source=NEIGHBOUR)
    tap.same(m.verdicts(content), [], "before the reload: not signed")
    os.chmod(os.path.join(keys, "b.test", "n.private"), 0o644)
    tap.ok(m.house.daemon.reload(), "reloaded")
    content, _ = m.send("after", "smtp", m.content(b"joe@b.test"), source=NEIGHBOUR)
    tap.same(m.verdicts(content), [("b.test", "ed25519-sha256", True)],
             "after the reload: signed by the key that is private alone")
    tap.ok(m.house.daemon.wait_line("can be read or written by others"), "the log names the other one")
    status, _, err = m.house.ctl("dkim", "new", "b.test", "n")
    tap.same(status, 73, "a key that is there is never made anew")
    status, out, _ = m.house.ctl("dkim", "check", "b.test")
    tap.same((status, "missing" in out), (1, True), "dkim check: what is not published is told")


def main(tap):
    # Our own name server answers, and what is switched off for all other tests is the subject here.
    houses.COMMON = "".join(line for line in houses.COMMON.splitlines(True) if not line.startswith(("dns ", "dkim ")))
    directory = processes.Directory()
    signer = Signer()
    keys = directory.file("keys")
    made = subprocess.run([os.path.join(taps.build_dir(), "sme-milterctl"), "-c",
                           directory.write("keys.conf", f'key_dir = "{keys}"\n'), "dkim", "new", "a.test", "s1"],
                          capture_output=True, text=True, timeout=120)
    tap.same((made.returncode, made.stderr), (0, ""), "keys are made")
    records = dict(signer.records)
    for line in made.stdout.splitlines():
        if not line.startswith(";"):
            records[line.split("\t")[0].rstrip(".")] = "".join(line.split('"')[1::2])
    zone = "".join(f'{n} TXT ' + " ".join(f'"{v[i:i + 255]}"' for i in range(0, len(v), 255)) + "\n"
                   for n, v in records.items())
    with dnsd.Server(zone=zone) as server:
        config = CONFIG.format(dns=server.address, keys=keys)
        with House(config, tap, {"copied": ANYWHERE, "unsigned": {"like": "smtp"}}) as house:
            status, out, _ = house.ctl("dkim", "check", "a.test")
            tap.same((status, out.count("published")), (0, 2), "dkim check: both are published")
            mail = Mail(tap, house, records)
            for part in (signed, unsigned):
                tap.note(f"---- {part.__name__}")
                part(tap, mail)
            tap.note("---- verified")
            verified(tap, mail, signer)
            tap.note("---- reloaded")
            reloaded(tap, mail, keys)
    directory.remove()


taps.run(main)
