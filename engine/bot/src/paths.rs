//! Which paths an action may name: all text from the wire that becomes a path passes through here.
//!
//! Two checks, because symlinks exist: by the text alone (`node_name`, `below_root`), and against the disk before
//! something is written or read (`stays_inside`).

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Failure;

/// Checks the name of a node in an input tree: one path component, and nothing else.
pub(crate) fn node_name(name: &str) -> Result<&str, Failure> {
    let refused = name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']);
    if refused {
        return Err(Failure::BadAction(format!("{name:?} is not a name that an input tree may hold")));
    }
    Ok(name)
}

/// Resolves `path`, as an action gives it, against `base` inside the root. The result is relative to the root and
/// has no `.` and no `..`.
pub(crate) fn below_root(base: &Path, path: &str) -> Result<PathBuf, Failure> {
    if path.starts_with('/') || path.contains('\0') {
        return Err(Failure::BadAction(format!("{path:?} must be a relative path")));
    }
    let mut resolved = base.to_owned();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                if !resolved.pop() {
                    return Err(Failure::BadAction(format!("{path:?} leaves the input root")));
                }
            }
            name => resolved.push(name),
        }
    }
    Ok(resolved)
}

/// Whether `path` (of which the last part need not exist) is inside `root` once all symlinks are followed.
pub(crate) fn stays_inside(root: &Path, path: &Path) -> io::Result<bool> {
    let root = root.canonicalize()?;
    let mut existing = path;
    loop {
        match existing.canonicalize() {
            Ok(real) => return Ok(real.starts_with(&root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A link to nowhere: what it names would be made outside of our sight.
                if existing.is_symlink() {
                    return Ok(false);
                }
                let Some(parent) = existing.parent() else { return Ok(false) };
                existing = parent;
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_node_name_is_one_component() {
        for bad in ["", ".", "..", "a/b", "/", "a\0b"] {
            assert!(matches!(node_name(bad), Err(Failure::BadAction(_))), "{bad:?}");
        }
        for good in ["a", "...", "a b", "-", "ü"] {
            assert_eq!(node_name(good), Ok(good));
        }
    }

    #[test]
    fn paths_are_resolved_within_the_root_and_refused_beyond_it() {
        let base = Path::new("work/dir");
        assert_eq!(below_root(base, "out/x").unwrap(), Path::new("work/dir/out/x"));
        assert_eq!(below_root(base, "./../y/").unwrap(), Path::new("work/y"));
        assert_eq!(below_root(base, "").unwrap(), base);
        for bad in ["../../../etc", "/etc/passwd", "a\0", "../../.."] {
            assert!(matches!(below_root(base, bad), Err(Failure::BadAction(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_symlink_out_of_the_root_is_seen_through() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("real")).unwrap();
        symlink("real", root.join("near")).unwrap();
        symlink("..", root.join("far")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        assert!(stays_inside(&root, &root.join("near/new/file")).unwrap());
        assert!(!stays_inside(&root, &root.join("far/new")).unwrap());
        assert!(!stays_inside(&root, &root.join("dangling/new")).unwrap());
    }
}
