#!/usr/bin/python3
"""tally.py - run TAP programs, a line for each, and add up their test points.

usage: tally.py [--label=WHICH-BUILD] [--results=FILE] [--pattern=TEXT] [--jobs=N] [--timeout=SECONDS] [--] COMMAND...

Each COMMAND is one argument, split at blanks. "PASSED FAILED" is appended to FILE for every program. A program that
crashes, hangs, prints no plan or another number of points than planned counts as (at least) one failure, and its output
is shown. Exit status 1 when anything failed.
"""
import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SHOWN_LINES = 300

SANITIZERS = {
    "ASAN_OPTIONS": "strict_string_checks=1:detect_stack_use_after_return=1:detect_leaks=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1:halt_on_error=1",
}

running = {}  # Popen -> None; for the end by a signal
running_lock = threading.Lock()
printing = threading.Lock()


class Outcome:
    def __init__(self, text, status, timed_out, seconds):
        self.text = text
        self.seconds = seconds
        self.passed = self.failed = 0
        self.skipped = ""
        self.complaints = []
        self._count(status, timed_out)

    def _count(self, status, timed_out):
        plan = None
        for line in self.text.splitlines():
            point = re.match(r"(not )?ok\b(.*)", line)
            if point:
                todo = re.search(r"#\s*(TODO|SKIP)\b", point.group(2), re.I)
                if point.group(1) and not todo:
                    self.failed += 1
                else:
                    self.passed += 1
            planned = re.match(r"1\.\.(\d+)\s*(?:#\s*SKIP\b\s*(.*))?$", line, re.I)
            if planned:
                plan = int(planned.group(1))
                if plan == 0:
                    self.skipped = planned.group(2) or "no reason given"
            if line.startswith("Bail out!"):
                self.complaints.append(line)
        if timed_out:
            self.complaints.append("timed out")
        elif status < 0:
            self.complaints.append(f"killed by {signal.Signals(-status).name}")
        elif plan is None:
            self.complaints.append(f"no plan; exit status {status}")
        elif plan != self.passed + self.failed:
            self.complaints.append(f"planned {plan}, ran {self.passed + self.failed}; exit status {status}")
        elif status != 0 and self.failed == 0:
            self.complaints.append(f"exit status {status}")
        if self.complaints:
            self.failed += 1


def end(process):
    """TERM for the group, a little time to clean up, then KILL."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sig)
        except ProcessLookupError:
            return
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            pass


def run(command, timeout):
    began = time.monotonic()
    environment = {**SANITIZERS, **os.environ, "srcdir": TOP, "top_srcdir": TOP}
    with tempfile.TemporaryFile() as output:
        timed_out = False
        try:
            process = subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True, cwd=TOP, env=environment)
        except OSError as error:
            return Outcome(f"cannot start: {error}", 127, False, 0)
        with running_lock:
            running[process] = None
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        end(process)
        with running_lock:
            del running[process]
        output.seek(0)
        text = output.read().decode("utf-8", "backslashreplace")
    return Outcome(text, process.returncode, timed_out, time.monotonic() - began)


def name_of(command):
    """The program, its options, and of many arguments the directory: enough to find it."""
    words = [os.path.relpath(w, TOP) if os.path.isabs(w) else w for w in shlex.split(command)]
    files = [w for w in words[1:] if not w.startswith("-")]
    if len(files) > 1 and len({os.path.dirname(f) for f in files}) == 1:
        words = [w for w in words if w not in files] + [os.path.dirname(files[0])]
    return " ".join(words)


def report(name, outcome):
    counts = f"{outcome.passed:4d} passed"
    if outcome.failed:
        counts += f", {outcome.failed} failed"
    if outcome.skipped:
        counts = f"skipped: {outcome.skipped}"
    lines = [f"{'FAILED' if outcome.failed else 'ok':7} {name:66} {outcome.seconds:6.1f} s {counts}"]
    if outcome.failed:
        shown = outcome.text.splitlines()
        if len(shown) > SHOWN_LINES:
            lines.append(f"    ({len(shown) - SHOWN_LINES} lines before; all failures among them:)")
            lines += ["    " + line for line in shown[:-SHOWN_LINES] if line.startswith("not ok")]
        lines += ["    " + line for line in shown[-SHOWN_LINES:]] + [f"    {c}" for c in outcome.complaints]
    with printing:
        print("\n".join(lines), flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--label", default="")
    parser.add_argument("--results")
    parser.add_argument("--pattern", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("commands", nargs="*")
    given = parser.parse_args()
    stopping = threading.Event()

    def stop(number, _):
        stopping.set()
        with running_lock:
            for process in list(running):
                try:
                    os.killpg(process.pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    def one(command):
        if stopping.is_set():
            return None
        outcome = run(command, given.timeout)
        name = name_of(command)
        report(name if name.startswith(given.label + "/") or not given.label else f"{given.label}: {name}", outcome)
        return outcome

    commands = [c for c in given.commands if given.pattern in name_of(c) or given.pattern in c]
    with ThreadPoolExecutor(max(1, given.jobs)) as pool:
        outcomes = [o for o in pool.map(one, commands) if o]
    if given.results:
        with open(given.results, "a") as f:
            f.writelines(f"{o.passed} {o.failed}\n" for o in outcomes)
    if stopping.is_set():
        sys.exit(130)
    sys.exit(1 if any(o.failed for o in outcomes) else 0)


if __name__ == "__main__":
    main()
