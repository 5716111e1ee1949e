//! Who takes part: departments with their systems and officers, the province,
//! the operator; each with a certificate of its own.

use tally_auth::identity::Identity;

use super::DemoError;
use crate::client::Client;
use crate::data_dir::{DataDir, OPERATOR};

/// Officers per department: one nominates, one lists, one accepts objections,
/// one decides them.
pub const OFFICERS: usize = 4;

/// A department of the small policy pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dept {
    /// Province, market supervision.
    Market,
    /// City, taxes.
    Tax,
    /// County, public resources.
    Resources,
}

impl Dept {
    /// All of them.
    pub const ALL: [Dept; 3] = [Dept::Market, Dept::Tax, Dept::Resources];

    /// Place in [`Dept::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Unified social credit code, its id in the pack.
    pub fn id(self) -> &'static str {
        match self {
            Dept::Market => "11990000MB0000107X",
            Dept::Tax => "11990100MB0000203C",
            Dept::Resources => "11990102MB000030XF",
        }
    }

    /// Short name.
    pub fn name(self) -> &'static str {
        match self {
            Dept::Market => "market",
            Dept::Tax => "tax",
            Dept::Resources => "resources",
        }
    }

    /// How the numbers of its documents begin.
    pub fn document_prefix(self) -> &'static str {
        match self {
            Dept::Market => "示市监",
            Dept::Tax => "示税",
            Dept::Resources => "示资",
        }
    }

    /// The department of that id.
    pub fn by_id(id: &str) -> Option<Dept> {
        Dept::ALL.into_iter().find(|dept| dept.id() == id)
    }
}

/// A department's connections.
pub struct Desk {
    /// Its system.
    pub system: Client,
    /// Its officers.
    pub officers: [Client; OFFICERS],
}

/// Everyone's connections.
pub struct Cast {
    /// The operator.
    pub operator: Client,
    /// The province's own system.
    pub province: Client,
    desks: [Desk; 3],
}

impl Cast {
    /// Issues the certificates and connects under each.
    ///
    /// # Errors
    ///
    /// [`DemoError`]: a certificate cannot be written, or nobody answers.
    pub async fn open(dir: &DataDir) -> Result<Self, DemoError> {
        // The province's platform is run by its market supervision: same department, other certificate.
        let province = connect(dir, &system_urn(Dept::Market), "province-system").await?;
        let desks = [
            Desk::open(dir, Dept::Market).await?,
            Desk::open(dir, Dept::Tax).await?,
            Desk::open(dir, Dept::Resources).await?,
        ];
        let operator = Client::of_dir(dir.path(), OPERATOR).await?;
        Ok(Self {
            operator,
            province,
            desks,
        })
    }

    /// The connections of a department.
    pub fn desk(&self, dept: Dept) -> &Desk {
        &self.desks[dept.index()]
    }
}

impl Desk {
    async fn open(dir: &DataDir, dept: Dept) -> Result<Self, DemoError> {
        let name = dept.name();
        let officer = async |number: usize| {
            let urn = format!("{}:officer:D-{number}", system_urn(dept));
            connect(dir, &urn, &format!("{name}-officer-{number}")).await
        };
        Ok(Self {
            system: connect(dir, &system_urn(dept), &format!("{name}-system")).await?,
            officers: [
                officer(1).await?,
                officer(2).await?,
                officer(3).await?,
                officer(4).await?,
            ],
        })
    }
}

fn system_urn(dept: Dept) -> String {
    format!("urn:tally:department:{}", dept.id())
}

async fn connect(dir: &DataDir, urn: &str, name: &str) -> Result<Client, DemoError> {
    let identity =
        Identity::parse(urn).expect("departments and numbers are constants of a known form");
    dir.issue(&identity, name)?;
    Ok(Client::of_dir(dir.path(), name).await?)
}

#[cfg(test)]
mod tests {
    use tally_domain::department::DepartmentId;

    use super::*;

    #[test]
    fn the_departments_are_those_of_the_small_pack() {
        let pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
        let ids: Vec<String> = pack.departments.keys().map(ToString::to_string).collect();
        assert_eq!(ids, Dept::ALL.map(|dept| dept.id().to_owned()));
        for dept in Dept::ALL {
            assert!(DepartmentId::parse(dept.id()).is_ok());
            assert_eq!(Dept::by_id(dept.id()), Some(dept));
        }
    }
}
