//! The configuration of a process that serves one role: defaults, then the
//! file, then the environment, then flags; each value knows where it is from.

mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::role::Role;
pub use settings::{Kind, SETTINGS, Setting};

/// Keys below this are given to librdkafka as they are.
pub const KAFKA_PROPERTIES: &str = "kafka.properties.";

/// What an environment variable of ours starts with.
const VARIABLES: &str = "TALLY_";

/// Where a value is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value and where it is from.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// The value.
    pub text: String,
    /// Where it is from.
    pub origin: Origin,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration cannot be used:\n  {}", .0.join("\n  "))]
pub struct ConfigFaults(pub Vec<String>);

/// What the layers are read from.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags: the flag as it was written, the key, the value.
    pub flags: Vec<(String, String, String)>,
}

/// A configuration that holds together.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Config {
    values: BTreeMap<&'static str, Value>,
    properties: BTreeMap<String, Value>,
}

// Some values are secret, so none is printed by accident.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the layers, the later over the earlier.
    ///
    /// # Errors
    ///
    /// [`ConfigFaults`]: every key that is unknown and every value that cannot
    /// be used, with where it stands.
    pub fn load(layers: &Layers) -> Result<Self, ConfigFaults> {
        let mut loading = Loading::default();
        for setting in SETTINGS {
            loading.put(
                setting.key.to_owned(),
                setting.default.to_owned(),
                Origin::Default,
            );
        }
        if let Some(path) = &layers.file {
            loading.file(path);
        }
        loading.environment(&layers.environment);
        for (flag, key, value) in &layers.flags {
            loading.put(key.clone(), value.clone(), Origin::Flag(flag.clone()));
        }
        if loading.faults.is_empty() {
            Ok(loading.config)
        } else {
            Err(ConfigFaults(loading.faults))
        }
    }

    /// Every value by its key, those that librdkafka gets at the end. Secret
    /// ones are left out of what is returned.
    pub fn shown(&self) -> Vec<(String, String, &Origin)> {
        let own = SETTINGS.iter().map(|setting| {
            let value = &self.values[setting.key];
            let shown = setting.shown(&value.text);
            (setting.key.to_owned(), shown, &value.origin)
        });
        let passed = self.properties.iter().map(|(key, value)| {
            let plain = ["sasl.mechanism", "sasl.mechanisms", "sasl.username"];
            let secret = ["password", "secret", "key.pem", "sasl."];
            let secret =
                !plain.contains(&key.as_str()) && secret.iter().any(|word| key.contains(word));
            let shown = if secret { HIDDEN } else { &value.text };
            (
                format!("{KAFKA_PROPERTIES}{key}"),
                shown.to_owned(),
                &value.origin,
            )
        });
        own.chain(passed).collect()
    }

    /// What librdkafka gets as it is.
    pub fn kafka_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        let properties = self.properties.iter();
        properties.map(|(key, value)| (key.as_str(), value.text.as_str()))
    }

    /// A value as it was given.
    ///
    /// # Panics
    ///
    /// If there is no such setting: a mistake in the code.
    pub fn text(&self, key: &str) -> &str {
        &self.values[key].text
    }

    /// A number.
    ///
    /// # Panics
    ///
    /// If the setting is no number: a mistake in the code.
    pub fn number(&self, key: &str) -> u64 {
        self.text(key)
            .parse()
            .expect("it was parsed when it was read")
    }

    /// A duration that is given in seconds.
    ///
    /// # Panics
    ///
    /// As [`number`](Self::number).
    pub fn seconds(&self, key: &str) -> Duration {
        Duration::from_secs(self.number(key))
    }

    /// The address under which a role is reached.
    pub fn endpoint(&self, role: Role) -> &str {
        self.text(&format!("mesh.{role}"))
    }

    /// Where a role listens: what is set, or else the port of its own address,
    /// on this machine only.
    ///
    /// # Errors
    ///
    /// [`ConfigFaults`]: neither names a port; set `listen`.
    pub fn listen(&self, role: Role) -> Result<SocketAddr, ConfigFaults> {
        let set = self.text("listen");
        if !set.is_empty() {
            return Ok(set.parse().expect("it was parsed when it was read"));
        }
        let port = self.endpoint(role).rsplit_once(':');
        let port = port.and_then(|(_, port)| port.trim_end_matches('/').parse().ok());
        port.map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)))
            .ok_or_else(|| {
                let message = format!("mesh.{role} names no port to listen on; set `listen`");
                ConfigFaults(vec![message])
            })
    }
}

/// What stands for a secret value.
const HIDDEN: &str = "(hidden)";

#[derive(Default)]
struct Loading {
    config: Config,
    faults: Vec<String>,
}

impl Loading {
    fn put(&mut self, key: String, text: String, origin: Origin) {
        if let Some(property) = key.strip_prefix(KAFKA_PROPERTIES) {
            self.config
                .properties
                .insert(property.to_owned(), Value { text, origin });
            return;
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let hint = nearest(&key).map(|known| format!("; did you mean `{known}`?"));
            let hint = hint.unwrap_or_else(|| "; `tally config` shows all".to_owned());
            self.faults
                .push(format!("{origin}: there is no key `{key}`{hint}"));
            return;
        };
        if let Err(reason) = setting.kind.verify(&text) {
            self.faults.push(format!(
                "{origin}: `{key}` is {}: {reason}",
                setting.shown(&text)
            ));
            return;
        }
        self.config
            .values
            .insert(setting.key, Value { text, origin });
    }

    fn file(&mut self, path: &Path) {
        let origin = Origin::File(path.to_owned());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.faults.push(format!("{origin}: {error}")),
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.table(String::new(), table, &origin),
            Err(error) => {
                // Without the line itself, which may hold a password.
                let before = error.span().and_then(|span| text.get(..span.start));
                let line = before.map_or(1, |before| before.lines().count().max(1));
                let message = error.message();
                self.faults
                    .push(format!("{origin}, about line {line}: {message}"));
            }
        }
    }

    fn table(&mut self, prefix: String, table: toml::Table, origin: &Origin) {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                toml::Value::Table(inner) => self.table(format!("{key}."), inner, origin),
                toml::Value::String(text) => self.put(key, text, origin.clone()),
                toml::Value::Integer(_) | toml::Value::Boolean(_) | toml::Value::Float(_) => {
                    self.put(key, value.to_string(), origin.clone());
                }
                toml::Value::Array(_) | toml::Value::Datetime(_) => self.faults.push(format!(
                    "{origin}: `{key}` is {}; write a text or a number",
                    value.type_str()
                )),
            }
        }
    }

    /// Reads our variables. One that belongs to a group of settings but to none
    /// of them is a mistake; of others that start like ours nothing is known.
    fn environment(&mut self, environment: &[(String, String)]) {
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix(VARIABLES) else {
                continue;
            };
            let origin = Origin::Environment(name.clone());
            let known = SETTINGS.iter().find(|setting| setting.variable() == *name);
            if let Some(setting) = known {
                self.put(setting.key.to_owned(), value.clone(), origin);
            } else if let Some(property) = rest.strip_prefix("KAFKA_PROPERTIES_") {
                // librdkafka's own names have dots where variables cannot.
                let property = property.to_ascii_lowercase().replace('_', ".");
                self.put(
                    format!("{KAFKA_PROPERTIES}{property}"),
                    value.clone(),
                    origin,
                );
            } else if groups().any(|group| rest.starts_with(&group)) {
                self.faults.push(format!(
                    "{origin}: there is no such setting; `tally config` shows all"
                ));
            }
        }
    }
}

/// The beginnings of variables that belong to a group of settings.
fn groups() -> impl Iterator<Item = String> {
    let groups = SETTINGS
        .iter()
        .filter_map(|setting| setting.key.split_once('.'));
    groups.map(|(group, _)| format!("{}_", group.to_ascii_uppercase()))
}

/// A known key that differs from a mistaken one by little.
fn nearest(key: &str) -> Option<&'static str> {
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let close = |known: &&&Setting| {
        strsim::osa_distance(known.key, key) <= 2 || last(known.key) == last(key)
    };
    SETTINGS
        .iter()
        .filter(|setting| !setting.key.is_empty())
        .find(|known| close(&known))
        .map(|known| known.key)
}

#[cfg(test)]
mod tests;
