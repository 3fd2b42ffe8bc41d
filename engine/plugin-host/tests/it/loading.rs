//! What is refused when it is loaded, and how that is said.

use berth_plugin_host::{Exports, Host, Limits, LoadError};

use crate::guests::component;

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
    for (name, properties, priority) in
        [("containment", true, false), ("reapi-order", false, true), ("faulty", true, true)]
    {
        let plugin = host.load(name, &component(name)).unwrap();
        assert_eq!(plugin.exports(), Exports { properties, priority }, "{name}");
        assert_eq!(plugin.digest().len(), 64);
        assert_eq!(plugin.stats().instances, 1, "the first instance is made at once");
    }
}

#[test]
fn an_import_that_is_not_ours_is_refused_by_name() {
    for import in ["wasi:clocks/monotonic-clock@0.2.0", "berth:policy/kv@0.1.0", "berth:policy/log@0.2.0", "env"] {
        let refused = host().load("foreign", &importing(import)).unwrap_err();
        assert_eq!(refused, LoadError::ForeignImport { plugin: "foreign".to_owned(), import: import.to_owned() });
        assert!(refused.to_string().contains(import));
    }
}

#[test]
fn a_component_that_exports_nothing_of_ours_is_refused() {
    for component in [HEADER.to_vec(), importing("berth:policy/log@0.1.3")] {
        let refused = host().load("mute", &component).unwrap_err();
        assert!(matches!(refused, LoadError::NothingToAsk { .. }), "{refused}");
        assert!(refused.to_string().contains("berth:policy/properties@0.1.0"));
    }
}

#[test]
fn garbage_and_truncated_components_are_refused() {
    let (host, whole) = (host(), component("reapi-order"));
    let core_module = *b"\0asm\x01\0\0\0";
    for bytes in [&b""[..], b"garbage", b"(component)", &core_module, &HEADER[..7]] {
        let refused = host.load("bad", bytes).unwrap_err();
        assert!(matches!(refused, LoadError::Invalid { .. }), "{refused}");
    }
    // At every length: cut inside a section, it is invalid; between two, something is missing.
    for length in (0..whole.len()).step_by(whole.len() / 60) {
        assert!(host.load("cut", &whole[..length]).is_err(), "{length} of {} bytes", whole.len());
    }
    // A changed byte may change only what is computed; it must never harm the host.
    for place in (8..whole.len()).step_by(whole.len() / 30) {
        let mut changed = whole.to_vec();
        changed[place] ^= 0x55;
        let _ = host.load("changed", &changed);
    }
    host.load("whole", &whole).unwrap();
}

#[test]
fn a_component_beyond_the_limits_of_the_host_is_refused() {
    let whole = component("reapi-order");
    let host = Host::new(Limits { component_bytes_max: 1000, ..Limits::default() }).unwrap();
    assert!(matches!(host.load("large", &whole).unwrap_err(), LoadError::TooLarge { .. }));

    let host = Host::new(Limits { plugins_max: 1, ..Limits::default() }).unwrap();
    let first = host.load("first", &whole).unwrap();
    let refused = host.load("second", &whole).unwrap_err();
    assert_eq!(refused, LoadError::NoRoom { plugin: "second".to_owned(), plugins_max: 1 });
    drop(first);
    host.load("second", &whole).unwrap();
}

#[test]
fn a_guest_that_needs_more_memory_than_it_may_have_cannot_start() {
    let host = Host::new(Limits { memory_bytes_max: 1 << 20, ..Limits::default() }).unwrap();
    assert!(host.load("hungry", &component("reapi-order")).is_err());
}
