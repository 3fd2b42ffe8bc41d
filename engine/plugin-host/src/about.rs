//! What a component says of itself, asked once while it is loaded.

use crate::bindings::v1::about::Guest;
use crate::exports::{Exports, Interface};
use crate::instance::{Blueprint, Live};
use crate::stats::Function;

/// See `about` in the contract.
#[derive(Default)]
pub(crate) struct About {
    pub(crate) schema: Option<String>,
    pub(crate) examples: String,
}

/// Makes an instance for the purpose. What goes wrong is told in words: there is no plugin yet that could be at fault.
pub(crate) fn ask(blueprint: &Blueprint, exports: Exports) -> Result<About, String> {
    if !exports.has(Interface::About) {
        return Ok(About::default());
    }
    let words = |error: wasmtime::Error| format!("{error:#}");
    let mut live = blueprint.build().map_err(words)?;
    let mut text = |function: Function, ask: fn(&Guest, &mut Live) -> wasmtime::Result<String>| {
        live.begin(function, "");
        let guest = live.guests.about.take().expect("it was probed");
        let answer = ask(&guest, &mut live).map_err(|error| format!("{}: {error:#}", function.name()));
        live.guests.about = Some(guest);
        answer
    };
    let schema = text(Function::ConfigSchema, |guest, live| guest.call_config_schema(&mut live.store))?;
    let examples = text(Function::Examples, |guest, live| guest.call_examples(&mut live.store))?;
    Ok(About { schema: (!schema.trim().is_empty()).then_some(schema), examples })
}
