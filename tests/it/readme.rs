//! The README's commands, run as they stand there, and every rpc called as a person
//! would: with grpcurl, by reflection alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::process::Command;
use tonic::Code;

use crate::fixtures;
use crate::support::client::pool;
use crate::support::gateway::Gateway;
use crate::support::wire::Wire;

const README: &str = include_str!("../../README.md");
/// What the README's commands call.
const ADDRESS: &str = "localhost:50051";
const SIMULATORS: &str = "localhost:9400";

/// The lines of the README's `sh` blocks.
fn commands() -> Vec<&'static str> {
    let mut is_inside = false;
    let mut lines = Vec::new();
    for line in README.lines() {
        match line {
            "```sh" => is_inside = true,
            "```" => is_inside = false,
            line if is_inside => lines.push(line),
            _ => {}
        }
    }
    lines
}

fn commands_of(program: &str) -> Vec<&'static str> {
    let mut lines = commands();
    lines.retain(|line| line.split(' ').next() == Some(program));
    lines
}

/// Where grpcurl is. Without it there is nothing to test; on CI that is a failure.
#[expect(clippy::print_stdout, reason = "what is not tested must be told")]
fn grpcurl() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::iter::once(own).chain(std::env::split_paths(&path));
    let found = folders.find(|folder| folder.join("grpcurl").is_file());
    if found.is_none() {
        let missing = "grpcurl is missing: scripts/tools installs it";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        println!("not tested: {missing}");
    }
    found
}

/// Runs a line as a shell does, with grpcurl's folder in front of the path.
async fn sh(folder: &Path, line: &str) -> Output {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", line]).env("PATH", path).current_dir(std::env::temp_dir());
    let output = command.kill_on_drop(true).output();
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, output).await.unwrap_or_else(|_| panic!("no end: {line}")).unwrap()
}

/// What a command that must work answers.
fn answer(line: &str, output: &Output) -> Value {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}\n{error}: {out}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_grpcurl_command_of_the_readme_works_in_order() {
    let Some(folder) = grpcurl() else { return };
    let gateway = Gateway::simulated("").await;
    let lines = commands_of("grpcurl");
    assert!(lines.len() >= 10, "{lines:?}");

    let mut called = BTreeSet::new();
    for line in lines {
        let output = sh(&folder, &line.replace(ADDRESS, &gateway.grpc().to_string())).await;
        let reply = answer(line, &output);

        assert!(line.contains(ADDRESS), "{line}");
        assert!(reply.is_object(), "{line}: {reply}");
        let (service, _) = line.rsplit(' ').next().unwrap().split_once('/').unwrap();
        called.insert(service);
    }
    // One of each of the partners' packages, and every service of the gateway's own.
    let whole = |name: &str| name.starts_with("gateway.");
    let part = |name: &str| match whole(name) {
        true => name.to_owned(),
        false => name.split('.').next().unwrap().to_owned(),
    };
    let services: BTreeSet<_> = pool().services().map(|s| part(s.full_name())).collect();
    let called: BTreeSet<_> = called.into_iter().map(part).collect();
    let missing: Vec<_> = services.difference(&called).collect();
    assert!(missing.is_empty(), "the README calls none of {missing:?}");
}

/// The README's `bash` block, in which each command builds on those before it.
fn script() -> &'static str {
    let (_, rest) = README.split_once("```bash\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// What curl does in the script, for machines without it.
const CURL: &str = "curl() { python3 -c 'import sys, urllib.request as r; \
     print(r.urlopen(r.Request(\"http://\" + sys.argv[-1], method=\"POST\")).read().decode())' \"$@\"; }";

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_transaction_in_the_readme_ends_with_its_money_released() {
    let Some(folder) = grpcurl() else { return };
    let gateway = Gateway::simulated("").await;
    let script = script()
        .replace(ADDRESS, &gateway.grpc().to_string())
        .replace(SIMULATORS, &gateway.control().address.to_string());

    let output = sh(&folder, &format!("set -eu\n{CURL}\n{script}")).await;

    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}{err}");
    let (_, last) = out.rsplit_once("\n{").unwrap();
    let last: Value = serde_json::from_str(&format!("{{{last}")).unwrap();
    assert_eq!(last["status"], "funds_released");
    assert_eq!(last["releasedToSeller"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_describe_command_of_the_readme_shows_comments_and_options() {
    let Some(folder) = grpcurl() else { return };
    let gateway = Gateway::simulated("").await;
    let line = README.split('`').find(|code| code.contains(" describe ")).unwrap();

    let output = sh(&folder, &line.replace(ADDRESS, &gateway.grpc().to_string())).await;

    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{out}");
    for expected in ["rpc CreateWebhook", "// Creates a webhook", "EFFECT_WRITE_ONCE", "post:"] {
        assert!(out.contains(expected), "{expected} is not in\n{out}");
    }
}

/// `curl` as the README has it, without curl: the URL, and what `-d` posts.
fn curl(line: &str) -> (String, Option<String>) {
    let words = words(line);
    let url = words.iter().find(|word| word.starts_with(SIMULATORS)).expect("no URL");
    let data = words.iter().position(|word| word == "-d").map(|at| words[at + 1].clone());
    (url.strip_prefix(SIMULATORS).unwrap().to_owned(), data)
}

/// The words of a shell line whose only quotes are single ones.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[tokio::test]
async fn every_curl_command_of_the_readme_is_accepted_by_the_simulators() {
    let gateway = Gateway::simulated("").await;
    let lines = commands_of("curl");
    assert!(!lines.is_empty());

    for line in lines {
        let (path, data) = curl(line);
        let (status, answer) = match data {
            Some(body) => gateway.control().post(&path, &body).await,
            None => gateway.control().get(&path).await,
        };

        assert_eq!(status, StatusCode::OK, "{line}: {answer}");
    }
}

/// What the README promises of the fault that it orders: the partner has acted, and
/// the caller is told that nobody knows.
#[tokio::test]
async fn the_fault_of_the_readme_is_an_unknown_outcome() {
    let gateway = Gateway::simulated("").await;
    let lines = commands_of("curl");
    let (path, fault) = lines.iter().map(|line| curl(line)).find(|(_, d)| d.is_some()).unwrap();
    gateway.control().post(&path, &fault.unwrap()).await;

    let rpc = "trolley.v1.WebhookService/CreateWebhook";
    let told = Wire::to(gateway.grpc()).call(rpc, request(rpc), &[]).await;

    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
    assert_eq!(told.error_info().metadata["outcome"], "UNKNOWN");
    assert_eq!(told.metadata("grpc-retry-pushback-ms"), Some("-1"));
    let arrived = gateway.control().arrived("trolley").await;
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    assert_eq!(arrived[0]["acted"], true, "{arrived:?}");
}

/// What each fixture asks of the simulators: creates first, deletes last, so that there
/// is something to read.
fn requests() -> Vec<(String, Value)> {
    let mut fixtures: Vec<_> = fixtures::files().iter().map(|path| fixtures::read(path)).collect();
    fixtures.sort_by_key(|fixture| {
        let (_, name) = fixture.rpc.split_once('/').unwrap();
        let order = match name {
            name if name.starts_with("Create") => 0,
            name if name.starts_with("Delete") => 2,
            _ => 1,
        };
        (order, fixture.rpc.clone())
    });
    fixtures.into_iter().filter_map(|f| Some((f.rpc, f.simulated?))).collect()
}

fn request(rpc: &str) -> Value {
    requests().into_iter().find(|(name, _)| name == rpc).unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partner_rpc_is_called_by_grpcurl_through_reflection_alone() {
    let Some(folder) = grpcurl() else { return };
    let gateway = Gateway::simulated("").await;
    let mut replies: BTreeMap<String, Value> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (rpc, request) in requests() {
        let request = filled(&request.to_string(), &replies);
        let line = format!("grpcurl -plaintext -d '{request}' {} {rpc}", gateway.grpc());
        let output = sh(&folder, &line).await;

        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        match serde_json::from_str::<Value>(&out) {
            Ok(reply) if output.status.success() && reply.is_object() => {
                replies.insert(rpc.split_once('/').unwrap().1.to_owned(), reply);
            }
            _ => wrong.push(format!("{line}\n{out}{}", String::from_utf8_lossy(&output.stderr))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(replies.len(), requests().len());
    // The replies are the partner's, not just any objects.
    assert_eq!(replies["GetWebhook"]["id"], replies["CreateWebhook"]["id"]);
    assert_eq!(replies["UpdateWebhook"]["target"], json!("https://example.com/other"));
    let key = &replies["GetMerchantKeys"]["items"][0]["apiKey"];
    assert!(key.is_string(), "{replies:?}");
}

/// The request with the fields of earlier replies in it.
fn filled(json: &str, replies: &BTreeMap<String, Value>) -> String {
    let mut filled = json.to_owned();
    while let Some(start) = filled.find('$') {
        let end = start + filled[start..].find('"').unwrap();
        let (rpc, field) = filled[start + 1..end].split_once('.').unwrap();
        let value = replies.get(rpc).and_then(|reply| reply[field].as_str()).unwrap_or_default();
        filled = format!("{}{value}{}", &filled[..start], &filled[end..]);
    }
    filled
}

#[test]
fn every_link_of_the_readme_to_a_file_leads_to_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = README.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let files: Vec<_> = links.filter(|link| !link.starts_with("https://")).collect();
    assert!(!files.is_empty());

    let broken: Vec<_> = files.into_iter().filter(|link| !folder.join(link).exists()).collect();

    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_details_of_an_error_can_be_read_through_reflection() {
    let Some(folder) = grpcurl() else { return };
    let gateway = Gateway::simulated("").await;
    let call = "grpcurl -plaintext -format-error -d '{\"id\": \"none\"}' localhost:50051 \
                trolley.v1.WebhookService/GetWebhook";

    let output = sh(&folder, &call.replace(ADDRESS, &gateway.grpc().to_string())).await;

    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("PARTNER_NOT_FOUND") && told.contains("google.rpc.ErrorInfo"), "{told}");
    assert!(!told.contains("not recognized"), "{told}");
}
