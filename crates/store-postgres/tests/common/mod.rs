//! What the tests share: a schema of their own on the server that they are given.

#![allow(dead_code, reason = "not every test uses everything")]

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};
use tally_store_postgres::Database;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// The server.
pub fn url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL names no Postgres: run `make services`, or set it to a server's URL")
}

/// A schema of its own, empty at first and dropped at the end.
#[derive(Debug)]
pub struct Schema {
    pub database: Database,
}

impl Schema {
    pub fn new() -> Self {
        let schema = format!("test_{}", Uuid::new_v4().simple());
        Self {
            database: Database { url: url(), schema },
        }
    }

    /// A connection to it, beside the store.
    pub async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.database.url).expect("a URL");
        let options = options.options([("search_path", &self.database.schema)]);
        options.connect().await.expect("the server answers")
    }

    /// Runs statements in it.
    pub async fn run(&self, text: &'static str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(text)
            .execute(&mut connection)
            .await
            .expect(text);
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let name = self.database.schema.clone();
        let options = PgConnectOptions::from_str(&self.database.url).expect("a URL");
        let drop = async move {
            let mut connection = options.connect().await?;
            let text = format!("DROP SCHEMA IF EXISTS \"{name}\" CASCADE");
            sqlx::raw_sql(AssertSqlSafe(text))
                .execute(&mut connection)
                .await
        };
        // Whoever drops this may be on a runtime, which must not be blocked on.
        let dropping = std::thread::spawn(|| current_thread().block_on(drop));
        let dropped = dropping.join().expect("it does not panic");
        if let Err(error) = dropped {
            eprintln!("schema {} is left behind: {error}", self.database.schema);
        }
    }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
