#!/usr/bin/env python3
"""Every parser of strangers' bytes has a fuzz target: t/fuzz/PARSERS against the source.

What counts as a parser: a function whose name says that it reads text, and that takes bytes. It must be called, however
far away, from a target in t/fuzz, or stand in the list. What reads from a descriptor or a file must stand there too.
"""
import os
import re
import sys

sys.dont_write_bytecode = True
TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.insert(0, os.path.join(TOP, "t/lib"))

import tap as taps

FOLDERS = ("milter", "db", "policies")
LIST = "t/fuzz/PARSERS"
# What a parser is called, and what it takes.
PARSER = re.compile(r"(?:^|_)(parse|read|decode|split|unfold|take|skip|claims|says|unquote|unpercent|"
                    r"unescape|untext|literal|from|hear)(?:_|$)|_answer$")
BYTES = re.compile(r"struct str \w|const char \*\w|uint8_t|unsigned char \*|const void \*")
DOOR = re.compile(r"\b(recv|recvfrom|recvmsg|pread|fread|fgets|getline|getdelim|sqlite3_column_text)\s*\(|"
                  r"[=(]\s*read\s*\(|\bxxfi_\w+ =")
# No proof of anything: it calls everything.
WHOLE = {"session"}

FUNCTION = re.compile(r"(?m)^(?!typedef\b|#|return\b|else\b)([A-Za-z_][\w \t*]*?[\s*])(\w+)"
                      r"\(((?:[^()]|\([^()]*\))*)\)\s*\{")
TABLE = re.compile(r"(?m)^(static )?(?:const |struct )[^;{}()=]*?(\w+)(?:\[[^\]]*\])* = \{")


class Function:
    def __init__(self, file, name, static, arguments, body):
        self.file, self.name, self.static, self.arguments = file, name, static, arguments
        self.words = set(re.findall(r"(?<![.>])\b([A-Za-z_]\w*)\b(?!\s*(?:->|\.|=[^=]))", body))

    def is_parser(self):
        return bool(PARSER.search(self.name) and BYTES.search(self.arguments))


NO_CODE = re.compile(r"""/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def plain(text):
    """C without comments and without what stands in quotes."""
    return NO_CODE.sub(lambda m: " " if m.group(0).startswith("/*") else '""', text)


class Source:
    """Functions and tables of functions by name, as the linker sees them: static ones only in their file."""

    def __init__(self, files):
        self.functions, self.of_file, self.anywhere = [], {}, {}
        self.doors = {name for name, text in files.items() if DOOR.search(plain(text))}
        for name, text in files.items():
            text = plain(text)
            for found in FUNCTION.finditer(text):
                self.add(name, found.group(2), "static" in found.group(1) and name.endswith(".c"), found.group(3),
                         text[found.end():text.find("\n}", found.end())])
            for found in TABLE.finditer(text):
                self.add(name, found.group(2), bool(found.group(1)), "", text[found.end():text.find("};", found.end())])

        if "policy_table" in self.anywhere:  # made by a macro
            self.anywhere["policy_table"].words.update(name for name in self.anywhere if name.startswith("policy_"))

    def add(self, file, name, static, arguments, body):
        function = Function(file, name, static, re.sub(r"\s+", " ", arguments), body)
        self.functions.append(function)
        self.of_file.setdefault(file, {})[name] = function
        if not static:
            self.anywhere[name] = function

    def called(self, file, words):
        own = self.of_file.get(file, {})
        return {own.get(word) or self.anywhere.get(word) for word in words} - {None}

    def reached_from(self, target):
        """Everything that a target may call, however far away."""
        seen, todo = set(), list(self.called("", set(re.findall(r"\b(\w+)(?=\s*\(|\.)", plain(target)))))
        while todo:
            function = todo.pop()
            if function not in seen:
                seen.add(function)
                todo.extend(self.called(function.file, function.words) - seen)
        return seen


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def source_files():
    found = {}
    for folder in FOLDERS:
        for base, _, names in os.walk(os.path.join(TOP, folder)):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.relpath(os.path.join(base, name), TOP)
                    found[path] = read(path)
    return found


def read_list(text):
    """(number, target, file, functions) of each line; target "-": none, and the reason stands in functions."""
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split("#")[0].split()
        if words:
            target, file, rest = words[0], words[1], words[2:]
            if target == "-":
                names, _, reason = " ".join(rest).partition(":")
                rows.append((number, target, file, names.split(), reason.strip()))
            else:
                rows.append((number, target, file, rest, ""))
    return rows


def complaints(files, targets, rows):
    """What is wrong, a line each."""
    source = Source(files)
    reached = {name: source.reached_from(text) for name, text in targets.items()}
    proven = set().union(*(found for name, found in reached.items() if name not in WHOLE))
    wrong, spoken_for, whole_files = [], set(), set()
    for number, target, file, names, reason in rows:
        if target == "-" and file.endswith("/") and names == ["*"]:
            whole_files.update(name for name in files if name.startswith(file))
            continue
        own = source.of_file.get(file)
        if own is None:
            wrong.append(f"{LIST}:{number}: there is no {file}")
            continue
        if target == "-" and not reason:
            wrong.append(f"{LIST}:{number}: no reason")
        if target != "-" and target not in targets:
            wrong.append(f"{LIST}:{number}: there is no t/fuzz/{target}.c")
            continue
        if target == "-" and names == ["*"]:
            whole_files.add(file)
            continue
        for name in names:
            if name not in own:
                wrong.append(f"{LIST}:{number}: {file} has no function {name}")
            elif target != "-" and own[name] not in reached[target]:
                wrong.append(f"{LIST}:{number}: t/fuzz/{target}.c never comes to {name}")
            else:
                spoken_for.add(own[name])
    for function in source.functions:
        if (function.is_parser() and function not in proven and function not in spoken_for
                and function.file not in whole_files):
            wrong.append(f"{function.file}: {function.name} reads bytes, and no target in t/fuzz comes to it: "
                         f"write one, or say in {LIST} why none is needed")
    for file in sorted(source.doors - whole_files - {row[2] for row in rows}):
        wrong.append(f"{file}: reads from outside and stands nowhere in {LIST}")
    return wrong


def check_targets(tap, targets, rows, make):
    listed = {row[1] for row in rows}
    for name in sorted(targets):
        corpus = os.path.join(TOP, "t/fuzz/corpus", name)
        seeds = [f for f in os.listdir(corpus) if not f.startswith(".")] if os.path.isdir(corpus) else []
        lacks = [what for what, there in (
            ("a line in the list", name in listed), ("seeds", seeds),
            ("a replay in make check", re.search(rf"^t_fuzz_replay_{name}_SOURCES", make, re.M)),
            ("a program for libFuzzer", re.search(rf"^t_fuzz_{name}_LDFLAGS = -fsanitize=fuzzer", make, re.M)))
                 if not there]
        tap.ok(not lacks, f"target {name}", *(f"it has no {what}" for what in lacks))
    stray = sorted(set(os.listdir(os.path.join(TOP, "t/fuzz/corpus"))) - set(targets))
    tap.ok(not stray, "every corpus has a target", *stray)


def check_itself(tap, files, targets, rows):
    """What must be noticed is."""
    def noticed(what, part, changed=None, fewer=None, lines=None):
        found = complaints({**files, **(changed or {})},
                           {name: text for name, text in targets.items() if name != fewer},
                           rows if lines is None else lines)
        tap.ok(any(part in line for line in found), f"noticed: {what}", *found[:5])

    noticed("a new parser", "policies/new.c: new_parse", {
        "policies/new.c": "bool new_parse(struct arena *a, struct str text)\n{\n    return text.n;\n}\n"})
    noticed("a new static one that only a policy's table names", "policies/new.c: read_it", {
        "policies/new.c": "static bool read_it(struct str text)\n{\n    return text.n;\n}\n"
                          "static bool (*const all[])(struct str) = {read_it};\n"})
    noticed("a new door", "policies/new.c: reads from outside", {
        "policies/new.c": "void get(int fd)\n{\n    char b[9];\n    recv(fd, b, 9, 0);\n}\n"})
    noticed("a target that is gone", "there is no t/fuzz/dns_packet.c", fewer="dns_packet")
    noticed("its parser without it", "report_rua.c: rua_parse reads bytes", fewer="rua",
            lines=[row for row in rows if row[1] != "rua"])
    noticed("a line about what is not there any more", "has no function gone",
            lines=rows + [(1, "mime", "milter/mail/mime.c", ["gone"], "")])


def main(tap):
    files = source_files()
    targets = {name[:-2]: read(f"t/fuzz/{name}") for name in os.listdir(os.path.join(TOP, "t/fuzz"))
               if name.endswith(".c") and name != "replay.c"}
    make = read("t/fuzz/local.mk") + "".join(
        read(f"t/unit/{name}") for name in os.listdir(os.path.join(TOP, "t/unit")) if name.endswith(".mk"))
    rows = read_list(read(LIST))
    wrong = complaints(files, targets, rows)
    tap.ok(not wrong, f"{len(rows)} lines of {LIST}, {len(Source(files).functions)} functions", *wrong)
    check_targets(tap, targets, rows, make)
    check_itself(tap, files, targets, rows)


taps.run(main, needs_postfix=False)
