#!/usr/bin/python3
"""resolver.t - milter/dns against a real nsd, and against everything that can be wrong with a DNS server (lib/dnsd.py).

t/lib/dnsq asks as the daemon does; DNSQ names it, else it is looked for where things are built.
"""
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib"))

import dnsd
import processes
import tap

DNSQ = os.environ.get("DNSQ") or os.path.join(tap.build_dir(), "t/lib/dnsq")
NSD = "/usr/sbin/nsd"
TIMEOUT = 1000
SLACK = 400  # ms that a busy machine may add

ZONE = """$ORIGIN test.
$TTL 300
@ SOA ns root 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
a A 192.0.2.1
a A 192.0.2.2
a AAAA 2001:db8::1
a MX 10 Mx1.a
a MX 20 mx2.other.example.
alias CNAME a
alias2 CNAME alias
c0 CNAME c1
c1 CNAME c0
null MX 0 .
txt TXT "v=spf1 " "-all"
big TXT %s
_dmarc.a TXT "v=DMARC1; p=none"
1.2.0.192.in-addr PTR a
*.wild A 127.0.0.2
short 1 A 192.0.2.9
\\195\\164 A 192.0.2.5
""" % " ".join('"' + "b" * 250 + '"' for _ in range(16))

SMALL = "a.test A 192.0.2.1\na.test MX 10 mx.a.test\nmx.a.test A 192.0.2.2\n*.w.test A 192.0.2.3\n"


class Nsd:
    def __init__(self):
        self.dir = processes.Directory()
        self.port = processes.free_ports(1)[0]
        self.dir.write("zone", ZONE)
        self.config = self.dir.write("nsd.conf", f"""server:
    ip-address: 127.0.0.1@{self.port}
    ip-address: ::1@{self.port}
    username: ""
    chroot: ""
    zonesdir: "{self.dir.path}"
    pidfile: "{self.dir.file('pid')}"
    xfrdfile: ""
    zonelistfile: "{self.dir.file('zones')}"
    database: ""
    server-count: 1
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: test
    zonefile: zone
""")
        if not os.path.exists("/proc/net/if_inet6") or not open("/proc/net/if_inet6").read():
            text = open(self.config).read()
            self.dir.write("nsd.conf", re.sub(r".*::1@.*\n", "", text))
        self.log = open(self.dir.file("log"), "wb")
        self.process = processes.start([NSD, "-d", "-c", self.config], stdout=self.log, stderr=self.log)
        self.address = f"127.0.0.1:{self.port}"

    def has_ipv6(self):
        return "::1@" in open(self.config).read()

    def close(self):
        processes.stop(self.process)
        self.log.close()
        self.dir.remove()


class Answer:
    def __init__(self, line):
        self.line = line
        self.name, self.type, self.status, self.why, ms, ttl, size, records = line.split("\t")
        self.ms, self.ttl, self.size = int(ms), int(ttl), int(size)
        self.records = records.split(" ") if records else []

    def __repr__(self):
        return self.line

    @property
    def short(self):
        return " ".join([self.status, *([self.why] if self.why else []), *self.records])


class Dnsq:
    def __init__(self, servers, timeout=TIMEOUT, cache=10000):
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"  # or freed memory would count as used
        self.process = processes.start([DNSQ, servers, str(timeout), str(cache)], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True, encoding="latin-1",
                                       env={**os.environ, "ASAN_OPTIONS": sanitizer})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.code = self.process.wait(60)
        if self.code:
            raise RuntimeError(f"dnsq ended with {self.code}")

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("dnsq is gone")
            if line == "\n":
                return lines
            lines.append(line.rstrip("\n"))

    def ask(self, *questions):
        """All at once; a question without type is for A."""
        text = "\n".join(q if " " in q else q + " A" for q in questions)
        return [Answer(line) for line in self.order(text + "\n")]

    def one(self, question):
        return self.ask(question)[0]

    def numbers(self, order):
        return {key: int(value) for key, value in (pair.split("=") for pair in self.order(order)[0].split())}


def test_real(t, nsd):
    big = "b" * 4000
    table = [
        ("a.test A", "OK 192.0.2.1 192.0.2.2"), ("A.TEST. A", "OK 192.0.2.1 192.0.2.2"),
        ("a.test AAAA", "OK 2001:db8::1"),
        ("a.test MX", "OK 10/mx1.a.test 20/mx2.other.example"), ("a.test TXT", "NODATA"), ("no.test A", "NXDOMAIN"),
        ("alias2.test A", "OK 192.0.2.1 192.0.2.2"), ("alias2.test MX", "OK 10/mx1.a.test 20/mx2.other.example"),
        ("alias.test TXT", "NODATA"), ("c0.test A", "FAIL malformed"), ("null.test MX", "OK 0/"),
        ("txt.test TXT", "OK v=spf1\\x20-all"), ("big.test TXT", f"OK ({len(big)} bytes)"),
        ("_dmarc.a.test TXT", "OK v=DMARC1;\\x20p=none"), ("1.2.0.192.in-addr.test PTR", "OK a.test"),
        ("x.wild.test A", "OK 127.0.0.2"), ("test NS", "OK ns.test"), ("\\c3\\a4.test A", "OK 192.0.2.5"),
        ("\\00.test A", "FAIL bad name"), ("a..test A", "FAIL bad name"), ("x" * 64 + ".test A", "FAIL bad name"),
        (("y" * 62 + ".") * 4 + "z.test A", "FAIL bad name"), ("\\01\\5c\\20_.wild.test A", "OK 127.0.0.2"),
        ("elsewhere.example A", "FAIL refused"),
    ]
    with Dnsq(nsd.address) as q:
        if not tap.wait_for(lambda: q.one(f"up{time.monotonic_ns()}.wild.test").status == "OK", 20):
            t.ok(False, "nsd answers", open(nsd.dir.file("log")).read())
            return False
        for answer, (question, wanted) in zip(q.ask(*(row[0] for row in table)), table):
            t.ok(sorted(answer.short.split()) == sorted(wanted.split()), f"nsd: {question[:60]}", f"got {answer}",
                 f"wanted {wanted}")
        t.same([a.ms < 100 for a in q.ask("a.test", "no.test", "big.test TXT")], [True] * 3, "again, from the cache")
        t.same(q.one("no2.test").ttl, 60, "a negative answer lives as long as the SOA says")
        q.one("short.test")
        sent = q.numbers("!count")["sent"]
        q.one("short.test")
        t.same(q.numbers("!count")["sent"], sent, "a short-lived answer is kept")
        t.ok(tap.wait_for(lambda: q.one("short.test") and q.numbers("!count")["sent"] > sent, 10), "and asked anew")
        flood = q.order("!flood 10000 wild.test")[0].split("\t")
        t.same(flood[1:3], ["10000", "0"], f"ten thousand questions at once ({flood[3]} ms)")
        memory = q.numbers("!memory")
        t.ok(memory["fds"] <= 10, f"{memory['fds']} descriptors")
    if nsd.has_ipv6():
        with Dnsq(f"[::1]:{nsd.port}") as q:
            t.same(q.one("a.test MX").short, "OK 10/mx1.a.test 20/mx2.other.example", "over IPv6")
            t.same(q.one("big.test TXT").status, "OK", "and its TCP")
    return True


def test_latency(t, nsd):
    names = [f"n{i}.wild.test A" for i in range(12)]
    with dnsd.Server(forward=("127.0.0.1", nsd.port), delay=0.02) as server, Dnsq(server.address) as q:
        best = min(max(a.ms for a in q.ask(*(f"r{r}{name}" for name in names))) for r in range(5))
        t.ok(best <= 26, f"20 ms away: twelve questions at once take {best} ms, not their sum")
        t.ok(max(a.ms for a in q.ask(*(f"r0{name}" for name in names))) <= 5, "and none for cached names")
        before = server.count()
        answers = q.ask(*["same.wild.test"] * 50)
        t.ok(all(a.short == "OK 127.0.0.2" for a in answers), "fifty equal questions are answered")
        t.same(server.count() - before, 1, "and asked once")
        t.same(q.one("big.test TXT").short, "OK (4000 bytes)", "a large answer comes over TCP")


def test_loss(t, nsd):
    with dnsd.Server(forward=("127.0.0.1", nsd.port), loss=0.5) as server, Dnsq(server.address) as q:
        answers = q.ask(*(f"l{i}.wild.test" for i in range(200)))
        good = sum(a.short == "OK 127.0.0.2" for a in answers)
        t.ok(good >= 170, f"half of all packets are lost: {good} of 200 are answered")
        t.same({a.short for a in answers} - {"OK 127.0.0.2", "FAIL timeout"}, set(), "and nothing is made up")
        t.ok(max(a.ms for a in answers) < TIMEOUT + SLACK, "in time")
        server.loss = 0
        t.same(q.one("l.after.wild.test").short, "OK 127.0.0.2", "the server is not dead")


def test_slow(t, nsd):
    with dnsd.Server(forward=("127.0.0.1", nsd.port), delay=0.7) as server, Dnsq(server.address) as q:
        t.same({a.short for a in q.ask(*(f"s{i}.wild.test" for i in range(12)))}, {"OK 127.0.0.2"},
               "a slow server's answers are taken, though it was asked again")
        q.order("!deadline 300")
        first = q.one("late.wild.test")
        t.ok(first.short == "FAIL timeout" and 290 <= first.ms < 300 + SLACK, f"a deadline is kept ({first.ms} ms)")
        q.order("!deadline 3000")
        t.ok(tap.wait_for(lambda: q.one("late.wild.test").short == "OK 127.0.0.2", 5), "the answer comes for the next")
        server.delay = 5
        late = q.ask(*(f"t{i}.wild.test" for i in range(12)))
        t.same({a.short for a in late}, {"FAIL timeout"}, "five seconds are too long")
        t.ok(max(a.ms for a in late) < TIMEOUT + SLACK, "and given up in time")


def test_modes(t):
    table = [
        ("servfail", "A", {"FAIL servfail"}), ("refused", "A", {"FAIL refused"}), ("other", "A", {"FAIL timeout"}),
        ("wrongid", "A", {"FAIL timeout"}), ("truncate", "A", {"OK 192.0.2.3"}),
        ("truncate-dead", "A", {"FAIL timeout", "FAIL too large"}),
        ("truncate-closed", "A", {"FAIL timeout", "FAIL too large"}), ("pointer-loop", "PTR", {"FAIL malformed"}),
        ("cname-loop", "A", {"FAIL malformed"}), ("big", "TXT", {"OK (64000 bytes)"}), ("mute", "A", {"FAIL timeout"}),
    ]
    with dnsd.Server(SMALL) as server, Dnsq(server.address) as q:
        for mode, qtype, wanted in table:
            server.mode = mode
            before = server.packets
            answers = q.ask(*(f"{mode}{i}.w.test {qtype}" for i in range(5)))
            t.ok({a.short for a in answers} <= wanted and max(a.ms for a in answers) < TIMEOUT + SLACK,
                 f"{mode}: {' or '.join(sorted(wanted))}, in time", *answers)
            t.ok(server.packets - before <= 5 * 6 + 5, f"{mode}: {server.packets - before} packets for five questions")
            server.mode = ""
            t.ok(tap.wait_for(lambda m=mode: q.one(f"{m}{time.monotonic_ns()}.w.test").short == "OK 192.0.2.3", 5),
                 f"{mode}: afterwards all is well")
        t.ok(q.numbers("!memory")["fds"] <= 10, "and no descriptor is left open")


def test_garbage(t):
    with dnsd.Server(SMALL, mode="garbage") as server, Dnsq(server.address) as q:
        for mode, corrupt in (("garbage", 0), ("", 1), ("truncate", 1), ("big", 1)):
            server.mode, server.corrupt = mode, corrupt
            answers = q.ask(*(f"g{mode}{i}.w.test {'TXT' if mode == 'big' else 'A'}" for i in range(60)))
            t.ok(max(a.ms for a in answers) < TIMEOUT + SLACK, f"damaged answers ({mode or 'small'}): all in time")
        server.mode, server.corrupt = "", 0
        t.same(q.one("g.after.w.test").short, "OK 192.0.2.3", "afterwards all is well")
        memory = q.numbers("!memory")
        t.ok(memory["fds"] <= 10, f"{memory['fds']} descriptors")


def test_liar(t):
    with dnsd.Server(SMALL, lie="127.0.0.2") as server, Dnsq(server.address) as q:
        t.same([a.short for a in q.ask("a.test", "no.such.name.example", "a.test MX", "a.test AAAA")],
               ["OK 127.0.0.2", "OK 127.0.0.2", "NODATA", "NODATA"], "a liar is believed here")
        server.lie = "198.51.100.1"
        t.same(q.one("b.test").short, "OK 198.51.100.1", "with whatever address")


def test_dead(t):
    mute = dnsd.Server(SMALL, mode="mute")
    alive = dnsd.Server(SMALL)
    closed = f"127.0.0.1:{processes.free_ports(1)[0]}"
    try:
        with Dnsq(f"{mute.address},{alive.address}") as q:
            first = q.ask(*(f"d{i}.w.test" for i in range(12)))
            t.ok({a.short for a in first} == {"OK 192.0.2.3"} and max(a.ms for a in first) < TIMEOUT,
                 "the first server is dead: the second one answers, in time", *first)
            later = [q.one(f"e{i}.w.test") for i in range(20)]
            t.ok(sum(a.ms for a in later) < TIMEOUT, "it costs that once, not for each question", *later)
        with Dnsq(mute.address) as q:
            first = q.ask(*(f"d{i}.w.test" for i in range(12)))
            t.ok({a.short for a in first} == {"FAIL timeout"} and max(a.ms for a in first) < TIMEOUT + SLACK,
                 "all are dead at the start: one time-out", *first)
            t.ok(tap.wait_for(lambda: q.one(f"f{time.monotonic_ns()}.w.test").short == "FAIL no server", 10),
                 "then it is known")
            before, start = mute.packets, time.monotonic()
            quick = [q.one(f"g{i}.w.test") for i in range(30)]
            t.ok(sum(a.ms < 50 for a in quick) >= 27, "and questions fail at once", *quick)
            t.ok(mute.packets - before <= 3 + 2 * (time.monotonic() - start), "without a storm of packets")
            mute.mode = ""
            t.ok(tap.wait_for(lambda: q.one(f"h{time.monotonic_ns()}.w.test").short == "OK 192.0.2.3", 10),
                 "it comes to life")
            t.same({a.short for a in q.ask(*(f"i{i}.w.test" for i in range(12)))}, {"OK 192.0.2.3"}, "for all")
            mute.mode = "mute"
            t.same({a.short for a in q.ask(*(f"j{i}.w.test" for i in range(12)))}, {"FAIL timeout"}, "it dies")
            q.order(f"!servers {alive.address}")
            t.same(q.one("k.w.test").short, "OK 192.0.2.3", "another configuration: another server")
        with Dnsq(f"{closed},{alive.address}") as q:
            answer = q.one("a.test")
            t.ok(answer.short == "OK 192.0.2.1" and answer.ms < TIMEOUT / 2, "nobody listens: the next one", answer)
        with Dnsq(closed) as q:
            t.ok(tap.wait_for(lambda: q.one(f"l{time.monotonic_ns()}.w.test").short == "FAIL no server", 10),
                 "nobody listens anywhere")
    finally:
        mute.close()
        alive.close()


def test_memory(t):
    with dnsd.Server(SMALL, mode="big") as server, Dnsq(server.address, timeout=5000, cache=100) as q:
        q.ask(*(f"m{i}.w.test TXT" for i in range(20)))
        before = q.numbers("!memory")["kib"]
        good = sum(a.status == "OK" for r in range(10) for a in q.ask(*(f"m{r}x{i}.w.test TXT" for i in range(20))))
        after, counters = q.numbers("!memory")["kib"], q.numbers("!count")
        t.ok(good >= 180, f"{good} answers of 64 KB")
        t.ok(counters["bytes"] <= 100 * 4096, f"a cache of 100 entries holds {counters['bytes']} bytes")
        t.ok(after - before < 20000, f"memory grew by {after - before} KiB")


def main(t):
    if not os.access(NSD, os.X_OK):
        tap.skip_all("nsd is not installed")
    if not os.access(DNSQ, os.X_OK):
        raise RuntimeError(f"{DNSQ} is not built")
    nsd = Nsd()
    try:
        if test_real(t, nsd):
            test_latency(t, nsd)
            test_loss(t, nsd)
            test_slow(t, nsd)
    finally:
        nsd.close()
    test_modes(t)
    test_garbage(t)
    test_liar(t)
    test_dead(t)
    test_memory(t)


tap.run(main, needs_postfix=False)
