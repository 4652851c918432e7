#!/usr/bin/python3
"""virus and spamassassin with the real clamd and the real spamd, each with signatures and rules of this test, behind a
real Postfix: found in every wrapping, dead in mid-run, back again, many at once."""
import base64
import binascii
import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
import tnef
from house import House

# In two halves, so that no scanner of this machine takes this file for what it tests.
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EI" + "CAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GT" + "UBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
OURS = "sme-milter end to end signature"
CLAMD, SPAMD = "/usr/sbin/clamd", "/usr/sbin/spamd"
READY_S = 60

CONFIG = """
virus {{ enabled = yes  socket = "{clamd}"  timeout = 20s }}
spamassassin {{
    enabled = yes  server = "inet:{port}@127.0.0.1"  timeout = 30s
    tag_at = 5  reject_at = 100  subject_prefix = "[spam]"
}}
profile "locked" {{ port = {{@locked@}}  policies = {{"virus"}}  virus {{ encrypted = reject }} }}
profile "accept" {{ port = {{@accept@}}  policies = {{"virus"}}  virus {{ on_error = accept }} }}
profile "tag"    {{ port = {{@tag@}}     policies = {{"spamassassin"}}  spamassassin {{ reject_at = 0 }} }}
profile "small"  {{ port = {{@small@}}   policies = {{"virus"}}  virus {{ max_size = 5000 }} }}
profile "both"   {{ port = {{@smtp@}}    policies = {{"virus", "spamassassin"}} }}
"""
EXTRA = {name: {"like": "smtp"} for name in ("locked", "accept", "tag", "small")}


class Service:
    """A scanner that can be killed and started again."""

    def __init__(self, command, ready):
        self.command, self.ready = command, ready
        self.process = self.guard = self.log = None

    def start(self):
        self.log = tempfile.TemporaryFile()
        self.process = processes.start(self.command, stdout=self.log, stderr=subprocess.STDOUT)
        self.guard = processes.guard(self.process)
        if not taps.wait_for(lambda: self.ready() or self.process.poll() is not None, READY_S) or not self.ready():
            raise RuntimeError(f"{self.command[0]} does not serve:\n" + self.text())
        return self

    def text(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-4000:]

    def kill(self):
        if self.process:
            processes.stop(self.guard)
            for pid in processes.session_members(self.process.pid):
                os.kill(pid, 9)
            self.process.wait(20)
            taps.wait_for(lambda: not self.ready(), 10)


def answers(family, address, request, part):
    """Whether somebody at that address answers the request with that."""
    with socket.socket(family) as s:
        s.settimeout(5)
        try:
            s.connect(address)
            s.sendall(request)
            return part in s.recv(100)
        except OSError:
            return False


def hexed(text):
    return text.encode().hex()


def make_clamd(directory):
    database = directory.file("db")
    os.mkdir(database)
    directory.write("db/test.ndb", f"Test.Eicar:0:*:{hexed(EICAR)}\nTest.Ours:0:*:{hexed(OURS)}\n")
    path = directory.file("clamd.sock")
    config = directory.write("clamd.conf", f"LocalSocket {path}\nLocalSocketMode 666\nDatabaseDirectory {database}\n"
                             "AlertEncrypted yes\nAlertExceedsMax yes\nForeground yes\nUser root\nStreamMaxLength 30M\nMaxThreads 8\nTemporaryDirectory /tmp\n")
    return path, Service([CLAMD, "-c", config], lambda: answers(socket.AF_UNIX, path, b"zPING\0", b"PONG"))


def make_spamd(directory):
    port = processes.free_ports(1)[0]
    directory.write("sa/local.cf", "required_score 5.0\nuse_bayes 0\nskip_rbl_checks 1\nutil_rb_tld test\n"
                    "body TEST_OURS /sme-milter end to end rule/\nscore TEST_OURS 6.5\ndescribe TEST_OURS ours\n"
                    "body GTUBE /XJS\\*C4JDBQADN1\\.NSBN3\\*2IDNEN\\*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL\\*C\\.34X/\n"
                    "score GTUBE 1000\ndescribe GTUBE the test\n"
                    "header TEST_CLIENT Received =~ /^from client\\.test \\(\\S+ \\[127\\.0\\.0\\.1\\]\\)/\n"
                    "score TEST_CLIENT 0.1\ndescribe TEST_CLIENT it sees who the client is\n"
                    "header TEST_FROM EnvelopeFrom =~ /there\\.test$/\nscore TEST_FROM 0.1\ndescribe TEST_FROM seen\n")
    directory.write("sa/init.pre", "loadplugin Mail::SpamAssassin::Plugin::Check\n")
    command = [SPAMD, "-L", "-x", "-m", "4", "--min-children=2", "-i", "127.0.0.1", "-p", str(port),
               "--configpath=" + directory.file("sa"), "--siteconfigpath=" + directory.file("sa"), "-s", "stderr",
               "-u", "nobody", "--helper-home-dir=" + directory.file("sa")]
    address, ping = ("127.0.0.1", port), b"PING SPAMC/1.5\r\n\r\n"
    return port, Service(command, lambda: answers(socket.AF_INET, address, ping, b"PONG"))


def attachment(data, name="x.bin", kind="application/octet-stream"):
    """Body and header of a message with that attached."""
    text = base64.encodebytes(data).decode().replace("\n", "\r\n")
    return ("--b\r\nContent-Type: text/plain\r\n\r\nsee there\r\n"
            f'--b\r\nContent-Type: {kind}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}--b--\r\n')


def zipped(data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("inside.txt", data)
    return out.getvalue()


def encrypted_zip():
    """A zip whose one member says that it is encrypted."""
    data = bytearray(zipped(b"secret " * 20))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


class Sender:
    def __init__(self, tap, house):
        self.tap, self.house = tap, house

    def text(self, sender, body, mixed=False, fields=""):
        head = (f"From: {sender}\r\nTo: bob@here.test\r\nSubject: {self.house.subject_of(sender)}\r\n"
                f"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <{sender}>\r\nMIME-Version: 1.0\r\n" + fields)
        if mixed:
            head += 'Content-Type: multipart/mixed; boundary="b"\r\n'
        return head + "\r\n" + body

    def send(self, service, body, **how):
        sender = self.house.sender()
        with self.house.client(service) as client:
            reply = client.message(sender, ["bob@here.test"], self.text(sender, body, **how))
            client.quit()
        return reply, sender

    def send_raw(self, service, message):
        """A message that begins with its Content-Type."""
        sender = self.house.sender()
        text = (f"From: {sender}\r\nTo: bob@here.test\r\nSubject: {self.house.subject_of(sender)}\r\n"
                "MIME-Version: 1.0\r\n")
        with self.house.client(service) as client:
            reply = client.message(sender, ["bob@here.test"], (text + message).encode("latin-1"))
            client.quit()
        return reply, sender

    def refused(self, what, service, body, code=550, part="", **how):
        reply, sender = self.send(service, body, **how)
        self.tap.reply(reply, code, what + f": {code}", part)
        return self.house.record_of(sender)

    def passes(self, what, service, body, mark="", **how):
        """The header of the message as delivered, its subject beginning with that mark: a function of a field's name."""
        reply, sender = self.send(service, body, **how)
        self.tap.reply(reply, 250, what + ": accepted")
        mails = self.house.sink.subject(mark + self.house.subject_of(sender)) if reply.code == 250 else []
        self.tap.same(len(mails), 1, what + f": delivered as \"{mark}...\"")
        return mails[0].header if mails else lambda name: ["(no mail)"]


def viruses(tap, s):
    eicar = EICAR.encode()
    s.refused("EICAR as text", "smtp", EICAR + "\r\n", part="Virus found: Test.Eicar.UNOFFICIAL")
    s.refused("EICAR in base64", "smtp", attachment(eicar), part="Virus found: Test.Eicar", mixed=True)
    s.refused("EICAR in a zip", "smtp",
              attachment(zipped(eicar), "x.zip", "application/zip"), part="Test.Eicar", mixed=True)
    s.refused("EICAR in a zip in a zip", "smtp",
              attachment(zipped(zipped(eicar)), "x.zip", "application/zip"), part="Test.Eicar", mixed=True)
    for _ in range(3):
        eicar = zipped(eicar)
    s.refused("EICAR in 3 zips", "smtp", attachment(eicar, "x.zip", "application/zip"), part="Test.Eicar", mixed=True)
    locked = attachment(encrypted_zip(), "x.zip", "application/zip")
    field = s.passes("an encrypted zip", "accept", locked, mixed=True)
    tap.same(field("X-Virus-Status"), ["encrypted (Heuristics.Encrypted.Zip)"], "its header says so")
    s.refused("an encrypted zip with encrypted = reject", "locked", locked, part="encrypted content", mixed=True)
    began = time.monotonic()
    bomb = attachment(zipped(zipped(bytes(150_000_000))), "x.zip", "application/zip")
    reply, _ = s.send("accept", bomb, mixed=True)
    tap.ok(reply.code in (250, 550) and time.monotonic() - began < 60,
           f"a zip bomb is answered in {time.monotonic() - began:.1f} s: {reply}")
    eicar = EICAR.encode()
    blocks = [f"begin-base64 644 {i}\r\n{base64.b64encode(b'harmless %d' % i).decode()}\r\n====\r\n" for i in range(49)]
    last = f"begin-base64 644 x\r\n{base64.b64encode(eicar).decode()}\r\n====\r\n"
    s.refused("EICAR in the 50th block of a text", "smtp", "".join(blocks) + last, part="Test.Eicar")
    s.refused("EICAR behind so many blocks", "smtp", "".join(blocks) + blocks[0] + last, code=451)
    cut = base64.b64encode(b"MZ\0\0").decode() + "\r\n" + base64.b64encode(eicar).decode() + "\r\n"
    octets = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    s.refused("EICAR behind padding", "smtp", f"--b\r\n{octets}{cut}--b--\r\n", part="Test.Eicar", mixed=True)
    inner = f"--c\r\n{octets}{base64.b64encode(eicar).decode()}\r\n--c--\r\n".encode()
    s.refused("EICAR in a multipart in base64", "smtp", "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n"
              f"Content-Transfer-Encoding: base64\r\n\r\n{base64.encodebytes(inner).decode()}--b--\r\n",
              part="Test.Eicar", mixed=True)
    record = s.refused("a signature of ours", "smtp", f"this is the {OURS}\r\n", part="Virus found: Test.Ours")
    tap.fields(record, {"verdict": "reject", "by": "virus", "at": "message"}, "and so says the log")
    large = ("x" * 76 + "\r\n") * 40000
    s.refused("EICAR behind 3 MB", "smtp", "--b\r\n\r\n" + large + attachment(eicar), part="Test.Eicar", mixed=True)
    field = s.passes("clean mail with forged fields", "accept", "hello\r\n",
                     fields="X-Virus-Status: clean, honestly\r\n")
    tap.same(field("X-Virus-Status"), ["clean"], "what it says about viruses is ours alone")
    field = s.passes("a message beyond max_size, EICAR in it", "small", large + EICAR,
                     fields="X-Virus-Status: clean\r\n")
    tap.same(field("X-Virus-Status"), [], "it says nothing about viruses")


def wrapped(inner, depth):
    """A message in a message, so often."""
    for level in range(depth):
        inner = (f"Content-Type: multipart/mixed; boundary=\"l{level}\"\r\n\r\n--l{level}\r\n"
                 f"Content-Type: message/rfc822\r\n\r\nSubject: level {level}\r\nMIME-Version: 1.0\r\n"
                 f"{inner}\r\n--l{level}--\r\n")
    return inner


def lines(data, size=45):
    return [data[i:i + size] for i in range(0, len(data), size)]


def everywhere(tap, s):
    """EICAR in every encoding, at many levels."""
    eicar = EICAR.encode()
    octets = "Content-Type: application/octet-stream; name=\"x.bin\"\r\nContent-Transfer-Encoding: "
    coded = {
        "base64": octets + "base64\r\n\r\n" + base64.encodebytes(eicar).decode(),
        "quoted-printable": octets + "quoted-printable\r\n\r\n" + "".join(f"={c:02X}" for c in eicar[:20]) + "=\r\n" +
                            "".join(f"={c:02X}" for c in eicar[20:]),
        "8bit": octets + "8bit\r\n\r\n" + EICAR,
        "uuencode": "\r\nbegin 644 x.bin\r\n" + "".join(binascii.b2a_uu(x).decode() for x in lines(eicar)) +
                    "`\r\nend\r\n",
        "begin-base64": "\r\nbegin-base64 644 x.bin\r\n" + base64.encodebytes(eicar).decode() + "====\r\n",
        "yEnc": f"\r\n=ybegin line=128 size={len(eicar)} name=x.bin\r\n".encode() +
                bytes((c + 42) & 255 for c in eicar) + f"\r\n=yend size={len(eicar)}\r\n".encode(),
        "winmail.dat": octets.replace("octet-stream", "ms-tnef") + "base64\r\n\r\n" +
                       base64.encodebytes(tnef.winmail(tnef.attachment("x.bin", eicar))).decode(),
        "winmail.dat in winmail.dat": octets.replace("octet-stream", "ms-tnef") + "base64\r\n\r\n" +
            base64.encodebytes(tnef.winmail(tnef.attachment("m", b"", embedded=tnef.winmail(
                tnef.attachment("x.bin", eicar))))).decode(),
    }
    for name, text in coded.items():
        text = text.decode("latin-1") if isinstance(text, bytes) else text
        for depth in (0, 1, 5):
            reply, sender = s.send_raw("smtp", wrapped(text, depth))
            tap.reply(reply, 550, f"EICAR in {name}, in {depth} messages", "Virus found: Test.Eicar")


def spam(tap, s):
    s.refused("GTUBE", "smtp", GTUBE + "\r\n", part="this looks like spam (score 1000")
    field = s.passes("GTUBE where nothing is refused", "tag", GTUBE + "\r\n", mark="[spam] ",
                     fields="X-Spam-Status: No, score=-100\r\nX-Spam-Report: all is well\r\n")
    tap.same(field("X-Spam-Flag"), ["YES"], "X-Spam-Flag")
    tap.same(field("X-Spam-Report"), [], "no X-Spam-Report")
    tap.same(field("X-Spam-Level"), ["*" * 50], "X-Spam-Level")
    status = " ".join(field("X-Spam-Status"))
    tap.ok(status.startswith("Yes, score=1000") and "required=5.0" in status and "score=-100" not in status,
           "X-Spam-Status: " + status)
    tap.has(status, "GTUBE", "it names the test")
    tap.has(status, "TEST_CLIENT", "spamd sees who the client is")
    tap.has(status, "TEST_FROM", "and the envelope sender")
    field = s.passes("a rule of ours", "smtp", "sme-milter end to end rule\r\n", mark="[spam] ")
    tap.has(field("X-Spam-Status")[0], "TEST_OURS", "it is in X-Spam-Status")
    tap.same(field("X-Virus-Status"), ["clean"], "and there is no virus in it")
    field = s.passes("ham", "smtp", "hello bob\r\n")
    tap.ok(field("X-Spam-Status")[0].startswith("No, score=0.2 "), "X-Spam-Status: " + field("X-Spam-Status")[0])
    tap.same(field("X-Spam-Flag"), [], "no X-Spam-Flag")


def many(tap, s):
    """30 at once, every third one with a virus, every third one spam."""
    replies = [None] * 30

    def one(i):
        body = [f"number {i} {EICAR}\r\n", f"number {i}\r\n{GTUBE}\r\n", f"number {i}\r\n"][i % 3]
        replies[i] = s.send("smtp", body)[0]

    threads = [threading.Thread(target=one, args=(i,)) for i in range(30)]
    began = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    parts = ["Virus found: Test.Eicar", "this looks like spam", ""]
    wrong = [(i, r) for i, r in enumerate(replies)
             if r is None or r.code != (250 if i % 3 == 2 else 550) or parts[i % 3] not in r.text]
    tap.ok(not wrong, f"30 messages at once, each with its own answer ({time.monotonic() - began:.1f} s)",
           str(wrong[:5]))


def dead(tap, s, clamd, spamd):
    clamd.kill()
    record = s.refused("clamd killed", "smtp", "hello\r\n", code=451, part="the virus scanner could not be asked")
    tap.fields(record, {"verdict": "tempfail", "by": "virus", "karma": "0"}, "which is not the client's fault")
    s.refused("clamd killed, a virus", "smtp", EICAR + "\r\n", code=451)
    field = s.passes("clamd killed, on_error = accept", "accept", "hello\r\n", fields="X-Virus-Status: clean\r\n")
    tap.same(field("X-Virus-Status"), [], "and nothing is said about viruses")
    tap.ok(s.house.daemon.wait_line("virus: cannot connect to "), "the log says what is wrong")
    clamd.start()
    s.refused("clamd started again", "smtp", EICAR + "\r\n", part="Virus found")
    spamd.kill()
    field = s.passes("spamd killed", "smtp", GTUBE + "\r\n", fields="X-Spam-Status: No\r\n")
    tap.same(field("X-Spam-Status"), [], "and nothing is said about spam")
    spamd.start()
    s.refused("spamd started again", "smtp", GTUBE + "\r\n", part="this looks like spam")


def killed_in_mid_run(tap, s, clamd):
    """A stream of messages while clamd is killed and started: each is 250 or 451, and no virus passes."""
    replies, stop = [], threading.Event()

    def stream(body):
        while not stop.is_set():
            replies.append((body == EICAR, s.send("small", body + "\r\n")[0].code))

    threads = [threading.Thread(target=stream, args=(body,)) for body in (EICAR, EICAR, "hello", "hello")]
    for t in threads:
        t.start()
    taps.wait_for(lambda: len(replies) >= 8, 60)
    clamd.kill()
    before = len(replies)
    taps.wait_for(lambda: len(replies) >= before + 12, 60)
    clamd.start()
    before = len(replies)
    taps.wait_for(lambda: len(replies) >= before + 12, 60)
    stop.set()
    for t in threads:
        t.join(60)
    infected = {code for virus, code in replies if virus}
    clean = {code for virus, code in replies if not virus}
    tap.same(sorted(infected), [451, 550], f"viruses while clamd dies and comes back ({len(replies)} messages)")
    tap.same(sorted(clean), [250, 451], "clean mail meanwhile")


def main(tap):
    if not os.access(CLAMD, os.X_OK) or not os.access(SPAMD, os.X_OK):
        taps.skip_all("clamd and spamd are not both installed")
    directory = processes.Directory()
    path, clamd = make_clamd(directory)
    port, spamd = make_spamd(directory)
    try:
        clamd.start()
        spamd.start()
        with House(CONFIG.format(clamd=path, port=port), tap, extra=EXTRA) as house:
            s = Sender(tap, house)
            viruses(tap, s)
            everywhere(tap, s)
            spam(tap, s)
            many(tap, s)
            dead(tap, s, clamd, spamd)
            killed_in_mid_run(tap, s, clamd)
    finally:
        clamd.kill()
        spamd.kill()
        directory.remove()


taps.run(main)
