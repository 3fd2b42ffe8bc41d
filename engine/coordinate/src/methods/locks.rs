//! Locks on paths of a tree: `lock`, `locksome`, `renew`, `readlock`, `unlock`, `delete_namespace`.

use berth_core::work::{LockPath, Locker, Refusal as Refused, STEP_MAX};

use super::{
    Call,
    arguments::{at_most, expected, name, number},
    ask, in_band, in_steps, kept, once, pair,
};
use crate::{
    cbor::{Value, Writer, canonical},
    config::Config,
    envelope::Args,
    python,
    refusal::Refusal,
};

/// Bounds of what is locked in one call.
const PATHS_MAX: usize = 10_000;
const PATH_BYTES_MAX: usize = 4096;

/// The paths of a call, as the book compares them and as the client sent them.
struct Paths {
    compared: Vec<LockPath>,
    sent: Vec<berth_core::work::Value>,
}

impl Paths {
    /// A list or tuple of paths, each a list or tuple of any values.
    fn read(value: Value<'_>) -> Result<Self, Refusal> {
        let bad = || Refusal::new("cannot decode key paths: expected a list of lists");
        let mut paths = Self { compared: Vec::new(), sent: Vec::new() };
        for path in at_most(PATHS_MAX, value.items().ok_or_else(bad)?, "keys")? {
            let elements = path.items().ok_or_else(bad)?;
            if path.raw().len() > PATH_BYTES_MAX {
                return Err(expected("keys", &format!("paths of at most {PATH_BYTES_MAX} bytes")));
            }
            paths.compared.push(elements.map(|element| canonical(element).into()).collect());
            paths.sent.push(kept(path));
        }
        Ok(paths)
    }

    /// Why nothing was done, about the path that was in the way.
    fn words(&self, refused: &Refused) -> Vec<u8> {
        let path = |place: usize| {
            let elements = self.sent.get(place).and_then(|path| Value::checked(path).items()).into_iter().flatten();
            let shown: Vec<_> = elements.map(show).collect();
            [b"[", shown.join(&b", "[..]).as_slice(), b"]"].concat()
        };
        match refused {
            Refused::NotLockable(place) => [path(*place), b" is not lockable".to_vec()].concat(),
            Refused::NotHeld(place, owner) => {
                let owner = owner.as_ref().map_or_else(|| b"None".to_vec(), |owner| python::repr(owner.as_bytes()));
                [path(*place), b" is held by ".to_vec(), owner].concat()
            }
            other => super::words(other),
        }
    }
}

/// An element of a path in a message.
fn show(element: Value<'_>) -> Vec<u8> {
    match (element.string(), element.number()) {
        (Some(string), _) => python::repr(&string),
        (None, Some(number)) => number.to_string().into_bytes(),
        (None, None) => b"...".to_vec(),
    }
}

fn timeout(args: &Args<'_>) -> Result<f64, Refusal> {
    args.given(1).map_or(Ok(0.0), |timeout| number(timeout, "timeout"))
}

/// `lock(id, timeout, keys)`: all paths or none. Result: the pair of whether they are locked, and why not.
pub(super) fn lock(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let (locker, timeout, paths) = (name(&args, 0, "locker_id")?, timeout(&args)?, Paths::read(args.at(2))?);
    Ok(once(move |book| {
        let result = book.lock(&locker, timeout, &paths.compared);
        move |out: &mut _| write_done(out, &paths, &result)
    }))
}

/// `locksome(id, timeout, keys)`: as many paths as can be. Result: the pair of a list, in which a path that is not locked
/// is null, and nothing.
pub(super) fn locksome(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let (locker, timeout, paths) = (name(&args, 0, "locker_id")?, timeout(&args)?, Paths::read(args.at(2))?);
    Ok(once(move |book| {
        let locked = book.lock_some(&locker, timeout, &paths.compared);
        move |out: &mut _| {
            pair(out, |out| {
                out.array(locked.len());
                for (path, locked) in paths.sent.iter().zip(locked) {
                    if locked {
                        out.raw(path)
                    } else {
                        out.null()
                    };
                }
            });
        }
    }))
}

/// `renew(id, timeout, keys)`: all paths or none. Result: the pair of whether that was done, and why not.
pub(super) fn renew(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let (locker, timeout, paths) = (name(&args, 0, "locker_id")?, timeout(&args)?, Paths::read(args.at(2))?);
    Ok(ask(move |book| {
        let result = book.renew_locks(&locker, timeout, &paths.compared);
        move |out: &mut _| write_done(out, &paths, &result)
    }))
}

/// `readlock(keys)`. Result: a list of who holds each path itself, or null; and no pair.
pub(super) fn readlock(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let paths = Paths::read(args.at(0))?;
    Ok(ask(move |book| {
        let owners = book.lock_owners(&paths.compared);
        move |out: &mut _| {
            out.array(owners.len());
            owners.iter().for_each(|owner| write_owner(owner.as_ref(), out));
        }
    }))
}

fn write_owner(owner: Option<&Locker>, out: &mut Writer) {
    match owner {
        Some(owner) => _ = out.bytes(owner.as_bytes()),
        None => _ = out.null(),
    }
}

/// `unlock(id, keys)`: all paths or none. Result: the pair of whether that was done, and why not.
pub(super) fn unlock(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let (locker, paths) = (name(&args, 0, "locker_id")?, Paths::read(args.at(1))?);
    Ok(once(move |book| {
        let result = book.unlock(&locker, &paths.compared);
        move |out: &mut _| write_done(out, &paths, &result)
    }))
}

/// `delete_namespace(prefix)`: all locks on paths that begin with it. Result: 0.
pub(super) fn delete_namespace(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let prefix: berth_core::work::Value = canonical(args.at(0)).into();
    Ok(in_steps(move |book| (!book.delete_locks(&prefix, STEP_MAX)).then_some(|out: &mut Writer| _ = out.uint(0))))
}

fn write_done(out: &mut Writer, paths: &Paths, result: &Result<(), Refused>) {
    match result {
        Ok(()) => pair(out, |out| _ = out.bool(true)),
        Err(refused) => in_band(out, |out| _ = out.bool(false), paths.words(refused)),
    }
}
