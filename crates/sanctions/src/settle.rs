//! What becomes of directives whose listing the log of `lists` lost, when it was
//! restored from a backup. Pure: what was known of a subject, and what is left of it.

use tally_proto::tally::sanctions::v1 as pb;

/// What an entry that was known otherwise asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its listing is lost: nothing may be applied until it is decided again.
    Withhold,
    /// Its listing is lost, and that it was suspended or ended: it must not come back
    /// without that.
    WithholdAndHold,
    /// It had been upheld, and is suspended again: so are its directives.
    Suspend,
    /// It had been suspended or ended, and is in force again, as far as is known:
    /// nobody may rest on that until an officer has looked.
    Hold,
}

impl Verdict {
    /// True where the subject waits until somebody has looked.
    pub fn holds(self) -> bool {
        matches!(self, Self::Hold | Self::WithholdAndHold)
    }

    /// What it means, for the operator.
    pub fn explain(self) -> &'static str {
        match self {
            Self::Withhold => {
                "its listing is lost: its directives are suspended until the initiator repeats \
                 its commands of after the backup, under their ids"
            }
            Self::WithholdAndHold => {
                "its listing is lost, and its suspension or end: its directives stay as they are, and checks \
                 are undetermined until the initiator has repeated all its commands of after the backup, under \
                 their ids, and the subject was replayed"
            }
            Self::Suspend => {
                "the decision that upheld its entry is lost: its directives are suspended until \
                 the initiator repeats it, under its id"
            }
            Self::Hold => {
                "a suspension or an end is lost: checks are undetermined until the initiator has \
                 repeated it, under its id, and the subject was replayed"
            }
        }
    }
}

/// The entries of a subject that were known otherwise than they are left, each as it
/// was known.
pub fn verdicts<'a>(
    before: &'a pb::SubjectRow,
    now: &pb::SubjectRow,
) -> Vec<(&'a pb::KnownEntry, Verdict)> {
    let left = |id: &str| now.entries.iter().find(|entry| entry.entry_id == id);
    let verdict = |entry: &pb::KnownEntry| {
        let Some(left) = left(&entry.entry_id) else {
            return Some(match entry.standing() {
                pb::Standing::Listed => Verdict::Withhold,
                _ => Verdict::WithholdAndHold,
            });
        };
        match (entry.standing(), left.standing()) {
            (before, now) if before == now => None,
            (pb::Standing::Listed, pb::Standing::Suspended) => Some(Verdict::Suspend),
            _ => Some(Verdict::Hold),
        }
    };
    let entries = before.entries.iter();
    entries
        .filter_map(|entry| Some((entry, verdict(entry)?)))
        .collect()
}

/// True where a link leads on again that had been taken back.
pub fn links_come_back(before: &pb::SubjectRow, now: &pb::SubjectRow) -> bool {
    now.links.iter().any(|link| !before.links.contains(link))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(entries: &[(&str, pb::Standing)]) -> pb::SubjectRow {
        let entry = |(id, standing): &(&str, pb::Standing)| pb::KnownEntry {
            entry_id: (*id).to_owned(),
            standing: (*standing).into(),
            ..Default::default()
        };
        pb::SubjectRow {
            entries: entries.iter().map(entry).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_lost_never_leads_to_more_being_applied() {
        use pb::Standing::{Ended, Listed, Suspended};
        let cases = [
            (Listed, Some(Listed), None),
            (Listed, None, Some(Verdict::Withhold)),
            (Suspended, None, Some(Verdict::WithholdAndHold)),
            (Ended, None, Some(Verdict::WithholdAndHold)),
            (Listed, Some(Suspended), Some(Verdict::Suspend)),
            (Suspended, Some(Listed), Some(Verdict::Hold)),
            (Ended, Some(Listed), Some(Verdict::Hold)),
            (Ended, Some(Suspended), Some(Verdict::Hold)),
            (Ended, Some(Ended), None),
        ];
        for (was, is, expected) in cases {
            let before = row(&[("other", Listed), ("it", was)]);
            let mut now = vec![("other", Listed)];
            now.extend(is.map(|is| ("it", is)));
            let found = verdicts(&before, &row(&now));
            let found: Vec<_> = found
                .into_iter()
                .map(|(entry, verdict)| (entry.entry_id.as_str(), verdict))
                .collect();
            let expected: Vec<_> = expected
                .map(|verdict| ("it", verdict))
                .into_iter()
                .collect();
            assert_eq!(found, expected, "{was:?} {is:?}");
        }
    }

    #[test]
    fn a_link_that_had_been_taken_back_leads_on_again() {
        let linked = pb::SubjectRow {
            links: vec![pb::KnownLink {
                subject: "cn-uscc:1".to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let alone = pb::SubjectRow::default();
        assert!(links_come_back(&alone, &linked));
        assert!(!links_come_back(&linked, &alone));
        assert!(!links_come_back(&linked, &linked));
    }
}
