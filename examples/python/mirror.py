#!/usr/bin/env python3
"""A mirror: keeps in one SQLite file what the public may see now.

    mirror.py follow --mesh tally-data --system NAME [--file mirror.sqlite] [--until-head] [--confirm]
    mirror.py show   [--file mirror.sqlite] [--on YYYY-MM-DD]

Follows published records and published lists and does what docs/PUBLICATION.md asks
of a mirror. An item and its cursor are kept in one transaction, so that after any
crash it goes on with nothing twice and nothing missed. `show` prints, as JSON lines,
what may be shown on a day, and needs no mesh.
"""

import argparse
import contextlib
import datetime
import json
import sqlite3
import sys
import tempfile
import threading
import time

import grpc

from mesh import REPEAT, confirm, connect, details_of, make_stubs

SCHEMA = """
CREATE TABLE IF NOT EXISTS shown (
    stream TEXT, id TEXT, from_day TEXT, until_day TEXT, hidden INTEGER, content TEXT,
    PRIMARY KEY (stream, id));
CREATE TABLE IF NOT EXISTS place (
    stream TEXT, shard INTEGER, position INTEGER, leaf_hash BLOB, PRIMARY KEY (stream, shard));
CREATE TABLE IF NOT EXISTS source (stream TEXT PRIMARY KEY, log_id BLOB, pack_version TEXT);
"""

# Ends the name of a stream that is being read anew, and is not shown yet.
ASIDE = " aside"

# Before a stream that broke is opened again with its cursor.
PAUSE_SECONDS = 2


class Anew(Exception):
    """What is kept may not be public any more: read all of it again."""


def open_file(path):
    database = sqlite3.connect(path, isolation_level=None, timeout=60)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA)
    return database


@contextlib.contextmanager
def transaction(database):
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


class Records:
    """Published records."""

    name = "records"

    def __init__(self, channel):
        from tally.collection.v1 import collection_pb2 as pb, collection_pb2_grpc as rpc
        self.pb, self.call = pb, rpc.CollectionServiceStub(channel).FollowPublications

    def request(self, cursor, until_head):
        return self.pb.FollowPublicationsRequest(cursor=cursor, until_head=until_head)

    def apply(self, keep, item):
        """Does what an item says. Gives what that was; of a checkpoint nothing."""
        kind = self.pb.PublicationKind.Name(item.kind).removeprefix("PUBLICATION_KIND_")
        if kind == "CHECKPOINT":
            return ""
        if kind in ("PUBLISHED", "CHANGED"):
            record = item.record
            keep.show(item.record_id, record.valid_from, record.display_until, {
                "subject": record.subject, "type": record.record_type,
                "department": record.department, "document": record.document_number,
                "decided_on": record.decided_on,
                "fields": {field.name: field.value for field in record.fields}})
        else:
            # Withdrawn; what a later version says is no reason to go on showing it either.
            keep.delete(item.record_id)
        return f"{kind} {item.record_id}"


class Lists:
    """Published lists."""

    name = "lists"

    def __init__(self, channel):
        from tally.lists.v1 import lists_pb2 as pb, lists_pb2_grpc as rpc
        self.pb, self.call = pb, rpc.ListsServiceStub(channel).FollowPublications

    def request(self, cursor, until_head):
        return self.pb.FollowPublicationsRequest(cursor=cursor, until_head=until_head)

    def apply(self, keep, item):
        """The same of a list entry."""
        kind = self.pb.ListPublicationKind.Name(item.kind).removeprefix("LIST_PUBLICATION_KIND_")
        if kind == "CHECKPOINT":
            return ""
        if kind in ("LISTED", "RESUMED"):
            entry = item.entry
            keep.show(item.entry_id, entry.term_from, entry.display_until, {
                "subject": entry.subject, "list": entry.list_type, "red": entry.red,
                "department": entry.department, "decision": entry.decision_number,
                "ground": entry.ground_document_number,
                "legal_basis": f"{entry.legal_basis.id}@{entry.legal_basis.version}"})
        elif kind == "SUSPENDED":
            keep.hide(item.entry_id)
        else:
            keep.delete(item.entry_id)
        return f"{kind} {item.entry_id}"


class Keep:
    """What the file has of one stream."""

    def __init__(self, database, stream, ask):
        self.database, self.stream, self.ask = database, stream, ask

    def take(self, stream, item):
        """Within a transaction: does what an item says, and moves the cursor past it."""
        done = stream.apply(self, item)
        place = (self.stream, item.cursor.shard, item.cursor.position, item.cursor.leaf_hash)
        self.database.execute("REPLACE INTO place VALUES (?, ?, ?, ?)", place)
        self.database.execute("REPLACE INTO source VALUES (?, ?, ?)", (self.stream, item.log_id, item.pack_version))
        if done:
            self.ask(f"keep {done}")

    def show(self, id, from_day, until_day, content):
        row = (self.stream, id, from_day, until_day, json.dumps(content, ensure_ascii=False))
        self.database.execute("REPLACE INTO shown VALUES (?, ?, ?, ?, 0, ?)", row)

    def hide(self, id):
        self.database.execute("UPDATE shown SET hidden = 1 WHERE stream = ? AND id = ?", (self.stream, id))

    def delete(self, id):
        self.database.execute("DELETE FROM shown WHERE stream = ? AND id = ?", (self.stream, id))

    def forget(self):
        for table in ("shown", "place", "source"):
            self.database.execute(f"DELETE FROM {table} WHERE stream = ?", (self.stream,))

    def rename(self, stream):
        for table in ("shown", "place", "source"):
            self.database.execute(f"UPDATE {table} SET stream = ? WHERE stream = ?", (stream, self.stream))

    def pack_version(self):
        row = self.database.execute("SELECT pack_version FROM source WHERE stream = ?", (self.stream,)).fetchone()
        return row and row[0]

    def cursor(self):
        from tally.log.v1 import log_pb2 as log
        source = self.database.execute("SELECT log_id FROM source WHERE stream = ?", (self.stream,)).fetchone()
        places = self.database.execute(
            "SELECT shard, position, leaf_hash FROM place WHERE stream = ?", (self.stream,))
        shards = [log.ShardCursor(shard=shard, position=position, leaf_hash=leaf)
                  for shard, position, leaf in places]
        return log.Cursor(log_id=source[0] if source else b"", shards=shards)


def follow_on(stream, keep, until_head):
    """Goes on from the cursor, an item and its place in one transaction."""
    for item in stream.call(stream.request(keep.cursor(), until_head)):
        if keep.pack_version() not in (None, item.pack_version):
            raise Anew(f"policy pack {item.pack_version}")
        with transaction(keep.database):
            keep.take(stream, item)


def read_anew(stream, keep):
    """Puts what is public now in place of what is kept; readers see the old until all is there.

    It is put aside item by item: one long transaction would shut out the other stream."""
    aside = Keep(keep.database, keep.stream + ASIDE, keep.ask)
    with transaction(keep.database):
        aside.forget()
    # Begun anew itself where the pack changes meanwhile.
    follow_on(stream, aside, until_head=True)
    with transaction(keep.database):
        keep.forget()
        aside.rename(keep.stream)


def follow(stream, options):
    ask = confirm if options.confirm else lambda step: None
    keep = Keep(open_file(options.file), stream.name, ask)
    anew = False
    while True:
        try:
            if anew:
                read_anew(stream, keep)
                anew = False
            follow_on(stream, keep, options.until_head)
            if options.until_head:
                return
        except Anew as reason:
            print(f"{stream.name}: {reason}: reading anew", file=sys.stderr)
            anew = True
        except grpc.RpcError as error:
            if details_of(error)[0] == "LOG_DIVERGED":
                print(f"{stream.name}: another log: reading anew", file=sys.stderr)
                anew = True
            elif error.code() in REPEAT and not options.until_head:
                time.sleep(PAUSE_SECONDS)
            else:
                raise


def follow_all(options):
    channel = lambda role: connect(options.mesh, options.system, role)
    streams = [Records(channel("collection")), Lists(channel("lists"))]
    if options.until_head:
        for stream in streams:
            follow(stream, options)
        return
    failed = []

    def run(stream):
        try:
            follow(stream, options)
        except Exception as error:
            failed.append(f"{stream.name}: {error}")

    threads = [threading.Thread(target=run, args=(stream,), daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    while not failed:
        time.sleep(1)
    sys.exit(failed[0])


def show(options):
    rows = open_file(options.file).execute(
        "SELECT stream, id, until_day, content FROM shown WHERE hidden = 0 AND from_day <= ?"
        " AND (until_day = '' OR until_day >= ?) AND stream IN (?, ?) ORDER BY stream, id",
        (options.on, options.on, Records.name, Lists.name))
    for stream, id, until_day, content in rows:
        print(json.dumps({"stream": stream, "id": id, "until": until_day, **json.loads(content)}, ensure_ascii=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("follow")
    command.add_argument("--mesh", required=True, help="data directory of the mesh, for address and certificates")
    command.add_argument("--system", required=True, help="certificate of a department's system")
    command.add_argument("--file", default="mirror.sqlite")
    command.add_argument("--until-head", action="store_true", help="end when there is no more")
    command.add_argument("--confirm", action="store_true", help="ask before each item is kept, and go on after a line `yes`")
    command.set_defaults(run=follow_all)
    command = commands.add_parser("show")
    command.add_argument("--file", default="mirror.sqlite")
    command.add_argument("--on", default=datetime.date.today().isoformat(), help="the day")
    command.set_defaults(run=show)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as stubs:
        make_stubs(stubs)
        options.run(options)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
