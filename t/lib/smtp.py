"""smtp.py - a client that sends exactly what it is told, and a sink that keeps what Postfix delivers."""
import base64
import os
import re
import socket
import ssl
import sys
import threading
from collections import namedtuple

sys.dont_write_bytecode = True

Reply = namedtuple("Reply", "code text")  # text: without the code, lines joined by \n
CLOSED = Reply(0, "connection closed")


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode("utf-8")


class Smtp:
    """One SMTP dialogue. Every method returns the Reply; nothing is checked here, nothing is raised for a refusal."""

    def __init__(self, port, source="127.0.0.1", tls=False, timeout=40, host="127.0.0.1"):
        self.sock = socket.create_connection((host, port), timeout, (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        self.tls = False
        if tls:
            self._wrap()
        self.greeting = self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _wrap(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # a certificate made a second ago
        self.sock = context.wrap_socket(self.sock)
        self.tls = True

    def tls_version(self):
        return self.sock.version()

    def _line(self):
        while b"\n" not in self.pending:
            try:
                more = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLError):
                more = b""
            if not more:
                return None
            self.pending += more
        line, self.pending = self.pending.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "backslashreplace")

    def read(self):
        lines = []
        while True:
            line = self._line()
            if line is None:
                return CLOSED
            match = re.match(r"(\d{3})([ -]|$)(.*)", line)
            if not match:
                raise ValueError(f"not an SMTP reply: {line!r}")
            lines.append(match.group(3))
            if match.group(2) != "-":
                return Reply(int(match.group(1)), "\n".join(lines))

    def send(self, data):
        try:
            self.sock.sendall(as_bytes(data))
        except (ConnectionError, ssl.SSLError):
            pass  # the next read tells

    def cmd(self, line):
        self.send(as_bytes(line) + b"\r\n")
        return self.read()

    def is_closed(self, seconds=5):
        """Whether the server hangs up, without a further word, within that time."""
        self.sock.settimeout(seconds)
        try:
            return not self.pending and self.sock.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True
        except (TimeoutError, socket.timeout):
            return False

    def ehlo(self, name="client.test"):
        return self.cmd(b"EHLO " + as_bytes(name))

    def starttls(self):
        reply = self.cmd("STARTTLS")
        if reply.code == 220:
            self._wrap()
        return reply

    def auth(self, user, password):
        token = base64.b64encode(b"\0" + as_bytes(user) + b"\0" + as_bytes(password)).decode()
        return self.cmd("AUTH PLAIN " + token)

    def auth_login(self, user, password):
        for step in ("AUTH LOGIN", base64.b64encode(as_bytes(user)).decode()):
            reply = self.cmd(step)
            if reply.code != 334:
                return reply
        return self.cmd(base64.b64encode(as_bytes(password)).decode())

    def xclient(self, **attributes):
        """Be somebody else: addr=, name=, port=, destport=, login=. A new greeting is the reply; EHLO must follow."""
        words = " ".join(f"{key.upper()}={value}" for key, value in attributes.items())
        return self.cmd("XCLIENT " + words)

    def mail(self, sender, *args):
        return self.cmd(b" ".join([b"MAIL FROM:<" + as_bytes(sender) + b">", *map(as_bytes, args)]))

    def rcpt(self, recipient, *args):
        return self.cmd(b" ".join([b"RCPT TO:<" + as_bytes(recipient) + b">", *map(as_bytes, args)]))

    def content(self, message):
        """What follows the 354: dots doubled, CRLF at line ends, the final dot."""
        body = re.sub(rb"\r?\n", b"\r\n", as_bytes(message))
        if not body.endswith(b"\r\n"):
            body += b"\r\n"
        self.send(re.sub(rb"(?m)^\.", b"..", body) + b".\r\n")
        return self.read()

    def data(self, message):
        reply = self.cmd("DATA")
        return self.content(message) if reply.code == 354 else reply

    def message(self, sender, recipients, message):
        """MAIL, RCPTs, DATA: the first refusal of the whole, or the last reply."""
        reply = self.mail(sender)
        if reply.code != 250:
            return reply
        replies = [self.rcpt(r) for r in recipients]
        if not any(r.code == 250 for r in replies):
            return replies[0] if replies else reply
        return self.data(message)

    def quit(self):
        reply = self.cmd("QUIT")
        self.close()
        return reply

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


def mail_text(subject="test", sender="alice@there.test", to="bob@here.test", extra="", body="Hello.\n",
              date="Thu, 01 Feb 2024 12:00:00 +0000"):
    """A decent message; an empty sender or date leaves the field out."""
    lines = []
    if sender:
        lines.append(f"From: {sender}\n")
    lines.append(f"To: {to}\n")
    lines.append(f"Subject: {subject}\n")
    if date:
        lines.append(f"Date: {date}\n")
    lines.append(f"Message-ID: <{abs(hash((subject, sender, to)))}@client.test>\n")
    return "".join(lines) + extra + "\n" + body


class Delivered(namedtuple("Delivered", "sender recipients content")):
    """A message as it arrived: envelope without <>, and every byte."""

    @property
    def queue_id(self):
        found = re.search(rb"\n\t(?:[^\n]*[ \t])?id ([0-9A-Za-z]+)", self.content)
        return found.group(1).decode() if found else ""

    def header(self, name):
        """The (unfolded) values of a header field, in order."""
        head = re.sub(rb"\r\n[ \t]+", b" ", self.content.split(b"\r\n\r\n", 1)[0]).split(b"\r\n")
        start = name.lower().encode() + b":"
        return [h[len(start):].strip().decode("utf-8", "replace") for h in head if h.lower().startswith(start)]

    @property
    def subject(self):
        return (self.header("Subject") or [""])[0]


class Sink:
    """An LMTP server on a Unix socket: every mail that Postfix lets through ends here."""

    def __init__(self, path, directory=None):
        self.mails = []
        self.directory = directory  # where each mail is also written to a file
        self.changed = threading.Condition()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        stream = client.makefile("rwb")

        def say(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        sender, recipients = None, []
        try:
            say("220 sink.test LMTP")
            for line in stream:
                verb = line[:4].upper()
                argument = re.search(rb"<(.*)>", line)
                if verb == b"LHLO":
                    say("250-sink.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES")
                elif verb == b"MAIL":
                    sender, recipients = argument.group(1).decode("utf-8", "replace"), []
                    say("250 2.1.0 ok")
                elif verb == b"RCPT":
                    recipients.append(argument.group(1).decode("utf-8", "replace"))
                    say("250 2.1.5 ok")
                elif verb == b"DATA":
                    say("354 go on")
                    lines = []
                    for text in stream:
                        if text == b".\r\n":
                            break
                        lines.append(text[1:] if text.startswith(b".") else text)
                    else:
                        return
                    self._keep(Delivered(sender, list(recipients), b"".join(lines)))
                    say("\r\n".join("250 2.0.0 ok" for _ in recipients))
                elif verb == b"QUIT":
                    say("221 2.0.0 bye")
                    return
                else:
                    say("250 2.0.0 ok")
        except (OSError, AttributeError):
            pass
        finally:
            client.close()

    def _keep(self, mail):
        with self.changed:
            self.mails.append(mail)
            if self.directory:
                envelope = "".join(f"X-Envelope-To: <{r}>\r\n" for r in mail.recipients)
                with open(os.path.join(self.directory, f"{len(self.mails):04d}.eml"), "wb") as f:
                    f.write(f"X-Envelope-From: <{mail.sender}>\r\n{envelope}".encode() + mail.content)
            self.changed.notify_all()

    def wait(self, wanted, seconds=20):
        """All mails for which wanted(mail) holds, as soon as there is one; [] when the time is over."""
        with self.changed:
            self.changed.wait_for(lambda: any(wanted(m) for m in self.mails), seconds)
            return [m for m in self.mails if wanted(m)]

    def subject(self, subject, seconds=20):
        return self.wait(lambda m: m.subject == subject, seconds)

    def wait_count(self, count, seconds=60):
        with self.changed:
            self.changed.wait_for(lambda: len(self.mails) >= count, seconds)
            return len(self.mails)

    def close(self):
        self.listener.close()
