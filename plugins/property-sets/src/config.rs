//! The configuration, in BuildGrid's words: what stands in its YAML stands here, and the tag of a set is the name of
//! its table.

use std::collections::BTreeSet;

use berth_policy_sdk::Property;
use serde::Deserialize;

use crate::rule::{ABSENT, Dynamic, Fixed, Label, PropertySet, Sets};

const OS_FAMILY: &str = "OSFamily";
const ISA: &str = "ISA";
/// One capability set holds all that a label needs, and a mark for each exclusive key.
const PROPERTIES_MAX: usize = 1024;
/// A bot for all instances offers one capability set for each property set.
const SETS_MAX: usize = 64;

/// All of it. Nothing set: a dynamic property set with its defaults.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Raw")]
pub(crate) struct Config(pub(crate) Sets);

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Raw {
    dynamic_property_set: Option<RawDynamic>,
    static_property_set: Option<RawStatic>,
    instanced_property_set: Option<RawInstanced>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawDynamic {
    label_key: Option<String>,
    unique_property_keys: BTreeSet<String>,
    match_property_keys: BTreeSet<String>,
    wildcard_property_keys: BTreeSet<String>,
    preferred_property_keys: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct RawStatic {
    property_labels: Vec<RawLabel>,
    wildcard_property_keys: BTreeSet<String>,
    exclusive_property_keys: BTreeSet<String>,
    preferred_property_keys: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLabel {
    label: String,
    properties: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInstanced {
    sets: Vec<RawInstances>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInstances {
    instances: Vec<String>,
    set: Raw,
}

impl TryFrom<Raw> for Config {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let Some(RawInstanced { sets }) = raw.instanced_property_set else { return Ok(Self(Sets::Same(one(raw)?))) };
        if raw.dynamic_property_set.is_some() || raw.static_property_set.is_some() {
            return Err("instanced-property-set stands beside another set: one is enough".to_owned());
        }
        if sets.len() > SETS_MAX {
            return Err(format!("instanced-property-set has more than {SETS_MAX} sets"));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = sets.iter().flat_map(|set| &set.instances).find(|name| !seen.insert(*name)) {
            return Err(format!("instanced-property-set names the instance {twice:?} twice"));
        }
        let sets = sets.into_iter().map(|set| Ok((set.instances, one(set.set)?))).collect::<Result<_, String>>()?;
        Ok(Self(Sets::ByInstance(sets)))
    }
}

fn one(raw: Raw) -> Result<PropertySet, String> {
    match raw {
        Raw { instanced_property_set: Some(_), .. } => Err("an instanced-property-set cannot hold another".to_owned()),
        Raw { dynamic_property_set: Some(_), static_property_set: Some(_), .. } => {
            Err("dynamic-property-set and static-property-set exclude each other".to_owned())
        }
        Raw { static_property_set: Some(raw), .. } => Ok(PropertySet::Static(fixed(raw)?)),
        Raw { dynamic_property_set, .. } => {
            Ok(PropertySet::Dynamic(dynamic(dynamic_property_set.unwrap_or_default())?))
        }
    }
}

fn dynamic(raw: RawDynamic) -> Result<Dynamic, String> {
    let mut set = Dynamic {
        unique: raw.unique_property_keys,
        matched: raw.match_property_keys,
        wildcard: raw.wildcard_property_keys,
        preferred: raw.preferred_property_keys,
        label_key: raw.label_key.unwrap_or_else(|| OS_FAMILY.to_owned()),
    };
    set.matched.extend([OS_FAMILY.to_owned(), ISA.to_owned()]);
    set.unique.insert(OS_FAMILY.to_owned());
    let known = |key: &String| set.matched.contains(key) || set.wildcard.contains(key);
    if let Some(key) = set.unique.iter().find(|key| !known(key)) {
        return Err(format!("unique-property-keys: {key:?} is neither a match nor a wildcard key"));
    }
    if !known(&set.label_key) {
        return Err(format!("label-key: {:?} is neither a match nor a wildcard key", set.label_key));
    }
    Ok(set)
}

fn fixed(raw: RawStatic) -> Result<Fixed, String> {
    let labels = raw.property_labels.into_iter().map(label).collect::<Result<Vec<Label>, String>>()?;
    if let Some(label) =
        labels.iter().find(|one| one.properties.len() + raw.exclusive_property_keys.len() > PROPERTIES_MAX)
    {
        return Err(format!("property-labels: {:?} has more than {PROPERTIES_MAX} properties", label.label));
    }
    Ok(Fixed {
        labels,
        wildcard: raw.wildcard_property_keys,
        exclusive: raw.exclusive_property_keys,
        preferred: raw.preferred_property_keys,
    })
}

fn label(RawLabel { label, properties }: RawLabel) -> Result<Label, String> {
    if properties.iter().any(|(name, _)| name == ABSENT) {
        return Err(format!("property-labels: {label:?} uses the name {ABSENT:?}, which this policy needs for itself"));
    }
    let mut properties: Vec<Property> = properties.into_iter().map(|(name, value)| Property { name, value }).collect();
    properties.sort_by(|one, other| (&one.name, &one.value).cmp(&(&other.name, &other.value)));
    properties.dedup();
    Ok(Label { label, properties })
}
