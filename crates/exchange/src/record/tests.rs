//! Tables of both generations of the public forms, against the province's pack.

use std::sync::Arc;

use tally_catalog::pack::BuiltIn;
use tally_domain::policy::{Form, Pack};

use super::*;
use crate::columns::{ColumnsFault, FAULTS_TITLE, QUARANTINE_TITLE};
use crate::report::RowFault;

const PENALTY: &str = "administrative-penalty";

fn pack() -> Pack {
    BuiltIn::Province
        .load()
        .expect("the built-in pack is consistent")
}

fn form(pack: &Pack) -> Arc<Form> {
    let form = pack.forms_for(PENALTY).next();
    Arc::new(form.expect("the pack has the form").clone())
}

fn row(number: u64, cells: &[&str]) -> Row {
    Row {
        number,
        cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
    }
}

/// Reads a table of penalties: titles, then one row.
fn read_one(above: &[Row], titles: &[&str], cells: &[&str]) -> Stated {
    let pack = pack();
    let form = form(&pack);
    let record_type = pack.record_type(PENALTY).expect("in the pack");
    let titles = row(above.len() as u64 + 1, titles);
    let rows: Vec<Row> = above.iter().cloned().chain([titles]).collect();
    let columns = Columns::find(&form, record_type, &rows).expect("the titles are there");
    read(&columns, record_type, &row(columns.row + 1, cells))
}

#[test]
fn a_mapping_says_which_column_cites_the_check() {
    let pack = pack();
    let record_type = pack.record_type(PENALTY).expect("in the pack");
    let column = |title: &str, to: &str| {
        let to = to.parse().expect("a target");
        tally_domain::policy::FormColumn {
            title: title.to_owned(),
            also: Vec::new(),
            to,
            values: Vec::new(),
        }
    };
    let mut form = Form::plain(record_type);
    form.columns.push(column("check", "check_id"));
    assert_eq!(form.faults(record_type), []);
    let titles: Vec<&str> = form
        .columns
        .iter()
        .map(|column| column.title.as_str())
        .collect();
    let titles = row(1, &titles);
    let columns = Columns::find(&Arc::new(form.clone()), record_type, &[titles]);
    let columns = columns.expect("the titles are there");
    let mut cells = vec![""; form.columns.len()];
    let last = cells.last_mut().expect("a column");
    *last = "0195a7f0-0000-7000-8000-000000000001 ";
    let stated = read(&columns, record_type, &row(2, &cells));
    assert_eq!(stated.check_id, "0195a7f0-0000-7000-8000-000000000001");

    // No check is made for all rows of a table.
    let cited = [("check_id".parse().expect("a target"), "x".to_owned())];
    form.columns.pop();
    form.constants = cited.into();
    assert_eq!(form.faults(record_type).len(), 1);
}

const PRESENT: [&str; 19] = [
    "行政相对人名称*",
    "行政相对人类别*",
    "行政相对人代码_1(统一社会信用代码)",
    "行政相对人代码_3 （组织机构代码）",
    "法定代表人",
    "行政处罚决定书文号*",
    "违法行为类型*",
    "违法事实*",
    "处罚依据*",
    "处罚类别*",
    "处罚内容*",
    "罚款金额（万元）",
    "处罚决定日期*",
    "处罚有效期*",
    "处罚机关*",
    "处罚机关统一社会信用代码*",
    "数据来源单位*",
    "数据来源单位统一社会信用代码*",
    "备注",
];

const KEYS: [&str; 19] = [
    "CF_XDR_MC",
    "CF_XDR_LB",
    "CF_XDR_SHXYM",
    "CF_XDR_ZZJG",
    "CF_FRDB",
    "CF_WSH",
    "CF_WFXW",
    "CF_SY",
    "CF_YJ",
    "CF_CFLB",
    "CF_NR",
    "CF_NR_FK",
    "CF_JDRQ",
    "CF_YXQ",
    "CF_CFJG",
    "CF_CFJGDM",
    "CF_SJLY",
    "CF_SJLYDM",
    "CF_BZ",
];

const CELLS: [&str; 19] = [
    "甲公司",
    "法人",
    "'9152000071430580xt",
    "71430580-X",
    "王芳",
    "罚〔2026〕1号",
    "无证经营",
    "事实",
    "第三条",
    "罚款",
    "罚款五千元",
    "5,000元",
    "2026年1月2日",
    "长期",
    "示例市局",
    "91110000710926094P",
    "示例市局",
    "91110000710926094P",
    "",
];

#[test]
fn both_generations_of_columns_state_the_same_record() {
    let title = row(1, &["行政处罚信息公示表"]);
    for (above, titles) in [
        (vec![], PRESENT),
        (vec![title, row(2, &[])], PRESENT),
        (vec![], KEYS),
    ] {
        let stated = read_one(&above, &titles, &CELLS);
        assert_eq!(stated.subject, "cn-uscc:9152000071430580xt");
        assert_eq!(stated.document_number, "罚〔2026〕1号");
        assert_eq!(stated.decided_on, "2026-01-02");
        assert_eq!(stated.valid_until, "");
        let field = |name: &str| {
            let found = stated.fields.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(field("party_category"), Some("法人及非法人组织"));
        assert_eq!(field("fine"), Some("0.5"));
        assert_eq!(field("legal_representative"), Some("王芳"));
        assert_eq!(field("authority_code"), Some("cn-uscc:91110000710926094P"));
        assert_eq!(field("remarks"), None, "an empty cell states nothing");
    }
}

#[test]
fn the_better_code_wins_wherever_it_stands() {
    let mut titles = PRESENT;
    titles.swap(2, 3);
    let mut cells = CELLS;
    cells.swap(2, 3);
    assert_eq!(
        read_one(&[], &titles, &cells).subject,
        "cn-uscc:9152000071430580xt"
    );
    cells[3] = "";
    assert_eq!(
        read_one(&[], &titles, &cells).subject,
        "cn-orgcode:71430580-X"
    );
    cells[2] = "";
    assert_eq!(read_one(&[], &titles, &cells).subject, "");
}

#[test]
fn what_the_titles_lack_is_named_at_once() {
    let pack = pack();
    let form = form(&pack);
    let record_type = pack.record_type(PENALTY).expect("in the pack");
    let find = |titles: &[&str]| Columns::find(&form, record_type, &[row(1, titles)]);

    let fault = find(&PRESENT[..12]).expect_err("seven are missing");
    let ColumnsFault::Missing { row: 1, missing } = fault else {
        panic!("{fault}");
    };
    assert_eq!(missing.len(), 5, "{missing:?}");
    assert!(missing.contains(&"处罚决定日期".to_owned()), "{missing:?}");

    let twice: Vec<&str> = PRESENT.iter().copied().chain(["CF_WSH"]).collect();
    let fault = find(&twice).expect_err("the document's number comes twice");
    assert!(
        matches!(&fault, ColumnsFault::Twice { titles, .. } if titles.len() == 2),
        "{fault}"
    );

    let fault = find(&["姓名", "年龄"]).expect_err("another table");
    assert!(
        matches!(fault, ColumnsFault::NoTitles { looked_at: 1, .. }),
        "{fault}"
    );
}

#[test]
fn titles_are_shown_without_what_a_terminal_would_obey() {
    let pack = pack();
    let form = form(&pack);
    let record_type = pack.record_type(PENALTY).expect("in the pack");
    let find = |titles: &[&str]| Columns::find(&form, record_type, &[row(1, titles)]);
    let fault = RowFault {
        field: "record.fields.fine".to_owned(),
        reason: "R".to_owned(),
        message: "look".to_owned(),
    };
    // Titles are compared without their blanks, of which a line feed is one.
    let fine = "CF_NR\n_FK";
    let mut titles = KEYS
        .map(|title| if title == "CF_NR_FK" { fine } else { title })
        .to_vec();
    titles.push("\u{1b}]0;x\u{7}");
    let columns = find(&titles).expect("the titles are there");
    assert_eq!(columns.unknown, [r"\u{1b}]0;x\u{7}"]);
    assert_eq!(fault.explained(&columns), r"CF_NR\u{a}_FK: look (R)");
    titles.push(fine);
    let twice = find(&titles).expect_err("one comes twice").to_string();
    assert!(!twice.contains('\n'), "{twice}");
}

#[test]
fn faults_are_said_under_the_titles_of_the_table() {
    let pack = pack();
    let form = form(&pack);
    let record_type = pack.record_type(PENALTY).expect("in the pack");
    let titles: Vec<&str> = KEYS
        .iter()
        .copied()
        .chain(["经办人", FAULTS_TITLE, QUARANTINE_TITLE])
        .collect();
    let columns =
        Columns::find(&form, record_type, &[row(1, &titles)]).expect("the titles are there");
    assert_eq!(columns.unknown, ["经办人"]);
    assert_eq!(columns.title_of("record.fields.fine"), Some("CF_NR_FK"));
    assert_eq!(columns.title_of("record.subject"), Some("CF_XDR_SHXYM"));
    assert_eq!(columns.title_of("record.decided_on"), Some("CF_JDRQ"));
    assert_eq!(columns.title_of("record.fields.confiscated"), None);
    let cells: Vec<&str> = CELLS
        .iter()
        .copied()
        .chain(["", "two faults", "id"])
        .collect();
    assert_eq!(columns.quarantine(&row(2, &cells)), Some("id"));
    assert_eq!(columns.quarantine(&row(2, &CELLS)), None);
}
