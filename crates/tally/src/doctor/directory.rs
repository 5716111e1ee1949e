//! The data directory: what must be there, and who may read it.

use crate::data_dir::state::Private;
use crate::data_dir::{DataDir, DataDirError, causes};

use super::Finding;

/// Whether keys and certificates were made.
pub(super) fn initialised(dir: &DataDir) -> Finding {
    let (what, place) = ("directory", dir.path().display());
    if dir.is_embedded() {
        return Finding::ok(what, format!("{place} has all roles in one store"));
    }
    match dir.verify_shared() {
        Ok(()) => Finding::ok(
            what,
            format!("{place} has the keys and certificates of a mesh with a process for each role"),
        ),
        Err(error) => Finding::of_error(what, &causes(&error), "run `tally init` first"),
    }
}

/// Whether secrets are their owner's only.
pub(super) fn rights(found: Result<Vec<Private>, DataDirError>) -> Finding {
    let what = "rights";
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let remedy = "run this as the user of the mesh, who owns the directory";
            return Finding::fault(what, causes(&error), remedy);
        }
    };
    let open: Vec<&Private> = found.iter().filter(|one| one.mode & 0o077 != 0).collect();
    if open.is_empty() {
        let detail = format!(
            "{} directories, keys and stores are their owner's only",
            found.len()
        );
        return Finding::ok(what, detail);
    }
    let told = open
        .iter()
        .map(|one| format!("{} has {:04o}", one.path.display(), one.mode));
    let told: Vec<String> = told.collect();
    let told = told.join("; ");
    let typed = open.iter().map(|one| {
        let mode = if one.directory { "700" } else { "600" };
        format!("chmod {mode} {}", one.path.display())
    });
    let typed: Vec<String> = typed.collect();
    let typed = typed.join("; ");
    // Whoever may only see the names of what is closed to him learns no secret.
    let listed_only = |one: &&Private| one.directory && one.mode & 0o022 == 0;
    if open.iter().all(listed_only) {
        return Finding::warning(what, format!("others may look in: {told}"), typed);
    }
    Finding::fault(
        what,
        format!("others may use what is secret: {told}"),
        format!("{typed}; then think about who may have read it"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn private(path: &str, mode: u32, directory: bool) -> Private {
        Private {
            path: path.into(),
            mode,
            directory,
        }
    }

    #[test]
    fn every_secret_that_others_may_read_is_named_with_what_to_type() {
        let found = vec![
            private("d", 0o750, true),
            private("d/master.key", 0o604, false),
            private("d/keyring.db", 0o600, false),
        ];
        let finding = rights(Ok(found));
        assert_eq!(finding.level, Level::Fault);
        assert!(
            finding.detail.contains("d has 0750; d/master.key has 0604"),
            "{finding:?}"
        );
        assert!(!finding.detail.contains("keyring.db"), "{finding:?}");
        assert!(
            finding
                .remedy
                .contains("chmod 700 d; chmod 600 d/master.key"),
            "{finding:?}"
        );
        let listed = rights(Ok(vec![private("d", 0o755, true)]));
        assert_eq!(listed.level, Level::Warning);
        let written = rights(Ok(vec![private("d", 0o720, true)]));
        assert_eq!(written.level, Level::Fault);
        let closed = vec![private("d", 0o700, true), private("k", 0o400, false)];
        assert_eq!(rights(Ok(closed)).level, Level::Ok);
    }
}
