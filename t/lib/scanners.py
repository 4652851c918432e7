#!/usr/bin/python3
"""scanners.py - a clamd and a spamd that say what the test wants, when it wants it:

    clamd = Clamd(directory.file("clamd.sock"))
    clamd.delay = 7                        # seconds from the last byte of the message to the answer
    clamd.answer = b"stream: Eicar FOUND"
    clamd.manner = DEAF                    # takes connections and reads nothing; DIES: in the middle of the message
"""
import re
import socket
import struct
import threading
import time


DEAF, DIES = "deaf", "dies"


class Service:
    """Listens on a Unix socket; every conversation has a thread of its own."""

    def __init__(self, path, answer):
        self.answer, self.delay, self.manner = answer, 0, None
        self.over = threading.Event()
        self.at_once, self.most, self.lock = 0, 0, threading.Lock()  # conversations, now and at most
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(200)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.over.set()
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            with client:
                if self.manner == DEAF:
                    self.over.wait(60)
                elif self.manner == DIES:
                    client.recv(100_000)
                else:
                    self.talk(client)
        except OSError:
            pass  # the daemon has hung up
        finally:
            with self.lock:
                self.at_once -= 1


class Clamd(Service):
    def __init__(self, path):
        super().__init__(path, b"stream: OK")

    def talk(self, client):
        with client.makefile("rb") as stream:
            command = b""
            while not command.endswith(b"\0"):
                byte = stream.read(1)
                if not byte:
                    return
                command += byte
            if command != b"zINSTREAM\0":
                client.sendall(b"ClamAV 1.0.0\0")  # of no version of signatures: nothing is known from before
                return
            while True:
                left = struct.unpack("!I", stream.read(4))[0]
                if left == 0:
                    break
                while left:
                    left -= len(stream.read(min(left, 1 << 20)))
        time.sleep(self.delay)
        client.sendall(self.answer + b"\0")


class Spamd(Service):
    """`answer` is "SCORE/REQUIRED"."""

    def __init__(self, path):
        super().__init__(path, "1.5/5.0")

    def talk(self, client):
        while client.recv(1 << 20):
            pass
        time.sleep(self.delay)
        score, required = re.match(r"(.*)/(.*)", self.answer).groups()
        client.sendall(f"SPAMD/1.1 0 EX_OK\r\nContent-length: 6\r\nSpam: {float(score) >= float(required)} ; {score} / "
                       f"{required}\r\n\r\nTEST\r\n".encode())
