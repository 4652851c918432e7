"""processes.py - starting, watching and ending programs by their pid; free ports; throw-away directories."""
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from tap import wait_for

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _end_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # not even a killed test leaves a server behind


def start(command, **how):
    """Popen in a session of its own, ended with us."""
    how.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(command, start_new_session=True, preexec_fn=_end_with_parent, **how)


def guard(process):
    """Another process that sends TERM to `process` when we are gone: for programs that change their user meanwhile,
    with which the kernel forgets what _end_with_parent asked for. Stop it before the process."""
    return subprocess.Popen(["/bin/sh", "-c", f"read nothing; kill {process.pid}"], stdin=subprocess.PIPE,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def stop(process, seconds=20):
    """TERM, and KILL (for the whole session it began) when that is not obeyed in time. True when it ended by itself."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(10)
        return False


def status(pid):
    """Fields of /proc/PID/status; {} when there is no such process."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    except (OSError, ValueError):
        return {}


def is_alive(pid):
    return status(pid).get("State", "Z")[:1] not in "ZX"


def children(pid):
    """The live children of a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = status(entry)
            if fields.get("PPid", "").strip() == str(pid) and fields.get("State", "Z")[:1] not in "ZX":
                found.append(int(entry))
    return found


def session_members(sid):
    """The live processes of a session."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.getsid(int(entry)) == sid and is_alive(entry):
                found.append(int(entry))
        except OSError:
            pass
    return found


def port_is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_ports(count):
    """Ports that nobody listens on, outside the range the kernel gives to clients."""
    ports = set()
    while len(ports) < count:
        port = random.SystemRandom().randrange(12000, 32000)
        if port_is_free(port):
            ports.add(port)
    return sorted(ports)


def listening_ports():
    """The TCP ports somebody listens on, found without connecting: a connection would be mail traffic."""
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as f:
                rows = [line.split() for line in f][1:]
        except OSError:
            continue
        ports.update(int(row[1].rsplit(":", 1)[1], 16) for row in rows if row[3] == "0A")
    return ports


class Directory:
    """A directory with a short name that other users can enter, removed at the end."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="sme-", dir="/tmp")
        os.chmod(self.path, 0o755)

    def file(self, name):
        return os.path.join(self.path, name)

    def write(self, name, text, mode=0o644):
        path = self.file(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)  # a reader sees the old text or the new one
        return path

    def remove(self):
        wait_for(lambda: (shutil.rmtree(self.path, ignore_errors=True), not os.path.exists(self.path))[1], 5)
