//! Begins what is intended when it is intended, whatever became of what was begun before.

use std::sync::Arc;

use indicatif::ProgressBar;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ledger::Kind;
use super::meter::LATE;
use super::parameters::Parameters;
use super::script::{Intended, Listing, Operation, Script};
use super::steps::Running;

/// How scheduled operations were begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Begun {
    /// Scheduled.
    pub intended: u64,
    /// Begun more than 20 ms after their time, because too many were under way.
    pub late: u64,
    /// Not begun at all: the run was over before there was a place for them.
    pub never: u64,
}

/// Runs a script to its end, and waits for all that it began.
pub async fn drive(
    running: &Arc<Running>,
    script: Script<'_>,
    parameters: &Parameters,
    bar: &ProgressBar,
) -> Begun {
    let began = Instant::now();
    let stop = &running.office.stop;
    let over = tokio::time::sleep_until(began + parameters.lasts);
    tokio::pin!(over);
    let places = Arc::new(Semaphore::new(parameters.in_flight));
    let mut under_way = JoinSet::new();
    let mut begun = Begun::default();
    let mut stopped = false;
    for Intended { at, operation } in script {
        begun.intended += 1;
        let intended = began + at;
        if !stopped {
            bar.set_position(at.as_secs());
            bar.set_message(running.office.live.acknowledged().to_string());
        }
        let place = async {
            tokio::time::sleep_until(intended).await;
            let place = places.clone().acquire_owned().await;
            place.expect("nobody closes it")
        };
        // In this order: what was due before the end and has a place is begun.
        let place = tokio::select! {
            biased;
            () = stop.cancelled(), if !stopped => None,
            place = place, if !stopped => Some(place),
            () = &mut over, if !stopped => None,
            else => None,
        };
        let Some(place) = place else {
            if stop.is_cancelled() {
                begun.intended -= 1;
                break;
            }
            stopped = true;
            begun.never += 1;
            continue;
        };
        begun.late += u64::from(intended.elapsed() > LATE);
        let task = begin(
            running.clone(),
            operation,
            (began, intended),
            places.clone(),
            place,
        );
        under_way.spawn(task);
        while let Some(ended) = under_way.try_join_next() {
            ended.expect("an operation does not panic");
        }
    }
    // What has nothing more to begin lasts as long as it was asked to: responders go on.
    if !stopped {
        tokio::select! {
            () = stop.cancelled() => {}
            () = &mut over => {}
        }
    }
    while let Some(ended) = under_way.join_next().await {
        ended.expect("an operation does not panic");
    }
    begun
}

async fn begin(
    running: Arc<Running>,
    operation: Operation,
    (began, intended): (Instant, Instant),
    places: Arc<Semaphore>,
    place: OwnedSemaphorePermit,
) {
    match operation {
        Operation::Record { dept, record } => {
            running.push(dept, &record, intended).await;
        }
        Operation::Check {
            dept,
            subject,
            purpose,
            basis,
        } => {
            running
                .check(dept, &subject, &purpose, &basis, intended)
                .await
        }
        Operation::Listing(listing) => {
            running
                .office
                .meter
                .begins(Kind::Listing, intended.elapsed());
            let entry = running.list(&listing, intended).await;
            drop(place);
            let Some((entry, (at, _))) = entry.zip(listing.ending) else {
                return;
            };
            end(&running, &listing, &entry, began + at, &places).await;
        }
    }
}

/// Waits for the time of a listing's early end, and for a place.
async fn end(
    running: &Running,
    listing: &Listing,
    entry: &str,
    intended: Instant,
    places: &Semaphore,
) {
    let Some((_, ending)) = listing.ending else {
        return;
    };
    let place = async {
        tokio::time::sleep_until(intended).await;
        places.acquire().await.expect("nobody closes it")
    };
    tokio::select! {
        () = running.office.stop.cancelled() => {}
        _place = place => running.end(listing, entry, ending, intended).await,
    }
}
