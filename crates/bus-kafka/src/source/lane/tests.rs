use bytes::Bytes;

use super::*;

const LOG: Uuid = Uuid::from_u128(1);
const STALLED: Duration = Duration::from_secs(30);

fn record(position: u64) -> StoredRecord {
    StoredRecord {
        shard: Shard(0),
        position,
        leaf: [1; 32],
        bytes: Bytes::from_static(b"record"),
    }
}

fn head(size: u64) -> Head {
    let mut head = Head::empty(LOG);
    for _ in 0..size {
        head.frontier.push([1; 32]);
    }
    head
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("it is in range")
}

fn says(lane: &Lane, size: u64, second: i64) {
    lane.owner_says(&head(size), at(second), lane.end(), STALLED);
}

/// A lane that is followed from the beginning, and has two records.
fn lane() -> Lane {
    let lane = Lane::new(Shard(0));
    let pump = lane.follow(0, CancellationToken::new);
    assert!(pump.is_some(), "the first follower needs a pump");
    says(&lane, 2, 1);
    for position in 0..2 {
        assert_eq!(
            lane.offer(record(position), LOG, position + 1),
            Offered::Delivered
        );
    }
    lane
}

#[test]
fn a_record_that_comes_again_as_another_wakes_the_readers_to_a_doubt() {
    let lane = lane();
    let mut woken = lane.watch();
    woken.borrow_and_update();
    assert_eq!(lane.seen(1, &[1; 32]), Seen::Duplicate);
    assert_eq!((lane.doubts(), woken.has_changed().ok()), (0, Some(false)));
    assert_eq!(lane.seen(1, &[2; 32]), Seen::Suspect);
    assert_eq!((lane.doubts(), woken.has_changed().ok()), (1, Some(true)));
}

#[test]
fn a_message_that_came_elsewhere_is_sought_at_the_owner() {
    let lane = lane();
    lane.strayed(Some(1));
    assert_eq!(lane.asked(), (false, None), "it had come");
    for position in [Some(2), None] {
        lane.strayed(position);
        assert_eq!(lane.asked(), (true, Some(Rejoin::Queue)));
        assert_eq!(lane.asked(), (false, None), "once");
    }
}

#[test]
fn a_reader_is_as_fresh_as_the_last_answer_that_it_has_reached() {
    let lane = lane();
    for (size, second) in [(2, 2), (5, 3), (5, 4), (9, 5)] {
        says(&lane, size, second);
    }
    let complete = [0, 2, 4, 5, 8, 9].map(|next| lane.complete_at(next));
    let expected = [None, Some(2), Some(2), Some(4), Some(4), Some(5)];
    assert_eq!(complete, expected.map(|second| second.map(at)));
}

#[test]
fn the_owner_is_read_once_nothing_came_for_long_and_until_something_does() {
    let lane = lane();
    lane.take(2, 1);
    says(&lane, 3, 2);
    says(&lane, 4, 3);
    assert_eq!(lane.asked(), (false, None), "not for long");
    lane.owner_says(&head(4), at(4), lane.end(), Duration::ZERO);
    assert_eq!(lane.asked(), (true, None));
    let (from, generation) = lane.wanted();
    assert!(lane.fill(generation, vec![record(2), record(3)]));
    assert_eq!(from, 2);
    lane.take(4, 1);
    says(&lane, 5, 5);
    assert_eq!(lane.asked(), (true, None), "at once now");
    assert_eq!(lane.offer(record(4), LOG, 5), Offered::Delivered);
    lane.take(5, 1);
    says(&lane, 6, 6);
    assert_eq!(lane.asked(), (false, None), "the topic is back");
}

#[test]
fn a_reader_that_is_slow_is_not_taken_for_a_topic_that_is() {
    let lane = lane();
    lane.owner_says(&head(9), at(2), lane.end(), Duration::ZERO);
    assert_eq!(lane.asked(), (false, None), "it has not taken what is here");
}

#[test]
fn what_nobody_follows_holds_nothing() {
    let lane = lane();
    assert!(
        lane.follow(0, CancellationToken::new).is_none(),
        "one pump for all"
    );
    lane.unfollow();
    assert_eq!(lane.take(0, 9).map(|records| records.len()), Some(2));
    lane.unfollow();
    assert_eq!(lane.take(0, 9), None, "the owner is read");
    assert!(!lane.is_followed() && lane.state().feed.is_drained());
}

#[test]
fn readers_are_woken_by_an_answer_only_where_it_is_doubted() {
    let lane = lane();
    lane.take(2, 1);
    let mut woken = lane.watch();
    woken.borrow_and_update();
    says(&lane, 7, 2);
    assert_eq!((lane.doubts(), woken.has_changed().ok()), (0, Some(false)));
    says(&lane, 1, 3);
    assert_eq!((lane.doubts(), woken.has_changed().ok()), (1, Some(true)));
    assert_eq!(lane.asked(), (true, None), "and the owner is read");
}
