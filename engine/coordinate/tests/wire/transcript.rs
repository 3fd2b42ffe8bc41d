//! Every method with every option, as a dialogue that people read: `transcript.txt`.
//!
//! `#` a heading: a new server. `>` a request. `<` what we answer. `@` so many seconds pass. `~` what Coordinate's Python
//! server 0.1.5 answered, where that is something else. Times are shown from the start on, as `T+60.0`.
//!
//! After a change that is meant, `UPDATE_EXPECT=1` writes our answers anew. With the Python server at PEER (HOST:PORT),
//! `BERTH_COORDINATE_PEER=PEER cargo test --release -p berth-coordinate -- --ignored` writes its answers anew.

use std::{fmt::Write, net::ToSocketAddrs, path::PathBuf};

use expect_test::expect_file;

use crate::peer::{Client, START, Server};

/// Read when the test runs: what was just written anew needs no compiler.
fn transcript() -> (PathBuf, String) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire/transcript.txt");
    let text = std::fs::read_to_string(&file).expect("the transcript is beside this file");
    (file, text)
}

#[test]
fn every_method_answers_as_it_was_reviewed() {
    let mut out = String::new();
    let mut at: Option<(Server, Client)> = None;
    for line in transcript().1.lines().filter(|line| !line.starts_with("< ")) {
        writeln!(out, "{line}").unwrap();
        if line.starts_with('#') {
            let config = berth_coordinate::Config::default().with_global_config(&"a = 1\n".parse().unwrap());
            let rules = berth_core::work::Rules { completed_max: Some(2), ..Default::default() };
            let server = Server::with(config, rules);
            let client = server.client();
            at = Some((server, client));
        } else if let Some(call) = line.strip_prefix("> ") {
            let (_, client) = at.as_mut().expect("a heading comes first");
            writeln!(out, "< {}", since_start(&client.call(call))).unwrap();
        } else if let Some(seconds) = line.strip_prefix("@ ") {
            at.as_ref().expect("a heading comes first").0.pass(seconds.parse().expect("a number"));
        }
    }
    expect_file!["transcript.txt"].assert_eq(&out);
}

/// Not for every day: it needs the other server, and shows what that says in place of what we say.
#[test]
#[ignore = "needs Coordinate's Python server: see above"]
fn where_the_python_server_differs_is_written_down() {
    let address = std::env::var("BERTH_COORDINATE_PEER").expect("BERTH_COORDINATE_PEER names the server");
    let address = address.to_socket_addrs().expect("HOST:PORT").next().expect("an address");
    let mut client = Client::connect(address);
    let (mut out, mut call, mut clock_turned) = (String::new(), None, false);
    let (file, transcript) = transcript();
    for line in transcript.lines().filter(|line| !line.starts_with("~ ")) {
        writeln!(out, "{line}").unwrap();
        if line.starts_with('#') {
            clock_turned = false;
            empty(&mut client);
        } else if line.starts_with("@ ") {
            clock_turned = true;
        } else if let Some(text) = line.strip_prefix("> ") {
            // After this one it gives no work any more.
            call = Some(text).filter(|text| *text != "clear()");
        } else if let (Some(ours), Some(call), false) = (line.strip_prefix("< "), call.take(), clock_turned) {
            let theirs = client.call(call);
            if masked(&theirs) != masked(ours) {
                writeln!(out, "~ {}", masked(&theirs)).unwrap();
            }
        }
    }
    std::fs::write(file, out).unwrap();
}

fn empty(client: &mut Client) {
    for name in ["'p'", "'q'", "'r'", "None", "5"] {
        client.call(&format!("del_work_spec({name})"));
    }
    for name in ["w", "v", "c", "parent"] {
        client.call(&format!("worker_unregister('{name}')"));
    }
}

/// Numbers that are times become times since the start.
fn since_start(shown: &str) -> String {
    each_number(shown, |number| {
        let seconds = number.parse::<f64>().ok().filter(|seconds| *seconds >= START as f64 / 1e6 - 1e6)?;
        Some(format!("T+{:?}", seconds - START as f64 / 1e6))
    })
}

/// Times that another server's clock shows cannot be compared.
fn masked(shown: &str) -> String {
    let times = each_number(shown, |number| {
        number.parse::<f64>().ok().filter(|seconds| *seconds >= 1e9).map(|_| "TIME".to_owned())
    });
    let mut out = String::new();
    let mut rest = times.as_str();
    while let Some((before, after)) = rest.split_once("T+") {
        out.push_str(before);
        out.push_str("TIME");
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    }
    out + rest
}

fn each_number(shown: &str, replace: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = shown;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '\'') {
        let (before, found) = rest.split_at(start);
        out.push_str(before);
        let end = if let Some(string) = found.strip_prefix('\'') {
            // What stands in quotes is no number.
            string.find('\'').map_or(found.len(), |end| end + 2)
        } else {
            found.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(found.len())
        };
        let (found, after) = found.split_at(end);
        out.push_str(&replace(found).unwrap_or_else(|| found.to_owned()));
        rest = after;
    }
    out + rest
}
