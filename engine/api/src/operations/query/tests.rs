//! The grammar: what is printed is read as the same, and what cannot be read says where and what could.

use berth_core::{InstanceName, OperationId, Timestamp};
use proptest::prelude::*;

use super::{order::Value, time, token::*, *};
use crate::error::Error;

fn any_key() -> impl Strategy<Value = Key> {
    (0..Key::ALL.len()).prop_map(|at| Key::ALL[at].0)
}

fn any_operator() -> impl Strategy<Value = Operator> {
    (0..Operator::ALL.len()).prop_map(|at| Operator::ALL[at].1)
}

/// Times that a filter can write: of four digits of a year.
fn any_time() -> impl Strategy<Value = Timestamp> {
    (0..253_402_300_800_000_000_u64).prop_map(Timestamp)
}

fn any_operand(key: Key, operator: Operator) -> BoxedStrategy<Operand> {
    let text = "[ -~éß\u{1f600}\t]{0,20}";
    match key {
        Key::Stage => (0..5_i64).prop_map(Operand::Number).boxed(),
        Key::Priority => any::<i32>().prop_map(|number| Operand::Number(number.into())).boxed(),
        // What stands before a slash is taken for an instance.
        Key::Name => "[a-z0-9 \"&=-]{0,40}".prop_map(Operand::Text).boxed(),
        Key::ActionDigest => "[0-9a-f]{1,64}/[0-9]{1,12}".prop_map(Operand::Text).boxed(),
        Key::Platform => ("[!-9;-~]{1,9}", text).prop_map(|(name, value)| Operand::Property { name, value }).boxed(),
        Key::QueuedTime | Key::StartTime | Key::CompletedTime => {
            let time = any_time().prop_map(|time| Operand::Time(Some(time)));
            match operator {
                Operator::Equal | Operator::NotEqual => prop_oneof![Just(Operand::Time(None)), time].boxed(),
                _ => time.boxed(),
            }
        }
        _ => text.prop_map(Operand::Text).boxed(),
    }
}

fn any_condition() -> impl Strategy<Value = Condition> {
    (any_key(), any_operator()).prop_flat_map(|(key, operator)| {
        any_operand(key, operator).prop_map(move |operand| Condition { key, operator, operand })
    })
}

fn any_sort() -> impl Strategy<Value = Vec<SortKey>> {
    prop::collection::vec((any_key(), any::<bool>()), 0..4).prop_map(|parts| {
        let mut sort = Vec::<SortKey>::new();
        for (key, descending) in parts {
            if sort.iter().all(|known| known.key != key && known.key != Key::Name) {
                sort.push(SortKey { key, descending });
            }
        }
        if sort.last().is_none_or(|last| last.key != Key::Name) {
            sort.push(SortKey::ascending(Key::Name));
        }
        sort
    })
}

pub(in crate::operations) fn any_query() -> impl Strategy<Value = Query> {
    (prop::collection::vec(any_condition(), 0..4), any_sort()).prop_map(|(conditions, sort)| Query { conditions, sort })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same(query in any_query()) {
        let text = query.to_string();
        let read = Query::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(&read, &query);
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_position(text in "[a-z_ =<>!&\"\\\\:.0-9é]{0,40}") {
        if let Err(error) = Query::parse(&text) {
            let message = error.to_string();
            let at = message.strip_prefix("filter: at ").and_then(|rest| rest.split(':').next());
            let at: usize = at.and_then(|at| at.parse().ok()).expect("a position");
            prop_assert!((1..=text.len() + 1).contains(&at), "{}: {}", text, message);
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_written(
        query in any_query(),
        ids in prop::collection::vec(any::<u128>(), 0..5),
        as_of in any::<u64>(),
        place in any::<u32>(),
    ) {
        let value = |part: &SortKey| match part.key {
            Key::Stage | Key::Priority => Value::Number(-7),
            Key::Name => Value::Name(u128::from(as_of) << 3),
            Key::QueuedTime => Value::Time(Some(Timestamp(as_of))),
            Key::StartTime | Key::CompletedTime => Value::Time(None),
            _ => Value::Text(String::from("a\0é")),
        };
        let candidates = ids.into_iter().map(OperationId).collect();
        let reached = match place % 3 {
            0 => Reached::Live(place as usize),
            1 => Reached::Finished { part: place as usize, after: None },
            _ => Reached::Finished { part: 0, after: Some(place.to_be_bytes().to_vec()) },
        };
        let token = Token {
            as_of: Timestamp(as_of),
            after: Some(query.sort.iter().map(value).collect()),
            carry: Some(Carry { reached, candidates }),
        };
        let main = InstanceName::from("main");
        let text = token.write(&main, &query);
        prop_assert_eq!(Token::read(&text, &main, &query).unwrap(), token);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        prop_assert!(Token::read(&text, &InstanceName::from("other"), &query).is_err());
        let other = Query::parse("priority=4711").unwrap();
        prop_assert!(Token::read(&text, &main, &other).is_err());
    }
}

#[test]
fn buildgrids_own_examples_are_read() {
    let query = Query::parse(
        "stage != COMPLETED & queued_time >= 2026-11-22T05:00:00+00:00 & platform=OSFamily:linux \
         & action_digest = 01ab/142 & sort_order=queued_time(desc)&sort_order=name & command=/usr/bin/gcc",
    )
    .unwrap();
    let shown = "stage != COMPLETED & queued_time >= 2026-11-22T05:00:00.000000Z & platform = OSFamily:linux & \
                 action_digest = 01ab/142 & command = /usr/bin/gcc & sort_order = queued_time(desc) & \
                 sort_order = name(asc)";
    assert_eq!(query.to_string(), shown);
}

#[test]
fn without_a_condition_it_is_what_is_not_completed_the_oldest_first() {
    assert_eq!(
        Query::parse("  ").unwrap().to_string(),
        "stage != COMPLETED & sort_order = queued_time(asc) & sort_order = name(asc)"
    );
    // As BuildGrid has it: who names an order only wants everything in it.
    assert_eq!(Query::parse("sort_order=name(desc)").unwrap().to_string(), "sort_order = name(desc)");
}

#[test]
fn a_refusal_names_the_place_and_what_would_be_accepted() {
    let refusals = [
        "pet=cat",
        "stage",
        "stage=",
        "stage = LATE",
        "stage=QUEUED queued_time=2026",
        "stage=QUEUED &",
        "tool_name ~ x",
        "tool_name=\"a",
        "tool_name=\"a\\n\"",
        "action_digest=xyz",
        "platform=linux",
        "start_time<yesterday",
        "start_time<\"\"",
        "priority=high",
        "sort_order=age",
        "sort_order<name",
        "sort_order=name & sort_order=name(desc)",
        "sort_order=name(up)",
    ];
    let keys = Key::ALL.map(|(_, name)| name).join(", ");
    let mut shown = String::new();
    for text in refusals {
        let Err(Error::Field { field: "filter", problem }) = Query::parse(text) else { panic!("{text} is read") };
        shown += &format!("{text}\n    {}\n", problem.replace(&keys, "..."));
    }
    expect_test::expect![[r#"
        pet=cat
            at 1: "pet" is no key; the keys are ... and sort_order
        stage
            at 6: after `stage`: expected one of = != < <= > >=
        stage=
            at 7: the value of `stage` is missing
        stage = LATE
            at 9: "LATE" cannot be `stage`: expected one of UNKNOWN, CACHE_CHECK, QUEUED, EXECUTING, COMPLETED
        stage=QUEUED queued_time=2026
            at 14: expected `&` or the end; a value with spaces or signs stands in double quotes
        stage=QUEUED &
            at 15: "" is no key; the keys are ... and sort_order
        tool_name ~ x
            at 11: after `tool_name`: expected one of = != < <= > >=
        tool_name="a
            at 11: the quote that begins the value of `tool_name` does not end
        tool_name="a\n"
            at 13: after a backslash: expected `"` or `\`
        action_digest=xyz
            at 15: "xyz" cannot be `action_digest`: expected HASH/SIZE
        platform=linux
            at 10: "linux" cannot be `platform`: expected NAME:VALUE
        start_time<yesterday
            at 12: "yesterday" cannot be `start_time`: expected a time in ISO 8601, such as 2026-01-31T23:59:59Z, or "" with = and != for none
        start_time<""
            at 12: "" cannot be `start_time`: expected a time in ISO 8601, such as 2026-01-31T23:59:59Z, or "" with = and != for none
        priority=high
            at 10: "high" cannot be `priority`: expected a whole number
        sort_order=age
            at 12: "age" is no order: expected KEY, KEY(asc) or KEY(desc); the keys are ...
        sort_order<name
            at 11: `sort_order` takes = only
        sort_order=name & sort_order=name(desc)
            at 30: sort_order names `name` twice
        sort_order=name(up)
            at 12: "name(up)" is no order: expected KEY, KEY(asc) or KEY(desc); the keys are ...
    "#]].assert_eq(&shown);
}

#[test]
fn a_token_of_another_kind_is_refused() {
    let (main, query) = (InstanceName::from("main"), Query::parse("sort_order=start_time").unwrap());
    let token = Token { as_of: Timestamp(5), after: None, carry: None }.write(&main, &query);
    assert!(Token::read(&token, &main, &query).is_ok());
    for text in ["", "x", "1234", "5-00000000000000000000000000000001", "AAAA", &token[1..], &format!("{token}AAAA")] {
        assert!(Token::read(text, &main, &query).is_err(), "{text}");
    }
    // Values of another order, though the question is said to be the same.
    let foreign = Token { as_of: Timestamp(5), after: Some(vec![Value::Number(1), Value::Name(2)]), carry: None };
    assert!(Token::read(&foreign.write(&main, &query), &main, &query).is_err());
    assert_eq!(time::read("2026").unwrap(), Timestamp(1_767_225_600_000_000));
}
