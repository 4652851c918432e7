"""private_root.py - the machine's files with a layer above that is gone with the test: packages can be installed in it.

What is written there stays in memory, in a mount namespace of its own; the machine's dpkg knows nothing of it. Neither
is there a network, nor a running systemd, nor any process of the machine."""
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

import processes

# /dev is the machine's; /run is empty, so nothing is started by installing. Ends when its standard input does.
MOUNTS = """
set -e
cd "$1"
mount -t tmpfs none layer
mkdir layer/upper layer/work
mount -t overlay none -o lowerdir=/,upperdir=layer/upper,workdir=layer/work root
mount -t proc none root/proc
mount --rbind /dev root/dev
mount -t tmpfs none root/run
mount -t tmpfs none root/tmp
chmod 1777 root/tmp
mkdir root/run/lock
ip link set lo up 2>/dev/null || true
echo ready
read nothing || true
"""


class PrivateRoot:
    """The root after start(); `why_not` says why there is none."""

    def __init__(self, directory):
        self.top = directory.file("private")
        self.root = os.path.join(self.top, "root")
        self.holder = None
        self.pid = None
        self.why_not = None

    def start(self):
        for tool in ("unshare", "nsenter", "chroot"):
            if not shutil.which(tool):
                self.why_not = f"{tool} is not installed"
                return False
        os.makedirs(os.path.join(self.top, "layer"))
        os.makedirs(self.root)
        # nsenter needs a pid: that of the shell, which is unshare's only child.
        self.holder = processes.start(
            ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child",
             "sh", "-c", MOUNTS, "sh", self.top],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.holder.stdout.readline() != b"ready\n":
            self.why_not = "no layer can be mounted: " + self.holder.stderr.read().decode("utf-8", "replace").strip()
            return False
        self.pid = processes.children(self.holder.pid)[0]
        return True

    def inside(self, path):
        """A path of the private root, as it can be opened from outside."""
        return f"/proc/{self.pid}/root{self.root}/{path.lstrip('/')}"

    def upper(self):
        """What was written since: path inside -> path to open, for files and links."""
        top = f"/proc/{self.pid}/root{self.top}/layer/upper"
        found = {}
        for folder, folders, files in os.walk(top):
            for name in folders + files:
                path = os.path.join(folder, name)
                found[path[len(top):]] = path
        return found

    def command(self, *command):
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-i", "-u", "chroot", self.root, "env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
                *command]

    def run(self, *command):
        """(exit code, what it said on both outputs)"""
        done = subprocess.run(self.command(*command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, cwd="/")
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def sh(self, script):
        return self.run("sh", "-c", script)

    def start_in(self, *command, **how):
        """nsenter, whose only child is the command: signals are for that one."""
        return processes.start(self.command(*command), cwd="/", **how)

    def stop(self):
        if self.holder:
            self.holder.stdin.close()
            processes.stop(self.holder, 5)
            self.holder.stdout.close()
            self.holder.stderr.close()
