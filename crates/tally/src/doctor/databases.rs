//! The stores in Postgres: whether they are there and of this version.

use futures::future::join_all;
use tally_store_postgres::{OpenError, PostgresStore, StoreInfo};
use tokio::time::timeout;

use super::{Finding, PATIENCE, Plan};
use crate::data_dir::causes;
use crate::mesh::Schema;
use crate::role::Role;

/// What is known of a role's store.
pub(super) struct Store {
    pub role: Role,
    schema: String,
    /// What it says of itself; nothing where there is none.
    pub found: Result<Option<StoreInfo>, Away>,
}

/// Why nothing is known.
pub(super) enum Away {
    Silent,
    Refused(Box<OpenError>),
}

/// Asks every store that is in Postgres; a role without a log has one too.
pub(super) async fn ask(plan: &Plan) -> Vec<Store> {
    if plan.dir.is_embedded() {
        return Vec::new();
    }
    let stores = Role::ALL.into_iter().zip(&plan.storages);
    let in_postgres = stores.filter_map(|(role, storage)| Some((role, storage.events.as_ref()?)));
    join_all(in_postgres.map(|(role, schema)| look(role, schema))).await
}

async fn look(role: Role, schema: &Schema) -> Store {
    let database = schema.database();
    let found = match timeout(PATIENCE, PostgresStore::inspect(&database)).await {
        Ok(found) => found.map_err(|error| Away::Refused(Box::new(error))),
        Err(_) => Err(Away::Silent),
    };
    Store {
        role,
        schema: schema.name.clone(),
        found,
    }
}

/// Whether a store can be opened by this version.
pub(super) fn judge(store: &Store) -> Finding {
    let (role, schema, known) = (store.role, &store.schema, PostgresStore::FORMAT);
    let what = format!("database {role}");
    let migrate = "run `tally migrate` with this configuration";
    match &store.found {
        Ok(None) => Finding::fault(
            what,
            format!("there is no store in schema {schema}"),
            migrate,
        ),
        Ok(Some(info)) if info.format < known => {
            let detail = format!(
                "schema {schema} has format {}, this version needs {known}",
                info.format
            );
            Finding::fault(what, detail, migrate)
        }
        Ok(Some(info)) if info.unfinished => Finding::fault(
            what,
            format!("what is loaded into schema {schema} is not settled, and it cannot be opened"),
            "wait for `tally restore` or `tally import-log`, or repeat the command that was cut off",
        ),
        Ok(Some(info)) => {
            let detail = format!(
                "schema {schema}: format {}, {} shards, opened {} times",
                info.format,
                info.shards.get(),
                info.epoch
            );
            Finding::ok(what, detail)
        }
        Err(away) => away.told(&what, "store.url"),
    }
}

impl Away {
    pub(super) fn told(&self, what: &str, setting: &str) -> Finding {
        match self {
            Self::Silent => {
                let detail = format!("Postgres says nothing for {} seconds", PATIENCE.as_secs());
                let remedy = format!(
                    "look at the database's log and load, and at who holds its locks; or correct `{setting}`"
                );
                Finding::fault(what, detail, remedy)
            }
            Self::Refused(error) => match &**error {
                OpenError::Database(reason) => {
                    let detail = format!("Postgres cannot be used: {}", causes(reason));
                    let remedy = format!(
                        "start it, or correct `{setting}`, its credentials and their rights"
                    );
                    Finding::fault(what, detail, remedy)
                }
                error => Finding::of_error(what, &causes(error), &format!("correct `{setting}`")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tally_eventlog::shard::ShardCount;

    use super::super::Level;
    use super::*;

    fn info(format: u64) -> StoreInfo {
        StoreInfo {
            shards: ShardCount::default(),
            ahead: None,
            epoch: 3,
            format,
            unfinished: false,
        }
    }

    fn judged(found: Result<Option<u64>, OpenError>) -> Finding {
        judged_of(found.map(|format| format.map(info)))
    }

    fn judged_of(found: Result<Option<StoreInfo>, OpenError>) -> Finding {
        judge(&Store {
            role: Role::Lists,
            schema: "tally_lists".to_owned(),
            found: found.map_err(|error| Away::Refused(Box::new(error))),
        })
    }

    #[test]
    fn a_store_that_is_being_filled_is_told_of_with_what_to_repeat() {
        let filling = StoreInfo {
            unfinished: true,
            ..info(PostgresStore::FORMAT)
        };
        let finding = judged_of(Ok(Some(filling)));
        assert_eq!(finding.level, Level::Fault);
        assert!(finding.remedy.contains("tally restore"), "{finding:?}");
    }

    #[test]
    fn a_store_of_another_format_is_told_of_with_what_to_run() {
        let known = PostgresStore::FORMAT;
        assert_eq!(judged(Ok(Some(known))).level, Level::Ok);
        for found in [None, Some(known - 1)] {
            let finding = judged(Ok(found));
            assert_eq!(finding.level, Level::Fault);
            assert!(finding.remedy.contains("tally migrate"), "{finding:?}");
        }
        let newer = judged(Err(OpenError::NewerFormat {
            schema: "tally_lists".to_owned(),
            found: known + 1,
            known,
        }));
        assert_eq!(newer.level, Level::Fault);
        assert!(newer.remedy.starts_with("run the version"), "{newer:?}");
    }
}
