//! Many requests in flight, large ones, and the end of a connection.

use std::io::Write;

use berth_coordinate::Config;
use berth_core::work::Rules;

use crate::peer::{Server, framed, read_reply, request};

#[test]
fn replies_come_in_the_order_of_the_requests() {
    let server = Server::start();
    let client = &mut server.client();
    client.call("set_work_spec({'name': 'p'})");
    let mut sent = Vec::new();
    for number in 0..2_000_i64 {
        let call = match number % 4 {
            0 => format!("add_work_units('p', [('k{number}', {{}})])"),
            1 => "count_work_units('p')".to_owned(),
            2 => "now()".to_owned(),
            _ => "nosuch()".to_owned(),
        };
        sent.extend(request(number, &call));
    }
    // Written beside the reading: a server that answers a slow reader need not read on.
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&sent).unwrap());
    for number in 0..2_000_i64 {
        let (id, result) = read_reply(&client.receive().unwrap());
        assert_eq!(id, number.to_string());
        if number % 4 == 1 {
            // It sees what was asked before it, and nothing of what comes after.
            assert_eq!(result, format!("({{1: {}}}, None)", number / 4 + 1));
        }
    }
    writing.join().unwrap();
}

#[test]
fn a_request_that_is_too_long_is_answered_and_skipped() {
    let server = Server::with(Config::default().with_frame_bytes_max(1 << 16), Rules::default());
    let client = &mut server.client();
    client.send(&framed(&vec![0; 1 << 20]));
    let (id, result) = read_reply(&client.receive().unwrap());
    assert_eq!((id.as_str(), result.as_str()), ("None", "! the request has more than the 65536 bytes that are taken"));
    assert_eq!(client.call("clear()"), "0");
}

#[test]
fn others_are_answered_while_many_units_are_deleted() {
    const MANY: usize = 50_000;
    let server = Server::start();
    let client = &mut server.client();
    client.call("set_work_spec({'name': 'p'})");
    client.call("set_work_spec({'name': 'q'})");
    let units: Vec<String> = (0..MANY).map(|number| format!("('{number}', {{}})")).collect();
    client.call(&format!("add_work_units('p', [{}])", units.join(", ")));
    client.call("update_work_unit('p', '7', {'status': 4})");
    // What comes after it on its connection waits for it.
    client.send(&request(1, "del_work_units('p', {'state': 1})"));
    client.send(&request(2, "count_work_units('p')"));
    let mut other = server.client();
    let mut between = 0;
    while server.client().call("count_work_units('p')") != "({4: 1}, None)" {
        other.call("add_work_units('q', [('k', {})])");
        between += 1;
    }
    assert!(between > 0, "nobody was answered in between");
    assert_eq!(read_reply(&client.receive().unwrap()).1, format!("({}, None)", MANY - 1));
    assert_eq!(read_reply(&client.receive().unwrap()).1, "({4: 1}, None)");
    let keys: Vec<String> = (0..3_000).map(|number| format!("'{number}'")).collect();
    assert_eq!(client.call(&format!("del_work_units('p', {{'work_unit_keys': [{}]}})", keys.join(", "))), "(1, None)");
}

#[test]
fn megabytes_go_and_come_back() {
    let server = Server::start();
    let client = &mut server.client();
    client.call("set_work_spec({'name': 'p'})");
    let data = "x".repeat(5 << 20);
    assert_eq!(client.call(&format!("add_work_units('p', [('k', {{'a': '{data}'}})])")), "(True, None)");
    assert_eq!(client.call("get_work('w', {})"), format!("(('p', 'k', {{'a': '{data}'}}), None)"));
}

#[test]
fn a_connection_that_is_told_to_end_answers_first() {
    let server = Server::start();
    let mut client = server.client();
    let sent: Vec<u8> = (0..100).flat_map(|number| request(number, "set_work_spec({'name': 'p'})")).collect();
    client.send(&sent);
    // One answer: all that was sent has arrived.
    assert!(client.receive().is_some());
    server.stop();
    let mut replies = 1;
    while client.receive().is_some() {
        replies += 1;
    }
    assert!((1..=100).contains(&replies));
    assert!(std::net::TcpStream::connect(server.address).is_ok_and(|_| true));
}
