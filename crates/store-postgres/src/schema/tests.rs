use sqlx::Executor as _;

use super::*;
use crate::options::Limits;

#[path = "../../tests/common/mod.rs"]
mod common;

const SIGNS: &[&str] = &["meta", "things"];
const FIRST: &str = "CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL); \
     CREATE TABLE things (name text)";
const SECOND: &str = "ALTER TABLE things ADD COLUMN weight int";

fn tables(steps: &'static [&'static str]) -> Tables {
    Tables {
        steps,
        signs: SIGNS,
    }
}

async fn connection(schema: &common::Schema) -> (PgConnection, String) {
    let connector = Connector::new(&schema.database, &Limits::default()).expect("a name");
    let connection = connector.connect().await.expect("it connects");
    (connection, connector.schema)
}

#[tokio::test]
async fn a_schema_goes_step_by_step_and_is_refused_until_then() {
    let place = common::Schema::new();
    let (mut on, schema) = connection(&place).await;
    let (old, new) = (tables(&[FIRST]), tables(&[FIRST, SECOND]));
    let first = [("color", "green".to_owned())];
    old.migrate(&mut on, &schema, &first)
        .await
        .expect("created");
    old.verify(&mut on, &schema)
        .await
        .expect("it is of this version");
    let refused = new.verify(&mut on, &schema).await.expect_err("it is older");
    assert!(
        matches!(
            refused,
            OpenError::OlderFormat {
                found: 1,
                known: 2,
                ..
            }
        ),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("run `tally migrate`"),
        "{refused}"
    );

    let other = [("color", "red".to_owned())];
    new.migrate(&mut on, &schema, &other)
        .await
        .expect("changed");
    new.verify(&mut on, &schema)
        .await
        .expect("it is of this version");
    on.execute("INSERT INTO things (name, weight) VALUES ('a', 1)")
        .await
        .expect("both steps");
    let color = get(&mut on, "color").await.expect("it reads");
    assert_eq!(color.as_deref(), Some("green"), "what was settled stays");
    let refused = old.verify(&mut on, &schema).await.expect_err("it is newer");
    assert!(
        matches!(
            refused,
            OpenError::NewerFormat {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_behind() {
    let place = common::Schema::new();
    let (mut on, schema) = connection(&place).await;
    let broken = tables(&[
        FIRST,
        "ALTER TABLE things ADD COLUMN weight int; SELECT 1 / 0",
    ]);
    broken
        .migrate(&mut on, &schema, &[])
        .await
        .expect_err("it divides by zero");
    tables(&[FIRST])
        .verify(&mut on, &schema)
        .await
        .expect("the first step stands");
    let mended = tables(&[FIRST, SECOND]);
    mended
        .migrate(&mut on, &schema, &[])
        .await
        .expect("the column is not there yet");
}
