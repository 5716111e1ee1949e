use std::collections::HashMap;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tally_eventlog::event::Recorded;
use tally_eventlog::pb::LegalBasisRef;
use tally_proto::tally::lists::v1 as lists;
use tonic::Code;

use super::mesh::*;
use super::{ENTRY, listed, reason};
use crate::consumer;
use crate::known::{self, event_type};
use crate::service::*;

fn basis(response: &pb::CheckResponse) -> pb::ConsistencyToken {
    response.basis.clone().expect("a basis")
}

#[tokio::test]
async fn a_check_is_answered_and_recorded() {
    let (mesh, _) = listed().await;
    let answer = mesh.check(mesh.question(MOUTAI)).await.expect("answered");
    assert_eq!(
        (answer.outcome(), answer.on.as_str()),
        (pb::CheckOutcome::InForce, "2026-03-02")
    );
    assert_eq!(answer.entries[0].measures[0].measure, "exclude-from-funds");
    let token = basis(&answer);
    assert_eq!((token.shards[0].lists, token.shards[0].sanctions), (1, 4));
    assert_eq!(token.pack_version, PACK);
    let clear = mesh
        .check(mesh.question("cn-uscc:91110000710926094P"))
        .await
        .expect("answered");
    assert_eq!(clear.outcome(), pb::CheckOutcome::Clear);
    let recorded = mesh.events(logs::SANCTIONS_ACCESS).await;
    assert_eq!(recorded.len(), 2);
    let receipt = answer.receipt.expect("a receipt");
    let ours = recorded
        .iter()
        .find(|event| event.envelope.subject == MOUTAI)
        .expect("recorded");
    assert_eq!(
        (receipt.leaf_hash.as_ref(), receipt.repeated),
        (ours.leaf.as_slice(), false)
    );
    let answered: pb::CheckAnswered = ours.payload().expect("decodes");
    assert_eq!(
        (answered.entry_ids, answered.entry_subjects),
        (vec![ENTRY.to_owned()], vec![MOUTAI.to_owned()])
    );
}

#[tokio::test]
async fn asking_again_gives_the_first_receipt_and_the_state_now() {
    let (mesh, _) = listed().await;
    let question = mesh.question(MOUTAI);
    let first = mesh.check(question.clone()).await.expect("answered");
    mesh.suspend(ENTRY).await;
    mesh.settled().await;
    let again = mesh.check(question.clone()).await.expect("answered");
    assert_eq!(
        (first.outcome(), again.outcome()),
        (pb::CheckOutcome::InForce, pb::CheckOutcome::Clear)
    );
    let (first, again) = (
        first.receipt.expect("a receipt"),
        again.receipt.expect("a receipt"),
    );
    assert_eq!((again.repeated, &again.leaf_hash), (true, &first.leaf_hash));
    let other = pb::CheckRequest {
        case_number: "P-2".to_owned(),
        ..question
    };
    let refused = mesh.check(other).await.expect_err("other content");
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(reason(&refused, "COMMAND_ID_REUSED"));
    assert_eq!(mesh.events(logs::SANCTIONS_ACCESS).await.len(), 1);
}

#[tokio::test]
async fn a_token_is_waited_for() {
    let (mesh, _) = listed().await;
    mesh.suspend(ENTRY).await;
    let shard = u32::from(mesh.shard(MOUTAI).0);
    let shards = vec![pb::ShardBasis {
        shard,
        lists: 2,
        ..Default::default()
    }];
    let token = pb::ConsistencyToken {
        shards,
        pack_version: PACK.to_owned(),
    };
    let question = pb::CheckRequest {
        at_least: Some(token),
        ..mesh.question(MOUTAI)
    };
    let answer = mesh.check(question).await.expect("answered");
    assert_eq!(answer.outcome(), pb::CheckOutcome::Clear);
    assert!(basis(&answer).shards[0].lists >= 2);
}

#[tokio::test]
async fn with_the_reader_stopped_a_suspension_is_never_answered_in_force() {
    let (mesh, _) = listed().await;
    mesh.progress(consumer::LISTS).pause();
    mesh.suspend(ENTRY).await;
    let shard = u32::from(mesh.shard(MOUTAI).0);
    let shards = vec![pb::ShardBasis {
        shard,
        lists: 2,
        ..Default::default()
    }];
    let token = pb::ConsistencyToken {
        shards,
        pack_version: String::new(),
    };
    let question = pb::CheckRequest {
        at_least: Some(token),
        ..mesh.question(MOUTAI)
    };
    let answer = mesh.check(question).await.expect("answered");
    assert_eq!(
        (answer.outcome(), answer.undetermined_reason.as_str()),
        (pb::CheckOutcome::Undetermined, "TOKEN_NOT_REACHED")
    );
    mesh.clock.advance(std::time::Duration::from_secs(6));
    let answer = mesh.check(mesh.question(MOUTAI)).await.expect("answered");
    assert_eq!(
        (answer.outcome(), answer.undetermined_reason.as_str()),
        (pb::CheckOutcome::Undetermined, "READER_BEHIND")
    );
    assert_eq!(answer.when_undetermined[0].action, "refer");
    assert!(answer.entries.is_empty() && answer.receipt.is_some());
}

#[tokio::test]
async fn links_are_followed_until_they_are_undone() {
    let mesh = Mesh::start().await;
    mesh.list(MOUTAI_CODE, ENTRY, "2027-01-31").await;
    for (subject, other) in [(MOUTAI, MOUTAI_CODE), (MOUTAI_CODE, MOUTAI)] {
        let linked = lists::IdentifierLinked {
            linked_subject: other.to_owned(),
            evidence: document(),
            department: PROVINCE.to_owned(),
        };
        mesh.lists(subject, ("link", subject), event_type::LINKED, linked)
            .await;
    }
    mesh.settled().await;
    let found = mesh.check(mesh.question(MOUTAI)).await.expect("answered");
    assert_eq!(
        (found.entries[0].subject.as_str(), found.entries[0].by_link),
        (MOUTAI_CODE, true)
    );
    assert_ne!(mesh.shard(MOUTAI), mesh.shard(MOUTAI_CODE));
    assert_eq!(basis(&found).shards.len(), 2);
    for (subject, other) in [(MOUTAI, MOUTAI_CODE), (MOUTAI_CODE, MOUTAI)] {
        let unlinked = lists::IdentifierUnlinked {
            linked_subject: other.to_owned(),
            reason: "x".to_owned(),
        };
        mesh.lists(subject, ("link", subject), event_type::UNLINKED, unlinked)
            .await;
    }
    mesh.settled().await;
    let gone = mesh.check(mesh.question(MOUTAI)).await.expect("answered");
    assert_eq!(gone.outcome(), pb::CheckOutcome::Clear);
}

#[tokio::test]
async fn a_faulty_question_names_every_fault() {
    let mesh = Mesh::start().await;
    let shards = vec![pb::ShardBasis {
        shard: 16,
        lists_log_id: Bytes::from_static(b"x"),
        ..Default::default()
    }];
    let faulty = pb::CheckRequest {
        check_id: "x".to_owned(),
        subject: "cn-uscc:9152000071430580XA".to_owned(),
        purpose: "curiosity".to_owned(),
        case_number: String::new(),
        legal_basis: Some(LegalBasisRef {
            id: "tally-interim-measures/3".to_owned(),
            version: 1,
        }),
        at_least: Some(pb::ConsistencyToken {
            shards,
            pack_version: String::new(),
        }),
    };
    let refused = mesh.check(faulty).await.expect_err("faulty");
    assert_eq!(refused.code(), Code::InvalidArgument);
    for named in [
        "check_id",
        "subject",
        "PURPOSE_UNKNOWN",
        "case_number",
        "LEGAL_BASIS_NOT_IN_FORCE",
        "SHARD_UNKNOWN",
        "LOG_ID_INVALID",
    ] {
        assert!(reason(&refused, named), "{named}");
    }
    let person = mesh
        .check(mesh.question("cn-resident-id:999999200002291230"))
        .await
        .expect_err("a person");
    assert!(reason(&person, "NATURAL_PERSON_OFF"));
    assert!(
        !reason(&person, "999999200002291230") && !person.message().contains("999999200002291230")
    );
    assert!(mesh.events(logs::SANCTIONS_ACCESS).await.is_empty());
}

#[tokio::test]
async fn a_stream_is_answered_in_order_and_refuses_in_place() {
    let (mesh, _) = listed().await;
    let questions: Vec<pb::CheckRequest> = (0..700)
        .map(|n| match n % 7 {
            3 => pb::CheckRequest {
                purpose: "curiosity".to_owned(),
                ..mesh.question(MOUTAI)
            },
            _ => mesh.question(MOUTAI),
        })
        .collect();
    let ids: Vec<String> = questions
        .iter()
        .map(|question| question.check_id.clone())
        .collect();
    let messages = questions
        .into_iter()
        .map(|check| Ok(pb::CheckManyRequest { check: Some(check) }));
    let answers = mesh
        .service
        .do_check_many(system(CITY), stream::iter(messages))
        .expect("open");
    let answers: Vec<_> = answers
        .map(|answer| answer.expect("an answer"))
        .collect()
        .await;
    assert_eq!(
        answers
            .iter()
            .map(|answer| answer.check_id.clone())
            .collect::<Vec<_>>(),
        ids
    );
    for (n, answer) in answers.iter().enumerate() {
        match (n % 7, answer.outcome.as_ref().expect("an outcome")) {
            (3, pb::check_many_response::Outcome::Refused(refused)) => {
                assert_eq!(refused.faults[0].reason, "PURPOSE_UNKNOWN");
            }
            (3, answer) => panic!("{answer:?}"),
            (_, pb::check_many_response::Outcome::Answer(answer)) => {
                assert_eq!(answer.outcome(), pb::CheckOutcome::InForce);
            }
            (_, refused) => panic!("{refused:?}"),
        }
    }
}

#[tokio::test]
async fn a_broken_stream_ends_after_what_was_answered() {
    let (mesh, _) = listed().await;
    let messages = vec![
        Ok(pb::CheckManyRequest {
            check: Some(mesh.question(MOUTAI)),
        }),
        Err(Status::cancelled("gone")),
        Ok(pb::CheckManyRequest {
            check: Some(mesh.question(MOUTAI)),
        }),
    ];
    let answers = mesh
        .service
        .do_check_many(system(CITY), stream::iter(messages))
        .expect("open");
    let answers: Vec<_> = answers.collect().await;
    assert_eq!(
        answers.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false]
    );
}

/// Every recorded answer is what its basis says, however reader and checks race.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_that_of_its_basis() {
    let (mesh, _) = listed().await;
    let changes = async {
        for _ in 0..40 {
            mesh.suspend(ENTRY).await;
            mesh.uphold(ENTRY).await;
        }
    };
    let checks = stream::iter(0..400).for_each_concurrent(16, |_| async {
        // A check that lost too often says so and is not recorded.
        if let Err(status) = mesh.check(mesh.question(MOUTAI)).await {
            assert_eq!(status.code(), Code::Aborted);
        }
    });
    futures::join!(changes, checks);
    let history: Vec<Recorded> = mesh.events(logs::LISTS).await;
    let mut said = HashMap::new();
    for check in mesh.events(logs::SANCTIONS_ACCESS).await {
        let answered: pb::CheckAnswered = check.payload().expect("decodes");
        let seen = answered.basis.as_ref().expect("a basis").shards[0].lists;
        let mut row = pb::SubjectRow::default();
        for event in history.iter().filter(|event| event.position < seen) {
            known::apply(&mut row, event).expect("applies");
        }
        let listed = row
            .entries
            .iter()
            .any(|entry| entry.standing() == pb::Standing::Listed);
        let expected = if listed {
            pb::CheckOutcome::InForce
        } else {
            pb::CheckOutcome::Clear
        };
        assert_eq!(answered.outcome(), expected, "at {seen}");
        *said.entry(answered.outcome).or_insert(0) += 1;
    }
    assert!(said.values().sum::<i32>() > 0);
}
