//! Items: a pack taken apart into the units that events carry, and put together again.
//!
//! The catalogue writes one event per item plus the digest, so that no message grows with the pack.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Pack, PackFault, PackMeta, first_version};

/// What an item is. The order is the canonical one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// The pack's own data; only in the digest and in faults, never among the items.
    Pack,
    /// A department.
    Department,
    /// A legal basis.
    LegalBasis,
    /// A record type.
    RecordType,
    /// A list type.
    ListType,
    /// A measure.
    Measure,
    /// A memorandum.
    Memorandum,
    /// A decision that needs a check first.
    Decision,
    /// A table in which records are exchanged.
    Form,
    /// A year's holiday notice; its id is the year.
    HolidayNotice,
}

impl ItemKind {
    /// The kinds that items have.
    pub const ITEMS: [Self; 9] = [
        Self::Department,
        Self::LegalBasis,
        Self::RecordType,
        Self::ListType,
        Self::Measure,
        Self::Memorandum,
        Self::Decision,
        Self::Form,
        Self::HolidayNotice,
    ];

    /// The kind's name in events and digests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Department => "department",
            Self::LegalBasis => "legal_basis",
            Self::RecordType => "record_type",
            Self::ListType => "list_type",
            Self::Measure => "measure",
            Self::Memorandum => "memorandum",
            Self::Decision => "decision",
            Self::Form => "form",
            Self::HolidayNotice => "holiday_notice",
        }
    }
}

impl fmt::Display for ItemKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.as_str().replace('_', " "))
    }
}

/// The address of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemRef {
    /// What the item is.
    pub kind: ItemKind,
    /// Its id; a year for a holiday notice.
    pub id: String,
    /// Its version, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
}

impl ItemRef {
    /// The address of version `version` of `id`.
    pub fn new(kind: ItemKind, id: impl Into<String>, version: u32) -> Self {
        Self {
            kind,
            id: id.into(),
            version,
        }
    }
}

impl fmt::Display for ItemRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} `{}` version {}",
            self.kind, self.id, self.version
        )
    }
}

/// One item as an event carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackItem {
    /// What the item is.
    pub kind: ItemKind,
    /// Its id; a year for a holiday notice.
    pub id: String,
    /// Its version, from 1; always 1 for a holiday notice.
    pub version: u32,
    /// The item as canonical JSON: keys sorted, no white space, absent options left out.
    pub body: String,
}

impl PackItem {
    /// The item's address.
    pub fn reference(&self) -> ItemRef {
        ItemRef::new(self.kind, self.id.clone(), self.version)
    }

    fn new(reference: ItemRef, body: &impl Serialize) -> Self {
        Self {
            kind: reference.kind,
            id: reference.id,
            version: reference.version,
            body: canonical_json(body),
        }
    }
}

impl Pack {
    /// All items in canonical order: by kind, then by id, then by version.
    pub fn items(&self) -> Vec<PackItem> {
        use ItemKind as K;
        let mut items = Vec::new();
        for it in self.departments.values() {
            let reference = ItemRef::new(K::Department, it.id.to_string(), it.version);
            items.push(PackItem::new(reference, it));
        }
        for it in self.legal_bases.values() {
            let reference = ItemRef::new(K::LegalBasis, &it.id, it.version);
            items.push(PackItem::new(reference, it));
        }
        for it in self.record_types.values() {
            let reference = ItemRef::new(K::RecordType, &it.id, it.version);
            items.push(PackItem::new(reference, it));
        }
        for it in self.list_types.values() {
            let reference = ItemRef::new(K::ListType, &it.id, it.version);
            items.push(PackItem::new(reference, it));
        }
        for it in self.measures.values() {
            let reference = ItemRef::new(K::Measure, &it.id, it.version);
            items.push(PackItem::new(reference, it));
        }
        for it in self.memoranda.values() {
            let reference = ItemRef::new(K::Memorandum, &it.id, it.version);
            items.push(PackItem::new(reference, it));
        }
        for it in self.decisions.values() {
            let reference = ItemRef::new(K::Decision, &it.id, it.version);
            items.push(PackItem::new(reference, it));
        }
        for it in self.forms.values() {
            let reference = ItemRef::new(K::Form, &it.id, it.version);
            items.push(PackItem::new(reference, it));
        }
        for it in self.holidays.values() {
            let reference = ItemRef::new(K::HolidayNotice, it.year.to_string(), 1);
            items.push(PackItem::new(reference, it));
        }
        items
    }

    /// Puts a pack together from its items, in any order.
    ///
    /// Only the form is checked, so that a pack accepted long ago is still read back when a later
    /// version of this code knows more [`Pack::faults`].
    ///
    /// # Errors
    ///
    /// Every item that cannot be read, that is addressed by another id or version than its body
    /// says, or that comes twice. The log or the sender is at fault: refuse the pack.
    pub fn from_items(
        meta: PackMeta,
        items: impl IntoIterator<Item = PackItem>,
    ) -> Result<Self, Vec<PackFault>> {
        let mut pack = Self::empty(meta);
        let mut seen = BTreeSet::new();
        let mut faults = Vec::new();
        for item in items {
            // Two versions of one item may meet only where references name the version.
            let key = match item.kind {
                ItemKind::LegalBasis => (item.kind, item.id.clone(), item.version),
                _ => (item.kind, item.id.clone(), 0),
            };
            if !seen.insert(key) {
                faults.push(PackFault::new(
                    item.reference(),
                    "id",
                    "this id comes twice",
                ));
            } else if let Err(message) = pack.insert(&item) {
                faults.push(PackFault::new(item.reference(), "", message));
            }
        }
        if faults.is_empty() {
            Ok(pack)
        } else {
            Err(faults)
        }
    }

    fn insert(&mut self, item: &PackItem) -> Result<(), String> {
        match item.kind {
            ItemKind::Pack => return Err("a pack's own data is not one of its items".into()),
            ItemKind::Department => {
                let it: super::Department = read(item)?;
                agree(item, it.id.as_str(), it.version)?;
                self.departments.insert(it.id.clone(), it);
            }
            ItemKind::LegalBasis => {
                let it: super::LegalBasis = read(item)?;
                agree(item, &it.id, it.version)?;
                self.legal_bases.insert(it.reference(), it);
            }
            ItemKind::RecordType => {
                let it: super::RecordType = read(item)?;
                agree(item, &it.id, it.version)?;
                self.record_types.insert(it.id.clone(), it);
            }
            ItemKind::ListType => {
                let it: super::ListType = read(item)?;
                agree(item, &it.id, it.version)?;
                self.list_types.insert(it.id.clone(), it);
            }
            ItemKind::Measure => {
                let it: super::Measure = read(item)?;
                agree(item, &it.id, it.version)?;
                self.measures.insert(it.id.clone(), it);
            }
            ItemKind::Memorandum => {
                let it: super::Memorandum = read(item)?;
                agree(item, &it.id, it.version)?;
                self.memoranda.insert(it.id.clone(), it);
            }
            ItemKind::Decision => {
                let it: super::CheckedDecision = read(item)?;
                agree(item, &it.id, it.version)?;
                self.decisions.insert(it.id.clone(), it);
            }
            ItemKind::Form => {
                let it: super::Form = read(item)?;
                agree(item, &it.id, it.version)?;
                self.forms.insert(it.id.clone(), it);
            }
            ItemKind::HolidayNotice => {
                let it: crate::calendar::HolidayNotice = read(item)?;
                agree(item, &it.year.to_string(), 1)?;
                self.holidays.insert(it.year, it);
            }
        }
        Ok(())
    }

    /// SHA-256 over the pack's own data and its items.
    ///
    /// The input is one line each, the pack's own data first, then the items in canonical order:
    /// kind, id, version and body, separated by tabs and ended by a line feed. JSON escapes
    /// control characters, so no body can imitate a separator.
    pub fn digest(&self) -> [u8; 32] {
        let own = ItemRef::new(ItemKind::Pack, &self.meta.id, 1);
        let mut hash = Sha256::new();
        for item in std::iter::once(PackItem::new(own, &self.meta)).chain(self.items()) {
            let (kind, version) = (item.kind.as_str(), item.version);
            hash.update(format!("{kind}\t{}\t{version}\t{}\n", item.id, item.body));
        }
        hash.finalize().into()
    }
}

fn read<T: DeserializeOwned>(item: &PackItem) -> Result<T, String> {
    serde_json::from_str(&item.body).map_err(|error| format!("the body cannot be read: {error}"))
}

fn agree(item: &PackItem, id: &str, version: u32) -> Result<(), String> {
    if item.id == id && item.version == version {
        return Ok(());
    }
    Err(format!("the body says `{id}` version {version}"))
}

/// JSON whose bytes depend on the value alone.
///
/// Keys are sorted here because serde_json keeps insertion order instead as soon as any crate of
/// the build asks for it, and a digest must not depend on who else is in the build.
fn canonical_json(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("items have string keys and finite numbers");
    sorted(value).to_string()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(k, v)| (k, sorted(v))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}
