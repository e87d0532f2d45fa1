//! Replicas are replaced one after the other, and no caller notices: real processes, and
//! callers that stand on gRPC's own library and do nothing about failures (G27).

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::shutdown::beside;
use crate::support::control::Control;
use crate::support::process::Process;
use crate::support::tool::Tool;

const RPC: &str = "trustist.v1.InvitationService/ListInvitations";
/// Calls of all callers, a second.
const RATE: u32 = 200;
/// As many of them must have been made, or a restart has met fewer callers than it says.
const REACHED: f64 = 190.0;
const CALLERS: usize = 4;
/// How many calls show that the callers have found a replica that is new.
const FOUND: usize = 20;
/// What a replica says that goes before its calls have ended.
const LEFT_BEHIND: &str = "stopping with calls in flight";
const PATIENCE: Duration = Duration::from_secs(30);

/// A replica at this address, or at a free one.
async fn replica(simulators: &Control, address: Option<SocketAddr>) -> Process {
    let listen = address.map_or("127.0.0.1:0".to_owned(), |address| address.to_string());
    let url = format!("http://{}/trustist", simulators.address);
    let environment = [
        // The partner that takes as many calls as come.
        ("PARTNER_GATEWAY__PARTNERS__TRUSTIST__BASE_URL", url.as_str()),
        ("PARTNER_GATEWAY__PARTNERS__TRUSTIST__CLIENT_ID", "simulator-client"),
        ("PARTNER_GATEWAY__PARTNERS__TRUSTIST__CLIENT_SECRET", "simulator-client-secret"),
        ("PARTNER_GATEWAY__GRPC__LISTEN", listen.as_str()),
        ("PARTNER_GATEWAY__GRPC__DRAIN_DELAY", "300ms"),
    ];
    beside(simulators, &environment).await
}

fn calls(process: &Process) -> usize {
    process.log().iter().filter(|line| line["rpc"] == RPC).count()
}

/// How many connections there are to this port of the machine's.
fn connections(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let local = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&local) && row[3] == ESTABLISHED).count()
}

/// Until all callers use the replica: an orchestrator, too, gives them time to find a new
/// one before it takes the next away.
async fn found(process: &Process) {
    let polled = async {
        while connections(process.grpc.port()) < CALLERS || calls(process) < FOUND {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, polled).await;
    found.unwrap_or_else(|_| panic!("the callers do not come back: {:?}", process.log().last()));
}

/// Replaces each of two replicas so many times: what the callers were told, and how long
/// each took to go.
async fn restarts(rounds: usize) -> Option<(Value, Vec<Duration>)> {
    let simulators = Control::start().await;
    let mut replicas = [replica(&simulators, None).await, replica(&simulators, None).await];
    let [first, second] = [&replicas[0], &replicas[1]].map(|it| it.grpc.to_string());
    let rate = RATE.to_string();
    let mut callers = Tool::start("steady_load.py", &[RPC, &first, &second, "--rate", &rate])?;
    assert_eq!(callers.next().await.unwrap()["ready"], CALLERS);
    let mut drains = Vec::new();
    for number in 0..rounds * replicas.len() {
        for process in &replicas {
            found(process).await;
        }
        let turn = number % replicas.len();
        let process = &mut replicas[turn];
        let start = Instant::now();
        process.signal("TERM").await;
        let status = process.ended().await;
        drains.push(start.elapsed());
        assert_eq!(status.code(), Some(0));
        let left = process.log().into_iter().find(|it| it["message"] == LEFT_BEHIND);
        assert_eq!(left, None);
        *process = replica(&simulators, Some(process.grpc)).await;
    }
    for process in &replicas {
        found(process).await;
    }
    let told = callers.finish().await.pop().unwrap();
    Some((told, drains))
}

#[expect(clippy::print_stdout, reason = "the figures are for people")]
fn judge(told: &Value, drains: &[Duration]) {
    let longest = drains.iter().max().unwrap();
    println!("{} restarts, the longest drain {longest:?}: {told}", drains.len());
    let codes = told["codes"].as_object().unwrap();
    assert!(codes.len() == 1 && codes["OK"].as_u64().unwrap() > RATE.into(), "{told}");
    assert!(told["rate"].as_f64().unwrap() >= REACHED, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g27_a_rolling_restart_fails_no_call_of_plain_callers() {
    let Some((told, drains)) = restarts(2).await else { return };
    judge(&told, &drains);
}

/// The long form: `scripts/rolling-restarts`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes minutes"]
async fn rounds() {
    let rounds = std::env::var_os("ROLLING_RESTARTS").unwrap_or_else(|| "20".into());
    let rounds = rounds.to_str().unwrap().parse().unwrap();
    let (told, drains) = restarts(rounds).await.expect(".tools/venv is missing");
    judge(&told, &drains);
}
