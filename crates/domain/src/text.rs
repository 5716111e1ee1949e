//! Normalisation shared by identifiers, amounts and document numbers.

use std::borrow::Cow;

/// Full-width forms (as Chinese input methods type them) become half-width.
///
/// U+FF01..U+FF5E lie at a fixed distance from ASCII; U+3000 is the wide space.
pub fn half_width(text: &str) -> String {
    text.chars().map(half_width_char).collect()
}

fn half_width_char(c: char) -> char {
    match c {
        '\u{3000}' => ' ',
        '\u{FF01}'..='\u{FF5E}' => {
            char::from_u32(c as u32 - 0xFEE0).expect("the range maps onto printable ASCII")
        }
        other => other,
    }
}

/// Characters that show nothing: two texts differing only in these look the same.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}'
            | '\u{FEFF}'
    )
}

/// A text of a file as it may be shown: what would move the cursor of a terminal, turn the
/// direction of writing or show nothing is written as `\u{1b}`.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Runs of white space become one space; none is left at either end.
pub(crate) fn collapse_whitespace(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A code as typed: half-width, without surrounding or invisible characters, upper case.
pub(crate) fn code(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        // As nearly all are: nothing in them is wide or invisible.
        let text = text.trim();
        return match text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            true => text.to_ascii_uppercase().into(),
            false => text.into(),
        };
    }
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    half_width(&visible).trim().to_ascii_uppercase().into()
}

/// A name as a key: what people read as the same name gives the same text.
pub(crate) fn name_key(text: &str) -> String {
    let folded: String = text
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(half_width_char)
        .map(straight_quote)
        .flat_map(char::to_uppercase)
        .collect();
    collapse_whitespace(&folded)
}

fn straight_quote(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{02BC}' => '\'',
        '\u{201C}' | '\u{201D}' => '"',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_width_letters_digits_and_spaces_become_half_width() {
        assert_eq!(half_width("ＡＢｃ１２（３）　｜"), "ABc12(3) |");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_what_it_is() {
        assert_eq!(
            printable("\u{1b}[2J姓　名\n\u{9b}A\u{202e}\u{2028}"),
            r"\u{1b}[2J姓　名\u{a}\u{9b}A\u{202e}\u{2028}"
        );
    }

    #[test]
    fn codes_that_read_the_same_are_one() {
        for text in ["AB-12X", " ab-12x\t", "\u{FEFF}ＡＢ－１２ｘ", "　AB-12X　"] {
            assert_eq!(code(text), "AB-12X", "{text:?}");
        }
    }

    #[test]
    fn names_that_read_the_same_have_one_key() {
        let plain = name_key("Johnson's Sheep  Shearing, LLC");
        assert_eq!(plain, "JOHNSON'S SHEEP SHEARING, LLC");
        assert_eq!(
            name_key("\u{FEFF}Johnson\u{2019}s\tsheep shearing, LLC "),
            plain
        );
    }
}
