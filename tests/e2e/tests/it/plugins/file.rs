//! The configuration file and the API change the same thing, and a restart undoes nothing.

use std::{path::Path, time::Duration};

use berth_e2e::{Job, Plan, Site, digest, within};
use serde_json::json;

use super::{arg, component, plugin, refused, state, who};

fn configure(site: &Site, text: &str) {
    std::fs::write(site.folder().join("berth.toml"), text).expect("the folder is ours");
}

async fn restart(site: &Site) {
    site.kill().await;
    site.start().await;
}

#[tokio::test]
async fn what_was_said_last_counts() {
    const FIRST: &str = "[plugins.priority-age]\nconfig = {}\n[policy.instances.\"*\"]\nproperties = \"containment\"\n\
                         rank = \"priority-age\"\n";
    let site = Site::started(Plan { config: FIRST, ..Plan::default() }).await;
    assert_eq!(who(&site, "rank").await, ["priority-age"]);
    plugin(&site, &["activate", "reapi-priority", "--as", "rank"]).await;
    restart(&site).await;
    assert_eq!(who(&site, "rank").await, ["reapi-priority"], "the file says nothing new");

    configure(&site, &FIRST.replace("priority-age\"\n", "priority-age\"\nlane = \"fair-share\"\n"));
    restart(&site).await;
    assert_eq!(
        (who(&site, "rank").await, who(&site, "lane").await),
        (vec!["priority-age".to_owned()], vec!["fair-share".to_owned()])
    );
    let set = plugin(&site, &["rollback"]).await;
    assert_eq!(set["chains"][0]["roles"]["rank"], json!(["reapi-priority"]));
    restart(&site).await;
    assert_eq!(who(&site, "rank").await, ["reapi-priority"]);

    for (text, expected) in [
        ("[policy.instances.\"*\"]\nrank = \"nobody\"\n", "policy.instances"),
        ("[policy.instances.\"*\"]\nranks = \"containment\"\n", "ranks"),
        ("[plugins.mine]\nfile = \"nowhere.wasm\"\n", "plugins.mine"),
        (
            "[plugins.quota]\nconfig = { no-such-key = 1 }\n[policy.instances.\"*\"]\nlimits = \"quota\"\n",
            "no-such-key",
        ),
        ("[policy.instances.\"*\"]\nrank = \"containment\"\n", "does not export berth:policy/priority"),
        ("[policy]\ntrusted_keys = [\"abc\"]\n", "policy.trusted_keys"),
    ] {
        site.kill().await;
        configure(&site, text);
        let output = site.run(&site.serve_arguments()).await;
        assert!(output.code != 0 && output.stderr.contains(expected), "{text}: {output:?}");
        configure(&site, "");
        site.start().await;
    }
}

/// A folder in OCI image layout with the component as its only layer.
fn layout(folder: &Path, component: &[u8]) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("the folder is ours");
    let put = |bytes: &[u8]| {
        let hash = digest(bytes).hash;
        std::fs::write(blobs.join(&hash), bytes).expect("the folder is ours");
        json!({ "digest": format!("sha256:{hash}"), "size": bytes.len() })
    };
    let mut layer = put(component);
    layer["mediaType"] = json!("application/wasm");
    let mut manifest = put(json!({ "schemaVersion": 2, "layers": [layer] }).to_string().as_bytes());
    manifest["mediaType"] = json!("application/vnd.oci.image.manifest.v1+json");
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    std::fs::write(folder.join("index.json"), index.to_string()).expect("the folder is ours");
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("the folder is ours");
}

#[tokio::test]
async fn with_trusted_keys_a_component_must_be_signed_and_may_be_pinned() {
    let pair = ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([7; 32]));
    let key: String = pair.pk.iter().map(|byte| format!("{byte:02x}")).collect();
    let config = format!("[policy]\ntrusted_keys = [\"{key}\"]\n");
    let site = Site::new(Plan { config: " ", ..Plan::default() });
    configure(&site, &config);
    site.start().await;
    let bytes = std::fs::read(component("fair-share")).expect("it was just built");
    let (folder, signature) = (site.folder().join("oci"), site.folder().join("fair.sig"));
    layout(&folder, &bytes);
    std::fs::write(&signature, *pair.sk.sign(&bytes, None)).expect("the folder is ours");
    // The one that comes with Berth has this very component, which is trusted: another one is needed.
    let other = std::fs::read(component("probe")).expect("it was just built");
    let (other_folder, other_signature) = (site.folder().join("other"), site.folder().join("other.sig"));
    layout(&other_folder, &other);
    std::fs::write(&other_signature, *pair.sk.sign(&other, None)).expect("the folder is ours");

    let load = ["load", arg(&other_folder), "--name", "own"];
    assert!(refused(&site, &load).await.contains("signature: is not set"));
    let wrong = [&load[..], &["--signature", arg(&signature)]].concat();
    assert!(refused(&site, &wrong).await.contains("none of the keys in policy.trusted_keys"));
    let pinned = digest(&other).hash;
    let settings = site.folder().join("all.toml");
    let all = "grants = [\"log\", \"config\", \"clock\", \"kv\", \"stats\", \"metrics\"]\n";
    std::fs::write(&settings, all).expect("the folder is ours");
    let signed = ["--signature", arg(&other_signature), "--digest", &pinned, "--settings", arg(&settings)];
    plugin(&site, &[&load[..], &signed].concat()).await;
    assert_eq!(state(&site, "own").await, "LOADED");

    // The same from the file, pinned and signed; then with one digit changed.
    site.kill().await;
    let (folder, signature) = (other_folder.display(), other_signature.display());
    let own = format!(
        "{config}[plugins.own]\nfile = \"{folder}\"\nsignature = \"{signature}\"\ndigest = \"{pinned}\"\n{all}"
    );
    configure(&site, &own);
    site.start().await;
    assert_eq!(state(&site, "own").await, "LOADED");
    site.kill().await;
    configure(&site, &own.replace(&pinned, &"0".repeat(64)));
    let output = site.run(&site.serve_arguments()).await;
    assert!(output.stderr.contains("plugins.own: digest: the component has"), "{output:?}");
}

#[tokio::test]
async fn jobs_that_are_there_are_placed_by_what_the_file_says_now() {
    let site = Site::started(Plan { config: " ", ..Plan::default() }).await;
    let client = site.client().await;
    let (first, stream) = client.begin(&Job { do_not_cache: true, ..Job::new("waits") }).await;
    let lane = async || site.ask(&["jobs", "show", &first.name, "--json"]).await.json()["lane"].clone();
    assert_eq!(lane().await, "");
    drop(stream);
    site.kill().await;
    configure(
        &site,
        "[plugins.fair-share]\nconfig = { without-tenant = \"instance\" }\n[policy.instances.\"*\"]\n\
         properties = \"containment\"\nrank = \"reapi-priority\"\nlane = \"fair-share\"\n",
    );
    site.start().await;
    within("the job is placed again", async {
        while !lane().await.as_str().is_some_and(|lane| lane.starts_with("main/")) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
