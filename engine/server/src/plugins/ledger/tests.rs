//! What may become active next.

use super::*;

fn version(name: &str, digest: &str, loaded_at: u64) -> VersionRow {
    VersionRow {
        name: name.into(),
        digest: digest.into(),
        source: "api".into(),
        settings: Default::default(),
        loaded_at,
        quarantine: None,
    }
}

fn key(name: &str, digest: &str) -> VersionKey {
    (name.into(), digest.into())
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    for row in [version("fair", "aa11", 1), version("fair", "aa22", 2), version("audit", "bb", 3)] {
        ledger.add_version(row);
    }
    let set = ledger.with_active(&key("fair", "aa11"), &["lane".into()], &[], &[]).unwrap();
    ledger.push(set, "first".into(), 10);
    ledger
}

#[test]
fn a_version_is_found_by_its_first_digits_the_active_one_by_none() {
    let ledger = ledger();
    assert_eq!(ledger.find("fair", "").unwrap(), key("fair", "aa11"));
    assert_eq!(ledger.find("fair", "aa2").unwrap(), key("fair", "aa22"));
    assert_eq!(ledger.newest("fair", "").unwrap(), key("fair", "aa22"));
    assert!(ledger.find("fair", "aa").unwrap_err().to_string().contains("fits several"));
    assert!(ledger.find("fair", "x").unwrap_err().to_string().contains("it has: aa11, aa22"));
    assert!(ledger.find("nobody", "").unwrap_err().to_string().contains("there are: audit, fair"));
}

#[test]
fn a_new_version_keeps_the_roles_of_its_plugin() {
    let ledger = ledger();
    let set = ledger.with_active(&key("fair", "aa22"), &[], &[], &[Role::Rank]).unwrap();
    assert_eq!(set.roles_of("fair"), [Role::Lane]);
    let set = ledger.with_active(&key("audit", "bb"), &[], &[], &[Role::Events]).unwrap();
    assert_eq!(set.roles_of("audit"), [Role::Events]);
    let error = ledger.with_active(&key("fair", "aa22"), &["lanes".into()], &[], &[]).unwrap_err();
    assert!(error.to_string().contains("known are: properties, lane"), "{error}");
}

#[test]
fn going_back_passes_over_what_is_quarantined() {
    let mut ledger = ledger();
    let second = ledger.with_active(&key("fair", "aa22"), &[], &[], &[]).unwrap();
    ledger.push(second.clone(), "second".into(), 20);
    ledger.push(second.with("audit", "bb", &[Role::Events], &[]), "third".into(), 30);
    assert_eq!(ledger.rollback_to(0).unwrap().0, 2);
    ledger.set_quarantine(&key("fair", "aa22"), Some("faults".into()));
    assert_eq!(ledger.rollback_to(0).unwrap().0, 1);
    assert!(ledger.rollback_to(2).unwrap_err().to_string().contains("quarantined"));
    let first = ledger.after_quarantine(&key("fair", "aa22")).remove(0);
    assert!(first.has("fair", "aa11") && first.has("audit", "bb"), "only the plugin goes back, not the whole set");
    ledger.set_quarantine(&key("fair", "aa11"), Some("faults".into()));
    let rest = ledger.after_quarantine(&key("fair", "aa22")).remove(0);
    assert!(!rest.plugins.contains_key("fair") && rest.has("audit", "bb"), "the rest of the set stays");
    let error = ledger.with_active(&key("fair", "aa22"), &[], &[], &[]).unwrap_err();
    assert!(error.to_string().contains("--release"), "{error}");
}

#[test]
fn the_roles_of_a_plugin_that_fell_go_to_those_who_had_them() {
    let mut ledger = ledger();
    ledger.add_version(version("queue", "cc", 4));
    let set = ledger.with_active(&key("queue", "cc"), &["lane".into(), "rank".into()], &[], &[]).unwrap();
    ledger.push(set, "second".into(), 20);
    let sets = ledger.after_quarantine(&key("queue", "cc"));
    assert!(sets[0].has("fair", "aa11") && sets[0].roles_of("fair") == [Role::Lane], "{sets:?}");
    assert!(sets[1].plugins.is_empty(), "else the built-in rule");
    ledger.set_quarantine(&key("fair", "aa11"), Some("faults".into()));
    assert!(ledger.after_quarantine(&key("queue", "cc"))[0].plugins.is_empty());
}

#[test]
fn bundled_policies_are_those_of_the_binary() {
    let mut ledger = Ledger::default();
    ledger.follow([("rank", "old")].into_iter());
    ledger.add_version(VersionRow { loaded_at: 5, ..VersionRow::bundled("rank", "old+12345678") });
    let set = ledger.with_active(&key("rank", "old+12345678"), &["rank".into()], &[], &[]).unwrap();
    ledger.push(set, "first".into(), 10);
    ledger.set_quarantine(&key("rank", "old"), Some("faults".into()));
    let moved = ledger.follow([("rank", "new")].into_iter());
    assert_eq!(moved.len(), 2);
    assert!(ledger.active().unwrap().set.has("rank", "new+12345678"));
    assert!(ledger.version(&key("rank", "new")).unwrap().quarantine.is_none(), "it is another component");
    assert!(ledger.remove(&key("rank", "new")).unwrap_err().to_string().contains("comes with Berth"));
    assert!(ledger.follow([("rank", "new")].into_iter()).is_empty());
}

#[test]
fn what_is_in_use_is_not_unloaded_and_shared_components_stay() {
    let mut ledger = ledger();
    assert!(ledger.remove(&key("fair", "aa11")).unwrap_err().to_string().contains("is active"));
    ledger.observed = Some(key("fair", "aa22"));
    assert!(ledger.remove(&key("fair", "aa22")).unwrap_err().to_string().contains("--stop"));
    ledger.add_version(version("twin", "bb", 4));
    assert!(!ledger.remove(&key("audit", "bb")).unwrap());
    assert!(ledger.remove(&key("twin", "bb")).unwrap());
}

#[test]
fn what_was_rolled_back_is_passed_over_and_forgotten_first() {
    let mut ledger = ledger();
    let first = ledger.active().unwrap().set.clone();
    let other = first.with("audit", "bb", &[Role::Events], &[]);
    for round in 0..50 {
        ledger.push(other.clone(), format!("round {round}"), round);
        let (back, set) = ledger.rollback_to(0).unwrap();
        assert_eq!((back, &set), (1, &first));
        ledger.go_to(back);
    }
    assert_eq!(ledger.sets().count(), SETS_MAX);
    assert!(ledger.rollback_to(0).is_err() && ledger.rollback_to(51).is_ok());
}

#[test]
fn only_the_last_sets_are_remembered() {
    let mut ledger = ledger();
    let set = ledger.active().unwrap().set.clone();
    let mut forgotten = Vec::new();
    for round in 0..30 {
        forgotten.extend(ledger.push(set.clone(), format!("round {round}"), round).1);
    }
    assert_eq!(ledger.sets().count(), SETS_MAX);
    assert_eq!(forgotten, (1..=11).collect::<Vec<_>>());
    assert_eq!(ledger.active().unwrap().number, 31);
}

#[test]
fn versions_that_differ_in_settings_are_told_apart() {
    let mut ledger = Ledger::default();
    for row in [version("fair", "aa11", 1), version("fair", "aa11+c6f7a864", 2), version("fair", "aa11+d0", 3)] {
        ledger.add_version(row);
    }
    assert_eq!(ledger.find("fair", "aa11").unwrap(), key("fair", "aa11"));
    assert_eq!(ledger.find("fair", "aa").unwrap(), key("fair", "aa11"));
    assert_eq!(ledger.find("fair", "aa1+c6").unwrap(), key("fair", "aa11+c6f7a864"));
    assert_eq!(ledger.find("fair", "sha256:aa11+d0").unwrap(), key("fair", "aa11+d0"));
    assert!(ledger.find("fair", "aa11+e").unwrap_err().to_string().contains("no version"));
}

#[test]
fn going_back_passes_over_what_is_the_same() {
    let mut ledger = ledger();
    let second = ledger.with_active(&key("fair", "aa22"), &[], &[], &[]).unwrap();
    ledger.push(second.clone(), "second".into(), 20);
    ledger.push(second, "the same again".into(), 30);
    assert_eq!(ledger.rollback_to(0).unwrap().0, 1);
}

#[test]
fn one_instance_does_not_change_the_version_of_the_others() {
    let ledger = ledger();
    let ci = ["ci".to_owned()];
    let error = ledger.with_active(&key("fair", "aa22"), &[], &ci, &[Role::Lane]).unwrap_err().to_string();
    assert!(error.contains("answers for instances *, too") && error.contains("--name fair-2"), "{error}");
    let same = ledger.with_active(&key("fair", "aa11"), &[], &ci, &[Role::Rank]).unwrap();
    assert!(same.has("fair", "aa11"));
    let everywhere = ledger.with_active(&key("fair", "aa22"), &["lane".into()], &[], &[]).unwrap();
    assert!(everywhere.has("fair", "aa22"));
}
