#!/usr/bin/python3
"""smtp_forward behind a real Postfix: inner servers that are real (another Postfix, with TLS), right, slow, dead, rude
or ourselves; what the client hears, how long it waits, and what is left behind."""
import os
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import dnsd
import processes
import tap as taps
import house as houses
from house import House
from postfix import Postfix

TIMEOUT_S = 3
SLACK_S = 4


class Inner:
    """An SMTP server on loopback that does what `manner` says, and remembers what it was told."""

    def __init__(self, manner=None, certificate=None):
        self.manner, self.certificate = manner or {}, certificate
        self.connections, self.open, self.lines, self.tls = 0, 0, [], 0
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            client.settimeout(60)
            self._talk(client)
        except (OSError, ssl.SSLError):
            pass
        finally:
            client.close()
            with self.lock:
                self.open -= 1

    def _talk(self, client):
        pending = b""
        if not self._say(client, "connect", "220 inner.test ESMTP"):
            return
        while not self.over.is_set():
            while b"\n" not in pending:
                more = client.recv(4096)
                if not more:
                    return
                pending += more
            line, pending = pending.split(b"\n", 1)
            text = line.decode("utf-8", "backslashreplace").rstrip("\r")
            with self.lock:
                self.lines.append(text)
            verb = text.split(" ")[0].upper()
            if verb == "STARTTLS" and self.certificate:
                client.sendall(b"220 2.0.0 go\r\n" + self.manner.get("before tls", b""))
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.certificate)
                client = context.wrap_socket(client, server_side=True)
                with self.lock:
                    self.tls += 1
                continue
            usual = {"EHLO": "250-inner.test\r\n250-SIZE 1000\r\n250 " + ("STARTTLS" if self.certificate and not
                     isinstance(client, ssl.SSLSocket) else "8BITMIME"), "QUIT": "221 bye"}.get(verb, "250 2.0.0 ok")
            if verb == "RCPT":
                for part, reply in self.manner.get("rcpts", {}).items():
                    if part in text:
                        usual = reply
            if not self._say(client, verb.lower(), usual) or verb == "QUIT":
                return

    def _say(self, client, verb, usual):
        """False: hang up."""
        what = self.manner.get(verb, usual)
        if callable(what):
            return what(self, client)
        if what == "hang up":
            return False
        client.sendall(what.encode("latin-1") + b"\r\n")
        return True

    def said(self, verb):
        with self.lock:
            return [line for line in self.lines if line.upper().startswith(verb)]

    def close(self):
        self.over.set()
        self.listener.close()


def mute(inner, client):
    inner.over.wait(60)
    return False


def slow(inner, client):
    inner.over.wait(1)
    client.sendall(b"250 2.1.5 at last\r\n")
    return True


def long_line(inner, client):
    client.sendall(b"250 " + b"x" * 100000 + b"\r\n")
    return True


def many_lines(inner, client):
    client.sendall(b"250-more\r\n" * 20000)
    return True


def drip(inner, client):
    while not inner.over.wait(0.02):
        client.sendall(b"2")
    return False


def half(inner, client):
    client.sendall(b"550 5.1.1 no such")
    return False


def byte_by_byte(inner, client):
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n":
        client.sendall(bytes([byte]))
        inner.over.wait(0.005)
    return True


def bad_tls(inner, client):
    client.sendall(b"220 go\r\n")
    client.recv(4096)
    client.sendall(b"this is no ServerHello at all, it is not\r\n")
    return False


def mute_tls(inner, client):
    client.sendall(b"220 go\r\n")
    return mute(inner, client)


def one_answer(inner, client):
    client.sendall(b"250 2.1.5 ok\r\n")
    return False


class Few:
    """Turns away who is beyond `most` connections, and knows how many there were: four, and one whose end it has not
    noticed yet."""

    def __init__(self, most):
        self.most, self.highest = most, 0

    def __call__(self, inner, client):
        with inner.lock:
            now = inner.open
            self.highest = max(self.highest, now)
        client.sendall(b"421 4.7.0 too many connections from you\r\n" if now > self.most else b"220 inner.test\r\n")
        return now <= self.most


def some_time(inner, client):
    inner.over.wait(0.3)
    client.sendall(b"250 2.1.5 at last\r\n")
    return True


OFFERS = "250-inner.test\r\n250 STARTTLS"
MANNERS = {
    # name: (what it does, the reply's code and a part of it, the longest wait)
    "right": ({"rcpts": {"nobody@": "550 5.1.1 no such user"}}, 250, "", 2),
    "refuses": ({"rcpt": "550 5.1.1 no such user"}, 550, "5.1.1 the server of refuses.test says: no such user", 2),
    "later": ({"rcpt": "450 4.2.1 greylisted"}, 451, "4.2.1 the server of later.test says: greylisted", 2),
    "bytewise": ({"rcpt": byte_by_byte}, 550, "5.1.1 the server of bytewise.test says: no such user", 2),
    "slow": ({"rcpt": slow}, 250, "", 1 + SLACK_S),
    "helo": ({"ehlo": "500 what", "rcpt": "550 5.1.1 no"}, 550, "5.1.1", 2),
    "mute": ({"connect": mute}, 451, "4.4.1 the server of mute.test cannot be asked", TIMEOUT_S + SLACK_S),
    "mutercpt": ({"rcpt": mute}, 451, "4.4.1", TIMEOUT_S + SLACK_S),
    "drips": ({"connect": drip}, 451, "4.4", TIMEOUT_S + SLACK_S),
    "greets554": ({"connect": "554 no"}, 451, "4.4.2", 2),
    "greets421": ({"connect": "421 busy"}, 451, "4.4.2", 2),
    "junk": ({"connect": "SSH-2.0-OpenSSH_9.2"}, 451, "4.4.2", 2),
    "longline": ({"ehlo": long_line}, 451, "4.4.2", 2),
    "manylines": ({"ehlo": many_lines}, 451, "4.4.2", 2),
    "hangsup": ({"mail": "hang up"}, 451, "4.4.2", 2),
    "halfreply": ({"rcpt": half}, 451, "4.4.2", 2),
    "mailno": ({"mail": "550 5.1.8 who are you"}, 451, "4.1.8 the server of mailno.test says: who are you", 2),
    "badtls": ({"ehlo": OFFERS, "starttls": bad_tls, "rcpt": "550 5.1.1 no"}, 550, "5.1.1", 2),
    "mutetls": ({"ehlo": OFFERS, "starttls": mute_tls, "rcpt": "550 5.1.1 no"}, 550, "5.1.1", TIMEOUT_S),
    "injects": ({"before tls": b"250-inner.test\r\n250 8BITMIME\r\n", "rcpt": "550 5.1.1 no"}, 550, "5.1.1", 2),
    "closes": ({"rcpt": one_answer}, 250, "", 2),
    "needstls": ({"mail": "530 5.7.0 Must issue a STARTTLS command first"}, 451, "4.7.0", 2),
}

CONFIG = """
smtp_forward {{ timeout = {timeout}s  routes = {{{routes}}} }}
profile "strangers" {{ port = {{@smtp@, @other@, @third@}}  policies = {{"smtp_forward"}} }}
profile "submission" {{ port = {{@submission@}} policies = {{"smtp_forward"}} }}
"""


def ask(house, recipient, service="smtp", sender=None, **how):
    """What RCPT is answered, and how long that took."""
    with house.client(service, **how) as client:
        client.mail(sender if sender is not None else house.sender())
        begun = time.monotonic()
        reply = client.rcpt(recipient)
        took = time.monotonic() - begun
        client.quit()
    return reply, took


def manners(tap, house, inners):
    for name, (_, code, part, longest) in MANNERS.items():
        reply, took = ask(house, f"me@{name}.test")
        tap.reply(reply, code, f"{name}: {code}", part)
        tap.ok(took < longest, f"{name}: answered within {longest} s", f"{took:.2f} s")
        tap.ok(not inners[name].said("DATA"), f"{name}: no message is ever sent")
    tap.ok(taps.wait_for(lambda: sum(i.open for i in inners.values() if i.manner.get("connect") is not mute) <= 5, 10),
           "no connection is left open (but those to servers that do not notice)",
           str({n: i.open for n, i in inners.items() if i.open}))
    tap.ok(len(inners["badtls"].said("STARTTLS")) == 1 and inners["badtls"].connections == 2,
           "TLS that fails is tried once, then there is one connection without")
    ask(house, "you@badtls.test")
    tap.ok(len(inners["badtls"].said("STARTTLS")) == 1, "and it is remembered")
    tap.ok(inners["injects"].connections == 2 and inners["injects"].tls == 0,
           "what was spoken before TLS ends the connection", str(inners["injects"].lines))


def cache(tap, house, inners):
    right = inners["right"]
    with house.client("smtp") as client:
        client.mail("c@there.test")
        before = right.connections
        replies = [client.rcpt(f"{who}@right.test").code for who in ("c1", "c2", "nobody", "c3", "c1", "nobody")]
        client.quit()
    tap.ok(replies == [250, 250, 550, 250, 250, 550], "each recipient has its answer", str(replies))
    tap.ok(right.connections == before + 1, "several recipients of a message are asked for on one connection",
           str(right.connections - before))
    told = len(right.said("RCPT"))
    tap.ok(len([r for r in right.said("RCPT TO:<NOBODY@") + right.said("RCPT TO:<C1@")]) == 2, "and each once")
    for _ in range(3):
        ask(house, "nobody@right.test")
        ask(house, "c1@right.test")
    tap.ok(len(right.said("RCPT")) == told, "another message's sender changes nothing: it is known")
    tap.ok("MAIL FROM:<c@there.test>" in right.said("MAIL"), "it is asked with the real sender")
    tap.ok(taps.wait_for(lambda: right.open == 0, 10), "and it is hung up")
    tap.ok(len(right.said("QUIT")) == right.connections, "with QUIT", str(right.lines))
    with house.client("smtp") as client:
        client.mail("d@there.test")
        replies = [client.rcpt(f"{who}@closes.test").code for who in ("d1", "d2")]
        tap.ok(replies == [250, 250], "a server that hangs up between two recipients is called again", str(replies))
        client.rcpt("d1@right.test")
        tap.ok(right.open == 1, "the connection stays for the message's next recipient", str(right.open))
        client.cmd("DATA")
        tap.ok(taps.wait_for(lambda: right.open == 0, 5), "but not for its text")
        client.content("Subject: x\n\nx\n")
        client.quit()
    took = []
    for i in range(5):
        took.append(ask(house, f"m{i}@mute.test")[1])
    tap.ok(sum(took) < 2 * TIMEOUT_S + 2, "a dead server costs one wait, not one per recipient",
           " ".join(f"{t:.2f}" for t in took))


def together(tap, house, inners):
    replies = [None] * 24

    def one(i):
        replies[i] = ask(house, f"t{i % 12}@{'slow' if i % 2 else 'right'}.test")[0].code

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(replies))]
    begun = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    tap.ok(all(code == 250 for code in replies), "many at once", str(replies))
    tap.ok(time.monotonic() - begun < 20, "side by side", f"{time.monotonic() - begun:.1f} s")


def at_once(count, one):
    """What one(0), one(1) ... return, side by side, and how long all took."""
    results = [None] * count

    def run(i):
        results[i] = one(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    begun = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    return results, time.monotonic() - begun


def few(tap, house, inners, limits):
    for name in ("many", "five", "two"):
        replies, took = at_once(12, lambda i, name=name: ask(house, f"f{i}@{name}.test")[0].code)
        tap.ok(replies == [250] * 12, f"{name}: 12 clients at once are answered", replies, f"{took:.1f} s")
        tap.ok(limits[name].highest <= 5, f"{name}: over few connections", limits[name].highest)
        tap.reply(ask(house, f"next@{name}.test")[0], 250, f"{name}: it is not taken for dead")
    answers, _ = at_once(12, lambda i: ask(house, f"f{i}@mutercpt.test"))
    tap.ok([reply.code for reply, _ in answers] == [451] * 12, "a server that never answers RCPT, 12 at once: 451")
    tap.ok(max(took for _, took in answers) < TIMEOUT_S + SLACK_S, "nobody waits longer than the timeout",
           " ".join(f"{took:.1f}" for _, took in answers))
    inner = inners["many"]
    with house.client("smtp") as one, house.client("smtp") as two, house.client("smtp") as three, \
            house.client("smtp") as four:
        for i, client in enumerate((one, two, three, four)):
            client.mail(f"idle{i}@there.test")
            client.rcpt(f"idle{i}@many.test")
        tap.ok(inner.open == 4, "four clients take their time", inner.open)
        reply, took = ask(house, "fifth@many.test")
        tap.reply(reply, 250, "another one does not wait for them")
        tap.ok(took < 2 and inner.open <= 4 and "RSET" in inner.said("RSET"), "he is asked for on one of theirs",
               f"{took:.1f} s", inner.open)
        replies = [client.rcpt(f"more{i}@many.test").code for i, client in enumerate((one, two, three, four))]
        tap.ok(replies == [250] * 4 and inner.open <= 4, "and they go on", replies, inner.open)
        tap.ok(len(inner.said("MAIL FROM:<IDLE")) == 5, "whose it was with his own sender again", inner.said("MAIL"))


def same(tap, house, inners):
    inner = inners["slow"]
    before = len(inner.said("RCPT"))
    replies, took = at_once(30, lambda i: ask(house, "same@slow.test", sender="same@there.test")[0].code)
    tap.ok(replies == [250] * 30, "30 clients with the same question are answered", replies)
    tap.ok(len(inner.said("RCPT")) == before + 1, "it is asked once", len(inner.said("RCPT")) - before)
    tap.ok(took < 1 + SLACK_S, "at once", f"{took:.1f} s")


def in_turn(tap, house, inners):
    both = [inners["right"], inners["many"]]
    before = [inner.connections for inner in both]
    with house.client("smtp") as client:
        client.mail("turn@there.test")
        replies = [client.rcpt(f"turn{i}@{('right', 'many')[i % 2]}.test").code for i in range(40)]
        client.quit()
    made = [inner.connections - n for inner, n in zip(both, before)]
    tap.ok(replies == [250] * 40, "recipients of two servers in turn are answered", replies)
    tap.ok(made == [1, 1], "over one connection to each", made)


def names(tap, house):
    for domain, code, part in (("byname.test", 550, "no such user"), ("nowhere.test", 451, "4.4.4"),
                               ("broken.test", 451, "4.4.3"), ("dead.test", 451, "4.4.1"), ("six.test", 550, "")):
        reply, took = ask(house, f"me@{domain}")
        tap.reply(reply, code, f"{domain}: {code}", part)
        tap.ok(took < TIMEOUT_S + SLACK_S, f"{domain}: in time", f"{took:.2f} s")


def real(tap, house, inner):
    for who, code in (("bob", 250), ("nobody", 550)):
        reply, _ = ask(house, f"{who}@real.test", sender="alice@there.test")
        tap.reply(reply, code, f"a real Postfix behind us: {who} is {code}", "" if code == 250 else "User unknown")
    tap.ok("TLS connection established from" in inner.maillog(200) or "tls" in inner.maillog(200).lower(),
           "it was asked in TLS", inner.maillog(30))
    reply, _ = ask(house, "nobody@real.test", "submission", starttls=True, auth=True)
    tap.reply(reply, 550, "authenticated clients are told too", "User unknown")


def loops(tap, house):
    begun = time.monotonic()
    reply, _ = ask(house, "me@loop.test")
    tap.reply(reply, 451, "a route to ourselves is noticed: 451", "4.4.6")
    tap.ok(time.monotonic() - begun < 3, "at once")
    reply, _ = ask(house, "me@loop2.test", "other")
    tap.reply(reply, 451, "by another door too: 451", "4.4.6 the server of loop2.test cannot be asked")
    tap.ok(house.daemon.wait_line("is this server itself"), "and the log names it")


class Relay:
    """A door that leads elsewhere: what comes back through it does not look like ours."""

    def __init__(self):
        self.to, self.connections = 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                client.close()
                continue
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one, other):
        try:
            while data := one.recv(4096):
                other.sendall(data)
        except OSError:
            pass
        try:
            other.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def circle(tap, house, relay):
    relay.to = house.port["smtp"]
    reply, took = ask(house, "me@circle.test", sender="c@there.test")
    tap.reply(reply, 451, "servers that ask each other in a circle come to an end: 451")
    tap.ok(relay.connections == 1 and took < TIMEOUT_S + SLACK_S, "soon", relay.connections, f"{took:.1f} s")
    for i in range(3):  # a busy machine may not come back to us in time
        if house.daemon.wait_line("we were asked the same meanwhile", 2):
            break
        ask(house, f"me{i}@circle.test", sender="c@there.test")
    tap.ok(house.daemon.wait_line("we were asked the same meanwhile", 2), "and the log says so", f"{took:.1f} s",
           [line for line in house.daemon.log if "circle" in line or str(relay.port) in line])


def tls(tap, house, inners):
    inner = inners["withtls"]
    reply, _ = ask(house, "me@withtls.test")
    tap.reply(reply, 550, "asked in TLS", "not here")
    tap.ok(inner.tls == 1 and len(inner.said("EHLO")) == 2, "with a second EHLO", str(inner.lines))


def main(tap):
    inners = {name: Inner(manner) for name, (manner, *_) in MANNERS.items()}
    dead, relay = processes.free_ports(1)[0], Relay()
    limits = {"many": Few(100), "five": Few(5), "two": Few(2)}
    inners.update({name: Inner({"connect": limit, "rcpt": some_time}) for name, limit in limits.items()})
    recipients = {"virtual_mailbox_domains": "real.test", "virtual_mailbox_maps": "inline:{bob@real.test=x}",
                  "smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "1", "smtpd_recipient_restrictions":
                  "reject_unauth_destination", "smtpd_relay_restrictions": "reject_unauth_destination",
                  "myhostname": "inner.real.test", "mydestination": ""}
    with Postfix(main=recipients, ports={"submission": 0, "submissions": 0}) as inner_postfix:
        certificate = (inner_postfix.directory.file("cert.pem"), inner_postfix.directory.file("key.pem"))
        inners["injects"].certificate = certificate
        inners["withtls"] = Inner({"rcpt": "550 5.1.1 not here"}, certificate)
        zone = "inner.name.test A 127.0.0.1\ndead.name.test A 127.0.0.1\nbroken.name.test ANY SERVFAIL\n" \
               "six.name.test AAAA ::1\nsix.name.test A 127.0.0.1\n"
        with dnsd.Server(zone=zone) as dns:
            routes = [f"{name}.test 127.0.0.1:{inner.port}" for name, inner in inners.items()]
            routes += [f"byname.test inner.name.test:{inners['refuses'].port}", f"dead.test dead.name.test:{dead}",
                       "nowhere.test none.name.test", "broken.test broken.name.test",
                       f"six.test six.name.test:{inners['refuses'].port}",
                       f"real.test [127.0.0.1]:{inner_postfix.port['smtp']}", "loop.test 127.0.0.1:@smtp@",
                       "loop2.test localhost:@third@", f"circle.test 127.0.0.1:{relay.port}"]
            houses.COMMON = houses.COMMON.replace("127.0.0.1:1\"", f"127.0.0.1:{dns.port}\"")
            config = CONFIG.format(timeout=TIMEOUT_S, routes=", ".join(f'"{r}"' for r in routes))
            domains = " ".join(["here.test"] + [r.split()[0] for r in routes])
            doors = {"other": {"like": "smtp"}, "third": {"like": "smtp"}}
            with House(config, tap, doors, {"relay_domains": domains}) as house:
                manners(tap, house, inners)
                cache(tap, house, inners)
                names(tap, house)
                tls(tap, house, inners)
                real(tap, house, inner_postfix)
                loops(tap, house)
                circle(tap, house, relay)
                together(tap, house, inners)
                few(tap, house, inners, limits)
                same(tap, house, inners)
                in_turn(tap, house, inners)
    for server in [*inners.values(), relay]:
        server.close()


taps.run(main)
