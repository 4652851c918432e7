"""wiring.py - a Postfix configuration to be changed by `postfix snippet`: its files, and what is asked of them."""
import os
import shlex
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

import processes
from tap import build_dir

CTL = os.path.join(build_dir(), "sme-milterctl")


def ctl(*words, config=None, env=None, user=None):
    command = [CTL] + (["-c", config] if config else []) + list(words)
    return subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", timeout=60, env=env,
                          user=user)


def postconf(directory, *words):
    return subprocess.run(["postconf", "-c", directory, *words], capture_output=True, text=True,
                          errors="surrogateescape", timeout=60)


def commands(text):
    """The printed commands as lists of words; everything else must be a comment or an empty line."""
    found, strange = [], []
    for line in text.splitlines():
        if line.startswith("postconf "):
            found.append(shlex.split(line))
        elif line and not line.startswith("# "):
            strange.append(line)
    return found, strange


def settings(text):
    """What the commands set: {"name": value} for main.cf, {"smtp/inet/name": value} and {"smtp/inet": entry}."""
    values = {}
    for words in commands(text)[0]:
        if words[-2] == "-MX":
            values[words[-1]] = None
            continue
        name, value = words[-1].split("=", 1)
        values[name.strip()] = value.strip()
    return values


class Sandbox:
    """A configuration directory as Debian installs it, with a queue of its own."""

    def __init__(self):
        self.directory = processes.Directory()
        self.conf = self.directory.file("conf")
        os.makedirs(self.conf)
        for name in ("queue", "data"):
            os.makedirs(self.directory.file(name))
        shutil.chown(self.directory.file("data"), "postfix")
        os.chmod(self.directory.file("data"), 0o700)
        shutil.copy("/usr/share/postfix/master.cf.dist", os.path.join(self.conf, "master.cf"))
        self.write("")
        self.config = self.directory.write("sme-milter.conf", "")

    def write(self, more):
        self.directory.write("conf/main.cf", f"""compatibility_level = 3.6
queue_directory = {self.directory.file("queue")}
data_directory = {self.directory.file("data")}
maillog_file = {self.directory.file("mail.log")}
maillog_file_prefixes = {self.directory.path}
alias_maps =
myhostname = mx.here.test
mynetworks = 127.0.0.0/8 [::1]/128
inet_interfaces = loopback-only
{more}""")

    def snippet(self, *words, env=None, user=None):
        return ctl("postfix", "snippet", "--config-dir", self.conf, *words, config=self.config, env=env, user=user)

    def apply(self, text):
        """Really run the lines, as an administrator would. What they said, which should be nothing."""
        shell = subprocess.run(["sh", "-e", "-u"], input=text, capture_output=True, text=True, timeout=300)
        return shell.returncode, shell.stdout + shell.stderr

    def files(self):
        return [open(os.path.join(self.conf, name), errors="surrogateescape").read()
                for name in ("main.cf", "master.cf")]

    def says(self):
        """What Postfix reads there: postconf -n and -M."""
        return [postconf(self.conf, flag).stdout for flag in ("-n", "-M")]

    def value(self, name):
        return postconf(self.conf, "-hx", name).stdout.strip()

    def option(self, name):
        return postconf(self.conf, "-Ph", name).stdout.strip()

    def check(self):
        done = subprocess.run(["postfix", "-c", self.conf, "check"], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.directory.remove()
