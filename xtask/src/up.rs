//! `cargo xtask up`: a server and a bot on this machine, in the foreground.
//!
//! This process becomes the server, so that Ctrl-C and the exit code are the server's own. A second process waits
//! until the server takes connections, says how to use it, and ends.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cargo::{self, build_berth};

const INSTANCE: &str = "main";

/// Stand-ins for what Bazel 4 downloads before it compiles C.
const STUBS: [&str; 4] = ["rules_cc", "rules_java", "rules_proto", "remote_coverage_tools"];
const STUBS_AT: &str = "tests/clients/stubs";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where jobs and blobs are kept [default: a folder under the user's data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many bots run in the server's process
    #[arg(long, default_value_t = 1)]
    bots: u32,
    /// Where build clients and bots connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8980")]
    grpc: SocketAddr,
    /// Set for the second process: the server to wait for
    #[arg(long, hide = true)]
    announce: Option<u32>,
    /// Anything else for `berth serve`, after `--`
    #[arg(last = true)]
    serve: Vec<String>,
}

pub(crate) fn up(options: Options) -> Result<()> {
    if let Some(server) = options.announce {
        announce(server, options.grpc);
        return Ok(());
    }
    let berth = build_berth()?;
    if let Err(error) = TcpListener::bind(options.grpc)
        && error.kind() == ErrorKind::AddrInUse
    {
        bail!("{} is taken: is another server running? `--grpc ADDR` chooses another address", options.grpc);
    }
    start_announcer(options.grpc)?;
    let mut serve = Command::new(berth);
    serve.args(["serve", "--instance", INSTANCE]);
    serve.args(["--bots", &options.bots.to_string(), "--grpc", &options.grpc.to_string()]);
    if let Some(data) = options.data {
        serve.arg("--data").arg(data);
    }
    serve.args(options.serve);
    cargo::exec(serve)
}

/// Starts the second process by way of a shell that ends at once, so that the server has no child to collect.
fn start_announcer(grpc: SocketAddr) -> Result<()> {
    let me = std::env::current_exe().context("cannot find this program")?;
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" up --grpc "$1" --announce "$2" &"#]).arg(me);
    cargo::run(shell.arg(grpc.to_string()).arg(std::process::id().to_string()))
}

fn announce(server: u32, grpc: SocketAddr) {
    let process = PathBuf::from(format!("/proc/{server}"));
    while TcpStream::connect_timeout(&grpc, Duration::from_secs(1)).is_err() {
        if !process.exists() {
            return; // It has said why it could not start.
        }
        sleep(Duration::from_millis(100));
    }
    println!("\n{}", usage(grpc, cargo::root()));
}

fn usage(grpc: SocketAddr, root: &Path) -> String {
    let mut text = format!(
        "Send it a build, from the folder of your project:\n\n\
         \x20   bazel build --remote_executor=grpc://{grpc} --remote_instance_name={INSTANCE} //...\n\n\
         Debian's Bazel 4 on a machine without a network also needs:\n\n"
    );
    let stubs =
        STUBS.map(|name| format!("    --override_repository={name}={}", root.join(STUBS_AT).join(name).display()));
    text += &stubs.join(" \\\n");
    text += "\n\nCtrl-C stops the server.\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_paste_names_address_and_instance() {
        let usage = usage("127.0.0.1:8980".parse().expect("an address"), Path::new("/berth"));
        assert!(
            usage.contains("bazel build --remote_executor=grpc://127.0.0.1:8980 --remote_instance_name=main //...")
        );
    }

    #[test]
    fn the_stand_ins_are_in_the_repository() {
        for name in STUBS {
            assert!(cargo::root().join(STUBS_AT).join(name).join("WORKSPACE").is_file(), "{name}");
        }
    }
}
