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
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            // The next sign stands for itself, or is as wide as.
            '\\' | '_' | '*' => {
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
            _ => {}
        }
    }
    Shown::Number
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
        assert_eq!(built_in("57"), Shown::Day);
    }
}
