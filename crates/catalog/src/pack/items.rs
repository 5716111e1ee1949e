//! The items of a pack, field by field.

use tally_domain::calendar::HolidayNotice;
use tally_domain::policy::{
    CheckedDecision, Department, FieldKind, FieldRule, Form, FormColumn, ItemKind, ItemRef,
    LegalBasis, ListType, Measure, Memorandum, MemorandumMeasure, Pack, PackMeta, RecordType,
};

use super::fields::Fields;

/// One item as read from a file.
pub(super) enum Item {
    Department(Department),
    LegalBasis(LegalBasis),
    RecordType(RecordType),
    ListType(ListType),
    Measure(Measure),
    Memorandum(Memorandum),
    Decision(CheckedDecision),
    Form(Form),
    HolidayNotice(HolidayNotice),
}

impl Item {
    pub(super) fn read(kind: ItemKind, f: &mut Fields<'_>) -> Option<Self> {
        match kind {
            ItemKind::Pack => None,
            ItemKind::Department => department(f).map(Self::Department),
            ItemKind::LegalBasis => legal_basis(f).map(Self::LegalBasis),
            ItemKind::RecordType => record_type(f).map(Self::RecordType),
            ItemKind::ListType => list_type(f).map(Self::ListType),
            ItemKind::Measure => measure(f).map(Self::Measure),
            ItemKind::Memorandum => memorandum(f).map(Self::Memorandum),
            ItemKind::Decision => decision(f).map(Self::Decision),
            ItemKind::Form => form(f).map(Self::Form),
            ItemKind::HolidayNotice => notice(f).map(Self::HolidayNotice),
        }
    }

    pub(super) fn reference(&self) -> ItemRef {
        match self {
            Self::Department(it) => {
                ItemRef::new(ItemKind::Department, it.id.to_string(), it.version)
            }
            Self::LegalBasis(it) => ItemRef::new(ItemKind::LegalBasis, &it.id, it.version),
            Self::RecordType(it) => ItemRef::new(ItemKind::RecordType, &it.id, it.version),
            Self::ListType(it) => ItemRef::new(ItemKind::ListType, &it.id, it.version),
            Self::Measure(it) => ItemRef::new(ItemKind::Measure, &it.id, it.version),
            Self::Memorandum(it) => ItemRef::new(ItemKind::Memorandum, &it.id, it.version),
            Self::Decision(it) => ItemRef::new(ItemKind::Decision, &it.id, it.version),
            Self::Form(it) => ItemRef::new(ItemKind::Form, &it.id, it.version),
            Self::HolidayNotice(it) => {
                ItemRef::new(ItemKind::HolidayNotice, it.year.to_string(), 1)
            }
        }
    }

    /// Puts the item into the pack, unless its place is taken: then says so.
    pub(super) fn insert(self, pack: &mut Pack) -> Option<String> {
        use std::collections::btree_map::{BTreeMap, Entry};
        fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) -> bool {
            match map.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                    true
                }
                Entry::Occupied(_) => false,
            }
        }
        let reference = self.reference();
        let placed = match self {
            Self::Department(it) => put(&mut pack.departments, it.id.clone(), it),
            Self::LegalBasis(it) => put(&mut pack.legal_bases, it.reference(), it),
            Self::RecordType(it) => put(&mut pack.record_types, it.id.clone(), it),
            Self::ListType(it) => put(&mut pack.list_types, it.id.clone(), it),
            Self::Measure(it) => put(&mut pack.measures, it.id.clone(), it),
            Self::Memorandum(it) => put(&mut pack.memoranda, it.id.clone(), it),
            Self::Decision(it) => put(&mut pack.decisions, it.id.clone(), it),
            Self::Form(it) => put(&mut pack.forms, it.id.clone(), it),
            Self::HolidayNotice(it) => put(&mut pack.holidays, it.year, it),
        };
        (!placed).then(|| format!("{reference}: this id comes twice"))
    }
}

pub(super) fn meta(f: &mut Fields<'_>) -> Option<PackMeta> {
    let (id, version) = (f.required("id"), f.required("version"));
    let (time_zone, title) = (f.required("time_zone"), f.required("title"));
    let name_zh = f.optional("name_zh");
    Some(PackMeta {
        id: id?,
        version: version?,
        time_zone: time_zone?,
        title: title?,
        name_zh,
    })
}

fn department(f: &mut Fields<'_>) -> Option<Department> {
    let (id, version) = (f.required("id"), f.version());
    let (name, name_zh) = (f.required("name"), f.optional("name_zh"));
    let (level, division) = (f.required("level"), f.required("division"));
    let powers = f.optional_list("powers");
    Some(Department {
        id: id?,
        version,
        name: name?,
        name_zh,
        level: level?,
        division: division?,
        powers,
    })
}

fn legal_basis(f: &mut Fields<'_>) -> Option<LegalBasis> {
    let (id, version) = (f.required("id"), f.required("version"));
    let (title, name_zh) = (f.required("title"), f.optional("name_zh"));
    let (article, in_force) = (f.required("article"), f.in_force());
    let departments = f.required("departments");
    let subject_types = f.list("subject_types");
    Some(LegalBasis {
        id: id?,
        version: version?,
        title: title?,
        name_zh,
        article: article?,
        in_force: in_force?,
        departments: departments?,
        subject_types,
    })
}

fn record_type(f: &mut Fields<'_>) -> Option<RecordType> {
    let (id, version) = (f.required("id"), f.version());
    let (name, name_zh) = (f.required("name"), f.optional("name_zh"));
    let reporters = f.list("reporters");
    let shared_with = f.optional("shared_with").unwrap_or_default();
    let legal_basis = f.basis("legal_basis");
    let subject_types = f.list("subject_types");
    let natural_person_basis = f.optional_basis("natural_person_basis");
    let report_within_working_days = f.required("report_within_working_days");
    let push_within_working_days = f.optional("push_within_working_days");
    let due_day_of_month = f.optional("due_day_of_month");
    let collected_from = f.optional_date("collected_from");
    let backfill = f.optional("backfill");
    let serious = f.optional("serious").unwrap_or(false);
    let published = f.optional("published").unwrap_or(false);
    let registers_subject = f.optional("registers_subject").unwrap_or(false);
    let registers_when = f.optional("registers_when");
    let fields = f.tables("fields", field_rule);
    Some(RecordType {
        id: id?,
        version,
        name: name?,
        name_zh,
        reporters,
        shared_with,
        legal_basis: legal_basis?,
        subject_types,
        natural_person_basis,
        report_within_working_days: report_within_working_days?,
        push_within_working_days,
        due_day_of_month,
        collected_from,
        backfill,
        serious,
        published,
        registers_subject,
        registers_when,
        fields,
    })
}

fn field_rule(f: &mut Fields<'_>) -> Option<FieldRule> {
    let (name, name_zh) = (f.required("name"), f.optional("name_zh"));
    let kind: Option<FieldKind> = f.required("kind");
    let required = f.optional("required").unwrap_or(false);
    let max_chars = f.optional("max_chars");
    let choices = f.optional_list("choices");
    let open_choice = f.optional("open_choice");
    let internal = f.optional("internal");
    let personal = kind.is_some_and(FieldKind::is_personal);
    if personal && internal == Some(false) {
        f.refuse("internal", "a personal field is never published");
    }
    let ends_publication = f.optional("ends_publication").unwrap_or(false);
    Some(FieldRule {
        name: name?,
        name_zh,
        kind: kind?,
        required,
        max_chars,
        choices,
        open_choice,
        internal: internal.unwrap_or(false),
        ends_publication,
    })
}

fn list_type(f: &mut Fields<'_>) -> Option<ListType> {
    let (id, version) = (f.required("id"), f.version());
    let (name, name_zh) = (f.required("name"), f.optional("name_zh"));
    let polarity = f.required("polarity");
    let (initiators, grounds) = (f.list("initiators"), f.list("grounds"));
    let shared_with = f.optional("shared_with").unwrap_or_default();
    let legal_basis = f.basis("legal_basis");
    let subject_types = f.list("subject_types");
    let natural_person_basis = f.optional_basis("natural_person_basis");
    let term = f.optional("term");
    let representation_working_days = f.required("representation_working_days");
    let published = f.optional("published").unwrap_or(false);
    let in_force = f.in_force();
    Some(ListType {
        id: id?,
        version,
        name: name?,
        name_zh,
        polarity: polarity?,
        initiators,
        shared_with,
        grounds,
        legal_basis: legal_basis?,
        subject_types,
        natural_person_basis,
        term,
        representation_working_days: representation_working_days?,
        published,
        in_force: in_force?,
    })
}

fn measure(f: &mut Fields<'_>) -> Option<Measure> {
    let (id, version) = (f.required("id"), f.version());
    let (name, name_zh) = (f.required("name"), f.optional("name_zh"));
    let (kind, polarity) = (f.required("kind"), f.required("polarity"));
    let legal_basis = f.basis("legal_basis");
    let strength = f.required("strength");
    let when_undetermined = f.required("when_undetermined");
    let purposes = f.optional_list("purposes");
    Some(Measure {
        id: id?,
        version,
        name: name?,
        name_zh,
        kind: kind?,
        polarity: polarity?,
        legal_basis: legal_basis?,
        strength: strength?,
        when_undetermined: when_undetermined?,
        purposes,
    })
}

fn memorandum(f: &mut Fields<'_>) -> Option<Memorandum> {
    let (id, version) = (f.required("id"), f.version());
    let (name, name_zh) = (f.required("name"), f.optional("name_zh"));
    let list_type = f.required("list_type");
    let acknowledge_within_working_days = f.required("acknowledge_within_working_days");
    let report_within_working_days = f.required("report_within_working_days");
    let in_force = f.in_force();
    let measures = f.tables("measures", memorandum_measure);
    Some(Memorandum {
        id: id?,
        version,
        name: name?,
        name_zh,
        list_type: list_type?,
        acknowledge_within_working_days: acknowledge_within_working_days?,
        report_within_working_days: report_within_working_days?,
        in_force: in_force?,
        measures,
    })
}

fn memorandum_measure(f: &mut Fields<'_>) -> Option<MemorandumMeasure> {
    let measure = f.required("measure");
    let departments = f.list("departments");
    let strength = f.required("strength");
    let legal_basis = f.basis("legal_basis");
    Some(MemorandumMeasure {
        measure: measure?,
        departments,
        strength: strength?,
        legal_basis: legal_basis?,
    })
}

fn decision(f: &mut Fields<'_>) -> Option<CheckedDecision> {
    let (id, version) = (f.required("id"), f.version());
    let (name, name_zh) = (f.required("name"), f.optional("name_zh"));
    let departments = f.list("departments");
    let record_type = f.required("record_type");
    let purposes = f.list("purposes");
    let valid_days = f.required("valid_days");
    let legal_basis = f.basis("legal_basis");
    let in_force = f.in_force();
    Some(CheckedDecision {
        id: id?,
        version,
        name: name?,
        name_zh,
        departments,
        record_type: record_type?,
        purposes,
        valid_days: valid_days?,
        legal_basis: legal_basis?,
        in_force: in_force?,
    })
}

/// A form, in a pack or in a file of its own.
pub(super) fn form(f: &mut Fields<'_>) -> Option<Form> {
    let (id, version) = (f.required("id"), f.version());
    let (name, name_zh) = (f.required("name"), f.optional("name_zh"));
    let record_type = f.required("record_type");
    let columns = f.tables("columns", |column| {
        let (title, also) = (column.required("title"), column.optional_list("also"));
        let to = column.required("to");
        let values = column.optional_list("values");
        Some(FormColumn {
            title: title?,
            also,
            to: to?,
            values,
        })
    });
    let constants = f.optional("constants").unwrap_or_default();
    Some(Form {
        id: id?,
        version,
        name: name?,
        name_zh,
        record_type: record_type?,
        columns,
        constants,
    })
}

fn notice(f: &mut Fields<'_>) -> Option<HolidayNotice> {
    let year = f.required("year");
    let (off, makeup) = (f.dates("off"), f.dates("makeup"));
    Some(HolidayNotice {
        year: year?,
        off,
        makeup,
    })
}
