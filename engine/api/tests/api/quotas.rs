//! Quotas, as operators set them and as BuildGrid's client does; and what comes of them.

use std::time::Duration;

use berth_proto::{
    admin::{self, DeleteQuotaRequest, GetQuotaRequest, ListQuotasRequest, SetQuotaRequest},
    bots::LeaseState,
    buildgrid::{
        DeleteInstanceQuotaRequest, GetAllInstanceQuotaRequest, GetInstanceQuotaRequest, PutInstanceQuotaRequest,
    },
};
use berth_runtime::cohorts::Cohorts;
use tonic::Code;

use crate::house::{Client, House, Job, LONG, MAIN};

/// Jobs for linux are counted, and others are not.
fn house(preemption_delay: Duration) -> House {
    let cohorts = Cohorts::new([("unix".to_owned(), vec!["linux".to_owned()])]).unwrap();
    let mut house = House::new();
    house.cohorts = cohorts.with_times(preemption_delay, Duration::from_secs(600));
    house
}

fn linux(input: &'static str) -> Job {
    Job { platform: vec![("OSFamily", "linux")], ..Job::new(input) }
}

fn set(min: u32, max: u32) -> SetQuotaRequest {
    SetQuotaRequest { instance: MAIN.into(), cohort: "unix".into(), min, max }
}

async fn quota(client: &Client) -> admin::Quota {
    let request = GetQuotaRequest { instance: MAIN.into(), cohort: "unix".into() };
    client.admin_quotas().get_quota(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn buildgrids_client_and_ours_see_the_same_quotas_and_a_restart_keeps_them() {
    let house = house(Duration::from_secs(20));
    let server = house.start().await;
    let client = server.connect().await;
    let mut quotas = client.buildgrid_quota();
    let put = |instance: &str, cohort: &str, min_quota, max_quota| PutInstanceQuotaRequest {
        instance_name: instance.into(),
        bot_cohort: cohort.into(),
        min_quota,
        max_quota,
    };
    let all = GetAllInstanceQuotaRequest { instance_name: MAIN.into() };
    assert_eq!(quotas.get_all_instance_quota(all.clone()).await.unwrap_err().code(), Code::NotFound);
    for (request, field) in [
        (put("moon", "unix", 1, 2), "instance_name"),
        (put(MAIN, "vms", 1, 2), "expected one of unix"),
        (put(MAIN, "unix", -1, 2), "min_quota: -1"),
        (put(MAIN, "unix", 0, 1 << 40), "max_quota"),
        (put(MAIN, "unix", 3, 2), "min_quota: 3 is more than the maximum"),
    ] {
        let refused = quotas.put_instance_quota(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(field), "{}", refused.message());
    }
    quotas.put_instance_quota(put(MAIN, "unix", 1, 2)).await.unwrap();
    client.admin_quotas().set_quota(SetQuotaRequest { instance: "other/one".into(), ..set(0, 7) }).await.unwrap();
    server.stop().await;

    let server = house.start().await;
    let client = server.connect().await;
    let listed = client.admin_quotas().list_quotas(ListQuotasRequest::default()).await.unwrap().into_inner();
    let numbers: Vec<_> = listed.quotas.iter().map(|q| (q.instance.as_str(), q.min, q.max)).collect();
    assert_eq!(numbers, [(MAIN, 1, 2), ("other/one", 0, 7)]);
    assert_eq!(listed.cohorts, ["unix"]);
    let mut quotas = client.buildgrid_quota();
    let own = quotas.get_all_instance_quota(all).await.unwrap().into_inner().instance_quotas;
    assert_eq!((own.len(), own[0].min_quota, own[0].max_quota, own[0].current_usage), (1, 1, 2, 0));
    let (instance_name, bot_cohort) = (MAIN.to_owned(), "unix".to_owned());
    quotas.delete_instance_quota(DeleteInstanceQuotaRequest { instance_name, bot_cohort }).await.unwrap();
    let (instance_name, bot_cohort) = (MAIN.to_owned(), "unix".to_owned());
    let gone = quotas.get_instance_quota(GetInstanceQuotaRequest { instance_name, bot_cohort }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let delete = DeleteQuotaRequest { instance: MAIN.into(), cohort: "unix".into() };
    assert_eq!(client.admin_quotas().delete_quota(delete).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_quota_holds_at_once_for_jobs_that_are_there_already() {
    let server = house(Duration::from_secs(20)).start().await;
    let client = server.connect().await;
    client.admin_quotas().set_quota(set(0, 1)).await.unwrap();
    let (_, _first) = client.begin(&linux("a")).await;
    let (_, _second) = client.begin(&linux("b")).await;
    let (_, _third) = client.begin(&Job::new("c")).await;
    let mut bot = client.bot("bot", 3);
    bot.open(LONG).await.unwrap();
    assert_eq!(bot.leases_seen, 2, "one of the cohort, and the one that is in none");
    let seen = quota(&client).await;
    assert_eq!((seen.running, seen.waiting, seen.cooling), (1, 1, 0));
    bot.session.leases.iter_mut().for_each(|lease| lease.state = LeaseState::Active as i32);
    bot.update(LONG).await.unwrap();
    let held = tokio::spawn(async move {
        bot.update(LONG).await.unwrap();
        bot
    });
    client.admin_quotas().set_quota(set(0, 2)).await.unwrap();
    assert_eq!(held.await.unwrap().leases_seen, 3);
    assert_eq!(quota(&client).await.running, 2);
}

#[tokio::test]
async fn others_give_way_for_a_minimum() {
    let server = house(Duration::from_secs(1)).start().await;
    let client = server.connect().await;
    let (_, _first) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot", 1);
    let evicted = bot.take().await;
    bot.session.leases[0].state = LeaseState::Active as i32;
    bot.update(LONG).await.unwrap();
    let (_, _second) = client.begin(&linux("b")).await;
    client.admin_quotas().set_quota(set(1, 2)).await.unwrap();
    // The call is held until the bot is told that its lease is over; then it lets go, and gets the other one.
    bot.update(LONG).await.unwrap();
    assert!(bot.session.leases.is_empty());
    assert_ne!(bot.take().await.id, evicted.id);
    let seen = quota(&client).await;
    assert_eq!((seen.running, seen.waiting), (1, 0));
}
