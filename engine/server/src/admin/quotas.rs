//! `berth quota`.

use std::process::ExitCode;

use berth_proto::admin::{
    DeleteQuotaRequest, GetQuotaRequest, ListQuotasRequest, Quota, SetQuotaRequest, quotas_client::QuotasClient,
};
use serde_json::{Value, json};

use super::{answer, ask, table};
use crate::cli::quota::{Of, QuotaArgs, QuotaCommand};

pub(crate) fn run(args: QuotaArgs) -> anyhow::Result<ExitCode> {
    let as_json = args.remote.json;
    ask(&args.remote.server, async |channel| {
        let mut client = QuotasClient::new(channel);
        match args.command {
            QuotaCommand::List { instance, cohort } => {
                let list = answer(client.list_quotas(ListQuotasRequest { instance, cohort }).await)?;
                if as_json {
                    let quotas: Vec<_> = list.quotas.iter().map(to_json).collect();
                    outln!("{}", json!({ "quotas": quotas, "cohorts": list.cohorts }));
                } else if list.quotas.is_empty() {
                    outln!("no quota is set; cohorts: {}", cohorts(&list.cohorts));
                } else {
                    table::print(&HEADER, list.quotas.iter().map(row).collect());
                }
            }
            QuotaCommand::Show(Of { cohort, instance }) => {
                let quota = answer(client.get_quota(GetQuotaRequest { instance, cohort }).await)?;
                print(&quota, as_json);
            }
            QuotaCommand::Set { of: Of { cohort, instance }, min, max } => {
                let quota = answer(client.set_quota(SetQuotaRequest { instance, cohort, min, max }).await)?;
                print(&quota, as_json);
            }
            QuotaCommand::Delete(Of { cohort, instance }) => {
                let request = DeleteQuotaRequest { instance: instance.clone(), cohort: cohort.clone() };
                answer(client.delete_quota(request).await)?;
                if as_json {
                    outln!("{}", json!({ "instance": instance, "cohort": cohort, "deleted": true }));
                } else {
                    outln!("{instance} has neither bound nor promise in {cohort}");
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

const HEADER: [&str; 7] = ["COHORT", "INSTANCE", "MIN", "MAX", "RUNNING", "WAITING", "LESS NOW"];

fn cohorts(names: &[String]) -> String {
    if names.is_empty() {
        "none; [[scheduler.cohorts]] in the configuration makes them".to_owned()
    } else {
        names.join(", ")
    }
}

fn print(quota: &Quota, as_json: bool) {
    if as_json {
        outln!("{}", to_json(quota));
    } else {
        table::print(&HEADER, vec![row(quota)]);
    }
}

fn row(quota: &Quota) -> Vec<String> {
    let numbers = [quota.min, quota.max, quota.running, quota.waiting, quota.cooling];
    let names = [quota.cohort.clone(), quota.instance.clone()];
    names.into_iter().chain(numbers.iter().map(u32::to_string)).collect()
}

fn to_json(quota: &Quota) -> Value {
    json!({
        "cohort": quota.cohort,
        "instance": quota.instance,
        "min": quota.min,
        "max": quota.max,
        "running": quota.running,
        "waiting": quota.waiting,
        "cooling": quota.cooling,
    })
}
