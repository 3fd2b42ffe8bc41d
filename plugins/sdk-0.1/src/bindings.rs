//! Generated from the WIT files: one module a world. A component that does both exports from both; the linker merges
//! the two worlds.

// The generated code's own affair.
#![allow(missing_docs, unreachable_pub)]

/// The world `properties-policy`, and what all worlds share.
pub mod properties {
    wit_bindgen::generate!({
        path: "../../wit/berth-policy-0.1.0",
        world: "properties-policy",
        pub_export_macro: true,
        export_macro_name: "export_properties_policy",
        default_bindings_module: "berth_policy_sdk::bindings::properties",
        additional_derives: [PartialEq],
    });
}

/// The world `priority-policy`.
pub mod priority {
    wit_bindgen::generate!({
        path: "../../wit/berth-policy-0.1.0",
        world: "priority-policy",
        pub_export_macro: true,
        export_macro_name: "export_priority_policy",
        default_bindings_module: "berth_policy_sdk::bindings::priority",
        additional_derives: [PartialEq],
        with: { "berth:policy/log@0.1.0": crate::bindings::properties::berth::policy::log },
    });
}
