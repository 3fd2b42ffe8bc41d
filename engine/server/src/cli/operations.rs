//! The command line of `berth operations`.

use clap::{Args, Subcommand};

use super::RemoteArgs;

#[derive(Args)]
pub(crate) struct OperationsArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    #[command(subcommand)]
    pub(crate) command: OperationsCommand,
}

#[derive(Subcommand)]
pub(crate) enum OperationsCommand {
    /// Operations that meet a filter, in an order of your choice
    ///
    /// A filter is KEY OPERATOR VALUE, several joined by `&`; operators are = != < <= > >=; a value with spaces or signs
    /// stands in double quotes. Keys: stage, name, command, platform, action_digest, invocation_id,
    /// correlated_invocations_id, tool_name, tool_version, action_mnemonic, target_id, configuration_id,
    /// client_workflow, client_actor, client_subject, priority, queued_time, start_time, completed_time. Without a
    /// filter: what is not completed, the oldest first.
    List(ListArgs),
    /// One operation, and how it ended
    Show {
        /// Its name, as INSTANCE/ID
        name: String,
    },
    /// Wait until an operation is done, then show it
    Wait {
        /// Its name, as INSTANCE/ID
        name: String,
    },
    /// Give an operation up; its job ends with its last operation
    Cancel {
        /// Its name, as INSTANCE/ID
        name: String,
    },
    /// Give up all operations that meet a filter and are there now
    CancelMatching {
        /// Which operations, such as `invocation_id = X`; `stage != COMPLETED` for all
        filter: String,
        /// Instance of the operations
        #[arg(long, value_name = "NAME", default_value = "main")]
        instance: String,
        /// Only count them
        #[arg(long)]
        dry_run: bool,
    },
    /// The values of what build tools say of themselves, over all operations
    Values {
        /// tool_invocation_id, correlated_invocations_id, tool_name, tool_version, action_mnemonic, target_id or
        /// configuration_id
        field: String,
        /// Only values with this part, whatever the case of its letters
        #[arg(long, value_name = "PART", default_value = "")]
        pattern: String,
        /// Instance of the operations
        #[arg(long, value_name = "NAME", default_value = "main")]
        instance: String,
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..))]
        limit: i32,
    },
    /// The operations with such a value in numbers
    Summary {
        /// As in `values`
        field: String,
        /// The value
        value: String,
        /// Instance of the operations
        #[arg(long, value_name = "NAME", default_value = "main")]
        instance: String,
    },
    /// Forget an operation that is done
    Delete {
        /// Its name, as INSTANCE/ID
        name: String,
    },
}

#[derive(Args)]
pub(crate) struct ListArgs {
    /// Instance of the operations
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub(crate) instance: String,
    /// Which operations, such as `stage=COMPLETED & completed_time > 2026-01-31T12:00`
    #[arg(long, value_name = "FILTER", default_value = "")]
    pub(crate) filter: String,
    /// A key to order by, as KEY, KEY(asc) or KEY(desc); may be given several times
    #[arg(long, value_name = "KEY")]
    pub(crate) sort: Vec<String>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// Where to go on, as an earlier list said
    #[arg(long, value_name = "TOKEN", default_value = "")]
    pub(crate) page_token: String,
}

impl ListArgs {
    /// Filter and order as one line. An order alone changes nothing of what is listed.
    pub(crate) fn whole_filter(&self) -> String {
        if self.sort.is_empty() {
            return self.filter.clone();
        }
        let filter = if self.filter.trim().is_empty() { "stage != COMPLETED" } else { &self.filter };
        let sort: String = self.sort.iter().map(|key| format!(" & sort_order={key}")).collect();
        format!("{filter}{sort}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_joins_the_filter_and_keeps_its_default() {
        let args = |filter: &str, sort: &[&str]| ListArgs {
            instance: "main".into(),
            filter: filter.into(),
            sort: sort.iter().map(|key| (*key).to_owned()).collect(),
            limit: 1,
            page_token: String::new(),
        };
        assert_eq!(args("", &[]).whole_filter(), "");
        assert_eq!(args(" ", &["name"]).whole_filter(), "stage != COMPLETED & sort_order=name");
        let two = args("tool_name=bazel", &["stage", "name(desc)"]).whole_filter();
        assert_eq!(two, "tool_name=bazel & sort_order=stage & sort_order=name(desc)");
    }
}
