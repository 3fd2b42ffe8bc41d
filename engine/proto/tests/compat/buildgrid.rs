//! `build.buildgrid.Introspection` and `Quota`: no crate has them, so that they are held against a list of what BuildGrid's
//! own Python package says of their messages, numbers and methods. `tests/clients/introspection.py --contract` prints that list; calls
//! of that package against a running server are in `tests/clients` too.

use std::collections::BTreeSet;

use prost_reflect::{FieldDescriptor, Kind};

/// Whether a file of ours is compared here.
pub(crate) fn has(file: &str) -> bool {
    ["build/buildgrid/introspection.proto", "build/buildgrid/quota.proto"].contains(&file)
}

fn kind(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        plain => format!("{plain:?}").to_lowercase(),
    }
}

#[test]
fn introspection_and_quotas_are_what_buildgrid_has() {
    let pool = crate::pool();
    let mut ours = BTreeSet::new();
    for message in pool.all_messages().filter(|message| has(message.parent_file().name())) {
        ours.insert(message.full_name().to_owned());
        for field in message.fields() {
            let many = if field.is_list() { "repeated " } else { "" };
            ours.insert(format!("{} = {} {many}{}", field.full_name(), field.number(), kind(&field)));
        }
    }
    for values in pool.all_enums().filter(|values| has(values.parent_file().name())) {
        ours.extend(values.values().map(|v| format!("{}.{} = {}", values.full_name(), v.name(), v.number())));
    }
    for service in pool.services().filter(|service| has(service.parent_file().name())) {
        ours.extend(service.methods().map(|method| {
            assert!(!method.is_client_streaming() && !method.is_server_streaming());
            let (input, output) = (method.input(), method.output());
            format!("{}({}) returns {}", method.full_name(), input.full_name(), output.full_name())
        }));
    }
    let theirs: BTreeSet<String> = include_str!("buildgrid.txt").lines().map(str::to_owned).collect();
    assert_eq!(ours, theirs);
}
