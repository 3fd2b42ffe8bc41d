//! `berth config import-buildgrid`.

use std::{fs, io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::import;

#[derive(Args)]
pub(crate) struct ImportArgs {
    /// Configuration file of BuildGrid's server (YAML)
    pub(crate) file: PathBuf,
    /// File to write; it must not be there yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON object: the lines of the report, and the file if it is not written elsewhere
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes the file, and says what became of each line: on standard error, or in the JSON.
pub(crate) fn run(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let shown = args.file.display();
    let text = fs::read_to_string(&args.file).with_context(|| format!("cannot read {shown}"))?;
    let imported = import(&text).with_context(|| format!("{shown} cannot be imported"))?;
    if let Some(out) = &args.out {
        let file = fs::File::options().write(true).create_new(true).open(out);
        let written = file.and_then(|mut file| file.write_all(imported.text.as_bytes()));
        written.with_context(|| format!("cannot write {}: expected a file that is not there yet", out.display()))?;
    }
    if args.json {
        let file = args.out.is_none().then_some(&imported.text);
        outln!("{}", json!({ "lines": imported.lines, "out": args.out, "configuration": file }));
        return Ok(ExitCode::SUCCESS);
    }
    for line in &imported.lines {
        eprintln!("{line}");
    }
    if args.out.is_none() {
        print!("{}", imported.text);
    }
    Ok(ExitCode::SUCCESS)
}
