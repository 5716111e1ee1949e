//! Schemas of the database that the environment names.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};
use tally_eventlog::shard::{LogName, ShardCount};
use tally_store_postgres::keyring::PostgresKeyStore;
use tally_store_postgres::{Database, MigrateOptions, PostgresStore};
use tally_tests::processes::service;
use uuid::Uuid;

/// A schema.
pub struct Schema {
    /// Where it is.
    pub database: Database,
    own: bool,
}

impl Schema {
    /// One that somebody else has made, and takes away.
    pub fn of(name: String) -> Self {
        Self {
            database: Database {
                url: service("DATABASE_URL"),
                schema: name,
            },
            own: false,
        }
    }

    fn fresh() -> Self {
        let mut schema = Self::of(format!("bench_{}", Uuid::new_v4().simple()));
        schema.own = true;
        schema
    }

    /// A fresh one with the tables of a store, dropped at the end.
    pub async fn store(logs: &[LogName], shards: ShardCount) -> Self {
        let schema = Self::fresh();
        let options = MigrateOptions {
            logs: logs.to_vec(),
            shards,
            test_clock: None,
        };
        let migrated = PostgresStore::migrate(&schema.database, &options).await;
        migrated.expect("a schema can be made");
        schema
    }

    /// A fresh one with the tables of a key ring, dropped at the end.
    pub async fn keyring() -> Self {
        let schema = Self::fresh();
        let migrated = PostgresKeyStore::migrate(&schema.database).await;
        migrated.expect("a schema can be made");
        schema
    }

    /// A connection to it.
    pub async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.database.url).expect("a URL");
        let options = options
            .options([("search_path", self.database.schema.as_str())])
            .disable_statement_logging();
        options.connect().await.expect("the server answers")
    }

    /// Runs statements in it.
    pub async fn run(&self, text: String) {
        let connection = &mut self.connect().await;
        let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(connection);
        done.await.expect("the server does as it is told");
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if !self.own {
            return;
        }
        let Database { url, schema } = self.database.clone();
        let drop = async move {
            let options = PgConnectOptions::from_str(&url)?;
            let text = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
            let mut connection = options.connect().await?;
            sqlx::raw_sql(AssertSqlSafe(text))
                .execute(&mut connection)
                .await
        };
        // Whoever drops this is on a runtime, which must not be blocked on.
        let dropping = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(drop)
        });
        if !matches!(dropping.join(), Ok(Ok(_))) {
            eprintln!("schema {} is left behind", self.database.schema);
        }
    }
}
