use super::*;

fn row(key: &'static str, value: &'static str) -> (RowKey, Bytes) {
    let key = RowKey {
        view: "test.view",
        shard: Shard(2),
        key: Bytes::from_static(key.as_bytes()),
    };
    (key, Bytes::from_static(value.as_bytes()))
}

fn compared(stored: Rows, rebuilt: Rows) -> pb::RebuildResponse {
    let mut result = pb::RebuildResponse::default();
    compare(stored, rebuilt.into_iter().collect(), &mut result);
    result
}

#[test]
fn equal_rows_make_no_difference() {
    let result = compared(
        vec![row("a", "1"), row("b", "2")],
        vec![row("a", "1"), row("b", "2")],
    );
    assert_eq!((result.rows, result.differences_total), (2, 0));
}

#[test]
fn every_kind_of_difference_is_named() {
    let stored = vec![row("a", "1"), row("b", "2"), row("d", "4")];
    let rebuilt = vec![row("b", "3"), row("c", "3"), row("d", "4"), row("e", "5")];
    let result = compared(stored, rebuilt);
    let named: Vec<_> = result
        .differences
        .iter()
        .map(|it| (it.key.as_str(), it.kind.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            ("61", "surplus"),
            ("62", "different"),
            ("63", "missing"),
            ("65", "missing")
        ]
    );
    assert_eq!((result.rows, result.differences_total), (5, 4));
    assert_eq!(
        (
            result.differences[0].view.as_str(),
            result.differences[0].shard
        ),
        ("test.view", 2)
    );
}

#[test]
fn differences_are_named_up_to_a_bound_and_all_counted() {
    let keys: Vec<String> = (0..DIFFERENCES_MAX + 7)
        .map(|n| format!("{n:04}"))
        .collect();
    let key = |key: &String| RowKey {
        view: "test.view",
        shard: Shard(0),
        key: key.clone().into(),
    };
    let stored = keys.iter().map(|it| (key(it), Bytes::new())).collect();
    let result = compared(stored, Vec::new());
    assert_eq!(result.differences.len(), DIFFERENCES_MAX);
    assert_eq!(result.differences_total, (DIFFERENCES_MAX + 7) as u64);
}

#[test]
fn parked_positions_are_read_from_the_consumers_own_keys() {
    let key = |consumer: &str| {
        let mut key = consumer.as_bytes().to_vec();
        key.extend_from_slice(b"\0cn-uscc:9152000071430580XT\0");
        key.extend_from_slice(&258u64.to_be_bytes());
        key
    };
    assert_eq!(parked_position("a.b", &key("a.b")), Some(258));
    assert_eq!(parked_position("a.b", &key("a.bc")), None);
    assert_eq!(parked_position("a.b", b"a.b\0"), None);
}
