#!/usr/bin/python3
"""virus { engine = libclamav } on a kernel without Landlock: every scan has a root directory of its own, and the log
says so once; where not even that may be had nothing is scanned, and nothing passes."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

import base64
import io
import zipfile

import processes
import tap as taps
from house import House
from smtp import mail_text

# In two halves, so that no scanner of this machine takes this file for what it tests.
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EI" + "CAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
CONFIG = """
virus {{ enabled = yes  engine = libclamav  database = "{database}"  timeout = 30s }}
profile "all" {{ policies = {{"virus"}} }}
"""
WRAPPER = os.path.join(taps.build_dir(), "t/lib/without_landlock")


def zipped(data, times):
    for _ in range(times):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("inside.bin", data)
        data = out.getvalue()
    return data


def attached(data):
    text = base64.encodebytes(data).decode()
    return ("--b\nContent-Type: text/plain\n\nsee there\n--b\nContent-Type: application/zip; name=\"x.zip\"\n"
            f"Content-Transfer-Encoding: base64\n\n{text}--b--\n")


def send(house, body, mixed=False):
    extra = 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n' if mixed else ""
    with house.client("smtp") as client:
        sender = house.sender()
        reply = client.message(sender, ["bob@here.test"], mail_text(sender=sender, subject="x", extra=extra, body=body))
        client.quit()
    return reply


def scans(tap, house, who):
    tap.reply(send(house, EICAR + "\n"), 550, f"{who}: EICAR as text", "Virus found: Test.Eicar")
    tap.reply(send(house, attached(zipped(EICAR.encode(), 5)), True), 550, f"{who}: EICAR in 5 zips",
              "Virus found: Test.Eicar")
    tap.reply(send(house, "hello\n"), 250, f"{who}: clean mail")
    tap.reply(send(house, attached(zipped(b"nothing", 2)), True), 250, f"{who}: a clean zip")
    tap.ok(house.daemon.wait_line("the kernel has no Landlock: each scan is locked into its directory"),
           f"{who}: the log says how scans are locked in")
    house.daemon.reload()
    send(house, "hello again\n")
    tap.same(sum("no Landlock" in line for line in house.daemon.log), 1, f"{who}: once")


def main(tap):
    directory = processes.Directory()
    directory.write("db/test.ndb", f"Test.Eicar:0:*:{EICAR.encode().hex()}\n")
    config = CONFIG.format(database=directory.file("db"))
    daemon = os.path.join(taps.build_dir(), "sme-milter")

    def house_of(name, *words):
        house = House(config, tap)
        script = "#!/bin/sh\nexec " + " ".join(words) + f" {daemon} \"$@\"\n"
        house.daemon.program = directory.write(name, script, 0o755)
        return house

    try:
        with house_of("plain", WRAPPER) as house:
            scans(tap, house, "root")
        setpriv = shutil.which("setpriv")
        if setpriv and os.geteuid() == 0:
            house = house_of("nobody", setpriv, "--reuid=nobody", "--regid=postfix", "--clear-groups", WRAPPER)
            os.chmod(house.daemon.directory.path, 0o777)
            with house:
                if house.daemon.wait_line("the kernel has no Landlock", 10):
                    scans(tap, house, "an ordinary user")
                else:
                    tap.diag("this machine gives ordinary users no namespaces")
                    tap.reply(send(house, "hello\n"), 451, "an ordinary user who has no namespaces: nothing passes")
        with house_of("bare", WRAPPER, "--bare") as house:
            tap.reply(send(house, "hello\n"), 451, "neither Landlock nor chroot: nothing passes",
                      "the virus scanner could not be asked")
            line = house.daemon.wait_line("scan: no worker: ") or ""
            tap.has(line, "it cannot be locked in: the kernel has no Landlock", "the log says why")
    finally:
        directory.remove()


taps.run(main)
