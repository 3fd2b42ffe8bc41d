//! A client that lost its server in the middle of a call sends the call again to the next one.

use berth_e2e::{Plan, Site};

use super::{DONE, call, call_as, cbor, connect, fill, map, name, receive, send};

#[tokio::test]
async fn a_call_that_is_sent_again_after_a_kill_is_done_once() {
    let site = Site::started(Plan::default()).await;
    let at = site.coordinate();
    fill(&at, "p", 1, 4);
    let get = [name("w"), map(|out| _ = out.str("max_jobs").unwrap().u8(2).unwrap())];
    let keys = |out: &mut minicbor::Encoder<&mut Vec<u8>>| _ = out.array(1).unwrap().str("4").unwrap();
    let adjust = map(|out| {
        keys(out.str("work_unit_keys").unwrap());
        out.str("adjustment").unwrap().u8(5).unwrap();
    });
    let again = cbor(|out| _ = out.array(1).unwrap().array(2).unwrap().str("3").unwrap().map(0).unwrap());
    let finish = [name("p"), name("3"), map(|out| _ = out.str("status").unwrap().u8(4).unwrap())];

    // Three clients whose connections live when the server dies. What they were told may not have reached them.
    let mut clients = [connect(&at), connect(&at), connect(&at)];
    let calls: [(u8, &str, Vec<Vec<u8>>); 3] = [
        (7, "get_work", get.to_vec()),
        (8, "prioritize_work_units", vec![name("p"), adjust]),
        (9, "add_work_units", vec![name("p"), again]),
    ];
    let told = calls.each_ref().map(|(id, method, params)| {
        let stream = &mut clients[usize::from(*id) - 7];
        send(stream, *id, method, params);
        receive(stream)
    });
    assert_eq!(told[1..], [DONE.to_vec(), DONE.to_vec()]);
    assert_eq!(call(&at, "update_work_unit", &finish), DONE);
    site.kill().await;
    site.start().await;
    let once_more = calls.each_ref().map(|(id, method, params)| call_as(&at, *id, method, params));
    assert_eq!(once_more, told, "the same two units, and nothing new");
    let counts = b"\xd8\x80\x82\xa3\x01\x01\x03\x02\x04\x01\xf6";
    assert_eq!(call(&at, "count_work_units", &[name("p")]), counts, "4 waits, 1 and 2 are pending, 3 is finished");
    // Not a second time after that: who says the same now means it.
    let other = call_as(&at, 7, "get_work", &calls[0].2);
    assert_ne!(other, told[0]);
}
