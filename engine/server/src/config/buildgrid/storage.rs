//! Storages and action caches: Berth has one of each, or asks another server for both.

use std::rc::Rc;

use super::{
    Import, without,
    yaml::{Entry, Node},
};

impl Import {
    /// `is_whole`: it is the storage of a service, and no part of another.
    pub(super) fn storage(&mut self, node: &Rc<Node>, is_whole: bool) {
        if !self.is_new(node) {
            return;
        }
        let kind = node.tag.clone().unwrap_or_default();
        let because = without::reason(&kind, "*");
        if let Some(because) = because {
            self.whole(node, because);
        }
        // An index beside a storage changes nothing about what the storage is.
        let is_whole =
            is_whole && (because.is_none() || matches!(&*kind, "!sql-index" | "!redis-index" | "!redis-fmb-cache"));
        for entry in node.entries() {
            match (kind.as_str(), entry.key.as_str()) {
                (_, "storage" | "cache" | "fallback") => self.storage(&entry.node, is_whole),
                (_, "storages") => self.each(&entry.node, |import, part| import.storage(part, false)),
                (_, "shards" | "size-limited-storages") => self.each(&entry.node, |import, part| {
                    if let Some(part) = part.get("storage") {
                        import.storage(part, false);
                    }
                }),
                _ if because.is_some() => {}
                ("!disk-storage", "path") => {
                    self.changed(
                        &kind,
                        entry,
                        "",
                        "blobs are in the folder cas/ of the data folder; they are not moved",
                    );
                }
                ("!lru-storage", "size") => self.size(&kind, entry, is_whole),
                ("!remote-storage", "url") => self.remote(&kind, entry, is_whole),
                _ => self.other(&kind, entry),
            }
        }
    }

    fn size(&mut self, kind: &str, entry: &Entry, is_whole: bool) {
        match entry.node.text().and_then(bytes_of).and_then(|bytes| i64::try_from(bytes).ok()) {
            Some(bytes) if is_whole => {
                self.set(kind, entry, &["cas", "max_bytes"], bytes, "blobs are on the disk, not in memory");
            }
            Some(_) => self.without(kind, entry, "blobs are in one place, and the kernel keeps in memory what is used"),
            None => self.odd(kind, entry, "a size such as 2G"),
        }
    }

    fn remote(&mut self, kind: &str, entry: &Entry, is_whole: bool) {
        let Some(url) = entry.node.text() else { return self.odd(kind, entry, "an address") };
        let plain = url.strip_prefix("http://").or_else(|| (!url.contains("://")).then_some(url));
        match plain.map(|address| address.trim_end_matches('/')) {
            Some(address) if is_whole => self.set(kind, entry, &["cas", "address"], address, ""),
            Some(_) => self.without(kind, entry, "blobs are in one place"),
            None => self.without(kind, entry, "this version of Berth speaks to another storage without TLS only"),
        }
    }

    pub(super) fn cache(&mut self, node: &Rc<Node>) {
        if !self.is_new(node) {
            return;
        }
        let kind = node.tag.clone().unwrap_or_default();
        let because = without::reason(&kind, "*");
        if let Some(because) = because {
            self.whole(node, because);
        }
        for entry in node.entries() {
            let truth = entry.node.truth();
            match entry.key.as_str() {
                "storage" => {
                    self.storage(&entry.node, false);
                    self.refer(&kind, entry);
                }
                "cache" | "fallback" | "first" | "second" | "action-cache" => self.cache(&entry.node),
                "shards" => self.each(&entry.node, |import, part| {
                    if let Some(part) = part.get("cache") {
                        import.cache(part);
                    }
                }),
                "allow-updates" => match truth {
                    Some(allowed) => self.set(&kind, entry, &["cas", "clients_may_update_actions"], allowed, ""),
                    None => self.odd(&kind, entry, "true or false"),
                },
                "cache-failed-actions" if truth == Some(false) => {
                    self.kept(&kind, entry, "it is: only results of commands that ended with 0 are kept");
                }
                "cache-failed-actions" => {
                    self.changed(&kind, entry, "", "only results of commands that ended with 0 are kept");
                }
                _ if because.is_some() => {}
                _ => self.other(&kind, entry),
            }
        }
    }
}

/// `512`, `10 kb`, `2G`: as BuildGrid reads sizes, in steps of 1024.
fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match text[digits..].trim().trim_end_matches('b') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_buildgrid_reads_them() {
        for (text, bytes) in [("512", Some(512)), ("10 kb", Some(10_240)), ("2G", Some(2_147_483_648)), ("3b", Some(3))]
        {
            assert_eq!(bytes_of(text), bytes, "{text}");
        }
        assert_eq!((bytes_of("much"), bytes_of("2x"), bytes_of("99999999999999T")), (None, None, None));
    }
}
