//! Work specs.

use std::collections::BTreeMap;

use berth_core::{
    Timestamp,
    work::{Control, Refusal, SpecMeta, SpecName, SpecSettings, Value},
};

use super::{Model, Spec};

impl Model {
    pub(crate) fn set_spec(&mut self, settings: SpecSettings) {
        let meta = SpecMeta {
            paused: settings.paused,
            continuous: settings.continuous,
            interval: settings.interval,
            max_running: settings.max_running,
            weight: settings.weight,
        };
        if !self.specs.contains_key(&settings.name) {
            self.made += 1;
        }
        let made = self.made;
        let spec = self.specs.entry(settings.name.clone()).or_insert_with(|| Spec {
            settings: settings.clone(),
            meta: meta.clone(),
            next_continuous: Timestamp(0),
            archived_finished: 0,
            archived_failed: 0,
            made,
            units: BTreeMap::new(),
        });
        spec.settings = settings;
        spec.meta = meta;
    }

    pub(crate) fn spec(&self, name: &SpecName) -> Option<Value> {
        Some(self.specs.get(name)?.settings.raw.clone())
    }

    pub(crate) fn specs(&self, start: Option<&SpecName>, limit: usize) -> (Vec<Value>, Option<SpecName>) {
        let all: Vec<&Spec> = self
            .specs
            .iter()
            .filter(|(name, _)| start.is_none_or(|start| *name >= start))
            .map(|(_, one)| one)
            .collect();
        let shown = all.iter().take(limit).map(|spec| spec.settings.raw.clone()).collect();
        (shown, all.get(limit).map(|spec| spec.settings.name.clone()))
    }

    pub(crate) fn delete_spec(&mut self, name: &SpecName) -> Result<(), Refusal> {
        self.find(name)?;
        self.specs.remove(name);
        Ok(())
    }

    pub(crate) fn clear(&mut self, last: &mut Option<SpecName>, most: usize) -> (u64, bool) {
        let mut cleared = 0;
        for _ in 0..most {
            let next = self.specs.keys().find(|name| last.as_ref().is_none_or(|last| *name > last)).cloned();
            let Some(name) = next else { return (cleared, false) };
            self.specs.remove(&name);
            *last = Some(name);
            cleared += 1;
        }
        (cleared, true)
    }

    pub(crate) fn control_spec(&mut self, name: &SpecName, control: Control) -> Result<(), Refusal> {
        let spec = self.find_mut(name)?;
        if control.continuous == Some(true) && !spec.settings.continuous {
            return Err(Refusal::NotContinuous(name.clone()));
        }
        let meta = &mut spec.meta;
        control.continuous.into_iter().for_each(|value| meta.continuous = value);
        control.paused.into_iter().for_each(|value| meta.paused = value);
        control.weight.into_iter().for_each(|value| meta.weight = value);
        control.interval.into_iter().for_each(|value| meta.interval = value);
        control.max_running.into_iter().for_each(|value| meta.max_running = value);
        Ok(())
    }

    pub(crate) fn spec_meta(&self, name: &SpecName) -> Result<SpecMeta, Refusal> {
        Ok(self.find(name)?.meta.clone())
    }
}
