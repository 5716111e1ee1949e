//! Reads the files of a pack, puts the items together and says where each fault stands.

use std::collections::{BTreeMap, BTreeSet};

use tally_domain::calendar::{HolidayFault, HolidayNotice};
use tally_domain::policy::{ItemKind, ItemRef, Pack, PackFault, PackMeta};

use super::fields::Fields;
use super::items::{self, Item};
use super::tree::{self, Node, Source};
use super::{FILES, LocatedFault, META_FILE, OPTIONAL_FILES};

/// See [`super::from_files`].
pub(super) fn load(files: &BTreeMap<String, String>) -> Result<Pack, Vec<LocatedFault>> {
    let mut loader = Loader::default();
    let mut parsed = Vec::new();
    for name in std::iter::once(META_FILE).chain(FILES.map(|(name, _, _)| name)) {
        match files.get(name) {
            Some(text) => parsed.extend(loader.parse(name, text)),
            None if OPTIONAL_FILES.contains(&name) => {}
            None => {
                loader.broken.insert(name);
                let fault = LocatedFault::whole_file(name, "this file of the pack is missing");
                loader.faults.push(fault);
            }
        }
    }
    let mut pack = loader.meta(&parsed);
    let mut tables = Tables::default();
    for (name, table, kind) in FILES {
        if let Some((source, root)) = parsed.iter().find(|(source, _)| source.name == name) {
            loader.items(&mut pack, source, root, table, kind, &mut tables);
        }
    }
    for (name, text) in files {
        if name.ends_with(".json") {
            loader.json_notice(&mut pack, name, text);
        } else if name != META_FILE && FILES.iter().all(|(known, _, _)| known != name) {
            let known = FILES.map(|(known, _, _)| known).join(", ");
            let message = format!("not a file of a policy pack, which has {META_FILE}, {known}");
            loader.faults.push(LocatedFault::whole_file(name, message));
        }
    }
    loader.consistency(&pack, &parsed, tables);
    if loader.faults.is_empty() {
        return Ok(pack);
    }
    loader.faults.sort();
    loader.faults.dedup();
    Err(loader.faults)
}

/// What was read of the items besides the pack itself.
#[derive(Default)]
struct Tables<'a> {
    /// Where each item's table is: its source and the item's node.
    places: BTreeMap<ItemRef, (&'a Source, &'a Node)>,
    /// Items with stand-ins for fields that cannot be read, and where their ids are.
    partial: Vec<(Item, LocatedFault)>,
    /// For each of those items, the paths of the stand-ins.
    stand_ins: BTreeMap<ItemRef, Vec<String>>,
}

/// What is known while a pack is loaded.
#[derive(Default)]
struct Loader {
    faults: Vec<LocatedFault>,
    /// Files that are missing or are not TOML: references into them cannot be judged.
    broken: BTreeSet<&'static str>,
    /// Items that are there but cannot be read in full: references to them are not dangling.
    unreadable: BTreeSet<(ItemKind, String)>,
}

impl Loader {
    fn parse(&mut self, name: &'static str, text: &str) -> Option<(Source, Node)> {
        let source = Source::new(name, text);
        match tree::parse(text) {
            Ok(root) => Some((source, root)),
            Err(faults) => {
                self.broken.insert(name);
                let located = faults.into_iter().map(|(at, text)| source.fault(at, text));
                self.faults.extend(located);
                None
            }
        }
    }

    /// An empty pack with the data of `pack.toml`, or with stand-ins so that the items are still checked.
    fn meta(&mut self, parsed: &[(Source, Node)]) -> Pack {
        let meta = parsed.iter().find(|(source, _)| source.name == META_FILE);
        let read = meta.and_then(|(source, root)| {
            let read = Fields::read(source, root, &mut self.faults, items::meta);
            read.value.filter(|_| read.sound)
        });
        if read.is_none() {
            self.broken.insert(META_FILE);
        }
        Pack::empty(read.unwrap_or_else(|| PackMeta {
            id: "unreadable".into(),
            version: "0".into(),
            time_zone: "UTC".into(),
            title: "unreadable".into(),
            name_zh: None,
        }))
    }

    fn items<'a>(
        &mut self,
        pack: &mut Pack,
        source: &'a Source,
        root: &'a Node,
        table: &str,
        kind: ItemKind,
        tables: &mut Tables<'a>,
    ) {
        for (key, at, node) in root.entries() {
            if key != table {
                let message = format!("unknown table `{key}`, expected `[[{table}]]`");
                self.faults.push(source.fault(*at, message));
                continue;
            }
            let Some(elements) = node.elements() else {
                let message = format!("write each item as a table under `[[{table}]]`");
                self.faults.push(source.fault(*at, message));
                continue;
            };
            for element in elements {
                self.item(pack, source, element, kind, tables);
            }
        }
    }

    fn item<'a>(
        &mut self,
        pack: &mut Pack,
        source: &'a Source,
        element: &'a Node,
        kind: ItemKind,
        tables: &mut Tables<'a>,
    ) {
        let id = element.get("id").or_else(|| element.get("year"));
        let read = Fields::read(source, element, &mut self.faults, |f| Item::read(kind, f));
        if !read.sound {
            self.unreadable.extend(id.map(|id| (kind, id.plain())));
        }
        let Some(item) = read.value else {
            return;
        };
        let reference = item.reference();
        let place = source.fault(id.map_or(element.at, |id| id.at), "");
        if !read.sound {
            tables.stand_ins.insert(reference.clone(), read.stand_ins);
            tables.partial.push((item, place));
        } else if let Some(message) = item.insert(pack) {
            self.faults.push(LocatedFault { message, ..place });
            return;
        }
        tables.places.entry(reference).or_insert((source, element));
    }

    fn json_notice(&mut self, pack: &mut Pack, name: &str, text: &str) {
        let messages = match HolidayNotice::from_holiday_cn_json(text) {
            Ok(notice) => Item::HolidayNotice(notice)
                .insert(pack)
                .into_iter()
                .collect(),
            Err(HolidayFault::Inconsistent(faults)) => {
                faults.iter().map(ToString::to_string).collect()
            }
            Err(fault) => vec![fault.to_string()],
        };
        for message in messages {
            self.faults.push(LocatedFault::whole_file(name, message));
        }
    }

    /// Checks what could be read in full, then the rest of those items that could not.
    ///
    /// Partial items are kept out of the first pass, so that a stand-in is never held against
    /// another item; in the second only their own faults count.
    fn consistency(&mut self, pack: &Pack, parsed: &[(Source, Node)], tables: Tables<'_>) {
        let mut faults = pack.faults();
        let mut whole = pack.clone();
        for (item, place) in tables.partial {
            let message = item.insert(&mut whole);
            let twice = message.map(|message| LocatedFault { message, ..place });
            self.faults.extend(twice);
        }
        faults.extend(whole.faults().into_iter().filter(|fault| {
            let stand_ins = tables.stand_ins.get(&fault.item);
            stand_ins.is_some_and(|paths| !paths.iter().any(|path| lies_in(&fault.field, path)))
        }));
        faults.retain(|fault| !self.is_consequence(fault));
        let located = faults
            .iter()
            .map(|fault| locate(fault, parsed, &tables.places));
        self.faults.extend(located);
    }

    /// Whether a fault only follows from something that is already reported.
    fn is_consequence(&self, fault: &PackFault) -> bool {
        if fault.item.kind == ItemKind::Pack && self.broken.contains(META_FILE) {
            return true;
        }
        let Some((kind, id)) = &fault.missing else {
            return false;
        };
        let id = id.rsplit_once('@').map_or(id.as_str(), |(id, _)| id);
        let file = FILES.iter().find(|(_, _, of)| of == kind);
        file.is_some_and(|(name, _, _)| self.broken.contains(name))
            || self.unreadable.contains(&(*kind, id.to_owned()))
    }
}

/// Whether `field` is the field at `path` or a part of it.
fn lies_in(field: &str, path: &str) -> bool {
    let rest = field.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn locate(
    fault: &PackFault,
    parsed: &[(Source, Node)],
    places: &BTreeMap<ItemRef, (&Source, &Node)>,
) -> LocatedFault {
    let message = fault.to_string();
    if let Some((source, node)) = places.get(&fault.item) {
        return source.fault(node.find(&fault.field), message);
    }
    let own = parsed.iter().find(|(source, _)| source.name == META_FILE);
    match own.filter(|_| fault.item.kind == ItemKind::Pack) {
        Some((source, node)) => source.fault(node.find(&fault.field), message),
        // Only notices read from JSON have no table; their message names the year.
        None => LocatedFault::whole_file("calendar.toml", message),
    }
}
