//! Plugins that hear what happened, and keep state.

use std::sync::Arc;

use berth_core::{JobId, Timestamp};
use berth_plugin_host::{Limits, Listener, PluginLimits};
use berth_runtime::plugins::events::{WorkChanged, WorkEvent, WorkEventKind};
use berth_runtime::plugins::{
    Change, ConsumerError, EventsConsumer, FeedEvent, KvLimits, KvSnapshot, KvTransaction, KvView,
};

use crate::guests::{load, policy};

fn event(sequence: u64, change: Change) -> FeedEvent {
    FeedEvent { sequence, at: Timestamp(sequence), change }
}

fn wish(wish: &str) -> Vec<FeedEvent> {
    vec![event(1, Change::JobDeleted(JobId(1))), event(2, Change::Other(wish.into()))]
}

fn listener() -> Listener {
    let limits = PluginLimits { faults_max: 0, ..PluginLimits::default() };
    let plugin = load("probe", Limits { plugin: limits, ..Limits::default() });
    policy(&plugin).listener("probe")
}

fn table() -> KvTransaction {
    KvTransaction::new(KvSnapshot::default(), KvLimits { bytes_max: 1 << 20, ..KvLimits::default() })
}

#[test]
fn what_is_written_while_events_are_handled_is_in_the_transaction() {
    let (listener, mut kv) = (listener(), table());
    listener.on_events(&mut kv, &wish("")).unwrap();
    listener.on_events(&mut kv, &wish("")).unwrap();
    assert_eq!(kv.get("seen").as_deref(), Some(&[4][..]));
    listener.on_events(&mut kv, &wish("fill")).unwrap();
    assert!(kv.writes().count() > 10);
}

#[test]
fn what_happens_to_work_is_told_with_names_of_any_bytes() {
    let (listener, mut kv) = (listener(), table());
    let kinds = (0..=WorkEventKind::Unlocked as i32).filter_map(|kind| WorkEventKind::try_from(kind).ok());
    let events: Vec<FeedEvent> = kinds
        .enumerate()
        .map(|(place, kind)| {
            let keys = [&b"\xff\x00"[..], "\u{e9}".as_bytes(), b""].map(Into::into).to_vec();
            let (name, worker) = (b"\xfe".as_slice().into(), b"w".as_slice().into());
            let event = WorkEvent { at: 1, kind: kind.into(), name, worker, keys };
            event_of_work(place as u64, event)
        })
        .collect();
    listener.on_events(&mut kv, &events).unwrap();
    assert_eq!(kv.get("seen").as_deref(), Some(&[22][..]));
}

fn event_of_work(sequence: u64, of: WorkEvent) -> FeedEvent {
    event(sequence, Change::Work(Box::new(WorkChanged { namespace: "main".into(), event: of })))
}

#[test]
fn an_error_and_a_fault_are_told_apart_and_the_next_call_is_good() {
    let (listener, mut kv) = (listener(), table());
    let refused = listener.on_events(&mut kv, &wish("refuse"));
    assert_eq!(refused, Err(ConsumerError::Refused("as you wish".to_owned())));
    for misdeed in ["trap", "loop", "memory", "not-a-number"] {
        let failed = listener.on_events(&mut table(), &wish(misdeed)).unwrap_err();
        assert!(matches!(failed, ConsumerError::Fault(_)), "{misdeed}: {failed}");
        let mut kv = table();
        listener.on_events(&mut kv, &wish("")).unwrap();
        assert_eq!(kv.get("seen").as_deref(), Some(&[2][..]), "after {misdeed}");
    }
}

#[test]
fn who_is_not_in_force_hears_nothing() {
    let plugin = load("probe", Limits::default());
    let listener = policy(&plugin).listener("another");
    let failed = listener.on_events(&mut table(), &wish("")).unwrap_err();
    assert!(failed.to_string().contains("\"another\""), "{failed}");
    let _: Arc<dyn EventsConsumer> = Arc::new(listener);
}
