//! A guest whose examples fail: it is refused when it is loaded. Otherwise it answers well. For tests of the host.

use berth_policy_sdk::{About, Jobs, Places, Priority, export_policy};

struct Boastful;

impl Priority for Boastful {
    fn place(_jobs: Jobs) -> Places {
        Places::default()
    }
}

impl About for Boastful {
    const EXAMPLES: &str = r#"
        [[case]]
        name = "this one is right"
        function = "place"
        question.jobs = [{}]
        answer.places = [{}]

        [[case]]
        name = "this one is wrong"
        function = "place"
        question.jobs = [{ priority = 3 }]
        answer.places = [{ rank = 3 }]
    "#;
}

export_policy!(Boastful: Priority, About);
