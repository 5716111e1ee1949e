//! Questions about many subjects at once, and the heads of the logs.

use serde_json::json;

use super::{COMPANY, list, mesh, push, tally, tally_with_input};

const CHECK_MANY: &str =
    "check-many --purpose procurement --case 'case 1' --basis tally-credit-regulations/18@1";

#[test]
fn many_subjects_are_answered_in_order() {
    let (place, _server) = mesh();
    list(&place, &push(&place, "penalty 1"));
    super::mailbox(&place, "tax", 2);
    let subjects = format!("{COMPANY}\n\ncn-uscc:91110000710926094P\ncn-uscc:9111000071092609\n");
    let asked = tally_with_input(&place, &format!("--json --as tax {CHECK_MANY}"), &subjects);
    let answers = asked.exits(2).lines();
    assert_eq!(answers.len(), 3, "{answers:#?}");
    let outcome = |n: usize| answers[n]["answer"]["outcome"].clone();
    assert_eq!(outcome(0), "CHECK_OUTCOME_IN_FORCE");
    assert_eq!(outcome(1), "CHECK_OUTCOME_CLEAR");
    let fault = &answers[2]["refused"]["faults"][0];
    assert_eq!(fault["reason"], "IDENTIFIER_LENGTH", "{answers:#?}");

    let people = tally_with_input(&place, &format!("--as tax {CHECK_MANY}"), &subjects).exits(2);
    people.says(&["1 IN_FORCE exclude-from-funds", "2 CLEAR", "3 refused: "]);
}

#[test]
fn heads_are_those_that_verify_finds() {
    let (place, _server) = mesh();
    push(&place, "penalty 1");
    let heads = tally(&place, "--json heads").exits(0).lines();
    let verified = tally(&place, "--json verify").exits(0).lines();
    let names =
        |line: &serde_json::Value| json!([line["log"], line["shard"], line["size"], line["root"]]);
    let of_heads: Vec<_> = heads.iter().map(names).collect();
    let of_verify: Vec<_> = verified.iter().map(names).collect();
    assert!(
        heads
            .iter()
            .any(|head| head["log"] == "collection" && head["size"] == 1)
    );
    assert_eq!(of_heads, of_verify);
    let one = tally(&place, "--json heads collection").exits(0).lines();
    assert!(one.iter().all(|head| head["log"] == "collection"));
    tally(&place, "heads nowhere")
        .exits(2)
        .says(&["no log `nowhere`", "collection-access"]);
}
