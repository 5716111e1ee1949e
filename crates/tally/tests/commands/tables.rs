//! Importing the tables that departments exchange.

use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use rust_xlsxwriter::Workbook;
use serde_json::Value;
use tally_exchange::columns::ROW_TITLE;
use tally_exchange::table::{self, Row};

use super::{ask, day, refused, tally};
use crate::process::{Place, Server};

/// Market supervision of the province's pack.
const MARKET: &str = "11990000MB00010701";

const TITLES: [&str; 18] = [
    "行政相对人名称",
    "行政相对人类别",
    "行政相对人代码_1(统一社会信用代码)",
    "法定代表人",
    "行政处罚决定书文号",
    "违法行为类型",
    "违法事实",
    "处罚依据",
    "处罚类别",
    "处罚内容",
    "罚款金额(万元)",
    "处罚决定日期",
    "处罚有效期",
    "处罚机关",
    "处罚机关统一社会信用代码",
    "数据来源单位",
    "数据来源单位统一社会信用代码",
    "备注",
];

/// A mesh under the province's pack, and the certificate of a department.
fn province() -> (Place, Server) {
    let place = Place::new();
    let server = place.spawn_with(&["--no-policy"]).ready(&place);
    tally(&place, "policy load --built-in province")
        .exits(0)
        .says(&["tally-province"]);
    tally(&place, &format!("cert issue market --department {MARKET}")).exits(0);
    (place, server)
}

/// A penalty as people fill the form in.
fn cells(number: u32) -> Vec<String> {
    let cells = [
        "甲公司",
        "法人",
        "9152000071430580XT",
        "王芳",
        &format!("罚〔2026〕{number}号"),
        "无证经营",
        "事实",
        "第三条",
        "罚款",
        "罚款五千元",
        "5,000元",
        &day(-3).replace('-', "/"),
        "长期",
        "示例市局",
        "11990000MB00010701",
        "示例市局",
        "11990000MB00010701",
        "",
    ];
    cells.map(ToOwned::to_owned).to_vec()
}

fn line(cells: &[String]) -> String {
    let quoted: Vec<_> = cells.iter().map(|cell| format!("\"{cell}\"")).collect();
    quoted.join(",") + "\n"
}

fn table(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let titles = TITLES.map(ToOwned::to_owned);
    let rows = rows.into_iter().map(|row| line(&row));
    format!(
        "行政处罚信息公示表\n{}{}",
        line(&titles),
        rows.collect::<String>()
    )
}

pub fn read(path: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    table::read(path, &AtomicU64::new(0), &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })
    .expect("a table");
    rows
}

/// Writes rows into a workbook, as somebody who corrected them.
pub fn write(path: &Path, rows: &[Row]) {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (at, row) in (0u32..).zip(rows) {
        for (column, cell) in (0u16..).zip(&row.cells) {
            sheet.write_string(at, column, cell).expect("a cell");
        }
    }
    workbook.save(path).expect("saved");
}

fn counts(summary: &Value) -> [u64; 4] {
    ["rows", "accepted", "known", "refused"].map(|name| summary[name].as_u64().expect("a number"))
}

#[test]
fn a_table_is_imported_and_its_bad_rows_are_corrected_and_handed_in_again() {
    let (place, _server) = province();
    let file = place.file("penalties.csv");
    let mut rows: Vec<Vec<String>> = (1..=5).map(cells).collect();
    rows[1][2] = "9152000071430580XR".to_owned();
    rows[1][8] = "罚站".to_owned();
    rows[3][11] = "明天".to_owned();
    rows.insert(2, vec![String::new(); TITLES.len()]);
    let text = table(rows);
    let (bytes, ..) = encoding_rs::GB18030.encode(&text);
    std::fs::write(&file, bytes).expect("written");
    let import = format!(
        "--as market import {} --item administrative-penalty",
        file.display()
    );
    let done = tally(&place, &import).exits(2);
    let report = place.file("penalties.csv.faults.xlsx");
    done.says(&[
        "row 4:",
        "行政相对人代码_1(统一社会信用代码): ",
        "IDENTIFIER_CHECK_CHARACTER",
        "处罚类别: ",
        "VALUE_NOT_A_CHOICE",
        "row 7:",
        "处罚决定日期: ",
        "5 rows: accepted 3, known before 0, quarantined 2, refused 0",
        &report.display().to_string(),
    ]);
    assert!(!place.file("penalties.csv.tally-import").exists());
    assert!(!place.file("penalties.csv.tally-faults").exists());

    // Once more: nothing is kept twice, and the report may have been edited.
    let first = std::fs::read(&report).expect("a report");
    let numbered = place.file("penalties.csv.faults-2.xlsx");
    tally(&place, &import).exits(2).says(&[
        "5 rows: accepted 0, known before 3, quarantined 2, refused 0",
        &numbered.display().to_string(),
    ]);
    assert_eq!(std::fs::read(&report).expect("a report"), first);
    assert_eq!(read(&numbered).len(), 3);

    // A place is left by an effect of the record that came out of it, which follows on its own.
    let waits = |state: &str, count: usize| {
        let line = format!("--json --as market quarantine list --state {state}");
        let began = Instant::now();
        loop {
            let rows = tally(&place, &line).exits(0).lines();
            if rows.len() == count {
                return;
            }
            let waited = began.elapsed() < Duration::from_secs(60);
            assert!(waited, "{count} are to be {state}: {rows:?}");
        }
    };
    waits("open", 2);

    // The workbook has the bad rows as they were; corrected, it is a table like any other.
    let mut bad = read(&report);
    assert_eq!(bad.len(), 3);
    let column = |title: &str| {
        let found = bad[0].cells.iter().position(|cell| cell == title);
        found.unwrap_or_else(|| panic!("{:?} lack {title}", bad[0].cells))
    };
    assert_eq!(column(ROW_TITLE), 0, "the first thing one looks for");
    let (code, kind, decided) = (column(TITLES[2]), column(TITLES[8]), column(TITLES[11]));
    assert_eq!([&bad[1].cells[0], &bad[2].cells[0]], ["4", "7"]);
    assert_eq!(bad[1].cells[kind], "罚站");
    bad[1].cells[code] = "9152000071430580XT".to_owned();
    bad[1].cells[kind] = "罚款".to_owned();
    bad[2].cells[decided] = day(-3);
    let corrected = place.file("corrected.xlsx");
    write(&corrected, &bad);
    let again = format!(
        "import {} --item administrative-penalty",
        corrected.display()
    );
    assert_eq!(counts(&ask(&place, "market", &again)), [2, 2, 0, 0]);
    waits("open", 0);
    waits("resubmitted", 2);
    // Once more adds nothing, and says so.
    tally(&place, &format!("--as market {again}"))
        .exits(0)
        .says(&["known before 2", "nothing was added"]);
    let stats = tally(&place, &format!("--json stats --department {MARKET}"))
        .exits(0)
        .lines();
    assert_eq!(stats[0]["counts"][0]["accepted"], "5", "{stats:?}");
}

#[test]
fn a_row_rests_on_the_law_of_its_day() {
    let place = Place::new();
    let _server = place.spawn_with(&["--no-policy"]).ready(&place);
    let pack = place.file("pack");
    let new = format!("policy new {} --built-in province", pack.display());
    tally(&place, &new).exits(0);
    // The article that records rest on was another until the day before yesterday.
    let edit = |name: &str, change: &dyn Fn(String) -> String| {
        let path = pack.join(name);
        let text = std::fs::read_to_string(&path).expect("a file of the pack");
        std::fs::write(&path, change(text)).expect("written");
    };
    edit("record_types.toml", &|text| {
        text.replace("regulations/12@1", "regulations/12@2")
    });
    edit("legal_bases.toml", &|text| {
        let mut articles: Vec<&str> = text.split("[[legal_basis]]").collect();
        let of_records = |article: &&str| article.contains("regulations/12\"");
        let at = articles.iter().position(of_records).expect("the article");
        let days = "in_force = { from = 2015-01-01 }";
        assert!(articles[at].contains(days), "{}", articles[at]);
        let until = format!("in_force = {{ from = 2015-01-01, until = {} }}", day(-3));
        let from = format!("in_force = {{ from = {} }}", day(-2));
        let old = articles[at].replace(days, &until);
        let new = articles[at].replace(days, &from);
        let new = new.replace("version = 1", "version = 2");
        articles[at] = &old;
        articles.insert(at + 1, &new);
        articles.join("[[legal_basis]]")
    });
    let load = format!("policy load {}", pack.display());
    tally(&place, &load).exits(0);
    tally(&place, &format!("cert issue market --department {MARKET}")).exits(0);
    let mut rows: Vec<Vec<String>> = (1..=2).map(cells).collect();
    rows[0][11] = day(-4);
    rows[1][11] = day(-1);
    let file = place.file("penalties.csv");
    std::fs::write(&file, table(rows)).expect("written");
    let import = format!("import {} --item administrative-penalty", file.display());
    assert_eq!(counts(&ask(&place, "market", &import)), [2, 2, 0, 0]);
    assert_eq!(counts(&ask(&place, "market", &import)), [2, 0, 2, 0]);
}

/// Kills an import when it has kept a position.
fn kill_at(state: &Path, mut import: Command) {
    let mut import = import
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let began = Instant::now();
    while !state.exists() && import.try_wait().expect("its state is known").is_none() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "no position is kept"
        );
        std::thread::yield_now();
    }
    // It may have ended by itself.
    let _ = import.kill();
    import.wait().expect("it is dead");
}

#[test]
fn an_import_that_is_cut_off_goes_on_where_it_was() {
    const ROWS: u32 = 12_000;
    let (place, _server) = province();
    let file = place.file("many.csv");
    std::fs::write(&file, table((1..=ROWS).map(cells))).expect("written");
    let file = file.display().to_string();
    let arguments = [
        "--json",
        "--as",
        "market",
        "import",
        &file,
        "--item",
        "administrative-penalty",
    ];
    let state = place.file("many.csv.tally-import");
    // Whoever is through before it is killed begins anew: what is known is told so.
    let kept = (0..5).find_map(|_| {
        kill_at(&state, place.tally(&arguments));
        std::fs::read(&state).ok()
    });
    let kept = kept.expect("it is killed in the middle");
    let kept: Value = serde_json::from_slice(&kept).expect("JSON");
    let position = kept["position"].as_u64().expect("a row");
    // The title, the titles, then the rows.
    assert!(
        position >= 5_000 && position < u64::from(ROWS) + 2,
        "{position}"
    );

    let summary = place.run(&arguments).exits(0).line();
    let [rows, accepted, known, refused] = counts(&summary);
    assert_eq!((rows, refused), (u64::from(ROWS), 0));
    assert_eq!(accepted + known, rows);
    let stats = tally(&place, &format!("--json stats --department {MARKET}"))
        .exits(0)
        .lines();
    let accepted = &stats[0]["counts"][0]["accepted"];
    assert_eq!(*accepted, ROWS.to_string(), "each row once");
    assert!(!state.exists());
}

#[test]
fn an_import_waits_out_a_store_that_cannot_be_written() {
    const ROWS: u32 = 600;
    let (place, _server) = province();
    let file = place.file("many.csv");
    std::fs::write(&file, table((1..=ROWS).map(cells))).expect("written");
    let file = file.display().to_string();
    // Holds the store's write lock until it is told to let go.
    let holds = "import sqlite3, sys\n\
                 store = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)\n\
                 store.execute('BEGIN IMMEDIATE')\n\
                 print('held', flush=True)\n\
                 sys.stdin.readline()\n\
                 store.execute('ROLLBACK')\n";
    let mut holder = Command::new("python3")
        .args(["-c", holds])
        .arg(place.data().join("tally.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut said = String::new();
    let out = holder.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut said).expect("a line");
    assert_eq!(said, "held\n");

    let item = "administrative-penalty";
    let mut import = place
        .tally(&["--json", "--as", "market", "import", &file, "--item", item])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(import.stderr.take().expect("piped")).lines();
    let waits = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("by itself")));
    assert!(waits.is_some(), "it ended without waiting");
    holder
        .stdin
        .take()
        .expect("piped")
        .write_all(b"\n")
        .expect("told");
    holder.wait().expect("it has let go");
    // Or it could not go on for want of someone who reads.
    lines.for_each(drop);
    let done = import.wait_with_output().expect("it ends");
    assert_eq!(done.status.code(), Some(0));
    let summary: Value = serde_json::from_slice(&done.stdout).expect("one line of JSON");
    // What the store took after it had said that it could not is known when it is sent again.
    let [rows, accepted, known, refused] = counts(&summary);
    assert_eq!((rows, refused), (u64::from(ROWS), 0));
    assert_eq!(accepted + known, rows);
}

#[test]
fn a_template_is_made_from_the_catalogue() {
    let (place, _server) = province();
    for name in ["penalty.xlsx", "penalty.csv"] {
        let path = place.file(name);
        tally(
            &place,
            &format!("template administrative-penalty --out {}", path.display()),
        )
        .exits(0);
        let rows = read(&path);
        let titles = rows
            .last()
            .filter(|row| row.cells.len() > 20)
            .or(rows.get(1));
        let titles = &titles.expect("titles").cells;
        assert!(
            titles.contains(&"行政处罚决定书文号*".to_owned()),
            "{titles:?}"
        );
        let empty = format!(
            "--as market import {} --item administrative-penalty",
            path.display()
        );
        tally(&place, &empty).exits(0).says(&["0 rows"]);
    }
    tally(&place, "template no-such-item")
        .exits(2)
        .says(&["administrative-penalty"]);
}

#[test]
fn another_table_needs_a_mapping_that_suits() {
    let (place, _server) = province();
    let file = place.file("court.csv");
    std::fs::write(
        &file,
        "Company;Code;Order;Date\nA;9152000071430580XT;No 1;2/1/2026\n",
    )
    .expect("written");
    let mapping = place.file("mapping.toml");
    let write = |columns: &str| {
        let text = format!(
            "id = \"wages\"\nname = \"Wages\"\nrecord_type = \"wage-arrears\"\n\
             constants = {{ \"fields.workers\" = \"3\", \"fields.amount\" = \"1.5\", \"fields.pay_by\" = \"2026-02-01\" }}\n\
             columns = [\n{columns}]\n"
        );
        std::fs::write(&mapping, text).expect("written");
    };
    let import = format!("import {} --mapping {}", file.display(), mapping.display());
    let as_market = format!("--as market {import}");
    write(
        "{ title = \"Company\", to = \"fields.party_name\" },\n{ title = \"Order\", to = \"number\" },\n",
    );
    tally(&place, &as_market)
        .exits(2)
        .says(&["mapping.toml:7", "document_number"]);
    write(
        "{ title = \"Company\", to = \"fields.party\" },\n{ title = \"Order\", to = \"document_number\" },\n",
    );
    tally(&place, &as_market).exits(2).says(&[
        "has no field `party`",
        "decided_on",
        "whom a record is about",
    ]);
    write(
        "{ title = \"Company\", to = \"fields.party_name\" },\n{ title = \"Code\", to = \"subject.cn-uscc\" },\n\
         { title = \"Order\", to = \"document_number\" },\n{ title = \"Date\", to = \"decided_on\" },\n",
    );
    // This department does not report wages: the mapping is right, the right is missing.
    let (reason, people) = refused(&place, "market", &import, 3);
    assert_eq!(reason, "RIGHT_MISSING");
    people.says(&["wage-arrears", "nothing was imported", "tally rights"]);
    let titles = format!(
        "--as market import {} --item administrative-penalty",
        file.display()
    );
    tally(&place, &titles)
        .exits(2)
        .says(&["none of the first 2 rows has the titles", "mapping file"]);
}
