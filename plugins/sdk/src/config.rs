//! What the operator set for the policy.

use std::any::{Any, TypeId};
use std::cell::RefCell;

use serde::de::DeserializeOwned;

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::berth::policy::config as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::host::config as host;

/// The policy's own table of the configuration. It is read once for each type and kept: what is expensive to derive
/// from it belongs into the type (`#[serde(try_from = ...)]`).
///
/// # Panics
///
/// If the table does not fit the type: a fault, whose message says what is wrong. Berth asks once when the policy is
/// loaded, and refuses it with that message. A schema
/// ([`About::CONFIG_SCHEMA`](crate::About::CONFIG_SCHEMA)) lets the operator know earlier.
pub fn config<Table: DeserializeOwned + 'static>() -> &'static Table {
    READ.with_borrow_mut(|read| {
        let of = TypeId::of::<Table>();
        let kept = |known: &Read| *known.table.downcast_ref::<&'static Table>().expect("it is kept by its type");
        // Berth gives an instance the same text for ever. The cases of a test each have their own.
        if let Some(known) = read.iter().find(|known| known.of == of && cfg!(target_arch = "wasm32")) {
            return kept(known);
        }
        let text = host::get();
        if let Some(known) = read.iter().find(|known| known.of == of && known.text == text) {
            return kept(known);
        }
        let table: Table = match serde_json::from_str(&text) {
            Ok(table) => table,
            Err(error) => panic!("the policy cannot read its configuration: {error}"),
        };
        let table: &'static Table = Box::leak(Box::new(table));
        read.push(Read { of, text, table: Box::new(table) });
        table
    })
}

thread_local! {
    static READ: RefCell<Vec<Read>> = const { RefCell::new(Vec::new()) };
}

struct Read {
    of: TypeId,
    text: String,
    /// A `&'static` to the table.
    table: Box<dyn Any>,
}
