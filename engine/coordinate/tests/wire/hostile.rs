//! Clients that mean no good, or whose encoder is broken: arbitrary bytes, arbitrary CBOR for every method, and requests
//! with something wrong in them. The server answers or closes, within its time and its memory, and goes on.
//!
//! `BERTH_FUZZ_SECONDS` says for how long (5), `BERTH_FUZZ_SEED` where to begin; the seed is printed.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use minicbor::{
    Encoder,
    data::{Int, Tag},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::peer::{Client, Server, framed};

/// Every method, with how many parameters it has.
const METHODS: &[(&str, usize)] = &[
    ("set_work_spec", 1),
    ("get_work_spec", 1),
    ("list_work_specs", 1),
    ("del_work_spec", 1),
    ("clear", 0),
    ("control_work_spec", 2),
    ("get_work_spec_meta", 1),
    ("add_work_units", 2),
    ("count_work_units", 1),
    ("get_work_units", 2),
    ("prioritize_work_units", 2),
    ("del_work_units", 2),
    ("get_work_unit_status", 2),
    ("update_work_unit", 3),
    ("get_work", 2),
    ("get_child_work_units", 1),
    ("worker_heartbeat", 5),
    ("worker_unregister", 1),
    ("list_worker_modes", 0),
    ("get_worker_info", 1),
    ("mode_counts", 0),
    ("worker_stats", 0),
    ("get_config", 0),
    ("archive", 1),
    ("now", 0),
    ("lock", 3),
    ("locksome", 3),
    ("renew", 3),
    ("readlock", 1),
    ("unlock", 2),
    ("delete_namespace", 1),
];

/// Words that mean something: without them, arbitrary CBOR never comes past the first check.
const WORDS: &[&str] = &[
    "p",
    "q",
    "k",
    "w",
    "name",
    "weight",
    "nice",
    "priority",
    "disabled",
    "continuous",
    "interval",
    "max_running",
    "max_getwork",
    "max_retries",
    "then",
    "then_preempts",
    "runtime",
    "min_gb",
    "status",
    "limit",
    "start",
    "state",
    "work_unit_keys",
    "adjustment",
    "all",
    "lease_time",
    "data",
    "worker_id",
    "max_jobs",
    "work_spec_names",
    "available_gb",
    "output",
    "traceback",
    "delay",
    "module",
    "run_function",
    "age_seconds",
    "id",
    "method",
    "params",
];

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

#[test]
fn the_server_answers_or_closes_whatever_comes() {
    let seed = env("BERTH_FUZZ_SEED", u64::from(std::process::id()) ^ Instant::now().elapsed().as_nanos() as u64);
    let seconds = env("BERTH_FUZZ_SECONDS", 5);
    println!("BERTH_FUZZ_SEED={seed}");
    let random = &mut SmallRng::seed_from_u64(seed);
    let server = Server::start();
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut connections, mut replies) = (0_u64, 0_u64);
    while Instant::now() < end {
        connections += 1;
        let sent: Vec<u8> = (0..random.random_range(1..200)).flat_map(|_| anything(random)).collect();
        replies += conversation(&server, &sent);
        let seconds = random.random_range(0.0..400.0);
        server.pass(seconds);
    }
    println!("{connections} connections, {replies} replies");
    assert!(replies > connections, "most of what is sent is understood");
    // It lives, and knows what it says.
    let mut client = server.client();
    client.call("clear()");
    client.call("set_work_spec({'name': 'alive'})");
    client.call("add_work_units('alive', [('k', {})])");
    assert_eq!(client.call("get_work('w', {'work_spec_names': ['alive']})"), "(('alive', 'k', {}), None)");
    let kib = resident_kib();
    assert!(kib < 1 << 20, "{kib} KiB of memory after {connections} connections");
}

/// Sends, and reads to the end: how many replies there were.
fn conversation(server: &Server, sent: &[u8]) -> u64 {
    let stream = TcpStream::connect(server.address).unwrap();
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The server may have closed.
            let _ = writer.write_all(sent);
            let _ = writer.shutdown(Shutdown::Write);
        });
        let mut client = Client::connect(server.address);
        client.stream = stream;
        client.stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut replies = 0;
        while let Some(reply) = client.receive_any() {
            // Every reply is CBOR, and a map or a list of maps.
            assert!(matches!(reply.first(), Some(0x80..=0xbf)), "{reply:02x?}");
            assert!(!crate::notation::show(&reply).is_empty());
            replies += 1;
        }
        replies
    })
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or_default()
}

/// Something to send.
fn anything(random: &mut SmallRng) -> Vec<u8> {
    match random.random_range(0..100) {
        0 => (0..random.random_range(0..40)).map(|_| random.random()).collect(),
        1 => framed(&(0..random.random_range(0..40)).map(|_| random.random()).collect::<Vec<u8>>()),
        2 => value(random, 4),
        3 => framed(&value(random, 6)),
        // A frame that promises more than it has takes what follows for its own.
        4..8 => {
            let mut request = framed(&request(random));
            let at = random.random_range(0..request.len());
            request[at] = random.random();
            request
        }
        8 => request(random),
        _ => framed(&request(random)),
    }
}

fn request(random: &mut SmallRng) -> Vec<u8> {
    let (method, count) = METHODS[random.random_range(0..METHODS.len())];
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out);
    encoder.map(3).unwrap().bytes(b"id").unwrap().u8(1).unwrap();
    encoder.bytes(b"method").unwrap().bytes(method.as_bytes()).unwrap().bytes(b"params").unwrap();
    let count = if random.random_ratio(1, 20) { random.random_range(0..8) } else { count };
    encoder.array(count as u64).unwrap();
    for place in 0..count {
        // Names come first.
        let named = place == 0 && method != "set_work_spec" && !random.random_ratio(1, 10);
        out.extend(if named { word(random) } else { value(random, 4) });
    }
    out
}

fn word(random: &mut SmallRng) -> Vec<u8> {
    let word = WORDS[random.random_range(0..WORDS.len())];
    let mut out = Vec::new();
    if random.random() {
        Encoder::new(&mut out).bytes(word.as_bytes()).unwrap();
    } else {
        Encoder::new(&mut out).str(word).unwrap();
    }
    out
}

fn value(random: &mut SmallRng, depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let kinds = if depth == 0 { 8 } else { 14 };
    match random.random_range(0..kinds) {
        0..3 => out = word(random),
        3 => _ = Encoder::new(&mut out).i64(random.random_range(-3..100_001)).unwrap(),
        4 => _ = Encoder::new(&mut out).int(Int::from(random.random::<i64>())).unwrap(),
        5 => {
            let number =
                [0.5, -1.0, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 60.0][random.random_range(0..7)];
            Encoder::new(&mut out).f64(number).unwrap();
        }
        6 => out.push([0xf4, 0xf5, 0xf6, 0xf7, 0xe0][random.random_range(0..5)]),
        7 => {
            let bytes: Vec<u8> = (0..random.random_range(0..30)).map(|_| random.random()).collect();
            Encoder::new(&mut out).bytes(&bytes).unwrap();
        }
        8 | 9 => {
            let count = random.random_range(0..5);
            if random.random_ratio(1, 3) {
                Encoder::new(&mut out).tag(Tag::new(128)).unwrap();
            }
            Encoder::new(&mut out).array(count).unwrap();
            (0..count).for_each(|_| out.extend(value(random, depth - 1)));
        }
        10 => {
            let tag = [2, 3, 24, 37, 128, 999][random.random_range(0..6)];
            Encoder::new(&mut out).tag(Tag::new(tag)).unwrap();
            out.extend(value(random, depth - 1));
        }
        11 => {
            out.push(0x9f);
            (0..random.random_range(0..4)).for_each(|_| out.extend(value(random, depth - 1)));
            out.push(0xff);
        }
        _ => {
            let count = random.random_range(0..6);
            Encoder::new(&mut out).map(count).unwrap();
            for _ in 0..count {
                out.extend(word(random));
                out.extend(value(random, depth - 1));
            }
        }
    }
    out
}

/// What headers promise costs nothing until it comes.
#[test]
fn promises_cost_nothing() {
    let server = Server::start();
    let before = resident_kib();
    let promises: [&[u8]; 6] = [
        b"\xd8\x18\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xd8\x18\x5a\x03\xff\xff\xff\xa1",
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xbb\x3f\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\xd8\x18\x5f\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xa1\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    ];
    let connections: Vec<TcpStream> = (0..600)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.write_all(promises[number % promises.len()]).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.client().call("clear()"), "0");
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB for {} promises", connections.len());
    drop(connections);
}

/// Small requests that ask for much: what they take is bounded, however it is nested.
#[test]
fn many_small_items_are_bounded() {
    let server = Server::start();
    let mut client = server.client();
    client.call("set_work_spec({'name': 'p'})");
    let list = |item: &[u8], count: u32| [&[0x9a][..], &count.to_be_bytes(), &item.repeat(count as usize)].concat();
    let call = |method: &str, first: &[u8], list: &[u8]| {
        let mut out = b"\xa3\x42id\x01\x46method\x58".to_vec();
        out.push(u8::try_from(method.len()).unwrap());
        out.extend(method.as_bytes());
        out.extend(b"\x46params\x82");
        out.extend(first);
        out.extend(list);
        framed(&out)
    };
    for (method, list) in [
        ("add_work_units", list(b"\x40", 3_000_000)),
        ("get_work_unit_status", list(b"\x40", 3_000_000)),
        ("unlock", list(b"\x80", 100_000)),
        ("unlock", [&[0x81][..], &list(b"\x00", 100_000)].concat()),
    ] {
        client.send(&call(method, b"\x41p", &list));
        let (_, result) = crate::peer::read_reply(&client.receive().expect("a reply"));
        assert!(result.contains("at most"), "{method}: {result}");
    }
    client.send(&framed(&list(b"\xa0", 100_000)));
    assert!(crate::peer::read_reply(&client.receive().unwrap()).1.contains("more than 10000 requests"));
    let mut byte = [0];
    client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.stream.read(&mut byte).is_err(), "nothing more comes");
}
