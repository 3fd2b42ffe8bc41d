//! Which instances share their bots.

use std::{collections::BTreeMap, sync::Arc};

use crate::InstanceName;

/// Instances whose bots serve each other's jobs. An instance that is not named stands alone; bots of
/// [`InstanceName::ALL`] serve every instance, whatever its pool. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools(Arc<BTreeMap<InstanceName, Arc<[InstanceName]>>>);

impl Pools {
    /// Each pool with its instances. Of an instance that is in several, the last counts: who configures them sees to it
    /// that there is one.
    pub fn new(pools: impl IntoIterator<Item = Vec<InstanceName>>) -> Self {
        let mut mates = BTreeMap::new();
        for pool in pools {
            let pool: Arc<[InstanceName]> = pool.into();
            mates.extend(pool.iter().map(|name| (name.clone(), pool.clone())));
        }
        Self(Arc::new(mates))
    }

    /// Whether bots of the one instance may serve jobs of the other.
    pub fn serves(&self, bots: &InstanceName, jobs: &InstanceName) -> bool {
        bots == jobs || bots.is_all() || self.0.get(bots).is_some_and(|pool| pool.contains(jobs))
    }

    /// Instances whose bots serve jobs of this one: itself, its pool, and those of all instances.
    pub fn serving(&self, jobs: &InstanceName) -> Vec<InstanceName> {
        let pool = self.0.get(jobs).into_iter().flat_map(|pool| pool.iter());
        let others = pool.filter(|name| *name != jobs).cloned();
        std::iter::once(jobs.clone()).chain(others).chain([InstanceName::from(InstanceName::ALL)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_serve_their_own_instance_their_pool_or_all() {
        let name = InstanceName::from;
        let pools = Pools::new([vec![name("a"), name("b")], vec![name("c")]]);
        for (bots, jobs, serves) in [
            ("a", "a", true),
            ("a", "b", true),
            ("b", "a", true),
            ("a", "c", false),
            ("d", "d", true),
            ("d", "a", false),
        ] {
            assert_eq!(pools.serves(&name(bots), &name(jobs)), serves, "{bots} {jobs}");
        }
        assert!(pools.serves(&name("*"), &name("a")) && !pools.serves(&name("a"), &name("*")));
        assert_eq!(pools.serving(&name("a")), ["a", "b", "*"].map(name));
        assert_eq!(pools.serving(&name("d")), ["d", "*"].map(name));
    }
}
