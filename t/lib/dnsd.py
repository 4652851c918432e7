#!/usr/bin/python3
"""dnsd.py - a DNS server for tests, on loopback: from a zone file or before a real server; slow, lossy, or a liar.

In a test:
    with dnsd.Server(zone=text) as server:          # or forward=("127.0.0.1", port)
        server.address                              # "127.0.0.1:PORT"
        server.delay = 0.02; server.loss = 0.5      # any of these may change at any time
        server.asked                                # [(name, type, "udp" or "tcp")], probes for the root left out
As a program:
    dnsd.py [--port P] (--zone FILE | --forward HOST:PORT) [--delay MS] [--loss PERCENT] [--corrupt PERCENT]
            [--lie ADDRESS] [--mode MODE] [--seed N]      tells "listening ADDRESS" and runs until it is ended

The zone file is written as for `sme-milterctl test --dns`: `name [ttl] [IN] TYPE data`, wildcards, SERVFAIL, REFUSED,
NXDOMAIN, NODATA, TIMEOUT, MALFORMED instead of data, `$DELAY 800ms`, `after 800ms`.

Modes (attribute `mode`): "" as it should be; mute (takes questions, says nothing); other (answers another question);
wrongid; truncate (UDP says TC, TCP answers); truncate-dead (TCP is accepted and says nothing); truncate-closed (TCP
is closed at once); big (a TXT of 64 KB over TCP); pointer-loop, cname-loop; garbage (random bytes behind a good
header); servfail; refused.
"""
import argparse
import heapq
import ipaddress
import itertools
import random
import re
import select
import shlex
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "ANY": 255}
WORDS = {"SERVFAIL": 2, "REFUSED": 5, "NXDOMAIN": 3, "NODATA": 0, "TIMEOUT": -1, "MALFORMED": -2}
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
UDP_MOST = 1232


def seconds(text):
    match = re.fullmatch(r"(\d+)(ms|s|m|h|d|)", text)
    if not match:
        raise ValueError(f"no duration: {text}")
    return int(match.group(1)) * UNITS[match.group(2)]


def wire_name(name):
    name = name.rstrip(".")
    raw = name.encode("latin-1") if isinstance(name, str) else name
    return b"".join(bytes([len(label)]) + label for label in raw.split(b".") if label) + b"\0"


def read_question(packet):
    """(name in lower case, type, offset behind the question); None for what is no question."""
    labels, at = [], 12
    try:
        while packet[at]:
            if packet[at] > 63:
                return None
            labels.append(packet[at + 1:at + 1 + packet[at]])
            at += packet[at] + 1
        qtype = struct.unpack_from(">H", packet, at + 1)[0]
    except (IndexError, struct.error):
        return None
    return b".".join(labels).decode("latin-1").lower(), qtype, at + 5


def record(owner, rtype, data, ttl=300):
    owner = wire_name(owner) if isinstance(owner, str) else owner
    return owner + struct.pack(">HHIH", rtype, 1, ttl, len(data)) + data


def rdata(rtype, words):
    if rtype in (TYPES["A"], TYPES["AAAA"]):
        return ipaddress.ip_address(words[0]).packed
    if rtype == TYPES["MX"]:
        return struct.pack(">H", int(words[0])) + wire_name(words[1])
    if rtype == TYPES["TXT"]:
        parts = [word.encode("latin-1") for word in words]
        parts = [part[i:i + 255] for part in parts for i in range(0, max(len(part), 1), 255)]
        return b"".join(bytes([len(part)]) + part for part in parts)
    if rtype == TYPES["SOA"]:
        return wire_name(words[0]) + wire_name(words[1]) + struct.pack(">5I", *map(int, words[2:7]))
    return wire_name(words[0])


class Zone:
    """{name: [(type, ttl, rdata or None, verdict or None, delay, target)]}"""

    def __init__(self, text=""):
        self.names = {}
        delay, ttl = 0, 300
        for line in text.splitlines():
            words = shlex.shlex(line, posix=True, punctuation_chars="")
            words.whitespace_split, words.commenters, words.escape = True, "#;", "\\"
            words = list(words)
            if not words:
                continue
            if words[0] == "$DELAY":
                delay = seconds(words[1])
            elif words[0] == "$TTL":
                ttl = int(seconds(words[1]))
            else:
                self.add(words, ttl, delay)

    def add(self, words, ttl, delay):
        name, words = words[0].lower().rstrip("."), words[1:]
        while words[0] == "IN" or re.fullmatch(r"\d+[smhd]?", words[0]):
            if words[0] != "IN":
                ttl = int(seconds(words[0]))
            words = words[1:]
        rtype, data = TYPES[words[0]], words[1:]
        if len(data) >= 3 and data[-2] == "after":
            delay, data = seconds(data[-1]), data[:-2]
        verdict = WORDS.get(data[0]) if len(data) == 1 else None
        raw = rdata(rtype, data) if verdict is None else None
        target = data[0].lower().rstrip(".") if rtype == TYPES["CNAME"] else None
        self.names.setdefault(name, []).append((rtype, ttl, raw, verdict, delay, target))

    def rules(self, name):
        if name in self.names:
            return self.names[name]
        while "." in name:
            name = name.split(".", 1)[1]
            if "*." + name in self.names:
                return self.names["*." + name]
            if name in self.names:
                return None
        return None

    def answer(self, name, qtype):
        """(rcode, -1 for none, -2 for a malformed one; answer records; delay)"""
        answers, wait, owner = [], 0, name
        for _ in range(12):
            rules = self.rules(owner)
            if rules is None:
                return 3, answers, wait
            found = [r for r in rules if r[0] == qtype] or [r for r in rules if r[0] == TYPES["ANY"]]
            alias = [r for r in rules if r[0] == TYPES["CNAME"] and r[5]]
            wait = max(wait, (found or alias or rules)[0][4])
            for rule in found:
                if rule[3] is not None:
                    return rule[3], answers, wait
                answers.append(record(owner, qtype, rule[2], rule[1]))
            if found or not alias:
                return 0, answers, wait
            answers.append(record(owner, TYPES["CNAME"], alias[0][2], alias[0][1]))
            owner = alias[0][5]
        return 0, answers, wait


def message(question, end, rcode=0, answers=(), authority=(), flags=0):
    return (question[:2] + struct.pack(">HHHHH", 0x8180 | flags | rcode, 1, len(answers), len(authority), 0)
            + question[12:end] + b"".join(answers) + b"".join(authority))


class Server:
    def __init__(self, zone=None, forward=None, port=0, seed=1, **how):
        self.zone = Zone(zone) if isinstance(zone, str) else zone
        self.forward = forward
        self.delay, self.loss, self.corrupt, self.lie, self.mode = 0, 0, 0, None, ""
        for key, value in how.items():
            if not hasattr(self, key):
                raise TypeError(f"no such behaviour: {key}")
            setattr(self, key, value)
        self.random = random.Random(seed)
        self.asked = []
        self.probes = 0
        self.packets = 0       # of any kind that came
        self._later = []       # (due, number, function)
        self._number = itertools.count()
        self._clients = {}     # connection -> bytes so far
        self._forwarded = {}   # id at the real server -> (what to do with its answer)
        self._stop = threading.Event()
        self._open(port)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _open(self, port):
        for _ in range(100):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            wanted = port or random.SystemRandom().randrange(12000, 32000)
            try:
                self.udp.bind(("127.0.0.1", wanted))
                self.tcp.bind(("127.0.0.1", wanted))
                self.tcp.listen(64)
                break
            except OSError:
                self.udp.close()
                self.tcp.close()
                if port:
                    raise
        else:
            raise OSError("no free port")
        self.real = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.real.bind(("127.0.0.1", 0))
        self.port = wanted
        self.address = f"127.0.0.1:{wanted}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._stop.set()
        self._thread.join(10)
        for sock in [self.udp, self.tcp, self.real, *self._clients]:
            sock.close()

    def count(self, name=None, transport=None):
        return sum((name is None or n == name) and (transport is None or transport == how)
                   for n, _, how in list(self.asked))

    # ---- the loop ----

    def _run(self):
        while not self._stop.is_set():
            now = time.monotonic()
            while self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            wait = min(0.05, self._later[0][0] - now) if self._later else 0.05
            ready, _, _ = select.select([self.udp, self.tcp, self.real, *self._clients], [], [], max(0, wait))
            for sock in ready:
                try:
                    self._read(sock)
                except OSError:
                    self._drop(sock)

    def _drop(self, sock):
        if sock in self._clients:
            del self._clients[sock]
            sock.close()

    def _read(self, sock):
        if sock is self.udp:
            for _ in range(64):
                try:
                    packet, peer = sock.recvfrom(4096, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return
                self._question(packet, lambda answer, peer=peer: self._send_udp(answer, peer), "udp")
        elif sock is self.tcp:
            client, _ = sock.accept()
            if self.mode == "truncate-closed":
                client.close()
            else:
                client.setblocking(False)
                self._clients[client] = b""
        elif sock is self.real:
            packet = sock.recv(65535)
            done = self._forwarded.pop(packet[:2], None)
            if done:
                done(packet)
        else:
            self._read_tcp(sock)

    def _read_tcp(self, sock):
        data = sock.recv(65535)
        if not data or self.mode == "truncate-closed":
            self._drop(sock)
            return
        self._clients[sock] += data
        while len(self._clients.get(sock, b"")) >= 2:
            have = self._clients[sock]
            size = struct.unpack_from(">H", have)[0]
            if len(have) < size + 2:
                return
            self._clients[sock] = have[size + 2:]
            self._question(have[2:size + 2], lambda answer: self._send_tcp(answer, sock), "tcp")

    def _send_udp(self, answer, peer):
        try:
            self.udp.sendto(answer, peer)
        except OSError:
            pass

    def _send_tcp(self, answer, sock):
        if sock not in self._clients:
            return
        try:
            sock.setblocking(True)
            sock.settimeout(5)
            sock.sendall(struct.pack(">H", len(answer)) + answer)
            sock.setblocking(False)
        except OSError:
            self._drop(sock)

    # ---- one question ----

    def _question(self, packet, send, transport):
        self.packets += 1
        asked = read_question(packet)
        if not asked:
            return
        if asked[0]:
            self.asked.append((asked[0], asked[1], transport))
        else:
            self.probes += 1
        if self.mode == "mute" or (self.mode == "truncate-dead" and transport == "tcp"):
            return
        if self.random.random() < self.loss and transport == "udp":
            return
        if self.forward and asked[0] and not self.lie:
            if transport == "tcp":
                self._answer(self._ask_tcp(packet), asked, send, transport, 0)
                return
            fresh = struct.pack(">H", self.random.randrange(65536))
            self._forwarded[fresh] = lambda answer: self._answer(packet[:2] + answer[2:], asked, send, transport, 0)
            self.real.sendto(fresh + packet[2:], self.forward)
            return
        rcode, answers, wait = self._told(asked)
        if rcode == -1:
            return
        authority = []
        if rcode in (0, 3) and not answers:
            authority = [record("", TYPES["SOA"], rdata(TYPES["SOA"], [".", ".", 1, 1, 1, 1, 60]), 60)]
        answer = message(packet, asked[2], max(rcode, 0), answers, authority)
        if rcode == -2:
            answer = answer[:6] + b"\0\7" + answer[8:]
        self._answer(answer, asked, send, transport, wait)

    def _ask_tcp(self, packet):
        """The real server's answer; it is on this machine, so waiting for it holds nobody up for long."""
        with socket.create_connection(self.forward, 5) as real:
            real.sendall(struct.pack(">H", len(packet)) + packet)
            answer = b""
            while len(answer) < 2 or len(answer) < 2 + struct.unpack_from(">H", answer)[0]:
                part = real.recv(65535)
                if not part:
                    raise OSError("the real server closed the connection")
                answer += part
        return answer[2:]

    def _told(self, asked):
        name, qtype, _ = asked
        if self.lie and name:
            return (0, [record(b"\xc0\x0c", 1, ipaddress.ip_address(self.lie).packed)], 0) if qtype == 1 else (0, [], 0)
        if not name or not self.zone:
            return 5, [], 0
        return self.zone.answer(name, qtype)

    def _answer(self, answer, asked, send, transport, wait):
        answer = self._spoil(answer, asked, transport)
        if transport == "udp" and len(answer) > UDP_MOST:
            answer = message(answer, asked[2], answer[3] & 15, flags=0x200)
        if self.random.random() < self.corrupt and len(answer) > 14:
            answer = bytearray(answer)
            for _ in range(1 + self.random.randrange(4)):
                answer[self.random.randrange(2, len(answer))] = self.random.randrange(256)
            answer = bytes(answer)
        wait += self.delay
        if wait <= 0:
            send(answer)
        else:
            heapq.heappush(self._later, (time.monotonic() + wait, next(self._number), lambda: send(answer)))

    def _spoil(self, answer, asked, transport):
        name, qtype, end = asked
        mode = self.mode if name else ""
        if mode == "servfail":
            return message(answer, end, 2)
        if mode == "refused":
            return message(answer, end, 5)
        if mode == "wrongid":
            return bytes([answer[0] ^ 0x55]) + answer[1:]
        if mode == "other":
            other = wire_name("else.test") + struct.pack(">HH", qtype, 1)
            return (answer[:4] + struct.pack(">HHHH", 1, 1, 0, 0) + other
                    + record("else.test", 1, b"\x7f\0\0\2"))
        if mode.startswith("truncate") and transport == "udp":
            return message(answer, end, flags=0x200)
        if mode == "big":
            if transport == "udp":
                return message(answer, end, flags=0x200)
            text = rdata(TYPES["TXT"], ["x" * 64000])
            return message(answer, end, answers=[record(b"\xc0\x0c", TYPES["TXT"], text)])
        if mode == "pointer-loop":
            return message(answer, end, answers=[record(struct.pack(">H", 0xC000 | end), qtype, b"\xc0\x0c")])
        if mode == "cname-loop":
            return message(answer, end, answers=[record(b"\xc0\x0c", 5, wire_name("b.loop.test")),
                                                 record("b.loop.test", 5, b"\xc0\x0c")])
        if mode == "garbage":
            return answer[:12] + answer[12:end] + bytes(self.random.randrange(256) for _ in range(200))
        return answer


def main():
    parser = argparse.ArgumentParser(description="a DNS server for tests")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--zone")
    parser.add_argument("--forward")
    parser.add_argument("--delay", type=float, default=0, help="milliseconds")
    parser.add_argument("--loss", type=float, default=0, help="percent")
    parser.add_argument("--corrupt", type=float, default=0, help="percent")
    parser.add_argument("--lie", help="the address of every name")
    parser.add_argument("--mode", default="")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    zone, forward = None, None
    if args.zone:
        with open(args.zone, encoding="latin-1") as f:
            zone = f.read()
    if args.forward:
        host, port = args.forward.rsplit(":", 1)
        forward = (host, int(port))
    server = Server(zone, forward, args.port, args.seed, delay=args.delay / 1000, loss=args.loss / 100,
                    corrupt=args.corrupt / 100, lie=args.lie, mode=args.mode)
    print(f"listening {server.address}", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        server.close()


if __name__ == "__main__":
    main()
