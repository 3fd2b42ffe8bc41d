//! `cargo xtask up`: a server and a bot on this machine, in the foreground.
//!
//! This process becomes the server, so that Ctrl-C and the exit code are the server's own. A second process waits
//! until the server takes connections, says how to use it, and ends.

use std::io::{ErrorKind, Read, Write};
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
    /// Where metrics and health are served
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8981")]
    http: SocketAddr,
    /// Where clients of Coordinate's job server connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5932")]
    coordinate: SocketAddr,
    /// Set for the second process: the server to wait for
    #[arg(long, hide = true)]
    announce: Option<u32>,
    /// Anything else for `berth serve`, after `--`
    #[arg(last = true)]
    serve: Vec<String>,
}

pub(crate) fn up(options: Options) -> Result<()> {
    if let Some(server) = options.announce {
        announce(server, &options);
        return Ok(());
    }
    let berth = build_berth()?;
    for (flag, address) in [("--grpc", options.grpc), ("--http", options.http), ("--coordinate", options.coordinate)] {
        let taken = TcpListener::bind(address).is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
        if taken {
            bail!("{address} is taken: is another server running? `{flag} ADDR` chooses another address");
        }
    }
    start_announcer(&options)?;
    let mut serve = Command::new(berth);
    serve.args(["serve", "--instance", INSTANCE]);
    serve.args(["--bots", &options.bots.to_string()]);
    serve.args(["--grpc", &options.grpc.to_string(), "--http", &options.http.to_string()]);
    serve.args(["--coordinate", &options.coordinate.to_string()]);
    if let Some(data) = options.data {
        serve.arg("--data").arg(data);
    }
    serve.args(options.serve);
    cargo::exec(serve)
}

/// Starts the second process by way of a shell that ends at once, so that the server has no child to collect.
fn start_announcer(options: &Options) -> Result<()> {
    let me = std::env::current_exe().context("cannot find this program")?;
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" up --grpc "$1" --http "$2" --announce "$3" &"#]).arg(me);
    shell.args([options.grpc.to_string(), options.http.to_string(), std::process::id().to_string()]);
    cargo::run(&mut shell)
}

fn announce(server: u32, options: &Options) {
    let process = PathBuf::from(format!("/proc/{server}"));
    while !is_healthy(options.http).unwrap_or(false) {
        if !process.exists() {
            return; // It has said why it could not start.
        }
        sleep(Duration::from_millis(100));
    }
    println!("\n{}", usage(options.grpc, &cargo::root()));
}

/// Asks as a monitor would. That a connection is taken is not enough: the address is taken early, the store is opened
/// later.
fn is_healthy(http: SocketAddr) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect_timeout(&http, Duration::from_secs(1))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: berth\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
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
