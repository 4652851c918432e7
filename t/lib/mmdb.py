#!/usr/bin/python3
"""mmdb.py - a database in MaxMind's format out of lines "NETWORK CODE", for tests of the policy country.

    mmdb.py TEXT DATABASE

A CODE of - is a network without a country. The line "version 4" makes a database that knows IPv4 only; otherwise it
holds both, IPv4 below ::/96. "truncated N" leaves out the last N bytes of the data.
"""
import ipaddress
import struct
import sys


def control(kind, size):
    """The first bytes of a value: 3 bits of type, 5 of size; types over 7 in a byte of their own."""
    assert size < 29 + 256
    first, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    return bytes([first, kind - 7]) + more if kind > 7 else bytes([kind << 5 | first]) + more


def text(value):
    raw = value.encode()
    return control(2, len(raw)) + raw


def number(kind, value):
    raw = value.to_bytes(8, "big").lstrip(b"\0")
    return control(kind, len(raw)) + raw


def mapping(pairs):
    return control(7, len(pairs)) + b"".join(text(key) + value for key, value in pairs.items())


UINT16, UINT32, UINT64, ARRAY = 5, 6, 9, 11


class Tree:
    """Nodes of two records each; a record is None, the index of a node, or ("data", offset)."""

    def __init__(self, version):
        self.version = version
        self.nodes = [[None, None]]

    def add(self, network, offset):
        bits, length = int(network.network_address), network.prefixlen
        width = 32 if self.version == 4 else 128
        if network.version == 4 and self.version == 6:
            length += 96
        node = 0
        for depth in range(length):
            side = bits >> (width - 1 - depth) & 1
            if depth == length - 1:
                self.nodes[node][side] = ("data", offset)
            else:
                below = self.nodes[node][side]
                if not isinstance(below, int):  # a smaller network within a larger one: both halves keep the larger
                    self.nodes.append([below, below])
                    below = self.nodes[node][side] = len(self.nodes) - 1
                node = below

    def packed(self):
        count = len(self.nodes)

        def record(value):
            if value is None:
                return count
            return value if isinstance(value, int) else count + 16 + value[1]

        return b"".join(struct.pack(">I", record(value))[1:] for node in self.nodes for value in node)


def database(lines):
    version, cut, entries = 6, 0, []
    for line in lines:
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "version":
            version = int(words[1])
        elif words[0] == "truncated":
            cut = int(words[1])
        else:
            entries.append((ipaddress.ip_network(words[0]), words[1]))
    tree, data, offsets = Tree(version), b"", {}
    for network, code in sorted(entries, key=lambda e: e[0].prefixlen + (96 if e[0].version == 4 else 0)):
        if code not in offsets:
            offsets[code] = len(data)
            data += mapping({"continent": mapping({"code": text("EU")})} if code == "-" else
                            {"country": mapping({"iso_code": text(code)})})
        tree.add(network, offsets[code])
    metadata = mapping({
        "node_count": number(UINT32, len(tree.nodes)), "record_size": number(UINT16, 24),
        "ip_version": number(UINT16, version), "database_type": text("Test-Country"),
        "languages": control(ARRAY, 1) + text("en"), "binary_format_major_version": number(UINT16, 2),
        "binary_format_minor_version": number(UINT16, 0), "build_epoch": number(UINT64, 1767607200),
        "description": mapping({"en": text("networks of a test")})})
    return tree.packed() + bytes(16) + data[:len(data) - cut] + b"\xab\xcd\xefMaxMind.com" + metadata


if __name__ == "__main__":
    with open(sys.argv[1]) as source:
        made = database(source)
    with open(sys.argv[2], "wb") as target:
        target.write(made)
