//! Python: componentize-py in a virtual environment of its own.

use super::{Failed, Place, copy, no_tools, quietly, tool};

pub(super) fn build(place: &Place) -> Result<(), Failed> {
    let environment = place.work.join("environment");
    let no_tools = no_tools("componentize-py cannot be had");
    let requirements = place.sources.join("requirements.txt");
    quietly(tool("python3").args(["-m", "venv"]).arg(&environment)).map_err(&no_tools)?;
    let mut install = tool(environment.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(requirements);
    quietly(&mut install).map_err(&no_tools)?;
    // What is run while the component is built must not leave anything beside the sources.
    let app = place.work.join("app");
    copy(&place.sources, &app)?;
    let mut componentize = tool(environment.join("bin/componentize-py"));
    componentize.arg("--wit-path").arg(place.wit()?).args(["--world", "policy", "componentize", "--stub-wasi"]);
    componentize.args(["policy", "--output"]).arg(&place.out).arg("--python-path").arg(&app);
    Ok(quietly(&mut componentize)?)
}
