//! Locks.

use std::time::Duration;

use berth_core::work::{LockPath, Locker, Refusal, Value};

use super::Model;

impl Model {
    pub(crate) fn lock(&mut self, locker: &Locker, timeout: f64, paths: &[LockPath]) -> Result<(), Refusal> {
        for (place, path) in paths.iter().enumerate() {
            if !self.is_free(path) {
                return Err(Refusal::NotLockable(place));
            }
        }
        paths.iter().for_each(|path| self.set(locker, timeout, path));
        Ok(())
    }

    pub(crate) fn lock_some(&mut self, locker: &Locker, timeout: f64, paths: &[LockPath]) -> Vec<bool> {
        let free: Vec<bool> = paths.iter().map(|path| self.is_free(path)).collect();
        for (path, free) in paths.iter().zip(&free) {
            if *free {
                self.set(locker, timeout, path);
            }
        }
        free
    }

    pub(crate) fn renew_locks(&mut self, locker: &Locker, timeout: f64, paths: &[LockPath]) -> Result<(), Refusal> {
        self.are_held(locker, paths)?;
        paths.iter().for_each(|path| self.set(locker, timeout, path));
        Ok(())
    }

    pub(crate) fn lock_owners(&self, paths: &[LockPath]) -> Vec<Option<Locker>> {
        paths.iter().map(|path| self.locks.get(path).map(|(locker, _)| locker.clone())).collect()
    }

    pub(crate) fn unlock(&mut self, locker: &Locker, paths: &[LockPath]) -> Result<(), Refusal> {
        self.are_held(locker, paths)?;
        self.locks.retain(|path, _| !paths.contains(path));
        Ok(())
    }

    pub(crate) fn delete_locks(&mut self, prefix: &Value, most: usize) -> bool {
        for _ in 0..most {
            let Some(path) = self.locks.keys().find(|path| path.first() == Some(prefix)).cloned() else { return false };
            self.locks.remove(&path);
        }
        true
    }

    /// Nothing on the way from the root to it is locked, and nothing below it.
    fn is_free(&self, path: &LockPath) -> bool {
        !self.locks.keys().any(|locked| path.starts_with(locked) || locked.starts_with(path))
    }

    fn are_held(&self, locker: &Locker, paths: &[LockPath]) -> Result<(), Refusal> {
        for (place, owner) in self.lock_owners(paths).into_iter().enumerate() {
            if owner.as_ref() != Some(locker) {
                return Err(Refusal::NotHeld(place, owner));
            }
        }
        Ok(())
    }

    fn set(&mut self, locker: &Locker, timeout: f64, path: &LockPath) {
        let seconds = if timeout > 0.0 { timeout.min(1e6) } else { 60.0 };
        let until = self.now.after(Duration::from_secs_f64(seconds));
        self.locks.insert(path.clone(), (locker.clone(), until));
    }
}
