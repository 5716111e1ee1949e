//! Answers in pages: how many rows one has, and where the page before ended.

use crate::field::Faults;

/// Rows of a page where the caller does not say.
const DEFAULT: u32 = 100;

/// The most that a caller may ask for.
const MAX: u32 = 500;

/// The size of a page, and one fault more if it is too large. `what` names the rows.
pub fn size(faults: &mut Faults, asked: u32, what: &str) -> usize {
    if asked > MAX {
        let message = format!("a page has at most {MAX} {what}");
        faults.add("page_size", "VALUE_TOO_LARGE", message);
    }
    let size = if asked == 0 { DEFAULT } else { asked };
    size as usize
}

/// Where the page before ended; nothing for the first page, or with one fault
/// more if `read` cannot make out the token.
pub fn token<T>(
    faults: &mut Faults,
    text: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    let place = read(text);
    if place.is_none() {
        let message = "pass the token of the page before exactly as it was received";
        faults.add("page_token", "PAGE_TOKEN_MALFORMED", message);
    }
    place
}

#[cfg(test)]
mod tests {
    use tally_domain::fault::FieldFault;

    use super::*;

    #[test]
    fn a_page_has_a_size_by_default_and_a_largest_one() {
        let mut faults = Faults::default();
        assert_eq!(size(&mut faults, 0, "rows"), 100);
        assert_eq!(size(&mut faults, 500, "rows"), 500);
        assert!(faults.is_empty());
        size(&mut faults, 501, "rows");
        let message = "a page has at most 500 rows";
        let fault = FieldFault::new("page_size", "VALUE_TOO_LARGE", message);
        assert_eq!(faults.into_vec(), [fault]);
    }

    #[test]
    fn a_token_that_cannot_be_read_is_a_fault_and_none_is_the_first_page() {
        let read = |text: &str| text.parse::<u8>().ok();
        let mut faults = Faults::default();
        assert_eq!(token(&mut faults, "", read), None);
        assert_eq!(token(&mut faults, "7", read), Some(7));
        assert!(faults.is_empty());
        assert_eq!(token(&mut faults, "x", read), None);
        let message = "pass the token of the page before exactly as it was received";
        let fault = FieldFault::new("page_token", "PAGE_TOKEN_MALFORMED", message);
        assert_eq!(faults.into_vec(), [fault]);
    }
}
