//! A large file of the penalty template, two rows in a hundred of them wrong in
//! every way there is: imported, killed in the middle and resumed, every fault
//! is reported as it was made, and nothing is there twice.
//!
//! `make import-million` does so with a million rows, and measures memory and
//! speed beside a stream of the same records.

mod penalties;
mod process;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use penalties::{ITEM, Table};
use process::{Place, Server};
use serde_json::{Value, json};
use tally_exchange::columns::{Columns, ROWS_ABOVE_MAX};
use tally_exchange::table::Row;
use tally_exchange::{record, table};

/// Rows of the table, if not as many as are tried each time.
const ROWS: &str = "TALLY_IMPORT_ROWS";

/// Rows that are tried each time.
const ROWS_USUAL: u64 = 12_000;

/// It is killed once it has kept a position past this part of the rows.
const KILLED_AFTER: u64 = 3;

/// What an import may take at its peak.
const IMPORT_KIB_MAX: u64 = 200 * 1024;

/// Records by file to records by stream, at least, in hundredths.
const HUNDREDTHS_MIN: u128 = 50;

/// A mesh under the province's pack, and the certificate of a department.
fn province() -> (Place, Server) {
    let place = Place::new();
    let server = place.spawn_with(&["--no-policy"]).ready(&place);
    place
        .run(&["policy", "load", "--built-in", "province"])
        .exits(0);
    let department = penalties::MARKET;
    place
        .run(&["cert", "issue", "market", "--department", department])
        .exits(0);
    (place, server)
}

/// A process under way whose peak is watched.
struct Watched {
    child: Child,
    peak_kib: u64,
}

impl Watched {
    fn start(place: &Place, arguments: &[&str], output: &Path) -> Self {
        let output = File::create(output).expect("a file for what it says");
        let child = place
            .tally(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .spawn()
            .expect("the binary runs");
        Self { child, peak_kib: 0 }
    }

    /// Its exit code once it has ended; looks at its memory.
    fn ended(&mut self) -> Option<i32> {
        self.peak_kib = self.peak_kib.max(peak_kib(self.child.id()));
        let status = self.child.try_wait().expect("its state is known")?;
        Some(status.code().unwrap_or(-1))
    }

    /// Waits for its end.
    fn wait(&mut self) -> i32 {
        loop {
            if let Some(code) = self.ended() {
                return code;
            }
            // Between two looks at a number that only rises.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Peak of a process's resident memory; 0 once it is dead.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// Position that an import keeps beside its file; 0 before the first.
fn position(state: &Path) -> u64 {
    let kept = std::fs::read(state).ok();
    let kept = kept.and_then(|kept| serde_json::from_slice::<Value>(&kept).ok());
    kept.and_then(|kept| kept["position"].as_u64()).unwrap_or(0)
}

/// Rows and what was said of each: field and reason, sorted.
type Said = BTreeMap<u64, Vec<(String, String)>>;

/// Adds what an import said of bad rows; gives its summary, if it came to that.
fn take_output(path: &Path, said: &mut Said) -> Option<Value> {
    let lines = BufReader::new(File::open(path).expect("it said something"));
    let mut summary = None;
    for line in lines.lines() {
        // A process that is killed may leave half a line.
        let Ok(value) = serde_json::from_str::<Value>(&line.expect("text")) else {
            continue;
        };
        let Some(row) = value["row"].as_u64() else {
            summary = Some(value);
            continue;
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let faults = value["faults"].as_array().into_iter().flatten();
        let mut faults: Vec<_> = faults
            .map(|fault| (text(&fault["field"]), text(&fault["reason"])))
            .collect();
        faults.sort();
        said.insert(row, faults);
    }
    summary
}

fn expected(table: &Table) -> Said {
    let rows = table.refused.iter();
    rows.map(|(row, kind)| {
        let owned = |(field, reason): &(&str, &str)| ((*field).to_owned(), (*reason).to_owned());
        let mut faults: Vec<_> = kind.faults.iter().map(owned).collect();
        faults.sort();
        (*row, faults)
    })
    .collect()
}

/// Holds what was said to what was made, and names the first that differ by their kinds.
fn assert_reported(said: &Said, table: &Table) {
    let expected = expected(table);
    for (row, faults) in &expected {
        let kind = table.refused[row].name;
        assert_eq!(said.get(row), Some(faults), "row {row}: {kind}");
    }
    let others: Vec<_> = said
        .iter()
        .filter(|(row, _)| !expected.contains_key(row))
        .collect();
    assert!(others.is_empty(), "said of good rows: {others:?}");
}

fn accepted(place: &Place) -> u64 {
    let department = penalties::MARKET;
    let stats = place.run(&["--json", "stats", "--department", department]);
    let stats = stats.exits(0).lines();
    let accepted = stats[0]["counts"][0]["accepted"].as_str();
    accepted.expect("a count").parse().expect("a number")
}

fn read(path: &Path, mut visit: impl FnMut(Row)) {
    table::read(path, &AtomicU64::new(0), &mut |row| {
        visit(row);
        ControlFlow::Continue(())
    })
    .expect("a table");
}

/// The same records as lines, for a stream.
fn write_lines(file: &Path, lines: &Path) {
    let pack = penalties::pack();
    let form = Arc::new(pack.forms_for(ITEM).next().expect("a form").clone());
    let record_type = pack.record_type(ITEM).expect("in the pack");
    let mut out = BufWriter::new(File::create(lines).expect("writable"));
    let mut above = Vec::new();
    let mut columns = None;
    let mut write = |columns: &Columns, row: &Row| {
        let stated = record::read(columns, record_type, row);
        let fields = stated
            .fields
            .into_iter()
            .map(|(name, value)| (name, value.into()));
        let fields: serde_json::Map<String, Value> = fields.collect();
        let record = json!({
            "subject": stated.subject,
            "record_type": ITEM,
            "document_number": stated.document_number,
            "decided_on": stated.decided_on,
            "valid_from": stated.valid_from,
            "valid_until": stated.valid_until,
            "legal_basis": record_type.legal_basis.to_string(),
            "fields": fields,
        });
        writeln!(out, "{record}").expect("written");
    };
    read(file, |row| {
        if let Some(columns) = &columns {
            return write(columns, &row);
        }
        above.push(row);
        if above.len() > ROWS_ABOVE_MAX {
            let found = Columns::find(&form, record_type, &above).expect("its titles");
            for row in above.drain(..).filter(|row| row.number > found.row) {
                write(&found, &row);
            }
            columns = Some(found);
        }
    });
    out.flush().expect("written");
}

/// A part of a second in thousandths, as a rate.
fn per_second(rows: u64, took: Duration) -> u128 {
    u128::from(rows) * 1_000 / took.as_millis().max(1)
}

#[test]
fn a_large_file_is_imported_whole_though_it_is_killed_in_the_middle() {
    let wanted = std::env::var(ROWS).ok();
    let measured = wanted.is_some();
    let rows = wanted.map_or(ROWS_USUAL, |rows| rows.parse().expect("a number of rows"));
    let (place, server) = province();
    let file = place.file("penalties.csv");
    let today = Zoned::new(Timestamp::now(), TimeZone::UTC).date();
    let mut out = BufWriter::new(File::create(&file).expect("writable"));
    let table = penalties::write(&mut out, rows, today).expect("written");
    out.flush().expect("written");
    let name = file.display().to_string();
    let import = ["--json", "--as", "market", "import", &name, "--item", ITEM];

    let began = Instant::now();
    let outputs = [place.file("first.jsonl"), place.file("second.jsonl")];
    let mut first = Watched::start(&place, &import, &outputs[0]);
    let state = place.file("penalties.csv.tally-import");
    while position(&state) < rows / KILLED_AFTER {
        let ended = first.ended();
        assert_eq!(ended, None, "it ended before the middle");
        std::thread::sleep(Duration::from_millis(5));
    }
    first.child.kill().expect("it is killed");
    first.child.wait().expect("it is dead");
    let kept = position(&state);
    assert!(kept < rows, "it was killed at row {kept}");
    let mut second = Watched::start(&place, &import, &outputs[1]);
    assert_eq!(second.wait(), 2, "bad rows are said by the exit code");
    let by_file = began.elapsed();

    let mut said = Said::new();
    take_output(&outputs[0], &mut said);
    let summary = take_output(&outputs[1], &mut said).expect("it says what it did");
    let count = |name: &str| summary[name].as_u64().unwrap_or(0);
    let bad = count("refused") + count("quarantined");
    assert_eq!(count("rows"), rows, "{summary}");
    assert_eq!(count("accepted") + count("known") + bad, rows, "{summary}");
    assert_eq!(bad, table.refused.len() as u64, "{summary}");
    assert_eq!(accepted(&place), table.new, "each record is there once");
    assert_reported(&said, &table);
    let mut reported = table.refused.values();
    let report = place.file("penalties.csv.faults.xlsx");
    let mut titles = Vec::new();
    read(&report, |row| {
        if titles.is_empty() {
            titles = row.cells;
            return;
        }
        let kind = reported.next().expect("no row but the bad ones");
        let at = titles
            .iter()
            .position(|title| title == tally_exchange::columns::FAULTS_TITLE);
        let faults = &row.cells[at.expect("a column of faults")];
        for (_, reason) in kind.faults {
            assert!(faults.contains(reason), "{}: {faults}", kind.name);
        }
    });
    assert_eq!(reported.count(), 0, "bad rows that the report lacks");
    let peak = first.peak_kib.max(second.peak_kib);
    assert!(peak < IMPORT_KIB_MAX, "the import took {peak} KiB");
    if !measured {
        return;
    }

    let server_peak = peak_kib(server.pid());
    drop(server);
    let lines = place.file("penalties.jsonl");
    write_lines(&file, &lines);
    let (beside, server) = province();
    let lines = lines.display().to_string();
    let began = Instant::now();
    let said = beside.file("pushed.jsonl");
    let mut push = Watched::start(
        &beside,
        &["--json", "--as", "market", "push", &lines],
        &said,
    );
    assert_eq!(push.wait(), 2, "bad rows are said by the exit code");
    let by_stream = began.elapsed();
    assert_eq!(accepted(&beside), table.new, "the same records");
    let [file_rate, stream_rate] = [by_file, by_stream].map(|took| per_second(rows, took));
    println!("{summary}");
    println!("killed at row {kept} and resumed");
    println!(
        "import: {by_file:.1?}, {file_rate} rows/s, peak {peak} KiB; server {server_peak} KiB"
    );
    println!(
        "push:   {by_stream:.1?}, {stream_rate} rows/s, peak {} KiB; server {} KiB",
        push.peak_kib,
        peak_kib(server.pid())
    );
    let hundredths = file_rate * 100 / stream_rate.max(1);
    println!("by file to by stream: {hundredths}/100");
    assert!(hundredths >= HUNDREDTHS_MIN, "the file is slower than that");
}
