//! A guest that imports what no Berth offers: it is refused when it is loaded, and the message names the import. For
//! tests of the host.

mod bindings {
    // The generated code's own affair.
    #![allow(missing_docs, unreachable_pub)]

    wit_bindgen::generate!({
        path: "../../../wit/berth-policy-1.0.0",
        inline: "
            package acme:vault@2.1.0;
            interface secrets { reveal: func() -> string; }
            world policy {
                import secrets;
                export berth:policy/priority@1.0.0;
            }
        ",
        world: "acme:vault/policy",
    });
}

use bindings::acme::vault::secrets::reveal;
use bindings::exports::berth::policy::priority::{Guest, Jobs, Places};

struct Nosy;

impl Guest for Nosy {
    fn place(_jobs: Jobs) -> Places {
        Places {
            strings: vec![reveal()],
            lane: None,
            weight: None,
            rank: None,
            limits: vec![],
            counters: None,
            affinities: vec![],
            affine: None,
            history: None,
            again_ms: None,
        }
    }
}

bindings::export!(Nosy with_types_in bindings);
