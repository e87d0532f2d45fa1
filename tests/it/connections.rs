//! The life of a connection: how it is ended so that no call is lost, how old it gets, and
//! what ends it at once. Numbers are the requirements' (B, G).

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::support::frames::{self, Connection};
use crate::support::gateway::Gateway;
use crate::support::tool::Tool;
use crate::support::wire::{Wire, framed};

const RPC: &str = "trustist.v1.InvitationService/ListInvitations";
const LONG_RPC: &str = "trolley.v1.WebhookService/ListWebhooks";
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const CANCEL: u32 = 0x8;
const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
const SETTINGS: [u8; 9] = [0, 0, 0, frames::SETTINGS, 0, 0, 0, 0, 0];
const ENHANCE_YOUR_CALM: u32 = 0xb;
const NEVER: u32 = 0x7fff_ffff;

fn last_stream(goaway: &frames::Frame) -> u32 {
    u32::from_be_bytes(goaway.payload[..4].try_into().unwrap())
}

#[tokio::test]
async fn g21_a_connection_is_ended_with_two_goaways_a_round_trip_apart() {
    let gateway = Gateway::simulated("[grpc]\nmax_connection_age = '200ms'").await;
    let mut connection = Connection::established(gateway.grpc()).await;

    let first = connection.next_of(frames::GOAWAY).await.expect("closed without a GOAWAY");
    let second = connection.next_of(frames::GOAWAY).await.expect("closed after the first");
    connection.closed().await;

    assert_eq!((first.error_code(), last_stream(&first)), (0, NEVER));
    assert_eq!((second.error_code(), last_stream(&second)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn g21_connections_of_the_same_moment_are_not_ended_at_the_same_moment() {
    let gateway = Gateway::simulated("[grpc]\nmax_connection_age = '2s'").await;
    let address = gateway.grpc();
    let ages = join_all((0..200).map(|_| async move {
        let mut connection = Connection::established(address).await;
        connection.next().await.expect("no SETTINGS");
        let start = Instant::now();
        connection.next_of(frames::GOAWAY).await.expect("closed without a GOAWAY");
        start.elapsed()
    }))
    .await;

    let (first, last) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
    // From 1.8 to 2.2 seconds; a busy machine is late.
    assert!(*first >= Duration::from_millis(1600), "{first:?}");
    assert!(*last - *first >= Duration::from_millis(200), "{first:?} to {last:?}");
}

/// gRPC's own library opens new connections in time.
#[tokio::test(flavor = "multi_thread")]
async fn g21_no_call_fails_while_connections_reach_their_age() {
    let gateway = Gateway::simulated("[grpc]\nmax_connection_age = '300ms'").await;
    let address = gateway.grpc().to_string();
    let args = [RPC, &address, "--rate", "100"];
    let Some(mut callers) = Tool::start("steady_load.py", &args) else { return };
    callers.next().await.unwrap();

    tokio::time::sleep(Duration::from_secs(3)).await;
    let told = callers.finish().await.pop().unwrap();

    let codes = told["codes"].as_object().unwrap();
    assert!(codes.len() == 1 && codes["OK"].as_u64().unwrap() > 50, "{told}");
}

#[tokio::test]
async fn g21_a_call_is_answered_although_the_grace_of_its_connection_is_over() {
    let settings = "[grpc]\nmax_connection_age = '100ms'\nmax_connection_age_grace = '100ms'";
    let gateway = Gateway::simulated(settings).await;
    let delay = json!({"partner": "trustist", "path": "/invitations", "fault": {"kind": "delay", "millis": 900}});
    gateway.control().fault(delay).await;

    let told = Wire::to(gateway.grpc()).call(RPC, json!({}), &[]).await;

    assert_eq!(told.code(), tonic::Code::Ok, "{told:?}");
}

#[tokio::test]
async fn g21_a_stream_ends_with_a_status_when_the_grace_is_over() {
    let settings = "[grpc]\nmax_connection_age = '100ms'\nmax_connection_age_grace = '300ms'";
    let gateway = Gateway::simulated(settings).await;
    let start = Instant::now();

    let told = Wire::to(gateway.grpc()).send("grpc.health.v1.Health/Watch", b"", &[]).await;

    assert_eq!(told.code(), tonic::Code::Unavailable, "{told:?}");
    assert_eq!(told.error_info().reason, "SHUTTING_DOWN");
    let retry = tonic_types::StatusExt::get_details_retry_info(&told.status()).unwrap();
    let milliseconds = retry.retry_delay.unwrap().as_millis().to_string();
    assert_eq!(told.metadata("grpc-retry-pushback-ms"), Some(milliseconds.as_str()));
    assert!(start.elapsed() >= Duration::from_millis(350), "{:?}", start.elapsed());
}

/// What the GOAWAY of a connection says that was sent these frames.
async fn flooded(gateway: &Gateway, frames: &[u8], count: usize) -> (u32, String) {
    let mut connection = Connection::established(gateway.grpc()).await;
    connection.next().await.expect("no SETTINGS");
    connection.send(&frames.repeat(count)).await;
    let goaway = connection.next_of(frames::GOAWAY).await.expect("closed without a GOAWAY");
    connection.closed().await;
    (goaway.error_code(), String::from_utf8(goaway.payload[8..].to_vec()).unwrap())
}

#[tokio::test]
async fn b6_g23_a_flood_of_pings_is_told_to_be_calm_and_left() {
    let gateway = Gateway::simulated("").await;
    for count in [4, 5000] {
        let told = flooded(&gateway, &PING, count).await;
        assert_eq!(told, (ENHANCE_YOUR_CALM, "too_many_pings".to_owned()), "{count}");
    }
}

#[tokio::test]
async fn b7_a_flood_of_settings_is_told_to_be_calm_and_left() {
    let gateway = Gateway::simulated("").await;
    let told = flooded(&gateway, &SETTINGS, 5000).await;
    assert_eq!(told, (ENHANCE_YOUR_CALM, "too_many_settings".to_owned()));
}

#[tokio::test]
async fn g23_three_pings_are_answered() {
    let gateway = Gateway::simulated("").await;
    let mut connection = Connection::established(gateway.grpc()).await;
    connection.next().await.expect("no SETTINGS");
    connection.send(&PING.repeat(3)).await;
    for _ in 0..3 {
        assert!(connection.next_of(PING[3]).await.is_some(), "closed");
    }
}

/// Opens stream 1: the header fields are literals, without HPACK's tables.
fn request(rpc: &str, message: &[u8], metadata: &[(&str, &str)]) -> Vec<u8> {
    let path = format!("/{rpc}");
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path.as_str()),
        (":authority", "gateway"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let block = fields.iter().chain(metadata).flat_map(|(name, value)| {
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        [vec![0], text(name), text(value)].concat()
    });
    let frame = |kind: u8, flags: u8, payload: &[u8]| {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    };
    let (end_headers, end_stream) = (0x4, 0x1);
    let headers = frame(HEADERS, end_headers, &block.collect::<Vec<_>>());
    [headers, frame(DATA, end_stream, &framed(0, message))].concat()
}

/// A window for this many bytes more, of the connection and of stream 1.
fn windows(bytes: usize) -> Vec<u8> {
    let bytes = u32::try_from(bytes).unwrap().to_be_bytes();
    [0, 1]
        .iter()
        .flat_map(|stream| [&[0, 0, 4, 8, 0, 0, 0, 0, *stream], &bytes[..]].concat())
        .collect()
}

/// As clients do that measure the bandwidth: while a PING is out there is no second one.
#[tokio::test]
async fn g23_a_ping_for_each_round_trip_of_a_long_answer_is_no_flood() {
    let gateway = Gateway::simulated("").await;
    let body = json!({"padding": "x".repeat(1_000_000)});
    let fault = json!({"kind": "status", "status": 200, "body": body});
    gateway.control().fault(json!({"partner": "trolley", "fault": fault})).await;
    let mut connection = Connection::established(gateway.grpc()).await;
    connection.send(&request(LONG_RPC, b"", &[])).await;

    let (mut received, mut pings, mut is_out) = (0, 0, false);
    while received < 1_000_000 {
        let frame = connection.next().await.expect("closed");
        match frame.kind {
            DATA => {
                received += frame.payload.len();
                connection.send(&windows(frame.payload.len())).await;
                if !is_out {
                    connection.send(&PING).await;
                    (pings, is_out) = (pings + 1, true);
                }
            }
            kind if kind == PING[3] => is_out = false,
            frames::GOAWAY => panic!("{pings} PINGs: {}", frame.payload.escape_ascii()),
            _ => {}
        }
    }
    assert!(pings > 4, "{pings}");
}

/// What is queued for a slow peer is still to be written when its calls have ended.
#[tokio::test]
async fn g21_a_peer_has_seconds_to_answer_a_goaway() {
    let gateway = Gateway::simulated("[grpc]\nmax_connection_age = '100ms'").await;
    let mut connection = Connection::established(gateway.grpc()).await;
    connection.next_of(frames::GOAWAY).await.expect("closed without a GOAWAY");
    // The PING that goes with it is answered when it is read.
    tokio::time::sleep(Duration::from_millis(1500)).await;

    let second = connection.next_of(frames::GOAWAY).await.expect("closed after the first");
    connection.closed().await;

    assert_eq!(last_stream(&second), 0);
}

/// The first bytes of HTTP/2, in two parts.
const PREFACE: [&[u8]; 2] = [b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n"];

/// They begin as HTTP/2 does and do not go on: 256 are all that the port has places for.
#[tokio::test(flavor = "multi_thread")]
async fn g24_g29_unfinished_prefaces_do_not_keep_probes_out() {
    let gateway = Gateway::simulated("").await;
    let mut unfinished = Vec::new();
    for number in 0..300 {
        let mut connection = Connection::open(gateway.operations()).await;
        connection.send(if number % 2 == 0 { b"P" } else { PREFACE[0] }).await;
        unfinished.push(connection);
    }
    let probe = reqwest::Client::builder().no_proxy().build().unwrap();
    let live = probe.get(format!("http://{}/livez", gateway.operations())).send();
    // Those that have a place leave it after 5 seconds.
    let answer = tokio::time::timeout(Duration::from_secs(15), live).await;
    assert_eq!(answer.expect("probes are kept out").unwrap().status(), 200);
}

#[tokio::test]
async fn g24_a_preface_may_come_in_parts() {
    let gateway = Gateway::simulated("").await;
    for address in [gateway.grpc(), gateway.operations()] {
        let mut connection = Connection::open(address).await;
        connection.send(PREFACE[0]).await;
        assert!(connection.is_silent_for(Duration::from_millis(50)).await, "{address}");
        connection.send(PREFACE[1]).await;
        connection.send(&SETTINGS).await;
        assert_eq!(connection.next().await.expect("closed").kind, frames::SETTINGS);
    }
}

/// A connection with a call whose answer has no window to come in.
async fn unread(gateway: &Gateway, metadata: &[(&str, &str)]) -> Connection {
    let no_window = [0, 0, 6, frames::SETTINGS, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let mut connection = Connection::established(gateway.grpc()).await;
    connection.send(&no_window).await;
    connection.send(&request(RPC, b"", metadata)).await;
    connection.next_of(HEADERS).await.expect("closed without an answer");
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn g18_an_answer_that_is_not_read_gives_its_place_back_after_the_deadline() {
    let gateway = Gateway::simulated("[grpc]\nmax_calls = 1").await;
    let start = Instant::now();
    let mut connection = unread(&gateway, &[("grpc-timeout", "500m")]).await;
    let wire = Wire::to(gateway.grpc());
    let other = wire.call(RPC, json!({}), &[]).await;
    assert_eq!(other.error_info().reason, "OVERLOADED", "{other:?}");

    let reset = connection.next_of(RST_STREAM).await.expect("closed without a reset");

    assert_eq!(reset.payload, CANCEL.to_be_bytes());
    assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
    let other = wire.call(RPC, json!({}), &[]).await;
    assert_eq!(other.code(), tonic::Code::Ok, "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g27_an_answer_that_is_not_read_holds_up_a_drain_for_seconds_only() {
    let gateway = Gateway::simulated("[grpc]\ndrain_delay = '0s'\ndrain_timeout = '35s'").await;
    let mut connection = unread(&gateway, &[]).await;
    let start = Instant::now();

    // It answers the PING that goes with a GOAWAY, as long as it is there.
    tokio::join!(gateway.drain(), connection.closed());

    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
