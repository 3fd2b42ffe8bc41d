use std::os::unix::fs::symlink;

use super::*;

fn outputs(command: Command) -> Outputs {
    Outputs::of(&command).unwrap()
}

fn paths(paths: &[&str]) -> Command {
    Command { output_paths: paths.iter().map(|&path| path.into()).collect(), ..Default::default() }
}

fn collect(outputs: &Outputs, root: &Path) -> Collected {
    outputs.collect(root, &CancellationToken::new()).unwrap()
}

/// The content of an uploaded message.
fn uploaded<M: Message + Default>(collected: &Collected, digest: Option<&berth_proto::reapi::Digest>) -> M {
    let digest = digest::parse(digest, "test").unwrap();
    let blob = collected.blobs.iter().find(|blob| blob.digest == digest).expect("it is among the uploads");
    let Source::Memory(data) = &blob.source else { panic!("messages are in memory") };
    M::decode(data.clone()).unwrap()
}

#[test]
fn output_paths_are_described_as_what_they_are_and_absent_ones_left_out() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::create_dir_all(at("wd/dir")).unwrap();
    fs::write(at("wd/file"), "content").unwrap();
    fs::set_permissions(at("wd/file"), Permissions::from_mode(0o755)).unwrap();
    symlink("file", at("wd/link")).unwrap();
    symlink("dir", at("wd/dirlink")).unwrap();
    let command = Command { working_directory: "wd".into(), ..paths(&["absent", "dir", "dirlink", "file", "link"]) };
    let found = collect(&outputs(command), root.path());
    let result = &found.result;
    assert_eq!(result.output_files.len(), 1);
    assert_eq!(result.output_files[0].path, "file");
    assert!(result.output_files[0].is_executable);
    assert_eq!(result.output_directories[0].path, "dir");
    let links: Vec<_> = result.output_symlinks.iter().map(|link| (&*link.path, &*link.target)).collect();
    assert_eq!(links, [("dirlink", "dir"), ("link", "file")]);
    assert_eq!(result.output_file_symlinks[0].path, "link");
    assert_eq!(result.output_directory_symlinks[0].path, "dirlink");
    assert_eq!(found.mismatch, None);
}

#[test]
fn the_older_fields_fill_the_older_lists_and_a_wrong_kind_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("d")).unwrap();
    fs::write(root.path().join("f"), "").unwrap();
    symlink("f", root.path().join("l")).unwrap();
    let command = Command {
        output_files: vec!["f".into(), "l".into()],
        output_directories: vec!["d".into()],
        ..Default::default()
    };
    let found = collect(&outputs(command), root.path());
    assert!(found.result.output_symlinks.is_empty());
    assert_eq!(found.result.output_file_symlinks.len(), 1);
    assert_eq!((found.result.output_files.len(), found.result.output_directories.len()), (1, 1));
    let wrong = Command { output_files: vec!["d".into()], ..Default::default() };
    assert!(collect(&outputs(wrong), root.path()).mismatch.unwrap().contains("directory"));
}

#[test]
fn a_directory_becomes_a_tree_with_parents_before_children_and_equal_ones_once() {
    let root = tempfile::tempdir().unwrap();
    for twin in ["a", "b"] {
        fs::create_dir_all(root.path().join("out").join(twin).join("deep")).unwrap();
        fs::write(root.path().join("out").join(twin).join("deep/file"), "same").unwrap();
    }
    let found = collect(&outputs(paths(&["out"])), root.path());
    let tree: Tree = uploaded(&found, found.result.output_directories[0].tree_digest.as_ref());
    assert_eq!(tree.children.len(), 2);
    let digests: Vec<_> =
        tree.children.iter().map(|child| digest::wire(&digest::of_bytes(&child.encode_to_vec()))).collect();
    let top = tree.root.unwrap();
    assert_eq!(top.directories[0].digest.as_ref(), Some(&digests[0]));
    assert_eq!(top.directories[1].digest.as_ref(), Some(&digests[0]));
    assert_eq!(tree.children[0].directories[0].digest.as_ref(), Some(&digests[1]));
}

#[test]
fn the_format_says_whether_directories_are_uploaded_one_by_one() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("out/inner")).unwrap();
    let of = |format: OutputDirectoryFormat| {
        collect(&outputs(Command { output_directory_format: format.into(), ..paths(&["out"]) }), root.path())
    };
    let hierarchy = of(OutputDirectoryFormat::DirectoryOnly);
    let described = &hierarchy.result.output_directories[0];
    assert_eq!(described.tree_digest, None);
    let top: Directory = uploaded(&hierarchy, described.root_directory_digest.as_ref());
    let _: Directory = uploaded(&hierarchy, top.directories[0].digest.as_ref());
    let both = of(OutputDirectoryFormat::TreeAndDirectory);
    let described = &both.result.output_directories[0];
    assert!(described.tree_digest.is_some() && described.root_directory_digest.is_some());
}

#[test]
fn node_properties_come_back_when_asked_for_and_unknown_ones_are_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "").unwrap();
    fs::set_permissions(root.path().join("f"), Permissions::from_mode(0o640)).unwrap();
    let asking = |name: &str| Command { output_node_properties: vec![name.into()], ..paths(&["f"]) };
    let found = collect(&outputs(asking("unix_mode")), root.path());
    assert_eq!(found.result.output_files[0].node_properties.as_ref().unwrap().unix_mode, Some(0o640));
    assert!(matches!(Outputs::of(&asking("colour")), Err(Failure::BadAction(_))));
}

#[test]
fn outputs_beyond_the_root_are_refused_by_name_and_through_symlinks() {
    assert!(matches!(Outputs::of(&paths(&["../x"])), Err(Failure::BadAction(_))));
    assert!(matches!(Outputs::of(&paths(&["/etc/passwd"])), Err(Failure::BadAction(_))));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(folder.path().join("secret"), "x").unwrap();
    symlink("..", root.join("up")).unwrap();
    let found = outputs(paths(&["up/secret"])).collect(&root, &CancellationToken::new());
    assert!(matches!(found, Err(Failure::BadAction(_))));
}

#[test]
fn what_was_printed_is_inline_while_small() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (folder.path().join("small"), folder.path().join("large"));
    fs::write(&small, "hello").unwrap();
    fs::write(&large, vec![b'x'; 20_000]).unwrap();
    let mut collected = Collected::default();
    collected.add_printed(&small, &large).unwrap();
    assert_eq!(&collected.result.stdout_raw[..], b"hello");
    assert_eq!(collected.result.stdout_digest, None);
    assert!(collected.result.stderr_raw.is_empty());
    assert_eq!(collected.result.stderr_digest.unwrap().size_bytes, 20_000);
    assert_eq!(collected.blobs.len(), 1);
}

#[test]
fn parents_of_outputs_are_made_but_not_the_outputs_themselves() {
    let command = Command { working_directory: "wd".into(), ..paths(&["a/b/out", "c"]) };
    let outputs = outputs(command);
    let made: Vec<_> = outputs.directories_to_make().collect();
    assert_eq!(made, [Path::new("wd"), Path::new("wd/a/b")]);
    assert!(outputs.covers(Path::new("wd/a/b/out/below")) && !outputs.covers(Path::new("wd/a/b/other")));
}
