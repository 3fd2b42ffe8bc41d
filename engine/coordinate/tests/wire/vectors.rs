//! Bytes that were seen on the wire between Coordinate's own client and server, and envelopes that its server takes.

use crate::peer::{Client, Server, framed};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn answer(client: &mut Client, hex: &str) -> String {
    client.send(&bytes(hex));
    let reply = framed(&client.receive().expect("a reply"));
    reply.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn assert_bytes(client: &mut Client, request: &str, reply: &str) {
    let reply: String = reply.chars().filter(char::is_ascii_hexdigit).collect();
    assert_eq!(answer(client, request), reply, "to {request}");
}

#[test]
fn the_bytes_are_those_of_the_python_server() {
    let server = Server::start();
    let client = &mut server.client();
    assert_bytes(
        client,
        "d8185825 a346706172616d7381a042696401466d6574686f644f6c6973745f776f726b5f7370656373",
        "d81851 a242696401 46726573756c74 d880 82 80 f6",
    );
    assert_bytes(
        client,
        "d8185832 a346706172616d7381a2446e616d654168466d696e5f67620142696402466d6574686f644d7365745f776f726b5f73706563",
        "d81851 a242696402 46726573756c74 d880 82 f5 f6",
    );
    // ('k', {'a': 1}) as a tuple in a list.
    assert_bytes(
        client,
        "d818582f a346706172616d7382416881d88082416ba141610142696403466d6574686f644e6164645f776f726b5f756e697473",
        "d81851 a242696403 46726573756c74 d880 82 f5 f6",
    );
    let get_work = "a346706172616d73824177a4 486d61785f6a6f627301 4a6c656173655f74696d65190384 \
                    4f776f726b5f737065635f6e616d6573814168 4c617661696c61626c655f676201 \
                    42696404466d6574686f64486765745f776f726b";
    let get_work: String = framed(&bytes(get_work)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_bytes(client, &get_work, "d818581b a242696404 46726573756c74 d88082 d88083 4168 416b a1416101 f6");
    assert_bytes(client, &get_work, "d81856 a242696404 46726573756c74 d88082 d88083 f6f6f6 f6");
}

#[test]
fn a_request_may_be_wrapped_in_many_ways() {
    let server = Server::start();
    let client = &mut server.client();
    let nothing = "{'id': 1, 'result': ([], None)}";
    for message in [
        "{'id': 1, 'method': 'list_work_specs', 'params': [{}]}",
        "{u'id': 1, u'method': u'list_work_specs', u'params': [{}]}",
        "{'params': ({},), 'method': 'list_work_specs', 'id': 1}",
        "{'params': {'options': {}}, 'method': 'list_work_specs', 'id': 1}",
        "{'params': {u'options': None}, 'method': 'list_work_specs', 'id': 1, 'more': [1, 2]}",
    ] {
        assert_eq!(client.message(message), nothing, "{message}");
        // Without a frame, too.
        client.send(&crate::notation::encode(message));
        assert_eq!(crate::notation::show(&client.receive().unwrap()), nothing, "{message} without a frame");
    }
    let indefinite = b"\xbf\x42id\x01\x46method\x5f\x45list_\x4awork_specs\xff\x46params\x9f\xbf\xff\xff\xff";
    client.send(&framed(indefinite));
    assert_eq!(crate::notation::show(&client.receive().unwrap()), nothing);
}

#[test]
fn any_id_is_echoed() {
    let server = Server::start();
    let client = &mut server.client();
    for id in ["-4", "'abc'", "u'abc'", "1.0", "None", "[1, {'a': (2,)}]", "Tag(37, 'x')", "True"] {
        let reply = client.message(&format!("{{'id': {id}, 'method': 'clear', 'params': []}}"));
        assert_eq!(reply, format!("{{'id': {id}, 'result': 0}}"));
    }
    assert_eq!(client.message("{'method': 'clear', 'params': []}"), "{'id': None, 'result': 0}");
}

#[test]
fn a_list_of_requests_is_answered_by_a_list() {
    let server = Server::start();
    let client = &mut server.client();
    let message = "[{'id': 1, 'method': 'set_work_spec', 'params': [{'name': 'p'}]}, 7, \
                    {'id': 2, 'method': 'nosuch', 'params': []}, {'id': 3, 'method': 'clear', 'params': []}]";
    let reply = "[{'id': 1, 'result': (True, None)}, \
                  {'error': {'message': 'a request is a map of id, method and params'}, 'id': None}, \
                  {'error': {'message': 'no such method nosuch'}, 'id': 2}, {'id': 3, 'result': 1}]";
    assert_eq!(client.message(message), reply);
    assert_eq!(client.message("[]"), "[]");
}

#[test]
fn what_is_wrong_is_answered_and_the_connection_lives() {
    let server = Server::start();
    let client = &mut server.client();
    for (message, error) in [
        ("{'id': 1, 'method': 'clear'}", "don\\'t understand params: None"),
        (
            "{'id': 1, 'method': 'clear', 'params': 5}",
            "don\\'t understand params: expected a list, or a map of names to values",
        ),
        ("{'id': 1, 'method': 'nosuch', 'params': []}", "no such method nosuch"),
        ("{'id': 1, 'method': 5, 'params': []}", "the method of a request is a string"),
        ("{'id': 1, 'params': []}", "the method of a request is a string"),
        ("{'id': 1, 'method': 'get_work_spec', 'params': []}", "get_work_spec() takes (work_spec_name), 0 given"),
        ("{'id': 1, 'method': 'clear', 'params': [1]}", "clear() takes (), 1 given"),
        ("{'id': 1, 'method': 'clear', 'params': {'x': 1}}", "clear() has no parameter \"x\"; it has ()"),
        ("{'id': 1, 'method': 'get_work_spec', 'params': [7]}", "work_spec_name: expected a string"),
        ("{'id': 1, 'method': 'wsgi', 'params': []}", "no such method wsgi"),
        ("{'id': 1, 'method': 'load_snapshot', 'params': ['/etc/passwd']}", "no such method load_snapshot"),
    ] {
        assert_eq!(client.message(message), format!("{{'error': {{'message': '{error}'}}, 'id': 1}}"), "{message}");
    }
    for content in [&b""[..], b"\xff", b"\xa1\x01", b"\xa1\x61\xff\x01", b"\xa0\xa0", b"\x9f"] {
        client.send(&framed(content));
        let reply = crate::notation::show(&client.receive().expect("a reply"));
        assert!(reply.starts_with("{'error': {'message': 'the request cannot be read: "), "{reply}");
    }
    let deep = [vec![0x81; 200], vec![0]].concat();
    client.send(&framed(&deep));
    assert!(crate::notation::show(&client.receive().unwrap()).contains("more than 128 levels"));
    assert_eq!(client.call("clear()"), "0");
}

#[test]
fn unknown_tags_in_data_come_back() {
    let server = Server::start();
    let client = &mut server.client();
    client.call("set_work_spec({'name': 'p'})");
    assert_eq!(client.call("add_work_units('p', [('k', {'x': Tag(999, 1)})])"), "(True, None)");
    assert_eq!(client.call("get_work('w', {})"), "(('p', 'k', {'x': Tag(999, 1)}), None)");
}

#[test]
fn a_client_that_says_goodbye_or_nonsense_is_closed() {
    let server = Server::start();
    for last in [&b"\xf6"[..], b"\xd8\x18\x41\xf6", b"GET / HTTP/1.0\r\n\r\n", b"\x01", b"\xff"] {
        let mut client = server.client();
        assert_eq!(client.call("clear()"), "0");
        client.send(last);
        assert_eq!(client.receive(), None, "{last:02x?}");
    }
}

#[test]
fn a_client_that_has_said_all_is_still_answered() {
    let server = Server::start();
    let mut client = server.client();
    client.send(&crate::peer::request(1, "clear()"));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.receive().is_some());
    assert_eq!(client.receive(), None);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start();
    let mut client = server.client();
    for byte in crate::peer::request(1, "list_work_specs({})") {
        client.send(&[byte]);
    }
    assert_eq!(crate::peer::read_reply(&client.receive().unwrap()).1, "([], None)");
}

/// What a client stores comes back byte for byte: tuples, text, byte strings, UUIDs, bignums, floats of any width, and
/// encodings that no encoder of ours would choose.
#[test]
fn data_comes_back_as_it_was_sent() {
    let server = Server::start();
    let client = &mut server.client();
    client.call("set_work_spec({'name': 'p'})");
    let data = bytes(
        "bf 4161 d88082 01 9f02ff  6162 d82550000102030405060708090a0b0c0d0e0f  1801 c249010000000000000000 \
         f6 f93c00  20 fa3fc00000  f5 5f4141ff  617a 7f62c3bcff ff",
    );
    let mut add = b"\xa3\x46params\x82\x41p\x81\x82\x41k".to_vec();
    add.extend(&data);
    add.extend(b"\x42id\x01\x46method\x4eadd_work_units");
    client.send(&framed(&add));
    assert_eq!(crate::peer::read_reply(&client.receive().unwrap()).1, "(True, None)");
    client.send(&crate::peer::request(2, "get_work_units('p', {})"));
    let reply = client.receive().unwrap();
    assert!(reply.windows(data.len()).any(|window| window == data), "{reply:02x?}");
}

#[test]
fn names_are_the_same_as_text_and_as_byte_strings() {
    let server = Server::start();
    let client = &mut server.client();
    client.call("set_work_spec({u'name': u'p', u'min_gb': 1})");
    assert_eq!(client.call("add_work_units(u'p', [(u'k', {}), ('\\xff\\x80', {}), ('\\x00', {})])"), "(True, None)");
    assert_eq!(client.call("get_work_units('p', {})"), "([('\\x00', {}), ('k', {}), ('\\xff\\x80', {})], None)");
    assert_eq!(client.call("get_work_spec('p')"), "{u'min_gb': 1, u'name': u'p'}");
    assert_eq!(client.call("get_work(u'w', {u'max_jobs': 1})"), "(('p', '\\x00', {}), None)");
}
