//! Random filters and orders over random operations: what comes, page after page, is what a sort would give.

use std::{cmp::Ordering, time::Duration};

use proptest::{prelude::*, test_runner::Config};
use uuid::Uuid;

use super::house::{BASE, Known, State, WORDS, all, started};

/// A key, and how its value is picked for a condition.
const KEYS: [&str; 19] = [
    "stage",
    "name",
    "command",
    "platform",
    "action_digest",
    "invocation_id",
    "correlated_invocations_id",
    "tool_name",
    "tool_version",
    "action_mnemonic",
    "target_id",
    "configuration_id",
    "client_workflow",
    "client_actor",
    "client_subject",
    "priority",
    "queued_time",
    "start_time",
    "completed_time",
];

const OPERATORS: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];

/// A value as a test would write it down: numbers, or text, or nothing.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Plain {
    Number(i64),
    Text(String),
}

fn value(known: &Known, key: &str) -> Option<Plain> {
    let text = |text: &str| Some(Plain::Text(text.to_owned()));
    let time = |at: Option<u64>| at.map(|at| Plain::Number(at as i64));
    match key {
        "stage" => Some(Plain::Number(match known.state {
            State::Queued => 2,
            State::Executing { .. } => 3,
            State::Finished { .. } => 4,
        })),
        "name" => text(&Uuid::from_u128(known.id).to_string()),
        "command" => text(&format!("cc {}", known.word())),
        "platform" => text(&known.platform().iter().map(|(k, v)| format!("{k}:{v}")).collect::<Vec<_>>().join(" ")),
        "action_digest" => text(&known.digest().to_string()),
        "correlated_invocations_id" => text(WORDS[(known.word + 1) % WORDS.len()]),
        "tool_version" => text(&format!("v{}", known.word % 4)),
        "client_actor" => text(&format!("u{}", known.word)),
        "priority" => Some(Plain::Number(known.priority.into())),
        "queued_time" => time(Some(known.queued)),
        "start_time" => time(match known.state {
            State::Queued => None,
            State::Executing { started } => Some(started),
            State::Finished { started, .. } => started,
        }),
        "completed_time" => time(match known.state {
            State::Finished { at, .. } => Some(at),
            State::Queued | State::Executing { .. } => None,
        }),
        _ => text(known.word()),
    }
}

/// Whether it holds.
type Condition = Box<dyn Fn(&Known) -> bool>;

/// A condition: its text, and whether it holds.
fn condition(key: &'static str, operator: &'static str, of: &Known) -> (String, Condition) {
    let own = value(of, key);
    let shown = match (key, &own) {
        ("stage", Some(Plain::Number(number))) => ["", "", "queued", "EXECUTING", "Completed"][*number as usize].into(),
        ("platform", _) => format!("\"k0:{}\"", of.word().replace('"', "\\\"")),
        ("queued_time" | "start_time" | "completed_time", Some(Plain::Number(at))) => {
            let micros = *at as u64 - BASE;
            assert!(micros < 1_000_000);
            format!("2023-11-14T22:13:20.{micros:06}Z")
        }
        (_, Some(Plain::Number(number))) => number.to_string(),
        (_, Some(Plain::Text(text))) => format!("\"{}\"", text.replace('"', "\\\"")),
        (_, None) => "\"\"".to_owned(),
    };
    // Nothing is neither before nor after anything.
    let operator = if own.is_none() && operator != "!=" { "=" } else { operator };
    let holds = move |ordering: Option<Ordering>| match operator {
        "=" => ordering == Some(Ordering::Equal),
        "!=" => ordering != Some(Ordering::Equal),
        "<" => ordering == Some(Ordering::Less),
        "<=" => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        ">" => ordering == Some(Ordering::Greater),
        _ => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    };
    let word = of.word();
    let holds = move |known: &Known| match (key, &own, value(known, key)) {
        ("platform", ..) => known.platform().iter().any(|(k, v)| k == "k0" && holds(Some(v.as_str().cmp(word)))),
        ("command", Some(Plain::Text(wanted)), Some(Plain::Text(text))) if operator == "=" => text.contains(wanted),
        ("command", Some(Plain::Text(wanted)), Some(Plain::Text(text))) if operator == "!=" => !text.contains(wanted),
        (_, None, None) => holds(Some(Ordering::Equal)),
        (_, None, Some(_)) | (_, Some(_), None) => operator == "!=",
        (_, Some(wanted), Some(own)) => holds(own.partial_cmp(wanted)),
    };
    (format!("{key} {operator} {shown}"), Box::new(holds))
}

fn any_known() -> impl Strategy<Value = Known> {
    let state = (0..4_u8, 0..4_u64, 0..6_u64);
    (state, 0..12_u64, 0..5_u8, 0..7_usize, -2..3_i32, 0..8_u8).prop_map(
        |((kind, started, at), queued, action, word, priority, instance)| Known {
            id: 0,
            instance: if instance == 0 { "other" } else { "main" },
            state: match kind {
                0 => State::Queued,
                1 => State::Executing { started: BASE + started },
                2 => State::Finished { started: None, at: BASE + at },
                _ => State::Finished { started: Some(BASE + started), at: BASE + at },
            },
            queued: BASE + queued,
            action,
            word,
            priority,
        },
    )
}

type Asked = (Vec<(usize, usize, prop::sample::Index)>, Vec<(usize, bool)>, i32);

fn any_asked() -> impl Strategy<Value = Asked> {
    let condition = (0..KEYS.len(), 0..OPERATORS.len(), any::<prop::sample::Index>());
    let sort = (0..KEYS.len(), any::<bool>());
    (prop::collection::vec(condition, 0..3), prop::collection::vec(sort, 0..3), 1..9_i32)
}

fn expected(known: &[Known], conditions: &[Condition], sort: &[(&str, bool)]) -> Vec<u128> {
    let mut found: Vec<&Known> =
        known.iter().filter(|known| known.instance == "main" && conditions.iter().all(|holds| holds(known))).collect();
    found.sort_by(|a, b| {
        for (key, descending) in sort {
            let (a, b) = (value(a, key), value(b, key));
            let ordering = match (&a, &b) {
                (Some(a), Some(b)) => a.partial_cmp(b).unwrap(),
                (a, b) => a.is_none().cmp(&b.is_none()),
            };
            if ordering.is_ne() {
                return if *descending { ordering.reverse() } else { ordering };
            }
        }
        a.id.cmp(&b.id)
    });
    found.into_iter().map(|known| known.id).collect()
}

async fn check(known: Vec<Known>, asked: Vec<Asked>) {
    let instance = started(&known);
    for (conditions, sort, size) in asked {
        let conditions: Vec<_> = conditions
            .into_iter()
            .map(|(key, operator, of)| condition(KEYS[key], OPERATORS[operator], of.get(&known)))
            .collect();
        let mut keys: Vec<(&str, bool)> = Vec::new();
        for (key, descending) in sort {
            if keys.iter().all(|(known, _)| *known != KEYS[key]) {
                keys.push((KEYS[key], descending));
            }
        }
        let mut parts: Vec<String> = conditions.iter().map(|(text, _)| text.clone()).collect();
        parts
            .extend(keys.iter().map(|(key, down)| format!("sort_order={key}({})", if *down { "desc" } else { "asc" })));
        if keys.is_empty() {
            keys.push(("queued_time", false));
            if conditions.is_empty() {
                parts.push("sort_order=queued_time".to_owned());
            }
        }
        let (filter, holds) = (parts.join(" & "), conditions.into_iter().map(|(_, holds)| holds).collect::<Vec<_>>());
        let wanted = expected(&known, &holds, &keys);
        // Time enough, and none at all: then each call looks at one chunk.
        for time in [Duration::from_secs(60), Duration::ZERO] {
            assert_eq!(all(&instance, &filter, size, time).await, wanted, "{filter} by {size} within {time:?}");
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 48, ..Config::default() })]

    #[test]
    fn pages_give_what_a_sort_would(
        mut known in prop::collection::vec(any_known(), 1..60),
        asked in prop::collection::vec(any_asked(), 12),
    ) {
        // The order of ids is not that of anything else.
        known.iter_mut().zip(1..).for_each(|(known, id)| known.id = u128::from((id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 17);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(known, asked));
    }
}

#[tokio::test]
async fn a_walk_that_takes_longer_than_its_time_goes_on_where_it_was() {
    let known: Vec<_> = (1..3_000_u64)
        .map(|n| Known {
            id: u128::from(n),
            instance: "main",
            state: match n % 5 {
                0 => State::Finished { started: None, at: BASE + n },
                _ => State::Finished { started: Some(BASE + n / 7), at: BASE + n },
            },
            queued: BASE + n % 100,
            action: (n % 5) as u8,
            word: (n % 6) as usize,
            priority: (n % 3) as i32,
        })
        .collect();
    let instance = started(&known);
    for (key, descending) in KEYS.iter().flat_map(|key| [(*key, false), (*key, true)]) {
        let filter = format!("tool_version = v1 & sort_order={key}({})", if descending { "desc" } else { "asc" });
        let holds: Condition = Box::new(|known| known.word % 4 == 1);
        let wanted = expected(&known, &[holds], &[(key, descending)]);
        assert!(wanted.len() > 500);
        assert_eq!(all(&instance, &filter, 400, Duration::ZERO).await, wanted, "{filter}");
    }
}
