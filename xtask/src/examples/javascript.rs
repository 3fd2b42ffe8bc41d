//! JavaScript: componentize-js from npm, in the folder where the example is built.

use anyhow::Context;

use super::{Failed, Place, copy, no_tools, quietly, tool};

pub(super) fn build(place: &Place) -> Result<(), Failed> {
    let app = place.work.join("app");
    copy(&place.sources, &app)?;
    // What an earlier installation left behind is no base for another.
    let modules = app.join("node_modules");
    if modules.exists() {
        std::fs::remove_dir_all(&modules).context("cannot remove node_modules")?;
    }
    let no_tools = no_tools("componentize-js cannot be had");
    let mut install = tool("npm");
    install.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&app);
    quietly(&mut install).map_err(&no_tools)?;
    let mut build = tool("node");
    build.arg("build.mjs").arg(place.wit()?).arg(&place.out).current_dir(&app);
    Ok(quietly(&mut build)?)
}
