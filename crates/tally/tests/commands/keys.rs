//! Erasing keys.

use serde_json::json;

use super::{ask, mesh, push, refused, tally};

#[test]
fn an_erased_key_leaves_the_proofs_whole() {
    let (place, server) = mesh();
    let record_id = push(&place, "penalty 1");
    let show = format!("record {record_id} --case 'case 1'");
    assert!(
        ask(&place, "market", &show)
            .to_string()
            .contains("Example Person")
    );
    let stream = format!("collection/record/{record_id}");
    let erase = format!("key erase {stream}");
    // A running mesh could seal again with a key that it remembers.
    let (_, people) = refused(&place, "operator", &erase, 4);
    people.says(&["in use by another process", "stop it first"]);
    assert!(server.terminate().success());
    assert_eq!(ask(&place, "operator", &erase)["erased"], stream);
    let (_, people) = refused(&place, "operator", &erase, 2);
    people.says(&["no key"]);

    let _server = place.up();
    let shown = ask(&place, "market", &show);
    assert_eq!(
        shown["withheld"],
        json!(["legal_representative"]),
        "{shown}"
    );
    assert!(!shown.to_string().contains("Example Person"));
    tally(&place, "verify").exits(0);
    tally(&place, "rebuild").exits(0);
}
