//! Work that is moved here from another server.

use berth_coordinate::{ImportError, Imported, import_from_server, import_snapshot};

use crate::{
    notation::encode,
    peer::{Client, Server},
};

/// A server with a unit in each state.
fn busy() -> (Server, Client) {
    let server = Server::start();
    let mut client = server.client();
    client.call("set_work_spec({'name': 'p', 'then': 'q', 'weight': 3, 'config': ('a', u'b')})");
    client.call("set_work_spec({'name': u'q', 'continuous': True, 'interval': 60, 'disabled': True})");
    client
        .call("add_work_units('p', [('a', {'n': 1}), ('b', {}), ('c', {}), ('d', {'output': ['no']}), ('\\xff', {})])");
    client.call("get_work('w', {'max_jobs': 2, 'lease_time': 300})");
    client.call("update_work_unit('p', 'b', {'status': 5, 'data': {'traceback': 'oops'}})");
    client.call("update_work_unit('p', 'c', {'status': 4})");
    client.call("control_work_spec('p', {'weight': 8, 'max_running': 2})");
    (server, client)
}

/// What is to be equal on both sides.
const ASKED: &[&str] = &[
    "list_work_specs({})",
    "get_work_spec_meta('p')",
    "get_work_spec_meta('q')",
    "count_work_units('p')",
    "count_work_units('q')",
    "get_work_units('p', {})",
    "get_work_units('p', {'state': 1})",
    "get_work_units('p', {'state': 3})",
    "get_work_units('p', {'state': 4})",
    "get_work_units('p', {'state': 5})",
];

fn assert_same(from: &mut Client, to: &mut Client) {
    for call in ASKED {
        assert_eq!(to.call(call), from.call(call), "{call}");
    }
}

fn import(from: &Server, to: &Server) -> Result<Imported, ImportError> {
    import_from_server(&from.address.to_string(), &to.address.to_string(), &mut |_| {})
}

#[test]
fn a_running_server_is_moved_and_may_be_moved_again() {
    let (old, mut from) = busy();
    let new = Server::start();
    let mut to = new.client();
    assert_eq!(import(&old, &new).unwrap(), Imported { specs: 2, units: 5, there: 0 });
    assert_same(&mut from, &mut to);
    assert!(to.call("get_work_unit_status('p', ['a'])").contains("'worker_id': 'w'"));
    // Nothing was handed on, though the finished unit has an output on neither side.
    assert_eq!(to.call("count_work_units('q')"), "({}, None)");
    assert_eq!(import(&old, &new).unwrap(), Imported { specs: 2, units: 5, there: 5 });
    assert_same(&mut from, &mut to);
    // What went on here meanwhile is not undone.
    to.call("update_work_unit('p', 'a', {'status': 4})");
    import(&old, &new).unwrap();
    assert_eq!(to.call("get_work_units('p', {'state': 4})"), "([('a', {'n': 1}), ('c', {})], None)");
}

#[test]
fn an_import_goes_on_where_it_stopped() {
    let (old, mut from) = busy();
    let new = Server::start();
    let mut to = new.client();
    // As far as an import that was killed came: the spec is paused, and some units are there.
    to.call("set_work_spec({'name': 'p', 'weight': 3, 'config': ('a', u'b'), 'disabled': True})");
    to.call("add_work_units('p', [('a', {'n': 1}), ('b', {'traceback': 'oops'})])");
    assert_eq!(import(&old, &new).unwrap(), Imported { specs: 2, units: 5, there: 2 });
    assert_same(&mut from, &mut to);
}

#[test]
fn many_units_come_in_pages() {
    let old = Server::start();
    let mut from = old.client();
    from.call("set_work_spec({'name': 'p'})");
    for page in 0..13 {
        let units: Vec<_> = (0..1_000).map(|number| format!("('k{page:02}{number:03}', {{'n': {number}}})")).collect();
        from.call(&format!("add_work_units('p', [{}])", units.join(", ")));
    }
    let new = Server::start();
    assert_eq!(import(&old, &new).unwrap(), Imported { specs: 1, units: 13_000, there: 0 });
    assert_eq!(new.client().call("count_work_units('p')"), "({1: 13000}, None)");
}

#[test]
fn a_snapshot_of_the_python_server_is_read() {
    let unit = |key: &str, status: u8, priority: &str| {
        format!(
            "['{key}', {{'key': '{key}', 'data': {{'n': '{key}'}}, 'status': {status}, 'priority': {priority}, \
             'lease_time': 1.5, 'worker_id': None}}]"
        )
    };
    let units = [unit("a", 1, "0"), unit("b", 1, "7.5"), unit("c", 3, "0"), unit("d", 4, "0"), unit("e", 5, "0")];
    let spec = "{'name': 'p', 'then': 'q', 'continuous': True}";
    let state = format!("[{spec}, 7, 1, False, [{}], {{4: 3}}, 60, 0, 4]", units.join(", "));
    let second = encode("[{'name': 'q'}, 20, 2, False, [], {}, None, 0, None]");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot");
    std::fs::write(&file, [encode(&state), second].concat()).unwrap();
    let new = Server::start();
    let mut told = Vec::new();
    let imported = import_snapshot(&file, &new.address.to_string(), &mut |progress| told.push(progress.clone()));
    assert_eq!(imported.unwrap(), Imported { specs: 2, units: 5, there: 0 });
    assert_eq!(told.last().unwrap().spec, "q");
    let mut to = new.client();
    let meta = "({'continuous': False, 'interval': 60.0, 'max_running': 4, 'status': 1, 'weight': 7}, None)";
    assert_eq!(to.call("get_work_spec_meta('p')"), meta);
    assert!(to.call("get_work_spec_meta('q')").contains("'status': 2"));
    // The lease had run out long ago.
    assert_eq!(to.call("count_work_units('p')"), "({1: 3, 4: 1, 5: 1}, None)");
    let work = "([('p', 'b', {'n': 'b'}), ('p', 'a', {'n': 'a'}), ('p', 'c', {'n': 'c'})], None)";
    assert_eq!(to.call("get_work('w', {'max_jobs': 5})"), work);

    std::fs::write(&file, b"\x1f\x8bcompressed").unwrap();
    let error = import_snapshot(&file, &new.address.to_string(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("zcat"), "{error}");
}

#[test]
fn nobody_there_is_an_error_that_names_the_address() {
    let new = Server::start();
    let error = import_from_server("127.0.0.1:1", &new.address.to_string(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().starts_with("127.0.0.1:1: "), "{error}");
}
