//! Who takes part, and how they may list and ask, by the policy pack alone. Pure.

use jiff::ToSpan as _;
use jiff::civil::Date;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::ListPolarity;
use tally_domain::subject::SubjectType;
use tally_proto::tally::log::v1::LegalBasisRef as BasisProto;

use super::ScriptFault;
use crate::demo::content::{initiators, is_about_government};
use crate::demo::world::{Dept, World};
use crate::simulate::parameters::Parameters;

/// Terms that are tried, in months, until one suits the list.
const TERMS: [i32; 6] = [12, 6, 3, 24, 36, 1];

/// Who takes part, by the pack and the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// Those who push and check.
    pub pushing: Vec<Dept>,
    /// Those who answer directives.
    pub responding: Vec<Dept>,
    /// Those who get directives: the checker reads their mailboxes.
    pub addressed: Vec<Dept>,
}

/// Who takes part.
///
/// # Errors
///
/// [`ScriptFault::Departments`].
pub fn taking(world: &World, today: Date, parameters: &Parameters) -> Result<Taking, ScriptFault> {
    let lists = ways(world, today, &world.depts().collect::<Vec<_>>());
    let able = |dept: &Dept| lists.iter().any(|way| way.initiator == *dept);
    let reporting = world
        .depts()
        .filter(|dept| world.reported_by(*dept).next().is_some());
    // Those who list come first, so that a few departments are a province too.
    let (listing, others): (Vec<_>, Vec<_>) = reporting.partition(able);
    let pushing: Vec<Dept> = listing.into_iter().chain(others).collect();
    let mut addressed: Vec<Dept> = world
        .list_types()
        .iter()
        .flat_map(|list| world.directives_due(&list.id, today))
        .map(|due| due.dept)
        .collect();
    addressed.sort_unstable();
    addressed.dedup();
    let first = |of: &[Dept], wanted: Option<usize>, option| {
        let found = of.len();
        let wanted = wanted.unwrap_or(found);
        let first = of.get(..wanted).map(<[Dept]>::to_vec);
        first.ok_or(ScriptFault::Departments { option, found })
    };
    Ok(Taking {
        pushing: first(&pushing, parameters.departments, "--departments")?,
        responding: first(&addressed, parameters.responders, "--responders")?,
        addressed,
    })
}

/// How a listing may come about.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// On which list.
    pub list_type: String,
    /// True for a red list.
    pub red: bool,
    /// By whom.
    pub initiator: Dept,
    /// For a record of which type.
    pub ground_type: String,
    /// Legal basis of the list.
    pub basis: BasisProto,
    /// Last day of a term that suits the list; none: no end.
    pub until: Option<Date>,
}

/// Every way in which one of these departments lists a company today, lists in turn.
pub fn ways(world: &World, today: Date, depts: &[Dept]) -> Vec<Way> {
    let mut ways = Vec::new();
    for list in world.list_types() {
        let holds = list.in_force.contains(today);
        let companies = list.subject_types.contains(&SubjectType::Organisation);
        let until = match list.term {
            None => Some(None),
            Some(rule) => {
                let months = TERMS.into_iter();
                let ends = months.filter_map(|months| today.checked_add(months.months()).ok());
                let mut ends = ends.map(Some).chain([None]);
                ends.find(|until| rule.check(today, *until).is_ok())
            }
        };
        let Some(until) = until.filter(|_| holds && companies) else {
            continue;
        };
        let of_list = initiators(world, list).into_iter();
        let of_list = of_list
            .filter(|(dept, ground)| depts.contains(dept) && !is_about_government(world, ground));
        ways.extend(of_list.map(|(initiator, ground_type)| Way {
            list_type: list.id.clone(),
            red: list.polarity == ListPolarity::Red,
            initiator,
            ground_type,
            basis: to_proto(&list.legal_basis),
            until,
        }));
    }
    ways
}

/// A basis on which the department may ask today: that of its duty to, or any other.
pub fn basis_to_ask(world: &World, today: Date, dept: Dept) -> Option<BasisProto> {
    let pack = &world.pack;
    let duties = pack
        .decisions
        .values()
        .map(|decision| &decision.legal_basis);
    let mut bases = duties.chain(pack.legal_bases.keys());
    let holds = |basis: &&LegalBasisRef| {
        let kind = SubjectType::Organisation;
        pack.in_force(basis, today, world.id(dept), kind).is_ok()
    };
    bases.find(holds).map(to_proto)
}

fn to_proto(basis: &LegalBasisRef) -> BasisProto {
    BasisProto {
        id: basis.id.clone(),
        version: basis.version,
    }
}
