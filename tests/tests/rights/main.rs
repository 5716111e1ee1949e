//! The matrix of rights: every call of the contracts, by every kind of caller in
//! every relation to what the call is about, over mutual TLS. What a cell must
//! come to is computed from the contract and the policy pack.

mod call;
mod cast;
mod oracle;
mod requests;
mod table;

use prost_reflect::{DynamicMessage, MethodDescriptor};
use tally_auth::{Competence, Rule, Rules};
use tally_rpc::FaultReport;
use tally_tests::contracts::pool;
use tonic::{Code, Status};

use call::{Outcome, call, path};
use cast::{Caller, Facts, Stage};
use oracle::{Verdict, verdict};

/// One cell: a call by a caller, and what it must come to.
struct Case<'a> {
    method: &'a MethodDescriptor,
    rule: &'a Rule,
    caller: &'a Caller,
    verdict: Verdict,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_allowed_and_denied_as_contract_and_pack_say() {
    let stage = Stage::set().await;
    let rules = Rules::from_descriptors().expect("every call has a rule");
    let methods: Vec<MethodDescriptor> = pool()
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    let cases: Vec<Case<'_>> = methods
        .iter()
        .flat_map(|method| {
            let rule = rules.get(&path(method)).expect("every call has a rule");
            let service = method.parent_service().full_name().to_owned();
            stage
                .callers
                .iter()
                .map(move |caller| (method, rule, caller, service.clone()))
        })
        .map(|(method, rule, caller, service)| Case {
            verdict: verdict(&service, rule, caller, &stage.pack),
            method,
            rule,
            caller,
        })
        .collect();
    assert_eq!(cases.len(), methods.len() * stage.callers.len());

    // What is denied changes nothing, so that it comes first and finds the fixtures whole.
    let (allowed, denied): (Vec<_>, Vec<_>) = cases
        .iter()
        .partition(|case| case.verdict == Verdict::Allowed);
    let mut faults = Vec::new();
    let mut before = stage.mesh.sizes().await;
    for case in &denied {
        let facts = &stage.facts;
        faults.extend(case.judge(facts).await.err());
        let after = stage.mesh.sizes().await;
        if after != before {
            faults.push(format!("{}: something was recorded", case.name()));
            before = after;
        }
    }
    let mut in_order = allowed.clone();
    in_order.sort_by_key(|case| case.turn());
    for case in &in_order {
        faults.extend(case.judge(&stage.facts).await.err());
    }
    let count =
        |verdict: fn(&Verdict) -> bool| cases.iter().filter(|case| verdict(&case.verdict)).count();
    println!(
        "{} cells: {} calls by {} callers; {} allowed, {} narrowed, {} denied, {} unseen, {} without a certificate",
        cases.len(),
        methods.len(),
        stage.callers.len(),
        allowed.len(),
        count(|verdict| *verdict == Verdict::Hidden),
        count(|verdict| matches!(verdict, Verdict::Denied(_))),
        count(|verdict| matches!(verdict, Verdict::Unseen(_))),
        count(|verdict| *verdict == Verdict::Unconnected),
    );
    assert!(
        faults.is_empty(),
        "{} cells are otherwise:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

impl Case<'_> {
    fn name(&self) -> String {
        let kind = self
            .caller
            .kind
            .map_or("no certificate", |kind| kind.as_str());
        let department = self.caller.department.unwrap_or_default();
        format!("{} by {kind} {department}", self.method.full_name())
    }

    /// Reads before what changes the fixtures; and what others than the initiator
    /// may do to an entry before the initiator takes it off.
    fn turn(&self) -> u8 {
        let name = self.method.name();
        if name.starts_with("Get")
            || self.rule.narrows
            || name.starts_with("List") && name != "List"
        {
            return 0;
        }
        match self.rule.competence {
            Competence::Objection => 1,
            Competence::RecordOwner | Competence::EntryInitiator => 3,
            _ => 2,
        }
    }

    /// Makes the call and holds it against the verdict.
    async fn judge(&self, facts: &Facts) -> Result<(), String> {
        let cell = requests::cell(self.method.full_name(), facts);
        let outcome = call(&self.caller.channels, self.method, &cell.messages).await;
        let otherwise =
            |found: &str| Err(format!("{}: {:?}, but {found}", self.name(), self.verdict));
        match (&self.verdict, outcome) {
            (Verdict::Unconnected, Outcome::Refused(status)) => {
                let report = FaultReport::from(&status);
                match report.reason.as_str() {
                    tally_rpc::fault::reason::UNEXPLAINED => Ok(()),
                    reason => otherwise(reason),
                }
            }
            (Verdict::Allowed, Outcome::Refused(status)) => match lacking(&status) {
                None => Ok(()),
                Some(_) => otherwise(&shown(&status)),
            },
            (Verdict::Allowed, Outcome::Answered(messages)) => {
                if let Some(fault) = refusal(&messages) {
                    return otherwise(&fault);
                }
                match cell.marker {
                    Some(marker) if !holds(&messages, &marker) => otherwise("the answer lacks it"),
                    _ => Ok(()),
                }
            }
            (Verdict::Hidden, Outcome::Answered(messages)) => {
                let marker = cell.marker.expect("a narrowed call has a marker");
                match holds(&messages, &marker) {
                    false => Ok(()),
                    true => otherwise("the answer shows it"),
                }
            }
            (Verdict::Denied(right), Outcome::Refused(status)) => {
                let denied = status.code() == Code::PermissionDenied;
                match lacking(&status) {
                    Some(lacking) if denied && lacking == *right => Ok(()),
                    _ => otherwise(&shown(&status)),
                }
            }
            // On a stream a record is refused and the stream goes on.
            (Verdict::Denied(right), Outcome::Answered(messages)) => match refusal(&messages) {
                Some(fault) if fault.contains(right.as_str()) => Ok(()),
                Some(fault) => otherwise(&fault),
                None => otherwise("it was answered"),
            },
            (Verdict::Unseen(right), Outcome::Refused(status)) => {
                if status.code() != Code::NotFound || lacking(&status).as_deref() != Some(right) {
                    return otherwise(&shown(&status));
                }
                self.as_of_nothing(&status).await
            }
            (_, Outcome::Answered(_)) => otherwise("it was answered"),
            (_, Outcome::Refused(status)) => otherwise(&shown(&status)),
        }
    }

    /// What is not for the caller's eyes is answered as what does not exist.
    async fn as_of_nothing(&self, status: &Status) -> Result<(), String> {
        let cell = requests::cell(self.method.full_name(), &Facts::of_nothing());
        match call(&self.caller.channels, self.method, &cell.messages).await {
            Outcome::Refused(other) if FaultReport::from(&other) == FaultReport::from(status) => {
                Ok(())
            }
            _ => Err(format!("{}: existence can be told", self.name())),
        }
    }
}

/// The right that a refusal says is missing.
fn lacking(status: &Status) -> Option<String> {
    let right = FaultReport::from(status).metadata.remove("right");
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => Some(right.unwrap_or_default()),
        Code::NotFound => right,
        _ => None,
    }
}

fn shown(status: &Status) -> String {
    format!("{:?}: {}", status.code(), FaultReport::from(status))
}

/// The refusal for want of a right among answers that carry refusals.
fn refusal(messages: &[DynamicMessage]) -> Option<String> {
    let json = json(messages);
    json.contains("RIGHT_MISSING").then_some(json)
}

fn holds(messages: &[DynamicMessage], marker: &str) -> bool {
    json(messages).contains(marker)
}

fn json(messages: &[DynamicMessage]) -> String {
    serde_json::to_string(messages).expect("messages have a form in JSON")
}
