//! What the demo pushes and imports: made up from a seed, the same for the same
//! seed. Everything else about it, from record types to choices, is the pack's.

mod identifiers;
mod records;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use jiff::civil::Date;
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use tally_domain::policy::{ListPolarity, ListType};
use tally_proto::tally::collection::v1::{Field, RecordContent};

use super::world::{Dept, Timing, World, has_explicit_term};

pub use records::{Maker, decision_of};
pub use tables::Table;

/// Subjects that are listed.
pub const LISTED: usize = 30;

/// Fewest organisations: the listed ones and as many that are not.
pub const ORGANISATIONS_MIN: u32 = 60;

/// Fewest records, so that every department has something to push.
pub const RECORDS_MIN: u32 = 400;

/// The list for government bodies: who is on it is no company.
const GOVERNMENT_LIST: &str = "government-default";

/// An organisation that nobody has heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// `scheme:value`.
    pub subject: String,
    /// Its name.
    pub name: String,
    /// True for a body of government.
    pub government: bool,
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
    /// Whether it is pushed within its term.
    pub timing: Timing,
}

/// A listing to come. It has its place in common with the organisation that is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Which list.
    pub list_type: String,
    /// True for a red list.
    pub red: bool,
    /// By whom.
    pub initiator: Dept,
    /// Type of the record for which it is listed.
    pub ground_type: String,
}

/// The listings to which something special happens, by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special {
    /// Taken off the red list after a serious new record.
    pub removed: usize,
    /// Listed in error: its objection leads to a correction.
    pub wrong: usize,
    /// Its objection is without ground: the listing is upheld.
    pub upheld: usize,
    /// Its term ends within the demo.
    pub short: usize,
    /// Its objection comes last and is not decided any more.
    pub open: usize,
}

/// All that is pushed and imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The organisations; the first [`LISTED`] are going to be listed.
    pub organisations: Vec<Organisation>,
    /// The listings.
    pub listings: Vec<Planned>,
    /// Those to which something special happens.
    pub special: Special,
    /// Per department.
    pub pushes: Vec<Vec<Push>>,
    /// Per listing, the record it rests on: place in its initiator's pushes.
    pub grounds: Vec<usize>,
    /// A serious record about a subject on a red list, pushed later, and by whom.
    pub serious: (Dept, RecordContent),
    /// Tables to import.
    pub tables: Vec<Table>,
    /// Names and numbers of persons in the records. They must show up nowhere.
    pub secrets: HashSet<String>,
}

impl Plan {
    /// Makes everything up for a push on `today`.
    pub fn new(world: &World, today: Date, seed: u64, organisations: u32, records: u32) -> Self {
        let listings = make_listings(world);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let organisations = make_organisations(&mut rng, organisations as usize, &listings);
        let mut secrets = HashSet::new();
        let mut grounds = vec![0; LISTED];
        let mut tables = Vec::new();
        let mut pushes = Vec::new();
        let mut serious = None;
        for (dept, count) in world.depts().zip(shares(world, records as usize)) {
            // A sequence of its own, so that one department's share says nothing of another's.
            let rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ (1 + dept.index() as u64));
            let mut maker = records::Maker::new(world, dept, today, &organisations, rng);
            let mut made = Vec::with_capacity(count);
            for (index, planned) in listings.iter().enumerate() {
                if planned.initiator == dept {
                    grounds[index] = made.len();
                    made.push(maker.ground(index, planned));
                }
            }
            while made.len() < count {
                let push = maker.next(&made);
                made.push(push);
            }
            pushes.push(made);
            tables.extend(tables::tables_of(world, dept, &mut maker));
            serious = serious.or_else(|| maker.serious(0));
            secrets.extend(maker.secrets);
        }
        Self {
            special: special(world, &listings),
            serious: serious.expect("a pack with red lists has serious records"),
            organisations,
            listings,
            pushes,
            grounds,
            tables,
            secrets,
        }
    }

    /// Number of records of all departments.
    pub fn total(&self) -> u64 {
        self.pushes.iter().map(|pushes| pushes.len() as u64).sum()
    }
}

/// The record with another remark, which every type has a place for.
pub fn correction_of(record: &RecordContent) -> RecordContent {
    let mut corrected = record.clone();
    corrected.fields.retain(|field| field.name != "remarks");
    corrected.fields.push(Field {
        name: "remarks".to_owned(),
        value: "confirmed after review".to_owned(),
    });
    corrected
}

/// As many for each list, red ones first; initiators and grounds take turns.
fn make_listings(world: &World) -> Vec<Planned> {
    let lists = world.list_types();
    let each = LISTED.div_ceil(lists.len());
    let mut listings = Vec::with_capacity(LISTED);
    for list in lists {
        let able = initiators(world, list);
        for turn in 0..each.min(LISTED - listings.len()) {
            let (initiator, ground_type) = able[turn % able.len()].clone();
            listings.push(Planned {
                list_type: list.id.clone(),
                red: list.polarity == ListPolarity::Red,
                initiator,
                ground_type,
            });
        }
    }
    listings
}

/// Who lists on a list for records that it reports itself.
pub fn initiators(world: &World, list: &ListType) -> Vec<(Dept, String)> {
    let mut able = Vec::new();
    for ground in &list.grounds {
        let reporters = world
            .depts()
            .filter(|dept| world.reported_by(*dept).any(|item| item.id == *ground));
        let listing = reporters.filter(|dept| list.initiators.contains(world.id(*dept)));
        able.extend(listing.map(|dept| (dept, ground.clone())));
    }
    able
}

fn special(world: &World, listings: &[Planned]) -> Special {
    let explicit = |planned: &Planned| {
        let list = world.pack.list_type(&planned.list_type);
        list.is_some_and(has_explicit_term)
    };
    let place = |wanted: &dyn Fn(&Planned) -> bool, turn: usize| {
        let mut places = (0..listings.len()).filter(|at| wanted(&listings[*at]));
        places.nth(turn).expect("the pack has lists of every kind")
    };
    Special {
        removed: place(&|planned| planned.red, 0),
        wrong: place(&|planned| !planned.red && !explicit(planned), 0),
        upheld: place(&|planned| !planned.red && !explicit(planned), 1),
        open: place(&|planned| !planned.red && !explicit(planned), 2),
        short: place(
            &|planned| explicit(planned) && planned.list_type != GOVERNMENT_LIST,
            0,
        ),
    }
}

/// Whoever reports more record types pushes more.
fn shares(world: &World, total: usize) -> Vec<usize> {
    let types: Vec<usize> = world
        .depts()
        .map(|dept| world.reported_by(dept).count())
        .collect();
    let sum: usize = types.iter().sum();
    let mut shares: Vec<usize> = types.iter().map(|types| total * types / sum).collect();
    let given: usize = shares.iter().sum();
    shares[0] += total - given;
    shares
}

/// Organisations in divisions that nobody has; those to be listed come first.
pub fn make_organisations(
    rng: &mut Xoshiro256PlusPlus,
    count: usize,
    listings: &[Planned],
) -> Vec<Organisation> {
    /// Every so many has no code, as foreign and historic ones have none.
    const WITHOUT_CODE_EVERY: usize = 40;
    /// Every so many that is not listed is a body of government.
    const GOVERNMENT_EVERY: usize = 20;
    let mut taken = HashSet::new();
    let mut one = |index: usize| {
        let government = match listings.get(index) {
            Some(planned) => planned.list_type == GOVERNMENT_LIST,
            None => index.is_multiple_of(GOVERNMENT_EVERY),
        };
        if government {
            let code = identifiers::uscc(identifiers::GOVERNMENT_BODY, rng, &mut taken);
            return Organisation {
                subject: format!("cn-uscc:{code}"),
                name: format!("Tally Example Town No. {index}"),
                government,
            };
        }
        let name = format!("Tally Example Company No. {index}");
        let subject = if index % WITHOUT_CODE_EVERY == 27 {
            format!("name-region:{}|TALLY OVERSEAS", name.to_uppercase())
        } else {
            let code = identifiers::uscc(identifiers::ENTERPRISE, rng, &mut taken);
            format!("cn-uscc:{code}")
        };
        Organisation {
            subject,
            name,
            government,
        }
    };
    (0..count).map(&mut one).collect()
}

/// True if records of that type are about bodies of government.
pub fn is_about_government(world: &World, record_type: &str) -> bool {
    let mut lists = world.pack.grounds_for(record_type);
    lists.any(|list| list.id == GOVERNMENT_LIST)
}
