"""disk.py - a disk that fills up, or turns read-only, under the daemon."""
import os
import subprocess

import tap as taps


class Disk:
    """A small file system (size as mount writes it) where the daemon of a configured House will keep its state. For a
    test in a mount namespace of its own."""

    def __init__(self, house, size):
        self.path = house.daemon.directory.file("disk")
        self.house = house
        os.mkdir(self.path, 0o755)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "none", self.path], check=True)
        with open(house.daemon.config) as f:
            text = f.read()
        text = text.replace(f'state_dir = "{house.daemon.directory.path}"', f'state_dir = "{self.path}"')
        house.daemon.directory.write("sme-milter.conf", text)

    def file(self, name):
        return os.path.join(self.path, name)

    def remount(self, how):
        done = taps.wait_for(lambda: subprocess.run(["mount", "-o", f"remount,{how}", self.path],
                                                    capture_output=True).returncode == 0, 10)
        if not done:
            raise RuntimeError(f"{self.path} cannot be made {how}")

    def fill(self):
        with open(self.file("ballast"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass

    def empty(self):
        os.unlink(self.file("ballast"))

    def close(self):
        self.house.daemon.stop()
        subprocess.run(["umount", "-l", self.path], check=False)
