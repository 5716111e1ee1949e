//! Forms: the tables in which departments exchange records, column by column.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{RecordType, first_version};
use crate::identifier::Scheme;

/// A table whose rows are records of one type. A mapping of another table has the same form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Identity of the form.
    pub id: String,
    /// Version of this entry, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Name in English.
    pub name: String,
    /// Name in Chinese; the title above the columns of a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// Id of the record type that a row states.
    pub record_type: String,
    /// The columns, in the order of a template.
    pub columns: Vec<FormColumn>,
    /// What is the same in every row and has no column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constants: BTreeMap<Target, String>,
}

/// One column of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormColumn {
    /// Its title.
    pub title: String,
    /// Titles that it has or had elsewhere, for example as keys of an exchange format.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What its cells are.
    pub to: Target,
    /// Texts that stand for others, as `[text in the table, text of the catalogue]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<[String; 2]>,
}

impl FormColumn {
    /// All its titles, the present one first.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.title)
            .chain(&self.also)
            .map(String::as_str)
    }
}

/// What the cells of a column are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// The subject's code under a scheme: `subject.cn-uscc`. The first column with a cell says whom
    /// the record is about.
    Subject(Scheme),
    /// Number of the decision document.
    DocumentNumber,
    /// Day of the decision.
    DecidedOn,
    /// First day it holds.
    ValidFrom,
    /// Last day it holds.
    ValidUntil,
    /// Id of the check that was made before the decision.
    CheckId,
    /// A field of the record type: `fields.party_name`.
    Field(String),
    /// Nothing: the column is known and left out.
    Ignored,
}

/// Not what a column can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a column is `subject.<scheme>`, `document_number`, `decided_on`, `valid_from`, `valid_until`, `check_id`, `fields.<name>` or `ignored`"
)]
pub struct TargetFault;

impl FromStr for Target {
    type Err = TargetFault;

    fn from_str(text: &str) -> Result<Self, TargetFault> {
        if let Some(scheme) = text.strip_prefix("subject.") {
            return scheme.parse().map(Self::Subject).map_err(|_| TargetFault);
        }
        if let Some(field) = text.strip_prefix("fields.") {
            return match field {
                "" => Err(TargetFault),
                field => Ok(Self::Field(field.to_owned())),
            };
        }
        match text {
            "document_number" => Ok(Self::DocumentNumber),
            "decided_on" => Ok(Self::DecidedOn),
            "valid_from" => Ok(Self::ValidFrom),
            "valid_until" => Ok(Self::ValidUntil),
            "check_id" => Ok(Self::CheckId),
            "ignored" => Ok(Self::Ignored),
            _ => Err(TargetFault),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = TargetFault;

    fn try_from(text: String) -> Result<Self, TargetFault> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(scheme) => write!(f, "subject.{scheme}"),
            Self::DocumentNumber => f.write_str("document_number"),
            Self::DecidedOn => f.write_str("decided_on"),
            Self::ValidFrom => f.write_str("valid_from"),
            Self::ValidUntil => f.write_str("valid_until"),
            Self::CheckId => f.write_str("check_id"),
            Self::Field(name) => write!(f, "fields.{name}"),
            Self::Ignored => f.write_str("ignored"),
        }
    }
}

/// What every record has besides its fields: name, Chinese title, and what it is.
fn own_columns() -> [(&'static str, &'static str, Target); 7] {
    use Target as T;
    [
        (
            "subject_uscc",
            "统一社会信用代码",
            T::Subject(Scheme::CnUscc),
        ),
        (
            "subject_orgcode",
            "组织机构代码",
            T::Subject(Scheme::CnOrgCode),
        ),
        (
            "subject_name_region",
            "名称与行政区划",
            T::Subject(Scheme::NameRegion),
        ),
        ("document_number", "文书号", T::DocumentNumber),
        ("decided_on", "决定日期", T::DecidedOn),
        ("valid_from", "有效期自", T::ValidFrom),
        ("valid_until", "有效期至", T::ValidUntil),
    ]
}

impl Form {
    /// The form of a record type for which nobody has written one: the pack's names as titles, in
    /// Chinese where it has them, and the catalogue's own names beside them.
    pub fn plain(record_type: &RecordType) -> Self {
        // What two fields would be called is the title of neither.
        let mut uses: BTreeMap<&str, u32> = BTreeMap::new();
        for rule in &record_type.fields {
            let titles: BTreeSet<&str> = [rule.name.as_str()]
                .into_iter()
                .chain(rule.name_zh.as_deref())
                .collect();
            titles
                .into_iter()
                .for_each(|title| *uses.entry(title).or_default() += 1);
        }
        let column = |title: &str, also: Option<&str>, to: Target| FormColumn {
            title: title.to_owned(),
            also: also.into_iter().map(str::to_owned).collect(),
            to,
            values: Vec::new(),
        };
        let own = own_columns().map(|(name, zh, to)| {
            if uses.contains_key(name) || uses.contains_key(zh) {
                // As faults name it: a field has the title.
                return column(&format!("record.{name}"), None, to);
            }
            match &record_type.name_zh {
                Some(_) => column(zh, Some(name), to),
                None => column(name, Some(zh), to),
            }
        });
        let fields = record_type.fields.iter().map(|rule| {
            let zh = rule.name_zh.as_deref();
            let zh = zh.filter(|zh| *zh != rule.name && uses.get(zh) == Some(&1));
            let also = zh.map(|_| rule.name.as_str());
            column(
                zh.unwrap_or(&rule.name),
                also,
                Target::Field(rule.name.clone()),
            )
        });
        Self {
            id: record_type.id.clone(),
            version: 1,
            name: record_type.name.clone(),
            name_zh: record_type.name_zh.clone(),
            record_type: record_type.id.clone(),
            columns: own.into_iter().chain(fields).collect(),
            constants: BTreeMap::new(),
        }
    }

    /// What is wrong with the form for that record type, as paths and messages.
    pub fn faults(&self, record_type: &RecordType) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut titles = BTreeMap::new();
        let mut targets = BTreeMap::new();
        for (index, column) in self.columns.iter().enumerate() {
            for title in column.titles() {
                if title.trim().is_empty() {
                    faults.push((
                        format!("columns[{index}].title"),
                        "must not be empty".to_owned(),
                    ));
                } else if titles.insert(title, index).is_some() {
                    let message = format!("title `{title}` comes twice");
                    faults.push((format!("columns[{index}].title"), message));
                }
            }
            if column.to != Target::Ignored && targets.insert(&column.to, index).is_some() {
                let message = format!("two columns are `{}`", column.to);
                faults.push((format!("columns[{index}].to"), message));
            }
            if let Target::Field(name) = &column.to
                && record_type.field(name).is_none()
            {
                let message = format!("record type `{}` has no field `{name}`", record_type.id);
                faults.push((format!("columns[{index}].to"), message));
            }
        }
        for target in self.constants.keys() {
            if let Target::Subject(_) | Target::DocumentNumber | Target::CheckId | Target::Ignored =
                target
            {
                let message = format!("`{target}` is another in every row");
                faults.push(("constants".to_owned(), message));
            } else if targets.insert(target, usize::MAX).is_some() {
                let message = format!("`{target}` has a column");
                faults.push(("constants".to_owned(), message));
            }
            if let Target::Field(name) = target
                && record_type.field(name).is_none()
            {
                let message = format!("record type `{}` has no field `{name}`", record_type.id);
                faults.push(("constants".to_owned(), message));
            }
        }
        let mut need = |target: Target, what: &str| {
            if !targets.contains_key(&target) {
                let message = format!("no column is `{target}`, {what}");
                faults.push(("columns".to_owned(), message));
            }
        };
        need(Target::DocumentNumber, "which every record needs");
        need(Target::DecidedOn, "which every record needs");
        for rule in record_type.fields.iter().filter(|rule| rule.required) {
            need(
                Target::Field(rule.name.clone()),
                "which the record type needs",
            );
        }
        if !self
            .columns
            .iter()
            .any(|column| matches!(column.to, Target::Subject(_)))
        {
            faults.push((
                "columns".to_owned(),
                "no column says whom a record is about".to_owned(),
            ));
        }
        faults
    }
}
