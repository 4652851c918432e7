#!/usr/bin/python3
"""The three ports with real TLS and real AUTH: which profile, which answer, and what the log says of it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps
from daemon import LOG_FIELDS
from house import House
from smtp import mail_text

CONFIG = """
# A stranger's mail on three services that differ in reply_at only.
profile "at-rcpt" { port = {@at_rcpt@}  reply_at = rcpt  policies = {"helo"} }
profile "at-data" { port = {@at_data@}  reply_at = data  policies = {"helo"} }
profile "submission" {
    port = {@submissions@, @submission@, @lax@}
    policies = {"loadcheck", "tls", "relay", "helo", "headers"}
    helo { skip = {whitelisted} }   # so that it is the authentication that clears it, not an immunity
}
profile "smtp-local" { port = {@smtp@, @smtp_auth@} }
profile "smtp" {
    port = {@smtp@, @smtp_auth@}
    unrecognized_commands { max = 3 }
    badmailfrom { senders = {"@bad.test we do not like you"} }
}
"""

EXTRA = {
    # Submission without Postfix's own refusals, so that ours are seen.
    "lax": {"like": "submission", "smtpd_tls_security_level": "may", "smtpd_client_restrictions": "",
            "smtpd_relay_restrictions": "permit_sasl_authenticated,reject_unauth_destination"},
    "smtp_auth": {"like": "smtp", "smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "yes"},
    "at_rcpt": {"like": "smtp"},
    "at_data": {"like": "smtp"},
}

BARE_IP = "192.0.2.1"  # as a HELO name: refused by every level, at reply_at


def accepted(tap, house, client, what, wanted, **how):
    """A message that is accepted: its reply, its log line, its delivery."""
    reply, sender = house.send(client, **how)
    tap.reply(reply, 250, f"{what}: accepted")
    record = house.record_of(sender)
    tap.fields(record, dict({"verdict": "accept", "by": "", "reply": "", "at": "message"}, **wanted),
               f"{what}: log line")
    mails = house.sink.subject(house.subject_of(sender))
    tap.ok(len(mails) == 1 and mails[0].sender == sender, f"{what}: delivered once", mails)
    if record and mails:
        tap.same(record["queue_id"], mails[0].queue_id, f"{what}: the log names Postfix's queue id")
    return record


def three_ports(tap, house):
    with house.client("smtp") as client:
        record = accepted(tap, house, client, "smtp", {"profile": "smtp", "auth": "", "client": "127.0.0.1",
                                                       "helo": "client.test", "nrcpt": "1", "rcpt": "<bob@here.test>"})
        tap.same(list(record or {}), LOG_FIELDS, "the log line has its fields in the fixed order")
        second = accepted(tap, house, client, "smtp, second message of the session", {"profile": "smtp"})
        tap.ok(record and second and record["ref"] != second["ref"], "each message has its own reference")
        tap.reply(client.quit(), 221, "smtp: QUIT")
    with house.client("smtp", starttls=True) as client:
        accepted(tap, house, client, "smtp with STARTTLS", {"profile": "smtp"})
    with house.client("smtp", source="127.0.0.9", helo=BARE_IP) as client:
        accepted(tap, house, client, "smtp from the local network",
                 {"profile": "smtp-local", "client": "127.0.0.9", "helo": BARE_IP})
    for service in ("submissions", "submission"):
        with house.client(service, auth=True) as client:
            accepted(tap, house, client, f"{service} with AUTH", {"profile": "submission", "auth": "alice"},
                     recipients=["bob@here.test", "far@away.test"])
            tap.ok(client.tls_version() in ("TLSv1.2", "TLSv1.3"), f"{service}: real TLS", client.tls_version())
    with house.client("smtp_auth", auth=True) as client:
        accepted(tap, house, client, "AUTH on port 25", {"profile": "smtp-local", "auth": "alice"},
                 recipients=["far@away.test"])
    with house.client("smtp") as client:
        tap.reply(client.message("a@there.test", ["far@away.test"], mail_text()), 554,
                  "relaying is Postfix's decision: a stranger's mail to elsewhere", "Relay access denied")


def submission_refuses(tap, house):
    with house.client("submission") as client:
        tap.reply(client.mail("a@there.test"), 530, "587 without TLS: Postfix itself refuses MAIL", "STARTTLS")
        tap.reply(client.auth("alice", "wonderland"), 530, "587 without TLS: no AUTH either")
    with house.client("submission", starttls=True) as client:
        tap.reply(client.auth("alice", "wrong"), 535, "587: wrong password")
        sender = house.sender()
        client.mail(sender)
        reply = client.rcpt("bob@here.test")
        tap.ok(reply.code == 554, "587 without AUTH: Postfix itself refuses RCPT", reply)
        client.quit()
        record = house.record_of(sender)
        tap.fields(record, {"profile": "submission", "auth": ""}, "587 without AUTH: the log has it")
    with house.client("lax") as client:
        sender = house.sender()
        reply = client.mail(sender)
        tap.reply(reply, 530, "tls, require = yes: MAIL without TLS", "5.7.0")
        record = house.record_of(sender)
        tap.fields(record, {"profile": "submission", "verdict": "reject", "by": "tls", "at": "mail",
                            "reply": f"530 {reply.text}"}, "tls, require = yes: log line")
    with house.client("lax", starttls=True) as client:
        sender = house.sender()
        tap.reply(client.mail(sender), 250, "tls, require = yes: MAIL with TLS")
        reply = client.rcpt("bob@here.test")
        tap.reply(reply, 550, "relay, only = yes: RCPT without AUTH", "5.7.1")
        client.quit()  # RSET would not do: Postfix tells the filter of it only after an accepted recipient
        record = house.record_of(sender)
        tap.fields(record, {"by": "relay", "at": "rcpt", "rcpt": "<bob@here.test>", "verdict": "reject",
                            "reply": f"550 {reply.text}"}, "relay, only = yes: log line")
        if record:
            tap.ok(reply.text.endswith(f"(ref {record['ref']})"), "the reply ends with the reference of the log", reply)
    with house.client("lax", starttls=True) as client:
        tap.reply(client.auth_login("alice", "wonderland"), 235, "AUTH LOGIN")
        accepted(tap, house, client, "587 after AUTH", {"profile": "submission", "auth": "alice"})


def deferred(tap, house):
    with house.client("smtp", helo=BARE_IP) as client:
        sender = house.sender()
        reply = client.mail(sender)
        tap.reply(reply, 550, "reply_at = mail: a bad HELO is told at MAIL", "5.7.1")
        tap.fields(house.record_of(sender), {"verdict": "reject", "by": "helo", "at": "mail", "helo": BARE_IP,
                                             "rcpt": "", "findings": lambda f: "helo:bad" in f.split(",")},
                   "reply_at = mail: the log names the sender")
        tap.reply(client.mail(house.sender()), 550, "reply_at = mail: and so is the next MAIL")
    with house.client("at_rcpt", helo=BARE_IP) as client:
        sender = house.sender()
        tap.reply(client.mail(sender), 250, "reply_at = rcpt: not at MAIL")
        tap.reply(client.rcpt("bob@here.test"), 550, "reply_at = rcpt: but at RCPT")
        tap.reply(client.cmd("QUIT"), 221, "reply_at = rcpt: QUIT")
        tap.fields(house.record_of(sender), {"verdict": "reject", "by": "helo", "at": "rcpt",
                                             "rcpt": "<bob@here.test>"}, "reply_at = rcpt: the log names the recipient")
    with house.client("at_data", helo=BARE_IP) as client:
        sender = house.sender()
        tap.reply(client.mail(sender), 250, "reply_at = data: not at MAIL")
        tap.reply(client.rcpt("bob@here.test"), 250, "reply_at = data: not at RCPT")
        tap.reply(client.cmd("DATA"), 550, "reply_at = data: but at DATA")
        client.quit()
        tap.fields(house.record_of(sender), {"verdict": "reject", "by": "helo", "at": "data"},
                   "reply_at = data: log line")

    # On 587 the bad name is known before AUTH; who authenticates is forgiven, who does not is not.
    with house.client("submission", helo=BARE_IP, auth=True) as client:
        accepted(tap, house, client, "AUTH on 587 clears the deferred finding",
                 {"profile": "submission", "helo": BARE_IP, "auth": "alice"})
    with house.client("submission", helo=BARE_IP, starttls=True) as client:
        sender = house.sender()
        tap.reply(client.mail(sender), 550, "without AUTH the deferred finding stands on 587", "5.7.1")
        tap.fields(house.record_of(sender), {"profile": "submission", "by": "helo", "auth": ""}, "and is logged so")
        tap.reply(client.auth("alice", "wonderland"), 235, "AUTH after that refusal")
        accepted(tap, house, client, "and then the same session may send", {"auth": "alice"})
    with house.client("smtp_auth", helo=BARE_IP, auth=True) as client:
        accepted(tap, house, client, "AUTH on port 25 clears it as well", {"profile": "smtp-local"})


def now(tap, house):
    with house.client("smtp") as client:
        sender = "someone@bad.test"
        reply = client.mail(sender)
        tap.reply(reply, 550, "badmailfrom with the text of its entry", "we do not like you")
        tap.fields(house.record_of(sender), {"by": "badmailfrom", "at": "mail", "reply": f"550 {reply.text}"},
                   "badmailfrom: log line")
        accepted(tap, house, client, "another sender in the same session", {})
    with house.client("smtp") as client:
        sender = house.sender()
        reply, _ = house.send(client, sender, header_from="")
        tap.reply(reply, 550, "a message without From", "5.6.0")
        tap.fields(house.record_of(sender), {"by": "headers", "at": "message", "verdict": "reject",
                                             "queue_id": lambda q: q != ""}, "a message without From: log line")
        tap.same(house.sink.subject(house.subject_of(sender), 0), [], "a message without From: not delivered")


def unknown_commands(tap, house):
    with house.client("smtp", helo="unknown-commands.test") as client:
        for verb in ("XONE", "XTWO with words"):
            tap.ok(400 <= client.cmd(verb).code < 600, f"unknown command {verb}: refused, the session stays")
        reply = client.cmd("XTHREE")
        tap.reply(reply, 521, "the third one: 521", "(ref ")
        tap.ok(client.is_closed(), "and Postfix hangs up")
    record = house.daemon.wait_record(lambda r: r["helo"] == "unknown-commands.test")
    tap.fields(record, {"verdict": "reject", "by": "unrecognized_commands", "at": "unknown", "from": "", "queue_id": "",
                        "reply": f"521 {reply.text}"}, "a connection that never reached MAIL has its line")


def hostile_bytes(tap, house):
    helo = 'x" verdict=accept by="evil\\'
    with house.client("smtp", helo=helo) as client:
        reply, sender = house.send(client)
        tap.reply(reply, 250, "a HELO with quotes, blanks and backslash")
        tap.fields(house.record_of(sender), {"helo": helo, "verdict": "accept", "by": "", "profile": "smtp"},
                   "stays one value in the log")
    with house.client("smtp", helo="grün\u202e\u0085.test") as client:
        reply, sender = house.send(client)
        tap.ok(house.record_of(sender), "a HELO with bytes beyond ASCII is logged")
    with house.client("smtp", helo=b"ctrl\x01\x1b[31m\x7f.test") as client:
        reply, sender = house.send(client)
        tap.ok(house.record_of(sender), "a HELO with control bytes is logged")
    with house.client("smtp") as client:
        tap.reply(client.mail('"a b\\"c\\\\ verdict=accept"@there.test'), 250, "a quoted local part")
        tap.reply(client.rcpt('"x y\\", <z>"@here.test'), 250, "in a recipient, too")
        client.cmd("RSET")
        tap.reply(client.mail("gr\u00fcn\u202e@there.test", "SMTPUTF8"), 250, "an SMTPUTF8 sender")
        tap.reply(client.rcpt("bob@here.test"), 250, "and its recipient")
        reply = client.data(mail_text(subject="utf8", sender="g@there.test"))
        tap.reply(reply, 250, "and its message")
        tap.reply(client.mail("x" * 300 + "@there.test"), 250, "a very long sender")
        client.quit()
    record = house.daemon.wait_record(lambda r: "a b" in r["from"])
    tap.fields(record, {"verdict": "accept", "from": lambda f: f.endswith("verdict=accept\"@there.test>") or "a b" in f,
                        "rcpt": lambda r: "@here.test" in r and "x y" in r, "nrcpt": "1"},
               "a quoted local part stays one value in the log")
    tap.fields(house.daemon.wait_record(lambda r: "gr\u00fcn" in r["from"]), {"verdict": "accept"},
               "the SMTPUTF8 sender is logged, escaped")
    house.daemon.wait_record(lambda r: "xxxx" in r["from"])
    wrong = [line for line in house.daemon.log if any(not 0x20 <= ord(c) < 0x7f for c in line)]
    tap.same(wrong, [], "no line of the log has a byte that is not printable ASCII")
    records = sum(line.startswith("ref=") for line in house.daemon.log)
    tap.same(len(house.daemon.records), records, "every record can be read back")


def main(tap):
    with House(CONFIG, tap, EXTRA) as house:
        for part in (three_ports, submission_refuses, deferred, now, unknown_commands, hostile_bytes):
            tap.note(f"---- {part.__name__}")
            part(tap, house)


taps.run(main)
