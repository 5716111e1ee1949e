//! What is in a cell, as people read it.

use jiff::civil::Date;
use quick_xml::events::BytesStart;

use super::super::{CELL_BYTES_MAX, TableError};
use super::package::{Part, Piece, attribute, broken};
use super::strings::{Strings, read_text, unescaped};
use super::styles::Shown;

/// Day 0 of the calendar that counts 1900 as a leap year, which is right from March 1900 on.
const DAY_0: Date = jiff::civil::date(1899, 12, 30);

/// Days between the two calendars that workbooks have.
const DAYS_TO_1904: i32 = 1_462;

/// What cells refer to.
pub(super) struct Cells {
    /// How numbers are shown, by their styles.
    pub formats: Vec<Shown>,
    /// Texts of several cells.
    pub strings: Strings,
    /// Whether days count from 1904.
    pub from_1904: bool,
}

impl Cells {
    /// A cell as people read it: whole numbers without a point, days as ISO 8601.
    /// What a formula could not compute is no value.
    pub fn text(
        &mut self,
        part: &mut Part<'_>,
        cell: &BytesStart<'_>,
    ) -> Result<String, TableError> {
        let kind = attribute(cell, "t")?.unwrap_or_default();
        let style = attribute(cell, "s")?;
        let mut text = String::new();
        loop {
            match part.next()? {
                None => return Err(broken("a cell of it is cut off")),
                Some(Piece::Start(start)) => match start.local_name().as_ref() {
                    "is" => text = read_text(part, "is")?,
                    "v" if kind != "inlineStr" => {
                        let value = read_value(part)?;
                        text = self.value(&kind, style.as_deref(), &value)?;
                    }
                    _ => {}
                },
                Some(Piece::End(name)) if name == "c" => return Ok(text),
                Some(_) => {}
            }
        }
    }

    fn value(
        &mut self,
        kind: &str,
        style: Option<&str>,
        value: &str,
    ) -> Result<String, TableError> {
        Ok(match kind {
            "s" => {
                let number = value.trim().parse().map_err(broken)?;
                let text = self.strings.get(number)?;
                text.ok_or_else(|| broken("a shared text of it is missing"))?
            }
            "b" => (value.trim() == "1" || value.trim() == "true").to_string(),
            "e" => String::new(),
            "" | "n" => match value.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => self.number(number, style),
                _ => value.to_owned(),
            },
            "str" => unescaped(value),
            _ => value.to_owned(),
        })
    }

    fn number(&self, number: f64, style: Option<&str>) -> String {
        let style = style.and_then(|style| style.parse::<usize>().ok());
        let format = style.and_then(|style| self.formats.get(style)).copied();
        match format.unwrap_or_default() {
            Shown::Number => shown(number),
            Shown::Length => number.to_string(),
            Shown::Yuan => format!("{}元", shown(number)),
            // Neither of the two numbers is taken for the other: collection refuses the sign,
            // and names the cell.
            Shown::Scaled => format!("{}{}", shown(number), char::REPLACEMENT_CHARACTER),
            Shown::Day => day(number, self.from_1904).unwrap_or_else(|| shown(number)),
        }
    }
}

/// The text of a value, up to its end.
fn read_value(part: &mut Part<'_>) -> Result<String, TableError> {
    let mut text = String::new();
    loop {
        match part.next()? {
            None => return Err(broken("a value of it is cut off")),
            Some(Piece::Text(more)) => text.push_str(&more),
            Some(Piece::End(name)) if name == "v" => return Ok(text),
            Some(_) => {}
        }
        if text.len() > CELL_BYTES_MAX {
            return Err(broken("a value of it is too long"));
        }
    }
}

/// The day of a number, as ISO 8601.
fn day(number: f64, from_1904: bool) -> Option<String> {
    // Until the year 9999; before day 60 the calendar is a day off.
    let whole = number.floor();
    if !(0.0..=2_958_465.0).contains(&whole) {
        return None;
    }
    let days = whole as i32;
    let days = match from_1904 {
        true => days + DAYS_TO_1904,
        false if days < 60 => days + 1,
        false => days,
    };
    let day = DAY_0.checked_add(jiff::Span::new().days(days)).ok()?;
    Some(day.to_string())
}

/// A number as Excel shows it, with 15 digits: what a sum adds beyond them was
/// never meant.
fn shown(number: f64) -> String {
    // Beyond them digits were lost when the number was typed: shown as Excel does, so that
    // nobody takes it for the code that it was.
    if number.abs() >= 1e15 {
        return format!("{number:.5E}");
    }
    let rounded = format!("{number:.14e}").parse::<f64>();
    rounded.unwrap_or(number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_excel_shows() {
        for (number, text) in [
            (0.1 + 0.2, "0.3"),
            (1.5, "1.5"),
            (20_260_102.0, "20260102"),
            (123_456_789_012_345.0, "123456789012345"),
            (0.000_001, "0.000001"),
            (110_101_199_003_078_515.0, "1.10101E17"),
        ] {
            assert_eq!(shown(number), text);
        }
    }
}
