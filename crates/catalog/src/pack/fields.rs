//! Reads the fields of one table and notes every fault of it, not the first.

use serde::de::DeserializeOwned;
use tally_domain::date::{LegalDate, parse_legal_date};
use tally_domain::legal::{InForce, LegalBasisRef};

use super::LocatedFault;
use super::tree::{Node, Source};

/// What became of a table.
pub(super) struct Read<T> {
    /// What was built; `None` where a field is missing that nothing can stand in for.
    pub(super) value: Option<T>,
    /// Whether no fault was found.
    pub(super) sound: bool,
    /// Paths of the fields for which the value holds only a stand-in.
    pub(super) stand_ins: Vec<String>,
}

/// One table being read. A method that finds a fault notes it and returns a stand-in, so that the
/// rest of the table is still read and checked.
pub(super) struct Fields<'a> {
    source: &'a Source,
    node: &'a Node,
    faults: &'a mut Vec<LocatedFault>,
    known: Vec<&'static str>,
    sound: bool,
    stand_ins: Vec<String>,
}

impl<'a> Fields<'a> {
    /// Reads the table `node` by `build`.
    pub(super) fn read<T>(
        source: &'a Source,
        node: &'a Node,
        faults: &'a mut Vec<LocatedFault>,
        build: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Read<T> {
        if !node.is_table() {
            faults.push(source.fault(node.at, "must be a table"));
            return Read {
                value: None,
                sound: false,
                stand_ins: Vec::new(),
            };
        }
        let mut fields = Fields {
            source,
            node,
            faults,
            known: Vec::new(),
            sound: true,
            stand_ins: Vec::new(),
        };
        let value = build(&mut fields);
        for (key, at, _) in node.entries() {
            if !fields.known.contains(&key.as_str()) {
                let known = fields.known.join("`, `");
                fields.fault(*at, format!("unknown field `{key}`, expected `{known}`"));
            }
        }
        Read {
            value,
            sound: fields.sound,
            stand_ins: fields.stand_ins,
        }
    }

    /// A field that must be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        self.required_with(key, json)
    }

    /// A field that may be absent.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let node = self.take(key)?;
        self.parse(key, node, json)
    }

    /// An item's version, 1 unless given.
    pub(super) fn version(&mut self) -> u32 {
        self.optional("version").unwrap_or(1)
    }

    /// A day that may be absent.
    pub(super) fn optional_date(&mut self, key: &'static str) -> Option<LegalDate> {
        let node = self.take(key)?;
        self.parse(key, node, date)
    }

    /// A list of plain values, absent means empty; every bad element is a fault of its own.
    pub(super) fn optional_list<T: DeserializeOwned>(&mut self, key: &'static str) -> Vec<T> {
        let Some(node) = self.take(key) else {
            return Vec::new();
        };
        let Some(elements) = self.elements(key, node) else {
            return Vec::new();
        };
        let parsed = elements
            .iter()
            .map(|element| self.parse(key, element, json));
        parsed.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// A list of plain values that must be there.
    pub(super) fn list<T: DeserializeOwned>(&mut self, key: &'static str) -> Vec<T> {
        self.must_have(key);
        self.optional_list(key)
    }

    /// A list of tables that must be there.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut build: impl FnMut(&mut Fields<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.must_have(key);
        let Some(node) = self.take(key) else {
            return Vec::new();
        };
        let Some(elements) = self.elements(key, node) else {
            return Vec::new();
        };
        let mut built = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let read = Fields::read(self.source, element, self.faults, &mut build);
            self.sound &= read.sound;
            let inner = read
                .stand_ins
                .iter()
                .map(|path| format!("{key}[{index}].{path}"));
            self.stand_ins.extend(inner);
            match read.value {
                Some(it) => built.push(it),
                // Later elements have moved up, so that no path into the list can be trusted.
                None => self.stand_ins.push(key.to_owned()),
            }
        }
        built
    }

    /// The days in force, `{ from = 2005-01-01, until = 2015-12-31 }`.
    pub(super) fn in_force(&mut self) -> Option<InForce> {
        self.must_have("in_force");
        let node = self.take("in_force")?;
        let read = Fields::read(self.source, node, self.faults, |days| {
            let from = days.required_with("from", date);
            let until = days.take("until");
            let until = until.and_then(|node| days.parse("until", node, date));
            Some(InForce { from: from?, until })
        });
        self.sound &= read.sound;
        if !read.stand_ins.is_empty() {
            self.stand_ins.push("in_force".to_owned());
        }
        read.value
    }

    /// A reference to a legal basis, `id@version`.
    pub(super) fn basis(&mut self, key: &'static str) -> Option<LegalBasisRef> {
        self.required_with(key, basis)
    }

    /// A reference to a legal basis that may be absent.
    pub(super) fn optional_basis(&mut self, key: &'static str) -> Option<LegalBasisRef> {
        let node = self.take(key)?;
        self.parse(key, node, basis)
    }

    /// A list of days; `2024-02-10/2024-02-17` stands for every day of the run.
    pub(super) fn dates(&mut self, key: &'static str) -> Vec<LegalDate> {
        let mut dates = Vec::new();
        let Some(node) = self.take(key) else {
            return dates;
        };
        for element in self.elements(key, node).unwrap_or_default() {
            dates.extend(self.parse(key, element, days).unwrap_or_default());
        }
        dates
    }

    /// Notes what is wrong with a field that can be read.
    pub(super) fn refuse(&mut self, key: &str, message: &str) {
        let at = self.node.get(key).map_or(self.node.at, |node| node.at);
        self.fault(at, format!("{key}: {message}"));
    }

    fn required_with<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<T> {
        self.must_have(key);
        let node = self.take(key)?;
        self.parse(key, node, parse)
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.node.get(key)
    }

    fn must_have(&mut self, key: &'static str) {
        if self.node.get(key).is_none() {
            self.stand_ins.push(key.to_owned());
            self.fault(self.node.at, format!("missing field `{key}`"));
        }
    }

    fn elements(&mut self, key: &str, node: &'a Node) -> Option<&'a [Node]> {
        let elements = node.elements();
        if elements.is_none() {
            self.stand_ins.push(key.to_owned());
            self.fault(node.at, format!("{key}: must be a list"));
        }
        elements
    }

    fn parse<T>(
        &mut self,
        key: &str,
        node: &Node,
        parse: impl Fn(&Node) -> Result<T, String>,
    ) -> Option<T> {
        match parse(node) {
            Ok(value) => Some(value),
            Err(message) => {
                self.stand_ins.push(key.to_owned());
                self.fault(node.at, format!("{key}: {message}"));
                None
            }
        }
    }

    fn fault(&mut self, at: usize, message: String) {
        self.sound = false;
        self.faults.push(self.source.fault(at, message));
    }
}

fn json<T: DeserializeOwned>(node: &Node) -> Result<T, String> {
    serde_json::from_value(node.json()).map_err(|error| error.to_string())
}

fn date(node: &Node) -> Result<LegalDate, String> {
    parse_legal_date(&node.plain()).map_err(|fault| fault.to_string())
}

fn basis(node: &Node) -> Result<LegalBasisRef, String> {
    let text: String = json(node)?;
    text.parse::<LegalBasisRef>()
        .map_err(|fault| fault.to_string())
}

/// The days of one entry of a list of dates.
pub(super) fn days(node: &Node) -> Result<Vec<LegalDate>, String> {
    /// A run longer than a month is a slip in the year, not a holiday.
    const RUN_DAYS_MAX: usize = 31;
    let text = node.plain();
    let Some((from, until)) = text.split_once('/') else {
        return date(node).map(|date| vec![date]);
    };
    let parse = |text| parse_legal_date(text).map_err(|fault| fault.to_string());
    let term =
        InForce::new(parse(from)?, Some(parse(until)?)).map_err(|fault| fault.to_string())?;
    let days: Vec<_> = term
        .from
        .series(jiff::Span::new().days(1))
        .take(RUN_DAYS_MAX + 1)
        .collect();
    let days: Vec<_> = days
        .into_iter()
        .take_while(|day| term.contains(*day))
        .collect();
    if days.len() > RUN_DAYS_MAX {
        return Err(format!("a run has at most {RUN_DAYS_MAX} days"));
    }
    Ok(days)
}
