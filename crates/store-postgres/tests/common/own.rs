//! A database of its own, owned by a role that may do nothing else.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};
use tally_store_postgres::Database;
use uuid::Uuid;

use super::{current_thread, url};

/// Dropped at the end, with its role.
pub struct OwnDatabase {
    name: String,
    pub database: Database,
}

async fn server() -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::from_str(&url())?.connect().await
}

async fn run(connection: &mut PgConnection, text: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(connection)
        .await
        .map(|_| ())
}

impl OwnDatabase {
    pub async fn create() -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut server = server().await.expect("the server answers");
        for text in [
            format!("CREATE ROLE {name} LOGIN PASSWORD '{name}'"),
            format!("CREATE DATABASE {name} OWNER {name}"),
        ] {
            run(&mut server, text)
                .await
                .expect("it may create roles and databases");
        }
        let own = PgConnectOptions::from_str(&url()).expect("a URL");
        let own = own.database(&name).username(&name).password(&name);
        let database = Database {
            url: own.to_url_lossy().to_string(),
            schema: "tally_own".to_owned(),
        };
        Self { name, database }
    }

    /// A connection to it as who may do everything.
    pub async fn as_superuser(&self, schema: &str) -> PgConnection {
        let options = PgConnectOptions::from_str(&url()).expect("a URL");
        let options = options
            .database(&self.name)
            .options([("search_path", schema)]);
        options.connect().await.expect("the server answers")
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        let drop = async move {
            let mut server = server().await?;
            run(&mut server, format!("DROP DATABASE {name} WITH (FORCE)")).await?;
            run(&mut server, format!("DROP ROLE {name}")).await
        };
        let dropping = std::thread::spawn(|| current_thread().block_on(drop));
        if let Err(error) = dropping.join().expect("it does not panic") {
            eprintln!("database {} is left behind: {error}", self.name);
        }
    }
}
