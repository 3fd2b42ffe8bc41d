//! What was answered is there after a kill.

use berth_e2e::{Plan, Site};
use minicbor::data::Tag;

use super::{DONE, call, cbor, map, name};

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let site = Site::started(Plan::default()).await;
    let at = site.coordinate();
    let spec = map(|out| _ = out.str("name").unwrap().str("p").unwrap());
    assert_eq!(call(&at, "set_work_spec", std::slice::from_ref(&spec)), DONE);
    let units = cbor(|out| {
        out.array(3).unwrap();
        for key in ["a", "b", "c"] {
            out.tag(Tag::new(128)).unwrap().array(2).unwrap().str(key).unwrap();
            out.map(1).unwrap().str("n").unwrap().str(key).unwrap();
        }
    });
    assert_eq!(call(&at, "add_work_units", &[name("p"), units]), DONE);
    let empty = || map(|_| {});
    let heartbeat = [name("w"), name("RUN"), cbor(|out| _ = out.u16(600).unwrap()), empty(), name("parent")];
    assert_eq!(call(&at, "worker_heartbeat", &heartbeat), DONE);
    let one = b"\xd8\x80\x82\xd8\x80\x83\x41p\x41a\xa1\x61n\x61a\xf6";
    assert_eq!(call(&at, "get_work", &[name("w"), empty()]), one);
    let finished = map(|out| _ = out.str("status").unwrap().u8(4).unwrap());
    assert_eq!(call(&at, "update_work_unit", &[name("p"), name("a"), finished]), DONE);
    call(&at, "get_work", &[name("w"), empty()]);
    let paths = cbor(|out| _ = out.array(1).unwrap().array(1).unwrap().str("x").unwrap());
    let lock = [name("locker"), cbor(|out| _ = out.u16(600).unwrap()), paths.clone()];
    assert_eq!(call(&at, "lock", &lock), DONE);
    let keys = cbor(|out| _ = out.array(2).unwrap().str("a").unwrap().str("b").unwrap());
    let asked: [(&str, Vec<Vec<u8>>); 6] = [
        ("list_work_specs", vec![]),
        ("get_work_units", vec![name("p")]),
        ("count_work_units", vec![name("p")]),
        ("get_work_unit_status", vec![name("p"), keys]),
        ("get_child_work_units", vec![name("parent")]),
        ("readlock", vec![paths]),
    ];
    let ask = || asked.each_ref().map(|(method, params)| call(&at, method, params));
    let before = ask();
    site.kill().await;
    site.start().await;
    assert_eq!(ask(), before);
    assert_eq!(before[2], b"\xd8\x80\x82\xa3\x01\x01\x03\x01\x04\x01\xf6", "one of each: available, pending, finished");
}

#[tokio::test]
async fn settings_of_the_door_hold() {
    let config = "[coordinate]\nlocks = \"volatile\"\n\n[coordinate.global_config]\na = 1\n";
    let site = Site::started(Plan { config, ..Plan::default() }).await;
    let at = site.coordinate();
    assert_eq!(call(&at, "get_config", &[]), b"\xd8\x80\x82\xa1\x41a\x01\xf6");
    let paths = cbor(|out| _ = out.array(1).unwrap().array(1).unwrap().str("x").unwrap());
    assert_eq!(call(&at, "lock", &[name("w"), cbor(|out| _ = out.u16(600).unwrap()), paths.clone()]), DONE);
    assert_eq!(call(&at, "readlock", std::slice::from_ref(&paths)), b"\x81\x41w");
    site.kill().await;
    site.start().await;
    assert_eq!(call(&at, "readlock", &[paths]), b"\x81\xf6");
}
