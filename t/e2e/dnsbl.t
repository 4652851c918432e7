#!/usr/bin/python3
"""DNS lists, good and bad, in front of the real daemon: who lists a client is heard, who lists the world, refuses us,
goes wrong in mid-run or is dead refuses nobody. And the commands that tell of it: `dnsbl audit`, `test --dns`."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import dnsd
import processes
import tap as taps
from house import House
from smtp import mail_text

ZONE = """
2.0.0.127.good.test   A 127.0.0.2
7.2.0.192.good.test   A 127.0.0.4
*.world.test          A 127.0.0.2
*.quota.test          A 127.255.255.254
2.0.0.127.turn.test   A 127.0.0.2
*.names.test          A 127.0.0.2
*.allow.test          A 127.0.0.2
"""
TURNED = ZONE + """
1.0.0.127.turn.test   A NXDOMAIN
*.turn.test           A 127.0.0.2
2.0.0.127.new.test    A 127.0.0.2
9.2.0.192.new.test    A 127.0.0.2
"""
WAIT = 1.5    # for the DNS
MARGIN = 2.5  # of a busy machine

CONFIG = """
dns {{ servers = {{"{address}"}}  timeout = 1500ms }}
profile "all" {{
    policies = {{"whitelist", "dnsbl", "rhsbl"}}
    whitelist {{ zones = {{"allow.test"}} }}
    rhsbl {{ enabled = yes  zones = {{"names.test"}} }}
    dnsbl {{ enabled = yes  timeout = 5s  zones = {{{zones}}} }}
}}
"""
FIRST = ["good.test", "world.test", "quota.test", "turn.test", "dnsbl.sorbs.net"]


class ListHouse(House):
    def configure(self, template):
        """With a name server, which the usual one has not."""
        self.daemon.configure(template)


def config(server, zones):
    return CONFIG.format(address=server.address, zones=", ".join(f'"{zone}"' for zone in zones))


def ctl(house, *words):
    """Run sme-milterctl: exit status, standard output, standard error."""
    done = subprocess.run([os.path.join(taps.build_dir(), "sme-milterctl"), "-c", house.daemon.config, *words],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def states(house):
    """What the daemon has written of its lists; {} while there is no file."""
    try:
        with open(house.daemon.directory.file("zones.json")) as file:
            return {one["zone"]: one for one in json.load(file)}
    except (OSError, ValueError):
        return {}


def wait_state(house, zone, state, seconds=20):
    return taps.wait_for(lambda: states(house).get(zone, {}).get("state") == state and states(house)[zone], seconds)


def mail_of(house, address):
    """That client's MAIL: the reply, how long it took, and the daemon's line of it."""
    with house.client("xclient", helo=None) as client:
        client.ehlo()
        client.xclient(addr=address, name="[UNAVAILABLE]")
        client.ehlo()
        sender = house.sender()
        before = time.monotonic()
        reply = client.mail(sender)
        took = time.monotonic() - before
        client.quit()
    return reply, took, house.record_of(sender)


def start(tap, house):
    good = wait_state(house, "good.test", "trusted")
    tap.ok(good and "right" in good["why"], "a list with right test points is trusted", states(house))
    world = wait_state(house, "world.test", "suspended")
    tap.ok(world and "lists everybody" in world["why"], "a list that lists the world is suspended at start", world)
    quota = wait_state(house, "quota.test", "suspended")
    tap.ok(quota and "refuses us" in quota["why"], "a list that refuses us too", quota)
    tap.ok(wait_state(house, "names.test", "suspended") and wait_state(house, "allow.test", "suspended"),
           "the same for a list of names and a list of good clients")
    tap.ok(wait_state(house, "turn.test", "trusted"), "a third one is trusted so far")
    tap.ok(house.daemon.wait_line("list world.test is suspended"), "the log says so")
    tap.ok(any("dnsbl.sorbs.net" in line and "is dead since" in line for line in house.daemon.log),
           "a dead list was named", house.daemon.text())
    tap.ok("dnsbl.sorbs.net" not in states(house), "and is not asked")


def listed(tap, house):
    reply, _, record = mail_of(house, "192.0.2.7")
    tap.reply(reply, 550, "a listed client is refused at MAIL", "client 192.0.2.7 is listed by good.test")
    tap.fields(record, {"verdict": "reject", "by": "dnsbl", "at": "mail", "client": "192.0.2.7", "karma": "-1",
                        "findings": "dnsbl:bad"}, "its log line: a suspended list has no opinion")
    reply, took, record = mail_of(house, "192.0.2.8")
    tap.reply(reply, 250, "whom only the suspended lists name is not refused")
    tap.fields(record, {"verdict": "accept", "findings": ""},
               "its log line names none of them, and who is on a list that lists the world is not whitelisted")
    tap.ok(took < WAIT + MARGIN, f"it did not wait ({took:.2f} s)")


def audit(tap, house):
    status, out, err = ctl(house, "--json", "dnsbl", "audit")
    try:
        lists = {one["zone"]: one for one in json.loads(out)["lists"]}
    except ValueError:
        lists = {}
    tap.same(status, 1, "dnsbl audit: some list cannot be believed")
    tap.same({name: one["state"] for name, one in lists.items()},
             {"good.test": "trusted", "world.test": "suspended", "quota.test": "suspended", "turn.test": "trusted",
              "names.test": "suspended", "allow.test": "suspended", "dnsbl.sorbs.net": "dead"},
             "it asks the test points now")
    daemon = (lists.get("good.test") or {}).get("daemon") or {}
    tap.ok(daemon.get("state") == "trusted" and "mean_ms" in daemon, "and knows what the daemon knows", out, err)
    status, out, err = ctl(house, "dnsbl", "audit")
    tap.ok(status == 1 and "world.test" in out and "lists everybody" in out and "2024-06-05" in out,
           "the same for people", out, err)


def turn(tap, house, server):
    for i in range(10):
        reply, _, _ = mail_of(house, f"198.51.100.{i + 1}")
        if reply.code != 250:
            tap.ok(False, "an honest client of the honest list", reply)
    server.zone = dnsd.Zone(TURNED)
    codes = [mail_of(house, f"203.0.113.{i + 1}")[0].code for i in range(45)]
    refused = codes.count(550)
    tap.ok(0 < refused < 31 and codes[:refused] == [550] * refused,
           f"a list that begins to list everybody refuses a few ({refused}), and then nobody", codes)
    tap.same(set(codes[31:]), {250}, "the clients after those are not refused")
    turned = wait_state(house, "turn.test", "tripped")
    tap.ok(turned and "of the last" in turned["why"], "it has tripped", states(house).get("turn.test"))
    tap.ok(house.daemon.wait_line("list turn.test is tripped"), "the log says so")
    tap.ok(wait_state(house, "good.test", "trusted", 1), "the others are believed as before")
    reply, _, _ = mail_of(house, "192.0.2.7")
    tap.reply(reply, 550, "who is listed by one of those is refused", "good.test")


def reload(tap, house, server):
    reply, _, _ = mail_of(house, "192.0.2.9")
    tap.reply(reply, 250, "nobody has asked the new list yet")
    house.configure(config(server, FIRST + ["new.test"]))
    tap.ok(house.daemon.reload(), "reloaded with one list more")
    tap.ok(wait_state(house, "new.test", "trusted"), "it is tested at once", states(house))
    tap.ok(wait_state(house, "turn.test", "tripped", 1), "what was known of the others stays known")
    reply, _, _ = mail_of(house, "192.0.2.9")
    tap.reply(reply, 550, "and used", "new.test")


def dead(tap, house, server, mode, what, net):
    server.mode = mode
    codes, times, findings = [], [], []
    for i in range(4):
        reply, took, record = mail_of(house, f"{net}.{i + 1}")
        codes.append(reply.code)
        times.append(took)
        findings.append((record or {}).get("findings"))
    server.mode = ""
    tap.same(codes, [250] * 4, f"{what}: nobody is refused")
    tap.same(findings, ["dnsbl:unsure"] * 4, f"{what}: nobody knows anything")
    tap.ok(max(times) < WAIT + MARGIN, f"{what}: nobody waits longer than told ({max(times):.2f} s)", times)


def offline(tap, directory):
    """`test --dns`: a decision made again without a network."""
    def run(zone, *more):
        directory.write("zone", zone)
        done = subprocess.run([os.path.join(taps.build_dir(), "sme-milterctl"), "-c", directory.file("conf"), "test",
                               directory.file("mail"), "--ip", "192.0.2.7", "--helo", "mx.a.test", "--from", "x@b.test",
                               "--rcpt", "me@here.test", "--dns", directory.file("zone"), *more],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    directory.write("conf", 'profile "all" {\n policies = {"fcrdns", "dnsbl", "helo", "resolvable_fromhost"}\n'
                            ' dnsbl { enabled = yes  zones = {"good.test"} }\n helo { level = strict }\n}\n')
    directory.write("mail", mail_text())
    names = ("7.2.0.192.in-addr.arpa PTR mx.a.test\nmx.a.test A 192.0.2.7\n"
             "b.test MX 10 mx.b.test\nmx.b.test AAAA 2001:db8::9\n")
    status, out, err = run(names)
    tap.ok(status == 0 and "peer.name=mx.a.test" in out and "helo.match=both" in out and not err,
           "test --dns: accepted, with what was found and why", status, out, err)
    status, out, err = run(names + "7.2.0.192.good.test A 127.0.0.2\n")
    tap.ok(status == 1 and "list=good.test=127.0.0.2" in out and "verdict  reject" in out, "refused", status, out, err)
    status, out, err = run(names.replace("MX 10 mx.b.test", "MX SERVFAIL"))
    tap.ok(status == 0 and "could not be looked up" in out, "a failure is unsure", status, out, err)
    status, out, err = run(names.replace("b.test MX 10 mx.b.test\n", "b.test MX NODATA\n"))
    tap.ok(status == 75 and "451 4.1.8" in out, "put off", status, out, err)
    status, out, err = run(names + "7.2.0.192.good.test A 127.0.0.2\n", "--json")
    try:
        found = {one["policy"]: one for one in json.loads(out)["findings"]}
    except (ValueError, KeyError):
        found = {}
    tap.ok(status == 1 and found.get("dnsbl", {}).get("facts", {}).get("list") == "good.test=127.0.0.2",
           "as JSON", out, err)
    status, out, err = run(names + "this is no line\n")
    tap.ok(status == 65 and f"{directory.file('zone')}:5: " in err and not out,
           "a mistake in the zone file: 65, with its line", status, out, err)
    os.unlink(directory.file("zone"))
    status = subprocess.run([os.path.join(taps.build_dir(), "sme-milterctl"), "-c", directory.file("conf"), "test",
                             directory.file("mail"), "--ip", "192.0.2.7", "--helo", "a", "--from", "x@b.test", "--rcpt",
                             "me@here.test", "--dns", directory.file("zone")],
                            capture_output=True, timeout=60).returncode
    tap.same(status, 66, "no zone file: 66")


def audit_offline(tap, directory):
    def run(zones, zone):
        directory.write("conf", f'state_dir = "{directory.path}"\nprofile "all" {{\n policies = {{"dnsbl", "rhsbl"}}\n'
                                f' dnsbl {{ enabled = yes  zones = {{{zones}}} }}\n'
                                ' rhsbl { enabled = yes  zones = {"rhs.test"} }\n}\n')
        directory.write("zone", zone)
        done = subprocess.run([os.path.join(taps.build_dir(), "sme-milterctl"), "-c", directory.file("conf"), "dnsbl",
                               "audit", "--dns", directory.file("zone")], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    right = "2.0.0.127.good.test A 127.0.0.2\ntest.rhs.test A 127.0.0.2\n"
    status, out, err = run('"good.test"', right)
    tap.ok(status == 0 and "good.test" in out and "rhs.test" in out and not err,
           "audit: all can be believed", status, out)
    status, out, err = run('"good.test", "good2.test"', right)
    tap.ok(status == 1 and "stale or gone" in out, "audit: one cannot", status, out, err)
    status, out, err = run('"good.test", "rhsbl.sorbs.net"', right)
    tap.ok(status == 1 and "dead" in out and not err, "audit: a dead one is a finding", status, out, err)
    status, out, err = run('"good.test"', "*.good.test ANY SERVFAIL\n*.rhs.test ANY REFUSED\n")
    tap.same(status, 69, "audit: nothing can be asked")
    status, out, err = run('"k3y.zen.dq.spamhaus.net"', right)
    tap.ok("k3y" not in out and "***.zen.dq.spamhaus.net" in out, "audit: keys are not shown", out)
    status, out, err = run('"good.test"', "good.test A\n")
    tap.ok(status == 65 and ":1: " in err, "audit: a mistake in the zone file", status, err)


def main(tap):
    directory = processes.Directory()
    try:
        offline(tap, directory)
        audit_offline(tap, directory)
    finally:
        directory.remove()
    if os.geteuid() != 0:
        tap.note("Postfix starts as root only: the daemon is left out")
        return
    with dnsd.Server(zone=ZONE) as server, ListHouse(config(server, FIRST), tap) as house:
        start(tap, house)
        listed(tap, house)
        audit(tap, house)
        turn(tap, house, server)
        reload(tap, house, server)
        dead(tap, house, server, "mute", "a name server that says nothing", "198.51.101")
        dead(tap, house, server, "servfail", "one that fails", "198.51.102")
        dead(tap, house, server, "garbage", "one that babbles", "198.51.103")
        tap.ok(house.daemon.wait_record(lambda r: r["verdict"] == "tempfail", 0) is None, "nothing was put off either")


taps.run(main, needs_postfix=False)
