//! `docs/parity/coordinate.md` names a test in each of its rows: here it is seen that there is one of that name.

use std::{fs, path::Path};

/// Modules of the package's own tests that CI runs over the wire.
const PYTHON: [&str; 5] = ["test_job_client", "test_job_flow", "test_task_master", "test_job", "test_rejester_worker"];

/// Where tests of our own stand.
const SOURCES: [&str; 3] = ["engine/coordinate/tests", "engine/core/src/work", "tests/e2e/tests"];

#[test]
fn every_row_of_the_parity_table_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/parity/coordinate.md")).expect("the page is there");
    let transcript = fs::read_to_string(root.join("engine/coordinate/tests/wire/transcript.txt")).expect("it is there");
    let headings: Vec<&str> = transcript.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let mut sources = String::new();
    SOURCES.iter().for_each(|folder| gather(&root.join(folder), &mut sources));

    let (mut rows, mut above) = (0, String::new());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let is_head = lines.peek().is_some_and(|next| next.starts_with("| ---"));
        if !line.starts_with('|') || line.starts_with("| ---") || is_head {
            continue;
        }
        rows += 1;
        let cell = line.trim_end_matches('|').rsplit('|').next().expect("a row has cells").trim();
        // "the same" as the row above.
        let cell = if cell.starts_with("the same") { above.clone() } else { cell.to_owned() };
        let named = tests_of(&cell);
        assert!(!named.is_empty(), "no test is named: {line}");
        for test in &named {
            assert!(exists(test, &headings, &sources, &root), "{test:?} is not there: {line}");
        }
        above = cell;
    }
    assert!(rows > 90, "{rows} rows are not all of them");
}

#[derive(Debug)]
enum Named {
    Heading(String),
    Code(String),
    Page(String),
}

/// Whatever stands between stars, in backticks, or is a link.
fn tests_of(cell: &str) -> Vec<Named> {
    let mut named = Vec::new();
    let mut method = String::new();
    for (place, part) in cell.split('`').enumerate() {
        if place % 2 == 1 {
            named.push(Named::Code(part.to_owned()));
            continue;
        }
        for heading in part.split('*').skip(1).step_by(2) {
            // `: more` is another heading of the method that was named before.
            let heading = if heading.starts_with(':') { format!("{method}{heading}") } else { heading.to_owned() };
            heading.split(':').next().unwrap_or_default().clone_into(&mut method);
            named.push(Named::Heading(heading));
        }
        let links = part.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        named.extend(links.map(|page| Named::Page(page.to_owned())));
    }
    named
}

fn exists(named: &Named, headings: &[&str], sources: &str, root: &Path) -> bool {
    match named {
        Named::Heading(heading) => match heading.strip_suffix("...") {
            Some(beginning) => headings.iter().any(|other| other.starts_with(beginning.trim_end())),
            None => headings.contains(&heading.as_str()),
        },
        Named::Page(page) => root.join("docs/parity").join(page).exists(),
        Named::Code(name) => {
            if let Some(test) = name.strip_prefix("py.") {
                return PYTHON.contains(&test.split('.').next().unwrap_or_default());
            }
            if name.contains('/') {
                return root.join(name).exists();
            }
            if name.ends_with(".rs") {
                return root.join("engine/coordinate/tests/wire").join(name).exists();
            }
            match name.strip_suffix("...") {
                Some(beginning) => sources.contains(&format!("fn {beginning}")),
                // What is no test is a key or a command that the cell speaks of.
                None => name.contains([' ', '=', '.']) || sources.contains(&format!("fn {name}()")),
            }
        }
    }
}

fn gather(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            gather(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&fs::read_to_string(path).expect("it is text"));
        }
    }
}
