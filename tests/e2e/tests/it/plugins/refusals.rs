//! What is wrong is named, with what would be accepted.

use berth_e2e::{Plan, Site};

use super::{arg, component, plugin, refused};

#[tokio::test]
async fn a_mistake_is_answered_with_what_to_do() {
    let site = Site::started(Plan::default()).await;
    let (file, foreign) = (component("fair-share"), component("audit"));
    let write = |name: &str, text: &str| {
        let path = site.folder().join(name);
        std::fs::write(&path, text).expect("the folder is ours");
        path
    };
    let wrong_config = write("config.toml", "config = { default-weight = 0 }\n");
    let wrong_key = write("key.toml", "limit = 1\n");
    let wrong_limit = write("limit.toml", "limits = { deadline_ms = 0 }\n");
    let only_log = write("log.toml", "grants = [\"log\"]");
    let no_component = write("text.wasm", "not a component");
    let (file, foreign) = (arg(&file), arg(&foreign));
    plugin(&site, &["load", file, "--name", "fair"]).await;

    let zeros = "0".repeat(64);
    let wrong: &[(&[&str], &str)] = &[
        (&["load", file, "--name", "Fair"], "the plugin's name is \"Fair\": expected 1 to 64 of the characters a-z"),
        (&["load", file, "--digest", &zeros], "--digest asks for 0000"),
        (&["load", "bundled:fair-share", "--digest", &zeros], "digest: the component has"),
        (&["load", "bundled:fairness"], "bundled = \"fairness\": expected one of containment, reapi-priority"),
        (&["load", "nowhere.wasm"], "cannot read nowhere.wasm"),
        (&["load", arg(&no_component)], "is not a valid WebAssembly component"),
        (&["load", file, "--settings", arg(&wrong_config)], "default-weight"),
        (&["load", file, "--settings", arg(&wrong_key)], "unknown field `limit`"),
        (&["load", file, "--settings", arg(&wrong_limit)], "limits.deadline_ms = 0; expected a whole number from 1"),
        (&["load", file, "--grant", "network"], "\"network\" is not known; known are: log, config"),
        (&["load", foreign, "--name", "own-audit", "--settings", arg(&only_log)], "grant"),
        (&["activate", "nobody"], "no plugin \"nobody\" is loaded; there are: affinity"),
        (&["activate", "fair", "--digest", "123"], "has no version \"123\"; it has:"),
        (&["activate", "fair", "--as", "lanes"], "role \"lanes\" is not known; known are: properties, lane"),
        (&["activate", "fair", "--as", "events"], "does not export berth:policy/events"),
        (&["activate", "fair", "--instance", "a*b"], "a `*` may only be the last character"),
        (&["rollback"], "there is no older set to go back to"),
        (&["rollback", "9"], "there is no set 9; there are: 1"),
        (&["observe", "containment"], "is active: it answers already"),
        (&["observe", "fair", "--stop"], "no version of fair is observed"),
        (&["diff", "fair"], "begin with: berth plugin observe fair"),
        (&["unload", "reapi-priority"], "comes with Berth"),
        (&["kv", "nobody"], "no plugin \"nobody\""),
    ];
    for (arguments, expected) in wrong {
        let said = refused(&site, arguments).await;
        assert!(said.contains(expected), "{arguments:?} is answered with: {said}");
    }
    plugin(&site, &["activate", "fair"]).await;
    assert!(refused(&site, &["unload", "fair"]).await.contains("activate another version or roll back first"));
}
