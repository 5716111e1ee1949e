//! Which entries a department may see.

use tally_domain::department::DepartmentId;
use tally_domain::policy::Pack;
use tally_proto::tally::lists::v1 as pb;

use crate::entry::Entry;

/// Whether a department may see an entry: its own always; another's while the
/// subject stands on the list and the pack shares it. What is not yet decided,
/// or over, is nobody else's.
pub(super) fn covers(pack: &Pack, reader: &DepartmentId, entry: &Entry) -> bool {
    entry.nomination.as_ref().is_some_and(|nomination| {
        let initiator = &nomination.by.department;
        reader == initiator
            || (entry.state.is_live()
                && pack.may_read_listed(&nomination.list_type, initiator.as_str(), reader))
    })
}

/// The same for an entry as the views hold it.
pub(super) fn covers_row(pack: &Pack, reader: &DepartmentId, entry: &pb::Entry) -> bool {
    let live = matches!(
        entry.state(),
        pb::EntryState::Listed | pb::EntryState::Suspended
    );
    reader.as_str() == entry.department
        || (live && pack.may_read_listed(&entry.list_type, &entry.department, reader))
}
