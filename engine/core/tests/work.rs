//! The work book: what Coordinate's documentation says, rule by rule. That the rules hold together is the business of the
//! model test in `tests/sim`.

use std::{sync::Arc, time::Duration};

use berth_core::{
    Chooser, LaneView, Timestamp, WorkerView,
    work::{
        Assignment, Book, Choice, Control, DeleteUnits, Fact, GetWork, NewUnit, Outputs, Priority, Refusal, Rules,
        SpecName, SpecSettings, UnitKey, UnitState, UpdateUnit, Value, WorkerId,
    },
};

const START: u64 = 1_795_000_000_000_000;

/// A dictionary names the units that it hands on, a letter each.
struct Letters;

impl Outputs for Letters {
    fn children(&self, data: &[u8]) -> Vec<NewUnit> {
        data.iter().map(|letter| unit(std::str::from_utf8(&[*letter]).unwrap())).collect()
    }
}

fn book(choice: Choice) -> Book {
    let mut book = Book::new(Rules { choice, ..Rules::default() }, Arc::new(Letters));
    book.advance(Timestamp(START));
    book
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(START).after(Duration::from_secs(seconds))
}

fn name(name: &str) -> SpecName {
    SpecName::from(name)
}

fn unit(key: &str) -> NewUnit {
    NewUnit { key: UnitKey::from(key), data: Value::default(), priority: None, delay: None }
}

fn spec(book: &mut Book, called: &str, change: impl FnOnce(&mut SpecSettings)) {
    let mut settings = SpecSettings::new(name(called), Value::default());
    change(&mut settings);
    book.set_spec(settings);
}

fn fill(book: &mut Book, called: &str, count: usize) {
    let units = (0..count).map(|number| unit(&format!("{called}{number:03}"))).collect();
    book.add_units(&name(called), units).unwrap();
}

fn ask(worker: &str, max_jobs: u64) -> GetWork {
    GetWork {
        worker: WorkerId::from(worker),
        lease_s: Some(60.0),
        max_jobs,
        specs: Vec::new(),
        runtimes: vec![Value::default()],
        available_gb: None,
        call: None,
    }
}

fn get(book: &mut Book) -> Option<Assignment> {
    book.get_work(&ask("w", 1)).pop()
}

/// The specs that serve one worker after the other, none of which finishes.
fn sequence(book: &mut Book, count: usize) -> String {
    let served = (0..count).map_while(|_| get(book)).map(|one| one.spec.to_string());
    served.collect::<Vec<_>>().join(" ")
}

fn to(state: UnitState) -> UpdateUnit {
    UpdateUnit { state: Some(state), ..UpdateUnit::default() }
}

fn state_of(book: &Book, called: &str, key: &str) -> Option<UnitState> {
    let views = book.unit_status(&name(called), &[UnitKey::from(key)]).unwrap();
    views[0].as_ref().map(|view| view.state)
}

#[test]
fn weights_share_what_is_pending() {
    for choice in [Choice::Simplified, Choice::Classic] {
        let mut book = book(choice);
        spec(&mut book, "a", |settings| settings.weight = 4);
        spec(&mut book, "b", |settings| settings.weight = 6);
        fill(&mut book, "a", 20);
        fill(&mut book, "b", 20);
        let served = sequence(&mut book, 10);
        assert_eq!(served.matches('b').count(), 6, "{choice:?}: {served}");
        if choice == Choice::Classic {
            assert_eq!(served, "b a b a b b a b a b");
        }
    }
}

#[test]
fn a_spec_of_higher_priority_goes_before_any_weight() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "a", |settings| settings.priority = 1);
    spec(&mut book, "b", |settings| settings.weight = 300);
    fill(&mut book, "a", 2);
    fill(&mut book, "b", 2);
    assert_eq!(sequence(&mut book, 9), "a a b b");
}

#[test]
fn classic_serves_the_most_urgent_unit_first_and_nothing_below_zero() {
    let mut book = book(Choice::Classic);
    spec(&mut book, "a", |settings| settings.weight = 4);
    spec(&mut book, "b", |settings| settings.weight = 6);
    spec(&mut book, "c", |settings| settings.weight = 1);
    fill(&mut book, "a", 4);
    fill(&mut book, "b", 4);
    let urgent = ["1", "2"].map(|key| NewUnit { priority: Some(Priority::new(9.0)), ..unit(key) });
    book.add_units(&name("c"), urgent.into()).unwrap();
    let later = NewUnit { priority: Some(Priority::new(-1.0)), ..unit("3") };
    book.add_units(&name("c"), vec![later]).unwrap();
    // The unit below zero comes by the other rule, when this one has nothing left.
    assert_eq!(sequence(&mut book, 20), "c c b a b a b b a a c");
}

#[test]
fn classic_brings_to_an_end_what_was_begun() {
    let mut book = book(Choice::Classic);
    spec(&mut book, "first", |settings| settings.then = Some(name("second")));
    spec(&mut book, "second", |settings| settings.weight = 1);
    fill(&mut book, "first", 2);
    fill(&mut book, "second", 2);
    assert_eq!(sequence(&mut book, 9), "second second first first");
    spec(&mut book, "first", |settings| {
        settings.then = Some(name("second"));
        settings.then_preempts = false;
    });
    for called in ["first", "second"] {
        book.delete_units(&name(called), &mut DeleteUnits::All, 9).unwrap();
        fill(&mut book, called, 1);
    }
    assert_eq!(sequence(&mut book, 9), "first second");
}

#[test]
fn classic_serves_what_is_in_no_loop_before_what_is() {
    let mut book = book(Choice::Classic);
    spec(&mut book, "a", |settings| settings.then = Some(name("b")));
    spec(&mut book, "b", |settings| settings.then = Some(name("a")));
    spec(&mut book, "plain", |settings| settings.weight = 1);
    for called in ["a", "b", "plain"] {
        fill(&mut book, called, 2);
    }
    let served = sequence(&mut book, 9);
    assert!(served.starts_with("plain plain ") && served.len() == "plain plain a b a b".len(), "{served}");
}

#[test]
fn a_chooser_is_asked_and_its_silence_is_the_built_in_rule() {
    struct Least(bool);
    impl Chooser for Least {
        fn asks(&mut self, instance: &str) -> bool {
            assert_eq!(instance, "space");
            true
        }
        fn choose(&mut self, worker: &WorkerView<'_>, lanes: &[LaneView<'_>], _: bool) -> Option<usize> {
            assert_eq!(worker.bot_id, "w");
            self.0.then(|| lanes.iter().position(|lane| lane.name == "a" && lane.weight == 1)).flatten()
        }
    }
    for (answers, expected) in [(true, "a a b b"), (false, "b b a a")] {
        let mut book = book(Choice::Simplified);
        book.set_chooser(Box::new(Least(answers)), "space".into());
        spec(&mut book, "a", |settings| settings.weight = 1);
        spec(&mut book, "b", |settings| settings.weight = 300);
        fill(&mut book, "a", 2);
        fill(&mut book, "b", 2);
        assert_eq!(sequence(&mut book, 9), expected);
    }
}

#[test]
fn units_go_by_priority_and_then_by_key_as_bytes() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "s", |_| {});
    let keys: [(&[u8], f64); 5] = [(b"n9", 0.0), (b"n10", 0.0), (b"\xff", 2.5), (b"", 0.0), (b"z", -1.0)];
    let units = keys.map(|(key, priority)| NewUnit {
        key: UnitKey::from(key),
        priority: Some(Priority::new(priority)),
        ..unit("")
    });
    book.add_units(&name("s"), units.into()).unwrap();
    let got: Vec<UnitKey> = book.get_work(&ask("w", 9)).into_iter().map(|one| one.key).collect();
    assert_eq!(got, [&b"\xff"[..], b"", b"n10", b"n9", b"z"].map(UnitKey::from));
}

#[test]
fn a_lease_that_ends_gives_the_unit_to_the_next_who_asks() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "s", |_| {});
    fill(&mut book, "s", 1);
    assert!(get(&mut book).is_some());
    book.advance(at(59));
    assert_eq!(get(&mut book), None);
    book.advance(at(60));
    assert_eq!(state_of(&book, "s", "s000"), Some(UnitState::Available));
    assert!(get(&mut book).is_some());
}

#[test]
fn what_fails_may_still_finish_and_what_is_finished_stays() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "s", |_| {});
    fill(&mut book, "s", 1);
    let (s, key) = (name("s"), UnitKey::from("s000"));
    assert_eq!(book.update_unit(&s, &key, to(UnitState::Failed)), Ok(true));
    assert_eq!(book.update_unit(&s, &key, to(UnitState::Finished)), Ok(true));
    assert_eq!(book.update_unit(&s, &key, to(UnitState::Failed)), Ok(false));
    assert_eq!(state_of(&book, "s", "s000"), Some(UnitState::Finished));
    // Finished while it was available: it must not be handed out.
    assert_eq!(get(&mut book), None);
}

#[test]
fn a_call_that_is_sent_again_does_no_harm() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "s", |settings| settings.then = Some(name("t")));
    spec(&mut book, "t", |_| {});
    let handing_on = NewUnit { data: Value::from(&b"x"[..]), ..unit("k") };
    book.add_units(&name("s"), vec![handing_on.clone()]).unwrap();
    assert!(get(&mut book).is_some());
    // Its worker keeps it.
    book.add_units(&name("s"), vec![handing_on]).unwrap();
    assert_eq!(state_of(&book, "s", "k"), Some(UnitState::Pending));
    let (s, key) = (name("s"), UnitKey::from("k"));
    assert_eq!(book.update_unit(&s, &key, to(UnitState::Finished)), Ok(true));
    assert_eq!(get(&mut book).unwrap().key, UnitKey::from("x"));
    book.take_facts();
    assert_eq!(book.update_unit(&s, &key, to(UnitState::Finished)), Ok(true));
    assert_eq!(book.take_facts(), [], "nothing happens twice");
}

#[test]
fn a_worker_that_says_who_it_is_cannot_finish_what_another_has() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "s", |_| {});
    fill(&mut book, "s", 1);
    assert!(get(&mut book).is_some());
    let late = UpdateUnit { worker: Some(WorkerId::from("other")), ..to(UnitState::Finished) };
    let (s, key) = (name("s"), UnitKey::from("s000"));
    assert_eq!(book.update_unit(&s, &key, late), Err(Refusal::LostLease));
    // Coordinate's own client does not say who it is.
    assert_eq!(book.update_unit(&s, &key, to(UnitState::Finished)), Ok(true));
}

#[test]
fn a_unit_that_is_handed_out_too_often_fails_and_keeps_its_dictionary() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "s", |settings| settings.max_retries = Some(1));
    let data = Value::from(&b"kept"[..]);
    book.add_units(&name("s"), vec![NewUnit { data: data.clone(), ..unit("k") }]).unwrap();
    assert!(get(&mut book).is_some());
    book.advance(at(61));
    assert_eq!(get(&mut book), None);
    let (s, key) = (name("s"), UnitKey::from("k"));
    let view = book.unit_status(&s, std::slice::from_ref(&key)).unwrap().pop().flatten().unwrap();
    assert_eq!((view.state, &*view.data), (UnitState::Failed, &b"\xa1\x49traceback\x50too many retries"[..]));
    book.update_unit(&s, &key, to(UnitState::Available)).unwrap();
    assert_eq!(book.units_by_key(&s, &[key]).unwrap(), [Some(data)]);
}

#[test]
fn a_continuous_spec_makes_units_where_there_is_nothing_else_to_do() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "s", |settings| {
        settings.continuous = true;
        settings.interval = Some(Duration::from_secs(60));
    });
    fill(&mut book, "s", 1);
    assert_eq!(get(&mut book).unwrap().key, UnitKey::from("s000"));
    assert_eq!(get(&mut book), None, "something is being done");
    book.update_unit(&name("s"), &UnitKey::from("s000"), to(UnitState::Finished)).unwrap();
    let made = get(&mut book).unwrap();
    assert_eq!((made.key.as_bytes(), &*made.data), (&b"1795000000.000000"[..], &b"\xa0"[..]));
    book.update_unit(&name("s"), &made.key, to(UnitState::Finished)).unwrap();
    assert_eq!(get(&mut book), None, "the interval counts from start to start");
    book.advance(at(60));
    assert!(get(&mut book).is_some());
    // Two of one instant do not collide.
    spec(&mut book, "t", |settings| settings.continuous = true);
    let first = get(&mut book).unwrap();
    book.update_unit(&name("t"), &first.key, to(UnitState::Finished)).unwrap();
    assert_ne!(get(&mut book).unwrap().key, first.key);
}

#[test]
fn control_goes_on_where_the_dictionary_allows_it() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "s", |_| {});
    let go_on = Control { continuous: Some(true), ..Control::default() };
    assert_eq!(book.control_spec(&name("s"), go_on), Err(Refusal::NotContinuous(name("s"))));
    let control = Control { max_running: Some(Some(1)), paused: Some(true), ..Control::default() };
    book.control_spec(&name("s"), control).unwrap();
    fill(&mut book, "s", 3);
    assert_eq!(get(&mut book), None);
    book.control_spec(&name("s"), Control { paused: Some(false), ..Control::default() }).unwrap();
    assert_eq!(book.get_work(&ask("w", 3)).len(), 1);
    // Set again, all that holds follows from the settings.
    spec(&mut book, "s", |_| {});
    assert_eq!(book.get_work(&ask("w", 3)).len(), 2);
}

#[test]
fn one_call_of_many_units_is_one_fact() {
    let mut book = book(Choice::Simplified);
    spec(&mut book, "s", |_| {});
    fill(&mut book, "s", 5_000);
    book.take_facts();
    assert_eq!(book.get_work(&ask("w", 5_000)).len(), 5_000);
    assert!(matches!(&book.take_facts()[..], [Fact::UnitsLeased { keys, .. }] if keys.len() == 5_000));
    book.advance(at(60));
    assert!(matches!(&book.take_facts()[..], [Fact::UnitsExpired { keys, .. }] if keys.len() == 5_000));
}
