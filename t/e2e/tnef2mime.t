#!/usr/bin/python3
"""The policy tnef2mime through a real Postfix: a winmail.dat becomes parts that another MIME reader reads, a broken one
stays, and the disclaimer of our own people goes into the same message."""
import base64
import email
import email.header
import os
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
import tnef
from house import House

CONFIG = """
disclaimer {{ enabled = yes  dir = "{texts}" }}
profile "smtp" {{ port = {{@smtp@}} policies = {{"relay", "tnef2mime", "disclaimer"}} }}
"""
SCANNED = """
profile "smtp" {{
    port = {{@smtp@}}
    policies = {{"tnef2mime", "virus"}}
    virus {{ enabled = yes  engine = libclamav  database = "{database}" }}
}}
"""
FILES = [("report.pdf", b"%PDF-1.4 " + bytes(range(256))), ("../../etc/passwd", b"root"),
         ("a\r\nX-Evil: y.txt", b"text")]
FILETIME = (1767607200 + 11644473600) * 10000000  # 2026-01-05T10:00:00Z


def winmail(files):
    return tnef.winmail(*(tnef.attachment(name, data) for name, data in files))


def embedded(*attachments, body=b"the text inside"):
    """A message in a message, as Outlook packs one."""
    values = [(tnef.SUBJECT, tnef.UNICODE, tnef.wide("Bär\r\nX-Evil: y")), (tnef.SENDER, tnef.STRING8, b"Joe\0"),
              (tnef.ADDRESS, tnef.STRING8, b"joe@a.test\0"),
              (tnef.SUBMITTED, tnef.SYSTIME, struct.pack("<Q", FILETIME))]
    return tnef.winmail(*attachments, values=values, body=body)


def message(subject, tnef, text=b"hello", extra=b"", top=False):
    packed = base64.encodebytes(tnef).replace(b"\n", b"\r\n")
    head = b"From: joe@a.test\r\nTo: bob@here.test\r\nSubject: " + subject + b"\r\nMIME-Version: 1.0\r\n" + extra
    if top:
        return head + b"Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: base64\r\n\r\n" + packed
    return (head + b"X-MS-TNEF-Correlator: <x>\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n"
            b"--=_b\r\n\r\n" + text + b"\r\n--=_b\r\nContent-Type: application/ms-tnef; name=\"winmail.dat\"\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + packed + b"--=_b--\r\n")


def beside_scans(tap, directory):
    """Many at once, each with a scan that waits for it in the same worker: neither keeps the other from its turn."""
    directory.write("db/test.ndb", "Test.Ours:0:*:" + b"a signature of this test".hex() + "\n")
    with House(SCANNED.format(database=directory.file("db")), tap) as house:
        count = 4 * (os.cpu_count() or 1)
        packed = winmail(FILES + [("large.bin", bytes(range(256)) * 8000)])  # so that they do meet
        senders = [house.sender() for _ in range(count)]

        def send(sender):
            with house.client("smtp") as client:
                client.message(sender, ["bob@here.test"], message(house.subject_of(sender).encode(), packed))
                client.quit()

        send(house.sender())
        threads = [threading.Thread(target=send, args=(sender,)) for sender in senders]
        began = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join(200)
        took = time.monotonic() - began
        got = [house.sink.subject(house.subject_of(sender)) for sender in senders]
        headers = [email.message_from_bytes(mails[0].content) if mails else {} for mails in got]
        tap.same([(h["X-Virus-Status"], h["X-TNEF2MIME"]) if h else None for h in headers], [("clean", None)] * count,
                 f"{count} at once beside their scans: converted and scanned")
        tap.ok(took < 25, f"without waiting for each other ({took:.1f} s)")


def tnef_file(data):
    """The bytes of the only file in a winmail.dat."""
    at = data.find(struct.pack("<BI", 2, tnef.DATA))
    return data[at + 9:at + 9 + struct.unpack("<I", data[at + 5:at + 9])[0]] if at > 0 else None


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
        deep = tnef.attachment("deep", b"", embedded=embedded(tnef.attachment("d.txt", b"deep")))
        inner = embedded(tnef.attachment("i.pdf", FILES[0][1]), deep)
        made, parts = send("inside each other", message(b"n4", tnef.winmail(
            tnef.attachment("o.txt", b"outer"), tnef.attachment("msg", b"", embedded=inner))))
        tap.same([p.get_content_type() for p in made.walk()],
                 ["multipart/mixed", "text/plain", "text/plain", "message/rfc822", "multipart/mixed", "text/plain",
                  "application/pdf", "message/rfc822", "multipart/mixed", "text/plain", "text/plain"],
                 "inside each other: embedded messages are messages")
        tap.same([p.get_payload(decode=True) for p in parts],
                 [b"hello", b"outer", b"the text inside", FILES[0][1], b"the text inside", b"deep"],
                 "inside each other: nothing is lost")
        inside = ([p for p in made.walk() if p.get_content_type() == "message/rfc822"] or [made])[0].get_payload()[0]
        tap.same([str(email.header.make_header(email.header.decode_header(inside[name] or ""))) for name in
                  ("Subject", "From", "Date", "X-Evil")],
                 ["Bär\r\nX-Evil: y", "Joe <joe@a.test>", "Mon, 05 Jan 2026 10:00:00 +0000", ""],
                 "inside each other: with the header that is known")
        made, parts = send("too deep", message(b"n5", tnef.winmail(tnef.attachment("1", b"", embedded=embedded(
            tnef.attachment("2", b"", embedded=embedded(tnef.attachment("3", b"", embedded=embedded(
                tnef.attachment("4.txt", b"4"))))))))))
        tap.ok(b"4" == (tnef_file(parts[-1].get_payload(decode=True)) or b""),
               f"too deep: the innermost is kept as it is: {[p.get_content_type() for p in parts]}")
        made, parts = send("only another", message(b"n6", tnef.winmail(tnef.attachment("x", b"", embedded=b"OLE" * 9))))
        tap.has(made["X-TNEF2MIME"] or "", "there is nothing in it", "only an object of another kind: left alone")
        for number, (what, content) in enumerate((
                ("broken", message(b"m0", winmail(FILES)[:80])),
                ("no TNEF", message(b"m1", b"nothing of the kind")),
                ("signed", message(b"m2", winmail(FILES)).replace(b"multipart/mixed;", b"multipart/signed;")))):
            made, parts = send(what, content)
            tap.has(made["X-TNEF2MIME"] or "", "not converted", f"{what}: a field tells why: {made['X-TNEF2MIME']}")
            tap.same(made.as_bytes().replace(b"\r\n", b"\n").split(b"\n\n", 1)[1].rstrip(),
                     content.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1].rstrip(), f"{what}: the body is as it was")
        tap.ok(house.daemon.process.poll() is None, "the daemon lives")
    beside_scans(tap, directory)
    directory.remove()


taps.run(main)
