//! Kafka and its topics.

use std::time::Duration;

use tally_bus_kafka::{
    TopicError, TopicOptions, TopicState, log_topic, look_at_topics, published_topic,
};
use tokio::time::timeout;

use super::processes::Process;
use super::{Finding, PATIENCE, Plan};
use crate::data_dir::causes;
use crate::role::Role;

const KAFKA: &str = "kafka";

/// What the cluster says of the topics that there should be, in their order;
/// nothing where it does not answer in time.
pub(super) type Told = Option<Result<Vec<Option<TopicState>>, TopicError>>;

/// The topics that there should be, each with the role that creates it.
fn expected(plan: &Plan) -> Vec<(Role, String)> {
    let kafka = &plan.peers.kafka;
    let of_logs = Role::ALL.into_iter().flat_map(|role| {
        let relays = role.relays();
        relays.map(move |(log, _)| (role, log_topic(kafka, log)))
    });
    let published = plan.peers.publish.topics().into_iter();
    let published = published.map(|(role, name)| (role, published_topic(kafka, name)));
    of_logs.chain(published).collect()
}

/// Asks the cluster.
pub(super) async fn ask(plan: &Plan) -> Told {
    if plan.dir.is_embedded() {
        return Some(Ok(Vec::new()));
    }
    let names: Vec<String> = expected(plan).into_iter().map(|(_, name)| name).collect();
    let asked = look_at_topics(&plan.peers.kafka, &names);
    timeout(PATIENCE, asked).await.ok()
}

/// One finding for the cluster, and one for each topic.
pub(super) fn judge(plan: &Plan, told: Told, processes: &[Process]) -> Vec<Finding> {
    let brokers = &plan.peers.kafka.brokers;
    let states = match told {
        Some(Ok(states)) => states,
        Some(Err(error)) => {
            let otherwise = "correct `kafka.brokers` and `kafka.properties.*`";
            return vec![Finding::of_error(KAFKA, &causes(&error), otherwise)];
        }
        None => {
            let detail = format!(
                "the cluster at {brokers} does not answer within {} seconds",
                PATIENCE.as_secs()
            );
            let remedy = "start it, or correct `kafka.brokers` and the security settings";
            return vec![Finding::fault(KAFKA, detail, remedy)];
        }
    };
    let expected = expected(plan);
    let mut findings = vec![Finding::ok(
        KAFKA,
        format!("{brokers} answers; {} topics are expected", expected.len()),
    )];
    for ((role, name), state) in expected.iter().zip(states) {
        let of_role = processes.iter().filter(|one| one.roles.contains(role));
        let shards = of_role
            .flat_map(|one| &one.heads)
            .find_map(|(_, heads)| Some(heads.as_ref().ok()?.len()));
        findings.push(of(name, *role, state, shards, &plan.peers.topics));
    }
    findings
}

fn of(
    name: &str,
    role: Role,
    state: Option<TopicState>,
    shards: Option<usize>,
    options: &TopicOptions,
) -> Finding {
    let what = format!("topic {name}");
    let Some(state) = state else {
        let remedy = format!(
            "restart {role}, which owns its log and creates it; the log has all that was in it"
        );
        return Finding::fault(what, "there is none", remedy);
    };
    let found = state.partitions;
    if let Some(shards) = shards.filter(|shards| *shards != found) {
        let remedy = format!(
            "stop its readers, delete the topic and restart {role}, which creates it anew: the log has all that was in it"
        );
        let detail = format!("{found} partitions, and its log has {shards} shards");
        return Finding::fault(what, detail, remedy);
    }
    let least = state.settings.as_ref().map(|settings| settings.min_insync);
    let least_replicas = usize::try_from(least.unwrap_or(1)).unwrap_or(1);
    if state.leaderless > 0 || state.in_sync < least_replicas {
        let detail = format!(
            "{} of {found} partitions have no leader, and one has {} replicas in step, of which {least_replicas} must have a record",
            state.leaderless, state.in_sync
        );
        let remedy =
            "start the brokers that are away; until then what is to be delivered waits in the log";
        return Finding::fault(what, detail, remedy);
    }
    let described = describe(&state);
    let mut fewer = Vec::new();
    if i32::try_from(state.replication).is_ok_and(|has| has < options.replication) {
        fewer.push(format!(
            "{} replicas instead of {}",
            state.replication, options.replication
        ));
    }
    if least.is_some_and(|least| least < options.min_insync) {
        fewer.push(format!(
            "{least_replicas} that must have a record instead of {}",
            options.min_insync
        ));
    }
    if state.in_sync < state.replication {
        fewer.push(format!(
            "{} replicas in step of {}",
            state.in_sync, state.replication
        ));
    }
    let retention = state.settings.and_then(|settings| settings.retention);
    if retention.is_some_and(|kept| kept < options.retention) {
        fewer.push(format!(
            "records are kept for less than {}",
            hours(options.retention)
        ));
    }
    if fewer.is_empty() {
        return Finding::ok(what, described);
    }
    Finding::warning(
        what,
        format!("{}; {described}", fewer.join(", ")),
        "give the topic what is configured with Kafka's own tools (kafka-reassign-partitions, kafka-configs), \
         start brokers that are away, or correct `kafka.replication` and `kafka.min_insync`",
    )
}

fn describe(state: &TopicState) -> String {
    let settings = state.settings.as_ref().map_or_else(
        || "its settings are not shown to us".to_owned(),
        |settings| {
            let kept = settings.retention;
            let kept = kept.map_or_else(
                || "for good".to_owned(),
                |kept| format!("for {}", hours(kept)),
            );
            format!("{} must have a record, kept {kept}", settings.min_insync)
        },
    );
    format!(
        "{} partitions, {} replicas, {settings}",
        state.partitions, state.replication
    )
}

fn hours(duration: Duration) -> String {
    format!("{} hours", duration.as_secs() / 3_600)
}

#[cfg(test)]
mod tests {
    use tally_bus_kafka::TopicSettings;

    use super::super::Level;
    use super::*;

    fn judged(change: fn(&mut TopicState)) -> Finding {
        let mut state = TopicState {
            partitions: 16,
            leaderless: 0,
            replication: 3,
            in_sync: 3,
            settings: Some(TopicSettings {
                min_insync: 2,
                retention: Some(TopicOptions::default().retention),
            }),
        };
        change(&mut state);
        let options = TopicOptions::default();
        of("t.lists.log", Role::Lists, Some(state), Some(16), &options)
    }

    #[test]
    fn a_topic_that_cannot_carry_the_log_is_a_fault() {
        assert_eq!(judged(|_| {}).level, Level::Ok);
        let none = of("t", Role::Lists, None, Some(16), &TopicOptions::default());
        assert_eq!(none.level, Level::Fault);
        assert!(none.remedy.contains("restart lists"), "{none:?}");
        let other = judged(|state| state.partitions = 12);
        assert_eq!(other.level, Level::Fault);
        assert!(other.detail.contains("12 partitions"), "{other:?}");
        assert_eq!(judged(|state| state.leaderless = 1).level, Level::Fault);
        assert_eq!(judged(|state| state.in_sync = 1).level, Level::Fault);
    }

    #[test]
    fn less_than_is_configured_is_a_warning() {
        let changes: [fn(&mut TopicState); 4] = [
            |state| state.replication = 2,
            |state| state.settings.as_mut().expect("there").min_insync = 1,
            |state| state.in_sync = 2,
            |state| {
                let hour = Some(Duration::from_secs(3_600));
                state.settings.as_mut().expect("there").retention = hour;
            },
        ];
        for change in changes {
            let finding = judged(change);
            assert_eq!(finding.level, Level::Warning, "{finding:?}");
        }
        assert_eq!(judged(|state| state.settings = None).level, Level::Ok);
        let for_good = judged(|state| state.settings.as_mut().expect("there").retention = None);
        assert_eq!(for_good.level, Level::Ok);
    }
}
