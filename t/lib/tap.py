"""tap.py - test points for the end-to-end tests, and waiting with a deadline instead of sleeping for luck."""
import os
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def build_dir():
    """Where the programs under test are: SME_BUILD, or build/ of the checkout, or the checkout itself."""
    named = os.environ.get("SME_BUILD")
    if named:
        return os.path.abspath(named)
    for place in (os.path.join(TOP, "build"), TOP):
        if os.access(os.path.join(place, "sme-milter"), os.X_OK):
            return place
    return os.path.join(TOP, "build")


def wait_for(condition, seconds, what="condition"):
    """Poll until condition() is true and return what it returned; None when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.01)


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, good, name, *diagnosis):
        self.count += 1
        good = bool(good)
        print(f"{'ok' if good else 'not ok'} {self.count} - {name.replace('#', ' ')}")
        if not good:
            self.failed += 1
            for line in diagnosis:
                self.diag(line)
        sys.stdout.flush()
        return good

    def same(self, got, wanted, name):
        return self.ok(got == wanted, name, f"got:    {got!r}"[:2000], f"wanted: {wanted!r}"[:2000])

    def has(self, text, part, name):
        return self.ok(part in text, name, f"got:       {text!r}", f"should have: {part!r}")

    def hasnt(self, text, part, name):
        return self.ok(part not in text, name, f"got:           {text!r}", f"should not have: {part!r}")

    def reply(self, reply, code, name, part=""):
        """A reply of that code whose text contains part."""
        return self.ok(reply.code == code and part in reply.text, name,
                       f"got:    {reply.code} {reply.text!r}", f"wanted: {code} ...{part}...")

    def fields(self, line, wanted, name):
        """A log line (dict) that has all the wanted fields; a wanted value may be a function."""
        wrong = []
        for key, value in wanted.items():
            got = line.get(key) if line else None
            if not (value(got) if callable(value) and got is not None else got == value):
                wrong.append(f"{key}: got {got!r}" + ("" if callable(value) else f", wanted {value!r}"))
        return self.ok(line is not None and not wrong, name, *wrong, f"line: {line}")

    def diag(self, text):
        for line in str(text).splitlines():
            print("# " + line)

    def note(self, text):
        self.diag(text)
        sys.stdout.flush()


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def run(main, needs_postfix=True):
    """Run main(tap), with a plan at the end; without a plan the run counts as failed, so an exception is a failure."""
    if needs_postfix and os.geteuid() != 0:
        skip_all("Postfix starts as root only")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tap = Tap()
    try:
        main(tap)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        tap.ok(False, "the test came to its end")
    print(f"1..{tap.count}")
    sys.stdout.flush()
    sys.exit(1 if tap.failed else 0)
