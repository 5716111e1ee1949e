//! What must be the same everywhere: version, policy pack, number of shards.

use std::collections::BTreeMap;

use super::Finding;
use super::databases::Store;
use super::processes::Process;
use crate::role::Role;

/// Who has what.
type Having<'a, T> = BTreeMap<T, Vec<&'a str>>;

fn list<T: std::fmt::Display>(having: &Having<'_, T>) -> String {
    let told: Vec<String> = having
        .iter()
        .map(|(what, names)| format!("{what}: {}", names.join(", ")))
        .collect();
    told.join("; ")
}

/// Whether all processes are of one version.
pub(super) fn versions(processes: &[Process]) -> Finding {
    let what = "version";
    let mut having: Having<'_, &str> = BTreeMap::new();
    for process in processes {
        if let Ok(answer) = &process.answer {
            let version = answer.status.version.as_str();
            having.entry(version).or_default().push(process.name());
        }
    }
    let Some(newest) = having.keys().copied().max_by_key(|one| order(one)) else {
        let remedy = "see to the processes, and ask again";
        return Finding::warning(what, "nobody says", remedy);
    };
    if having.len() == 1 {
        return Finding::ok(what, format!("{newest} everywhere"));
    }
    let behind = |role: &Role| {
        let of_role = processes
            .iter()
            .find(|process| process.roles.contains(role));
        let answer = of_role.and_then(|process| process.answer.as_ref().ok());
        answer.is_some_and(|answer| answer.status.version != newest)
    };
    let order: Vec<&str> = Role::ALL
        .into_iter()
        .rev()
        .filter(behind)
        .map(Role::name)
        .collect();
    Finding::warning(
        what,
        list(&having),
        format!(
            "upgrade to {newest}, consumers before producers, in this order: {}",
            order.join(", ")
        ),
    )
}

/// Versions in order: by their numbers, so that 0.10 is newer than 0.9.
fn order(version: &str) -> (Vec<u64>, bool, &str) {
    let (numbers, rest) = version.split_once('-').unwrap_or((version, ""));
    let numbers = numbers.split('.').map(|part| part.parse().unwrap_or(0));
    // What leads up to a version comes before it.
    (numbers.collect(), rest.is_empty(), rest)
}

/// Whether all processes follow the same policy pack.
pub(super) fn packs(processes: &[Process]) -> Finding {
    let what = "policy pack";
    let mut having: Having<'_, &str> = BTreeMap::new();
    for process in processes {
        if let Ok(answer) = &process.answer {
            let pack = match answer.status.pack_version.as_str() {
                "" => "none",
                version => version,
            };
            having.entry(pack).or_default().push(process.name());
        }
    }
    let having_one = having.first_key_value().filter(|_| having.len() == 1);
    match having_one {
        None if having.is_empty() => {
            Finding::warning(what, "nobody says", "see to the processes, and ask again")
        }
        Some((&"none", _)) => {
            let detail = "there is none: nothing can be recorded or decided";
            Finding::warning(what, detail, "load one: `tally policy load`")
        }
        Some((pack, _)) => Finding::ok(what, format!("{pack} everywhere")),
        None => Finding::warning(
            what,
            list(&having),
            "ask again in a moment: a pack that was just loaded takes a second to be everywhere; \
             whoever stays behind does not reach catalog: see to it, and restart the role",
        ),
    }
}

/// Whether all logs and stores have one number of shards.
pub(super) fn shards(processes: &[Process], stores: &[Store]) -> Finding {
    let what = "shards";
    let mut having: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (log, heads) in processes.iter().flat_map(|process| &process.heads) {
        if let Ok(heads) = heads {
            let names = having.entry(heads.len()).or_default();
            names.push(format!("log {log}"));
        }
    }
    for store in stores {
        if let Ok(Some(info)) = &store.found {
            let names = having.entry(usize::from(info.shards.get())).or_default();
            names.push(format!("store {}", store.role));
        }
    }
    match having.keys().next() {
        None => Finding::warning(what, "nobody says", "see to the processes, and ask again"),
        Some(count) if having.len() == 1 => Finding::ok(what, format!("{count} everywhere")),
        Some(_) => {
            let told: Vec<String> = having
                .iter()
                .map(|(count, names)| format!("{count}: {}", names.join(", ")))
                .collect();
            let remedy = "a mesh has one number of shards: create the newer stores again with the number of the others";
            Finding::fault(what, told.join("; "), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::processes::tests::mesh;
    use super::*;

    #[test]
    fn of_several_versions_it_says_who_is_upgraded_first() {
        assert_eq!(versions(&mesh()).level, Level::Ok);
        let mut mesh = mesh();
        mesh[Role::Lists as usize].status_mut().version = "1.10.0".to_owned();
        mesh[Role::Audit as usize].status_mut().version = "1.10.0".to_owned();
        let finding = versions(&mesh);
        assert_eq!(finding.level, Level::Warning);
        assert!(
            finding.remedy.contains("to 1.10.0")
                && finding
                    .remedy
                    .ends_with("feedback, sanctions, collection, catalog"),
            "{finding:?}"
        );
        assert!(
            finding.detail.contains("1.10.0: lists, audit"),
            "{finding:?}"
        );
        assert!(order("1.10.0") > order("1.9.9"));
        assert!(order("1.10.0") > order("1.10.0-rc.1"));
    }

    #[test]
    fn a_role_with_another_pack_is_named() {
        assert_eq!(packs(&mesh()).level, Level::Ok);
        let mut mesh = mesh();
        mesh[Role::Feedback as usize].status_mut().pack_version = String::new();
        let finding = packs(&mesh);
        assert_eq!(finding.level, Level::Warning);
        assert!(finding.detail.contains("none: feedback"), "{finding:?}");
        for process in &mut mesh {
            process.status_mut().pack_version = String::new();
        }
        let none = packs(&mesh);
        assert!(none.remedy.contains("tally policy load"), "{none:?}");
    }

    #[test]
    fn another_number_of_shards_is_a_fault() {
        assert_eq!(shards(&mesh(), &[]).level, Level::Ok);
        let mut mesh = mesh();
        mesh[Role::Lists as usize].heads[0].1 = Ok(vec![1, 2, 3]);
        let finding = shards(&mesh, &[]);
        assert_eq!(finding.level, Level::Fault);
        assert!(finding.detail.contains("3: log lists"), "{finding:?}");
    }
}
