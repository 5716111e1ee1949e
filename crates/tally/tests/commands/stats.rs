//! Figures as tables.

use serde_json::json;

use super::{mesh, record, tally, tally_with_input, text};
use crate::process::MARKET;

#[test]
fn what_was_reported_and_refused_is_a_table_in_either_language() {
    let (place, _server) = mesh();
    tally(&place, "stats timeliness")
        .exits(0)
        .says(&["nothing was reported in these months"]);
    tally(&place, "--lang zh stats timeliness")
        .exits(0)
        .says(&["所选月份没有报送"]);
    let broken = json!({
        "subject": "cn-uscc:9152000071430580XA",
        "record_type": "administrative-penalty",
        "document_number": "penalty 2",
        "decided_on": "2026-02-30",
        "legal_basis": "tally-credit-regulations/12@1",
        "fields": {"party_name": "Example Ltd", "penalty_category": "fine"},
    });
    let input = format!("{}\n{broken}\n", record("penalty 1"));
    tally_with_input(&place, "--as market push", &input).exits(2);

    let line = "--as market stats timeliness --item administrative-penalty";
    let table = tally(&place, line).exits(0);
    table.says(&[
        "Tally Province Market Supervision Administration",
        MARKET,
        "Administrative penalty",
        "in time",
        "refused for: DATE_NO_SUCH_DAY 1, IDENTIFIER_CHECK_CHARACTER 1",
    ]);
    let in_chinese = tally(&place, &format!("--lang zh {line}")).exits(0);
    in_chinese.says(&["示例省市场监督管理局", MARKET, "行政处罚", "按时", "合计"]);
    let found = tally(&place, &format!("--json {line}")).exits(0).line();
    let row = &found["rows"][0];
    assert_eq!(row["department"], MARKET);
    for figures in [&row["figures"], &found["totals"]] {
        let told = ["reported", "in_time", "refused"].map(|name| text(&figures[name]));
        assert_eq!(told, ["1", "1", "1"]);
    }
    // Without a subject it is what it was.
    tally(&place, &format!("stats --department {MARKET}"))
        .exits(0)
        .says(&["accepted", "corrected", "escalated"]);
    tally(&place, "--as market stats timeliness --from 2026-13").exits(2);
}
