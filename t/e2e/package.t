#!/usr/bin/python3
"""package.t - the tarball is the same whoever packs it; Debian's package is built of it, judged by lintian, installed,
upgraded, removed and purged in a private copy of this machine; the RPM's spec file names the same files."""
import fnmatch
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import private_root
import processes
import tap

NEEDED = {"dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "lintian": "lintian", "autoreconf": "autoconf", "xz": "xz-utils"}
SOCKET = "/run/sme-milter/milter.sock"
# What Debian has no macros for.
RPM_PLACES = {"_unitdir": "/usr/lib/systemd/system", "_sysusersdir": "/usr/lib/sysusers.d",
              "_tmpfilesdir": "/usr/lib/tmpfiles.d", "_pkgdocdir": "/usr/share/doc/sme-milter",
              "_sharedstatedir": "/var/lib", "_libexecdir": "/usr/libexec"}


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def run(command, cwd, seconds=250, **environment):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=seconds, env={**os.environ, "LC_ALL": "C.UTF-8", **environment})
    return done.returncode, done.stdout.decode("utf-8", "replace")


def must(command, cwd, **environment):
    code, out = run(command, cwd, **environment)
    if code != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {code}\n{out[-3000:]}")
    return out


def only(pattern):
    found = glob.glob(pattern)
    if len(found) != 1:
        raise RuntimeError(f"{pattern}: {found}")
    return found[0]


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


# ---- the tarball

def pack(source, place, umask, zone):
    """`make dist` of a source, in a directory of its own; the tarball's path."""
    os.makedirs(place)
    before = os.umask(umask)
    try:
        must([os.path.join(source, "configure")], place, TZ=zone)
        must(["make", "dist"], place, TZ=zone)
    finally:
        os.umask(before)
    return only(os.path.join(place, "sme-milter-*.tar.xz"))


def test_tarball(t, directory):
    """Returns the unpacked tarball."""
    first = pack(tap.TOP, directory.file("pack"), 0o022, "UTC")
    name = os.path.basename(first)[:-len(".tar.xz")]
    with tarfile.open(first) as tar:
        members = tar.getmembers()
        tar.extractall(directory.path)
    t.ok(all(m.name == name or m.name.startswith(name + "/") for m in members), "all is in one folder")
    t.same({(m.uid, m.gid, m.uname, m.gname) for m in members}, {(0, 0, "", "")}, "nothing has an owner")
    date = re.search(r"(?m)^[0-9.]+, (\S+)$", read(os.path.join(tap.TOP, "CHANGELOG"))).group(1)
    midnight = int(must(["date", "-u", "-d", date, "+%s"], "/"))
    t.same({m.mtime for m in members}, {midnight}, "every file is of the release's day")
    t.ok(not [m.name for m in members if re.search(r"__pycache__|\.pyc$|\.o$|~$|autom4te", m.name)], "no rubbish",
         [m.name for m in members if "__pycache__" in m.name])
    if os.path.exists(os.path.join(tap.TOP, ".git")) and shutil.which("git"):
        listed = must(["git", "-c", "safe.directory=*", "ls-files"], tap.TOP).split("\n")
        there = {m.name[len(name) + 1:] for m in members}
        missing = [f for f in listed if f and f != ".gitignore" and f not in there and os.path.exists(f"{tap.TOP}/{f}")]
        t.same(missing, [], "every file of the checkout is in it")
    source = directory.file(name)
    again = pack(source, directory.file("again"), 0o077, "Pacific/Auckland")
    t.same(digest(again), digest(first), "unpacked and packed again elsewhere, by a stricter umask, it is the same")
    write(os.path.join(source, "README"), read(os.path.join(source, "README")) + "\n")
    must(["make", "dist"], directory.file("again"))
    t.ok(digest(again) != digest(first), "and another one when one byte is more")
    return source


def test_versions(t):
    version = re.search(r"AC_INIT\(\[sme-milter\], \[([^]]+)\]", read(os.path.join(tap.TOP, "configure.ac"))).group(1)
    for path, pattern in {"CHANGELOG": r"(?m)^([0-9][0-9.]*), ", "debian/changelog": r"\Asme-milter \(([^-)]+)-",
                          "packaging/sme-milter.spec": r"(?m)^Version: +(\S+)"}.items():
        found = re.search(pattern, read(os.path.join(tap.TOP, path)))
        t.same(found and found.group(1), version, f"{path} begins with the version of configure.ac")
    for_building = re.search(r'(?s)packages_for_building="(.*?)"', read(os.path.join(tap.TOP, "bootstrap"))).group(1)
    wanted = set(re.findall(r"(?m)^(lib\S+-dev) ", for_building)) - {"libc6-dev"}
    control = read(os.path.join(tap.TOP, "debian/control"))
    t.same(wanted - set(re.findall(r"(?m)^ (lib[^\s,]+-dev)\b", control)), set(),
           "what bootstrap installs for building is in Build-Depends")
    t.ok(len(wanted) > 10, "which is not nothing")


# ---- Debian's package

class Debs:
    def __init__(self, directory, source):
        """Two packages of one build: the present, and one with an older version and a file that is gone since."""
        place = os.path.dirname(source)
        # The package's own tests are run elsewhere; without them and with less optimization it takes half the time.
        options = {"DEB_BUILD_OPTIONS": "nocheck parallel=2", "DEB_CFLAGS_APPEND": "-O1"}
        self.build = must(["dpkg-buildpackage", "-us", "-uc", "-b"], source, **options)
        self.changes = only(os.path.join(place, "sme-milter_*.changes"))
        self.present = only(os.path.join(place, "sme-milter_*.deb"))
        self.symbols = only(os.path.join(place, "sme-milter-dbgsym_*.deb"))
        self.version = os.path.basename(self.present).split("_")[1]
        changelog = os.path.join(source, "debian/changelog")
        write(changelog, read(changelog).replace(f"({self.version})", f"({OLDER})", 1))
        write(os.path.join(source, "debian/OLD"), "Gone since.\n")
        write(os.path.join(source, "debian/sme-milter.docs"), "debian/OLD\n")
        must(["debian/rules", "binary"], source, **options)
        self.previous = only(os.path.join(place, f"sme-milter_{OLDER}_*.deb"))


OLDER = "0.0.9-1"


def test_build(t, debs):
    t.hasnt(debs.build, "dh_missing: warning", "all that is installed is in the package")
    code, out = run(["lintian", "--allow-root", "--fail-on", "error,warning", debs.changes], "/")
    t.ok(code == 0, "lintian finds neither errors nor warnings", out)
    listing = must(["dpkg-deb", "-c", debs.present], "/")
    for path in ("./usr/sbin/sme-milter", "./usr/sbin/sme-milterctl", "./usr/libexec/sme-milter/sme-milter-worker",
                 "./lib/systemd/system/sme-milter.service", "./usr/share/man/man8/sme-milterctl.8.gz",
                 "./usr/share/bash-completion/completions/sme-milterctl",
                 "./usr/share/zsh/vendor-completions/_sme-milterctl",
                 "./usr/share/doc/sme-milter/README.Debian", "./usr/share/doc/sme-milter/sme-milter.conf.sample"):
        t.ok(re.search(rf"(?m) {re.escape(path)}$", listing), f"{path[1:]} is in it")
    t.ok(not re.search(r"(?m)^-.* \./etc/", listing), "no file is installed in /etc", listing)
    t.has(must(["dpkg-deb", "-c", debs.symbols], "/"), ".debug", "the debug symbols have a package of their own")


def postfix_files(root):
    """The digests of what Postfix is told by."""
    return root.sh("cd /etc/postfix 2>/dev/null && sha256sum main.cf master.cf")


def make_machine(root):
    """As if the package had never been here, and with a Postfix that is configured."""
    root.sh("dpkg --purge sme-milter; userdel sme-milter; groupdel sme-milter; rm -rf /etc/sme-milter "
            "/var/lib/sme-milter; mkdir -p /etc/postfix; cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf; "
            "printf 'compatibility_level = 3.6\\n' > /etc/postfix/main.cf")


def put(root, *debs):
    for deb in debs:
        shutil.copy(deb, root.inside("/root"))


def dpkg_install(root, deb):
    return root.run("dpkg", "--install", "/root/" + os.path.basename(deb))


def state_of(root):
    return root.run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "sme-milter")[1]


def test_install(t, root, debs):
    before = postfix_files(root)
    code, out = dpkg_install(root, debs.previous)
    t.ok(code == 0, "the package is installed", out)
    t.same(state_of(root), f"installed {OLDER}", "in its version")
    t.has(root.run("id", "sme-milter")[1], "(postfix)", "its user is there, a member of group postfix")
    t.ok(re.search(r":/var/lib/sme-milter:.*nologin$", root.run("getent", "passwd", "sme-milter")[1].strip()),
         "who cannot log in")
    for path, wanted in {"/etc/sme-milter": "755 root:root", "/var/lib/sme-milter": "750 sme-milter:sme-milter",
                         "/run/sme-milter": "755 sme-milter:sme-milter"}.items():
        t.same(root.run("stat", "-c", "%a %U:%G", path)[1].strip(), wanted, f"{path} is {wanted}")
    t.same(root.run("ls", "-A", "/etc/sme-milter"), (0, ""), "no configuration is installed")
    t.same(enabled(root), {"sme-milter.service"}, "the daemon is enabled, and no timer")
    t.same(postfix_files(root), before, "Postfix is not told anything")
    t.same(root.sh("bash -n /usr/share/bash-completion/completions/sme-milterctl"), (0, ""), "the completion is a script")


def enabled(root):
    return set(root.sh("find /etc/systemd/system -name 'sme-milter*' -printf '%f\\n'")[1].split())


def end(root, daemon):
    """nsenter has forked to get into the namespace of pids: the daemon is its child, and it ends with it."""
    for pid in processes.children(daemon.pid):
        os.kill(pid, signal.SIGTERM)
    ended = tap.wait_for(lambda: daemon.poll() is not None, 30)
    processes.stop(daemon)
    return ended and daemon.returncode == 0 and not os.path.exists(root.inside(SOCKET))


def test_runs(t, root, what):
    """The installed daemon, as its user, with all that it starts."""
    daemon = root.start_in("setpriv", "--reuid=sme-milter", "--regid=sme-milter", "--init-groups",
                           "--bounding-set=-all", "/usr/sbin/sme-milter",
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        t.ok(tap.wait_for(lambda: os.path.exists(root.inside(SOCKET)), 20), f"{what}: the daemon listens")
        answers = tap.wait_for(lambda: root.run("sme-milterctl", "stats")[0] == 0, 20)
        t.ok(answers, f"{what}: it answers sme-milterctl", root.run("sme-milterctl", "stats")[1])
        t.same(root.run("stat", "-c", "%G", SOCKET)[1].strip(), "postfix", f"{what}: the socket is Postfix's group's")
    finally:
        ended = end(root, daemon)
    t.ok(ended, f"{what}: it ends when it is told to, with status 0 and without its socket")


def make_state(t, root):
    """What an administrator has after a while."""
    write(root.inside("/etc/sme-milter/sme-milter.conf"), 'local_domains = {"example.org"}\n')
    t.same(root.run("sme-milter", "-t")[0], 0, "a configuration is written")
    code, out = root.run("sme-milterctl", "dkim", "new", "example.org", "s1")
    t.ok(code == 0, "and keys are made", out)
    code, out = root.run("setpriv", "--reuid=sme-milter", "--regid=sme-milter", "--init-groups", "sme-milterctl",
                         "karma", "capture", "192.0.2.7")
    t.ok(code == 0, "and a client is in the penalty box", out)
    root.run("systemctl", "--root=/", "enable", "sme-milter-dmarc.timer")
    t.same(enabled(root), {"sme-milter.service", "sme-milter-dmarc.timer"}, "and a timer is enabled")


def kept(root):
    """What no upgrade and no removal may change."""
    return root.sh("cd / && find etc/sme-milter var/lib/sme-milter -printf '%p %m %u:%g\\n' | sort; "
                   "find etc/sme-milter -type f -exec sha256sum {} + | sort")[1]


def test_upgrade(t, root, debs):
    before = kept(root), postfix_files(root), enabled(root)
    t.has(before[0], "s1", "before the upgrade there are keys")
    t.has(before[0], "karma.sqlite", "and karma")
    t.has(root.run("ls", "/usr/share/doc/sme-milter")[1], "OLD", "the older package has a file more")
    code, out = dpkg_install(root, debs.present)
    t.ok(code == 0, "the package is upgraded", out)
    t.same(state_of(root), f"installed {debs.version}", "to its version")
    t.hasnt(out, "not understood", "and finds no fault with the configuration")
    t.same((kept(root), postfix_files(root), enabled(root)), before,
           "configuration, keys, karma, Postfix and what is enabled are as they were")
    t.hasnt(root.run("ls", "/usr/share/doc/sme-milter")[1], "OLD", "the file is gone")
    t.has(root.run("sme-milterctl", "karma", "show", "192.0.2.7")[1], "penalty", "the client is still in the box")
    path = root.inside("/etc/sme-milter/sme-milter.conf")
    good = read(path)
    write(path, good + "loca_domains = {}\n")
    code, out = dpkg_install(root, debs.present)
    t.same((code, state_of(root)), (0, f"installed {debs.version}"), "a wrong configuration stops no upgrade")
    t.has(out, "sme-milter.conf:2", "but it is told where it is wrong")
    t.has(out, "mend it", "and what to do")
    write(path, good)


def test_remove(t, root, debs):
    before = kept(root)
    t.hasnt(root.run("dpkg", "--remove", "sme-milter")[1], "Postfix still asks", "who has not wired Postfix is not warned")
    dpkg_install(root, debs.present)
    root.run("postconf", "-e", "smtpd_milters=unix:" + SOCKET)
    files = postfix_files(root)
    code, out = root.run("dpkg", "--remove", "sme-milter")
    t.ok(code == 0, "the package is removed", out)
    t.has(out, "Postfix still asks this filter", "and it is told that Postfix asks for it still")
    t.same(postfix_files(root), files, "which is left to the administrator")
    t.same(root.sh("ls /usr/sbin/sme-milter* /usr/libexec/sme-milter /lib/systemd/system/sme-milter* 2>/dev/null")[1], "",
           "programs and units are gone")
    t.same(kept(root), before, "configuration, keys and karma stay")
    dpkg_install(root, debs.present)
    t.has(root.run("sme-milterctl", "karma", "show", "192.0.2.7")[1], "penalty", "and are used when it is back")


def test_purge(t, root):
    keys = root.sh("find /etc/sme-milter -type f | sort")[1]
    code, out = root.run("dpkg", "--purge", "sme-milter")
    t.ok(code == 0, "the package is purged", out)
    t.has(out, "/etc/sme-milter is kept", "which says what it leaves")
    t.same(root.sh("find /etc/sme-milter -type f | sort")[1], keys, "and leaves it: configuration and keys")
    t.ok("sme-milter.conf" in keys and "example.org" in keys, "which are there")
    for path in ("/var/lib/sme-milter", "/run/sme-milter"):
        t.ok(not os.path.exists(root.inside(path)), f"{path} is gone")
    left = [path for path, where in root.upper().items()
            if "sme-milter" in path and os.path.lexists(where) and not path.startswith("/etc/sme-milter")
            and not path.startswith("/root/") and not is_hole(where)]
    t.same(left, [], "and everything else")
    t.same(root.run("id", "sme-milter")[0], 0, "but the user, whose number nobody else shall get")


def is_hole(path):
    """What overlayfs writes for a file of the machine that was removed: a device without numbers."""
    st = os.lstat(path)
    return st.st_rdev == 0 and (st.st_mode & 0o170000) == 0o020000


def own_database():
    done = subprocess.run(["dpkg-query", "-W", "sme-milter"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout


def test_machine(t, directory, debs):
    if os.geteuid() != 0:
        return t.note("packages are installed by root only, and not here")
    before = own_database()
    root = private_root.PrivateRoot(directory)
    try:
        if not root.start():
            return t.note(f"not installed: {root.why_not}")
        make_machine(root)
        put(root, debs.present, debs.previous)
        test_install(t, root, debs)
        test_runs(t, root, "as installed")
        make_state(t, root)
        test_upgrade(t, root, debs)
        test_runs(t, root, "as upgraded")
        test_remove(t, root, debs)
        test_purge(t, root)
    finally:
        root.stop()
    t.same(own_database(), before, "this machine's own packages are as they were")


# ---- the RPM

def test_spec(t, deb):
    if not shutil.which("rpmspec"):
        return t.note("rpm is not installed: its spec file is not looked at")
    defines = [word for name, value in RPM_PLACES.items() for word in ("--define", f"{name} {value}")]
    code, out = run(["rpmspec", *defines, "-P", os.path.join(tap.TOP, "packaging/sme-milter.spec")], "/")
    t.ok(code == 0, "rpmspec understands the spec file", out)
    patterns = []
    for line in out.partition("\n%files\n")[2].partition("\n%changelog")[0].split("\n"):
        path = line.split()[-1] if line.split() else ""
        if path.startswith("/"):
            patterns.append(path)
    files = [line.split()[-1][1:] for line in must(["dpkg-deb", "-c", deb], "/").splitlines()
             if line.startswith("-") and "/lintian/" not in line]
    where = {"/lib/systemd": "/usr/lib/systemd", "/usr/share/zsh/vendor-completions": "/usr/share/zsh/site-functions"}
    for there, here in where.items():
        files = [re.sub(f"^{there}", here, path) for path in files]

    def is_named(path):
        return any(fnmatch.fnmatch(path, p) or path.startswith(p + "/") for p in patterns if p != "/usr")
    t.same([path for path in files if not is_named(path)], [], "and it names every file of Debian's package")
    t.same([p for p in patterns if not any(fnmatch.fnmatch(path, p) or path.startswith(p + "/") for path in files)
            and not p.startswith(("/etc/", "/var/"))], [], "and none that is not there")


def is_sanitized():
    try:
        return "--enable-sanitizers" in read(os.path.join(tap.build_dir(), "config.status"))
    except OSError:
        return False


def main(t):
    directory = processes.Directory()
    try:
        test_versions(t)
        debs = Debs(directory, test_tarball(t, directory))
        test_build(t, debs)
        test_spec(t, debs.present)
        test_machine(t, directory, debs)
    finally:
        directory.remove()


missing = sorted(package for program, package in NEEDED.items() if not shutil.which(program))
if missing:
    tap.skip_all("not installed: " + " ".join(missing))
if is_sanitized():
    tap.skip_all("packages are built with flags of their own, beside the plain build")
if not os.path.exists(os.path.join(tap.TOP, "configure")):
    tap.skip_all("there is no configure yet: run ./bootstrap build")
tap.run(main, needs_postfix=False)
