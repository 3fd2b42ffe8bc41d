//! Generated from the WIT files: one module for all imports, and one for each interface that a policy may export. The
//! linker merges the worlds of those that a policy does export; an import that is not used is not in the component.

// The generated code's own affair.
#![allow(missing_docs, unreachable_pub)]

/// What may be imported, and the types that several interfaces share.
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit/berth-policy-1.0.0",
        inline: "
            package berth:sdk;
            world base {
                include berth:policy/imports@1.0.0;
                import berth:policy/types@1.0.0;
            }
        ",
        world: "berth:sdk/base",
        additional_derives: [PartialEq],
        generate_all,
    });
}

/// A module with the bindings of one interface. `sharing types`: it uses types of the interface `types`.
macro_rules! interface {
    ($module:ident, $world:literal, $export_macro:literal, $path:literal, sharing types) => {
        interface!(
            $module, $world, $export_macro, $path,
            with { "berth:policy/types@1.0.0": crate::bindings::imports::berth::policy::types }
        );
    };
    ($module:ident, $world:literal, $export_macro:literal, $path:literal $(, with $with:tt)?) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit/berth-policy-1.0.0",
                inline: "
                    package berth:sdk;
                    world about { export berth:policy/about@1.0.0; }
                    world properties { export berth:policy/properties@1.0.0; }
                    world matching { export berth:policy/matching@1.0.0; }
                    world unmatched { export berth:policy/unmatched@1.0.0; }
                    world priority { export berth:policy/priority@1.0.0; }
                    world choosing { export berth:policy/choosing@1.0.0; }
                    world create-job { export berth:policy/create-job@1.0.0; }
                    world queue-job { export berth:policy/queue-job@1.0.0; }
                    world after-attempt { export berth:policy/after-attempt@1.0.0; }
                    world before-prune { export berth:policy/before-prune@1.0.0; }
                    world events { export berth:policy/events@1.0.0; }
                ",
                world: $world,
                pub_export_macro: true,
                export_macro_name: $export_macro,
                default_bindings_module: $path,
                additional_derives: [PartialEq],
                $(with: $with,)?
            });
        }
    };
}

interface!(about, "berth:sdk/about", "export_about_bindings", "berth_policy_sdk::bindings::about");
interface!(properties, "berth:sdk/properties", "export_properties_bindings", "berth_policy_sdk::bindings::properties", sharing types);
interface!(matching, "berth:sdk/matching", "export_matching_bindings", "berth_policy_sdk::bindings::matching", sharing types);
interface!(unmatched, "berth:sdk/unmatched", "export_unmatched_bindings", "berth_policy_sdk::bindings::unmatched", sharing types);
interface!(priority, "berth:sdk/priority", "export_priority_bindings", "berth_policy_sdk::bindings::priority");
interface!(choosing, "berth:sdk/choosing", "export_choosing_bindings", "berth_policy_sdk::bindings::choosing", sharing types);
interface!(create_job, "berth:sdk/create-job", "export_create_job_bindings", "berth_policy_sdk::bindings::create_job", sharing types);
interface!(queue_job, "berth:sdk/queue-job", "export_queue_job_bindings", "berth_policy_sdk::bindings::queue_job", sharing types);
interface!(after_attempt, "berth:sdk/after-attempt", "export_after_attempt_bindings", "berth_policy_sdk::bindings::after_attempt", sharing types);
interface!(before_prune, "berth:sdk/before-prune", "export_before_prune_bindings", "berth_policy_sdk::bindings::before_prune", sharing types);
interface!(events, "berth:sdk/events", "export_events_bindings", "berth_policy_sdk::bindings::events", sharing types);
