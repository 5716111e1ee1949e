//! Where a path is measured: on a fresh mesh, or on one that has been filled
//! once and keeps what every path adds to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tally::data_dir::DataDir;
use tally_service::logs;
use tally_tests::harness::MeshDir;
use tally_tests::organisations;
use tempfile::TempDir;

use crate::arguments::Fill;
use crate::bare::{Place, keyring_in, store_in};
use crate::content;
use crate::load::{self, PLAIN};
use crate::ours::{Ours, start_again};
use crate::world::{PROVINCE, SMALL, World};

/// Records that are pushed at a time while a mesh is filled.
const FILLED_AT_ONCE: usize = 50_000;

/// Organisations that checks are about on a fresh mesh.
const FRESH_SUBJECTS: usize = 2_000;

/// The same on a filled one: more than fit into SQLite's cache.
const FILLED_SUBJECTS: usize = 40_000;

/// Subjects of checks that are listed: every so many.
pub const LISTED_EVERY: usize = 20;

/// Where paths are measured.
pub enum Stage {
    /// Anew for each path; the last one's files stay until the next.
    Fresh(Option<MeshDir>),
    /// On what is there.
    Filled(Filled),
}

/// A mesh that was filled, and a copy of its files for the bare path.
pub struct Filled {
    ours: Option<MeshDir>,
    bare: TempDir,
    fill: Fill,
    /// Number of the next record.
    next: usize,
    /// What it took to fill it, and to start on it.
    pub took: Duration,
    /// From the start of the process to serving.
    pub started_in: Duration,
}

impl Stage {
    /// Who does what.
    pub fn world(&self) -> &'static World {
        match self {
            Self::Fresh(_) => &SMALL,
            Self::Filled(_) => &PROVINCE,
        }
    }

    /// A mesh to measure.
    ///
    /// # Panics
    ///
    /// If another one runs on this stage.
    pub async fn open(&mut self) -> Ours {
        match self {
            Self::Fresh(_) => Ours::start(&SMALL).await,
            Self::Filled(filled) => {
                let dir = filled.ours.take().expect("one mesh at a time");
                Ours::resume(dir).await
            }
        }
    }

    /// Takes the stopped mesh back.
    pub fn close(&mut self, dir: MeshDir) -> PathBuf {
        let place = match self {
            Self::Fresh(kept) => kept,
            Self::Filled(filled) => &mut filled.ours,
        };
        place.insert(dir).path().to_owned()
    }

    /// Where bare inserts.
    pub fn bare(&self) -> Place {
        match self {
            Self::Fresh(_) => Place::fresh(),
            Self::Filled(filled) => Place::Filled(filled.bare.path().to_owned()),
        }
    }

    /// Numbers of records that were not used yet.
    pub fn numbers(&mut self, count: usize) -> std::ops::Range<usize> {
        match self {
            Self::Fresh(_) => 0..count,
            Self::Filled(filled) => {
                let from = filled.next;
                filled.next += count;
                from..filled.next
            }
        }
    }

    /// Organisations to ask about: every [`LISTED_EVERY`]th is listed, on a fresh mesh once
    /// [`Ours::list`] has listed those.
    pub fn asked(&self) -> Vec<String> {
        let Self::Filled(filled) = self else {
            return organisations::subjects(FRESH_SUBJECTS);
        };
        // Even ones are listed; spread over all, so that neighbours share no page.
        let subjects = filled.subjects();
        let asked = FILLED_SUBJECTS.min(subjects.len());
        let step = filled.fill.listings / (asked / LISTED_EVERY).max(1);
        (0..asked)
            .map(|n| match n % LISTED_EVERY {
                0 => 2 * (n / LISTED_EVERY) * step.max(1),
                _ => 2 * (n * 7_919 % filled.fill.listings) + 1,
            })
            .map(|at| subjects[at % subjects.len()].clone())
            .collect()
    }
}

impl Filled {
    /// Fills a mesh with records and listings, waits until all that follows from them has
    /// happened, and copies its files.
    pub async fn fill(fill: Fill) -> Self {
        let began = Instant::now();
        let dir = TempDir::new().expect("a temporary directory");
        let ours = Ours::start_in(dir, &PROVINCE).await;
        let subjects = organisations::subjects(2 * fill.listings);
        let clients = ours.connect(4).await;
        for from in (0..fill.records).step_by(FILLED_AT_ONCE) {
            let numbers = from..fill.records.min(from + FILLED_AT_ONCE);
            let count = numbers.len();
            let requests = content::records_about(&PROVINCE, numbers, &subjects, Some(10));
            let kept = load::push(&clients, requests).await;
            assert_eq!(kept.counts[PLAIN], count, "every record is accepted");
            eprintln!("  {} records", from + count);
        }
        ours.caught_up(logs::COLLECTION).await;
        let listed: Vec<(usize, String)> = subjects.into_iter().enumerate().step_by(2).collect();
        ours.list_grounded(&PROVINCE, &listed).await;
        drop(clients);
        let dir = ours.stop().await;
        let took = began.elapsed();
        let started_in = start_again(dir.path()).await;
        let bare = TempDir::new().expect("a temporary directory");
        let data = DataDir::new(dir.path());
        copy(&data.store(None), &store_in(bare.path()));
        copy(&data.keyring(), &keyring_in(bare.path()));
        Self {
            ours: Some(dir),
            bare,
            fill,
            next: fill.records,
            took,
            started_in,
        }
    }

    fn subjects(&self) -> Vec<String> {
        organisations::subjects(2 * self.fill.listings)
    }
}

/// Copies a database that nobody has open; its log was written back when it closed.
fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).expect("the disk has room for a second one");
}
