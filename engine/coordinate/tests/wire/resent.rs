//! A client whose connection breaks before it has its reply sends the call again, byte for byte, on a new connection.

use crate::peer::{Server, read_reply, request};

/// A call whose reply is lost: the connection is reset when the reply is on its way.
fn lost(server: &Server, id: i64, call: &str) {
    let others = server.connections();
    let mut client = server.client();
    client.send(&request(id, call));
    // The reply is there: it was done. Whoever closes without having read resets the connection.
    assert!(client.stream.peek(&mut [0]).unwrap() > 0);
    drop(client);
    server.wait_for_connections(others);
}

/// Sends a call, and says goodbye after its reply.
fn call(server: &Server, id: i64, call: &str) -> String {
    let before = server.connections();
    let mut client = server.client();
    client.send(&request(id, call));
    let reply = client.receive().expect("the server answers");
    drop(client);
    server.wait_for_connections(before);
    read_reply(&reply).1
}

fn with_units(units: &str) -> Server {
    let server = Server::start();
    call(&server, 1, "set_work_spec({'name': 'p'})");
    call(&server, 2, &format!("add_work_units('p', [{units}])"));
    server
}

const ONE: &str = "get_work('w', {'max_jobs': 1, 'lease_time': 900})";
const FINISH: &str = "update_work_unit('p', 'a', {'status': 4})";
const COUNT: &str = "count_work_units('p')";

#[test]
fn units_that_were_added_and_finished_are_not_added_again() {
    let server = with_units("('b', {})");
    let add = "add_work_units('p', [('a', {})])";
    lost(&server, 3, add);
    assert_eq!(call(&server, 4, ONE), "(('p', 'a', {}), None)");
    assert_eq!(call(&server, 5, FINISH), "(True, None)");
    assert_eq!(call(&server, 3, add), "(True, None)");
    assert_eq!(call(&server, 6, COUNT), "({1: 1, 4: 1}, None)");
    // And once more: the second reply was not lost, so this is somebody who means it.
    assert_eq!(call(&server, 3, add), "(True, None)");
    assert_eq!(call(&server, 6, COUNT), "({1: 2}, None)");
}

#[test]
fn a_priority_is_adjusted_once() {
    let server = with_units("('a', {}), ('b', {})");
    let adjust = "prioritize_work_units('p', {'work_unit_keys': ['b'], 'priority': None, 'adjustment': 1})";
    call(&server, 3, "prioritize_work_units('p', {'work_unit_keys': ['a'], 'priority': 1.5, 'adjustment': None})");
    lost(&server, 4, adjust);
    assert_eq!(call(&server, 4, adjust), "(True, None)");
    assert_eq!(call(&server, 5, ONE), "(('p', 'a', {}), None)", "1.5 is more than 1");
}

#[test]
fn work_is_handed_to_who_did_not_hear_of_it() {
    let server = with_units("('a', {'n': 1}), ('b', {}), ('c', {})");
    let get = "get_work('w', {'max_jobs': 2, 'lease_time': 900})";
    lost(&server, 7, get);
    server.pass(20.0);
    // Twice: that reply was lost as well.
    lost(&server, 7, get);
    assert_eq!(call(&server, 7, get), "([('p', 'a', {'n': 1}), ('p', 'b', {})], None)");
    // With a whole lease, and as one attempt.
    server.pass(890.0);
    assert_eq!(call(&server, 8, COUNT), "({1: 1, 3: 2}, None)");
    assert_eq!(call(&server, 9, get), "([('p', 'c', {})], None)", "another call gets other work");
}

#[test]
fn what_the_worker_has_lost_meanwhile_is_not_handed_to_it() {
    let server = with_units("('a', {}), ('b', {}), ('c', {})");
    let get = "get_work('w', {'max_jobs': 2, 'lease_time': 900})";
    lost(&server, 7, get);
    // Somebody, perhaps an operator, has ended one of them.
    call(&server, 1, FINISH);
    assert_eq!(call(&server, 7, get), "([('p', 'b', {})], None)");
    lost(&server, 8, get);
    call(&server, 2, "update_work_unit('p', 'c', {'lease_time': -1})");
    assert_eq!(call(&server, 8, get), "([('p', 'c', {})], None)", "it is new work");
}

#[test]
fn a_unit_that_was_given_back_is_not_taken_from_the_next() {
    let server = with_units("('a', {})");
    assert_eq!(call(&server, 1, ONE), "(('p', 'a', {}), None)");
    let give_back = "update_work_unit('p', 'a', {'lease_time': -1})";
    lost(&server, 2, give_back);
    assert_eq!(call(&server, 1, "get_work('v', {})"), "(('p', 'a', {}), None)");
    assert_eq!(call(&server, 2, give_back), "(True, None)");
    assert_eq!(call(&server, 3, COUNT), "({3: 1}, None)");
}

#[test]
fn answers_that_would_differ_are_given_as_they_were() {
    let server = with_units("('a', {})");
    call(&server, 1, "worker_heartbeat('w', 'RUN', 100, {}, None)");
    for (id, what, answer) in [
        (10, "lock('w', 0, [['x']])", "(True, None)"),
        (11, "unlock('w', [['x']])", "(True, None)"),
        (12, "worker_unregister('w')", "(True, None)"),
        (13, "del_work_units('p', {'all': True})", "(1, None)"),
        (14, "del_work_spec('p')", "(True, None)"),
    ] {
        lost(&server, id, what);
        assert_eq!(call(&server, id, what), answer, "{what}");
        assert_ne!(call(&server, id, what), answer, "{what}: who says the same later means it");
    }
}

#[test]
fn a_call_that_looks_the_same_is_another_call() {
    let server = with_units("('a', {}), ('b', {})");
    // The first client has its reply, and lives: the second is somebody else.
    let mut first = server.client();
    first.send(&request(7, ONE));
    assert_eq!(read_reply(&first.receive().unwrap()).1, "(('p', 'a', {}), None)");
    assert_eq!(call(&server, 7, ONE), "(('p', 'b', {}), None)");
    // Another number, another worker, or too late.
    let server = with_units("('a', {}), ('b', {}), ('c', {}), ('d', {})");
    lost(&server, 7, ONE);
    assert_eq!(call(&server, 8, ONE), "(('p', 'b', {}), None)");
    assert_eq!(call(&server, 7, "get_work('v', {'max_jobs': 1, 'lease_time': 900})"), "(('p', 'c', {}), None)");
    server.pass(61.0);
    assert_eq!(call(&server, 7, ONE), "(('p', 'd', {}), None)");
}

#[test]
fn calls_that_were_under_way_together_are_each_done_once() {
    let server = with_units("('z', {})");
    let mut other = server.client();
    other.call(COUNT);
    let others = server.connections();
    let adds: Vec<String> = (0..64).map(|number| format!("add_work_units('p', [('{number}', {{}})])")).collect();
    let sent: Vec<u8> = (20..).zip(&adds).flat_map(|(id, add)| request(id, add)).collect();
    let mut client = server.client();
    client.send(&sent);
    // All of them were done when the last is seen; none of the replies was read.
    while other.call(COUNT) != "({1: 65}, None)" {}
    drop(client);
    server.wait_for_connections(others);
    other.call("del_work_units('p', {'all': True})");
    // The same again, as a client would who waits for none of them either.
    let mut client = server.client();
    client.send(&sent);
    for _ in &adds {
        assert_eq!(read_reply(&client.receive().unwrap()).1, "(True, None)");
    }
    assert_eq!(other.call(COUNT), "({}, None)", "each is answered, and none is added again");
    drop(client);
    server.wait_for_connections(others);
    // Those replies were read.
    assert_eq!(call(&server, 20, &adds[0]), "(True, None)");
    assert_eq!(other.call(COUNT), "({1: 1}, None)");
}

#[test]
fn a_long_call_whose_client_has_gone_is_known_again() {
    let server = with_units("('z', {})");
    for part in 0..5 {
        let units: Vec<String> = (0..1_000).map(|number| format!("('{part} {number}', {{}})")).collect();
        call(&server, 3, &format!("add_work_units('p', [{}])", units.join(", ")));
    }
    let delete = "del_work_units('p', {'state': 1})";
    let others = server.connections();
    let mut client = server.client();
    client.send(&request(4, delete));
    // It does not wait: the connection breaks while it is done.
    drop(client);
    server.wait_for_connections(others);
    assert_eq!(call(&server, 5, COUNT), "({}, None)", "what was begun is brought to its end");
}
