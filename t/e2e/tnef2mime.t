#!/usr/bin/python3
"""The policy tnef2mime through a real Postfix: a winmail.dat becomes parts that another MIME reader reads, a broken one
stays, and the disclaimer of our own people goes into the same message."""
import base64
import email
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from house import House

CONFIG = """
disclaimer {{ enabled = yes  dir = "{texts}" }}
profile "smtp" {{ port = {{@smtp@}} policies = {{"relay", "tnef2mime", "disclaimer"}} }}
"""
FILES = [("report.pdf", b"%PDF-1.4 " + bytes(range(256))), ("../../etc/passwd", b"root"),
         ("a\r\nX-Evil: y.txt", b"text")]


def attribute(level, number, data):
    return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) & 0xffff)


def winmail(files):
    made = struct.pack("<IH", 0x223e9f78, 1)
    made += attribute(1, 0x00089006, struct.pack("<I", 0x00010000))
    made += attribute(1, 0x00069007, struct.pack("<II", 1252, 0))
    for name, data in files:
        made += attribute(2, 0x00069002, struct.pack("<HIHHI", 1, 0xffffffff, 0, 0, 0))
        made += attribute(2, 0x00018010, name.encode() + b"\0") + attribute(2, 0x0006800f, data)
    return made


def message(subject, tnef, text=b"hello", extra=b"", top=False):
    packed = base64.encodebytes(tnef).replace(b"\n", b"\r\n")
    head = b"From: joe@a.test\r\nTo: bob@here.test\r\nSubject: " + subject + b"\r\nMIME-Version: 1.0\r\n" + extra
    if top:
        return head + b"Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: base64\r\n\r\n" + packed
    return (head + b"X-MS-TNEF-Correlator: <x>\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n"
            b"--=_b\r\n\r\n" + text + b"\r\n--=_b\r\nContent-Type: application/ms-tnef; name=\"winmail.dat\"\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + packed + b"--=_b--\r\n")


def main(tap):
    directory = processes.Directory()
    texts = directory.file("texts")
    os.mkdir(texts, 0o755)
    with open(os.path.join(texts, "disclaimer.txt"), "w", encoding="utf-8") as f:
        f.write("Bär\n")
    with House(CONFIG.format(texts=texts), tap) as house:
        def send(what, content, source="127.0.0.1"):
            subject = email.message_from_bytes(content)["Subject"]
            with house.client("smtp", source=source) as client:
                reply = client.message(house.sender(), ["bob@here.test"], content)
                client.quit()
            tap.reply(reply, 250, f"{what}: accepted")
            got = house.sink.subject(subject)
            made = email.message_from_bytes(got[0].content if got else b"")
            return made, [p for p in made.walk() if not p.is_multipart()]

        made, parts = send("files", message(b"n1", winmail(FILES)))
        tap.same([p.get_content_type() for p in parts][:2], ["text/plain", "application/pdf"],
                 "files: parts of their types")
        tap.same([p.get_payload(decode=True) for p in parts[1:]], [data for _, data in FILES], "files: their bytes")
        names = [p.get_filename() for p in parts[1:]]
        tap.ok(len(names) == 3 and names[0] == "report.pdf" and not any(c in n for n in names[1:] for c in "/\r\n"),
               f"files: their names are safe: {names}")
        tap.same((made["X-MS-TNEF-Correlator"], made["X-TNEF2MIME"], made["X-Evil"]), (None, None, None),
                 "files: the header tells of no winmail.dat")
        made, parts = send("alone", message(b"n2", winmail(FILES[:1]), top=True))
        tap.same((made.get_content_type(), [p.get_filename() for p in parts]), ("multipart/mixed", ["report.pdf"]),
                 "alone: the message becomes a multipart")
        tap.same([p.get_payload(decode=True) for p in parts], [FILES[0][1]], "alone: the file's bytes")
        made, parts = send("with a disclaimer", message(b"n3", winmail(FILES[:1])), source="127.0.0.9")
        tap.same([p.get_payload(decode=True) for p in parts], ["hello\r\n\r\nBär".encode(), FILES[0][1]],
                 "with a disclaimer: both changes are in it")
        for number, (what, content) in enumerate((
                ("broken", message(b"m0", winmail(FILES)[:80])),
                ("no TNEF", message(b"m1", b"nothing of the kind")),
                ("signed", message(b"m2", winmail(FILES)).replace(b"multipart/mixed;", b"multipart/signed;")))):
            made, parts = send(what, content)
            tap.has(made["X-TNEF2MIME"] or "", "not converted", f"{what}: a field tells why: {made['X-TNEF2MIME']}")
            tap.same(made.as_bytes().replace(b"\r\n", b"\n").split(b"\n\n", 1)[1].rstrip(),
                     content.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1].rstrip(), f"{what}: the body is as it was")
        tap.ok(house.daemon.process.poll() is None, "the daemon lives")
    directory.remove()


taps.run(main)
