#!/usr/bin/python3
"""What is counted: by `stats`, in JSON, and as OpenMetrics on a Unix socket and on loopback, read by an independent parser;
callers that send junk, that do not read, and too many of them."""
import http.client
import json
import os
import pty
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

from prometheus_client.openmetrics.parser import text_string_to_metric_families

import processes
import tap as taps
from house import House

CONFIG = """
metrics {{ listen = "{listen}" }}
profile "smtp" {{
    policies = {{"helo", "badmailfrom", "bogus_bounce", "dnsbl"}}
    helo {{ badhelo = {{"bad.test"}}  reject = never }}
    badmailfrom {{ senders = {{"@spam.test"}} }}
    dnsbl {{ enabled = yes  zones = {{"list.test test=none"}}  reject = never }}
}}
"""


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def fetch(connection, method="GET", target="/metrics"):
    connection.request(method, target)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), body.decode()


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(found, family, suffix="", **labels):
    for sample in found["sme_milter_" + family].samples:
        if sample.name == "sme_milter_" + family + suffix and sample.labels == labels:
            return sample.value
    return None


def check_dashboard(tap, text):
    """Every name in the dashboard's questions is one that is told."""
    with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../packaging/grafana.json")) as f:
        asked = set(re.findall(r"sme_milter_[a-z_]+", json.dumps([p["targets"] for p in json.load(f)["panels"]])))
    told = set(re.findall(r"^(sme_milter_[a-z_]+)", text, re.M))
    tap.same(sorted(asked - told), [], f"the dashboard asks for {len(asked)} names that are all told")


def send_mails(tap, house):
    with house.client("smtp") as client:
        tap.reply(house.send(client)[0], 250, "a message is accepted")
        tap.reply(client.mail("a@spam.test"), 550, "and a sender refused")
    with house.client("smtp", helo="bad.test") as client:
        tap.reply(house.send(client)[0], 250, "a helo that would be refused")


def check_text(tap, text):
    found = families(text)
    tap.same(value(found, "messages", "_total", verdict="accept"), 2.0, "two messages were accepted")
    tap.same(value(found, "messages", "_total", verdict="reject"), 1.0, "one was refused")
    tap.same(value(found, "findings", "_total", policy="badmailfrom", result="bad"), 1.0, "one bad sender was found")
    tap.same(value(found, "would_reject", "_total", policy="helo"), 1.0, "one refusal was only watched")
    tap.same(value(found, "refused", "_total", policy="badmailfrom", reply="permanent"), 1.0, "by whom it was refused")
    tap.same(value(found, "recipients", "_total", reply="accepted"), 2.0, "two recipients")
    tap.ok(value(found, "sessions_begun", "_total") >= 2, "connections are counted")
    tap.ok(value(found, "stage_seconds", "_count", stage="mail") >= 3, "so are stages")
    tap.same(value(found, "message_seconds", "_bucket", le="+Inf"), value(found, "message_seconds", "_count"),
             "the last bucket holds all")
    tap.same(found["sme_milter_messages"].type, "counter", "types are told")
    tap.same(found["sme_milter_stage_seconds"].type, "histogram", "histograms too")
    tap.ok(value(found, "resident_bytes") > 1e6, "memory is told")
    lists = [s.labels["list"] for s in found["sme_milter_list_trusted"].samples]
    tap.same(len(lists), 1, "one list is told, whatever its name: " + repr(lists))
    series = sum(len(f.samples) for f in found.values())
    tap.ok(series < 600, f"few series: {series}")


def check_stats(tap, house):
    status, out, err = house.ctl("stats")
    tap.same(status, 0, "stats answers")
    tap.has(out, "messages   2 accept, 1 reject", "with messages")
    tap.ok(re.search(r"^helo +0 +1 +0 +1 +0 +0$", out, re.M), "and policies", out)
    status, out, err = house.ctl("--json", "stats")
    tap.same(json.loads(out)["policies"]["badmailfrom"]["rejected"], 1, "also as JSON")
    status, out, err = house.ctl("stats", "--metrics")
    tap.same(status, 0, "stats --metrics answers")
    check_text(tap, out)
    tap.same(house.ctl("stats", "--metric")[0], 64, "a wrong word is a usage error")


def check_top(tap, house):
    status, out, err = house.ctl("top")
    tap.same(status, 0, "top prints one picture where there is no terminal")
    tap.has(out, "accept 2", "of what there is")
    tap.hasnt(out, "\033", "without a terminal's commands")
    tap.same(house.ctl("top", "--every", "0")[0], 64, "a wrong number is a usage error")
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(os.path.join(taps.build_dir(), "sme-milterctl"), ["sme-milterctl", "-c", house.daemon.config, "top"])
    seen = b""
    while b"badmailfrom" not in seen:
        seen += os.read(fd, 65536)
    os.write(fd, b"q")
    try:
        while chunk := os.read(fd, 65536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    tap.same(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, "in a terminal q ends it")
    tap.ok(seen.endswith(b"\033[?25h\033[?1049l"), "and the terminal is as it was", repr(seen[-80:]))
    os.close(fd)


def check_completion(tap, house):
    def complete(*words):
        return house.ctl("complete", "--", *words)[1].split()
    tap.same(complete("stats", "--m"), ["--metrics"], "options are completed")
    tap.ok("list" in complete("karma", ""), "words of commands too")
    tap.same(complete("policies", "badmailfr"), ["badmailfrom", "badmailfromto"], "and policies")
    tap.same(complete("--json", "-c", "x", "to"), ["top"], "behind options")
    tap.ok("spf.reject_policy=" in complete("whatif", "--set", "spf.rej"), "and settings")
    script = house.ctl("completion", "bash")[1] + """
PATH=%s:$PATH
COMP_LINE="sme-milterctl karma sh"; COMP_POINT=${#COMP_LINE}; COMP_WORDS=(sme-milterctl karma sh); COMP_CWORD=2
_sme_milterctl; printf '%%s\\n' "${COMPREPLY[@]}"
""" % taps.build_dir()
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
    tap.same((done.stdout, done.stderr), ("show\n", ""), "bash completes")
    tap.same(house.ctl("completion", "fish")[0], 64, "another shell is a usage error")


def check_callers(tap, connect):
    """connect() gives a fresh socket."""
    def ask(data):
        with connect() as s:
            s.sendall(data)
            got = b""
            try:
                while chunk := s.recv(65536):
                    got += chunk
            except (ConnectionResetError, BrokenPipeError):
                pass
            return got
    tap.ok(ask(b"\x00\xff junk\r\n\r\n").startswith(b"HTTP/1.1 400 "), "junk is refused")
    tap.ok(ask(b"POST /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 "), "POST is refused")
    tap.ok(ask(b"GET /../../etc/passwd HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 "), "there is nothing else")
    tap.ok(b"# EOF" not in ask(b"HEAD /metrics HTTP/1.0\r\n\r\n"), "HEAD has no body")
    tap.ok(ask(b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"# EOF\n"), "a query changes nothing")
    tap.ok(ask(b"GET / HTTP/1.1\r\nX: " + b"x" * 5000).startswith(b"HTTP/1.1 431 "), "a header without end is refused")

    mute = [connect() for _ in range(15)]  # one place is left
    tap.ok(ask(b"GET /metrics HTTP/1.1\r\n\r\n").endswith(b"# EOF\n"), "15 who say nothing keep nobody away")
    crowd = []
    for _ in range(1000):
        try:
            crowd.append(connect())
            crowd[-1].sendall(b"GET /metrics")
        except OSError:
            pass
    tap.ok(len(crowd) > 500, f"a crowd of {len(crowd)} says half a line")
    tap.ok(ask(b"GET /metrics HTTP/1.1\r\n\r\n").endswith(b"# EOF\n"), "and keeps nobody away")
    for s in crowd:
        s.close()
    for s in mute:
        s.close()


def connect_unix(path):
    def connect():
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(path)  # waits while the queue is full
        s.settimeout(30)
        return s
    return connect


def main(tap):
    directory = processes.Directory()
    path = directory.file("metrics.sock")
    os.chmod(os.path.dirname(path), 0o777)
    with House(CONFIG.format(listen="unix:" + path), tap) as house:
        send_mails(tap, house)
        taps.wait_for(lambda: value(families(fetch(UnixHttp(path))[2]), "sessions") == 0, 20, "the sessions' end")
        status, kind, text = fetch(UnixHttp(path))
        tap.same(status, 200, "GET /metrics on a Unix socket")
        tap.has(kind, "application/openmetrics-text", "its type")
        check_text(tap, text)
        check_dashboard(tap, text)
        tap.same(os.stat(path).st_mode & 0o777, 0o660, "the socket is not for everybody")
        check_stats(tap, house)
        check_top(tap, house)
        check_completion(tap, house)
        check_callers(tap, connect_unix(path))

        port = processes.free_ports(1)[0]
        house.configure(CONFIG.format(listen=f"inet:{port}@127.0.0.1"))
        house.daemon.reload()
        status, kind, text = fetch(http.client.HTTPConnection("127.0.0.1", port, timeout=10))
        tap.same(status, 200, "after a reload on loopback")
        tap.same(value(families(text), "messages", "_total", verdict="accept"), 2.0, "nothing counted is lost")
        tap.ok(not os.path.exists(path), "the old socket is gone")
        check_callers(tap, lambda: socket.create_connection(("127.0.0.1", port), timeout=5))
        with house.client("smtp") as client:
            tap.reply(house.send(client)[0], 250, "mail flows")

        for listen in ("inet:9095@0.0.0.0", "inet:9095@192.0.2.1", "inet:0@127.0.0.1", "unix:metrics", "9095",
                       "inet6:9095@::", "inet:x@127.0.0.1"):
            house.configure(CONFIG.format(listen=listen))
            status, out, err = house.ctl("config", "check")
            tap.ok(status == 78 and "loopback" in err, f"{listen} is refused", err)
    directory.remove()


taps.run(main)
