#!/usr/bin/python3
"""scenario_postfix.py - runs a command beside a private Postfix whose clients may say who they are (XCLIENT).

    scenario_postfix.py COMMAND...

The command finds in its environment SME_SCENARIO_PORT (the service), SME_SCENARIO_SOCKET (a path where Postfix looks
for its filter at every connection; a symbolic link will do) and SME_SCENARIO_CONF (Postfix's configuration directory).
What is accepted stays on hold, so that postcat shows it as the filter left it. A connection from 127.99.0.0/16 gets no
filter until XCLIENT has said where it comes from.
"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from postfix import Postfix


def main():
    postfix = Postfix(main={"message_size_limit": "0", "mailbox_size_limit": "0"})
    socket = postfix.directory.file("filter")
    postfix.services = {"scenario": dict(
        postfix.services["xclient"],
        smtpd_milters="unix:" + socket,
        smtpd_milter_maps="cidr:" + postfix.directory.write("no-filter.cidr", "127.99.0.0/16 DISABLE\n"),
        smtpd_helo_required="no",
        smtpd_forbid_bare_newline="no",
        smtpd_end_of_data_restrictions="check_client_access static:HOLD")}
    with postfix:
        environment = dict(os.environ, SME_SCENARIO_PORT=str(postfix.port["scenario"]), SME_SCENARIO_SOCKET=socket,
                           SME_SCENARIO_CONF=postfix.directory.file("conf"))
        status = subprocess.Popen(sys.argv[1:], env=environment).wait()
        if status:
            sys.stdout.flush()
            print("# the end of Postfix's log:\n" + re.sub("(?m)^", "# ", postfix.maillog(30)), flush=True)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
