#!/usr/bin/python3
"""The policy disclaimer through a real Postfix: what is delivered is read by another MIME reader (Python's email
package), and its DKIM signature, made behind the last edit, verifies by another implementation (python3-dkim)."""
import base64
import email
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps

try:
    import dkim
except ImportError as missing:
    taps.skip_all(f"{missing} (Debian: python3-dkim)")

import house as houses
import processes
from house import House

CONFIG = """
key_dir = "{keys}"
bcc {{ to = "archive@here.test" }}
disclaimer {{ enabled = yes  dir = "{texts}" }}
profile "submission" {{ port = {{@submission@}} policies = {{"relay", "dkim", "disclaimer"}} }}
profile "copied" {{
    port = {{@copied@}}
    policies = {{"relay", "dkim", "disclaimer", "bcc"}}
    bcc {{ enabled = yes }}
}}
profile "smtp"       {{ port = {{@smtp@}}       policies = {{"relay", "dkim", "disclaimer"}} }}
"""
ANYWHERE = {"like": "smtp", "mynetworks": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks,reject"}
NEIGHBOUR = "127.0.0.9"
COMMON = "Sent from here.\n"
OWN = "Bär & Söhne GmbH, 5 €\nReg. 123\n"


class Mail:
    def __init__(self, tap, house, records):
        self.tap, self.house, self.records, self.number = tap, house, records, 0

    def dns(self, name, timeout=5):
        return self.records.get(name.decode().rstrip(".").lower(), "").encode() or None

    def send(self, what, fields, body, service="smtp", author=b"joe@a.test", mails=1, **how):
        """One message: what arrives."""
        self.number += 1
        if not how:
            how = {"source": NEIGHBOUR}
        content = (b"From: " + author + b"\r\nTo: bob@here.test\r\nSubject: n%d\r\n" % self.number +
                   b"Date: Thu, 01 Feb 2024 12:00:00 +0000\r\nMessage-ID: <%d@x>\r\n" % self.number + fields +
                   b"\r\n" + body)
        with self.house.client(service, **how) as client:
            reply = client.message(self.house.sender(), ["bob@here.test"], content)
            client.quit()
        self.tap.reply(reply, 250, f"{what}: accepted")
        got = self.house.sink.subject(f"n{self.number}")
        self.house.postfix.wait_empty()
        got = self.house.sink.subject(f"n{self.number}", 0)
        self.tap.same(len(got), mails, f"{what}: delivered")
        return got[0].content if got else b""

    def signed(self, what, content):
        try:
            good = dkim.verify(content, dnsfunc=self.dns)
        except dkim.DKIMException as why:
            good = str(why)
        self.tap.same(good, True, f"{what}: the signature verifies elsewhere")


def body_of(content):
    return content.split(b"\r\n\r\n", 1)[1]


def parts_of(content):
    return [p for p in email.message_from_bytes(content).walk() if not p.is_multipart()]


def text_of(part):
    return part.get_payload(decode=True).decode(part.get_content_charset("us-ascii")).replace("\r\n", "\n")


def multipart(subtype, *parts):
    body = b"".join(b"--=_b\r\n" + p + b"\r\n" for p in parts) + b"--=_b--\r\n"
    return b"MIME-Version: 1.0\r\nContent-Type: multipart/" + subtype + b"; boundary=\"=_b\"\r\n", body


def structures(tap, m):
    content = m.send("plain", b"", b"hello\r\n")
    tap.same(parts_of(content)[0].get_payload(decode=True).decode("utf-8").replace("\r\n", "\n"), "hello\n\n" + OWN,
             "plain: the domain's own text stands at its end")
    tap.same(parts_of(content)[0].get_content_charset(), "utf-8", "plain: whose charset can say it")
    m.signed("plain", content)
    content = m.send("common", b"", b"hello\r\n", author=b"joe@b.test")
    tap.same(body_of(content), b"hello\r\n\r\n" + COMMON.encode().replace(b"\n", b"\r\n"), "common: others' text")
    content = m.send("no body", b"", b"")
    tap.same(text_of(parts_of(content)[0]), OWN, "no body: it is the body")
    m.signed("no body", content)
    alternative = multipart(b"alternative", b"Content-Type: text/plain; charset=iso-8859-1\r\n"
                            b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n",
                            b"Content-Type: text/html; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                            base64.encodebytes("<body>Привет</body>".encode("koi8-r")).replace(b"\n", b"\r\n"))
    content = m.send("alternative", *alternative)
    plain, html = parts_of(content)
    tap.same(text_of(plain), "Grüße\n\n" + OWN.rstrip("\n"), "alternative: the text has it")
    tap.same(text_of(html), "<body>Привет\n<p>B&#228;r &#38; S&#246;hne GmbH, 5 &#8364;<br>\nReg. 123</p>\n</body>",
             "alternative: HTML has it in references")
    m.signed("alternative", content)
    content = m.send("attachment alone", b"MIME-Version: 1.0\r\nContent-Type: application/pdf; name=a.pdf\r\n"
                     b"Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n", b"UERG\r\n")
    parts = parts_of(content)
    tap.same([p.get_content_type() for p in parts], ["text/plain", "application/pdf"],
             "attachment alone: a text beside it")
    tap.same((parts[1].get_payload(), parts[1].get_filename()), ("UERG\r\n", "a.pdf"), "attachment alone: as it was")
    m.signed("attachment alone", content)


def untouched(tap, m):
    for what, fields, body in (
            ("signed", *multipart(b"signed", b"\r\nhello\r\n",
                                  b"Content-Type: application/pgp-signature\r\n\r\nx\r\n")),
            ("PGP", b"", b"-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nhello\r\n"),
            ("S/MIME", b"Content-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n",
             b"AAAA\r\n"),
            ("ambiguous", b"Content-Type: multipart/mixed; boundary=a; boundary=b\r\n",
             b"--a\r\n\r\nhello\r\n--a--\r\n"),
            ("there already", b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
             b"hello\r\n\r\n" + OWN.encode().replace(b"\n", b"\r\n"))):
        content = m.send(what, fields, body)
        tap.same(body_of(content), body, f"{what}: not a byte is another")
        m.signed(what, content)
    content = m.send("a stranger", b"", b"hello\r\n", source="127.0.0.1")
    tap.same(body_of(content), b"hello\r\n", "a stranger: as it was")
    content = m.send("authenticated", b"", b"hello\r\n", service="submission", auth=True)
    tap.has(text_of(parts_of(content)[0]), OWN, "authenticated: it has it")


def copies(tap, m):
    content = m.send("copied", b"", b"hello\r\n", service="copied", mails=1)
    subject = f"n{m.number}"
    got = m.house.sink.subject(subject, 0)
    tap.same(sorted(r for one in got for r in one.recipients), ["archive@here.test", "bob@here.test"],
             "copied: the archive has it too")
    tap.ok(all(OWN in text_of(parts_of(one.content)[0]) for one in got), "copied: the same text")
    m.signed("copied", content)


def large(tap, m):
    data = base64.encodebytes(random.Random(1).randbytes(14_500_000)).replace(b"\n", b"\r\n")
    fields, body = multipart(b"mixed", b"\r\nhello", b"Content-Type: application/octet-stream; name=a.bin\r\n"
                             b"Content-Transfer-Encoding: base64\r\n\r\n" + data)
    before = time.monotonic()
    content = m.send("20 MB", fields, body)
    seconds = time.monotonic() - before
    tap.note(f"20 MB: {seconds:.1f} s in all")
    tap.ok(seconds < 60, "20 MB: it takes no minute")
    parts = parts_of(content)
    tap.same(len(parts), 2, "20 MB: two parts")
    tap.ok(parts[1].get_payload().encode().rstrip() == data.rstrip(), "20 MB: the attachment is as it was")
    tap.has(text_of(parts[0]), OWN.rstrip("\n"), "20 MB: the text has it")
    m.signed("20 MB", content)


def reloaded(tap, m, texts):
    with open(os.path.join(texts, "disclaimer_b.test.txt"), "w", encoding="utf-8") as f:
        f.write("New.\n")
    content = m.send("before", b"", b"hello\r\n", author=b"joe@b.test")
    tap.has(body_of(content).decode(), COMMON.rstrip("\n"), "before the reload: as it was read")
    tap.ok(m.house.daemon.reload(), "reloaded")
    content = m.send("after", b"", b"hello\r\n", author=b"joe@b.test")
    tap.same(body_of(content), b"hello\r\n\r\nNew.\r\n", "after the reload: the new file")


def main(tap):
    houses.COMMON = "".join(line for line in houses.COMMON.splitlines(True) if not line.startswith("dkim "))
    directory = processes.Directory()
    keys, texts = directory.file("keys"), directory.file("texts")
    os.mkdir(texts, 0o755)
    for name, text in (("disclaimer.txt", COMMON), ("disclaimer_a.test.txt", OWN)):
        with open(os.path.join(texts, name), "w", encoding="utf-8") as f:
            f.write(text)
    made = subprocess.run([os.path.join(taps.build_dir(), "sme-milterctl"), "-c",
                           directory.write("keys.conf", f'key_dir = "{keys}"\n'), "dkim", "new", "a.test", "s1"],
                          capture_output=True, text=True, timeout=120)
    tap.same((made.returncode, made.stderr), (0, ""), "keys are made")
    records = {line.split("\t")[0].rstrip("."): "".join(line.split('"')[1::2])
               for line in made.stdout.splitlines() if not line.startswith(";")}
    with House(CONFIG.format(keys=keys, texts=texts), tap, {"copied": ANYWHERE},
               {"message_size_limit": "52428800"}) as house:
        mail = Mail(tap, house, records)
        for part in (structures, untouched, copies, large):
            tap.note(f"---- {part.__name__}")
            part(tap, mail)
        tap.note("---- reloaded")
        reloaded(tap, mail, texts)
    directory.remove()


taps.run(main)
