#!/usr/bin/python3
"""service.t - the processes: start, second start, stale sockets, reload, draining, death of either process, socket
activation, the watchdog. Postfix is not needed: the milter protocol is spoken here, as little of it as will do."""
import grp
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap
from daemon import Daemon
from tap import wait_for

NR_CONN = 0x1000  # SMFIP_NR_CONN: the connect step gets no answer
POLICY = 'profile "smtp" {{ policies = {{"badmailfrom"}} }}\nbadmailfrom {{ senders = {{"{}"}} }}\n'
OLD, NEW = POLICY.format("bad@old.test"), POLICY.format("bad@new.test")


class Session:
    """One connection of Postfix, as far as MAIL."""

    def __init__(self, address, timeout=10):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(address)
            self._send(b"O", struct.pack(">III", 6, 0x1ff, 0x1fffff))
            command, data = self._read()
            if command != b"O":
                raise ConnectionError(f"negotiation answered with {command!r}")
            self._send(b"D", b"C{daemon_port}\x0025\0")
            self._send(b"C", b"mx.a.test\0" + b"4" + struct.pack(">H", 2525) + b"192.0.2.7\0")
            if not struct.unpack(">III", data[:12])[2] & NR_CONN:
                self._read()
        except OSError:
            self.sock.close()
            raise

    def _send(self, command, data=b""):
        self.sock.sendall(struct.pack(">I", len(data) + 1) + command + data)

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                raise ConnectionError("closed")
            data += part
        return data

    def _read(self):
        data = self._exactly(struct.unpack(">I", self._exactly(4))[0])
        return data[:1], data[1:]

    def mail(self, sender):
        """'continue', 'refused', or 'cut' when the connection is gone. Leaves no transaction open."""
        try:
            self._send(b"M", b"<" + sender.encode() + b">\0")
            command, _ = self._read()
            self._send(b"A")
            return "continue" if command == b"c" else "refused" if command in b"ry" else repr(command)
        except OSError:
            return "cut"

    def close(self):
        try:
            self._send(b"Q")
        except OSError:
            pass
        self.sock.close()


def try_session(address, sender="good@a.test"):
    try:
        session = Session(address)
    except OSError as error:
        return f"no session: {error}"
    answer = session.mail(sender)
    session.close()
    return answer


def connects(address):
    """Whether a connection is possible at this moment."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(3)
        try:
            s.connect(address)
            return True
        except OSError:
            return False


def start_again(daemon, user=None, config=None):
    """Start one more on the configuration, which is to end by itself: exit status and standard error."""
    done = subprocess.run([daemon.program, "-c", config or daemon.config], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=30, user=user, group=user, extra_groups=[] if user else None,
                          env={})
    return done.returncode, done.stderr.decode()


def with_listen(daemon, listen):
    """A configuration of its own beside the daemon's."""
    name = f"other-{time.monotonic_ns()}.conf"
    return daemon.directory.write(name, f'listen = "{listen}"\nstate_dir = "{daemon.directory.path}"\n'
                                  'log { to = stderr }\n')


def test_command_line(t, d):
    def run(*arguments):
        done = subprocess.run([d.program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    code, out, err = run("-t", "-c", d.config)
    t.same((code, out, err), (0, "configuration is fine\n", ""), "-t on a good configuration")
    bad = d.directory.write("bad.conf", "\nnosuchkey = 1\n")
    code, out, err = run("--test", f"--config={bad}")
    t.same((code, out), (78, ""), "-t on a bad one exits 78 and says nothing on standard output")
    t.has(err, f"{bad}:2: ", "and names file and line")
    t.has(err, "nosuchkey", "and the key")
    code, out, err = run("-c", bad)
    t.same(code, 78, "a start with a bad configuration exits 78")
    t.has(err, "nosuchkey", "and says why")
    t.same(run("-c", d.directory.file("none.conf"))[0], 78, "a configuration that is not there exits 78")
    for arguments in (["-x"], ["--nonsense"], ["word"], ["-c"], ["--test=1"]):
        code, out, err = run(*arguments)
        t.ok(code == 64 and "--help" in err, f"{' '.join(arguments)}: exit 64 and a hint", code, err)
    code, out, err = run("-V")
    t.ok(code == 0 and out.startswith("sme-milter "), "-V", code, out)
    code, out, err = run("--help")
    t.ok(code == 0 and out.startswith("usage: sme-milter"), "--help", code, out)


def test_start(t, d):
    mode = os.stat(d.socket)
    t.same(oct(mode.st_mode & 0o7777), oct(0o660), "the socket's mode is 0660")
    try:
        postfix = grp.getgrnam("postfix").gr_gid
    except KeyError:
        postfix = None
        t.ok(d.wait_line("there is no group postfix", 1), "without a group postfix there is a warning")
    if postfix is not None and (os.geteuid() == 0 or postfix in os.getgroups()):
        t.same(mode.st_gid, postfix, "and its group is postfix")
    t.same(len(d.children()), 1, "there is one serving process")
    t.same(try_session(d.socket), "continue", "a session is served")
    t.same(try_session(d.socket, "bad@old.test"), "refused", "and the policies are asked")


def test_second_start(t, d):
    code, err = start_again(d)
    t.same(code, 69, "a second start on a live socket exits 69")
    t.has(err, f"process {d.process.pid} serves {d.socket} already", "and names the process")
    t.same(try_session(d.socket), "continue", "the first one still serves")


def test_child_killed(t, d):
    supervisor = d.process.pid
    for _ in range(3):
        old, new = d.kill9_child()
        t.ok(old and new, f"serving process {old} is killed, {new} takes its place")
        t.same(try_session(d.socket), "continue", "and serves")
        code, err = start_again(d)
        t.same(code, 69, "a second start is refused after that")
    t.same(d.process.pid if d.process.poll() is None else None, supervisor, "the supervisor is the same")
    t.ok(d.wait_line("was killed by signal 9", 1), "the log tells of it")

    made = []
    stop = threading.Event()

    def knock():
        while not stop.wait(0.005):
            made.append(connects(d.socket))
    thread = threading.Thread(target=knock)
    thread.start()
    d.kill9_child()
    d.kill9_child()
    stop.set()
    thread.join()
    t.ok(made and all(made), f"no connection of {len(made)} is refused meanwhile", f"{made.count(False)} were")


def test_reload(t, d):
    session = Session(d.socket)
    t.same(session.mail("bad@old.test"), "refused", "a session begins with the old configuration")
    child = d.children()
    d.configure(NEW)
    t.ok(d.reload(), "HUP with a good configuration ends with READY=1")
    t.ok(any(m.startswith("RELOADING=1\nMONOTONIC_USEC=") for m in d.notify.messages), "systemd was told of the reload")
    t.same(d.children(), child, "by the same serving process")
    t.same((session.mail("bad@old.test"), session.mail("bad@new.test")), ("refused", "continue"),
           "the open session keeps the old configuration")
    t.same((try_session(d.socket, "bad@old.test"), try_session(d.socket, "bad@new.test")), ("continue", "refused"),
           "a new one has the new")

    d.configure("nosuchkey = 1\n")
    t.ok(d.reload(), "HUP with a bad configuration ends with READY=1 as well")
    t.ok(d.wait_line("nosuchkey", 5), "the log names what is wrong")
    t.ok(d.wait_line("not reloaded", 5), "and that nothing was reloaded")
    t.ok(any("STATUS=serving with the old configuration" in m for m in d.notify.messages), "systemd's status says so")
    t.same(session.mail("bad@old.test"), "refused", "the session of before is still there")
    t.same(try_session(d.socket, "bad@new.test"), "refused", "new ones get the last good configuration")
    d.kill9_child()
    t.same(try_session(d.socket, "bad@new.test"), "refused", "and so does the next serving process")
    t.same(session.mail("bad@old.test"), "cut", "while the session of the killed one is cut")
    session.close()

    d.configure(OLD)
    with open(d.config) as f:
        text = f.read()
    d.directory.write("sme-milter.conf", text.replace("m.sock", "n.sock"))
    t.ok(d.reload() and d.wait_line("needs a restart", 5), "a changed listen needs a restart, and the log says so")
    t.ok(os.path.exists(d.socket) and not os.path.exists(d.directory.file("n.sock")), "until then the socket stays")
    d.configure(OLD)
    d.reload()


def test_reload_under_load(t, d):
    answers = []
    stop = threading.Event()

    def loop():
        while not stop.is_set():
            answers.append(try_session(d.socket))
    threads = [threading.Thread(target=loop) for _ in range(8)]
    for thread in threads:
        thread.start()
    done = sum(bool(d.reload()) for _ in range(25))
    stop.set()
    for thread in threads:
        thread.join()
    t.same(done, 25, "25 reloads under load")
    t.ok(len(answers) > 25 and set(answers) == {"continue"}, f"{len(answers)} sessions, none lost", set(answers))

    child = d.children()[0]

    def is_socket(fd):
        try:
            return os.readlink(f"/proc/{child}/fd/{fd}").startswith("socket:")
        except OSError:
            return False  # closed meanwhile

    def open_sockets():
        return sum(is_socket(fd) for fd in os.listdir(f"/proc/{child}/fd"))
    counts = []

    def is_quiet():
        counts.append(open_sockets())
        return len(counts) > 20 and len(set(counts[-20:])) == 1
    wait_for(is_quiet, 10)  # the sessions of above have gone
    before = counts[-1]
    sessions = [Session(d.socket) for _ in range(100)]
    t.ok(open_sockets() >= before + 100, "100 open sessions are 100 sockets")
    for session in sessions:
        session.close()
    t.ok(wait_for(lambda: open_sockets() <= before, 10), "and none remains after them", open_sockets(), before)


def test_term(t, d):
    session = Session(d.socket)
    began = time.monotonic()
    d.process.send_signal(signal.SIGTERM)
    t.ok(wait_for(lambda: not os.path.exists(d.socket), 5), "TERM: the path goes at once")
    t.ok(d.notify.wait("STOPPING=1", 0, 5), "systemd is told")
    time.sleep(1)
    t.ok(d.process.poll() is None, "an open session keeps it alive")
    t.same((session.mail("good@a.test"), session.mail("bad@old.test")), ("continue", "refused"), "and is served")
    session.close()
    t.ok(wait_for(lambda: d.process.poll() is not None, 10) and d.process.returncode == 0,
         "with its end the daemon ends, exit 0", d.process.returncode, d.text())
    t.ok(time.monotonic() - began < 8, "soon after it")


def test_term_idle_and_twice(t, d):
    d.start()
    began = time.monotonic()
    t.same(d.stop(), 0, "TERM without a session: exit 0")
    t.ok(time.monotonic() - began < 3, "within seconds")
    d.start()
    session = Session(d.socket)
    child = d.children()[0]
    d.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not os.path.exists(d.socket), 5)
    began = time.monotonic()
    d.process.send_signal(signal.SIGTERM)
    t.ok(wait_for(lambda: d.process.poll() is not None, 5) and d.process.returncode == 0,
         "a second TERM hurries: exit 0")
    t.ok(time.monotonic() - began < 3, "at once")
    t.ok(not processes.is_alive(child), "the serving process is gone")
    t.same(session.mail("good@a.test"), "cut", "and its session cut")
    session.close()
    for number in (signal.SIGINT, signal.SIGTERM):
        d.start()
        d.process.send_signal(number)
        t.ok(wait_for(lambda: d.process.poll() is not None, 5) and d.process.returncode == 0,
             f"{number.name} ends it with 0")


def kill_supervisor(d):
    """kill -9 of the supervisor alone; the pid of the child it leaves behind."""
    child = d.children()[0]
    d.process.kill()
    d.process.wait()
    return child


def test_supervisor_killed(t, d):
    d.start()
    session = Session(d.socket)
    child = kill_supervisor(d)
    t.ok(d.wait_line("the supervisor is gone", 5), "kill -9 of the supervisor: the serving process drains")
    t.ok(os.path.exists(d.socket) and wait_for(lambda: not connects(d.socket), 4), "nobody gets in any more")
    t.same(session.mail("bad@old.test"), "refused", "but the open session is served")
    d.start()
    t.same(try_session(d.socket), "continue", "a new start takes the stale socket over meanwhile")
    t.ok(d.wait_line("took over", 5), "and says so")
    t.same(session.mail("good@a.test"), "continue", "the old session goes on")
    session.close()
    t.ok(wait_for(lambda: not processes.is_alive(child), 5), "and with its end the old serving process goes")
    t.ok(os.path.exists(d.socket) and try_session(d.socket) == "continue", "without harm to the new one")


def test_both_killed(t, d):
    os.kill(d.process.pid, signal.SIGSTOP)  # so that it cannot start another
    os.kill(d.children()[0], signal.SIGKILL)
    d.process.kill()
    d.process.wait()
    t.ok(os.path.exists(d.socket), "kill -9 of both leaves a stale socket")
    d.start()
    t.same(try_session(d.socket), "continue", "which the next start takes over")


def test_in_the_way(t, d):
    path = d.directory.file("plain")
    with open(path, "w") as f:
        f.write("precious")
    code, err = start_again(d, config=with_listen(d, f"unix:{path}"))
    t.same(code, 69, "a regular file in the way: exit 69")
    t.has(err, "not a socket", "with the reason")
    with open(path) as f:
        t.same(f.read(), "precious", "and the file is left alone")
    code, err = start_again(d, config=with_listen(d, f"unix:{d.directory.file('no/such/m.sock')}"))
    t.ok(code == 69 and f"no directory {d.directory.file('no/such')}" in err, "a missing directory is named", code, err)
    long = d.directory.file("x" * 120)
    code, err = start_again(d, config=with_listen(d, f"unix:{long}"))
    t.ok(code == 78 and "107" in err, "a path that is too long: exit 78, and the limit is named", code, err)
    for listen in ("unix:relative/m.sock", "m.sock", "inet:8895", "inet:0@127.0.0.1", "inet:99999@127.0.0.1"):
        code, err = start_again(d, config=with_listen(d, listen))
        t.ok(code == 78 and "listen" in err, f"listen = {listen} is refused with exit 78", code, err)

    closed = d.directory.file("closed")
    os.mkdir(closed)
    os.chmod(closed, 0o555)
    config = with_listen(d, f"unix:{closed}/m.sock")
    if os.geteuid() == 0:
        nobody = Other(d)
        code, err = start_again(nobody, user=65534, config=config)
    else:
        code, err = start_again(d, config=config)
    t.ok(code == 77 and "must be writable" in err, "a directory without permission: exit 77 with the reason", code, err)
    if os.geteuid() == 0:
        inside = d.directory.file("inside")
        os.mkdir(inside)
        os.chown(inside, 65534, 65534)
        config = with_listen(d, f"unix:{inside}/m.sock")
        other = nobody.start(config, user=65534)
        warned = nobody.line(other, "cannot give")
        t.ok(warned and "gpasswd" in warned, "a group that cannot be set is a warning that names the remedy", warned)
        t.same(oct(os.stat(f"{inside}/m.sock").st_mode & 0o777), oct(0o660), "and the mode stays 0660")
        t.ok(processes.stop(other) and other.returncode == 0, "it ends well")


class Other:
    """A copy of the program at a place that any user can reach."""

    def __init__(self, daemon):
        self.directory = daemon.directory
        self.program = shutil.copy(daemon.program, daemon.directory.file("sme-milter-copy"))
        os.chmod(self.program, 0o755)
        self.config = None

    def start(self, config, user):
        return subprocess.Popen([self.program, "-c", config], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                user=user, group=user, extra_groups=[], env={})

    @staticmethod
    def line(process, part):
        """The line with that part, up to the one that says that it serves."""
        found = None
        for raw in process.stderr:
            line = raw.decode()
            if part in line:
                found = line
            if " serves " in line:
                return found
        return None


def test_tcp(t, d):
    port = processes.free_ports(1)[0]
    text = f'listen = "inet:{port}@127.0.0.1"\nstate_dir = "{d.directory.path}"\nlog {{ to = stderr }}\n' + OLD
    d.directory.write("sme-milter.conf", text)
    d.start()
    address = ("127.0.0.1", port)
    t.same(try_session(address), "continue", "TCP: a session is served")
    code, err = start_again(d)
    t.ok(code == 69 and "in use" in err, "TCP: a second start exits 69", code, err)
    d.kill9_child()
    t.same(try_session(address), "continue", "TCP: a new serving process serves")
    session = Session(address)
    d.process.send_signal(signal.SIGTERM)
    t.ok(d.notify.wait("STOPPING=1", d.notify.count("STOPPING=1") - 1, 5) and
         wait_for(lambda: not connects(address), 4), "TCP: after TERM nobody gets in")
    t.same(session.mail("bad@old.test"), "refused", "TCP: the open session is served")
    session.close()
    t.ok(wait_for(lambda: d.process.poll() is not None, 10) and d.process.returncode == 0, "TCP: and then it ends")
    d.configure(OLD)


def test_activation(t, d):
    path = d.directory.file("given.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as given:
        given.bind(path)
        given.listen(64)
        ready = d.notify.count("READY=1")
        shell = f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -c "$1" 3<&{given.fileno()}'
        p = processes.start(["/bin/bash", "-c", shell, d.program, d.config], stderr=subprocess.DEVNULL,
                            pass_fds=[given.fileno()], env=dict(os.environ, NOTIFY_SOCKET=d.notify.path))
        t.ok(d.notify.wait("READY=1", ready, 20), "socket activation: ready")
        t.same(try_session(path), "continue", "the given socket is served")
        t.ok(not os.path.exists(d.socket), "and that of the configuration is not made")
        child = processes.children(p.pid)
        os.kill(child[0], signal.SIGKILL)
        t.same(try_session(path), "continue", "a new serving process serves it as well")
        t.ok(processes.stop(p) and p.returncode == 0, "TERM ends it")
        t.ok(os.path.exists(path), "the given path is not ours to remove")
        t.ok(connects(path), "and still listens")


class Hung(threading.Thread):
    """A daemon whose child stops answering; watched in the background, for it takes 10 s."""

    def __init__(self):
        super().__init__()
        self.daemon_ = Daemon(OLD)
        os.environ["WATCHDOG_USEC"] = "1500000"  # a ping every 0.5 s
        try:
            self.daemon_.start()
        finally:
            del os.environ["WATCHDOG_USEC"]
        self.notified = self.daemon_.notify.wait("WATCHDOG=1", 1, 10)
        self.old = self.daemon_.children()[0]
        os.kill(self.old, signal.SIGSTOP)
        self.began = time.monotonic()
        self.still = self.replaced = self.new = self.answer = self.again = None
        self.start()

    def run(self):
        d = self.daemon_
        time.sleep(1)
        count = d.notify.count("WATCHDOG=1")
        line = d.wait_line("has not answered", 30)
        self.still = d.notify.count("WATCHDOG=1") == count
        self.replaced = line and time.monotonic() - self.began
        self.new = wait_for(lambda: [c for c in d.children() if c != self.old], 10)
        self.answer = try_session(d.socket)
        self.again = d.notify.wait("WATCHDOG=1", count, 10)

    def report(self, t):
        self.join()
        t.ok(self.notified, "WATCHDOG=1 is sent while the serving process answers")
        t.ok(self.still, "not while it does not")
        t.ok(self.replaced and 8 < self.replaced < 14, "a serving process that hangs is killed after 10 s",
             self.replaced, self.daemon_.text())
        t.ok(self.new, "another takes its place")
        t.same(self.answer, "continue", "and serves")
        t.ok(self.again, "and WATCHDOG=1 comes again")
        self.daemon_.close()


class NeverEnding(threading.Thread):
    """A session that does not end while the daemon drains; watched in the background, for it takes 20 s."""

    def __init__(self):
        super().__init__()
        self.daemon_ = Daemon(OLD).start()
        self.session = Session(self.daemon_.socket)
        self.took = None
        self.start()

    def run(self):
        began = time.monotonic()
        self.daemon_.process.send_signal(signal.SIGTERM)
        wait_for(lambda: self.daemon_.process.poll() is not None, 40)
        self.took = time.monotonic() - began

    def report(self, t):
        self.join()
        t.same(self.daemon_.process.returncode, 0, "a session that never ends is cut, exit 0")
        t.ok(18 < self.took < 23, "after 20 s", self.took)
        t.ok(self.daemon_.wait_line("1 session did not end", 5), "and the log says how many were", self.daemon_.text())
        self.session.close()
        self.daemon_.close()


def main(t):
    hung, never_ending = Hung(), NeverEnding()
    with Daemon(OLD) as d:
        test_command_line(t, d)
        test_start(t, d)
        test_second_start(t, d)
        test_child_killed(t, d)
        test_reload(t, d)
        test_reload_under_load(t, d)
        test_term(t, d)
        test_term_idle_and_twice(t, d)
        test_supervisor_killed(t, d)
        test_both_killed(t, d)
        test_in_the_way(t, d)
        t.same(d.stop(), 0, "the end is a clean one")
        t.ok(not os.path.exists(d.socket), "and leaves no socket")
        test_tcp(t, d)
        test_activation(t, d)
        if t.failed:
            t.diag(d.text(60))
    hung.report(t)
    never_ending.report(t)


tap.run(main, needs_postfix=False)
