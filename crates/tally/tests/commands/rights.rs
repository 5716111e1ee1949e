//! What a certificate's holder may do, as the command line says it.

use super::{mesh, tally, text};

#[test]
fn rights_are_those_of_the_certificate_and_the_active_pack() {
    let (place, server) = mesh();
    let rights = |who: &str| {
        let told = tally(&place, &format!("--json --as {who} rights"));
        told.exits(0).lines()
    };
    let on = |who: &str, call: &str| {
        let told = rights(who).into_iter();
        let mut of_call = told.filter(|held| {
            let calls = held["calls"].as_array().expect("calls");
            calls.iter().any(|name| name == call)
        });
        of_call.next().map(|held| held["on"]["ids"].clone())
    };
    let lists = on("market-1", "Nominate").expect("an initiator");
    assert_eq!(lists, serde_json::json!(["serious-violation"]));
    assert_eq!(on("market", "Nominate"), None, "a system lists nobody");
    let executes = on("tax-7", "Execute").expect("a responder");
    assert!(executes.to_string().contains("revoke-honour"), "{executes}");
    for held in rights("operator") {
        assert!(held["on"].is_null(), "{held}");
        assert_ne!(text(&held["right"]), "lists.nominate");
    }
    let people = tally(&place, "--as market-1 rights").exits(0);
    people.says(&["lists.nominate (Nominate: tally list nominate) – list type serious-violation"]);
    assert!(server.terminate().success());
}
