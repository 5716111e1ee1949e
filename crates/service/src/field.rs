//! Fields of requests: each parser adds what is wrong to the list of faults,
//! so that a refusal names them all.

use tally_domain::date::{LegalDate, parse_legal_date};
use tally_domain::document::DocumentNumber;
use tally_domain::fault::FieldFault;
use tally_domain::identifier::ResidentId;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::pb;

/// From this bound on, a text may have lines.
const LONG_TEXT_CHARS: usize = 500;

/// Characters of an address under which a document is kept.
const ADDRESS_CHARS_MAX: usize = 2_000;

/// Highest number of a choice that a refusal names.
const CHOICE_NUMBER_MAX: i32 = 99;

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

    /// The first day of a required month.
    pub fn month(&mut self, field: &str, text: &str) -> Option<LegalDate> {
        let first = month_start(text);
        if first.is_none() {
            self.add(field, "MONTH_INVALID", "a month is written yyyy-mm");
        }
        first
    }

    /// The first day of an optional month; an empty text is none.
    pub fn month_or_none(&mut self, field: &str, text: &str) -> Option<LegalDate> {
        if text.is_empty() {
            None
        } else {
            self.month(field, text)
        }
    }

    /// The choice of that number, the zero included: what it stands for is the
    /// caller's to say. An unknown one is refused, as a newer caller means by it
    /// what nobody here can know.
    pub fn choice<E: TryFrom<i32>>(
        &mut self,
        field: &str,
        number: i32,
        name: impl Fn(&E) -> &'static str,
    ) -> Option<E> {
        let choice = E::try_from(number).ok();
        if choice.is_none() {
            let known = (1..=CHOICE_NUMBER_MAX).filter_map(|number| E::try_from(number).ok());
            let names: Vec<_> = known.map(|known| name(&known)).collect();
            let message = format!("{number} is none of {}", names.join(", "));
            self.add(field, "VALUE_NOT_A_CHOICE", message);
        }
        choice
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
    /// Control characters are refused, because they change what a reader sees;
    /// texts of more than a line or two may have line breaks and tabs.
    pub fn text_or_empty(&mut self, field: &str, text: &str, chars_max: usize) -> Option<String> {
        self.bounded(field, text, chars_max, has_lines(chars_max))
    }

    fn bounded(
        &mut self,
        field: &str,
        text: &str,
        chars_max: usize,
        lines: bool,
    ) -> Option<String> {
        let count = text.chars().count();
        if count > chars_max {
            self.add(
                field,
                "TEXT_TOO_LONG",
                format!("{count} characters, at most {chars_max} are taken"),
            );
            return None;
        }
        let control = control_characters(field, text, lines);
        let visible = self.keep(control).is_some();
        let impersonal = self.impersonal(field, text);
        (impersonal && visible).then(|| text.to_owned())
    }

    /// A required number of a decision document. It is kept in clear for ever.
    pub fn document_number(&mut self, field: &str, text: &str) -> Option<DocumentNumber> {
        let number = self.keep(DocumentNumber::parse(text).map_err(|fault| fault.at(field)));
        let impersonal = self.impersonal(field, text);
        number.filter(|_| impersonal)
    }

    /// False, and one fault more, if the text holds a person's number.
    fn impersonal(&mut self, field: &str, text: &str) -> bool {
        let found = holds_person_number(text);
        if found {
            self.add(
                field,
                "PERSON_NUMBER_IN_TEXT",
                "the text holds a person's number; leave persons out",
            );
        }
        !found
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
        let number = self.document_number(&format!("{field}.number"), &document.number);
        let address = self.bounded(
            &format!("{field}.address"),
            &document.address,
            ADDRESS_CHARS_MAX,
            false,
        );
        if !matches!(document.sha256.len(), 0 | 32) {
            self.add(
                format!("{field}.sha256"),
                "HASH_INVALID",
                "a SHA-256 has 32 bytes",
            );
            return None;
        }
        Some(pb::DocumentRef {
            number: number?.as_written().to_owned(),
            address: address?,
            ..document.clone()
        })
    }
}

/// The first day of a month that is written yyyy-mm.
pub fn month_start(text: &str) -> Option<LegalDate> {
    // A month is what makes a date when its first day is added.
    parse_legal_date(&format!("{text}-01")).ok()
}

/// True if a text with this bound may have line breaks and tabs.
pub fn has_lines(chars_max: usize) -> bool {
    chars_max >= LONG_TEXT_CHARS
}

/// Refuses control characters, but for line breaks and tabs where `lines` may
/// be. Marks that turn the direction of writing are refused too: with them a
/// text reads as another than it is.
///
/// # Errors
///
/// The fault of `field`: remove the character.
pub fn control_characters(field: &str, text: &str, lines: bool) -> Result<(), FieldFault> {
    let refused = |c: char| match c {
        '\n' | '\r' | '\t' => !lines,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    };
    let Some(at) = text.chars().position(refused) else {
        return Ok(());
    };
    let but = if lines {
        " but line breaks and tabs"
    } else {
        ""
    };
    let message = format!(
        "character {} is a control character; none{but} are taken",
        at + 1
    );
    Err(FieldFault::new(field, "CONTROL_CHARACTERS", message))
}

/// Refuses U+FFFD: it stands where a text was read in another encoding than it was
/// written in, and says nothing of what was there.
///
/// # Errors
///
/// The fault of `field`: give the text as its source has it.
pub fn readable(field: &str, text: &str) -> Result<(), FieldFault> {
    match text.chars().position(|c| c == char::REPLACEMENT_CHARACTER) {
        None => Ok(()),
        Some(at) => Err(FieldFault::new(
            field,
            "TEXT_UNREADABLE",
            format!(
                "character {} could not be read; give it as its source has it",
                at + 1
            ),
        )),
    }
}

/// True if a word of the text is a resident identity number, in full-width
/// digits too: an input method writes those unasked.
pub fn holds_person_number(text: &str) -> bool {
    // The 18th character may be a letter. Most texts are done with here.
    const DIGITS_MIN: usize = 17;
    let digit = |c: &char| c.is_ascii_digit() || ('\u{ff10}'..='\u{ff19}').contains(c);
    if text.len() < DIGITS_MIN || text.chars().filter(digit).count() < DIGITS_MIN {
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
mod tests;
