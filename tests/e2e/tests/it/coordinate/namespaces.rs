//! Namespaces: apart from each other, and back after a kill. And what is told and refused of all of them.

use berth_e2e::{Output, Plan, Site};
use serde_json::json;

use super::{call, cbor, fill, map, name};

async fn work(site: &Site, arguments: &[&str]) -> Output {
    let mut all = vec!["work"];
    all.extend(arguments);
    all.push("--json");
    site.ask(&all).await
}

#[tokio::test]
async fn namespaces_are_apart_and_survive_a_kill() {
    let site = Site::started(Plan::default()).await;
    let at = site.coordinate();
    fill(&at, "p", 1, 3);
    let specs = site.folder().join("specs.yaml");
    std::fs::write(&specs, "name: p\nweight: 3\n").expect("the folder is ours");
    let units = site.folder().join("units.yaml");
    std::fs::write(&units, "a: {n: 1}\nb: {}\n---\nkey: c\ndata: {}\npriority: 2\n").expect("the folder is ours");
    let [specs, units] = [specs, units].map(|path| path.to_str().expect("the path is UTF-8").to_owned());
    assert_eq!(work(&site, &["--namespace", "other", "specs", "set", &specs]).await.json(), json!({ "set": 1 }));
    assert_eq!(work(&site, &["--namespace", "other", "units", "add", "p", &units]).await.json(), json!({ "added": 3 }));
    let unit = work(&site, &["--namespace", "other", "units", "show", "p", "c"]).await.json();
    assert_eq!(unit["priority"], json!(2.0));
    call(&at, "get_work", &[name("w"), map(|_| {})]);
    site.kill().await;
    site.start().await;

    assert_eq!(work(&site, &["namespaces", "list"]).await.json(), json!({ "namespaces": ["main", "other"] }));
    let shown = site.metrics().await;
    for line in [
        "berth_work_units{namespace=\"main\",state=\"available\"} 2",
        "berth_work_units{namespace=\"main\",state=\"pending\"} 1",
        "berth_work_units{namespace=\"other\",state=\"available\"} 3",
        "berth_work_specs{namespace=\"other\"} 1",
    ] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
    assert_eq!(work(&site, &["namespaces", "delete", "other"]).await.json(), json!({ "deleted": "other" }));
    assert!(work(&site, &["namespaces", "delete", "main"]).await.stderr.contains("configuration"));
    site.kill().await;
    site.start().await;
    assert_eq!(work(&site, &["namespaces", "list"]).await.json(), json!({ "namespaces": ["main"] }));
    assert!(work(&site, &["--namespace", "other", "units", "list", "p"]).await.stderr.contains("not known"));
}

#[tokio::test]
async fn nothing_new_is_taken_while_the_disk_has_less_than_its_reserve() {
    // More than any disk has.
    let site = Site::started(Plan { config: "[store]\nreserve_bytes = 1125899906842624\n", ..Plan::default() }).await;
    let at = site.coordinate();
    call(&at, "set_work_spec", &[map(|out| _ = out.str("name").unwrap().str("p").unwrap())]);
    let mut stream = super::connect(&at);
    super::send(&mut stream, 1, "add_work_units", &[name("p"), cbor(|out| _ = out.array(0).unwrap())]);
    let mut reply = [0; 512];
    let read = std::io::Read::read(&mut stream, &mut reply).expect("the server answers");
    let text = String::from_utf8_lossy(&reply[..read]);
    assert!(text.contains("error") && text.contains("less than its reserve"), "{text}");
    let shown = site.metrics().await;
    for line in [
        "berth_coordinate_errors_total{method=\"add_work_units\"} 1",
        "berth_coordinate_request_seconds_count{method=\"set_work_spec\"} 1",
    ] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
}

#[tokio::test]
async fn an_address_may_stand_for_a_namespace() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let other = free.local_addr().expect("it is bound").to_string();
    drop(free);
    let config: &'static str = format!("[coordinate.also]\nother = \"{other}\"\n").leak();
    let site = Site::started(Plan { config, ..Plan::default() }).await;
    fill(&site.coordinate(), "p", 1, 2);
    fill(&other, "p", 1, 3);
    let counts = [site.coordinate(), other].map(|at| call(&at, "count_work_units", &[name("p")]));
    assert_eq!(counts, [b"\xd8\x80\x82\xa1\x01\x02\xf6".to_vec(), b"\xd8\x80\x82\xa1\x01\x03\xf6".to_vec()]);
    let units = work(&site, &["--namespace", "other", "units", "list", "p"]).await.json();
    assert_eq!(units["units"].as_array().map(Vec::len), Some(3));
}
