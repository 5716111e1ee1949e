//! Readers and relays: which of them stand still, and how much waits.

use tally_proto::tally::node::v1::ReaderStatus;

use super::Finding;
use super::processes::Process;

/// From so many records on, what waits is told of.
const MANY: u64 = 10_000;

/// One finding for each reader of a process that needs somebody; one for all
/// where none does.
pub(super) fn judge(process: &Process) -> Vec<Finding> {
    let Ok(answer) = &process.answer else {
        return Vec::new();
    };
    let readers = &answer.status.readers;
    let troubled: Vec<Finding> = readers
        .iter()
        .flat_map(|reader| of(process.name(), reader))
        .collect();
    if !troubled.is_empty() {
        return troubled;
    }
    let waits: u64 = readers.iter().map(|reader| reader.lag).sum();
    let what = format!("readers {}", process.name());
    let shared = readers
        .iter()
        .any(|reader| reader.held.len() < reader.applied.len());
    // One that stopped in another replica shows here as one that lags.
    let elsewhere = match shared {
        true => "; some of their shards are with other replicas, whose `tally status` says more",
        false => "",
    };
    vec![Finding::ok(
        what,
        format!("{} run, {waits} records to apply{elsewhere}", readers.len()),
    )]
}

fn of(process: &str, reader: &ReaderStatus) -> Vec<Finding> {
    let (what, name) = (format!("reader {}", reader.consumer), &reader.consumer);
    let mut findings = Vec::new();
    if !reader.stopped.is_empty() {
        let detail = format!("stopped at {}", reader.stopped);
        let remedy = when_stopped(process, reader);
        findings.push(Finding::fault(&what, detail, remedy));
    }
    if reader.paused {
        findings.push(Finding::warning(
            &what,
            format!("held by an operator, {} records to apply", reader.lag),
            format!("`tally reader resume {name}` lets it go on"),
        ));
    }
    if reader.parked > 0 {
        findings.push(Finding::warning(
            &what,
            format!("{} subjects parked: their events wait", reader.parked),
            format!("`tally parked list --reader {name}` says why, `tally parked replay {name}` tries again"),
        ));
    }
    // Why one that stands still has much to apply has been said.
    if findings.is_empty() && reader.lag >= MANY {
        findings.push(Finding::warning(
            &what,
            format!("{} records to apply", reader.lag),
            format!(
                "ask again: if they do not become fewer, look at the log and the load of {process}"
            ),
        ));
    }
    findings
}

/// What to do about a reader that stopped, by the reason that it names.
fn when_stopped(process: &str, reader: &ReaderStatus) -> String {
    let says = |reason| reader.stopped.contains(reason);
    if says("LOG_DIVERGED") {
        return diverged(&reader.source);
    }
    if says("UNKNOWN_EVENT_TYPE") {
        return format!(
            "upgrade {process} to the version of the role that owns the log of {}: consumers come before producers",
            reader.source
        );
    }
    if says("TOO_MANY_PARKED") {
        return format!(
            "`tally parked list --reader {}` says why they are parked; remove the cause, replay them, and restart {process}",
            reader.consumer
        );
    }
    format!(
        "remove the cause that it names, with the help of the log of {process}, and restart {process}"
    )
}

/// What to do where a log has not what was read from it.
pub(super) fn diverged(log: &str) -> String {
    format!(
        "put the newest backup of {log} back, if it has what was read; otherwise `tally reconcile` says what is \
         lost, and `tally reconcile --apply` takes its readers back to what is left"
    )
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::processes::tests::healthy;
    use super::*;
    use crate::role::Role;

    fn judged(change: fn(&mut ReaderStatus)) -> Vec<Finding> {
        let mut reader = ReaderStatus {
            consumer: "sanctions.lists".to_owned(),
            source: "lists".to_owned(),
            lag: 7,
            ..Default::default()
        };
        change(&mut reader);
        let mut process = healthy(Role::Sanctions);
        process.status_mut().readers = vec![reader];
        judge(&process)
    }

    #[test]
    fn a_reader_that_stands_still_is_told_of_with_what_lets_it_go_on() {
        let well = judged(|_| {}).remove(0);
        assert_eq!(well.level, Level::Ok);
        assert!(well.detail.contains("1 run, 7 records"), "{well:?}");

        let held = judged(|reader| {
            reader.paused = true;
            reader.lag = MANY;
        });
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!(held[0].level, Level::Warning);
        assert!(
            held[0]
                .remedy
                .contains("tally reader resume sanctions.lists")
        );

        let parked = judged(|reader| reader.parked = 2).remove(0);
        assert_eq!(parked.level, Level::Warning);
        assert!(parked.remedy.contains("tally parked list"), "{parked:?}");

        let late = judged(|reader| reader.lag = MANY).remove(0);
        assert_eq!(late.level, Level::Warning);
    }

    #[test]
    fn a_reader_that_stopped_is_a_fault_and_its_reason_says_the_remedy() {
        let stopped = |text: &'static str| {
            let mut process = healthy(Role::Sanctions);
            process.status_mut().readers = vec![ReaderStatus {
                consumer: "sanctions.lists".to_owned(),
                source: "lists".to_owned(),
                stopped: format!("shard 3: {text}"),
                ..Default::default()
            }];
            judge(&process).remove(0)
        };
        let unknown = stopped("UNKNOWN_EVENT_TYPE: tally.lists.v1.Burned");
        assert_eq!(unknown.level, Level::Fault);
        assert!(unknown.remedy.contains("upgrade sanctions"), "{unknown:?}");
        let diverged = stopped("LOG_DIVERGED: restored");
        assert!(
            diverged.remedy.contains("`tally reconcile --apply`"),
            "{diverged:?}"
        );
        let other = stopped("DECODE: no message");
        assert!(other.detail.contains("shard 3: DECODE"), "{other:?}");
        assert!(other.remedy.contains("restart sanctions"), "{other:?}");
    }
}
