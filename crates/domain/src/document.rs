//! Decision documents: their numbers, and where their text is kept.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{FieldFault, text};

/// Longest document number, in characters (发改办财金〔2018〕424号, column of s128).
pub const NUMBER_CHARS_MAX: usize = 128;

/// The number of a decision document, for example `国办发〔2025〕22号`.
///
/// Keeps what was written, but is equal, ordered and hashed by [`DocumentNumber::key`],
/// because the same number arrives with whichever brackets and widths a keyboard had.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentNumber {
    written: String,
    key: String,
}

/// Why a text is not a document number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentNumberFault {
    /// Nothing but white space; give the number on the document.
    #[error("a document number is not empty")]
    Empty,
    /// Too long to be a number; perhaps the document's title.
    #[error("a document number has at most {NUMBER_CHARS_MAX} characters, not {found}")]
    Length {
        /// Characters found, without surrounding white space.
        found: usize,
    },
    /// A line break, tab or other control character; remove it.
    #[error("character {position} of the document number is a control character")]
    ControlCharacter {
        /// Place of the character, counted from 1.
        position: usize,
    },
}

impl DocumentNumberFault {
    /// Stable code in upper snake case.
    pub fn reason(&self) -> &'static str {
        match self {
            DocumentNumberFault::Empty => "DOCUMENT_NUMBER_EMPTY",
            DocumentNumberFault::Length { .. } => "DOCUMENT_NUMBER_LENGTH",
            DocumentNumberFault::ControlCharacter { .. } => "DOCUMENT_NUMBER_CONTROL_CHARACTER",
        }
    }

    /// This fault as one of `field`.
    pub fn at(&self, field: impl Into<String>) -> FieldFault {
        FieldFault::new(field, self.reason(), self.to_string())
    }
}

impl DocumentNumber {
    /// Trims and validates a number.
    ///
    /// # Errors
    ///
    /// [`DocumentNumberFault`] says what is wrong; the caller corrects the number.
    pub fn parse(text: &str) -> Result<DocumentNumber, DocumentNumberFault> {
        let written = text.trim();
        let key = comparison_key(written);
        if key.is_empty() {
            return Err(DocumentNumberFault::Empty);
        }
        let found = written.chars().count();
        if found > NUMBER_CHARS_MAX {
            return Err(DocumentNumberFault::Length { found });
        }
        if let Some((_, position)) = written.chars().zip(1..).find(|(c, _)| c.is_control()) {
            return Err(DocumentNumberFault::ControlCharacter { position });
        }
        Ok(DocumentNumber {
            written: written.to_owned(),
            key,
        })
    }

    /// The number as it was written.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The number as it is compared: half-width, one space where there were
    /// several, every bracket around a year as 〔 〕. Belongs in natural keys.
    pub fn key(&self) -> &str {
        &self.key
    }
}

fn comparison_key(written: &str) -> String {
    let visible: String = written
        .chars()
        .filter(|c| !text::is_invisible(*c))
        .collect();
    let key: String = text::half_width(&visible)
        .chars()
        .map(|c| match c {
            '(' | '[' | '【' | '﹝' | '〖' => '〔',
            ')' | ']' | '】' | '﹞' | '〗' => '〕',
            other => other,
        })
        .collect();
    text::collapse_whitespace(&key)
}

impl PartialEq for DocumentNumber {
    fn eq(&self, other: &DocumentNumber) -> bool {
        self.key == other.key
    }
}

impl Eq for DocumentNumber {}

impl PartialOrd for DocumentNumber {
    fn partial_cmp(&self, other: &DocumentNumber) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DocumentNumber {
    fn cmp(&self, other: &DocumentNumber) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl Hash for DocumentNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for DocumentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

impl FromStr for DocumentNumber {
    type Err = DocumentNumberFault;

    fn from_str(text: &str) -> Result<DocumentNumber, DocumentNumberFault> {
        DocumentNumber::parse(text)
    }
}

impl TryFrom<String> for DocumentNumber {
    type Error = DocumentNumberFault;

    fn try_from(text: String) -> Result<DocumentNumber, DocumentNumberFault> {
        DocumentNumber::parse(&text)
    }
}

impl From<DocumentNumber> for String {
    fn from(number: DocumentNumber) -> String {
        number.written
    }
}

/// A decision document: its number, and what is needed to fetch its text and to
/// know that it is the same text. Only this is in the log, never the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentRef {
    /// Number on the document.
    pub number: DocumentNumber,
    /// SHA-256 of the document's bytes; 64 hexadecimal digits in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex_hash")]
    pub sha256: Option<[u8; 32]>,
    /// Size of the document, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Where the document can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl DocumentRef {
    /// A document known by its number alone.
    pub fn numbered(number: DocumentNumber) -> DocumentRef {
        DocumentRef {
            number,
            sha256: None,
            size_bytes: None,
            address: None,
        }
    }
}

mod hex_hash {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(
        hash: &Option<[u8; 32]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => {
                let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                serializer.serialize_some(&text)
            }
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let fault = || D::Error::custom("a sha-256 is 64 hexadecimal digits");
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(fault());
        }
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| fault())?;
        }
        Ok(Some(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn one_number_in_any_brackets_is_one_number() {
        let numbers: HashSet<DocumentNumber> = [
            "国办发〔2025〕22号",
            "国办发[2025]22号",
            "国办发［２０２５］２２号",
            "国办发（2025）22号",
            "国办发(2025)22号",
            "国办发【2025】22号",
            "国办发﹝2025﹞22号",
            " 国办发\u{200B}〔2025〕22号\n",
        ]
        .iter()
        .map(|text| DocumentNumber::parse(text).expect("valid"))
        .collect();
        assert_eq!(numbers.len(), 1);
        let other = DocumentNumber::parse("国办发〔2025〕23号").expect("valid");
        assert!(!numbers.contains(&other));
    }

    #[test]
    fn what_was_written_is_kept() {
        let number = DocumentNumber::parse(" 国办发［2025］22号 ").expect("valid");
        assert_eq!(number.as_written(), "国办发［2025］22号");
        assert_eq!(number.key(), "国办发〔2025〕22号");
        let json = serde_json::to_string(&number).expect("a string");
        assert_eq!(json, "\"国办发［2025］22号\"");
    }

    #[test]
    fn a_number_is_short_and_visible() {
        let longest = "号".repeat(NUMBER_CHARS_MAX);
        assert!(DocumentNumber::parse(&longest).is_ok());
        assert_eq!(
            DocumentNumber::parse(&format!("{longest}号")),
            Err(DocumentNumberFault::Length { found: 129 })
        );
        for text in ["", "  \u{3000}", "\u{200B}"] {
            assert_eq!(DocumentNumber::parse(text), Err(DocumentNumberFault::Empty));
        }
        assert_eq!(
            DocumentNumber::parse("A\n1"),
            Err(DocumentNumberFault::ControlCharacter { position: 2 })
        );
    }

    #[test]
    fn a_reference_survives_json() {
        let document = DocumentRef {
            sha256: Some([0xA5; 32]),
            size_bytes: Some(12),
            address: Some("s3://decisions/1".to_owned()),
            ..DocumentRef::numbered(DocumentNumber::parse("A 1").expect("valid"))
        };
        let json = serde_json::to_string(&document).expect("plain");
        assert!(json.contains(&"a5".repeat(32)));
        assert_eq!(
            serde_json::from_str::<DocumentRef>(&json).ok(),
            Some(document)
        );
        let bare: DocumentRef = serde_json::from_str(r#"{"number":"A 1"}"#).expect("valid");
        assert_eq!(
            serde_json::to_string(&bare).expect("plain"),
            r#"{"number":"A 1"}"#
        );
        for hash in ["a5", &"zz".repeat(32), &"é".repeat(32), &"+f".repeat(32)] {
            let json = format!(r#"{{"number":"A 1","sha256":"{hash}"}}"#);
            assert!(
                serde_json::from_str::<DocumentRef>(&json).is_err(),
                "{hash}"
            );
        }
    }
}
