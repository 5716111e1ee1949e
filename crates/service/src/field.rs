//! Fields of requests: each parser adds what is wrong to the list of faults,
//! so that a refusal names them all.

use tally_domain::date::{LegalDate, parse_legal_date};
use tally_domain::document::DocumentNumber;
use tally_domain::fault::FieldFault;
use tally_domain::identifier::ResidentId;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::pb;

/// Collects the faults of one message.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldFault>);

impl Faults {
    /// Adds a fault.
    pub fn add(
        &mut self,
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.0.push(FieldFault::new(field, reason, message));
    }

    /// Adds a fault that was made elsewhere.
    pub fn push(&mut self, fault: FieldFault) {
        self.0.push(fault);
    }

    /// The value, or nothing and one fault more.
    pub fn keep<T>(&mut self, result: Result<T, FieldFault>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.0.push(fault);
                None
            }
        }
    }

    /// True if nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All faults.
    pub fn into_vec(self) -> Vec<FieldFault> {
        self.0
    }

    /// A required date.
    pub fn date(&mut self, field: &str, text: &str) -> Option<LegalDate> {
        if text.is_empty() {
            self.add(field, "FIELD_REQUIRED", "a date is required, as YYYY-MM-DD");
            return None;
        }
        self.keep(parse_legal_date(text).map_err(|fault| fault.at(field)))
    }

    /// An optional date; an empty text is none.
    pub fn date_or_none(&mut self, field: &str, text: &str) -> Option<LegalDate> {
        if text.is_empty() {
            None
        } else {
            self.date(field, text)
        }
    }

    /// A text of 1 to `chars_max` characters.
    pub fn text(&mut self, field: &str, text: &str, chars_max: usize) -> Option<String> {
        let text = text.trim();
        if text.is_empty() {
            self.add(field, "FIELD_REQUIRED", "a text is required");
            return None;
        }
        self.text_or_empty(field, text, chars_max)
    }

    /// A text of at most `chars_max` characters. Texts are kept in clear for
    /// ever, so that a person's number in one is refused, without repeating it.
    pub fn text_or_empty(&mut self, field: &str, text: &str, chars_max: usize) -> Option<String> {
        let count = text.chars().count();
        if count > chars_max {
            self.add(
                field,
                "TEXT_TOO_LONG",
                format!("{count} characters, at most {chars_max} are taken"),
            );
            return None;
        }
        if holds_person_number(text) {
            self.add(
                field,
                "PERSON_NUMBER_IN_TEXT",
                "the text holds a person's number; leave persons out",
            );
            return None;
        }
        Some(text.to_owned())
    }

    /// A required legal basis.
    pub fn legal_basis(
        &mut self,
        field: &str,
        basis: Option<&pb::LegalBasisRef>,
    ) -> Option<LegalBasisRef> {
        match basis {
            Some(basis) if !basis.id.is_empty() && basis.version > 0 => Some(LegalBasisRef {
                id: basis.id.clone(),
                version: basis.version,
            }),
            Some(_) => {
                self.add(
                    field,
                    "LEGAL_BASIS_INVALID",
                    "a legal basis has an id and a version from 1",
                );
                None
            }
            None => {
                self.add(
                    field,
                    "LEGAL_BASIS_REQUIRED",
                    "nothing is done without a legal basis; name one of the policy pack",
                );
                None
            }
        }
    }

    /// A required document: its number, and a hash of 32 bytes where one is given.
    pub fn document(
        &mut self,
        field: &str,
        document: Option<&pb::DocumentRef>,
    ) -> Option<pb::DocumentRef> {
        let Some(document) = document else {
            self.add(
                field,
                "DOCUMENT_REQUIRED",
                "a document is required: its number, and its SHA-256 if there is a file",
            );
            return None;
        };
        self.document_given(field, document)
    }

    /// An optional document.
    pub fn document_or_none(
        &mut self,
        field: &str,
        document: Option<&pb::DocumentRef>,
    ) -> Option<pb::DocumentRef> {
        document.and_then(|document| self.document_given(field, document))
    }

    fn document_given(
        &mut self,
        field: &str,
        document: &pb::DocumentRef,
    ) -> Option<pb::DocumentRef> {
        let number = DocumentNumber::parse(&document.number)
            .map_err(|fault| fault.at(format!("{field}.number")));
        let number = self.keep(number);
        if !matches!(document.sha256.len(), 0 | 32) {
            self.add(
                format!("{field}.sha256"),
                "HASH_INVALID",
                "a SHA-256 has 32 bytes",
            );
            return None;
        }
        let address = self.text_or_empty(&format!("{field}.address"), &document.address, 2_000)?;
        number.map(|number| pb::DocumentRef {
            number: number.as_written().to_owned(),
            address,
            ..document.clone()
        })
    }
}

/// True if a word of the text is a resident identity number, in full-width
/// digits too: an input method writes those unasked.
pub fn holds_person_number(text: &str) -> bool {
    const NUMBER_CHARS: usize = 18;
    if text.len() < NUMBER_CHARS {
        return false;
    }
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    };
    let narrowed: String = text.chars().map(narrow).collect();
    narrowed
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| ResidentId::parse(word).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_number_is_refused_in_every_text() {
        // Synthetic: region 999999 is assigned to nobody.
        for text in [
            "999999200002291230",
            "按身份证999999200002291230号",
            "number ９９９９９９２００００２２９１２３０, verified",
        ] {
            let mut faults = Faults::default();
            assert_eq!(faults.text("case_number", text, 200), None, "{text}");
            assert_eq!(faults.text_or_empty("remarks", text, 200), None, "{text}");
            let reasons: Vec<_> = faults.into_vec().iter().map(|fault| fault.reason).collect();
            assert_eq!(reasons, ["PERSON_NUMBER_IN_TEXT"; 2], "{text}");
        }
        let mut faults = Faults::default();
        let kept = faults.text("case_number", "case 999999200002291231", 200);
        assert_eq!(kept.as_deref(), Some("case 999999200002291231"));
    }
}
