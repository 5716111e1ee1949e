//! What the demo pushes: made up from a seed, the same for the same seed.

mod identifiers;
mod records;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use tally_proto::tally::collection::v1::RecordContent;

use super::cast::Dept;

pub use records::correction_of;

/// Subjects that are listed.
pub const LISTED: usize = 30;

/// Of those, the first ones on the red list.
pub const RED: usize = 10;

/// Fewest organisations: the listed ones and as many that are not.
pub const ORGANISATIONS_MIN: u32 = 60;

/// Fewest records, so that every kind of faulty one occurs.
pub const RECORDS_MIN: u32 = 400;

/// An organisation that nobody has heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// `scheme:value`.
    pub subject: String,
    /// Its name.
    pub name: String,
}

/// What the answer to a push must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// A new receipt.
    Accepted,
    /// The first receipt again: the same content under a new command id.
    Same {
        /// Place of the first in the same department's pushes.
        of: usize,
    },
    /// The first receipt again: the same command, sent again.
    Retried {
        /// Place of the first in the same department's pushes.
        of: usize,
    },
    /// A refusal that names at least so many faults.
    Refused {
        /// Fewest faults.
        faults_min: usize,
    },
}

/// One record to push.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    /// The record.
    pub record: RecordContent,
    /// What must come of it.
    pub expect: Expect,
    /// True if fields of it are personal.
    pub personal: bool,
}

/// All that is pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The organisations; the first [`LISTED`] are going to be listed.
    pub organisations: Vec<Organisation>,
    /// Per department, in the order of [`Dept::ALL`].
    pub pushes: [Vec<Push>; 3],
    /// Per listed organisation, the record it is listed for: place in its
    /// initiator's pushes.
    pub grounds: Vec<usize>,
    /// A serious record about the first red subject, pushed later.
    pub serious: RecordContent,
    /// Names and numbers of persons in the records. They must show up nowhere.
    pub secrets: HashSet<String>,
}

impl Plan {
    /// Makes everything up.
    pub fn new(seed: u64, organisations: u32, records: u32) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let organisations = make_organisations(&mut rng, organisations as usize);
        let mut secrets = HashSet::new();
        let mut grounds = vec![0; LISTED];
        let counts = shares(records as usize);
        let pushes = Dept::ALL.map(|dept| {
            // A sequence of its own, so that one department's share says nothing of another's.
            let rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ (1 + dept.index() as u64));
            let mut maker = records::Maker::new(dept, &organisations, rng, &mut secrets);
            let mut pushes = Vec::with_capacity(counts[dept.index()]);
            for (index, ground) in grounds
                .iter_mut()
                .enumerate()
                .filter(|(i, _)| initiator(*i) == dept)
            {
                *ground = pushes.len();
                pushes.push(maker.ground(index));
            }
            while pushes.len() < counts[dept.index()] {
                let push = maker.next(&pushes);
                pushes.push(push);
            }
            pushes
        });
        let serious = records::serious(&organisations[0]);
        Self {
            organisations,
            pushes,
            grounds,
            serious,
            secrets,
        }
    }

    /// Number of records of all departments.
    pub fn total(&self) -> u64 {
        self.pushes.iter().map(|pushes| pushes.len() as u64).sum()
    }
}

/// Who lists the organisation of that index.
pub fn initiator(index: usize) -> Dept {
    // Only the tax bureau names honest taxpayers.
    if is_red(index) || index % 2 == 1 {
        Dept::Tax
    } else {
        Dept::Market
    }
}

/// Whether the organisation of that index goes on the red list.
pub fn is_red(index: usize) -> bool {
    index < RED
}

/// Half of the records from the first department, a seventh from the last.
fn shares(total: usize) -> [usize; 3] {
    let (market, resources) = (total / 2, total / 7);
    [market, total - market - resources, resources]
}

fn make_organisations(rng: &mut Xoshiro256PlusPlus, count: usize) -> Vec<Organisation> {
    /// Every so many has no code, as foreign and historic ones have none.
    const WITHOUT_CODE_EVERY: usize = 40;
    let mut taken = HashSet::new();
    let mut one = |index: usize| {
        let name = format!("Tally Example Company No. {index}");
        let subject = if index % WITHOUT_CODE_EVERY == 27 {
            format!("name-region:{}|TALLY OVERSEAS", name.to_uppercase())
        } else {
            format!("cn-uscc:{}", identifiers::uscc(rng, &mut taken))
        };
        Organisation { subject, name }
    };
    (0..count).map(&mut one).collect()
}
