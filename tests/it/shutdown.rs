//! The end of the process: it says that it goes, finishes what it has, and is gone.
//! Numbers are the requirements' (G).

use std::net::SocketAddr;
use std::time::Duration;

use partner_gateway::pb::grpc::health::v1 as health;
use partner_gateway::pb::grpc::health::v1::HealthCheckRequest;
use partner_gateway::pb::grpc::health::v1::health_check_response::ServingStatus;
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::Code;

use crate::support::control::Control;
use crate::support::frames::{self, Connection};
use crate::support::gateway::Gateway;
use crate::support::process::Process;
use crate::support::wire::Wire;

const READ: &str = "trolley.v1.WebhookService/ListWebhooks";
const READ_PATH: &str = "/v1/subscriptions";

/// Longer than a drain without calls may take, shorter than the drain timeout.
const SOON: Duration = Duration::from_secs(2);

async fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err()
}

/// Polls until `condition` holds, for at most so long.
async fn holds_within(time: Duration, mut condition: impl AsyncFnMut() -> bool) -> bool {
    let polled = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(time, polled).await.is_ok()
}

/// A gateway to simulators that outlive it.
pub(crate) async fn beside(simulators: &Control, environment: &[(&str, &str)]) -> Process {
    let url = format!("http://{}/trolley", simulators.address);
    let partner = [
        ("PARTNER_GATEWAY__PARTNERS__TROLLEY__BASE_URL", url.as_str()),
        ("PARTNER_GATEWAY__PARTNERS__TROLLEY__ACCESS_KEY", "SIMULATORPARENTACCESSKEY"),
        (
            "PARTNER_GATEWAY__PARTNERS__TROLLEY__SECRET_KEY",
            "simulatorparentsecretkey0000000000000000",
        ),
    ];
    Process::serve(&[], &[&partner, environment].concat()).await
}

/// From the moment on that it says that it serves.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the times are for people")]
async fn g27_sigterm_and_sigint_end_the_process_with_0() {
    for signal in ["TERM", "INT"] {
        let start = Instant::now();
        let mut process = Process::serve(&["--simulate"], &[]).await;
        let serving = start.elapsed();

        let start = Instant::now();
        process.signal(signal).await;
        let status = process.ended().await;

        println!("SIG{signal}: serving after {serving:?}, drained in {:?}", start.elapsed());
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status}");
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        assert!(is_refused(process.grpc).await && is_refused(process.operations).await);
    }
}

/// Whoever embeds the gateway drains it without a signal.
#[tokio::test(flavor = "multi_thread")]
async fn g27_a_drained_gateway_has_left_its_ports() {
    let gateway = Gateway::simulated("").await;
    let simulators = gateway.control().address;
    let addresses = [gateway.grpc(), gateway.operations(), simulators];
    let told = Wire::to(gateway.grpc()).call(READ, json!({}), &[]).await;
    let start = Instant::now();

    gateway.drain().await;

    assert_eq!(told.code(), Code::Ok, "{told:?}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    for address in addresses {
        assert!(is_refused(address).await, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the times are for people")]
async fn g27_a_call_in_flight_is_answered_and_new_connections_are_refused() {
    let simulators = Control::start().await;
    let delay = json!({"kind": "delay", "millis": 500});
    simulators.fault(json!({"partner": "trolley", "fault": delay})).await;
    let mut process = beside(&simulators, &[]).await;
    let wire = Wire::to(process.grpc);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let call = tokio::spawn(async move { wire.call(READ, json!({}), &[]).await });
    simulators.until_arrived("trolley", READ_PATH).await;

    process.signal("TERM").await;
    let grpc = process.grpc;
    let refused = holds_within(SOON, async || is_refused(grpc).await).await;
    let was_in_flight = !call.is_finished() && process.is_running();
    let told = call.await.unwrap();
    let answered = Instant::now();
    let status = process.ended().await;

    assert!(refused, "connections are still accepted");
    assert!(was_in_flight, "new connections were refused only after the call had ended");
    assert_eq!(told.code(), Code::Ok, "{told:?}");
    assert_eq!(status.code(), Some(0), "{:?}", process.log());
    println!("ended {:?} after the last answer", answered.elapsed());
    assert!(answered.elapsed() < SOON, "{:?}", answered.elapsed());
}

/// The embedded simulators are partners of this process: they go last.
#[tokio::test(flavor = "multi_thread")]
async fn g27_a_call_to_an_embedded_simulator_is_answered_however_long_it_takes() {
    let mut process = Process::serve(&["--simulate"], &[]).await;
    let simulators = Control::of(process.simulators.unwrap());
    let delay = json!({"kind": "delay", "millis": 900});
    simulators.fault(json!({"partner": "trolley", "fault": delay})).await;
    let wire = Wire::to(process.grpc);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let call = tokio::spawn(async move { wire.call(READ, json!({}), &[]).await });
    simulators.until_arrived("trolley", READ_PATH).await;

    process.signal("TERM").await;
    let told = call.await.unwrap();
    let status = process.ended().await;

    assert_eq!(told.code(), Code::Ok, "{told:?}");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn g27_a_call_that_outlasts_the_drain_timeout_does_not_hold_up_the_exit() {
    let simulators = Control::start().await;
    let delay = json!({"kind": "delay", "millis": 30_000});
    simulators.fault(json!({"partner": "trolley", "fault": delay})).await;
    let drain = [("PARTNER_GATEWAY__GRPC__DRAIN_TIMEOUT", "300ms")];
    let mut process = beside(&simulators, &drain).await;
    let mut connection = Connection::established(process.grpc).await;
    connection.next_of(frames::SETTINGS).await.unwrap();
    let http = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let call = http
        .post(format!("http://{}/{READ}", process.grpc))
        .header("content-type", "application/grpc")
        .body(vec![0; 5]);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let call = tokio::spawn(call.send());
    simulators.until_arrived("trolley", READ_PATH).await;
    let start = Instant::now();

    process.signal("TERM").await;
    let status = process.ended().await;

    assert_eq!(status.code(), Some(0), "{:?}", process.log());
    assert!(start.elapsed() >= Duration::from_millis(280), "{:?}", start.elapsed());
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let warned = process.log().iter().any(|line| line["level"] == "WARN");
    assert!(warned, "nobody is told that a call was cut off: {:?}", process.log());
    call.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn g27_calls_are_still_taken_while_health_says_that_it_goes() {
    let delay = [("PARTNER_GATEWAY__GRPC__DRAIN_DELAY", "1500ms")];
    let mut process = Process::serve(&["--simulate"], &delay).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = format!("http://{}/readyz", process.operations);
    let live = format!("http://{}/livez", process.operations);
    let before = http.get(&ready).send().await.unwrap().status();

    process.signal("TERM").await;
    let not_ready = holds_within(Duration::from_millis(1000), async || {
        http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 503)
    })
    .await;
    let alive = http.get(&live).send().await.unwrap().status();
    let told = Wire::to(process.grpc).call(READ, json!({}), &[]).await;
    let message = HealthCheckRequest { service: String::new() }.encode_to_vec();
    let health = Wire::to(process.grpc).send("grpc.health.v1.Health/Check", &message, &[]).await;
    let status = process.ended().await;

    assert_eq!(before, 200);
    assert!(not_ready, "readyz does not say 503");
    assert_eq!(alive, 200, "not alive while it drains");
    assert_eq!(told.code(), Code::Ok, "{told:?}");
    // NOT_SERVING is 2, in field 1.
    assert_eq!((health.code(), health.message().1), (Code::Ok, &[0x08, 0x02][..]), "{health:?}");
    assert_eq!(status.code(), Some(0));
}

/// Callers with client-side health checking watch as long as they are connected.
#[tokio::test(flavor = "multi_thread")]
async fn g27_a_health_watch_is_told_not_serving_and_does_not_hold_up_the_exit() {
    let drain = [("PARTNER_GATEWAY__GRPC__DRAIN_TIMEOUT", "5s")];
    let mut process = Process::serve(&["--simulate"], &drain).await;
    let grpc = tonic::transport::Endpoint::try_from(format!("http://{}", process.grpc)).unwrap();
    let channel = grpc.connect().await.unwrap();
    let mut client = health::health_client::HealthClient::new(channel);
    let watch = client.watch(HealthCheckRequest { service: String::new() }).await.unwrap();
    let mut watch = watch.into_inner();
    let first = watch.message().await.unwrap().unwrap();
    let start = Instant::now();

    process.signal("TERM").await;
    let second = watch.message().await.unwrap().unwrap();
    let status = process.ended().await;

    assert_eq!(first.status(), ServingStatus::Serving);
    assert_eq!(second.status(), ServingStatus::NotServing);
    assert_eq!(status.code(), Some(0));
    assert!(start.elapsed() < SOON, "it took {:?}", start.elapsed());
}

/// Neither does a client that is gone without a word.
#[tokio::test(flavor = "multi_thread")]
async fn g27_a_silent_connection_does_not_hold_up_the_exit() {
    let drain = [("PARTNER_GATEWAY__GRPC__DRAIN_TIMEOUT", "20s")];
    let mut process = Process::serve(&["--simulate"], &drain).await;
    let mut established = Connection::established(process.grpc).await;
    established.next_of(frames::SETTINGS).await.unwrap();
    let unspoken = Connection::open(process.grpc).await;
    let start = Instant::now();

    process.signal("TERM").await;
    let status = process.ended().await;

    assert_eq!(status.code(), Some(0));
    // A peer that does not answer the GOAWAY is given five seconds.
    let most = SOON + Duration::from_secs(5);
    assert!(start.elapsed() < most, "it took {:?}", start.elapsed());
    drop((established, unspoken));
}

/// A connection that just breaks says nothing; this says what the partner may have done,
/// and that it must not be asked again.
#[tokio::test(flavor = "multi_thread")]
async fn g27_a_write_that_outlasts_the_drain_is_told_its_outcome() {
    let gateway = Gateway::simulated("[grpc]\ndrain_timeout = '700ms'").await;
    let control = gateway.control();
    let delay = json!({"kind": "delay", "millis": 30_000});
    control.fault(json!({"partner": "trolley", "fault": delay})).await;
    let address = gateway.grpc();
    let request = json!({
        "action": "NOTIFICATION_ACTION_ALL",
        "model": "NOTIFICATION_TYPE_ALL",
        "target": "https://example.com",
    });
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let call = tokio::spawn(async move {
        Wire::to(address).call("trolley.v1.WebhookService/CreateWebhook", request, &[]).await
    });
    control.until_arrived("trolley", READ_PATH).await;

    gateway.drain().await;
    let told = call.await.unwrap();

    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
    let info = told.error_info();
    assert_eq!(
        (info.reason.as_str(), info.metadata["outcome"].as_str()),
        ("SHUTTING_DOWN", "UNKNOWN")
    );
    assert_eq!(told.metadata("grpc-retry-pushback-ms"), Some("-1"));
}
