//! Locks on paths of a tree. Who locks a path has all that is below it, and nobody has anything above.

use std::{ops::Bound, time::Duration};

use super::{
    Book, Fact, LockPath, LockRow, Locker, Refusal, Timer, Value,
    mutant::{Mutant, broken},
};
use crate::Timestamp;

/// A lock where no time is named, and the longest.
const TIMEOUT: Duration = Duration::from_secs(60);
const TIMEOUT_MAX: Duration = Duration::from_secs(1_000_000);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    locker: Locker,
    until: Timestamp,
}

impl Book {
    /// Locks all of these paths, or none. Each is tested against what was locked before the call.
    pub fn lock(&mut self, locker: &Locker, timeout_s: f64, paths: &[LockPath]) -> Result<(), Refusal> {
        if let Some(bad) = paths.iter().position(|path| !self.is_lockable(path)) {
            return Err(Refusal::NotLockable(bad));
        }
        self.set_locks(locker, timeout_s, paths.to_vec());
        Ok(())
    }

    /// Locks those that can be locked, and answers which.
    pub fn lock_some(&mut self, locker: &Locker, timeout_s: f64, paths: &[LockPath]) -> Vec<bool> {
        let locked: Vec<bool> = paths.iter().map(|path| self.is_lockable(path)).collect();
        let paths = paths.iter().zip(&locked).filter(|(_, locked)| **locked).map(|(path, _)| path.clone()).collect();
        self.set_locks(locker, timeout_s, paths);
        locked
    }

    /// Lets the locks go on, all or none.
    pub fn renew_locks(&mut self, locker: &Locker, timeout_s: f64, paths: &[LockPath]) -> Result<(), Refusal> {
        self.all_held(locker, paths)?;
        self.set_locks(locker, timeout_s, paths.to_vec());
        Ok(())
    }

    /// Who has each of exactly these paths.
    pub fn lock_owners(&self, paths: &[LockPath]) -> Vec<Option<Locker>> {
        paths.iter().map(|path| self.owner(path).cloned()).collect()
    }

    /// Every lock, by path.
    pub fn locks(&self) -> Vec<LockRow> {
        self.locks.keys().filter_map(|path| self.row_of_lock(path)).collect()
    }

    /// Gives the locks back, all or none.
    pub fn unlock(&mut self, locker: &Locker, paths: &[LockPath]) -> Result<(), Refusal> {
        self.all_held(locker, paths)?;
        self.emit_unlocked(paths.to_vec());
        Ok(())
    }

    /// Drops every lock below a first element, whoever has it, at most so many at a time. Answers whether there is more.
    pub fn delete_locks(&mut self, prefix: &Value, most: usize) -> bool {
        let prefix = std::slice::from_ref(prefix);
        let below = self.locks.range::<[Value], _>((Bound::Included(prefix), Bound::Unbounded));
        let below = below.map(|(path, _)| path).take_while(|path| path.starts_with(prefix));
        let paths: Vec<LockPath> = below.take(most).cloned().collect();
        let more = paths.len() == most;
        self.emit_unlocked(paths);
        more
    }

    /// What a row says of a lock.
    pub(super) fn row_of_lock(&self, path: &LockPath) -> Option<LockRow> {
        let Lock { locker, until } = self.locks.get(path)?.clone();
        Some(LockRow { path: path.clone(), locker, until })
    }

    pub(super) fn locked(&mut self, locker: &Locker, until: Timestamp, paths: &[LockPath]) {
        for path in paths {
            let lock = Lock { locker: locker.clone(), until };
            if let Some(was) = self.locks.insert(path.clone(), lock) {
                self.timers.remove(&(was.until, Timer::Lock(path.clone())));
            }
            self.timers.insert((until, Timer::Lock(path.clone())));
        }
    }

    pub(super) fn unlocked(&mut self, paths: &[LockPath]) {
        for path in paths {
            if let Some(lock) = self.locks.remove(path) {
                self.timers.remove(&(lock.until, Timer::Lock(path.clone())));
            }
        }
    }

    fn set_locks(&mut self, locker: &Locker, timeout_s: f64, paths: Vec<LockPath>) {
        if !paths.is_empty() {
            self.emit(Fact::Locked { locker: locker.clone(), until: self.now.after(timeout(timeout_s)), paths });
        }
    }

    fn emit_unlocked(&mut self, mut paths: Vec<LockPath>) {
        paths.sort_unstable();
        paths.dedup();
        if !paths.is_empty() {
            self.emit(Fact::Unlocked { paths });
        }
    }

    fn is_lockable(&self, path: &[Value]) -> bool {
        let above = (0..=path.len()).any(|len| self.locks.contains_key(&path[..len]));
        let next = self.locks.range::<[Value], _>((Bound::Excluded(path), Bound::Unbounded)).next();
        let below = next.is_some_and(|(next, _)| next.starts_with(path)) && !broken(Mutant::LocksBelowIgnored);
        !above && !below
    }

    fn all_held(&self, locker: &Locker, paths: &[LockPath]) -> Result<(), Refusal> {
        let held = |path: &LockPath| self.owner(path) == Some(locker);
        match paths.iter().position(|path| !held(path)) {
            Some(bad) => Err(Refusal::NotHeld(bad, self.owner(&paths[bad]).cloned())),
            None => Ok(()),
        }
    }

    fn owner(&self, path: &LockPath) -> Option<&Locker> {
        self.locks.get(path).map(|lock| &lock.locker)
    }
}

fn timeout(seconds: f64) -> Duration {
    if seconds >= TIMEOUT_MAX.as_secs_f64() {
        TIMEOUT_MAX
    } else if seconds > 0.0 {
        Duration::from_secs_f64(seconds)
    } else {
        TIMEOUT
    }
}
