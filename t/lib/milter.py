#!/usr/bin/python3
"""milter.py - speaks the milter protocol as Postfix does, straight to the daemon: for messages of a size and number that
a Postfix would take too long for.

    with Milter("/tmp/x/m.sock") as milter:
        reply = milter.message("a@there.test", "bob@here.test", [("Subject", "x")], frames)
"""
import socket
import struct

CHUNK = 65535
NO_REPLY = {"L": 0x80, "N": 0x40000, "B": 0x80000}  # SMFIP_NR_HDR, _EOH, _BODY
SKIP = {"L": 0x20, "N": 0x40, "B": 0x10, "T": 0x200}  # SMFIP_NOHDRS, _NOEOH, _NOBODY, _NODATA
NO_DATA_REPLY = 0x10000


def frame(command, data=b""):
    return struct.pack("!Ic", len(data) + 1, command.encode()) + data


def body_frames(body):
    """A body as the frames it is sent in; may be used for many messages."""
    return [frame("B", body[i:i + CHUNK]) for i in range(0, len(body), CHUNK)]


class Milter:
    def __init__(self, path, client="192.0.2.7", timeout=120):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.stream = self.sock.makefile("rb")
        self.progress = 0
        self.edits = []
        self.sock.sendall(frame("O", struct.pack("!III", 6, 0x1ff, 0x1fffff)))
        self.steps = struct.unpack("!III", self._read()[1][:12])[2]
        self.say("C", b"mx.there.test\0" + b"4" + struct.pack("!H", 2525) + client.encode() + b"\0",
                 {"{daemon_name}": "smtp", "{client_addr}": client, "{daemon_port}": "25"})
        self.say("H", b"mx.there.test\0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.sock.close()

    def _read(self):
        size = struct.unpack("!I", self.stream.read(4))[0]
        data = self.stream.read(size)
        return chr(data[0]), data[1:]

    def say(self, command, data=b"", macros=None):
        """One command; its reply, or None where none is given."""
        if self.steps & SKIP.get(command, 0):
            return None
        text = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in (macros or {}).items())
        self.sock.sendall(frame("D", command.encode() + text) + frame(command, data))
        if self.steps & NO_REPLY.get(command, 0) or (command == "T" and self.steps & NO_DATA_REPLY):
            return None
        return self.reply()

    def reply(self):
        """(letter, data) of what ends a command: "c" continue, "a" accept, "r" reject, "t" tempfail, "y" with a text."""
        while True:
            kind, data = self._read()
            if kind == "p":
                self.progress += 1
            elif kind in "hmi+-b2q":
                self.edits.append((kind, data))
            else:
                return kind, data

    def message(self, sender, recipient, fields, frames):
        """A message up to the reply to its end, or to what refused it before."""
        self.edits, self.progress = [], 0
        for command, data in (("M", f"<{sender}>".encode() + b"\0"), ("R", f"<{recipient}>".encode() + b"\0"),
                              ("T", b"")):
            reply = self.say(command, data, {"i": "Q1"})
            if reply and reply[0] not in "cd":
                return reply
        for name, value in fields:
            self.say("L", f"{name}\0 {value}\0".encode())
        self.say("N")
        if not self.steps & SKIP["B"]:
            for one in frames:
                self.sock.sendall(one)
                if not self.steps & NO_REPLY["B"]:
                    self.reply()
        return self.say("E", b"", {"i": "Q1"})
