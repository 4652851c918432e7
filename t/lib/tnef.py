"""tnef.py - winmail.dat, made for tests: attachments, an embedded message, bodies."""
import struct
import sys

sys.dont_write_bytecode = True

SIGNATURE = 0x223e9f78
MESSAGE, ATTACHMENT = 1, 2
TITLE, DATA, REND, PROPS, ATTACH_PROPS, CODEPAGE, VERSION, BODY = (
    0x00018010, 0x0006800F, 0x00069002, 0x00069003, 0x00069005, 0x00069007, 0x00089006, 0x0002800C)
STRING8, UNICODE, BINARY, OBJECT, SYSTIME = 0x1e, 0x1f, 0x102, 0x0d, 0x40
SUBJECT, SUBMITTED, SENDER, ADDRESS = 0x37, 0x39, 0x0C1A, 0x0C1F
LONG_FILENAME, DATA_OBJ, RTF, HTML, PLAIN = 0x3707, 0x3701, 0x1009, 0x1013, 0x1000


def attribute(level, number, data):
    return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) & 0xffff)


def props(values):
    """[(id, type, bytes)] as MAPI properties of one value each."""
    out = struct.pack("<I", len(values))
    for number, kind, data in values:
        if kind == SYSTIME:  # of a fixed size, and so without one
            out += struct.pack("<HH", kind, number) + data
        else:
            out += struct.pack("<HHII", kind, number, 1, len(data)) + data + b"\0" * (-len(data) % 4)
    return out


def wide(text):
    return (text + "\0").encode("utf-16-le")


def rtf(text):
    """RTF in the container that says it is not compressed."""
    raw = text.encode("latin-1")
    return struct.pack("<IIII", len(raw) + 12, len(raw), 0x414c454d, 0) + raw


def attachment(name, data, long_name=None, embedded=None):
    out = attribute(ATTACHMENT, REND, struct.pack("<HIHHI", 1, 0, 32, 32, 0))
    out += attribute(ATTACHMENT, TITLE, name.encode("cp1252") + b"\0")
    if embedded is None:
        out += attribute(ATTACHMENT, DATA, data)
    values = []
    if long_name:
        values.append((LONG_FILENAME, UNICODE, wide(long_name)))
    if embedded is not None:
        values.append((DATA_OBJ, OBJECT, b"\x07\x03\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F" + embedded))
    if values:
        out += attribute(ATTACHMENT, ATTACH_PROPS, props(values))
    return out


def winmail(*attachments, values=(), body=None):
    out = struct.pack("<IH", SIGNATURE, 1) + attribute(MESSAGE, VERSION, struct.pack("<I", 0x10000))
    out += attribute(MESSAGE, CODEPAGE, struct.pack("<II", 1252, 0))
    if body:
        out += attribute(MESSAGE, BODY, body + b"\0")
    if values:
        out += attribute(MESSAGE, PROPS, props(list(values)))
    return out + b"".join(attachments)
