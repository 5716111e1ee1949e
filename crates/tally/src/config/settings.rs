//! Every setting: its key, what it may be, its default, what it means.

use std::net::SocketAddr;

use tally_domain::department::DepartmentId;

use super::HIDDEN;

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// An address with a port, or nothing.
    Listen,
    /// `https://host:port`.
    Endpoint,
    /// A whole number in this range.
    Number(u64, u64),
    /// `true` or `false`.
    Switch,
    /// The code of a department (GB 32100), or nothing.
    Department,
    /// `sqlite`, or the URL of a Postgres database.
    Store,
}

impl Kind {
    /// What is wrong with a value, and what to write instead.
    pub(super) fn verify(self, text: &str) -> Result<(), String> {
        match self {
            Self::Text => Ok(()),
            Self::Listen if text.is_empty() || text.parse::<SocketAddr>().is_ok() => Ok(()),
            Self::Listen => {
                Err("write an address with a port, for example 127.0.0.1:7443".to_owned())
            }
            Self::Endpoint => match text.strip_prefix("https://") {
                Some(rest) if !rest.is_empty() && !rest.contains(char::is_whitespace) => Ok(()),
                _ => Err("write https://HOST:PORT".to_owned()),
            },
            Self::Number(least, most) => match text.parse::<u64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                _ => Err(format!("write a whole number from {least} to {most}")),
            },
            Self::Switch if ["true", "false"].contains(&text) => Ok(()),
            Self::Switch => Err("write true or false".to_owned()),
            Self::Department if text.is_empty() => Ok(()),
            Self::Department => match DepartmentId::parse(text) {
                Ok(_) => Ok(()),
                Err(fault) => Err(fault.to_string()),
            },
            Self::Store if text == "sqlite" => Ok(()),
            Self::Store if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Ok(())
            }
            Self::Store => {
                Err("write sqlite, or postgres://USER:PASSWORD@HOST/DATABASE".to_owned())
            }
        }
    }
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Its key, with dots between the tables of the file.
    pub key: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Its value if nobody says otherwise.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl Setting {
    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("TALLY_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// A value as it may be shown: without what is secret in it.
    pub(super) fn shown(&self, text: &str) -> String {
        if self.kind != Kind::Store || text == "sqlite" {
            return text.to_owned();
        }
        // A password may stand before the @, among the parameters, or anywhere in what is no URL.
        let Some((scheme, rest)) = text.split_once("://") else {
            return HIDDEN.to_owned();
        };
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        let place = place.split('?').next().unwrap_or_default();
        format!("{scheme}://{HIDDEN}@{place}")
    }
}

const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting {
        key,
        kind,
        default,
        meaning,
    }
}

/// All of them, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    setting(
        "listen",
        Kind::Listen,
        "",
        "Where the process listens; without it, on 127.0.0.1 at the port of its role's address.",
    ),
    setting(
        "shards",
        Kind::Number(1, 1024),
        "16",
        "Shards of a new store; an existing one keeps its own. The same for every role.",
    ),
    setting(
        "store.url",
        Kind::Store,
        "sqlite",
        "Where each role's log and views are: sqlite, a file of the data directory; or a Postgres database, in a schema per role.",
    ),
    setting(
        "store.schema",
        Kind::Text,
        "tally",
        "What the names of the schemas begin with: <schema>_<role>.",
    ),
    setting(
        "store.lease",
        Kind::Number(1, 600),
        "5",
        "Seconds after which another replica of a role takes over the shards of one that died; only on Postgres, the same for every replica.",
    ),
    setting(
        "keyring.url",
        Kind::Store,
        "sqlite",
        "Where the key ring is: sqlite, a file that all roles on one machine share; or a Postgres database, best one of its own.",
    ),
    setting(
        "keyring.schema",
        Kind::Text,
        "tally_keyring",
        "Name of the key ring's schema.",
    ),
    setting(
        "mesh.catalog",
        Kind::Endpoint,
        "https://127.0.0.1:7443",
        "Address of the role catalog, as others reach it.",
    ),
    setting(
        "mesh.collection",
        Kind::Endpoint,
        "https://127.0.0.1:7444",
        "Address of the role collection.",
    ),
    setting(
        "mesh.lists",
        Kind::Endpoint,
        "https://127.0.0.1:7445",
        "Address of the role lists.",
    ),
    setting(
        "mesh.sanctions",
        Kind::Endpoint,
        "https://127.0.0.1:7446",
        "Address of the role sanctions.",
    ),
    setting(
        "mesh.feedback",
        Kind::Endpoint,
        "https://127.0.0.1:7447",
        "Address of the role feedback.",
    ),
    setting(
        "mesh.audit",
        Kind::Endpoint,
        "https://127.0.0.1:7448",
        "Address of the role audit.",
    ),
    setting(
        "kafka.brokers",
        Kind::Text,
        "127.0.0.1:9092",
        "Brokers to begin with, HOST:PORT, separated by commas.",
    ),
    setting(
        "kafka.prefix",
        Kind::Text,
        "tally",
        "What the names of this mesh's topics begin with: <prefix>.<log>.log.",
    ),
    setting(
        "kafka.replication",
        Kind::Number(1, 32),
        "3",
        "Replicas of a topic that is created.",
    ),
    setting(
        "kafka.min_insync",
        Kind::Number(1, 32),
        "2",
        "Replicas that must have a record before it counts as delivered, in a topic that is created.",
    ),
    setting(
        "publish.feedback",
        Kind::Switch,
        "false",
        "Tells the province all feedback over the topic <prefix>.published.feedback.",
    ),
    setting(
        "publish.list_changes",
        Kind::Switch,
        "false",
        "Tells the public the changes of lists over the topic <prefix>.published.list-changes.",
    ),
    setting(
        "publish.registrations_to",
        Kind::Department,
        "",
        "Tells this department the new registrations that are shared with it over the topic <prefix>.published.registrations, which is for nobody else.",
    ),
    setting(
        "checks.freshness",
        Kind::Number(1, 3_600),
        "5",
        "Seconds for which what is known of lists may be out of date; beyond them a check answers UNDETERMINED.",
    ),
];
