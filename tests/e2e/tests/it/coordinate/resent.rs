//! A client that lost its server in the middle of a call sends the call again to the next one.

use berth_e2e::{Plan, Site};
use berth_proto::work::{
    AddUnitsRequest, GetWorkRequest, ListSpecsRequest, NewUnit, UnitState, UnitUpdate, UpdateUnitsRequest,
    work_client::WorkClient,
};
use tonic::{Request, transport::Channel};

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

#[tokio::test]
async fn pipelined_calls_are_each_done_once_over_a_kill() {
    let site = Site::started(Plan::default()).await;
    let at = site.coordinate();
    fill(&at, "p", 1, 1);
    let add = |number: u8| {
        let unit =
            cbor(|out| _ = out.array(1).unwrap().array(2).unwrap().str(&number.to_string()).unwrap().map(0).unwrap());
        [name("p"), unit]
    };
    let mut client = connect(&at);
    for number in 100..140 {
        send(&mut client, number, "add_work_units", &add(number));
    }
    // None of the replies was read.
    while call(&at, "count_work_units", &[name("p")]) != b"\xd8\x80\x82\xa1\x01\x18\x29\xf6" {}
    let all = map(|out| _ = out.str("all").unwrap().bool(true).unwrap());
    call(&at, "del_work_units", &[name("p"), all]);
    site.kill().await;
    site.start().await;
    for number in 100..140 {
        assert_eq!(call_as(&at, number, "add_work_units", &add(number)), DONE);
    }
    let nothing = b"\xd8\x80\x82\xa0\xf6";
    assert_eq!(call(&at, "count_work_units", &[name("p")]), nothing, "each was answered, and none was added again");
}

fn named<T>(name: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("berth-request-id", name.parse().expect("it is ASCII"));
    request
}

async fn counts(client: &mut WorkClient<Channel>) -> [u64; 3] {
    let request = ListSpecsRequest { namespace: "main".into(), ..ListSpecsRequest::default() };
    let specs = client.list_specs(request).await.expect("it answers").into_inner().specs;
    let counts = specs[0].counts.expect("they are told");
    [counts.available, counts.pending, counts.finished]
}

#[tokio::test]
async fn named_calls_over_grpc_are_done_once_over_a_kill() {
    let site = Site::started(Plan::default()).await;
    fill(&site.coordinate(), "p", 1, 3);
    let mut client = WorkClient::new(site.channel().await);
    let get =
        GetWorkRequest { namespace: "main".into(), worker: "w".into(), max_units: 2, ..GetWorkRequest::default() };
    let got = async |client: &mut WorkClient<Channel>| {
        let mut work = client.get_work(named("get", get.clone())).await.expect("it answers").into_inner();
        work.message().await.expect("it answers").expect("there is work").units
    };
    let units = vec![NewUnit { key: "3".into(), ..NewUnit::default() }];
    let add = AddUnitsRequest { namespace: "main".into(), spec: "p".into(), units };
    let handed = got(&mut client).await;
    client.add_units(named("add", add.clone())).await.expect("it is done");
    let finish =
        UnitUpdate { spec: "p".into(), key: "3".into(), state: UnitState::Finished.into(), ..Default::default() };
    let request = UpdateUnitsRequest { namespace: "main".into(), updates: vec![finish] };
    client.update_units(request).await.expect("it is done");
    site.kill().await;
    site.start().await;
    let mut client = WorkClient::new(site.channel().await);
    assert_eq!(got(&mut client).await, handed, "the same two units");
    client.add_units(named("add", add.clone())).await.expect("it was done");
    assert_eq!(counts(&mut client).await, [0, 2, 1], "3 is not added again");
    client.add_units(named("another", add)).await.expect("it is done");
    assert_eq!(counts(&mut client).await, [1, 2, 0]);
}
