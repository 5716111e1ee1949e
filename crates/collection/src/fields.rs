//! A record's own fields against the rules of its catalogue item.

use tally_domain::date::parse_legal_date;
use tally_domain::fault::FieldFault;
use tally_domain::identifier::{Identifier, IdentifierFault, ResidentId};
use tally_domain::money::Money;
use tally_domain::policy::{FieldKind, FieldRule, RecordType};
use tally_proto::tally::collection::v1 as pb;
use tally_service::field::{Faults, control_characters, has_lines, holds_person_number, readable};
use tally_service::subject;

/// A field that keeps its rule, in its normal form.
pub(crate) struct DraftField {
    /// Name in the catalogue item.
    pub name: String,
    /// Its value.
    pub value: DraftValue,
}

/// A value before sealing. Without `Debug`: a personal one must not reach a log.
#[derive(PartialEq, Eq)]
pub(crate) enum DraftValue {
    /// To be stored in clear.
    Clear(String),
    /// Names or identifies a person: to be sealed.
    Personal(String),
}

/// The fields in the order of the catalogue item. A field without a value is
/// the same as no field. Faults never repeat a value.
pub(crate) fn validate(
    record_type: &RecordType,
    given: Vec<pb::Field>,
    faults: &mut Faults,
) -> Vec<DraftField> {
    let rules = &record_type.fields;
    let mut found: Vec<Option<DraftField>> = rules.iter().map(|_| None).collect();
    let mut seen = vec![false; rules.len()];
    for (n, field) in given.into_iter().enumerate() {
        let Some(at) = rules.iter().position(|rule| rule.name == field.name) else {
            // Whoever mixes up name and value would find the value in a log.
            faults.add(
                format!("record.fields[{n}]"),
                "FIELD_UNKNOWN",
                format!(
                    "records of type {} have no field of this name",
                    record_type.id
                ),
            );
            continue;
        };
        if std::mem::replace(&mut seen[at], true) {
            faults.add(
                path(&rules[at]),
                "FIELD_TWICE",
                "the field is given more than once",
            );
            continue;
        }
        if field.value.trim().is_empty() {
            seen[at] = false;
            continue;
        }
        if let Some(value) = faults.keep(normal_form(&rules[at], &field.value)) {
            found[at] = Some(DraftField {
                name: field.name,
                value,
            });
        }
    }
    for (rule, seen) in rules.iter().zip(seen) {
        if rule.required && !seen {
            faults.add(
                path(rule),
                "FIELD_REQUIRED",
                "records of this type need the field",
            );
        }
    }
    found.into_iter().flatten().collect()
}

fn path(rule: &FieldRule) -> String {
    format!("record.fields.{}", rule.name)
}

fn normal_form(rule: &FieldRule, value: &str) -> Result<DraftValue, FieldFault> {
    let value = value.trim();
    let at = || path(rule);
    readable("", value).map_err(|fault| FieldFault {
        field: at(),
        ..fault
    })?;
    let clear = match rule.kind {
        FieldKind::Text => chosen(rule, impersonal(rule, plain(rule, value)?)?)?.to_owned(),
        FieldKind::Date => parse_legal_date(value)
            .map_err(|fault| fault.at(at()))?
            .to_string(),
        FieldKind::Money => Money::from_wan_yuan(value)
            .map_err(|fault| fault.at(at()))?
            .to_wan_yuan(),
        FieldKind::Integer => integer(rule, value)?.to_string(),
        FieldKind::Identifier => {
            let identifier: Identifier = value
                .parse()
                .map_err(|fault: IdentifierFault| fault.at(at()))?;
            subject::impersonal(&at(), &identifier)?;
            identifier.to_string()
        }
        FieldKind::PersonalText => {
            return Ok(DraftValue::Personal(plain(rule, value)?.to_owned()));
        }
        FieldKind::PersonalId => {
            let number = ResidentId::parse(value).map_err(|fault| fault.at(at()))?;
            return Ok(DraftValue::Personal(number.expose().to_owned()));
        }
    };
    Ok(DraftValue::Clear(clear))
}

/// What is kept in clear must not identify a person, whatever the field is for.
fn impersonal<'a>(rule: &FieldRule, value: &'a str) -> Result<&'a str, FieldFault> {
    if holds_person_number(value) {
        return Err(FieldFault::new(
            path(rule),
            "PERSON_NUMBER_IN_TEXT",
            "the text holds a person's number; leave persons out, or use the field that is sealed",
        ));
    }
    Ok(value)
}

fn chosen<'a>(rule: &FieldRule, value: &'a str) -> Result<&'a str, FieldFault> {
    if rule.allows(value) {
        return Ok(value);
    }
    let mut choices = rule.choices.clone();
    choices.extend(rule.open_choice.iter().map(|open| format!("{open}…")));
    let message = format!("the catalogue takes one of: {}", choices.join(", "));
    Err(FieldFault::new(path(rule), "VALUE_NOT_A_CHOICE", message))
}

fn plain<'a>(rule: &FieldRule, value: &'a str) -> Result<&'a str, FieldFault> {
    let value = short_enough(rule, value)?;
    let lines = rule.max_chars.is_none_or(|chars| has_lines(chars as usize));
    // The path is written out for a fault only.
    control_characters("", value, lines).map_err(|fault| FieldFault {
        field: path(rule),
        ..fault
    })?;
    Ok(value)
}

fn short_enough<'a>(rule: &FieldRule, value: &'a str) -> Result<&'a str, FieldFault> {
    // A pack without faults bounds every text.
    let chars_max = rule.max_chars.map_or(usize::MAX, |chars| chars as usize);
    // No text has more characters than bytes: most are short enough at a glance.
    if value.len() <= chars_max {
        return Ok(value);
    }
    let count = value.chars().count();
    if count > chars_max {
        return Err(FieldFault::new(
            path(rule),
            "TEXT_TOO_LONG",
            format!("{count} characters, at most {chars_max} are taken"),
        ));
    }
    Ok(value)
}

fn integer(rule: &FieldRule, value: &str) -> Result<i64, FieldFault> {
    value.parse().map_err(|_| {
        FieldFault::new(
            path(rule),
            "NOT_AN_INTEGER",
            "a whole number is written in digits, such as 12",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record_type() -> RecordType {
        let pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
        let held = pack
            .record_type("administrative-penalty")
            .expect("a type of the pack");
        let rule = |name: &str, kind, required, max_chars| FieldRule {
            name: name.to_owned(),
            kind,
            required,
            max_chars,
            ..held.fields[0].clone()
        };
        RecordType {
            fields: vec![
                rule("name", FieldKind::Text, true, Some(3)),
                rule("fine", FieldKind::Money, false, None),
                rule("until", FieldKind::Date, false, None),
                rule("times", FieldKind::Integer, false, None),
                rule("parent", FieldKind::Identifier, false, None),
                rule("person", FieldKind::PersonalText, false, Some(4)),
                rule("number", FieldKind::PersonalId, false, Some(64)),
            ],
            ..held.clone()
        }
    }

    /// Fields by name: whether they are personal, and their normal forms.
    type Validated = Vec<(String, bool, String)>;

    fn validated(given: &[(&str, &str)]) -> Result<Validated, Vec<(String, &'static str)>> {
        let given = given.iter().map(|(name, value)| pb::Field {
            name: (*name).into(),
            value: (*value).into(),
        });
        let mut faults = Faults::default();
        let fields = validate(&record_type(), given.collect(), &mut faults);
        let faults = faults.into_vec();
        if !faults.is_empty() {
            return Err(faults
                .into_iter()
                .map(|fault| (fault.field, fault.reason))
                .collect());
        }
        Ok(fields
            .into_iter()
            .map(|field| match field.value {
                DraftValue::Clear(text) => (field.name, false, text),
                DraftValue::Personal(text) => (field.name, true, text),
            })
            .collect())
    }

    #[test]
    fn fields_come_in_the_catalogues_order_and_their_normal_form() {
        let fields = validated(&[
            ("number", " 99999920000229123０ "),
            ("person", "王芳"),
            ("parent", "cn-uscc:9152000071430580xt"),
            ("times", "007"),
            ("until", "2026-01-31"),
            ("fine", "1.500"),
            ("name", " 甲乙丙 "),
        ]);
        let expected = [
            ("name", false, "甲乙丙"),
            ("fine", false, "1.5"),
            ("until", false, "2026-01-31"),
            ("times", false, "7"),
            ("parent", false, "cn-uscc:9152000071430580XT"),
            ("person", true, "王芳"),
            ("number", true, "999999200002291230"),
        ];
        let expected =
            expected.map(|(name, personal, text)| (name.to_owned(), personal, text.to_owned()));
        assert_eq!(fields, Ok(expected.to_vec()));
    }

    #[test]
    fn an_identifier_holds_no_persons_number() {
        let named = "name-region:WANG FANG 999999200002291230|X";
        let faults = validated(&[("name", "甲"), ("parent", named)]);
        let expected = ("record.fields.parent".to_owned(), "PERSON_NUMBER_IN_TEXT");
        assert_eq!(faults, Err(vec![expected]));
    }

    #[test]
    fn an_empty_field_is_no_field() {
        let fields = validated(&[("name", "甲"), ("fine", ""), ("until", " ")]);
        assert_eq!(fields.map(|fields| fields.len()), Ok(1));
        assert_eq!(
            validated(&[("name", " ")]),
            Err(vec![("record.fields.name".into(), "FIELD_REQUIRED")])
        );
    }

    #[test]
    fn a_choice_is_one_of_the_catalogues() {
        let mut record_type = record_type();
        record_type.fields[0].choices = vec!["甲".to_owned(), "乙".to_owned()];
        record_type.fields[0].open_choice = Some("丙-".to_owned());
        let judged = |value: &str| {
            let mut faults = Faults::default();
            let given = vec![pb::Field {
                name: "name".into(),
                value: value.into(),
            }];
            validate(&record_type, given, &mut faults);
            faults.into_vec()
        };
        for value in ["甲", " 乙 ", "丙-丁"] {
            assert_eq!(judged(value), [], "{value}");
        }
        for value in ["丁", "丙-"] {
            let faults = judged(value);
            assert_eq!(faults.len(), 1, "{value}");
            assert_eq!(faults[0].reason, "VALUE_NOT_A_CHOICE");
            assert!(
                faults[0].message.ends_with("甲, 乙, 丙-…"),
                "{}",
                faults[0].message
            );
        }
    }

    #[test]
    fn texts_hold_no_control_characters() {
        let faults = validated(&[("name", "甲\n乙"), ("person", "王\u{202e}芳")]);
        let faults = faults.expect_err("both are wrong");
        assert_eq!(
            faults,
            ["name", "person"].map(|name| (format!("record.fields.{name}"), "CONTROL_CHARACTERS"))
        );
    }

    #[test]
    fn what_was_read_in_another_encoding_is_refused() {
        let faults = validated(&[("name", "甲\u{fffd}"), ("person", "\u{fffd}芳")]);
        let faults = faults.expect_err("both are wrong");
        assert_eq!(
            faults,
            ["name", "person"].map(|name| (format!("record.fields.{name}"), "TEXT_UNREADABLE"))
        );
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = validated(&[
            ("score", "1"),
            ("fine", "-1"),
            ("fine", "2"),
            ("until", "2026-02-30"),
            ("times", "1.5"),
            ("parent", "cn-uscc:91520000714305800T"),
            ("person", "五个字的名"),
            ("number", "999999200002291231"),
        ])
        .expect_err("all are wrong");
        let named: Vec<(&str, &str)> = faults
            .iter()
            .map(|(field, reason)| (field.as_str(), *reason))
            .collect();
        assert_eq!(
            named,
            [
                ("record.fields[0]", "FIELD_UNKNOWN"),
                ("record.fields.fine", "AMOUNT_NOT_A_DECIMAL"),
                ("record.fields.fine", "FIELD_TWICE"),
                ("record.fields.until", "DATE_NO_SUCH_DAY"),
                ("record.fields.times", "NOT_AN_INTEGER"),
                ("record.fields.parent", "IDENTIFIER_CHECK_CHARACTER"),
                ("record.fields.person", "TEXT_TOO_LONG"),
                ("record.fields.number", "RESIDENT_ID_CHECK_CHARACTER"),
                ("record.fields.name", "FIELD_REQUIRED"),
            ]
        );
    }

    #[test]
    fn a_fault_repeats_no_value() {
        let mut faults = Faults::default();
        let given = [
            ("number", "999999200002291231"),
            ("张三丰", "x"),
            ("person", "张三丰张三丰"),
        ];
        let given = given.map(|(name, value)| pb::Field {
            name: name.into(),
            value: value.into(),
        });
        validate(&record_type(), given.into(), &mut faults);
        let text = format!("{:?}", faults.into_vec());
        assert!(
            !text.contains("99999920000229123") && !text.contains("张三丰"),
            "{text}"
        );
    }
}
