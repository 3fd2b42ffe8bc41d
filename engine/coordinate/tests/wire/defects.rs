//! The defects of the two servers that this door replaces, each shown to be gone. Their numbers are those of the table
//! in `docs/parity/coordinate.md`.

use crate::peer::{Client, Server};

fn start() -> (Server, Client) {
    let server = Server::start();
    let client = server.client();
    (server, client)
}

const NO_WORK: &str = "((None, None, None), None)";

#[test]
fn python_1_work_is_given_after_clear() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    assert_eq!(client.call("clear()"), "1");
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('k', {})])");
    assert_eq!(client.call("get_work('w', {})"), "(('p', 'k', {}), None)");
}

#[test]
fn python_2_pages_of_specs_end() {
    let (_server, mut client) = start();
    for name in ["a", "b", "c", "d", "e"] {
        client.call(&format!("set_work_spec({{'name': '{name}'}})"));
    }
    assert_eq!(client.call("list_work_specs({'limit': 2})"), "([{'name': 'a'}, {'name': 'b'}], 'c')");
    assert_eq!(client.call("list_work_specs({'limit': 2, 'start': 'c'})"), "([{'name': 'c'}, {'name': 'd'}], 'e')");
    assert_eq!(client.call("list_work_specs({'limit': 2, 'start': 'e'})"), "([{'name': 'e'}], None)");
    // The Python client's own paging asks for no more, with what was next.
    assert_eq!(client.call("list_work_specs({'limit': 0, 'start': 'c'})"), "([], None)");
}

#[test]
fn python_4_the_address_is_free_at_once_after_a_restart() {
    let (server, mut client) = start();
    client.call("clear()");
    let address = server.address;
    server.stop();
    drop(server);
    assert_eq!(client.receive(), None);
    // The server's side closed first: without SO_REUSEADDR the address would be taken for a minute.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let again = || runtime.block_on(tokio::net::TcpListener::bind(address)).is_ok();
    assert!((0..100).any(|_| again() || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        false
    }));
}

#[test]
fn python_5_a_pending_unit_that_is_added_again_stays_with_its_worker() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('k', {'n': 1})])");
    client.call("get_work('w', {})");
    client.call("add_work_units('p', [('k', {'n': 2})])");
    assert_eq!(client.call("get_work('v', {})"), NO_WORK);
    assert!(client.call("get_work_unit_status('p', ['k'])").contains("'worker_id': 'w'"));
}

#[test]
fn python_6_a_worker_that_lost_its_lease_and_says_who_it_is_finishes_nothing() {
    let (server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('k', {})])");
    client.call("get_work('w', {'lease_time': 10})");
    server.pass(11.0);
    client.call("get_work('v', {'lease_time': 10})");
    let stale = "update_work_unit('p', 'k', {'status': 4, 'worker_id': 'w'})";
    assert_eq!(client.call(stale), "(False, 'lost lease')");
    assert_eq!(client.call("count_work_units('p')"), "({3: 1}, None)");
    // The Python client does not say who it is: it is taken at its word.
    assert_eq!(client.call("update_work_unit('p', 'k', {'status': 4})"), "(True, None)");
}

#[test]
fn python_7_a_unit_is_in_no_state_that_nobody_knows() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('k', {})])");
    assert_eq!(client.call("update_work_unit('p', 'k', {'status': 9})"), "(False, 'no such status 9')");
    assert_eq!(client.call("get_work('w', {})"), "(('p', 'k', {}), None)");
}

#[test]
fn python_8_a_bare_key_is_not_taken_apart() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('b', {'n': 1})])");
    client.call("add_work_units('p', ['bare'])");
    assert_eq!(client.call("get_work_units('p', {})"), "([('b', {'n': 1}), ('bare', {})], None)");
}

#[test]
fn python_9_one_bad_spec_stops_nothing() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p', 'weight': 0})");
    client.call("set_work_spec({'name': 'q'})");
    client.call("control_work_spec('p', {'weight': 0})");
    client.call("add_work_units('p', [('k', {})])");
    client.call("add_work_units('q', [('k', {})])");
    assert_eq!(client.call("get_work('w', {'max_jobs': None, 'lease_time': None})"), "(('q', 'k', {}), None)");
}

#[test]
fn python_11_only_methods_of_the_protocol_can_be_called() {
    let (_server, mut client) = start();
    for method in ["snapshot", "load_snapshot", "maybe_periodic_snapshot", "wsgi", "stats", "__init__", "_log_action"] {
        assert_eq!(client.call(&format!("{method}()")), format!("! no such method {method}"));
    }
}

#[test]
fn python_12_the_information_of_a_worker_has_its_age() {
    let (server, mut client) = start();
    client.call("worker_heartbeat('w', 'RUN', 600, {'pid': 5}, None)");
    server.pass(2.5);
    assert_eq!(client.call("get_worker_info('w')"), "({'age_seconds': 2.5, 'pid': 5}, None)");
}

#[test]
fn python_13_units_that_a_spec_makes_itself_have_keys_of_their_own() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p', 'continuous': True})");
    let mut keys = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let work = client.call("get_work('w', {})");
        if work == NO_WORK {
            continue;
        }
        let key = work.split('\'').nth(3).expect("a unit has a key").to_owned();
        assert!(keys.insert(key.clone()), "{key} was made twice");
        client.call(&format!("update_work_unit('p', '{key}', {{'status': 4}})"));
    }
    assert_eq!(client.call("count_work_units('p')"), format!("({{4: {}}}, None)", keys.len()));
    assert_eq!(keys.len(), 20);
}

#[test]
fn python_14_a_limit_of_nothing_gives_nothing() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('k', {})])");
    assert_eq!(client.call("get_work_units('p', {'limit': 0})"), "([], None)");
    assert_eq!(client.call("list_work_specs({'limit': 0})"), "([], None)");
}

#[test]
fn python_a_heartbeat_may_change_the_parent() {
    let (_server, mut client) = start();
    client.call("worker_heartbeat('w', 'RUN', 600, {}, None)");
    assert_eq!(client.call("worker_heartbeat('w', 'RUN', 600, {}, 'parent')"), "(True, None)");
    assert_eq!(client.call("get_child_work_units('parent')"), "({'w': []}, None)");
    assert_eq!(client.call("worker_heartbeat('w', 'RUN', 600, {}, None)"), "(True, None)");
    assert_eq!(client.call("get_child_work_units('parent')"), "({}, None)");
}

#[test]
fn go_2_a_unit_that_is_finished_before_it_is_handed_out_is_not_handed_out() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('a', {}), ('b', {}), ('c', {})])");
    client.call("update_work_unit('p', 'a', {'status': 4})");
    client.call("update_work_unit('p', 'b', {'status': 5})");
    client.call("del_work_units('p', {'work_unit_keys': ['c']})");
    assert_eq!(client.call("get_work('w', {})"), NO_WORK);
    assert_eq!(client.call("get_work('w', {'max_jobs': 10})"), "([], None)");
}

#[test]
fn go_3_without_an_option_nothing_is_deleted() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('k', {})])");
    assert_eq!(client.call("del_work_units('p', {})"), "(0, 'no usable options to del_work_units')");
    assert_eq!(client.call("count_work_units('p')"), "({1: 1}, None)");
}

#[test]
fn go_4_output_for_a_spec_that_is_not_there_is_dropped() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p', 'then': 'nosuch'})");
    client.call("add_work_units('p', [('k', {'output': ['n']})])");
    client.call("get_work('w', {})");
    assert_eq!(client.call("update_work_unit('p', 'k', {'status': 4})"), "(True, None)");
}

#[test]
fn go_5_a_lease_is_as_long_as_the_worker_asked() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('k', {})])");
    client.call("get_work('w', {'lease_time': 60})");
    assert!(client.call("get_work_unit_status('p', ['k'])").contains("'expiration': 1800000060.0"));
}

#[test]
fn go_6_a_unit_that_is_given_back_is_available_at_once() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('k', {})])");
    client.call("get_work('w', {})");
    assert_eq!(client.call("update_work_unit('p', 'k', {'lease_time': -1})"), "(True, None)");
    assert_eq!(client.call("get_work('v', {})"), "(('p', 'k', {}), None)");
}

#[test]
fn go_7_pages_of_specs_have_no_holes() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("set_work_spec({'name': 'q'})");
    assert_eq!(client.call("list_work_specs({'start': 'q', 'limit': 5})"), "([{'name': 'q'}], None)");
}

#[test]
fn go_8_a_unit_that_is_not_there_is_no_error() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    assert_eq!(client.call("get_work_unit_status('p', ['zz'])"), "([None], None)");
    let update = "update_work_unit('p', 'zz', {'status': 4})";
    assert_eq!(client.call(update), "(False, 'no such work unit key=\\'zz\\'')");
}

#[test]
fn go_9_all_that_control_changes_holds() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('a', {}), ('b', {}), ('c', {})])");
    client.call("control_work_spec('p', {'max_running': 2, 'interval': 0.5})");
    let meta = "({'continuous': False, 'interval': 0.5, 'max_running': 2, 'status': 1, 'weight': 20}, None)";
    assert_eq!(client.call("get_work_spec_meta('p')"), meta);
    assert_eq!(client.call("get_work('w', {'max_jobs': 5})"), "([('p', 'a', {}), ('p', 'b', {})], None)");
    let continuous = "control_work_spec('p', {'continuous': True})";
    assert_eq!(client.call(continuous), "(False, 'cannot make non-continuous work spec p continuous')");
}

#[test]
fn go_10_a_spec_that_cannot_be_read_leaves_nothing_behind() {
    let (_server, mut client) = start();
    assert_eq!(client.call("set_work_spec({'name': 'p', 'weight': 'x'})"), "! weight: expected a whole number");
    assert_eq!(client.call("list_work_specs({})"), "([], None)");
}

#[test]
fn go_11_workers_go_away() {
    let (server, mut client) = start();
    client.call("worker_heartbeat('w', 'RUN', 60, {}, None)");
    client.call("worker_heartbeat('v', 'RUN', 60, {}, '')");
    client.call("worker_unregister('w')");
    assert_eq!(client.call("list_worker_modes()"), "({'v': 'RUN'}, None)");
    server.pass(61.0);
    assert_eq!(client.call("list_worker_modes()"), "({}, None)");
    assert_eq!(client.call("worker_stats()"), "{'num_children': 0, 'num_expirable': 0, 'num_workers': 0}");
}

#[test]
fn go_12_and_13_every_reply_has_a_result() {
    let (_server, mut client) = start();
    assert_eq!(client.message("{'id': 1, 'method': 'archive', 'params': []}"), "{'id': 1, 'result': None}");
    let get = "{'id': 2, 'method': 'get_work_spec', 'params': ['nosuch']}";
    assert_eq!(client.message(get), "{'id': 2, 'result': None}");
}

#[test]
fn go_15_a_bad_envelope_costs_no_connection() {
    let (_server, mut client) = start();
    for message in ["{}", "5", "{'id': 1}", "{'id': 1, 'method': 'clear', 'params': 'x'}", "[5, [6]]"] {
        assert!(client.message(message).contains("'error'"), "{message}");
    }
    assert_eq!(client.call("clear()"), "0");
}

#[test]
fn go_17_delayed_units_are_counted_as_available() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    client.call("add_work_units('p', [('k', {}, {'delay': 60})])");
    assert_eq!(client.call("count_work_units('p')"), "({1: 1}, None)");
}

#[test]
fn go_18_no_units_are_an_empty_list() {
    let (_server, mut client) = start();
    client.call("set_work_spec({'name': 'p'})");
    assert_eq!(client.call("get_work_units('p', {})"), "([], None)");
    assert_eq!(client.call("get_work_units('p', {'state': (1, 3)})"), "([], None)");
}

#[test]
fn go_19_paths_of_locks_can_be_read_in_messages() {
    let (_server, mut client) = start();
    client.call("lock('x', 60, [['a', 'b']])");
    let message = "[\\'a\\', \\'b\\']";
    assert_eq!(client.call("lock('y', 60, [['a', 'b']])"), format!("(False, '{message} is not lockable')"));
    assert_eq!(client.call("unlock('y', [['a', 'b']])"), format!("(False, '{message} is held by \\'x\\'')"));
}
