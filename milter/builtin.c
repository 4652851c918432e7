/* builtin.c - what runs when there is no configuration file: three profiles, written in the file's own language.
 *
 * A profile section of the file with one of these names inherits what it does not set.
 */
#include "config.h"

const char config_builtin[] =
    "# Authenticated submission: 465 with TLS from the first byte, 587 with STARTTLS.\n"
    "profile \"submission\" {\n"
    "    port = {465, 587}\n"
    "    policies = {\"tls\", \"relay\", \"badmailfrom\", \"badmailfromto\", \"bogus_bounce\", \"goodrcptto\",\n"
    "                \"smtp_forward\", \"bcc\", \"headers\", \"dkim\", \"patterns\", \"tnef2mime\", \"virus\", \"forcespamcheck\", \"disclaimer\"}\n"
    "    tls { require = yes }\n"
    "    relay { only = yes }\n"
    "}\n"
    "# Port 25 from our own networks, or authenticated.\n"
    "profile \"smtp-local\" {\n"
    "    port = {25}\n"
    "    network = local\n"
    "    auth = yes\n"
    "    match = any\n"
    "    policies = {\"loadcheck\", \"relay\", \"badmailfrom\", \"badmailfromto\", \"bogus_bounce\", \"goodrcptto\",\n"
    "                \"smtp_forward\", \"bcc\", \"headers\", \"dkim\", \"patterns\", \"tnef2mime\", \"virus\", \"forcespamcheck\", \"disclaimer\"}\n"
    "}\n"
    "# Port 25 from everybody else.\n"
    "profile \"smtp\" {\n"
    "    port = {25}\n"
    "    policies = {\"loadcheck\", \"whitelist\", \"relay\", \"karma\", \"earlytalker\", \"fcrdns\", \"country\",\n"
    "                \"dnsbl\", \"helo\", \"unrecognized_commands\", \"resolvable_fromhost\", \"rhsbl\", \"badmailfrom\",\n"
    "                \"badmailfromto\", \"spf\", \"bogus_bounce\", \"badrcptto\", \"badrcptto_ext\", \"goodrcptto\",\n"
    "                \"smtp_forward\", \"bcc\", \"headers\", \"dkim\", \"dmarc\", \"uribl\", \"patterns\", \"tnef2mime\", \"virus\", \"spamassassin\"}\n"
    "}\n";
