//! Step 2: departments import the tables that people filled in, with the
//! importer of the command line, and what it says is held against what was made.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tally_exchange::columns::FAULTS_TITLE;
use tally_exchange::table;

use super::content::Table;
use super::{Demo, DemoError, texts};
use crate::cli::import::Import;

/// Where the tables are, in the demo's directory.
const TABLES: &str = "tables";

impl Demo {
    /// Writes the tables and imports them, one after another.
    pub(super) async fn import_tables(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::IMPORT);
        let dir = self.dir.path().join(TABLES);
        std::fs::create_dir_all(&dir).map_err(DemoError::Directory)?;
        let plan = Arc::clone(&self.plan);
        for table in &plan.tables {
            self.import_table(&dir, table).await?;
        }
        self.quiet().await
    }

    async fn import_table(&mut self, dir: &Path, table: &Table) -> Result<(), DemoError> {
        let file = dir.join(&table.file_name);
        let bytes = table.bytes().map_err(DemoError::Workbook)?;
        std::fs::write(&file, bytes).map_err(DemoError::Directory)?;
        let certificate = &self.cast.desk(table.dept).certificate;
        let counts = Import::quietly(
            self.dir.path(),
            certificate,
            file.clone(),
            &table.record_type,
        );
        let counts = counts.await.map_err(DemoError::Import)?;
        let made = table.made;
        // Every wrong row of these tables is one that may be kept.
        let expected = [made.right, made.again, made.wrong, 0, made.blank];
        let found = [
            counts.accepted,
            counts.known,
            counts.quarantined,
            counts.refused,
            counts.blank,
        ];
        let [expected, found] = [expected, found].map(|[accepted, known, kept, refused, blank]| {
            texts::IMPORTED.with(&[&accepted, &known, &kept, &refused, &blank])
        });
        let name = self.world.name(table.dept);
        self.summary
            .line(&texts::NAMED_FILE.with(&[&name, &table.file_name, &found]));
        self.summary.equal(
            &texts::CHECK_IMPORT.with(&[&table.file_name]),
            &expected,
            &found,
        );
        let report = dir.join(format!("{}.faults.xlsx", table.file_name));
        let faults = faults_in(&report)?;
        self.summary.equal(
            &texts::CHECK_IMPORT_FAULTS.with(&[&table.file_name]),
            &made.faults,
            &faults,
        );
        for push in &table.right {
            self.ledger
                .accept(&self.world, table.dept, &push.record, push.timing);
        }
        let known = self.ledger.records_of(table.dept, &table.record_type);
        known.refused += made.wrong;
        known.quarantined += made.wrong;
        Ok(())
    }
}

/// The faults that a workbook of bad rows names, one a line.
fn faults_in(report: &Path) -> Result<u64, DemoError> {
    let mut place = None;
    let mut faults = 0;
    let read = table::read(report, &AtomicU64::new(0), &mut |row| {
        match place {
            None => place = row.cells.iter().position(|cell| cell == FAULTS_TITLE),
            Some(place) => {
                let cell = row.cells.get(place).map_or("", String::as_str);
                faults += cell.lines().count() as u64;
            }
        }
        ControlFlow::Continue(())
    });
    read.map_err(DemoError::Table)?;
    Ok(faults)
}
