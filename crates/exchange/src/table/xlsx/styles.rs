//! Which cells of a workbook are days: their number's format says so.

use std::collections::BTreeMap;

use super::super::TableError;
use super::package::{Package, SMALL_PART_BYTES_MAX, attribute};

/// What a number is shown as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Shown {
    /// Itself.
    #[default]
    Number,
    /// A day, with or without a time.
    Day,
    /// A length of time.
    Length,
    /// Itself, with 元 behind it: not in ten thousand yuan, as amounts are otherwise.
    Yuan,
    /// As another number than itself, by a scale or in another unit.
    Scaled,
}

/// The formats of cells, in the order by which these refer to them.
pub(super) fn read(package: &mut Package, name: &str) -> Result<Vec<Shown>, TableError> {
    let Some(mut part) = package.part(name, SMALL_PART_BYTES_MAX)? else {
        return Ok(Vec::new());
    };
    let mut own = BTreeMap::new();
    let mut shown = Vec::new();
    let mut in_cells = false;
    while let Some(start) = part.next_start()? {
        match start.local_name().as_ref() {
            "numFmt" => {
                let (id, code) = (
                    attribute(&start, "numFmtId")?,
                    attribute(&start, "formatCode")?,
                );
                if let (Some(id), Some(code)) = (id, code) {
                    own.insert(id, by_code(&code));
                }
            }
            "cellXfs" => in_cells = true,
            "cellStyles" | "dxfs" | "cellStyleXfs" => in_cells = false,
            "xf" if in_cells => {
                let id = attribute(&start, "numFmtId")?.unwrap_or_default();
                let format = own.get(&id).copied().unwrap_or_else(|| built_in(&id));
                shown.push(format);
            }
            _ => {}
        }
    }
    Ok(shown)
}

/// The formats that every workbook has (ECMA-376 part 1, 18.8.30), those of East
/// Asian versions among them.
fn built_in(id: &str) -> Shown {
    match id.parse() {
        Ok(14..=22 | 27..=36 | 45 | 47 | 50..=58) => Shown::Day,
        Ok(46) => Shown::Length,
        _ => Shown::Number,
    }
}

/// A format of the workbook's own: with letters of days and times outside
/// quotation marks it is one.
fn by_code(code: &str) -> Shown {
    let mut chars = code.chars();
    let mut quoted = false;
    let mut signs = Signs::default();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => signs.literal(c),
            // The next sign stands for itself.
            '\\' | '!' => chars.by_ref().take(1).for_each(|c| signs.literal(c)),
            // As wide as the next sign, or filled with it.
            '_' | '*' => {
                chars.next();
            }
            // Only what positive numbers are shown as counts.
            ';' => break,
            '[' => {
                let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                let inside = inside.to_lowercase();
                let units = |unit| !inside.is_empty() && inside.chars().all(|c| c == unit);
                if ['h', 'm', 's'].into_iter().any(units) {
                    return Shown::Length;
                }
            }
            'd' | 'm' | 'h' | 'y' | 's' | 'D' | 'M' | 'H' | 'Y' | 'S' => return Shown::Day,
            c => signs.sign(c),
        }
    }
    signs.shown()
}

/// What a format of a number says besides its digits.
#[derive(Default)]
struct Signs {
    /// Signs that stand for themselves.
    literals: String,
    /// A place of a digit came before.
    digits: bool,
    /// A comma came since: it groups thousands if a digit follows, and leaves them out if none does.
    comma: bool,
    /// A point came since that is none of the number.
    point: bool,
    scaled: bool,
}

impl Signs {
    fn literal(&mut self, c: char) {
        self.point |= self.digits && c == '.';
        self.literals.push(c);
    }

    fn sign(&mut self, c: char) {
        match c {
            '0' | '#' | '?' => {
                self.scaled |= self.point;
                (self.digits, self.comma) = (true, false);
            }
            ',' => self.comma = self.digits,
            '.' => self.scaled |= self.comma,
            c if c.is_ascii() => {}
            c => self.literals.push(c),
        }
    }

    fn shown(&self) -> Shown {
        if self.scaled || self.comma {
            return Shown::Scaled;
        }
        match self.literals.split_once('元') {
            None => Shown::Number,
            Some((before, _)) if before.ends_with('万') => Shown::Number,
            Some((before, _)) if before.ends_with(['十', '百', '千', '亿']) => Shown::Scaled,
            Some(_) => Shown::Yuan,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_days_are_known_by_their_letters() {
        for code in [
            "yyyy/m/d",
            "yyyy\"年\"m\"月\"d\"日\"",
            "[$-804]yyyy-mm-dd;@",
            "h:mm",
        ] {
            assert_eq!(by_code(code), Shown::Day, "{code}");
        }
        for code in [
            "0.00", "\"day\"0", "General", "0_d", "[Red]0", "0;yyyy", "\\d0",
        ] {
            assert_eq!(by_code(code), Shown::Number, "{code}");
        }
        assert_eq!(by_code("[h]:mm:ss"), Shown::Length);
        for code in ["0.00\"元\"", "#,##0元", "¥#,##0\\元", "0.00\"元\";-0.00"] {
            assert_eq!(by_code(code), Shown::Yuan, "{code}");
        }
        for code in [
            "0.00\"万元\"",
            "#,##0.00_ ",
            "¥#,##0.00",
            "# ?/?",
            "0.00E+00",
        ] {
            assert_eq!(by_code(code), Shown::Number, "{code}");
        }
        for code in [
            "0!.0,",
            "0!.0000\"万元\"",
            "0\".\"0",
            "#,##0,",
            "0.00,,",
            "0,.0",
            "0.0\"亿元\"",
        ] {
            assert_eq!(by_code(code), Shown::Scaled, "{code}");
        }
        assert_eq!(built_in("57"), Shown::Day);
    }
}
