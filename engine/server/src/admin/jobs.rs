//! `berth jobs`.

use std::process::ExitCode;

use berth_proto::admin::{
    CancelJobRequest, GetHistoryRequest, GetJobRequest, Job, ListJobsRequest, RequeueJobRequest, SetPriorityRequest,
    jobs_client::JobsClient,
};
use serde_json::{Value, json};

use super::{ago, answer, ask, history, pairs, pauses, rfc3339, table};
use crate::cli::{JobsArgs, JobsCommand};

pub(crate) fn run(args: JobsArgs) -> anyhow::Result<ExitCode> {
    let as_json = args.remote.json;
    ask(&args.remote.server, async |channel| {
        let mut client = JobsClient::new(channel.clone()).max_decoding_message_size(256 << 20);
        match args.command {
            JobsCommand::List { instance, limit, finished, filter } => {
                let request = ListJobsRequest { instance, limit, finished, filter };
                let jobs = answer(client.list_jobs(request).await)?;
                if as_json {
                    let list: Vec<Value> = jobs.jobs.iter().map(to_json).collect();
                    outln!("{}", json!({ "jobs": list, "incomplete_total": jobs.incomplete_total }));
                } else {
                    list(&jobs.jobs, jobs.incomplete_total);
                }
            }
            JobsCommand::Show { job } => {
                let job = answer(client.get_job(GetJobRequest { job }).await)?;
                if as_json {
                    outln!("{}", to_json(&job));
                } else {
                    show(&job);
                }
            }
            JobsCommand::History { job } => {
                let known = answer(client.get_history(GetHistoryRequest { job }).await)?;
                history::print(&known, as_json);
            }
            JobsCommand::Requeue { job, counts } => {
                answer(client.requeue_job(RequeueJobRequest { job: job.clone(), counts }).await)?;
                if as_json {
                    outln!("{}", json!({ "job": job, "requeued": true }));
                } else {
                    outln!("{job} waits again");
                }
            }
            JobsCommand::Prioritize { job, priority } => {
                let request = SetPriorityRequest { job: job.clone(), priority };
                let set = answer(client.set_priority(request).await)?;
                if as_json {
                    let unanswered = set.unanswered;
                    outln!(
                        "{}",
                        json!({ "job": job, "rank_before": set.rank_before, "rank": set.rank, "unanswered": unanswered })
                    );
                } else if set.unanswered {
                    outln!("{job} keeps rank {} until the policy can say where it stands", set.rank);
                } else {
                    outln!("{job} has rank {}, and had {}", set.rank, set.rank_before);
                }
            }
            JobsCommand::Pause { instance, label, undo } => {
                pauses::set(channel, instance, label, undo, as_json).await?
            }
            JobsCommand::Pauses => pauses::list(channel, as_json).await?,
            JobsCommand::Cancel { job } => {
                let cancelled = answer(client.cancel_job(CancelJobRequest { job }).await)?.operations;
                if as_json {
                    outln!("{}", json!({ "operations_cancelled": cancelled }));
                } else {
                    outln!("{cancelled} operations cancelled");
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(jobs: &[Job], incomplete: u64) {
    let row = |job: &Job| {
        let state = if job.outcome.is_empty() { &job.stage } else { &job.outcome };
        let who = match (&job.lease, &job.waiting) {
            (Some(lease), _) => lease.bot_id.clone(),
            (None, Some(waiting)) => waiting.reason.clone(),
            (None, None) => String::new(),
        };
        vec![
            job.job.chars().take(12).collect(),
            job.instance.clone(),
            state.clone(),
            ago(job.queued_at.as_ref()),
            job.rank.to_string(),
            who,
            job.command_line.chars().take(60).collect(),
        ]
    };
    if !jobs.is_empty() {
        let header = ["JOB", "INSTANCE", "STATE", "AGE", "RANK", "BOT, OR WHY IT WAITS", "COMMAND"];
        table::print(&header, jobs.iter().map(row).collect());
    }
    outln!("{} shown, {incomplete} incomplete in all", jobs.len());
}

fn show(job: &Job) {
    let mut rows = vec![
        ("job", job.job.clone()),
        ("instance", job.instance.clone()),
        ("stage", job.stage.clone()),
        ("action", job.action_digest.clone()),
        ("command", job.command_line.clone()),
        ("requires", pairs(&job.requirements)),
        ("label", job.label.clone()),
        ("lane, rank", format!("{:?}, {}", job.lane, job.rank)),
        ("queued", format!("{} ago", ago(job.queued_at.as_ref()))),
        ("failed attempts", job.attempts_used.to_string()),
        ("operations", job.operations.join(", ")),
    ];
    let mut optional = |name, value: &str| {
        if !value.is_empty() {
            rows.push((name, value.to_owned()));
        }
    };
    optional("outcome", &job.outcome);
    optional("invocation", &job.tool_invocation_id);
    optional("target", &job.target_id);
    optional("mnemonic", &job.action_mnemonic);
    optional("keys", &job.keys.join(", "));
    if let Some(lease) = &job.lease {
        rows.push(("bot", format!("{} (lease {})", lease.bot_id, lease.lease)));
    }
    if let Some(waiting) = &job.waiting {
        rows.push(("waits because", waiting.reason.clone()));
        rows.push(("position", waiting.position.to_string()));
    }
    for (name, value) in rows {
        outln!("{name:<16} {value}");
    }
}

fn to_json(job: &Job) -> Value {
    let properties = |list: &[berth_proto::admin::Property]| -> Vec<Value> {
        list.iter().map(|p| json!({ "name": p.name, "value": p.value })).collect()
    };
    json!({
        "job": job.job,
        "instance": job.instance,
        "action_digest": job.action_digest,
        "command_line": job.command_line,
        "stage": job.stage,
        "outcome": job.outcome,
        "requirements": properties(&job.requirements),
        "label": job.label,
        "lane": job.lane,
        "rank": job.rank,
        "queued_at": rfc3339(job.queued_at.as_ref()),
        "completed_at": rfc3339(job.completed_at.as_ref()),
        "attempts_used": job.attempts_used,
        "operations": job.operations,
        "tool_invocation_id": job.tool_invocation_id,
        "target_id": job.target_id,
        "action_mnemonic": job.action_mnemonic,
        "keys": job.keys,
        "lease": job.lease.as_ref().map(|lease| json!({
            "lease": lease.lease,
            "bot_id": lease.bot_id,
            "offered_at": rfc3339(lease.offered_at.as_ref()),
            "started_at": rfc3339(lease.started_at.as_ref()),
        })),
        "waiting": job.waiting.as_ref().map(|waiting| json!({
            "code": waiting.code,
            "reason": waiting.reason,
            "missing": properties(&waiting.missing),
            "ahead": waiting.ahead,
            "bots_that_fit": waiting.bots_that_fit,
            "position": waiting.position,
        })),
    })
}
