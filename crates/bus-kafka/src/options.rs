//! How the cluster is reached, and what an operator may set of librdkafka.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use tally_eventlog::event::RECORD_BYTES_MAX;

/// Bytes of a message: one that did not fit would hold up its shard for good.
pub(crate) const MESSAGE_BYTES_MAX: usize = RECORD_BYTES_MAX;

/// How the cluster is reached.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Addresses to begin with, `host:port,host:port`.
    pub brokers: String,
    /// What the names of topics begin with: several meshes can share a cluster.
    pub prefix: String,
    /// Settings that pass through to librdkafka: `security.protocol`, `sasl.*`,
    /// `ssl.*`, and tuning. Those that correctness hangs on are refused.
    pub settings: BTreeMap<String, String>,
    /// How long a record may take to be delivered before the relay gives its
    /// producer up and begins again at its checkpoint.
    pub delivery_timeout: Duration,
    /// Bytes that a producer holds at most; what is more waits in the log.
    pub producer_bytes_max: usize,
}

impl KafkaOptions {
    /// A cluster as it comes, without encryption.
    pub fn at(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: "tally".to_owned(),
            settings: BTreeMap::new(),
            delivery_timeout: Duration::from_secs(20),
            producer_bytes_max: 64 << 20,
        }
    }
}

/// What a topic is created with.
#[derive(Debug, Clone)]
pub struct TopicOptions {
    /// Copies of each partition; three in production.
    pub replication: i32,
    /// Copies that must have a record before it counts as delivered; two in
    /// production.
    pub min_insync: i32,
    /// How long a record stays. Whoever was away longer reads the owner.
    pub retention: Duration,
}

impl Default for TopicOptions {
    fn default() -> Self {
        Self {
            replication: 3,
            min_insync: 2,
            retention: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

/// How a log is read.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// How often the owner is asked for its heads: what a reader may say of its
    /// freshness is at most that old.
    pub poll: Duration,
    /// Bound on an answer of the owner.
    pub owner_timeout: Duration,
    /// How long the topic gives nothing, although the owner has more, before it
    /// is read from the owner: what was relayed is lost, or the relay is down.
    pub stalled_after: Duration,
    /// Records of a shard that are held for a slow reader.
    pub records_max: usize,
    /// Their bytes. librdkafka holds as many again of each shard.
    pub bytes_max: usize,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            owner_timeout: Duration::from_secs(3),
            stalled_after: Duration::from_secs(30),
            records_max: 4_096,
            bytes_max: 4 << 20,
        }
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OptionsError {
    /// Order, durability or memory bounds hang on these.
    #[error(
        "Kafka settings {keys} are not for the operator to choose, because order, durability and \
         memory bounds hang on them; remove them{}",
        remedy(.keys)
    )]
    Kept {
        /// The settings.
        keys: String,
    },
    /// librdkafka does not know it, or not that value.
    #[error("Kafka setting `{key}` = `{value}` is refused: {reason}; correct or remove it")]
    Refused {
        /// The setting.
        key: String,
        /// Its value, unless it is secret.
        value: String,
        /// Why.
        reason: String,
    },
    /// Together they do not make a client.
    #[error("no Kafka client can be made of the settings: {reason}; correct them")]
    Client {
        /// Why.
        reason: String,
    },
}

fn remedy(keys: &str) -> &'static str {
    match keys.contains("`bootstrap.servers`") || keys.contains("`metadata.broker.list`") {
        true => " (the brokers' addresses have an option of their own)",
        false => "",
    }
}

/// Settings that the bus keeps for itself, with their aliases.
const KEPT: [&str; 36] = [
    "acks",
    "allow.auto.create.topics",
    "auto.commit.enable",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "consume.callback.max.messages",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "fetch.message.max.bytes",
    "fetch.queue.backoff.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "partitioner",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "queuing.strategy",
    "request.required.acks",
    "retries",
    "transactional.id",
];

impl KafkaOptions {
    /// What every client is made with.
    pub(crate) fn client(&self) -> Result<ClientConfig, OptionsError> {
        let kept: Vec<String> = self
            .settings
            .keys()
            .filter(|key| KEPT.contains(&key.as_str()))
            .map(|key| format!("`{key}`"))
            .collect();
        if !kept.is_empty() {
            return Err(OptionsError::Kept {
                keys: kept.join(", "),
            });
        }
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "tally")
            // A broker that comes back is found within a second.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "30000");
        for (key, value) in &self.settings {
            config.set(key, value);
        }
        config.create_native_config().map_err(refused)?;
        Ok(config)
    }

    /// A producer that neither loses, nor repeats of itself, nor reorders.
    pub(crate) fn producer(&self) -> Result<ClientConfig, OptionsError> {
        let mut config = self.client()?;
        let kbytes = (self.producer_bytes_max >> 10).max(1);
        let mut set = |key: &str, value: &str| {
            // Tuning of the operator's stays.
            if !self.settings.contains_key(key) {
                config.set(key, value);
            }
        };
        set("enable.idempotence", "true");
        // A record that fails stops all behind it, so that none passes it.
        set("enable.gapless.guarantee", "true");
        set("acks", "all");
        set(
            "message.timeout.ms",
            &self.delivery_timeout.as_millis().to_string(),
        );
        set("message.max.bytes", &MESSAGE_BYTES_MAX.to_string());
        set("queue.buffering.max.kbytes", &kbytes.to_string());
        set("queue.buffering.max.messages", "200000");
        if !self.settings.contains_key("queue.buffering.max.ms") {
            set("linger.ms", "2");
        }
        if !self.settings.contains_key("compression.type") {
            set("compression.codec", "zstd");
            // Half the work of the default level, for a few bytes more.
            set("compression.level", "1");
        }
        config.create_native_config().map_err(refused)?;
        Ok(config)
    }

    /// A consumer that only fetches what it is assigned.
    pub(crate) fn consumer(&self, source: &SourceOptions) -> Result<ClientConfig, OptionsError> {
        let mut config = self.client()?;
        let kbytes = (source.bytes_max >> 10).max(1);
        config
            // Without a name librdkafka assigns nothing. Nobody joins it, and
            // nothing is committed to it.
            .set("group.id", format!("{}-assigns-only", self.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("check.crcs", "true")
            .set("queued.max.messages.kbytes", kbytes.to_string())
            .set("queued.min.messages", source.records_max.max(1).to_string())
            .set(
                "fetch.message.max.bytes",
                source.bytes_max.min(1 << 20).to_string(),
            )
            // The queue is small on purpose; a second's wait would drain it.
            .set("fetch.queue.backoff.ms", "10");
        if !self.settings.contains_key("fetch.error.backoff.ms") {
            config.set("fetch.error.backoff.ms", "100");
        }
        config.create_native_config().map_err(refused)?;
        Ok(config)
    }
}

fn refused(error: KafkaError) -> OptionsError {
    match error {
        KafkaError::ClientConfig(_, reason, key, value) => {
            let secret = ["password", "secret", "pem", "key"];
            let secret = secret.iter().any(|word| key.contains(word));
            OptionsError::Refused {
                value: if secret {
                    "(not shown)".to_owned()
                } else {
                    value
                },
                key,
                reason,
            }
        }
        error => client(error),
    }
}

/// Why a client could not be made.
pub(crate) fn client(error: KafkaError) -> OptionsError {
    OptionsError::Client {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(settings: &[(&str, &str)]) -> KafkaOptions {
        let settings = settings.iter();
        KafkaOptions {
            settings: settings
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..KafkaOptions::at("127.0.0.1:1")
        }
    }

    #[test]
    fn settings_pass_through() {
        let options = with(&[
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "lists"),
            ("linger.ms", "20"),
        ]);
        let producer = options.producer().expect("they are allowed");
        assert_eq!(producer.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(producer.get("linger.ms"), Some("20"));
        assert_eq!(producer.get("enable.idempotence"), Some("true"));
        let consumer = options.consumer(&SourceOptions::default());
        let consumer = consumer.expect("they are allowed");
        assert_eq!(consumer.get("sasl.username"), Some("lists"));
    }

    #[test]
    fn what_correctness_hangs_on_is_kept_and_every_fault_named() {
        let options = with(&[
            ("acks", "1"),
            ("enable.idempotence", "false"),
            ("linger.ms", "1"),
        ]);
        let refused = options.producer().expect_err("they are kept").to_string();
        assert!(
            refused.contains("`acks`, `enable.idempotence` are not"),
            "{refused}"
        );
        let servers = with(&[("bootstrap.servers", "elsewhere:9092")]).client();
        let refused = servers.expect_err("it is kept").to_string();
        assert!(refused.contains("an option of their own"), "{refused}");
    }

    #[test]
    fn what_librdkafka_refuses_names_the_setting_and_no_secret() {
        let unknown = with(&[("linger.msec", "1")]).client();
        let refused = unknown.expect_err("there is none").to_string();
        assert!(refused.contains("`linger.msec` = `1`"), "{refused}");
        let secret = with(&[("ssl.key.passwordx", "hunter2")]).client();
        let refused = secret.expect_err("there is none").to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn what_is_kept_are_settings_of_librdkafka() {
        for key in KEPT {
            let mut config = ClientConfig::new();
            config.set(key, "\u{1}");
            let error = config
                .create_native_config()
                .err()
                .map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(!error.contains("No such configuration"), "{key}: {error}");
        }
    }
}
