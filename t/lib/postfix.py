#!/usr/bin/python3
"""postfix.py - a private Postfix with TLS, Dovecot's SASL and a sink for what it delivers, on loopback.

    with Postfix("unix:/tmp/x/m.sock") as postfix:
        client = Smtp(postfix.port["smtp"])
        ...
        postfix.sink.subject("hello")[0].content

Any number of them run side by side; nothing outside their own directory is touched and every process is ended by its
pid. As a program: postfix.py [--milter=SOCKET] COMMAND... runs the command with SME_POSTFIX_<SERVICE>=PORT in its
environment (and SME_POSTFIX_LOG, SME_POSTFIX_USER, SME_POSTFIX_PASSWORD), and ends with its exit status.
"""
import grp
import os
import pwd
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import processes
from smtp import Sink
from tap import wait_for

USER, PASSWORD = "alice", "wonderland"
LOCAL_DOMAINS = ["here.test", "also-here.test"]

# What every service of master.cf besides the smtpd ones needs: name, type, process limit, command.
INNER_SERVICES = """
pickup     unix   n - n 60 1 pickup
cleanup    unix   n - n - 0 cleanup
qmgr       unix   n - n 300 1 qmgr
tlsmgr     unix   - - n 1000? 1 tlsmgr
rewrite    unix   - - n - - trivial-rewrite
bounce     unix   - - n - 0 bounce
defer      unix   - - n - 0 bounce
trace      unix   - - n - 0 bounce
verify     unix   - - n - 1 verify
flush      unix   n - n 1000? 0 flush
proxymap   unix   - - n - - proxymap
proxywrite unix   - - n - 1 proxymap
smtp       unix   - - n - - smtp
relay      unix   - - n - - smtp
showq      unix   n - n - - showq
error      unix   - - n - - error
retry      unix   - - n - - error
discard    unix   - - n - - discard
lmtp       unix   - - n - - lmtp
anvil      unix   - - n - 1 anvil
scache     unix   - - n - 1 scache
postlog    unix-dgram n - n - 1 postlogd
"""

# The public services, with the settings our documentation recommends for them.
SERVICES = {
    "smtp": {
        "milter_macro_daemon_name": "smtp",
        "smtpd_tls_security_level": "may",
    },
    "submissions": {
        "milter_macro_daemon_name": "submissions",
        "smtpd_tls_wrappermode": "yes",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_client_restrictions": "permit_sasl_authenticated,reject",
        "smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
    },
    "submission": {
        "milter_macro_daemon_name": "submission",
        "smtpd_tls_security_level": "encrypt",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_tls_auth_only": "yes",
        "smtpd_client_restrictions": "permit_sasl_authenticated,reject",
        "smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
    },
    # Not for the public: whoever connects may say who he is, and send to anybody, as often and as badly as he likes.
    "xclient": {
        "milter_macro_daemon_name": "smtp",
        "smtpd_tls_security_level": "may",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
        "mynetworks": "0.0.0.0/0,[::]/0",
        "smtpd_relay_restrictions": "permit_mynetworks,reject",
        "smtpd_hard_error_limit": "1000",
        "smtpd_soft_error_limit": "1000",
        "smtpd_junk_command_limit": "10000",
        "smtpd_recipient_limit": "20000",
    },
}

MAIN_CF = {
    "compatibility_level": "3.6",
    "maillog_file_prefixes": "/tmp",
    "myhostname": "mx.here.test",
    "mydomain": "here.test",
    "myorigin": "here.test",
    "mydestination": "",
    "mynetworks": "[::1]/128",  # not 127.0.0.0/8: the clients of the tests are strangers
    "relay_domains": ", ".join(LOCAL_DOMAINS),
    "relay_recipient_maps": "",
    "local_recipient_maps": "",
    "alias_maps": "",
    "alias_database": "",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "all",  # XCLIENT may name IPv6 addresses
    "disable_dns_lookups": "yes",
    "smtp_host_lookup": "native",
    "append_dot_mydomain": "no",
    "biff": "no",
    "in_flow_delay": "0",
    "minimal_backoff_time": "5s",
    "queue_run_delay": "5s",
    "local_header_rewrite_clients": "",  # else Postfix adds a missing Date before the filter sees the message
    "notify_classes": "",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_error_sleep_time": "0",
    "smtpd_delay_reject": "yes",
    "smtpd_helo_required": "yes",
    "disable_vrfy_command": "yes",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
    "smtpd_data_restrictions": "reject_unauth_pipelining",
    "smtpd_forbid_unauth_pipelining": "yes",
    "smtpd_forbid_bare_newline": "yes",
    "smtpd_discard_ehlo_keywords": "chunking",
    "smtpd_tls_protocols": ">=TLSv1.2",
    "smtpd_tls_mandatory_protocols": ">=TLSv1.2",
    "smtpd_tls_loglevel": "0",
    "smtpd_sasl_type": "dovecot",
    "broken_sasl_auth_clients": "no",
    "milter_protocol": "6",
    "milter_default_action": "tempfail",
    "milter_connect_timeout": "10s",
    "milter_command_timeout": "60s",
    "milter_content_timeout": "300s",
    "non_smtpd_milters": "",
    "internal_mail_filter_classes": "",
}

DOVECOT_CONF = """
base_dir = {dir}/dovecot
log_path = {dir}/dovecot.log
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {dir}/auth {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
# A failed AUTH would slow down the next one from the same address, which is another test's.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


def settings(options):
    """-o name=value ... for master.cf."""
    return "".join(f"\n    -o {{ {name} = {value} }}" for name, value in options.items())


class Postfix:
    """`extra` adds services: {"lax": {"like": "submission", "smtpd_tls_security_level": "may"}}; `main` adds to
    main.cf; `ports` names those that must not be chosen freely; 0: that service is not wanted."""

    def __init__(self, milter=None, extra=None, main=None, ports=None):
        self.directory = processes.Directory()
        self.path = self.directory.path
        self.log_path = self.directory.file("mail.log")
        self.fixed_ports = dict(ports or {})
        self.port = {}
        self.user, self.password = USER, PASSWORD
        self.services = {n: dict(options) for n, options in SERVICES.items() if self.fixed_ports.get(n) != 0}
        for name, options in (extra or {}).items():
            base = dict(self.services.get(options.get("like"), {}))
            base.update({k: v for k, v in options.items() if k != "like"})
            self.services[name] = base
        self.main = dict(MAIN_CF, smtpd_milters=milter or "", maillog_file=self.log_path,
                         queue_directory=self.directory.file("queue"), data_directory=self.directory.file("data"),
                         smtpd_tls_cert_file=self.directory.file("cert.pem"),
                         smtpd_tls_key_file=self.directory.file("key.pem"),
                         smtpd_sasl_path=self.directory.file("auth"))
        for transport in ("relay_transport", "default_transport", "local_transport", "virtual_transport"):
            self.main[transport] = f"lmtp:unix:{self.directory.file('sink')}"
        self.main.update(main or {})
        self.master = self.guard = self.dovecot = self.sink = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def _make_directories(self):
        postfix, postdrop = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        for name, mode, uid, gid in (
                [("queue", 0o755, 0, 0), ("queue/pid", 0o755, 0, 0), ("data", 0o700, postfix, -1),
                 ("queue/public", 0o710, postfix, postdrop), ("queue/maildrop", 0o730, postfix, postdrop)] +
                [(f"queue/{q}", 0o700, postfix, -1) for q in ("active", "bounce", "corrupt", "defer", "deferred",
                                                             "flush", "hold", "incoming", "private", "saved",
                                                             "trace")]):
            path = self.directory.file(name)
            os.makedirs(path, exist_ok=True)
            os.chown(path, uid, gid)
            os.chmod(path, mode)

    def _make_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-subj", "/CN=mx.here.test", "-addext",
                        "subjectAltName=DNS:mx.here.test",
                        "-keyout", self.directory.file("key.pem"), "-out", self.directory.file("cert.pem")],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def _start_dovecot(self):
        self.directory.write("users", f"{USER}:{{PLAIN}}{PASSWORD}\n")
        conf = self.directory.write("dovecot.conf", DOVECOT_CONF.format(dir=self.path))
        self.dovecot = processes.start(["dovecot", "-F", "-c", conf], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        if not wait_for(lambda: os.path.exists(self.directory.file("auth")) or self.dovecot.poll() is not None, 20) \
                or self.dovecot.poll() is not None:
            raise RuntimeError("Dovecot did not start:\n" + self._tail("dovecot.log"))

    def _start_master(self):
        free = [p for p in processes.free_ports(len(self.services)) if p not in self.fixed_ports.values()]
        self.port = {name: self.fixed_ports.get(name) or free.pop() for name in self.services}
        self.directory.write("conf/main.cf", "".join(f"{k} = {v}\n" for k, v in self.main.items()))
        self.directory.write("conf/master.cf", "".join(
            f"127.0.0.1:{self.port[name]} inet n - n - - smtpd{settings(options)}\n"
            for name, options in self.services.items()) + INNER_SERVICES.lstrip("\n"))
        conf = self.directory.file("conf")
        daemons = subprocess.run(["postconf", "-c", conf, "-h", "daemon_directory"], check=True, capture_output=True,
                                 text=True).stdout.strip()
        self.master = processes.start([os.path.join(daemons, "master"), "-d", "-c", conf], stdout=subprocess.DEVNULL,
                                      stderr=open(self.directory.file("master.err"), "ab"))
        self.guard = processes.guard(self.master)
        wanted = set(self.port.values())
        wait_for(lambda: self.master.poll() is not None or wanted <= processes.listening_ports(), 20)
        return self.master.poll() is None and wanted <= processes.listening_ports()

    def start(self):
        try:
            self._make_directories()
            self._make_certificate()
            os.mkdir(self.directory.file("delivered"))
            self.sink = Sink(self.directory.file("sink"), self.directory.file("delivered"))
            os.chmod(self.directory.file("sink"), 0o666)
            self._start_dovecot()
            for _ in range(5):  # somebody may take a port between our look and Postfix's bind
                if self._start_master():
                    return self
                processes.stop(self.guard)
                processes.stop(self.master)
                if "Address already in use" not in self.maillog():
                    break
            raise RuntimeError("Postfix did not start:\n" + self._tail("master.err") + self.maillog())
        except BaseException:
            self.close()
            raise

    def _tail(self, name, lines=40):
        try:
            with open(self.directory.file(name), errors="backslashreplace") as f:
                return "".join(f.readlines()[-lines:])
        except OSError:
            return ""

    def maillog(self, lines=60):
        return self._tail("mail.log", lines)

    def queue(self):
        """How many messages wait for delivery."""
        return sum(len(files) for q in ("maildrop", "incoming", "active", "deferred", "hold")
                   for _, _, files in os.walk(self.directory.file("queue/" + q)))

    def wait_empty(self, seconds=60):
        return wait_for(lambda: self.queue() == 0, seconds) is not None

    def stop(self):
        for process in (self.guard, self.master, self.dovecot):
            if process:
                processes.stop(process)
        if self.master:
            # master ends without waiting for its children, which are of the session it began.
            wait_for(lambda: not processes.session_members(self.master.pid), 5)
            for pid in processes.session_members(self.master.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if self.sink:
            self.sink.close()

    def close(self):
        self.stop()
        self.directory.remove()


def main():
    arguments = sys.argv[1:]
    milter = None
    while arguments and arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--":
            break
        match = re.fullmatch(r"--milter=(.+)", option)
        if not match:
            sys.exit("usage: postfix.py [--milter=SOCKET] COMMAND...")
        milter = match.group(1)
    if not arguments:
        sys.exit("usage: postfix.py [--milter=SOCKET] COMMAND...")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Postfix(milter) as postfix:
        environment = dict(os.environ, SME_POSTFIX_LOG=postfix.log_path, SME_POSTFIX_USER=postfix.user,
                           SME_POSTFIX_PASSWORD=postfix.password)
        environment.update({f"SME_POSTFIX_{name.upper()}": str(port) for name, port in postfix.port.items()})
        child = subprocess.Popen(arguments, env=environment)
        try:
            status = child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        if status:
            sys.stdout.flush()
            print("# the end of Postfix's log:\n" + re.sub("(?m)^", "# ", postfix.maillog(30)), flush=True)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
