//! What is refused when it is loaded, and how that is said.

use berth_plugin_host::{Contract, Grant, Grants, Host, Interface, Limits, LoadError, LoadOptions, PluginLimits};

use crate::guests::{component, granted};

/// The beginning of every component.
const HEADER: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// A component that imports an empty instance under this name, and does nothing else.
fn importing(import: &str) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    // Types: one, of an instance without anything in it.
    bytes.extend([7, 3, 1, 0x42, 0]);
    // Imports: one, of that type.
    let name_bytes = u8::try_from(import.len()).unwrap();
    bytes.extend([10, name_bytes + 5, 1, 0, name_bytes]);
    bytes.extend(import.as_bytes());
    bytes.extend([5, 0]);
    bytes
}

fn host() -> Host {
    Host::new(Limits::default()).unwrap()
}

#[test]
fn a_component_is_loaded_with_its_exports_and_its_digest() {
    let host = host();
    for (name, contract, properties, priority) in [
        ("containment", Contract::V1, true, false),
        ("reapi-priority", Contract::V1, false, true),
        ("faulty", Contract::V1, true, true),
        ("legacy", Contract::V0_1, true, true),
    ] {
        let plugin = host.load(name, &component(name), granted()).unwrap();
        let has = |interface| plugin.has(interface);
        assert_eq!((has(Interface::Properties), has(Interface::Priority)), (properties, priority), "{name}");
        assert_eq!(plugin.exports().contract, contract, "{name}");
        assert_eq!(plugin.digest().len(), 64);
        assert_eq!(plugin.stats().instances, 1, "the first instance is made at once");
    }
}

#[test]
fn an_import_that_is_not_ours_is_refused_by_name() {
    for import in [
        "wasi:clocks/monotonic-clock@0.2.0",
        "berth:policy/kv@0.1.0",
        "berth:policy/log@0.2.0",
        "berth:policy/fs@1.0.0",
        "berth:policy/kv@2.0.0",
        "env",
    ] {
        let refused = host().load("foreign", &importing(import), granted()).unwrap_err();
        assert_eq!(refused, LoadError::ForeignImport { plugin: "foreign".to_owned(), import: import.to_owned() });
        assert!(refused.to_string().contains(import));
    }
}

#[test]
fn an_import_that_was_not_granted_is_refused_with_the_grant() {
    for grant in Grant::ALL {
        let import = format!("berth:policy/{grant}@1.0.0");
        let others: Grants = Grant::ALL.into_iter().filter(|other| *other != grant).collect();
        let options = |grants| LoadOptions { grants, ..LoadOptions::default() };
        let refused = host().load("greedy", &importing(&import), options(others)).unwrap_err();
        let told = refused.to_string();
        assert!(matches!(refused, LoadError::NotGranted { .. }) && told.contains(&import), "{told}");
        assert!(told.contains(&format!("needs the grant {grant};")), "{told}");
        // With the grant, the next thing is wrong with it.
        let refused = host().load("greedy", &importing(&import), options(Grants::ALL)).unwrap_err();
        assert!(matches!(refused, LoadError::NothingToAsk { .. }), "{refused}");
    }
}

#[test]
fn a_component_that_exports_nothing_of_ours_is_refused() {
    for component in [HEADER.to_vec(), importing("berth:policy/log@0.1.3"), importing("berth:policy/types@1.0.7")] {
        let refused = host().load("mute", &component, granted()).unwrap_err();
        assert!(matches!(refused, LoadError::NothingToAsk { .. }), "{refused}");
        assert!(refused.to_string().contains("berth:policy@1.0.0"));
    }
}

#[test]
fn garbage_and_truncated_components_are_refused() {
    let (host, whole) = (host(), component("reapi-priority"));
    let core_module = *b"\0asm\x01\0\0\0";
    for bytes in [&b""[..], b"garbage", b"(component)", &core_module, &HEADER[..7]] {
        let refused = host.load("bad", bytes, granted()).unwrap_err();
        assert!(matches!(refused, LoadError::Invalid { .. }), "{refused}");
    }
    // At every length: cut inside a section, it is invalid; between two, something is missing.
    for length in (0..whole.len()).step_by(whole.len() / 60) {
        assert!(host.load("cut", &whole[..length], granted()).is_err(), "{length} of {} bytes", whole.len());
    }
    // A changed byte may change only what is computed; it must never harm the host.
    for place in (8..whole.len()).step_by(whole.len() / 30) {
        let mut changed = whole.to_vec();
        changed[place] ^= 0x55;
        let _ = host.load("changed", &changed, granted());
    }
    host.load("whole", &whole, granted()).unwrap();
}

#[test]
fn a_component_beyond_the_limits_of_the_host_is_refused() {
    let whole = component("reapi-priority");
    let host = Host::new(Limits { component_bytes_max: 1000, ..Limits::default() }).unwrap();
    assert!(matches!(host.load("large", &whole, granted()).unwrap_err(), LoadError::TooLarge { .. }));

    let host = Host::new(Limits { plugins_max: 1, ..Limits::default() }).unwrap();
    let first = host.load("first", &whole, granted()).unwrap();
    let refused = host.load("second", &whole, granted()).unwrap_err();
    assert_eq!(refused, LoadError::NoRoom { plugin: "second".to_owned(), plugins_max: 1 });
    drop(first);
    host.load("second", &whole, granted()).unwrap();
}

#[test]
fn a_guest_that_needs_more_memory_than_it_may_have_cannot_start() {
    let host = Host::new(Limits {
        plugin: PluginLimits { memory_bytes_max: 1 << 20, ..PluginLimits::default() },
        ..Limits::default()
    })
    .unwrap();
    assert!(host.load("hungry", &component("reapi-priority"), granted()).is_err());
}
