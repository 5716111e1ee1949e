#!/usr/bin/env python3
"""Recomputes the Merkle roots of a log from exported records alone.

Usage: verify_roots.py REPLAY ROOTS      ("-" is standard input, once)

REPLAY: what `tally replay --json --with-records` prints: a JSON object a line,
  with "log", "log_id", "shard", "position", "leaf_hash" (hexadecimal) and
  "record" (base64 of the exact bytes).
ROOTS: what `tally verify --json` prints: a JSON object a line, with "log",
  "shard", "size" and "root" (hexadecimal). Take it before REPLAY: records that
  came later are checked, and do not disturb the root at the size that it names.

Hashing is that of RFC 6962, section 2.1. Nothing but Python's own library is
used, and nothing of Tally's: log id, shard and position are read from the
bytes. Exit status 0: all holds. 1: something does not, and where is said.
2: the input cannot be used.
"""

import base64
import binascii
import hashlib
import json
import sys
import uuid


def varint(data, at):
    """Reads a protobuf varint; returns it and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Reads the top-level fields of a protobuf message: number to value."""
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = varint(data, at)
        elif wire_type == 2:
            length, at = varint(data, at)
            if at + length > len(data):
                raise ValueError("a field is longer than the record")
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"wire type {wire_type} is not used in a record")
        found[number] = value
    return found


def leaf_hash(record):
    return hashlib.sha256(b"\x00" + record).digest()


class Tree:
    """The right edge of a Merkle tree: enough to append and to know the root."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, leaf):
        node, bits = leaf, self.size
        while bits & 1:
            node = hashlib.sha256(b"\x01" + self.peaks.pop() + node).digest()
            bits >>= 1
        self.peaks.append(node)
        self.size += 1

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        node = self.peaks[-1]
        for left in reversed(self.peaks[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node


def lines(path):
    stream = sys.stdin if path == "-" else open(path, encoding="utf-8")
    with stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, json.loads(line)


def read_roots(path):
    """The heads that are claimed: (log, shard) to (size, root)."""
    claimed = {}
    for _, line in lines(path):
        # A summary line names no root.
        if {"log", "shard", "size", "root"} <= line.keys():
            claimed[line["log"], line["shard"]] = (line["size"], line["root"])
    if not claimed:
        raise ValueError(f"{path} names no root")
    return claimed


def check_record(line, tree):
    """What is wrong with one record, and its leaf hash as recomputed."""
    try:
        record = base64.b64decode(line["record"], validate=True)
        contents = fields(record)
    except (ValueError, IndexError, binascii.Error) as error:
        return [f"the record cannot be read: {error}"], None
    leaf, faults = leaf_hash(record), []
    if leaf.hex() != line["leaf_hash"]:
        faults.append("the bytes do not have the leaf hash of the line")
    # Fields of a Record: 1 log id, 2 shard, 3 position; zero is left out.
    place = (contents.get(2, 0), contents.get(3, 0))
    if place != (line["shard"], line["position"]):
        faults.append(f"the bytes say shard {place[0]}, position {place[1]}")
    if place[1] != tree.size:
        faults.append(f"position {tree.size} should stand here")
    if contents.get(1) != uuid.UUID(line["log_id"]).bytes:
        faults.append("the bytes are of another log")
    return faults, leaf


def main(replay, roots):
    claimed = read_roots(roots)
    trees, computed, log_ids, wrong = {}, {}, {}, 0

    def fault(place, message):
        nonlocal wrong
        wrong += 1
        print(f"{place}: {message}", file=sys.stderr)

    def note_root(shard, tree):
        if shard in claimed and claimed[shard][0] == tree.size:
            computed[shard] = tree.root().hex()

    for shard in claimed:
        note_root(shard, trees.setdefault(shard, Tree()))
    for number, line in lines(replay):
        shard = (line["log"], line["shard"])
        tree = trees.setdefault(shard, Tree())
        place = f"{line['log']}/{line['shard']}/{line['position']} (line {number})"
        faults, leaf = check_record(line, tree)
        if log_ids.setdefault(line["log"], line["log_id"]) != line["log_id"]:
            faults.append("the line is of another log than those before it")
        for message in faults:
            fault(place, message)
        # What cannot be read still takes its place, so that the next is judged by its own.
        tree.push(leaf if leaf is not None else bytes(32))
        note_root(shard, tree)
    for (log, shard), tree in sorted(trees.items()):
        place = f"{log}/{shard}"
        if (log, shard) not in claimed:
            fault(place, "there are records, and no root is claimed")
            continue
        size, root = claimed[log, shard]
        if tree.size < size:
            fault(place, f"{tree.size} records, {size} are claimed")
        elif computed[log, shard] != root:
            fault(place, f"root at size {size} is {computed[log, shard]}, claimed is {root}")
    records = sum(tree.size for tree in trees.values())
    verdict = "all roots hold" if wrong == 0 else f"{wrong} faults"
    print(f"{records} records in {len(trees)} shards: {verdict}")
    return 0 if wrong == 0 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"the input cannot be used: {error!r}", file=sys.stderr)
        sys.exit(2)
