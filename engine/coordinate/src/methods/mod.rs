//! The methods, as clients name them: one function each. It reads the arguments, and says what is asked of the book and
//! how the answer is written.

mod add_work_units;
mod archive;
mod arguments;
mod control_work_spec;
mod del_work_units;
mod get_config;
mod get_work;
mod get_work_unit_status;
mod get_work_units;
mod locks;
mod prioritize_work_units;
mod set_work_spec;
mod specs;
mod units;
mod update_work_unit;
mod workers;

use berth_core::work::{self, Book, CallId};

pub(crate) use self::set_work_spec::settings;
pub use self::units::Chaining;
use crate::{
    cbor::{Value, Writer},
    config::Config,
    envelope::{Args, Params},
    python,
    refusal::Refusal,
};

/// What a method wants of the book. It runs on the driver's task, so that it only asks: arguments were read before, the
/// answer is written later.
pub(crate) type Ask = Box<dyn FnOnce(&mut Book) -> Tell + Send>;

/// The same of what would do harm if it were done twice. A client sends a call again if its reply was lost.
pub(crate) type AskOnce = Box<dyn FnOnce(&mut Book, CallId) -> Tell + Send>;

/// What takes long, step by step: it answers when it is over. It may have to know the call again, as [`AskOnce`].
pub(crate) type AskSteps = Box<dyn FnMut(&mut Book, CallId) -> Option<Tell> + Send>;

/// Writes the result, once what was asked is durable.
pub(crate) type Tell = Box<dyn FnOnce(&mut Writer) + Send>;

/// Writes a result that needs no book: with the time, in microseconds since the epoch.
pub(crate) type Say = Box<dyn FnOnce(u64, &mut Writer) + Send>;

/// What becomes of a request once its arguments were read.
pub(crate) enum Call {
    /// The book is asked.
    Book(Ask),
    /// The book is asked, and it must know the call again.
    Once(AskOnce),
    /// The book is asked again and again, until it is over.
    Steps(AskSteps),
    /// The answer is known, but it is written in its turn.
    Here(Say),
}

/// A method: its name, its parameters, and how many of them have to be there.
struct Method {
    name: &'static str,
    params: &'static [&'static str],
    required: usize,
    call: fn(Args<'_>, &Config) -> Result<Call, Refusal>,
}

/// In the order of the document. Parameters have the names that the Python server gives them: a request may name them.
const METHODS: &[Method] = &[
    method("update_work_unit", &["work_spec_name", "work_unit_key", "options"], 3, update_work_unit::update_work_unit),
    method("get_work", &["worker_id", "options"], 1, get_work::get_work),
    method("get_work_spec", &["work_spec_name"], 1, specs::get_work_spec),
    method(
        "worker_heartbeat",
        &["worker_id", "mode", "expire_seconds", "data", "parent"],
        3,
        workers::worker_heartbeat,
    ),
    method("add_work_units", &["work_spec_name", "work_unit_key_vals"], 2, add_work_units::add_work_units),
    method("get_child_work_units", &["worker_id"], 1, workers::get_child_work_units),
    method("set_work_spec", &["work_spec"], 1, set_work_spec::set_work_spec),
    method("list_work_specs", &["options"], 0, specs::list_work_specs),
    method("del_work_spec", &["work_spec_name"], 1, specs::del_work_spec),
    method("clear", &[], 0, specs::clear),
    method("control_work_spec", &["work_spec_name", "options"], 2, control_work_spec::control_work_spec),
    method("get_work_spec_meta", &["work_spec_name"], 1, control_work_spec::get_work_spec_meta),
    method("count_work_units", &["work_spec_name"], 1, units::count_work_units),
    method("get_work_units", &["work_spec_name", "options"], 1, get_work_units::get_work_units),
    method("prioritize_work_units", &["work_spec_name", "options"], 2, prioritize_work_units::prioritize_work_units),
    method("del_work_units", &["work_spec_name", "options"], 1, del_work_units::del_work_units),
    method(
        "get_work_unit_status",
        &["work_spec_name", "work_unit_keys"],
        2,
        get_work_unit_status::get_work_unit_status,
    ),
    method("worker_unregister", &["worker_id"], 1, workers::worker_unregister),
    method("list_worker_modes", &[], 0, workers::list_worker_modes),
    method("get_worker_info", &["worker_id"], 1, workers::get_worker_info),
    method("mode_counts", &[], 0, workers::mode_counts),
    method("worker_stats", &[], 0, workers::worker_stats),
    method("get_config", &[], 0, get_config::get_config),
    method("archive", &["options"], 0, archive::archive),
    method("now", &[], 0, get_config::now),
    method("lock", &["locker_id", "timeout", "keys"], 3, locks::lock),
    method("locksome", &["locker_id", "timeout", "keys"], 3, locks::locksome),
    method("renew", &["locker_id", "timeout", "keys"], 3, locks::renew),
    method("readlock", &["keys"], 1, locks::readlock),
    method("unlock", &["locker_id", "keys"], 2, locks::unlock),
    method("delete_namespace", &["prefix"], 1, locks::delete_namespace),
];

const fn method(
    name: &'static str,
    params: &'static [&'static str],
    required: usize,
    call: fn(Args<'_>, &Config) -> Result<Call, Refusal>,
) -> Method {
    Method { name, params, required, call }
}

/// The name of each number, in order; the last stands for what is no method.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|method| method.name).chain(["other"])
}

/// The number of a method.
pub(crate) fn number(name: &[u8]) -> usize {
    METHODS.iter().position(|method| method.name.as_bytes() == name).unwrap_or(METHODS.len())
}

/// Reads the arguments of a method, which has this number.
pub(crate) fn call(number: usize, name: &[u8], params: Params<'_>, config: &Config) -> Result<Call, Refusal> {
    let Some(method) = METHODS.get(number) else {
        return Err(Refusal::new(format!("no such method {}", String::from_utf8_lossy(name))));
    };
    let args = params.bind(method.name, method.params, method.required)?;
    (method.call)(args, config)
}

/// Asks the book.
fn ask<T: FnOnce(&mut Writer) + Send + 'static>(ask: impl FnOnce(&mut Book) -> T + Send + 'static) -> Call {
    Call::Book(Box::new(move |book| Box::new(ask(book))))
}

/// As [`ask`], of what would do harm if it were done twice: a call that is sent again is answered as it was before.
fn once<T: FnOnce(&mut Writer) + Send + 'static>(ask: impl FnOnce(&mut Book) -> T + Send + 'static) -> Call {
    Call::Once(Box::new(move |book, call| {
        let said = book.answered_before(call).unwrap_or_else(|| {
            let said = said(ask(book));
            book.keep_answer(call, said.clone());
            said
        });
        Box::new(move |out: &mut _| _ = out.raw(&said))
    }))
}

/// As [`ask`], of what takes long: asked until it answers. It may be done twice.
fn in_steps<T: FnOnce(&mut Writer) + Send + 'static>(
    mut step: impl FnMut(&mut Book) -> Option<T> + Send + 'static,
) -> Call {
    Call::Steps(Box::new(move |book, _| Some(Box::new(step(book)?))))
}

/// As [`once`], of what takes long: asked until it answers.
fn once_in_steps<T: FnOnce(&mut Writer) + Send + 'static>(
    mut step: impl FnMut(&mut Book) -> Option<T> + Send + 'static,
) -> Call {
    let mut begun = false;
    Call::Steps(Box::new(move |book, call| {
        let before = if std::mem::replace(&mut begun, true) { None } else { book.answered_before(call) };
        let said = match before {
            Some(said) => said,
            None => said(step(book)?),
        };
        book.keep_answer(call, said.clone());
        Some(Box::new(move |out: &mut _| _ = out.raw(&said)))
    }))
}

/// The bytes of an answer, of which there are few.
fn said(tell: impl FnOnce(&mut Writer)) -> work::Value {
    let mut out = Writer::default();
    tell(&mut out);
    out.as_slice().into()
}

/// Writes what needs no book.
fn here(tell: impl FnOnce(u64, &mut Writer) + Send + 'static) -> Call {
    Call::Here(Box::new(tell))
}

/// Writes the pair of a result and nothing to say of it.
fn pair(out: &mut Writer, result: impl FnOnce(&mut Writer)) {
    out.tuple(2);
    result(out);
    out.null();
}

/// Writes the pair of a result and what is said of it. Missing specs and units, lost leases and the like are no errors
/// to a client: it looks at the result.
fn in_band(out: &mut Writer, result: impl FnOnce(&mut Writer), message: impl AsRef<[u8]>) {
    out.tuple(2);
    result(out);
    out.bytes(message);
}

/// What the book refuses, in the words of the Python server.
fn words(refusal: &work::Refusal) -> Vec<u8> {
    let with = |text: &str, name: &[u8], rest: &str| [text.as_bytes(), name, rest.as_bytes()].concat();
    match refusal {
        work::Refusal::NoSpec(name) => with("no such work_spec ", &python::repr(name.as_bytes()), ""),
        work::Refusal::NoUnit(key) => with("no such work unit key=", &python::repr(key.as_bytes()), ""),
        work::Refusal::NotContinuous(name) => {
            with("cannot make non-continuous work spec ", name.as_bytes(), " continuous")
        }
        work::Refusal::NoWorker(name) => with("no worker ", &python::repr(name.as_bytes()), ""),
        work::Refusal::NothingToDo
        | work::Refusal::LostLease
        | work::Refusal::NotLockable(_)
        | work::Refusal::NotHeld(..) => refusal.to_string().into_bytes(),
    }
}

/// Writes the pair of `true` and nothing, or of `false` and the reason.
fn done_or_false(out: &mut Writer, result: &Result<(), work::Refusal>) {
    match result {
        Ok(()) => pair(out, |out| _ = out.bool(true)),
        Err(refusal) => in_band(out, |out| _ = out.bool(false), words(refusal)),
    }
}

/// A copy of its own for what is kept: the frame around it can go.
fn kept(value: Value<'_>) -> work::Value {
    value.raw().into()
}
