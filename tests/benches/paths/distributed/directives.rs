//! From a listing to the directive at a responder's stream, and checks, with a process for
//! each role.

use std::time::Instant;

use futures::StreamExt as _;
use tally::client::Client;
use tally::role::Role;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_tests::harness::{
    BlackListing, MARKET, TAX, confirmation, nominate_and_hear, penalty, push,
};
use tally_tests::organisations::subjects;

use super::bare_hops::BareHops;
use super::roles::Roles;
use crate::load::{self, IN_FORCE, KINDS, OTHER, PLAIN};
use crate::ours::list_all;
use crate::paths::{CLIENTS, questions};
use crate::report::Report;
use crate::stage::LISTED_EVERY;

/// Commits between the second officer's decision and the directive in the mailbox: the
/// listing in `lists`, the directive in `sanctions`, the mailbox.
const COMMITS: usize = 3;

/// From `lists` to `sanctions`.
const HOPS: usize = 1;

/// Nominations that are prepared at once.
const AT_ONCE: usize = 16;

/// Organisations that checks are about.
const CHECKED: usize = 2_000;

/// Lists `listings` subjects one after the other, then asks `checks` questions.
pub async fn measure(listings: usize, checks: usize, report: &mut Report) {
    let roles = Roles::start().await;
    directives(&roles, listings, report).await;
    check_all(&roles, checks, report).await;
}

async fn directives(roles: &Roles, count: usize, report: &mut Report) {
    let harness = &roles.harness;
    let system = &harness.system(MARKET).await;
    let first = &harness.officer(MARKET, "1").await;
    let second = harness.officer(MARKET, "2").await;
    let responder = harness.system(TAX).await;
    // Not those that checks are about.
    let subjects = subjects(CHECKED + count).split_off(CHECKED);
    let nominated = subjects.iter().enumerate().map(|(n, subject)| async move {
        let record = penalty(subject, &format!("ground of a directive {n}"), "2026-02-27");
        let (ground, _) = push(system, record).await;
        nominate_and_hear(first, &BlackListing::today(subject, &ground, "2027-03-01")).await
    });
    let nominated: Vec<String> = futures::stream::iter(nominated)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    harness.settle().await;

    let mut bare = BareHops::start().await;
    bare.go(COMMITS, HOPS).await;
    let mut mailbox = subscribe(&responder).await;
    let (mut confirmed, mut arrived, mut bare_took) = (Vec::new(), Vec::new(), Vec::new());
    for entry in nominated {
        let asked = Instant::now();
        let listed = second.lists().list(confirmation(&entry)).await;
        listed.expect("listed by a second officer");
        confirmed.push(asked.elapsed());
        loop {
            let item = mailbox.message().await.expect("the stream goes on");
            let directive = item.expect("it has no end").directive;
            if directive.expect("a directive").entry_id == entry {
                break;
            }
        }
        arrived.push(asked.elapsed());
        // In turns, so that a change of the machine meets both.
        bare_took.push(bare.go(COMMITS, HOPS).await);
    }
    bare.end().await;
    report.add_latencies("7a listing answered", confirmed);
    report.add_latencies("7b listing to directive at the responder", arrived);
    report.add_latencies("7c bare: 3 commits, 1 hop over Kafka", bare_took);
}

async fn subscribe(responder: &Client) -> tonic::Streaming<sanctions::SubscribeResponse> {
    let request = sanctions::SubscribeRequest::default();
    let subscribed = responder.sanctions().subscribe(request).await;
    subscribed.expect("subscribed").into_inner()
}

async fn check_all(roles: &Roles, count: usize, report: &mut Report) {
    let subjects = subjects(CHECKED);
    let listed: Vec<String> = subjects.iter().step_by(LISTED_EVERY).cloned().collect();
    list_all(&roles.harness, &listed).await;
    let clients = roles.connect(Role::Sanctions, CLIENTS).await;
    let one = load::check(&clients[..1], questions(&subjects, count.div_ceil(4))).await;
    judge(&one.counts);
    report.add_latencies("8a Postgres: one check, 16 in flight", one.latencies);
    let asked = Instant::now();
    let all = load::check(&clients, questions(&subjects, count)).await;
    eprintln!(
        "  checks, 64 in flight: {:.0}/s",
        count as f64 / asked.elapsed().as_secs_f64()
    );
    judge(&all.counts);
    report.add_latencies("8b Postgres: one check, 64 in flight", all.latencies);
}

/// What is listed is found, and nothing else. Where the machine is so busy that `lists` is not
/// heard of in time, UNDETERMINED is the right answer: it is counted.
fn judge(counts: &[usize; KINDS]) {
    let asked: usize = counts.iter().sum();
    let listed = asked.div_ceil(LISTED_EVERY);
    let right = counts[IN_FORCE] <= listed && counts[PLAIN] <= asked - listed;
    assert!(right, "{listed} of {asked} are listed: {counts:?}");
    eprintln!("  {} of {asked} checks UNDETERMINED", counts[OTHER]);
}
