//! Who takes part: departments' systems and officers, each under a certificate of
//! the data directory, which is issued where it is missing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::try_join_all;
use tally_auth::identity::Identity;

use super::SimulateError;
use crate::client::Client;
use crate::data_dir::{DataDir, OPERATOR};
use crate::demo::world::{Dept, World};

/// Who of a department's officers does what: nominates, lists, accepts objections,
/// decides them. Never two of these one after the other.
pub const OFFICERS: usize = 4;

/// A department's connections.
pub struct Desk {
    /// Its code.
    pub id: String,
    /// Its officers.
    pub officers: Vec<Client>,
    systems: Vec<Client>,
    next: AtomicUsize,
}

impl Desk {
    /// Its system, on its connections in turn.
    pub fn system(&self) -> &Client {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.systems[next % self.systems.len()]
    }
}

/// Everyone's connections.
pub struct Cast {
    desks: BTreeMap<Dept, Desk>,
}

impl Cast {
    /// Connects for these departments, each with so many connections of its system.
    ///
    /// # Errors
    ///
    /// [`SimulateError`]: a certificate cannot be issued, or nobody answers.
    pub async fn open(
        dir: &Path,
        world: &World,
        depts: impl Iterator<Item = Dept>,
        connections: usize,
    ) -> Result<Self, SimulateError> {
        let mut desks = BTreeMap::new();
        for dept in depts {
            let id = world.id(dept).to_string();
            let certificate = certificate(&id);
            let systems = (0..connections).map(|_| system(dir, &id, &certificate));
            let officers = (1..=OFFICERS).map(|number| officer(dir, &id, number));
            let desk = Desk {
                systems: try_join_all(systems).await?,
                officers: try_join_all(officers).await?,
                next: AtomicUsize::new(0),
                id,
            };
            desks.insert(dept, desk);
        }
        Ok(Self { desks })
    }

    /// The connections of a department that takes part.
    pub fn desk(&self, dept: Dept) -> &Desk {
        &self.desks[&dept]
    }
}

/// Name of the certificate of a department's system.
pub fn certificate(department: &str) -> String {
    format!("simulate-{department}")
}

/// The operator.
///
/// # Errors
///
/// [`SimulateError`]: the directory has no such certificate, or nobody answers.
pub async fn operator(dir: &Path) -> Result<Client, SimulateError> {
    Ok(Client::of_dir(dir, OPERATOR).await?)
}

/// A department's system under the certificate of that name.
///
/// # Errors
///
/// [`SimulateError`].
pub async fn system(
    dir: &Path,
    department: &str,
    certificate: &str,
) -> Result<Client, SimulateError> {
    let urn = format!("urn:tally:department:{department}");
    let flags = format!("--department {department}");
    connect(dir, &urn, &flags, certificate).await
}

async fn officer(dir: &Path, department: &str, number: usize) -> Result<Client, SimulateError> {
    let urn = format!("urn:tally:department:{department}:officer:S-{number}");
    let flags = format!("--department {department} --officer S-{number}");
    let name = format!("{}-officer-{number}", certificate(department));
    connect(dir, &urn, &flags, &name).await
}

async fn connect(dir: &Path, urn: &str, flags: &str, name: &str) -> Result<Client, SimulateError> {
    let data = DataDir::new(dir);
    // One that is there may be of an authority that is elsewhere.
    if !data.certificates().join(format!("{name}.pem")).exists() {
        let identity = Identity::parse(urn).map_err(|_| SimulateError::Department {
            urn: urn.to_owned(),
        })?;
        data.issue(&identity, name)
            .map_err(|source| SimulateError::Certificate {
                name: name.to_owned(),
                flags: flags.to_owned(),
                dir: dir.to_owned(),
                source: Box::new(source),
            })?;
    }
    Ok(Client::of_dir(dir, name).await?)
}
