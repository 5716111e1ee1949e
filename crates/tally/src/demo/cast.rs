//! Who takes part: every department of the pack with its system and officers,
//! the province, the operator; each with a certificate of its own.

use futures::future::try_join_all;
use tally_auth::identity::Identity;

use super::DemoError;
use super::world::{Dept, World};
use crate::client::Client;
use crate::data_dir::{DataDir, OPERATOR};

/// Officers of a department that lists: one nominates, one lists, one accepts
/// objections, one decides them. Others need one.
pub const OFFICERS: usize = 4;

/// A department's connections.
pub struct Desk {
    /// Name of its system's certificate.
    pub certificate: String,
    /// Its system.
    pub system: Client,
    /// Its officers.
    pub officers: Vec<Client>,
}

/// Everyone's connections.
pub struct Cast {
    /// The operator.
    pub operator: Client,
    /// The province's own system.
    pub province: Client,
    desks: Vec<Desk>,
}

impl Cast {
    /// Issues the certificates and connects under each.
    ///
    /// # Errors
    ///
    /// [`DemoError`]: a certificate cannot be written, or nobody answers.
    pub async fn open(dir: &DataDir, world: &World) -> Result<Self, DemoError> {
        let desks = try_join_all(world.depts().map(|dept| Desk::open(dir, world, dept))).await?;
        // The province's platform is run by the first department: same department, other certificate.
        let platform = world.depts().next().map(|dept| system_urn(world, dept));
        let platform = platform.expect("a pack without departments is not consistent");
        Ok(Self {
            operator: Client::of_dir(dir.path(), OPERATOR).await?,
            province: connect(dir, &platform, "province-platform").await?,
            desks,
        })
    }

    /// The connections of a department.
    pub fn desk(&self, dept: Dept) -> &Desk {
        &self.desks[dept.index()]
    }
}

impl Desk {
    async fn open(dir: &DataDir, world: &World, dept: Dept) -> Result<Self, DemoError> {
        let name = file_name(&world.department(dept).name);
        let mut lists = world.pack.list_types.values();
        let officers = match lists.any(|list| list.initiators.contains(world.id(dept))) {
            true => OFFICERS,
            false => 1,
        };
        let urn = system_urn(world, dept);
        let certificate = format!("{name}-system");
        let system = connect(dir, &urn, &certificate).await?;
        let mut clients = Vec::with_capacity(officers);
        for number in 1..=officers {
            let urn = format!("{urn}:officer:D-{number}");
            clients.push(connect(dir, &urn, &format!("{name}-officer-{number}")).await?);
        }
        Ok(Self {
            certificate,
            system,
            officers: clients,
        })
    }
}

/// `Tally City Transport Bureau` as `tally-city-transport-bureau`.
pub fn file_name(name: &str) -> String {
    let letters = name.to_ascii_lowercase();
    let words = letters.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn system_urn(world: &World, dept: Dept) -> String {
    format!("urn:tally:department:{}", world.id(dept))
}

async fn connect(dir: &DataDir, urn: &str, name: &str) -> Result<Client, DemoError> {
    let identity =
        Identity::parse(urn).expect("departments and numbers are of the form that is parsed");
    dir.issue(&identity, name)?;
    Ok(Client::of_dir(dir.path(), name).await?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::demo::world::province;

    #[test]
    fn every_department_has_a_file_name_of_its_own() {
        let world = province();
        let names: HashSet<_> = world
            .depts()
            .map(|dept| file_name(&world.department(dept).name))
            .collect();
        assert_eq!(names.len(), world.depts().len());
        assert!(names.contains("tally-province-high-people-s-court"));
    }
}
