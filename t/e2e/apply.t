#!/usr/bin/python3
"""`postfix snippet --apply` and --revert: Postfix is changed, or not at all, and becomes what it was."""
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import processes
import tap as taps
from house import House
from postfix import INNER_SERVICES, Postfix
from smtp import Smtp, mail_text
from wiring import Sandbox, commands, postconf, settings

REVERT = "sme-milter.revert"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Box(Sandbox):
    """The sandbox, with a setting that --apply replaces, one it never touches, and comments in odd places."""

    def __init__(self):
        super().__init__()
        self.write("smtpd_milters = inet:localhost:18891,\n# in between\n   unix:/run/mine.sock\n"
                   "smtpd_relay_restrictions =  permit_mynetworks,  defer_unauth_destination\n"
                   "# the last one\nsmtpd_error_sleep_time = 3s\n")
        self.revert_file = os.path.join(self.conf, REVERT)
        self.fakes = 0

    def with_fakes(self, **scripts):
        """An environment where these programs are found before Postfix's own."""
        self.fakes += 1
        for name, text in scripts.items():
            self.directory.write(f"bin{self.fakes}/{name}", text, 0o755)
        return dict(os.environ, PATH=self.directory.file(f"bin{self.fakes}") + ":" + SYSTEM_PATH)

    def is_clean(self, before, tap, name):
        names = sorted(os.listdir(self.conf))
        tap.ok(self.says() == before and names == ["main.cf", "master.cf"], name, names,
               *[f"{b!r}\n{n!r}" for b, n in zip(before, self.says()) if b != n])


def real(program):
    return shutil.which(program, path=SYSTEM_PATH)


def there_and_back(tap):
    with Box() as box:
        files, before = box.files(), box.says()
        dry = box.snippet("--apply", "-n")
        tap.ok(dry.returncode == 0 and "+non_smtpd_milters =\n" in dry.stdout, "--apply -n shows", dry.stderr)
        tap.has(dry.stdout, "-smtpd_milters = inet:localhost:18891, unix:/run/mine.sock\n"
                "+smtpd_milters = unix:/run/sme-milter/milter.sock,inet:localhost:18891,unix:/run/mine.sock\n",
                "what is, and what will be")
        tap.has(dry.stdout, "-smtp inet n - y - - smtpd\n+smtp inet n - n - 40 smtpd\n"
                "+    -o milter_macro_daemon_name=", "of a service too")
        tap.ok(box.files() == files and sorted(os.listdir(box.conf)) == ["main.cf", "master.cf"], "and changes nothing")

        printed = box.snippet()
        done = box.snippet("--apply")
        tap.same((done.returncode, done.stderr), (0, ""), "--apply: exit 0")
        tap.ok(done.stdout.startswith(dry.stdout), "it shows the same first", done.stdout, dry.stdout)
        tap.has(done.stdout, "postfix -c '" + box.conf + "' reload", "and who reloads")
        as_applied = box.says()
        tap.same(settings(box.snippet().stdout), settings(printed.stdout), "what it would print is what it has done")
        tap.same(box.check(), (0, ""), "postfix check has nothing to say")
        mode = stat.S_IMODE(os.stat(box.revert_file).st_mode)
        tap.same(mode, 0o600, "what there was is kept, for root's eyes")

        once, kept = box.files(), open(box.revert_file).read()
        again = box.snippet("--apply")
        tap.ok(again.returncode == 0 and again.stdout == "Postfix has it all already: nothing to change.\n",
               "a second --apply has nothing to do", again.stdout, again.stderr)
        tap.ok(box.files() == once and open(box.revert_file).read() == kept, "and does nothing")

        dry = box.snippet("--revert", "--dry-run")
        tap.ok(dry.returncode == 0 and "-non_smtpd_milters =\n" in dry.stdout and box.files() == once,
               "--revert -n shows, and changes nothing", dry.stdout, dry.stderr)
        back = box.snippet("--revert")
        tap.same((back.returncode, back.stderr), (0, ""), "--revert: exit 0")
        box.is_clean(before, tap, "postconf -n and -M are what they were, and the memory is gone")
        tap.ok(box.files() == files, "with all their comments")
        tap.same(stat.S_IMODE(os.stat(os.path.join(box.conf, "main.cf")).st_mode), 0o644, "and the rights they had")
        tap.same(box.snippet("--revert").returncode, 66, "a second --revert: there is nothing to take back, exit 66")

        # The lines by hand, and --apply, come to the same.
        box.apply(printed.stdout)
        tap.same(box.says(), as_applied, "the printed lines make the same of it")
        tap.has(box.snippet("--apply").stdout, "nothing to change", "so that --apply finds nothing to do after them")


def several(tap):
    """--apply on top of --apply, and an administrator in between."""
    with Box() as box:
        files, before = box.files(), box.says()
        box.snippet("--apply")
        more = box.snippet("--apply", "--hostname", "mail.example.org", "--networks", "192.0.2.0/24")
        tap.ok(more.returncode == 0 and "-myhostname = mx.here.test\n+myhostname = mail.example.org\n" in more.stdout,
               "--apply with more settings changes only these", more.stdout, more.stderr)
        tap.ok(len(more.stdout.splitlines()) < 9, "and shows only these", more.stdout)
        box.snippet("--revert")
        box.is_clean(before, tap, "--revert goes back to before the first")
        tap.ok(box.files() == files, "byte by byte")

        box.snippet("--apply")
        postconf(box.conf, "-e", "milter_connect_timeout = 17s", "smtpd_banner = mine")
        postconf(box.conf, "-P", "submission/inet/smtpd_timeout=99s")
        changed = box.snippet("--revert")
        tap.same(changed.returncode, 1, "somebody has changed two of ours since: --revert ends with 1")
        tap.ok("milter_connect_timeout has been changed since" in changed.stderr and
               "submission/inet has been changed since" in changed.stderr and len(changed.stderr.splitlines()) == 2,
               "and names them", changed.stderr)
        now, entries = box.says()
        theirs = [line for line in now.splitlines() if line.startswith(("milter_connect", "smtpd_banner"))]
        tap.same(theirs, ["milter_connect_timeout = 17s", "smtpd_banner = mine"], "they stay")
        rest = "".join(line + "\n" for line in now.splitlines() if line not in theirs)
        tap.same(rest, before[0], "the others are as they were")
        tap.ok("smtpd_timeout=99s" in entries and "submissions" not in entries, "in master.cf too", entries)

        # What they made of ours is what the next --apply found, and what goes back.
        box.write("smtpd_banner = mine\n")
        shutil.copy("/usr/share/postfix/master.cf.dist", os.path.join(box.conf, "master.cf"))
        box.snippet("--apply")
        postconf(box.conf, "-e", "milter_connect_timeout = 17s")
        box.snippet("--apply")
        tap.same(box.value("milter_connect_timeout"), "5s", "--apply again changes what somebody changed")
        box.snippet("--revert")
        tap.same(box.value("milter_connect_timeout"), "17s", "and --revert puts back what they had made of it")


def twice(tap):
    """The same parameter by two --apply, and the files no more what we left: the oldest value is the one that counts."""
    with Box() as box:
        box.snippet("--apply", "--hostname", "a.example.org")
        postconf(box.conf, "-e", "smtpd_error_sleep_time = 4s")
        box.snippet("--apply", "--hostname", "b.example.org")
        tap.same(box.value("myhostname"), "b.example.org", "two --apply, with a change by somebody else between them")
        back = box.snippet("--revert")
        tap.same((back.returncode, back.stderr, box.value("myhostname"), box.value("smtpd_error_sleep_time")),
                 (0, "", "mx.here.test", "4s"), "--revert: what was before the first; theirs stays")


# A postconf that counts how often it is to change something, and does not come back from the second, or the third ...
FAILING = """#!/bin/sh
case " $* " in
*" -e "*|*" -X "*|*" -M "[a-z]*|*" -MX "*|*" -P "[a-z]*)
    echo x >> {count}
    test $(wc -l < {count}) -{which} {at} && {{ {what}; }} ;;
esac
exec {postconf} "$@"
"""


def failing(box, at, what, which="eq"):
    count = box.directory.file(f"count{box.fakes}")
    open(count, "w").close()
    return box.with_fakes(postconf=FAILING.format(count=count, at=at, what=what, which=which,
                                                  postconf=real("postconf")))


def failures(tap):
    with Box() as box:
        before = box.says()
        for at in (1, 2):
            env = failing(box, at, "echo 'postconf: fatal: no space' >&2; exit 1")
            broken = box.snippet("--apply", env=env)
            tap.ok(broken.returncode == 69 and "no space" in broken.stderr and "put back" in broken.stderr,
                   f"postconf fails at change {at}: exit 69", broken.stderr)
            box.is_clean(before, tap, "and everything has been put back")
        env = failing(box, 2, "exit 0")
        silent = box.snippet("--apply", env=env)
        tap.ok(silent.returncode == 69 and "has not become what it should; everything has been put back" in
               silent.stderr, "postconf changes nothing, but says it did: exit 69", silent.stderr)
        box.is_clean(before, tap, "and everything has been put back")
        env = failing(box, 2, "echo 'postconf: fatal: disk gone' >&2; exit 1", "ge")
        broken = box.snippet("--apply", env=env)
        tap.ok(broken.returncode == 69 and "COULD NOT BE PUT BACK" in broken.stderr and "--revert" in broken.stderr,
               "postconf fails for good: it says so", broken.stderr)
        tap.ok(box.says() != before and os.path.exists(box.revert_file), "half is changed, and remembered")
        back = box.snippet("--revert")
        tap.same((back.returncode, back.stderr), (0, ""), "--revert, when postconf works again")
        box.is_clean(before, tap, "puts everything back")

        count = box.directory.file("checks")
        check = (f"#!/bin/sh\ncase \"$*\" in *check*) echo x >> {count}\n"
                 f"test $(wc -l < {count}) -ge @at@ && {{ echo 'postfix: fatal: not like this' >&2; exit 1; }};; esac\n"
                 f"exec {real('postfix')} \"$@\"\n")
        bad = box.snippet("--apply", env=box.with_fakes(postfix=check.replace("@at@", "2")))
        tap.ok(bad.returncode == 69 and "postfix check: postfix: fatal: not like this; everything has been put back" in
               bad.stderr, "postfix check does not like it: exit 69", bad.stderr)
        box.is_clean(before, tap, "and everything has been put back")
        bad = box.snippet("--apply", env=box.with_fakes(postfix=check.replace("@at@", "1")))
        tap.ok(bad.returncode == 78 and "mend that first" in bad.stderr,
               "postfix check does not like what is there: exit 78", bad.stderr)
        box.is_clean(before, tap, "and nothing has been changed")

        directory = os.open(box.conf, os.O_RDONLY)
        fcntl.flock(directory, fcntl.LOCK_EX)
        for what in ("--apply", "--revert"):
            tap.same(box.snippet(what).returncode, 75, f"{what} while another is at work: exit 75")
        os.close(directory)
        os.chmod(box.directory.path, 0o755)
        tap.same(box.snippet("--apply", user="nobody").returncode, 77, "--apply without root: exit 77")
        tap.same(box.snippet("--apply", "-n", user="nobody").returncode, 0, "but -n shows anybody")
        box.is_clean(before, tap, "still nothing is changed")


def killed(tap):
    """By SIGKILL before and after each change that it makes."""
    with Box() as box:
        files, before = box.files(), box.says()
        for at in (1, 2):
            for name, what in (("before", "kill -KILL $PPID; exit 1"),
                               ("after", f"{real('postconf')} \"$@\"; kill -KILL $PPID; exit 0")):
                gone = box.snippet("--apply", env=failing(box, at, what))
                tap.ok(gone.returncode == -9, f"--apply is killed {name} change {at}", gone.stderr)
                if at == 2 or name == "after":
                    tap.ok(box.says() != before, "half of it is done")
                back = box.snippet("--revert")
                tap.same((back.returncode, back.stderr), (0, ""), "--revert: exit 0")
                box.is_clean(before, tap, "everything is as it was")
        box.snippet("--apply", env=failing(box, 2, "kill -KILL $PPID; exit 1"))
        done = box.snippet("--apply")
        tap.same((done.returncode, done.stderr), (0, ""), "--apply after one that was killed comes to its end")
        box.snippet("--revert", env=failing(box, 2, "kill -KILL $PPID; exit 1"))
        box.snippet("--revert")
        box.is_clean(before, tap, "and --revert, after one that was killed, too")
        tap.ok(set("".join(files).split()) >= set("".join(box.files()).split()), "nothing else has come in")


def strange_memory(tap):
    with Box() as box:
        before = box.files()
        for text in ("nonsense\n", "parameter x\n", "parameter x\nwas y\n", "parameter -e\nwas y\nbecame z\n",
                     "parameter a=b\nwas-not\nbecame z\n", "service smtp\nwas-not\nbecame z\n", "\0\n",
                     "file main.cf 99999999999 -\n", "file main.cf -1 -\nx\n", "file other.cf 1 -\nx\n"):
            box.directory.write("conf/" + REVERT, text)
            for what in ("--revert", "--apply"):
                strange = box.snippet(what)
                tap.ok(strange.returncode == 65 and f"{REVERT}:" in strange.stderr and box.files() == before,
                       f"{what} does nothing when what it remembers is {text[:40]!r}: exit 65", strange.stderr)
        os.remove(box.revert_file)
        os.symlink("/etc/passwd", box.revert_file)
        tap.ok(box.snippet("--apply").returncode == 74 and box.files() == before, "nor when it is a link")
        os.remove(box.revert_file)

        # What is there may be in any bytes: they go back as they were, and do not reach the terminal.
        with open(os.path.join(box.conf, "main.cf"), "ab") as f:
            f.write(b"smtpd_banner = $myhostname \xe9\x1b[1m ESMTP\n")
        os.makedirs(box.directory.file("set"))
        box.directory.write("set/main.cf", "smtpd_banner = $myhostname ESMTP\n")
        banner = postconf(box.conf, "smtpd_banner").stdout
        done = box.snippet("--apply", "--settings", box.directory.file("set"))
        tap.ok(done.returncode == 0 and "\\xe9\\x1b[1m" in done.stdout and "\x1b" not in done.stdout,
               "strange bytes are shown escaped", done.stdout[:300], done.stderr)
        postconf(box.conf, "-e", "smtpd_error_sleep_time = 4s")  # now main.cf cannot go back as a whole
        tap.same(box.snippet("--revert").returncode, 0, "--revert: exit 0")
        tap.same(postconf(box.conf, "smtpd_banner").stdout, banner, "and put back as they were")
        tap.same(box.value("smtpd_error_sleep_time"), "4s", "what somebody else set in the meantime stays")


SETTINGS_MAIN = """# main.cf - for the test

# qpsmtpd{RelayRequiresAuth}, network 10.1.0.0
mynetworks = !10.1.0.1 127.0.0.0/8
  [::1]/128   10.1.0.0/16
# domain far.test{MailServer}
transport_maps = inline:{{far.test = smtp:[10.1.0.9]:2525}}
relay_domains = far.test
"""
SETTINGS_MASTER = """
# qpsmtpd{TCPPort},
# qpsmtpd{Instances}
smtp inet n - n - 7 smtpd
  -o smtpd_client_connection_count_limit=3
# in the middle of it
  -o { smtpd_client_restrictions = check_client_access cidr:{{127.0.0.0/8 DUNNO}, {0.0.0.0/0 REJECT}} }

2587 inet n - n - 4 smtpd -o milter_macro_daemon_name=submission
"""


def given(tap):
    """--settings: what it names comes before our own, and what its master.cf does not name does not listen."""
    with Box() as box:
        postconf(box.conf, "-M", "submission/inet=submission inet n - y - - smtpd -o syslog_name=postfix/submission")
        postconf(box.conf, "-M", "465/inet=465 inet n - y - - smtpd")
        files, before = box.files(), box.says()
        os.makedirs(box.directory.file("set"))
        folder = box.directory.file("set")
        box.directory.write("set/main.cf", SETTINGS_MAIN)
        box.directory.write("set/master.cf", SETTINGS_MASTER)
        printed = box.snippet("--settings", folder)
        found, strange = commands(printed.stdout)
        tap.ok(printed.returncode == 0 and not strange, "--settings: commands and comments", printed.stderr, *strange)
        for comment in ("# qpsmtpd{RelayRequiresAuth}, network 10.1.0.0\npostconf", "# domain far.test{MailServer}\n",
                        "# qpsmtpd{TCPPort}, qpsmtpd{Instances}\npostconf"):
            tap.has(printed.stdout, comment, f"the comment comes along: {comment.splitlines()[0]}")
        tap.same(box.apply(printed.stdout), (0, ""), "the commands run without a word")
        by_hand = box.says()
        for name, text in zip(("main.cf", "master.cf"), files):
            box.directory.write("conf/" + name, text)
        done = box.snippet("--apply", "--settings", folder)
        tap.same((done.returncode, done.stderr), (0, ""), "--apply takes them too")
        tap.same([sorted(text.splitlines()) for text in box.says()], [sorted(text.splitlines()) for text in by_hand],
                 "to the same end")
        tap.same(box.check(), (0, ""), "postfix check has nothing to say")
        for name, value in (("mynetworks", "!10.1.0.1 127.0.0.0/8 [::1]/128 10.1.0.0/16"),
                            ("transport_maps", "inline:{{far.test = smtp:[10.1.0.9]:2525}}"),
                            ("smtpd_milters", "unix:/run/sme-milter/milter.sock,inet:localhost:18891,"
                                              "unix:/run/mine.sock")):
            tap.same(box.value(name), value, name)
        for name, value in (("smtp/inet/smtpd_client_connection_count_limit", "3"),
                            ("smtp/inet/milter_macro_daemon_name", "smtp"),
                            ("smtp/inet/smtpd_client_restrictions",
                             "check_client_access cidr:{{127.0.0.0/8 DUNNO}, {0.0.0.0/0 REJECT}}"),
                            ("2587/inet/smtpd_client_restrictions", "permit_sasl_authenticated,reject")):
            tap.same(box.option(name), value, name)
        tap.same(postconf(box.conf, "-Fh", "smtp/inet/process_limit").stdout.strip(), "7", "the number of processes")
        entries = [line.split()[0] for line in box.says()[1].splitlines() if line.split()[1] == "inet"]
        tap.same(sorted(entries), ["2587", "smtp"], "nothing else listens")
        once = box.files()
        box.snippet("--apply", "--settings", folder)
        tap.ok(box.files() == once, "twice is once")
        box.snippet("--revert")
        box.is_clean(before, tap, "--revert: all as it was, in the same order")

        listed = json.loads(box.snippet("--apply", "-n", "--json", "--settings", folder).stdout)
        tap.ok({"parameter": "relay_domains", "now": None, "then": "far.test"} in listed and
               any(c.get("service") == "submission/inet" and c["then"] is None for c in listed), "--json: a list",
               listed)
        wrong_settings(tap, box, folder)


def wrong_settings(tap, box, folder):
    before = box.files()
    os.remove(os.path.join(folder, "master.cf"))
    for text, word in (("smtpd_mliters = x\n", "main.cf:1: Postfix 3.7.11 has no parameter smtpd_mliters; did you mean "
                        "smtpd_milters?"),
                       ("\n\nsmtpd_banner\n", "main.cf:3: \"smtpd_banner\" is not name = value"),
                       ("smtpd_banner = \xe9\n", "main.cf:1: smtpd_banner has bytes"),
                       ("smtpd_banner = a\nsmtpd_banner = b\n", "main.cf:2: smtpd_banner is set already in line 1"),
                       ("smtpd_banner = " + "x" * 200000 + "\n", "main.cf:1: smtpd_banner is longer"),
                       ("# a comment\n  -e = x\n", "main.cf:2: ")):
        box.directory.write("set/main.cf", text)
        bad = box.snippet("--apply", "--settings", folder)
        version = postconf(box.conf, "-dh", "mail_version").stdout.strip()
        tap.ok(bad.returncode == 65 and word.replace("3.7.11", version) in bad.stderr,
               f"--settings with {text[:30]!r}: exit 65 and where", bad.stderr[:300])
    box.directory.write("set/main.cf", "")
    for text in ("smtp inet n\n", "smtp\n", "smtp inet n - n - 1 smtpd -o x\n",
                 "smtp inet n - n - 1 smtpd\nsmtp inet n - n - 1 smtpd\n"):
        box.directory.write("set/master.cf", text)
        bad = box.snippet("--apply", "--settings", folder)
        tap.ok(bad.returncode == 65 and "master.cf:" in bad.stderr, f"master.cf with {text!r}: exit 65 and where",
               bad.stderr)
    tap.same(box.snippet("--settings", folder + "/none").returncode, 66, "no such folder: exit 66")
    for words in (["--apply", "--revert"], ["--reload"], ["--apply", "--postfix-version", "3.7"],
                  ["--revert", "--hostname", "a.b"], ["--revert", "--settings", folder]):
        tap.same(box.snippet(*words).returncode, 64, f"{' '.join(words[:3])}: exit 64")
    tap.ok(box.files() == before, "nothing has been changed by any of that")


# ---- a Postfix at work ----

class Plain(Postfix):
    """Postfix before anybody has wired it: one service on a port of its own, no filter."""

    def __init__(self, house):
        super().__init__("unix:" + house.daemon.socket)
        self.services = {"smtp": {}, "submissions": {}, "submission": {}, "before": {}}
        for name in list(self.main):
            if name.startswith(("smtpd_", "milter_", "non_smtpd", "disable_vrfy")) and \
                    not name.startswith(("smtpd_tls_cert", "smtpd_tls_key")):
                del self.main[name]

    @property
    def conf(self):
        return self.directory.file("conf")

    def _start_master(self):
        self.port = dict(zip(self.services, processes.free_ports(len(self.services))))
        self.directory.write("conf/main.cf", "".join(f"{k} = {v}\n" for k, v in self.main.items()))
        self.directory.write("conf/master.cf", f"127.0.0.1:{self.port['before']} inet n - n - - smtpd\n" +
                             INNER_SERVICES.lstrip("\n"))
        self.directory.write("set/main.cf", f"smtpd_sasl_path = {self.directory.file('auth')}\n")
        self.directory.write("set/master.cf", "".join(
            f"127.0.0.1:{self.port[name]} inet n - n - 5 smtpd -o milter_macro_daemon_name={name}\n"
            for name in ("smtp", "submissions", "submission")) +
            f"127.0.0.1:{self.port['before']} inet n - n - - smtpd\n")
        daemons = postconf(self.conf, "-h", "daemon_directory").stdout.strip()
        self.master = processes.start([os.path.join(daemons, "master"), "-d", "-c", self.conf],
                                      stdout=subprocess.DEVNULL, stderr=open(self.directory.file("master.err"), "ab"))
        return self.listens("before")

    def listens(self, *names):
        wanted = {self.port[name] for name in names}
        others = set(self.port.values()) - wanted
        return taps.wait_for(lambda: self.master.poll() is not None or
                             (wanted <= processes.listening_ports() and not others & processes.listening_ports()),
                             20) and self.master.poll() is None


LIVE = """
profile "submission" { port = {@submissions@, @submission@}  policies = {"tls", "relay", "headers"}
                       tls { require = yes }  relay { only = yes } }
profile "smtp" { port = {@smtp@, @before@}  policies = {"headers"} }
"""
WITHOUT_FROM = "Date: Mon, 23 Nov 2026 10:00:00 +0000\nSubject: {}\n\nno author\n"


def at_work(tap):
    house = House(LIVE, tap)
    house.postfix = Plain(house)
    os.makedirs(house.postfix.directory.file("set"))
    with house:
        postfix = house.postfix
        words = ["postfix", "snippet", "--config-dir", postfix.conf]
        before = [postconf(postfix.conf, flag).stdout for flag in ("-n", "-M")]
        with Smtp(postfix.port["before"]) as client:
            client.ehlo()
            tap.reply(client.message("alice@there.test", ["bob@here.test"], WITHOUT_FROM.format("one")), 250,
                      "before --apply nothing filters")
        status, out, err = house.ctl(*words, "--settings", postfix.directory.file("set"), "--apply", "--reload")
        tap.ok(status == 0 and "told to read its files" in out, "--apply --reload while Postfix runs", out, err)
        tap.ok(postfix.listens("smtp", "submissions", "submission", "before"), "the three ports are open",
               postfix.maillog())
        with house.client("smtp") as client:
            tap.reply(client.message("alice@there.test", ["bob@here.test"], WITHOUT_FROM.format("two")), 550,
                      "smtp: what the filter refuses is refused")
            tap.reply(client.message("alice@there.test", ["bob@here.test"], mail_text("smtp")), 250, "the rest is not")
        for service in ("submissions", "submission"):
            with house.client(service, auth=True) as client:
                reply, sender = house.send(client, recipients=["bob@elsewhere.test"], subject=service)
                tap.reply(reply, 250, f"{service}: relays for who has logged in")
                tap.fields(house.record_of(sender), {"profile": "submission", "auth": postfix.user},
                           f"{service}: the filter has seen it, and by which service it came")
        for service in ("smtp", "submissions", "submission"):
            tap.ok(house.sink.subject(service), f"{service}: and it is delivered")
        status, out, err = house.ctl(*words, "--revert", "--reload")
        tap.ok(status == 0, "--revert --reload", out, err)
        tap.ok(postfix.listens("before"), "the ports are closed again", postfix.maillog())
        tap.same([postconf(postfix.conf, flag).stdout for flag in ("-n", "-M")], before,
                 "postconf -n and -M are what they were")
        with Smtp(postfix.port["before"]) as client:
            client.ehlo()
            tap.reply(client.message("alice@there.test", ["bob@here.test"], WITHOUT_FROM.format("three")), 250,
                      "and nothing filters")
        postfix.stop()
        status, out, err = house.ctl(*words, "--apply", "--reload")
        tap.ok(status == 0 and "not running" in out, "--reload when Postfix does not run: it says so, exit 0", out, err)


def main(tap):
    there_and_back(tap)
    several(tap)
    twice(tap)
    failures(tap)
    killed(tap)
    strange_memory(tap)
    given(tap)
    at_work(tap)


if not shutil.which("postconf", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")):
    taps.skip_all("Postfix is not installed")
taps.run(main)
