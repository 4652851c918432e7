#!/usr/bin/python3
"""systemd.t - the unit, the users and the directories, judged by systemd's own tools. Needs no running systemd.

SME_UNIT names the generated unit; without it systemd/sme-milter.service of the build, or else the template is taken."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap

EXPOSURE_MOST = 2.0


def read(path):
    with open(path) as f:
        return f.read()


def unit_text():
    named = os.environ.get("SME_UNIT")
    for path in [named] if named else [os.path.join(top, "systemd", "sme-milter.service")
                                       for top in (tap.build_dir(), tap.TOP)]:
        if os.path.exists(path):
            return read(path), path
    template = os.path.join(tap.TOP, "systemd", "sme-milter.service.in")
    return read(template).replace("@sbindir@", "/usr/sbin"), template


def tool(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60, env=dict(os.environ, LC_ALL="C.UTF-8", SYSTEMD_COLORS="0", SYSTEMD_PAGER=""))
    return done.returncode, done.stdout.decode("utf-8", "replace")


def test_unit(t, directory):
    text, where = unit_text()
    t.note(f"unit: {where}")
    t.ok("@" not in re.sub(r"SystemCallFilter=.*", "", re.sub(r"(?m)^#.*", "", text)), "nothing is left to substitute")
    t.ok(re.search(r"(?m)^ExecStart=/\S*/sme-milter$", text), "ExecStart is an absolute path to sme-milter")
    path = directory.write("sme-milter.service", text)
    code, out = tool("systemd-analyze", "security", "--offline=true", path)
    level = re.search(r"exposure level for sme-milter.service: (\d+\.\d+)", out)
    t.ok(code == 0 and level and float(level.group(1)) <= EXPOSURE_MOST,
         f"the exposure is {level and level.group(1)}, at most {EXPOSURE_MOST}", out)
    # verify wants the program to be there, so it judges the unit with another one.
    directory.write("sme-milter.service", re.sub(r"(?m)^ExecStart=.*", "ExecStart=" + shutil.which("true"), text))
    code, out = tool("systemd-analyze", "verify", path)
    t.same((code, out), (0, ""), "systemd-analyze verify is silent")
    directory.write("sme-milter.service", text + "\n[Service]\nNoSuchThing=yes\n")
    t.has(tool("systemd-analyze", "verify", path)[1], "NoSuchThing", "which it is not about a wrong unit")

    def value(key):
        return re.findall(rf"(?m)^{key}=(.*)$", text)
    for key, wanted in {"Type": "notify", "NotifyAccess": "main", "KillMode": "mixed", "Restart": "on-failure",
                        "RestartPreventExitStatus": "64 78", "ExecReload": "/bin/kill -HUP $MAINPID",
                        "User": "sme-milter", "Group": "sme-milter", "RuntimeDirectory": "sme-milter",
                        "RuntimeDirectoryMode": "0755", "StateDirectory": "sme-milter"}.items():
        t.same(value(key), [wanted], f"{key}={wanted}")
    t.ok(int(value("TimeoutStopSec")[0]) > 20, "systemd waits longer for the end than the daemon for its sessions")
    t.ok(int(value("WatchdogSec")[0]) > 10, "and longer for a sign of life than the supervisor for its child")
    t.same(sorted(value("RestrictAddressFamilies")[0].split()), ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"],
           "the address families that are needed")


def test_users(t, directory):
    if os.geteuid() != 0:
        return t.note("users and directories are made by root only, and not tested here")
    root = directory.file("root")
    os.makedirs(os.path.join(root, "etc"))
    sysusers = directory.write("sme-milter.conf", read(os.path.join(tap.TOP, "systemd", "sme-milter.sysusers")))
    code, out = tool("systemd-sysusers", f"--root={root}", sysusers)
    t.same(code, 0, "systemd-sysusers takes its file")
    passwd, group = read(os.path.join(root, "etc/passwd")), read(os.path.join(root, "etc/group"))
    t.ok(re.search(r"(?m)^sme-milter:", passwd), "the user is made", passwd, out)
    t.ok(re.search(r"(?m)^postfix:[^:]*:\d+:sme-milter$", group), "as a member of group postfix, which is made as well",
         group)
    ids = {line.split(":")[0]: int(line.split(":")[2]) for line in passwd.splitlines()}
    tmpfiles = directory.write("tmpfiles.conf", read(os.path.join(tap.TOP, "systemd", "sme-milter.tmpfiles")))
    code, out = tool("systemd-tmpfiles", "--create", f"--root={root}", tmpfiles)
    t.same((code, out), (0, ""), "systemd-tmpfiles takes its file")
    for path, mode in {"run/sme-milter": 0o755, "var/lib/sme-milter": 0o750}.items():
        st = os.stat(os.path.join(root, path))
        t.same((oct(st.st_mode & 0o7777), st.st_uid), (oct(mode), ids.get("sme-milter")), f"/{path} is made")


def main(t):
    directory = processes.Directory()
    try:
        test_unit(t, directory)
        test_users(t, directory)
    finally:
        directory.remove()


if not shutil.which("systemd-analyze"):
    tap.skip_all("systemd's tools are not installed")
tap.run(main, needs_postfix=False)
