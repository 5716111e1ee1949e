//! Which kinds of caller may make which call: the rules in the contracts.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, MethodDescriptor, Value};
use tally_proto::tally::options::v1 as pb;

use crate::caller::CallerKind;
use crate::competence::Competence;

const ACCESS: &str = "tally.options.v1.access";

/// Calls that are not ours, for whoever has a certificate: an orchestrator asks
/// for health, a tool for the contracts. Neither shows anything of a subject.
const OPEN: [(&str, &str); 5] = [
    ("/grpc.health.v1.Health/Check", "health"),
    ("/grpc.health.v1.Health/Watch", "health"),
    ("/grpc.health.v1.Health/List", "health"),
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "reflection",
    ),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "reflection",
    ),
];

/// The rule of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The right, for example `lists.nominate`.
    pub right: String,
    /// The kinds of caller that can hold it.
    pub callers: Vec<CallerKind>,
    /// What a department needs besides; the service decides it.
    pub competence: Competence,
    /// Whether the competence limits what the answer shows, and not who may call.
    pub narrows: bool,
}

/// The rules of every call, by path (`/package.Service/Method`).
#[derive(Clone, Debug)]
pub struct Rules(HashMap<String, Rule>);

/// Why the contracts give no table of rules. Correct the contracts; no server
/// starts on half a table.
#[derive(Debug, thiserror::Error)]
pub enum RulesFault {
    /// Not a descriptor set.
    #[error("the descriptor set cannot be read")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// The option itself is missing from the set.
    #[error("the descriptor set has no option {ACCESS}")]
    Option,
    /// Methods without a usable rule, all of them.
    #[error("methods without a usable rule: {}", .0.join("; "))]
    Methods(Vec<String>),
}

impl Rule {
    /// True if a caller of this kind can hold the right.
    pub fn admits(&self, kind: CallerKind) -> bool {
        self.callers.contains(&kind)
    }
}

impl Rules {
    /// The rules in the contracts that this binary was built with.
    ///
    /// # Errors
    ///
    /// [`RulesFault`] names every method whose rule is missing or empty.
    pub fn from_descriptors() -> Result<Rules, RulesFault> {
        Rules::from_encoded(tally_proto::DESCRIPTORS)
    }

    /// The rules in an encoded `FileDescriptorSet`.
    ///
    /// # Errors
    ///
    /// [`RulesFault`] names every method whose rule is missing or empty.
    pub fn from_encoded(descriptors: &[u8]) -> Result<Rules, RulesFault> {
        let pool = DescriptorPool::decode(descriptors)?;
        let access = pool
            .get_extension_by_name(ACCESS)
            .ok_or(RulesFault::Option)?;
        let mut rules: HashMap<String, Rule> = OPEN.into_iter().map(open).collect();
        let mut faults = Vec::new();
        for service in pool.services() {
            for method in service.methods() {
                match rule(&method, &access) {
                    Ok(rule) => {
                        let path = format!("/{}/{}", service.full_name(), method.name());
                        rules.insert(path, rule);
                    }
                    Err(why) => faults.push(format!("{}: {why}", method.full_name())),
                }
            }
        }
        if faults.is_empty() {
            Ok(Rules(rules))
        } else {
            Err(RulesFault::Methods(faults))
        }
    }

    /// The rule of a path; absent means denied.
    pub fn get(&self, path: &str) -> Option<&Rule> {
        self.0.get(path)
    }

    /// Every path with a rule, for whoever names spans or counters by method.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn open((path, right): (&str, &str)) -> (String, Rule) {
    let rule = Rule {
        right: right.to_owned(),
        callers: CallerKind::ALL.to_vec(),
        competence: Competence::None,
        narrows: false,
    };
    (path.to_owned(), rule)
}

fn rule(method: &MethodDescriptor, access: &ExtensionDescriptor) -> Result<Rule, &'static str> {
    let options = method.options();
    if !options.has_extension(access) {
        return Err("no rule");
    }
    match options.get_extension(access).as_ref() {
        Value::Message(message) => read(message),
        _ => Err("the rule is not an AccessRule"),
    }
}

fn read(message: &DynamicMessage) -> Result<Rule, &'static str> {
    let rule: pb::AccessRule = message
        .transcode_to()
        .map_err(|_| "the rule is not an AccessRule")?;
    if rule.right.is_empty() {
        return Err("the rule names no right");
    }
    let callers = rule
        .callers
        .iter()
        .map(|number| {
            pb::CallerKind::try_from(*number)
                .ok()
                .and_then(CallerKind::of_contract)
        })
        .collect::<Option<Vec<CallerKind>>>()
        .ok_or("the rule has an unspecified or unknown kind of caller")?;
    if callers.is_empty() {
        return Err("the rule admits nobody");
    }
    let competence = Competence::of_contract(rule.competence())
        .ok_or("the rule states no competence; `competence: COMPETENCE_NONE` if none is needed")?;
    Ok(Rule {
        right: rule.right,
        callers,
        competence,
        narrows: rule.narrows,
    })
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn read_rule(right: &str, callers: &[i32]) -> Result<Rule, &'static str> {
        read_whole(right, callers, pb::Competence::None as i32)
    }

    fn read_whole(right: &str, callers: &[i32], competence: i32) -> Result<Rule, &'static str> {
        let pool = DescriptorPool::decode(tally_proto::DESCRIPTORS).expect("compiled");
        let kind = pool
            .get_message_by_name("tally.options.v1.AccessRule")
            .expect("in the contracts");
        let rule = pb::AccessRule {
            right: right.to_owned(),
            callers: callers.to_vec(),
            competence,
            narrows: false,
        };
        let mut message = DynamicMessage::new(kind);
        message.transcode_from(&rule).expect("the same message");
        read(&message)
    }

    #[test]
    fn every_call_of_the_contracts_has_a_rule() {
        let rules = Rules::from_descriptors().expect("every method has a rule");
        let pool = DescriptorPool::decode(tally_proto::DESCRIPTORS).expect("compiled");
        let mut calls = 0;
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let rule = rules.get(&path).expect("a rule");
                let (package, _) = rule.right.split_once('.').expect("`service.verb`");
                assert!(
                    service.full_name().contains(package),
                    "{path}: {}",
                    rule.right
                );
                calls += 1;
            }
        }
        assert!(calls > 20, "{calls} calls enumerated");
        assert_eq!(rules.paths().count(), calls + OPEN.len());
    }

    #[test]
    fn only_officers_decide() {
        let rules = Rules::from_descriptors().expect("every method has a rule");
        let decisions: Vec<&Rule> = rules
            .paths()
            .filter_map(|path| rules.get(path))
            .filter(|rule| {
                let reads = ["lists.get", "lists.publications"].contains(&rule.right.as_str());
                rule.right == "sanctions.execute" || (rule.right.starts_with("lists.") && !reads)
            })
            .collect();
        assert!(decisions.len() > 10, "{decisions:?}");
        for rule in decisions {
            assert_eq!(rule.callers, [CallerKind::Officer], "{}", rule.right);
        }
    }

    #[test]
    fn contracts_without_rules_are_refused_with_every_method() {
        // prost's own types drop custom options, which is what is wanted here.
        let without = prost_types::FileDescriptorSet::decode(tally_proto::DESCRIPTORS)
            .expect("compiled")
            .encode_to_vec();
        let Err(RulesFault::Methods(faults)) = Rules::from_encoded(&without) else {
            panic!("a table without rules was accepted");
        };
        let named = |method: &str| faults.iter().any(|fault| fault.starts_with(method));
        assert!(named("tally.node.v1.NodeService.AdvanceClock"));
        assert!(named("tally.collection.v1.CollectionService"));
    }

    #[test]
    fn empty_and_unspecified_rules_are_refused() {
        assert!(read_rule("lists.nominate", &[2]).is_ok());
        assert!(read_rule("", &[2]).is_err());
        assert!(read_rule("lists.nominate", &[]).is_err());
        assert!(read_rule("lists.nominate", &[2, 0]).is_err());
        assert!(read_rule("lists.nominate", &[99]).is_err());
        assert!(read_whole("lists.nominate", &[2], 0).is_err());
        assert!(read_whole("lists.nominate", &[2], 99).is_err());
    }

    #[test]
    fn every_competence_is_asked_for_somewhere() {
        let rules = Rules::from_descriptors().expect("every method has a rule");
        for competence in Competence::ALL {
            let asked = rules
                .paths()
                .filter_map(|path| rules.get(path))
                .any(|rule| rule.competence == competence);
            assert!(asked, "{competence:?}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_denied() {
        let rules = Rules::from_descriptors().expect("every method has a rule");
        assert_eq!(rules.get("/tally.node.v1.NodeService/Shutdown"), None);
        assert_eq!(rules.get("/grpc.health.v1.Health/"), None);
        let health = rules.get("/grpc.health.v1.Health/Check").expect("open");
        assert!(CallerKind::ALL.iter().all(|kind| health.admits(*kind)));
    }
}
