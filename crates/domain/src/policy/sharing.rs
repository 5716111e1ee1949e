//! Who may see what is another department's: by division, or as an item says.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Department, Level, Pack};
use crate::department::DepartmentId;

/// The departments besides its owner that may see something: `"all"`, `"division"` or a list of ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SharedWith {
    /// Every department of the pack.
    All,
    /// Those of the owner's division and of the divisions above it.
    #[default]
    Division,
    /// Only these.
    Listed(Vec<DepartmentId>),
}

impl SharedWith {
    /// Whether it is what holds where a pack says nothing.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::Division
    }

    fn covers(&self, pack: &Pack, reader: &DepartmentId, owner: &str) -> bool {
        match self {
            Self::All => pack.department(reader).is_some(),
            Self::Division => pack.oversees(reader, owner),
            Self::Listed(ids) => ids.contains(reader),
        }
    }
}

impl Pack {
    /// Whether `reader` is `owner`, of its division, or of a division above it.
    ///
    /// What is left of a department that the pack no longer has is overseen by
    /// those of province level.
    pub fn oversees(&self, reader: &DepartmentId, owner: &str) -> bool {
        if reader.as_str() == owner {
            return true;
        }
        let Some(reader) = self.department(reader) else {
            return false;
        };
        match self.departments.get(owner) {
            Some(owner) => owner.is_within(&reader.division),
            None => reader.level == Level::Province,
        }
    }

    /// Whether `reader` may see a record of that type that `owner` pushed.
    pub fn may_read_record(&self, record_type: &str, owner: &str, reader: &DepartmentId) -> bool {
        let shared = self.record_type(record_type).map(|it| &it.shared_with);
        let shared = shared.unwrap_or(&SharedWith::Division);
        reader.as_str() == owner || shared.covers(self, reader, owner)
    }

    /// Whether `reader` may see an entry of that list type that `initiator` has listed.
    ///
    /// Those whom a memorandum has answer the list have to know what they answer, and those of
    /// province level what they may be handed an objection to.
    pub fn may_read_listed(&self, list_type: &str, initiator: &str, reader: &DepartmentId) -> bool {
        let shared = self.list_type(list_type).map(|it| &it.shared_with);
        let shared = shared.unwrap_or(&SharedWith::Division);
        let of_province = || {
            let reader = self.department(reader);
            reader.is_some_and(|reader| reader.level == Level::Province)
        };
        reader.as_str() == initiator
            || of_province()
            || shared.covers(self, reader, initiator)
            || self.answers(list_type, reader)
    }

    /// Whether a memorandum has the department answer listings of that type.
    pub fn answers(&self, list_type: &str, department: &DepartmentId) -> bool {
        let memoranda = self.memoranda.values();
        memoranda
            .filter(|memorandum| memorandum.list_type == list_type)
            .flat_map(|memorandum| &memorandum.measures)
            .any(|measure| measure.departments.contains(department))
    }
}

impl Department {
    /// Whether it governs the division or one below it.
    pub fn is_within(&self, division: &str) -> bool {
        self.division.starts_with(within(division))
    }
}

/// The digits that a division shares with all below it (GB/T 2260): a province's
/// first two, a city's first four, a county's six.
fn within(division: &str) -> &str {
    match Level::of_division(division) {
        Some(Level::Province) => &division[..2],
        Some(Level::City) => &division[..4],
        Some(Level::County) | None => division,
    }
}

impl Serialize for SharedWith {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Division => serializer.serialize_str("division"),
            Self::Listed(ids) => ids.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SharedWith {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SharingVisitor)
    }
}

/// Written by hand because serde's untagged enums hide which department id is wrong.
struct SharingVisitor;

impl<'de> Visitor<'de> for SharingVisitor {
    type Value = SharedWith;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"all\", \"division\" or a list of department ids")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Self::Value, E> {
        match word {
            "all" => Ok(SharedWith::All),
            "division" => Ok(SharedWith::Division),
            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut ids = Vec::new();
        while let Some(id) = seq.next_element()? {
            ids.push(id);
        }
        Ok(SharedWith::Listed(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_division_is_within_those_above_it() {
        for (above, below, within_it) in [
            ("990000", "990102", true),
            ("990000", "990000", true),
            ("990100", "990102", true),
            ("990100", "990100", true),
            ("990100", "990000", false),
            ("990100", "990200", false),
            ("990102", "990100", false),
            ("990102", "990103", false),
            ("980000", "990000", false),
        ] {
            let found = below.starts_with(within(above));
            assert_eq!(found, within_it, "{below} within {above}");
        }
    }

    #[test]
    fn sharing_is_written_as_a_word_or_a_list() {
        for text in ["\"all\"", "\"division\"", "[\"11990000MB0001011X\"]"] {
            let read: SharedWith = serde_json::from_str(text).expect("readable");
            assert_eq!(serde_json::to_string(&read).expect("writable"), text);
        }
        let fault = serde_json::from_str::<SharedWith>("\"nobody\"").expect_err("no such word");
        assert!(
            fault.to_string().contains("\\\"division\\\"")
                || fault.to_string().contains("\"division\"")
        );
    }
}
