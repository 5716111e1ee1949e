#!/usr/bin/env python3
"""Lists public debarments from a CSV, row by row, as two officers would.

    debarments.py TALLY CSV DATE...

TALLY is the binary; CSV has the columns Program, Entity Debarred, City, State,
Start Date, End Date (the end date is the last day in force). A mesh with a movable
clock is started in a temporary directory; every row is pushed and listed on its own
start date; on each DATE, every subject is checked, and at the end as-of is asked for
the same dates. Exit code 1 if check and as-of disagree.
"""

import csv
import datetime
import json
import os
import subprocess
import sys
import tempfile

MARKET, TAX = "11990000MB0000107X", "11990100MB0000203C"
COLLECTING, LISTING, ASKING = (f"tally-credit-regulations/{n}@1" for n in (12, 20, 18))


class Tally:
    def __init__(self, binary, directory):
        self.binary, self.directory = binary, directory

    def __call__(self, *args, acting_as="operator", stdin=None, refused_ok=False):
        command = [self.binary, "--dir", self.directory, "--as", acting_as, "--json", *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True)
        if done.returncode != 0:
            if refused_ok:
                return None, json.loads(done.stderr.strip().splitlines()[-1])["error"]
            sys.exit(f"{' '.join(args)}: {done.stderr}{done.stdout}")
        return [json.loads(line) for line in done.stdout.splitlines()], None


def subject_of(row):
    region = ", ".join(part for part in (row["City"].strip(), row["State"].strip()) if part)
    return f"name-region:{row['Entity Debarred'].strip()}|{region or 'US'}"


def push_and_list(tally, number, row):
    start, end = row["Start Date"], row["End Date"]
    fields = {"party_name": row["Entity Debarred"], "penalty_category": "debarment",
              "program": row["Program"], "start_date": start}
    if end:
        fields["end_date"] = end
    record = {"subject": subject_of(row), "record_type": "administrative-penalty",
              "document_number": f"H-2 debarment {number}", "decided_on": start, "valid_from": start,
              "valid_until": end, "legal_basis": COLLECTING, "fields": fields}
    answers, _ = tally("push", "--receipts", acting_as="market", stdin=json.dumps(record) + "\n")
    record_id = answers[0]["accepted"]["record_id"]
    nominated, error = tally(
        "list", "nominate", "--subject", record["subject"], "--list", "serious-violation",
        "--ground", record_id, "--criterion", "debarred by a final decision", "--basis", LISTING,
        "--from", start, "--until", end, acting_as="market-1", refused_ok=True)
    if error:
        reasons = ", ".join(sorted({v["reason"] for v in error["violations"]}) or [error["reason"]])
        print(f"row {number}: {row['Entity Debarred']}: pushed, not listed: {reasons}: {error['message']}")
        return None
    entry = nominated[0]["entry_id"]
    tally("list", "notify", entry, "--served-on", start, "--document", f"service {number}", acting_as="market-1")
    tally("list", "represent", entry, "--waived", acting_as="market-1")
    tally("list", "confirm", entry, "--document", f"listing {number}", acting_as="market-2")
    return entry


def check_all(tally, subjects, date):
    found = set()
    for subject in subjects:
        answer, _ = tally("check", subject, "--purpose", "procurement", "--case", f"count {date}",
                          "--basis", ASKING, acting_as="tax")
        if answer[0]["outcome"] == "CHECK_OUTCOME_UNDETERMINED":
            sys.exit(f"{subject} is undetermined on {date}: {answer[0]}")
        found.update(entry["entry_id"] for entry in answer[0].get("entries", []))
    return found


def main():
    binary, path, *dates = sys.argv[1:]
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbered = sorted(enumerate(rows, 1), key=lambda item: item[1]["Start Date"])
    with tempfile.TemporaryDirectory() as directory:
        tally = Tally(os.path.abspath(binary), directory)
        up = subprocess.Popen(
            [tally.binary, "--dir", directory, "--json", "up", "--listen", "127.0.0.1:0",
             "--test-clock", "2011-01-01T00:00:00Z"], stdout=subprocess.PIPE, text=True)
        try:
            up.stdout.readline()
            run(tally, numbered, sorted(dates))
        finally:
            up.terminate()
            up.wait()


def run(tally, numbered, dates):
    tally("cert", "issue", "market", "--department", MARKET)
    tally("cert", "issue", "tax", "--department", TAX)
    for officer in ("1", "2"):
        tally("cert", "issue", f"market-{officer}", "--department", MARKET, "--officer", officer)
    subjects, entries, checked, pushed = {}, {}, {}, 0
    waiting = list(dates)

    def look(until):
        while waiting and (until is None or waiting[0] < until):
            date = waiting.pop(0)
            tally("clock", f"{date}T04:00:00Z")
            checked[date] = check_all(tally, subjects, date)

    for number, row in numbered:
        look(row["Start Date"])
        tally("clock", f"{row['Start Date']}T03:00:00Z", refused_ok=True)
        entry = push_and_list(tally, number, row)
        pushed += 1
        subjects.setdefault(subject_of(row), []).append(entry)
        if entry:
            entries[entry] = row
    look(None)
    print(f"{pushed} rows pushed, {len(entries)} listed, {len(subjects)} subjects")
    for subject, of_subject in subjects.items():
        if len(of_subject) > 1:
            print(f"{subject}: one subject, {len(of_subject)} listings")
    agree = True
    for date in dates:
        as_of, _ = tally("as-of", date)
        known = {entry["entry_id"] for entry in as_of[0].get("entries", [])}
        agree = agree and known == checked[date]
        print(f"in force on {date}: {len(checked[date])} by check on that day, {len(known)} by as-of at the end")
    for command in ("verify", "rebuild"):
        tally(command)
        print(f"{command}: holds")
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
