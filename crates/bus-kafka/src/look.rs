//! What topics are like, for whoever looks after the cluster. Changes nothing.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::metadata::MetadataTopic;

use crate::context::Told;
use crate::options::{KafkaOptions, client};
use crate::topics::{TopicError, metadata};

/// Bound on a request to the cluster: whoever looks does not wait long.
const REQUEST: Duration = Duration::from_secs(3);

/// What a topic is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    /// Its partitions.
    pub partitions: usize,
    /// Partitions that nobody leads: nothing is written to them.
    pub leaderless: usize,
    /// Replicas of the partition that has the fewest.
    pub replication: usize,
    /// Replicas in step, of the partition that has the fewest.
    pub in_sync: usize,
    /// Its settings; nothing where the cluster does not tell us.
    pub settings: Option<TopicSettings>,
}

/// Settings of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Replicas that must have a record before it counts as delivered.
    pub min_insync: i32,
    /// How long a record stays; nothing: for good.
    pub retention: Option<Duration>,
}

/// Looks at topics, in order; nothing where there is none.
///
/// # Errors
///
/// [`TopicError`]; it says what to do.
pub async fn look_at_topics(
    kafka: &KafkaOptions,
    topics: &[String],
) -> Result<Vec<Option<TopicState>>, TopicError> {
    let mut found = Vec::with_capacity(topics.len());
    for topic in topics {
        found.push(metadata(kafka, topic, REQUEST, state).await?);
    }
    let there = topics.iter().zip(&mut found);
    let there = there.filter_map(|(topic, state)| Some((topic, state.as_mut()?)));
    let (names, states): (Vec<_>, Vec<_>) = there.unzip();
    for (state, settings) in states.into_iter().zip(settings(kafka, &names).await?) {
        state.settings = settings;
    }
    Ok(found)
}

fn state(topic: &MetadataTopic) -> TopicState {
    let partitions = topic.partitions();
    let fewest = |count: fn(&rdkafka::metadata::MetadataPartition) -> usize| {
        partitions.iter().map(count).min().unwrap_or_default()
    };
    TopicState {
        partitions: partitions.len(),
        leaderless: partitions.iter().filter(|one| one.leader() < 0).count(),
        replication: fewest(|one| one.replicas().len()),
        in_sync: fewest(|one| one.isr().len()),
        settings: None,
    }
}

/// Settings of topics, in order. Who may use a topic may not always see them.
async fn settings(
    kafka: &KafkaOptions,
    topics: &[&String],
) -> Result<Vec<Option<TopicSettings>>, TopicError> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let admin: AdminClient<Told> = kafka.client()?.create_with_context(Told).map_err(client)?;
    let asked = topics.iter().map(|topic| ResourceSpecifier::Topic(topic));
    let asked: Vec<ResourceSpecifier<'_>> = asked.collect();
    let options = AdminOptions::new().request_timeout(Some(REQUEST));
    let told = match admin.describe_configs(&asked, &options).await {
        Ok(told) => told,
        Err(error) => {
            tracing::debug!(error = %error, "the cluster does not tell the settings of topics");
            return Ok(vec![None; topics.len()]);
        }
    };
    let mut told = told.into_iter();
    let next = |_: &&String| told.next().and_then(Result::ok).and_then(of_resource);
    Ok(topics.iter().map(next).collect())
}

fn of_resource(resource: ConfigResource) -> Option<TopicSettings> {
    let number = |name| resource.get(name)?.value.as_ref()?.parse::<i64>().ok();
    // Kafka writes -1 where there is no bound.
    let retention = u64::try_from(number("retention.ms")?).ok();
    Some(TopicSettings {
        min_insync: number("min.insync.replicas")?.try_into().ok()?,
        retention: retention.map(Duration::from_millis),
    })
}
