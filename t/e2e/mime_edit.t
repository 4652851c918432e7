#!/usr/bin/python3
"""Footers in messages of every structure, as another MIME reader (Python's email package) sees them: texts have it, and
every other part has the same bytes. usage: mime_edit.t [SEED [ROUNDS]]"""
import base64
import email
import email.policy
import html
import os
import quopri
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import tap as taps

CHARSETS = ("us-ascii", "utf-8", "iso-8859-1", "iso-8859-15", "windows-1251", "koi8-r", "iso-2022-jp", "shift_jis",
            "euc-jp", "gb2312", "big5", "utf-16", "utf-16le", "euc-kr")
WORDS = {"windows-1251": "Привет мир", "koi8-r": "Привет мир", "iso-2022-jp": "こんにちは 世界", "shift_jis": "こんにちは 世界",
         "euc-jp": "こんにちは 世界", "gb2312": "你好 世界", "big5": "你好 世界", "euc-kr": "안녕 세계", "utf-8": "Grüße 世界 €",
         "iso-8859-1": "Grüße", "iso-8859-15": "Grüße €", "utf-16": "Grüße 世界", "utf-16le": "Grüße 世界", "us-ascii": "x"}
FOOTS = ("Example Ltd\nReg. 123\n", "Bär & Söhne, 5 €\n", "-- \n a < b\n", "x" * 1200 + "\n", "日本\n",
         "a=3D b \n.\nFrom me\n")


class Filter:
    def __init__(self):
        self.process = subprocess.Popen([os.path.join(taps.build_dir(), "t/unit/mime_edit"), "filter"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, message, foot):
        foot = foot.encode()
        self.process.stdin.write(b"%d %d\n" % (len(message), len(foot)) + message + foot)
        self.process.stdin.flush()
        sign, length = self.process.stdout.readline().split()
        answer = self.process.stdout.read(int(length))
        return (answer, None) if sign == b"+" else (None, answer.decode())


class Maker:
    def __init__(self, rng):
        self.rng, self.number = rng, 0

    def text(self, charset, as_html):
        rng, lines = self.rng, []
        for _ in range(rng.randrange(0, 6)):
            words = [rng.choice(("word", WORDS[charset], "a=b", "x" * rng.choice((5, 80))))
                     for _ in range(rng.randrange(0, 9))]
            lines.append(" ".join(words) + rng.choice(("", "", " ")))
        text = "\r\n".join(lines) + rng.choice(("", "\r\n"))
        if as_html:
            text = rng.choice(("%s", "<html><body>%s</body></html>", "<BODY>%s<!-- </body> --></BODY>\r\n",
                               "<p title='</body>'>%s</p><script>'</body>'</script>")) % text
        return text

    def leaf(self, subtype=None):
        """Header and body of a text that may have a footer."""
        rng = self.rng
        charset = rng.choice(CHARSETS)
        as_html = (subtype or rng.choice(("plain", "html"))) == "html"
        data = self.text(charset, as_html).encode(charset, "replace")
        more = rng.choice((b"", b"; format=flowed", b";\r\n\tx=\"y;charset=z\""))
        fields = [b"Content-Type: text/%s; charset=%s%s" % (b"html" if as_html else b"plain", charset.encode(), more)]
        coding = rng.choice(("base64", "quoted-printable", "8bit", "7bit"))
        if charset.startswith("utf-16"):
            coding = "base64"
        if coding == "7bit" and any(b > 127 for b in data):
            coding = "8bit"
        if any(len(line) > 900 for line in data.split(b"\n")):
            coding = "base64"
        fields.append(b"Content-Transfer-Encoding: " + coding.encode())
        return fields, self.coded(data, coding)

    @staticmethod
    def coded(data, coding):
        if coding == "base64":
            return base64.encodebytes(data).replace(b"\n", b"\r\n")
        if coding == "quoted-printable":
            return quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        return data

    def attachment(self):
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 0:
            return [b"Content-Type: message/rfc822"], b"From: x@y.test\r\nSubject: in\r\n\r\nforwarded\r\n"
        if kind == 1:
            return ([b"Content-Type: text/plain; name=a.txt", b"Content-Disposition: attachment; filename=a.txt"],
                    b"a text\r\nthat is attached\r\n")
        data = rng.randbytes(rng.randrange(0, 500))
        return ([b"Content-Type: application/octet-stream; name=\"b%d\"" % kind, b"Content-Transfer-Encoding: base64",
                 b"Content-Disposition: attachment;\r\n filename*=utf-8''%C3%A4.bin"], self.coded(data, "base64"))

    def multipart(self, subtype, parts):
        self.number += 1
        boundary = b"=_%d.x" % self.number
        body = self.rng.choice((b"", b"This is MIME.\r\n", b"\r\n"))
        for fields, content in parts:
            body += b"--" + boundary + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + content + b"\r\n"
        body += b"--" + boundary + b"--" + self.rng.choice((b"", b"\r\n", b"\r\n\r\nepilogue\r\n"))
        return [b"Content-Type: multipart/%s; boundary=\"%s\"" % (subtype, boundary)], body

    def entity(self, depth=0):
        rng = self.rng
        kind = rng.choice(("leaf", "alternative", "related", "mixed", "files")) if depth < 3 else "leaf"
        if kind == "leaf":
            return self.leaf()
        if kind == "alternative":
            rich = self.leaf("html")
            if rng.random() < .5:
                rich = self.multipart(b"related", [rich, self.attachment()])
            return self.multipart(b"alternative", [self.leaf("plain"), rich])
        if kind == "related":
            return self.multipart(b"related", [self.leaf("html"), self.attachment()])
        if kind == "files":
            return self.multipart(b"mixed", [self.attachment() for _ in range(rng.randrange(1, 4))])
        files = [self.attachment() for _ in range(rng.randrange(0, 3))]
        return self.multipart(b"mixed", [self.entity(depth + 1)] + files)

    def message(self):
        fields, body = self.entity() if self.rng.random() < .95 else self.attachment()
        lines = [b"From: a@b.test", b"MIME-Version: 1.0", b"Subject: x"] + fields
        return b"\r\n".join(lines) + b"\r\n\r\n" + body


def leaves(message):
    """(outer, part): in order; outer is false inside of a message."""
    def walk(part, outer):
        if part.get_content_type() == "message/rfc822":
            yield False, part
        elif part.is_multipart():
            for one in part.get_payload():
                yield from walk(one, outer)
        else:
            yield outer, part
    return list(walk(message, True))


def shown(part):
    """The text as a reader shows it; None where it is none that a footer is put into."""
    if part.get_content_type() not in ("text/plain", "text/html") or part.get_filename():
        return None
    data = part.get_payload(decode=True)
    charset = part.get_content_charset("us-ascii")
    errors = "replace" if charset.startswith("utf-16") else "surrogateescape"
    return data.decode(charset, errors).replace("\r\n", "\n")


def texts_of(part):
    """How many of its texts are what readers show of it."""
    kind = part.get_content_type()
    if not part.is_multipart() or kind == "message/rfc822":
        return 1 if kind != "message/rfc822" and shown(part) is not None else 0
    counts = [texts_of(one) for one in part.get_payload()]
    return sum(counts) if kind == "multipart/alternative" else next((c for c in counts if c), 0)


def wire(part):
    """What was sent of it, without what a boundary takes."""
    return part.as_bytes(policy=email.policy.compat32.clone(max_line_length=0)).rstrip(b"\r\n")


def trouble(before, after, foot):
    """None, or what is wrong with the result."""
    old = leaves(email.message_from_bytes(before))
    now_message = email.message_from_bytes(after)
    now = leaves(now_message)
    if now_message.defects or any(p.defects for _, p in now):
        return f"defects {now_message.defects} {[p.defects for _, p in now]}"
    want = " ".join(foot.split())
    added = changed = 0
    if len(now) == len(old) + 1:
        at = next((i for i, (o, p) in enumerate(now) if shown(p) is not None), None)
        if at is None or " ".join(shown(now[at][1]).split()) != want:
            return "the added part is another"
        del now[at]
        added = 1
    if len(now) != len(old):
        return f"{len(old)} parts became {len(now)}"
    for (outer, a), (_, b) in zip(old, now):
        text = shown(a) if outer else None
        if a.get_content_type() != b.get_content_type() or a.get_filename() != b.get_filename():
            return "a part is another"
        if len(old) > 1 and wire(a) == wire(b) or a.get_payload() == b.get_payload():
            continue
        if text is None:
            if a.get_payload(decode=True) == b.get_payload(decode=True):
                continue
            return f"a {a.get_content_type()} was changed"
        changed += 1
        new = shown(b)
        if a.get_content_type() == "text/html":
            cut = new.rfind("<p>")
            end = new.find("</p>", cut) + 4
            block = html.unescape(re.sub("<[^>]*>", " ", new[cut:end]))
            if cut < 0 or " ".join(block.split()) != want:
                return f"no footer in {new!r}"
            if "".join((new[:cut] + new[end:]).split()) != "".join(text.split()):
                return f"the text around is another: {text!r} {new!r}"
            if new[end:].strip() and not new[end:].strip().lower().startswith("</body>"):
                return f"the footer stands elsewhere in {new!r}"
        else:
            if not " ".join(new.split()).endswith(want):
                return f"no footer at the end of {new!r}"
            if not new.startswith(text):
                return f"the text before is another: {text!r} {new!r}"
    wanted = 0 if added else texts_of(email.message_from_bytes(before))
    if added + changed != (wanted or 1):
        return f"{added} added and {changed} changed, but {wanted} texts are shown"
    return None


def main(tap):
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    rng = random.Random(seed)
    maker, ask = Maker(rng), Filter()
    done = refused = 0
    reasons, bad = {}, []
    for n in range(rounds):
        message, foot = maker.message(), rng.choice(FOOTS)
        answer, why = ask.ask(message, foot)
        if answer is None:
            refused += 1
            reasons[why] = reasons.get(why, 0) + 1
            continue
        wrong = trouble(message, answer, foot)
        if wrong:
            bad.append((n, wrong, message, answer))
        else:
            done += 1
            again, why = ask.ask(answer, foot)
            if again is not None or why != "there already":
                bad.append((n, f"twice: {why}", message, again or b""))
    tap.note(f"seed {seed}: {done} changed, {refused} left alone: {reasons}")
    for n, wrong, message, answer in bad[:3]:
        tap.note(f"{n}: {wrong}\n{message!r}\n{answer!r}")
    tap.same(len(bad), 0, "another reader finds in every message what was meant")
    tap.ok(done > rounds * 9 / 10, f"most are changed ({done} of {rounds})")


taps.run(main)
