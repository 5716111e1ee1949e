"""What the responder must not forget, in one SQLite file."""

import sqlite3
import time

SCHEMA = """
CREATE TABLE IF NOT EXISTS item (      -- items of the mailbox that have been begun
    shard INTEGER, number INTEGER,
    met_ms INTEGER NOT NULL,           -- when it was first met: ids of its commands derive from this
    decision INTEGER NOT NULL,         -- number that a decision made because of it has
    PRIMARY KEY (shard, number));
CREATE TABLE IF NOT EXISTS place (     -- the cursor: the last item handled, per shard
    shard INTEGER PRIMARY KEY, log_id BLOB NOT NULL, cursor BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS directive ( -- what the department's own windows ask
    id TEXT PRIMARY KEY, subject TEXT NOT NULL, measure TEXT NOT NULL, standing INTEGER NOT NULL,
    state TEXT NOT NULL);              -- waiting, applied, suspended (was waiting), paused (was applied), undone
"""


class Journal:
    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(SCHEMA)

    def begin(self, shard, number):
        """Notes an item before anything is done about it; again gives the first note."""
        with_number = "(SELECT COALESCE(MAX(decision), 0) + 1 FROM item)"
        now = int(time.time() * 1000)
        self.db.execute(f"INSERT OR IGNORE INTO item VALUES (?, ?, ?, {with_number})", (shard, number, now))
        found = "SELECT met_ms, decision FROM item WHERE shard = ? AND number = ?"
        return self.db.execute(found, (shard, number)).fetchone()

    def finish(self, item, state):
        """The outcome and the cursor, in one transaction: after a crash both are there, or neither."""
        place, directive = item.cursor, item.directive
        self.db.execute("BEGIN IMMEDIATE")
        self.db.execute(
            "INSERT OR REPLACE INTO directive VALUES (?, ?, ?, ?, ?)",
            (directive.directive_id, directive.subject, directive.measure, directive.standing, state),
        )
        values = (place.shard, item.log_id, place.SerializeToString())
        self.db.execute("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", values)
        self.db.execute("COMMIT")

    def state(self, directive_id):
        row = self.db.execute("SELECT state FROM directive WHERE id = ?", (directive_id,)).fetchone()
        return row[0] if row else "waiting"

    def places(self):
        return self.db.execute("SELECT log_id, cursor FROM place").fetchall()
