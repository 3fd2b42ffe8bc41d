//! Every value of every enum: the same number and name on both sides, and none on one side only.

use std::collections::BTreeSet;

/// Numbers that are compared. All of the protocols are below 20.
const NUMBERS: std::ops::Range<i32> = -1..4096;

/// An enum of ours and the same one of theirs, each as a function from number to name.
struct Pair {
    name: &'static str,
    ours: fn(i32) -> Option<&'static str>,
    theirs: fn(i32) -> Option<&'static str>,
}

macro_rules! pairs {
    ($($name:literal => $module:ident::$($part:ident)::+;)+) => {
        vec![$(Pair {
            name: $name,
            ours: |n| crate::ours::$module::$($part)::+::try_from(n).ok().map(|value| value.as_str_name()),
            theirs: |n| crate::theirs::$module::$($part)::+::try_from(n).ok().map(|value| value.as_str_name()),
        },)+]
    };
}

fn pairs() -> Vec<Pair> {
    pairs! {
        "build.bazel.remote.execution.v2.Command.OutputDirectoryFormat" => reapi::command::OutputDirectoryFormat;
        "build.bazel.remote.execution.v2.ExecutionStage.Value" => reapi::execution_stage::Value;
        "build.bazel.remote.execution.v2.DigestFunction.Value" => reapi::digest_function::Value;
        "build.bazel.remote.execution.v2.ChunkingFunction.Value" => reapi::chunking_function::Value;
        "build.bazel.remote.execution.v2.SymlinkAbsolutePathStrategy.Value" => reapi::symlink_absolute_path_strategy::Value;
        "build.bazel.remote.execution.v2.Compressor.Value" => reapi::compressor::Value;
        "google.rpc.Code" => rpc::Code;
        "google.devtools.remoteworkers.v1test2.AdminTemp.Command" => bots::admin_temp::Command;
        "google.devtools.remoteworkers.v1test2.BotStatus" => bots::BotStatus;
        "google.devtools.remoteworkers.v1test2.LeaseState" => bots::LeaseState;
    }
}

/// Ours alone: part of a message that the other implementation left out.
const WITHOUT_PEER: [&str; 1] = ["google.devtools.remoteworkers.v1test2.PostBotEventTempRequest.Type"];

#[test]
fn every_public_enum_is_compared() {
    let pool = crate::pool();
    let public = pool.all_enums().filter(|e| crate::is_public(e.package_name()));
    let elsewhere = public.filter(|e| !crate::buildgrid::has(e.parent_file().name()));
    let ours: BTreeSet<String> = elsewhere.map(|e| e.full_name().to_owned()).collect();
    let compared = pairs().into_iter().map(|pair| pair.name).chain(WITHOUT_PEER).map(str::to_owned).collect();
    assert_eq!(ours, compared);
}

#[test]
fn every_number_has_the_same_name() {
    let pool = crate::pool();
    for pair in pairs() {
        let descriptor = pool.get_enum_by_name(pair.name).expect("what is generated is described");
        for number in NUMBERS {
            assert_eq!((pair.ours)(number), (pair.theirs)(number), "{} {number}", pair.name);
            let described = descriptor.get_value(number).map(|value| value.name().to_owned());
            assert_eq!((pair.ours)(number), described.as_deref(), "{} {number}", pair.name);
        }
    }
}
