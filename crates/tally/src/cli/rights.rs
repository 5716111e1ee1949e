//! `tally rights`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde_json::json;
use tally_auth::{CallerKind, Competence, Identity, Rules};
use tally_domain::department::DepartmentId;
use tally_domain::policy::{Department, Level, Pack};

use super::Global;
use super::commands::command_for;
use super::output::{Failure, line};
use crate::pack_client::active_pack;

/// One right, with one competence: a right of several calls can need several.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    right: String,
    calls: Vec<Call>,
    competence: Competence,
    /// On what; nothing where it is not limited by the pack.
    on: Option<Scope>,
}

/// A call of the contracts, and the command that makes it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    name: String,
    command: Option<&'static str>,
}

/// Items of the pack of one kind, by id.
#[derive(Debug, PartialEq, Eq)]
struct Scope {
    kind: &'static str,
    ids: BTreeSet<String>,
}

pub(super) async fn run(global: &Global) -> Result<ExitCode, Failure> {
    let identity = global.identity()?;
    let department = match &identity {
        Identity::Department(department) | Identity::Officer { department, .. } => Some(department),
        Identity::Operator(_) | Identity::Mesh(_) => None,
    };
    let client = global.client().await?;
    let pack = active_pack(&client).await?;
    let rules = Rules::from_descriptors().map_err(Failure::environment)?;
    for held in held(&rules, identity.kind(), department, &pack) {
        tell(global.json, &held);
    }
    Ok(ExitCode::SUCCESS)
}

/// What a caller of that kind may do, by right.
fn held(
    rules: &Rules,
    kind: CallerKind,
    department: Option<&DepartmentId>,
    pack: &Pack,
) -> Vec<Held> {
    let mut calls: BTreeMap<(&str, Competence, bool), Vec<Call>> = BTreeMap::new();
    // Health and reflection are everyone's and are no calls of the contracts.
    for path in rules.paths().filter(|path| path.starts_with("/tally.")) {
        let Some(rule) = rules.get(path).filter(|rule| rule.admits(kind)) else {
            continue;
        };
        let call = Call {
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            command: command_for(path),
        };
        let key = (rule.right.as_str(), rule.competence, rule.narrows);
        calls.entry(key).or_default().push(call);
    }
    let mut all = Vec::new();
    for ((right, competence, narrows), mut calls) in calls {
        calls.sort();
        let on = department.and_then(|department| scope(competence, department, pack));
        // Nothing to do it on; a narrowed answer is then empty, which is no right either.
        if on.as_ref().is_some_and(|scope| scope.ids.is_empty()) && !narrows {
            continue;
        }
        all.push(Held {
            right: right.to_owned(),
            calls,
            competence,
            on,
        });
    }
    all
}

/// On what a department has a competence; nothing where the pack does not limit it.
fn scope(competence: Competence, own: &DepartmentId, pack: &Pack) -> Option<Scope> {
    use Competence as C;
    let lists = |may: &dyn Fn(&str, &[DepartmentId]) -> bool| {
        let types = pack.list_types.values();
        let ids = types.filter(|it| may(&it.id, &it.initiators));
        items("list_type", ids.map(|it| it.id.clone()))
    };
    let records = |may: &dyn Fn(&str, &[DepartmentId]) -> bool| {
        let types = pack.record_types.values();
        let ids = types.filter(|it| may(&it.id, &it.reporters));
        items("record_type", ids.map(|it| it.id.clone()))
    };
    let me = pack.department(own);
    let of_province = me.is_some_and(|me| me.level == Level::Province);
    let mine = |_: &str, ids: &[DepartmentId]| ids.contains(own);
    Some(match competence {
        C::None | C::Own => return None,
        C::Reporter | C::RecordOwner => records(&mine),
        C::RecordReader => records(&|id, reporters| {
            let mut owners = reporters.iter();
            owners.any(|owner| pack.may_read_record(id, owner.as_str(), own))
        }),
        C::Initiator | C::EntryInitiator | C::DirectiveInitiator => lists(&mine),
        C::EntryReader => lists(&|id, initiators| {
            let mut owners = initiators.iter();
            owners.any(|owner| pack.may_read_listed(id, owner.as_str(), own))
        }),
        C::Objection => lists(&|id, initiators| of_province || mine(id, initiators)),
        C::Addressee => measures(own, pack, |_| true),
        C::MeasurePower => measures(own, pack, |id| me.is_some_and(|me| me.has_power(id))),
        C::DirectiveParty | C::FeedbackReader => lists(&|id, initiators| {
            let all = of_province && competence == C::FeedbackReader;
            all || mine(id, initiators) || pack.answers(id, own)
        }),
        // A department that is not in the pack takes no part.
        C::Member => departments(pack, |it| it.id == *own),
        C::Division => departments(pack, |it| pack.oversees(own, it.id.as_str())),
        C::Link | C::LinkOwner => {
            let lists_any = pack
                .list_types
                .values()
                .any(|it| it.initiators.contains(own));
            let may = of_province || lists_any;
            departments(pack, |it| it.id == *own && may)
        }
    })
}

fn items(kind: &'static str, ids: impl Iterator<Item = String>) -> Scope {
    Scope {
        kind,
        ids: ids.collect(),
    }
}

fn departments(pack: &Pack, which: impl Fn(&Department) -> bool) -> Scope {
    let found = pack.departments.values().filter(|it| which(it));
    items("department", found.map(|it| it.id.to_string()))
}

/// The measures that memoranda have a department carry out.
fn measures(own: &DepartmentId, pack: &Pack, also: impl Fn(&str) -> bool) -> Scope {
    let agreed = pack.memoranda.values().flat_map(|it| &it.measures);
    let addressed = agreed.filter(|it| it.departments.contains(own) && also(&it.measure));
    items("measure", addressed.map(|it| it.measure.clone()))
}

fn tell(json: bool, held: &Held) {
    if json {
        let on = held.on.as_ref();
        let on = on.map(|scope| json!({"kind": scope.kind, "ids": scope.ids}));
        let calls: Vec<&str> = held.calls.iter().map(|call| call.name.as_str()).collect();
        let commands: Vec<_> = held.calls.iter().filter_map(|call| call.command).collect();
        let told = json!({
            "right": held.right, "calls": calls, "commands": commands, "on": on,
            "needs": held.competence.in_words(),
        });
        return line(&told.to_string());
    }
    let call = |call: &Call| match call.command {
        Some(command) => format!("{}: tally {command}", call.name),
        None => call.name.clone(),
    };
    let calls = held.calls.iter().map(call).collect::<Vec<_>>().join("; ");
    let on = held.on.as_ref().map_or(String::new(), |scope| {
        let ids: Vec<&str> = scope.ids.iter().map(String::as_str).collect();
        let kind = scope.kind.replace('_', " ");
        match ids.as_slice() {
            [] => format!(" – of no {kind}"),
            ids => format!(" – {kind} {}", ids.join(", ")),
        }
    });
    line(&format!("{} ({calls}){on}", held.right));
}

#[cfg(test)]
mod tests {
    use tally_catalog::pack::BuiltIn;

    use super::*;

    fn told(kind: CallerKind, department: &str) -> BTreeMap<(String, Competence), Vec<String>> {
        let pack = BuiltIn::Province.load().expect("consistent");
        let rules = Rules::from_descriptors().expect("every call has a rule");
        let department = department.parse().expect("a department");
        let held = held(&rules, kind, Some(&department), &pack).into_iter();
        held.map(|held| {
            let ids = held.on.map(|scope| scope.ids.into_iter().collect());
            ((held.right, held.competence), ids.unwrap_or_default())
        })
        .collect()
    }

    #[test]
    fn an_initiator_lists_on_its_lists_and_a_responder_on_none() {
        let wages = told(CallerKind::Officer, "11990100MB0002081H");
        let nominate = ("lists.nominate".to_owned(), Competence::Initiator);
        assert_eq!(wages[&nominate], ["wage-arrears"]);
        let transport = told(CallerKind::Officer, "11990200MB0002217D");
        assert!(!transport.contains_key(&nominate));
        let execute = ("sanctions.execute".to_owned(), Competence::MeasurePower);
        assert_eq!(transport[&execute], ["exclude-from-tenders"]);
    }

    #[test]
    fn a_county_sees_what_is_shared_with_all_and_counts_itself() {
        let county = told(CallerKind::System, "11990102MB0003092R");
        let counts = ("collection.counts".to_owned(), Competence::Division);
        let of = &county[&counts];
        assert!(of.iter().all(|id| id.starts_with("11990102")), "{of:?}");
        let records = &county[&("collection.get".to_owned(), Competence::RecordReader)];
        assert!(records.contains(&"judgment".to_owned()));
        assert!(!records.contains(&"wage-arrears".to_owned()));
    }

    #[test]
    fn whoever_the_pack_does_not_have_takes_no_part() {
        let stranger = told(CallerKind::Officer, "11990000MB0000107X");
        let rights: Vec<_> = stranger.keys().map(|(right, _)| right.as_str()).collect();
        assert!(rights.contains(&"catalog.read"));
        for right in ["collection.push", "lists.link", "sanctions.check"] {
            assert!(!rights.contains(&right), "{right}");
        }
    }
}
