//! What is to be done, in order, with all that it says: parameters, policy pack,
//! day and seed in, operations out. Pure.

mod taking;

use std::time::Duration;

use jiff::civil::Date;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tally_proto::tally::collection::v1::RecordContent;
use tally_proto::tally::log::v1::LegalBasisRef as BasisProto;

use super::parameters::Parameters;
use super::plan::{Arrivals, Arriving, Plan};
use crate::demo::content::{Maker, Organisation, Planned, make_organisations};
use crate::demo::world::{Dept, World};

pub use self::taking::{Taking, taking};
use self::taking::{Way, basis_to_ask, ways};

/// Of a hundred listings so many meet an objection; every second is upheld, the others corrected out.
const OBJECTIONS: u32 = 10;
/// Of a hundred listings so many are taken off before their term.
const REMOVALS: u32 = 5;
/// How long after its listing an entry meets that, at least and at most.
const ENDS_AFTER: std::ops::Range<f64> = 2.0..15.0;
/// Of a hundred checks so many ask about somebody who is to be listed.
const CHECKS_OF_LISTED: u32 = 50;

/// An operation and when it is to begin, counted from the start of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Intended {
    /// When.
    pub at: Duration,
    /// What.
    pub operation: Operation,
}

/// What begins by schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// A department's system pushes a record.
    Record {
        /// The department.
        dept: Dept,
        /// The record.
        record: RecordContent,
    },
    /// Officers list a subject, step by step.
    Listing(Box<Listing>),
    /// A department's system checks.
    Check {
        /// The department.
        dept: Dept,
        /// Whom it asks about.
        subject: String,
        /// Before what decision.
        purpose: String,
        /// On which basis it asks.
        basis: BasisProto,
    },
}

/// A listing from its ground to, for some, its early end.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// Whom.
    pub subject: String,
    /// On which list.
    pub list_type: String,
    /// True for a red list.
    pub red: bool,
    /// By whom.
    pub initiator: Dept,
    /// Legal basis of the list.
    pub basis: BasisProto,
    /// The record that it rests on.
    pub ground: RecordContent,
    /// First day.
    pub from: Date,
    /// Last day; none: no end.
    pub until: Option<Date>,
    /// What comes of it within the run, and when.
    pub ending: Option<(Duration, Ending)>,
}

/// What some entries meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// An objection, and the listing stands.
    Upheld,
    /// An objection, and the listing was wrong.
    CorrectedOut,
    /// It is taken off its list.
    Removed,
}

/// Why there is no script.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScriptFault {
    /// Ask for fewer, or load a larger pack.
    #[error(
        "{option}: the policy pack that is loaded has {found} such departments; ask for that many, or load a larger pack with `tally policy load`"
    )]
    Departments {
        /// Which parameter.
        option: &'static str,
        /// How many there are.
        found: usize,
    },
    /// Load another pack, or list nothing.
    #[error(
        "in the policy pack that is loaded no department that takes part lists anyone for a record that it reports: set --listings 0, raise --departments, or load another pack"
    )]
    NothingToList,
    /// Take more organisations, or list fewer.
    #[error(
        "--subjects: {listings} listings are planned, and only {able} of the organisations are companies with a code; an organisation is listed once, so that --subjects must be higher or --listings lower"
    )]
    TooFewSubjects {
        /// Listings planned.
        listings: usize,
        /// Organisations that can be listed.
        able: usize,
    },
    /// Load another pack, or check nothing.
    #[error(
        "the policy pack that is loaded has no measure with a purpose, or no basis on which to ask: set --checks 0, or load another pack"
    )]
    NothingToAsk,
}

/// The organisations of a province, of which a script speaks.
pub fn organisations(parameters: &Parameters) -> Vec<Organisation> {
    // Others than a demo of the same seed has on the same mesh.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(of_kind(parameters.seed, 0));
    make_organisations(&mut rng, parameters.subjects as usize, &[])
}

/// Operations in the order of their times.
pub struct Script<'a> {
    today: Date,
    parameters: &'a Parameters,
    organisations: &'a [Organisation],
    pushing: &'a [Dept],
    plan: Plan,
    rng: Xoshiro256PlusPlus,
    checks: Xoshiro256PlusPlus,
    /// Of each department that pushes.
    makers: Vec<Maker<'a>>,
    /// Records made so far.
    records: u64,
    ways: Vec<Way>,
    /// Organisations that can be listed; each once.
    able: Vec<usize>,
    listed: usize,
    purposes: Vec<&'a str>,
    bases: Vec<Option<BasisProto>>,
}

impl<'a> Script<'a> {
    /// From its beginning.
    ///
    /// # Errors
    ///
    /// [`ScriptFault`]: the pack and the parameters do not go together.
    pub fn new(
        world: &'a World,
        today: Date,
        parameters: &'a Parameters,
        organisations: &'a [Organisation],
        pushing: &'a [Dept],
    ) -> Result<Self, ScriptFault> {
        let seed = parameters.seed;
        let times = |kind, rate| {
            let seed = of_kind(seed, kind);
            Arrivals::new(seed, parameters.spacing, rate, parameters.lasts)
        };
        let listings = times(2, parameters.listings);
        let planned = listings.clone().count();
        let coded = |at: &usize| {
            let organisation: &Organisation = &organisations[*at];
            !organisation.government && organisation.subject.starts_with("cn-uscc:")
        };
        let able: Vec<usize> = (0..organisations.len()).filter(coded).collect();
        let ways = ways(world, today, pushing);
        if planned > 0 && ways.is_empty() {
            return Err(ScriptFault::NothingToList);
        }
        if planned > able.len() {
            let able = able.len();
            return Err(ScriptFault::TooFewSubjects {
                listings: planned,
                able,
            });
        }
        let purposes = world.purposes();
        let bases: Vec<_> = pushing
            .iter()
            .map(|dept| basis_to_ask(world, today, *dept))
            .collect();
        let unable = purposes.is_empty() || bases.iter().any(Option::is_none);
        if parameters.checks > 0.0 && unable {
            return Err(ScriptFault::NothingToAsk);
        }
        let maker = |dept: &Dept| {
            let rng = of_kind(seed, 16 + dept.index() as u64);
            let rng = Xoshiro256PlusPlus::seed_from_u64(rng);
            Maker::new(world, *dept, today, organisations, rng)
        };
        Ok(Self {
            today,
            parameters,
            organisations,
            pushing,
            plan: Plan::new([
                (Arriving::Record, times(1, parameters.records)),
                (Arriving::Listing, listings),
                (Arriving::Check, times(3, parameters.checks)),
            ]),
            rng: Xoshiro256PlusPlus::seed_from_u64(of_kind(seed, 4)),
            checks: Xoshiro256PlusPlus::seed_from_u64(of_kind(seed, 5)),
            makers: pushing.iter().map(maker).collect(),
            records: 0,
            ways,
            able,
            listed: 0,
            purposes,
            bases,
        })
    }

    fn record(&mut self) -> Operation {
        let who = self.rng.random_range(0..self.pushing.len());
        let record = self.makers[who].any().record;
        Operation::Record {
            dept: self.pushing[who],
            record: self.numbered(who, record),
        }
    }

    fn listing(&mut self, at: Duration) -> Operation {
        let way = self.ways[self.listed % self.ways.len()].clone();
        let index = self.able[self.listed];
        self.listed += 1;
        let who = self.pushing.iter().position(|dept| *dept == way.initiator);
        let who = who.expect("ways are those of departments that push");
        let planned = Planned {
            list_type: way.list_type.clone(),
            red: way.red,
            initiator: way.initiator,
            ground_type: way.ground_type,
        };
        let ground = self.makers[who].ground(index, &planned).record;
        Operation::Listing(Box::new(Listing {
            subject: self.organisations[index].subject.clone(),
            list_type: way.list_type,
            red: way.red,
            initiator: way.initiator,
            basis: way.basis,
            ground: self.numbered(who, ground),
            from: self.today,
            until: way.until,
            ending: self.ending(at),
        }))
    }

    /// Drawn for every listing, so that one's end moves nothing else.
    fn ending(&mut self, at: Duration) -> Option<(Duration, Ending)> {
        let drawn = self.rng.random_range(0..100);
        let after = Duration::from_secs_f64(self.rng.random_range(ENDS_AFTER));
        let ending = match drawn {
            drawn if drawn < OBJECTIONS / 2 => Ending::Upheld,
            drawn if drawn < OBJECTIONS => Ending::CorrectedOut,
            drawn if drawn < OBJECTIONS + REMOVALS => Ending::Removed,
            _ => return None,
        };
        Some((at + after, ending)).filter(|(at, _)| *at < self.parameters.lasts)
    }

    fn check(&mut self) -> Operation {
        let who = self.checks.random_range(0..self.pushing.len());
        let listed = self.checks.random_range(0..100) < CHECKS_OF_LISTED;
        let index = match listed && !self.able.is_empty() {
            // Also about those who are not listed yet: when they are depends on the mesh.
            true => {
                self.able[self
                    .checks
                    .random_range(0..=self.listed.min(self.able.len() - 1))]
            }
            false => self.checks.random_range(0..self.organisations.len()),
        };
        let purpose = self.purposes.choose(&mut self.checks);
        Operation::Check {
            dept: self.pushing[who],
            subject: self.organisations[index].subject.clone(),
            purpose: purpose.map_or_else(String::new, |purpose| (*purpose).to_owned()),
            basis: self.bases[who].clone().unwrap_or_default(),
        }
    }

    /// The record under a number that no other seed gives.
    fn numbered(&mut self, who: usize, record: RecordContent) -> RecordContent {
        // The demo looks for these; here they would only grow.
        self.makers[who].secrets.clear();
        self.records += 1;
        let (seed, number) = (self.parameters.seed, self.records);
        let dept = self.pushing[who].index() + 1;
        RecordContent {
            document_number: format!("simulated {seed}/{dept} no. {number}"),
            ..record
        }
    }
}

impl Iterator for Script<'_> {
    type Item = Intended;

    fn next(&mut self) -> Option<Intended> {
        let (at, kind) = self.plan.next()?;
        let operation = match kind {
            Arriving::Record => self.record(),
            Arriving::Listing => self.listing(at),
            Arriving::Check => self.check(),
        };
        Some(Intended { at, operation })
    }
}

/// A sequence for each purpose out of one seed.
fn of_kind(seed: u64, kind: u64) -> u64 {
    // An odd multiplier spreads small seeds, so that no kind of one is a kind of the next.
    seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ kind
}

#[cfg(test)]
mod tests;
