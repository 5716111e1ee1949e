//! Every text is there in both languages, and says the same of the same values.

use std::collections::BTreeSet;

use super::*;

fn all() -> impl Iterator<Item = &'static Text> {
    lines::ALL.iter().chain(checks::ALL)
}

/// The numbers of the places where values go.
fn places(text: &str) -> BTreeSet<&str> {
    let parts = text.split('{').skip(1);
    parts
        .filter_map(|part| Some(part.split_once('}')?.0))
        .collect()
}

#[test]
fn every_text_is_in_both_languages() {
    let has_chinese = |text: &str| text.chars().any(|c| ('一'..='鿿').contains(&c));
    let mut values_alone = 0;
    for text in all() {
        assert!(!text.en.is_empty() && text.en.is_ascii(), "{}", text.en);
        let words = |text: &str| text.chars().any(|c| c.is_alphabetic());
        if !words(text.en) {
            values_alone += 1;
            continue;
        }
        assert!(has_chinese(text.zh), "{}", text.en);
        assert_ne!(text.en, text.zh);
        // What stays in Latin letters is a unit or a name.
        let latin: String = text.zh.chars().filter(char::is_ascii_alphabetic).collect();
        assert!(["", "MB", "JSON"].contains(&latin.as_str()), "{}", text.zh);
    }
    assert_eq!(values_alone, 2);
}

#[test]
fn both_languages_have_places_for_the_same_values() {
    for text in all() {
        assert_eq!(places(text.en), places(text.zh), "{}", text.en);
        let numbers: Vec<String> = (0..places(text.en).len()).map(|n| n.to_string()).collect();
        let numbers: BTreeSet<&str> = numbers.iter().map(String::as_str).collect();
        assert_eq!(places(text.en), numbers, "{}", text.en);
    }
}

#[test]
fn values_go_into_their_places() {
    let name = Phrase::named("Tax Service", Some(&"税务局".to_owned()));
    let said = LISTED_ON.with(&[&3, &"2026-03-02"]);
    assert_eq!(said.say(Lang::En), "3 listed on 2026-03-02");
    assert_eq!(said.say(Lang::Zh), "2026-03-02 列入 3 家");
    let said = NAMED.with(&[&name, &CLEAR]);
    assert_eq!(said.say(Lang::En), "Tax Service: clear");
    assert_eq!(said.say(Lang::Zh), "税务局：无在效措施");
}
