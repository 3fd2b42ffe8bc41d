//! What an operator may set.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use berth_coordinate::Config;
use berth_core::work::Rules;

use crate::peer::Server;

#[test]
fn get_config_without_a_table_is_an_error() {
    let server = Server::start();
    let error = "! no config to get: the server has no table coordinate.global_config";
    assert_eq!(server.client().call("get_config()"), error);
    let table = "[a]\nb = [1, 'x']\n".parse().unwrap();
    let server = Server::with(Config::default().with_global_config(&table), Rules::default());
    assert_eq!(server.client().call("get_config()"), "({'a': {'b': [1, 'x']}}, None)");
}

#[test]
fn min_gb_is_enforced_where_the_operator_says_so() {
    let server = Server::with(Config::default(), Rules { enforce_min_gb: true, ..Rules::default() });
    let client = &mut server.client();
    client.call("set_work_spec({'name': 'p', 'min_gb': 4})");
    client.call("add_work_units('p', [('a', {}), ('b', {})])");
    assert_eq!(client.call("get_work('w', {'available_gb': 3.9})"), "((None, None, None), None)");
    assert_eq!(client.call("get_work('w', {'available_gb': 4})"), "(('p', 'a', {}), None)");
    assert_eq!(client.call("get_work('w', {'available_gb': 0})"), "(('p', 'b', {}), None)");
}

#[test]
fn units_are_refused_while_nothing_new_is_taken() {
    let full = Arc::new(AtomicBool::new(true));
    let is_full = full.clone();
    let takes_work = move || if is_full.load(Relaxed) { Err("the disk is full".to_owned()) } else { Ok(()) };
    let server = Server::with(Config::default().with_takes_work(Arc::new(takes_work)), Rules::default());
    let client = &mut server.client();
    assert_eq!(client.call("set_work_spec({'name': 'p'})"), "(True, None)");
    assert_eq!(client.call("add_work_units('p', [('k', {})])"), "! the disk is full");
    assert_eq!(client.call("count_work_units('p')"), "({}, None)");
    full.store(false, Relaxed);
    assert_eq!(client.call("add_work_units('p', [('k', {})])"), "(True, None)");
}
