//! The gRPC and operations listeners on real sockets: what they bound, what they refuse
//! and how they say so. Numbers are the requirements' (B, G).

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::StatusCode;
use partner_gateway::pb::grpc::health::v1::HealthCheckRequest;
use partner_gateway::pb::grpc::health::v1::health_check_response::ServingStatus;
use partner_gateway::pb::grpc::health::v1::health_client::HealthClient;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value as Reflected};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::Channel;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_types::StatusExt as _;

use crate::support::client::pool;
use crate::support::frames::{self, Connection};
use crate::support::gateway::Gateway;
use crate::support::wire::{Told, Wire, decoded, encoded, framed};

const LIST: &str = "trolley.v1.WebhookService/ListWebhooks";
const CREATE: &str = "trolley.v1.SubmerchantService/CreateSubmerchant";
const GET_PARTNER: &str = "gateway.v1.PartnerService/GetPartner";
const CHECK: &str = "grpc.health.v1.Health/Check";
const GRPC: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

/// Services of the contract, partners' and the gateway's own.
fn contract_services() -> BTreeSet<String> {
    let names = pool().services().map(|service| service.full_name().to_owned());
    names.collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn channel(address: std::net::SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

async fn health(channel: &Channel, service: &str) -> Result<ServingStatus, tonic::Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(HealthClient::new(channel.clone()).check(request).await?.into_inner().status())
}

// --- what a call may look like ---

#[tokio::test]
async fn b4_g6_another_content_type_is_answered_415() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    for headers in [
        &[("content-type", "application/json")][..],
        &[("content-type", "application/grpc-web+proto")],
        &[("content-type", "application/grpcfoo")],
        &[("content-type", "text/plain")],
        &[],
    ] {
        let told = wire.post(&format!("/{LIST}"), headers, framed(0, b"")).await;

        assert_eq!(told.http_status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?}: {told:?}");
        assert!(told.body.is_empty(), "{headers:?}");
    }
    let arrived = gateway.control().arrived("trolley").await;
    assert!(arrived.is_empty(), "{arrived:?}");
}

#[tokio::test]
async fn g6_every_content_type_of_grpc_is_served() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc;v=1"] {
        let headers = [("content-type", content_type), ("te", "trailers")];

        let told = wire.post(&format!("/{LIST}"), &headers, framed(0, b"")).await;

        assert_eq!(told.code(), Code::Ok, "{content_type}: {told:?}");
    }
}

#[tokio::test]
async fn b3_a_message_beyond_the_limit_is_resource_exhausted() {
    let gateway = Gateway::simulated("[grpc]\nmax_message_bytes = 4096").await;
    let wire = Wire::to(gateway.grpc());
    for rpc in [CREATE, GET_PARTNER] {
        let told = wire.send(rpc, &[0; 4097], &[]).await;

        assert_eq!(told.code(), Code::ResourceExhausted, "{rpc}: {told:?}");
        assert_eq!(told.error_info().reason, "MESSAGE_TOO_LARGE", "{rpc}");
        assert_eq!(told.error_info().domain, "partner-gateway", "{rpc}");
    }
}

/// What counts is the size that the message unpacks to.
#[tokio::test]
async fn b3_a_small_message_that_unpacks_beyond_the_limit_is_resource_exhausted() {
    let gateway = Gateway::simulated("[grpc]\nmax_message_bytes = 4096").await;
    let packed = gzip(&vec![0; 1 << 20]);
    assert!(packed.len() < 4096);
    let headers = [&GRPC[..], &[("grpc-encoding", "gzip")]].concat();

    let path = format!("/{CREATE}");
    let told = Wire::to(gateway.grpc()).post(&path, &headers, framed(1, &packed)).await;

    assert_eq!(told.code(), Code::ResourceExhausted, "{told:?}");
    assert_eq!(told.error_info().reason, "MESSAGE_TOO_LARGE");
}

#[tokio::test]
async fn g26_a_message_of_exactly_the_limit_is_read() {
    let message = encoded(GET_PARTNER, json!({"name": "x".repeat(4096 - 3)}));
    assert_eq!(message.len(), 4096);
    let gateway = Gateway::simulated("[grpc]\nmax_message_bytes = 4096").await;

    let told = Wire::to(gateway.grpc()).send(GET_PARTNER, &message, &[]).await;

    assert_eq!(told.code(), Code::NotFound, "{told:?}");
}

#[tokio::test]
async fn g5_an_unknown_service_or_method_is_unimplemented() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    for rpc in [
        "trolley.v1.WebhookService/RenameWebhook",
        "trolley.v1.WebhookService/listWebhooks",
        "trolley.v1.NoService/ListWebhooks",
        "gateway.v1.PartnerService/DeletePartner",
        "grpc.health.v1.Health/Cure",
        "trolley.v1.WebhookService",
        "",
    ] {
        let told = wire.send(rpc, b"", &[]).await;

        assert_eq!(told.http_status, StatusCode::OK, "{rpc}");
        assert_eq!(told.code(), Code::Unimplemented, "{rpc}: {told:?}");
        assert_eq!(told.error_info().reason, "UNKNOWN_RPC", "{rpc}");
    }
}

#[tokio::test]
async fn g5_an_unsupported_compression_is_unimplemented_and_the_supported_ones_are_named() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    for rpc in [LIST, GET_PARTNER] {
        for encoding in ["br", "zstd", "snappy"] {
            let headers = [&GRPC[..], &[("grpc-encoding", encoding)]].concat();
            let told = wire.post(&format!("/{rpc}"), &headers, framed(1, b"??")).await;

            assert_eq!(told.code(), Code::Unimplemented, "{rpc} {encoding}: {told:?}");
            assert_eq!(told.error_info().reason, "UNSUPPORTED_ENCODING", "{rpc} {encoding}");
            let accepted = told.metadata("grpc-accept-encoding").unwrap_or_default();
            assert!(accepted.split(',').any(|name| name.trim() == "gzip"), "{rpc}: {accepted:?}");
        }
    }
}

#[tokio::test]
async fn g5_a_corrupt_gzip_message_is_internal() {
    let gateway = Gateway::simulated("").await;
    let headers = [&GRPC[..], &[("grpc-encoding", "gzip")]].concat();

    let path = format!("/{LIST}");
    let told = Wire::to(gateway.grpc()).post(&path, &headers, framed(1, b"no gzip")).await;

    assert_eq!(told.code(), Code::Internal, "{told:?}");
    assert_eq!(told.error_info().reason, "INTERNAL");
}

#[tokio::test]
async fn gzip_is_read_and_written_for_callers_that_speak_it() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    let merchant = json!({"name": "Acme", "currency": "USD"});
    let request = encoded(CREATE, json!({"merchant": merchant, "onboarding": {}}));
    let headers =
        [&GRPC[..], &[("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip")]].concat();

    let told = wire.post(&format!("/{CREATE}"), &headers, framed(1, &gzip(&request))).await;

    assert_eq!(told.code(), Code::Ok, "{told:?}");
    assert_eq!(told.metadata("grpc-encoding"), Some("gzip"));
    let (flag, packed) = told.message();
    assert_eq!(flag, 1);
    let mut reply = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut reply).unwrap();
    let id = decoded(CREATE, &reply)["id"].as_str().unwrap().to_owned();
    assert!(!id.is_empty());
    let arrived = gateway.control().arrived("trolley").await;
    assert!(arrived[0]["body"].as_str().unwrap().contains("Acme"), "{arrived:?}");
}

#[tokio::test]
async fn a_caller_that_does_not_accept_gzip_is_answered_without_it() {
    let gateway = Gateway::simulated("").await;

    let told = Wire::to(gateway.grpc()).call(LIST, json!({}), &[]).await;

    assert_eq!(told.code(), Code::Ok, "{told:?}");
    assert_eq!((told.metadata("grpc-encoding"), told.message().0), (None, 0));
}

#[tokio::test]
async fn bytes_that_are_no_protobuf_are_an_invalid_argument_and_nothing_is_sent() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    for (what, message) in [
        ("a field that is cut off", &b"\x0a\x05ab"[..]),
        ("a varint that does not end", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("a wire type that does not exist", b"\x0f"),
        ("field number 0", b"\x00\x01"),
        ("a group", b"\x0b\x0c"),
        ("text that is not UTF-8", b"\x0a\x02\xc3\x28"),
    ] {
        let told = wire.send(LIST, message, &[]).await;

        assert_eq!(told.code(), Code::InvalidArgument, "{what}: {told:?}");
        assert_eq!(told.error_info().reason, "INVALID_REQUEST", "{what}");
    }
    let arrived = gateway.control().arrived("trolley").await;
    assert!(arrived.is_empty(), "{arrived:?}");
}

/// A newer caller asks for something that this gateway would leave out of the call.
#[tokio::test]
async fn a_message_with_an_unknown_field_number_is_an_invalid_argument() {
    let gateway = Gateway::simulated("").await;
    let mut message = encoded(CREATE, json!({"merchant": {"name": "Acme", "currency": "USD"}}));
    message.extend_from_slice(&[0x98, 0x06, 0x01]); // field 99 = 1

    let told = Wire::to(gateway.grpc()).send(CREATE, &message, &[]).await;

    assert_eq!(told.code(), Code::InvalidArgument, "{told:?}");
    let status = told.status();
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert_eq!(violations[0].reason, "MALFORMED", "{violations:?}");
    let arrived = gateway.control().arrived("trolley").await;
    assert!(arrived.is_empty(), "{arrived:?}");
}

#[tokio::test]
async fn a_call_without_a_message_is_an_error_with_details() {
    let gateway = Gateway::simulated("").await;

    let told = Wire::to(gateway.grpc()).post(&format!("/{LIST}"), &GRPC, Vec::new()).await;

    assert!([Code::InvalidArgument, Code::Internal].contains(&told.code()), "{told:?}");
    assert!(!told.error_info().reason.is_empty());
}

// --- what every answer carries ---

/// One call for each way in which the server itself, a layer of tonic or a partner
/// refuses it.
async fn failures(gateway: &Gateway) -> Vec<(&'static str, Told)> {
    let wire = Wire::to(gateway.grpc());
    let control = gateway.control();
    let fault = json!({"kind": "status", "status": 503});
    let status = json!({"partner": "trolley", "times": 3, "fault": fault});
    control.fault(status).await;
    let mut told = vec![("partner's failure", wire.call(LIST, json!({}), &[]).await)];
    let oversize = vec![0; (4 << 20) + 1];
    let gzip_headers = [&GRPC[..], &[("grpc-encoding", "gzip")]].concat();
    let brotli_headers = [&GRPC[..], &[("grpc-encoding", "br")]].concat();
    let path = format!("/{LIST}");
    told.extend([
        ("invalid request", wire.call(CREATE, json!({}), &[]).await),
        ("malformed message", wire.send(LIST, b"\x0a\x05", &[]).await),
        ("own message malformed", wire.send(GET_PARTNER, b"\x0a\x05", &[]).await),
        ("message too large", wire.send(LIST, &oversize, &[]).await),
        ("own message too large", wire.send(GET_PARTNER, &oversize, &[]).await),
        ("no message", wire.post(&path, &GRPC, Vec::new()).await),
        ("message cut off", wire.post(&path, &GRPC, vec![0, 0, 0, 0, 9, 1]).await),
        ("corrupt gzip", wire.post(&path, &gzip_headers, framed(1, b"?")).await),
        ("unsupported compression", wire.post(&path, &brotli_headers, framed(1, b"?")).await),
        ("unknown method", wire.send("trolley.v1.WebhookService/No", b"", &[]).await),
        ("unknown service", wire.send("no.Service/No", b"", &[]).await),
        ("unknown partner", wire.call(GET_PARTNER, json!({"name": "no"}), &[]).await),
        ("malformed timeout", wire.call(LIST, json!({}), &[("grpc-timeout", "abc")]).await),
        ("no time at all", wire.call(LIST, json!({}), &[("grpc-timeout", "1n")]).await),
        ("unknown service's health", {
            let message = HealthCheckRequest { service: "no".to_owned() }.encode_to_vec();
            wire.send(CHECK, &message, &[]).await
        }),
        ("unknown symbol", {
            let rpc = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
            let of = v1::server_reflection_request::MessageRequest::FileContainingSymbol;
            let request = v1::ServerReflectionRequest {
                message_request: Some(of("no.Symbol".to_owned())),
                ..Default::default()
            };
            wire.send(rpc, &request.encode_to_vec(), &[]).await
        }),
    ]);
    told
}

#[tokio::test]
async fn g9_every_error_has_error_info_and_request_info_with_the_id_of_the_answer() {
    let gateway = Gateway::simulated("").await;

    let failures = failures(&gateway).await;

    let mut wrong = Vec::new();
    for (what, told) in failures {
        let status = told.status();
        let answered = told.metadata("x-request-id").unwrap_or_default().to_owned();
        let info = status.get_details_error_info();
        let reason = info.as_ref().map(|info| info.reason.as_str()).unwrap_or_default();
        let in_info = info.as_ref().and_then(|info| info.metadata.get("request_id"));
        let in_details = status.get_details_request_info().map(|info| info.request_id);
        let is_whole = status.code() != Code::Ok
            && !reason.is_empty()
            && answered.parse::<uuid::Uuid>().is_ok()
            && in_info == Some(&answered)
            && in_details.as_ref() == Some(&answered);
        if !is_whole {
            wrong.push(format!("{what}: {:?} {reason:?}, {answered:?}: {told:?}", status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn g14_the_trailers_of_every_error_are_below_8_kib() {
    let gateway = Gateway::simulated("").await;

    for (what, told) in failures(&gateway).await {
        let fields = told.headers.iter().chain(&told.trailers);
        let size: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 32).sum();

        assert!(size < 8 * 1024, "{what}: {size} bytes");
    }
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    let mut ids = BTreeSet::new();
    for told in [
        wire.call(LIST, json!({}), &[]).await,
        wire.call(LIST, json!({}), &[]).await,
        wire.call(GET_PARTNER, json!({"name": "trolley"}), &[]).await,
        wire.send(CHECK, b"", &[]).await,
        wire.call(LIST, json!({}), &[("x-request-id", "the-callers")]).await,
        wire.post(&format!("/{LIST}"), &[("content-type", "text/plain")], Vec::new()).await,
    ] {
        let id = told.metadata("x-request-id").unwrap_or_else(|| panic!("no id: {told:?}"));

        assert!(id.parse::<uuid::Uuid>().is_ok(), "{id}");
        assert!(ids.insert(id.to_owned()), "{id} twice");
    }
}

#[tokio::test]
async fn x_gateway_attempts_tells_how_many_requests_the_partner_was_sent() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    let expire = json!({"partner": "trustist", "path": "/invitations",
        "fault": {"kind": "expire_tokens"}});
    let rpc = "trustist.v1.InvitationService/ListInvitations";

    let first = wire.call(rpc, json!({}), &[]).await;
    gateway.control().fault(expire).await;
    let second = wire.call(rpc, json!({}), &[]).await;
    let refused = wire.call(CREATE, json!({}), &[]).await;

    assert_eq!((first.code(), first.metadata("x-gateway-attempts")), (Code::Ok, Some("1")));
    assert_eq!((second.code(), second.metadata("x-gateway-attempts")), (Code::Ok, Some("2")));
    assert_eq!(refused.metadata("x-gateway-attempts"), Some("0"), "{refused:?}");
    assert!(first.metadata("x-partner-request-id").is_some(), "{first:?}");
}

// --- what a connection may do ---

#[tokio::test]
async fn g20_the_settings_frame_bounds_streams_windows_and_headers() {
    let gateway = Gateway::simulated("").await;
    let mut connection = Connection::established(gateway.grpc()).await;

    let settings = connection.next().await.expect("no frame");

    assert_eq!(settings.kind, frames::SETTINGS);
    assert_eq!(settings.setting(frames::MAX_CONCURRENT_STREAMS), Some(100));
    assert_eq!(settings.setting(frames::MAX_HEADER_LIST_SIZE), Some(16 * 1024));
    // 64 KiB, which is one more than the protocol's default.
    assert_eq!(settings.setting(frames::INITIAL_WINDOW_SIZE), Some(64 * 1024));
}

#[tokio::test]
async fn b9_a_connection_without_a_preface_is_closed_after_the_handshake_timeout() {
    let gateway = Gateway::simulated("[grpc]\nhandshake_timeout = '200ms'").await;
    let mut silent = Connection::open(gateway.grpc()).await;
    let mut partial = Connection::open(gateway.grpc()).await;
    partial.send(b"PRI * HTTP/2.0\r\n").await;
    let start = Instant::now();

    silent.closed().await;
    partial.closed().await;

    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(150), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
}

#[tokio::test]
async fn b9_a_connection_with_another_preface_is_closed_at_once() {
    let gateway = Gateway::simulated("").await;
    for garbage in [
        &b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client hello",
        b"PRI * HTTP/2.0\r\n\r\nMS\r\n\r\n",
    ] {
        let start = Instant::now();
        let mut connection = Connection::open(gateway.grpc()).await;
        connection.send(garbage).await;

        connection.closed().await;

        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn g21_an_idle_connection_is_told_goaway_and_closed() {
    let gateway = Gateway::simulated("[grpc]\nidle_timeout = '200ms'").await;
    let mut connection = Connection::established(gateway.grpc()).await;
    let start = Instant::now();

    let goaway = connection.next_of(frames::GOAWAY).await;
    let told = start.elapsed();
    connection.closed().await;

    assert_eq!(goaway.expect("closed without a GOAWAY").error_code(), 0);
    assert!(told >= Duration::from_millis(150), "{told:?}");
    assert!(told < Duration::from_secs(2), "{told:?}");
}

/// A client that is gone without a word answers neither GOAWAY nor PING.
#[tokio::test]
async fn g21_an_idle_connection_whose_client_is_silent_is_closed_too() {
    let gateway = Gateway::simulated("[grpc]\nidle_timeout = '200ms'").await;
    let mut connection = Connection::open(gateway.grpc()).await;
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    connection.send(&[0, 0, 0, frames::SETTINGS, 0, 0, 0, 0, 0]).await;
    let start = Instant::now();

    let closed = tokio::time::timeout(Duration::from_secs(8), connection.closed()).await;

    assert!(closed.is_ok(), "open after {:?}", start.elapsed());
}

#[tokio::test]
async fn g21_a_connection_with_an_open_call_is_not_idle() {
    let gateway = Gateway::simulated("[grpc]\nidle_timeout = '100ms'").await;
    let delay = json!({"partner": "trolley", "fault": {"kind": "delay", "millis": 400}});
    gateway.control().fault(delay).await;

    let told = Wire::to(gateway.grpc()).call(LIST, json!({}), &[]).await;

    assert_eq!(told.code(), Code::Ok, "{told:?}");
}

#[tokio::test]
async fn g24_more_connections_than_allowed_wait_until_one_is_closed() {
    // The harness has a connection of its own.
    let gateway = Gateway::simulated("[grpc]\nmax_connections = 2").await;
    let mut second = Connection::established(gateway.grpc()).await;
    second.next().await.expect("no SETTINGS for the second");

    let mut third = Connection::established(gateway.grpc()).await;
    let waited = third.is_silent_for(Duration::from_millis(200)).await;
    drop(second);
    let settings = third.next().await.expect("closed instead of served");

    assert!(waited, "the third was served beside the second");
    assert_eq!(settings.kind, frames::SETTINGS);
}

#[tokio::test]
async fn s23_the_accept_loop_survives_a_hundred_garbage_connections() {
    let gateway = Gateway::simulated("").await;
    for number in 0..100_u8 {
        let mut connection = Connection::open(gateway.grpc()).await;
        match number % 4 {
            0 => connection.send(&[number; 64]).await,
            1 => connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff").await,
            2 => connection.finish().await,
            _ => {}
        }
    }
    let start = Instant::now();

    let told = Wire::to(gateway.grpc()).call(LIST, json!({}), &[]).await;

    assert_eq!(told.code(), Code::Ok, "{told:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn b10_headers_beyond_the_limit_are_refused_and_the_connection_lives() {
    let gateway = Gateway::simulated("").await;
    let wire = Wire::to(gateway.grpc());
    let long = "x".repeat(20 * 1024);

    let told = wire.call(LIST, json!({}), &[("x-long", &long)]).await;
    let next = wire.call(LIST, json!({}), &[]).await;

    assert_eq!(told.http_status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "{told:?}");
    assert_eq!(next.code(), Code::Ok, "{next:?}");
}

// --- health, reflection, the operations listener ---

#[tokio::test]
async fn g28_every_service_is_serving_on_both_listeners() {
    let gateway = Gateway::simulated("").await;
    let mut names = contract_services();
    let own = ["", "liveness", "readiness", "gateway.partner.trolley", "gateway.partner.trustist"];
    names.extend(own.map(str::to_owned));
    for address in [gateway.grpc(), gateway.operations()] {
        let channel = channel(address).await;
        for name in &names {
            let status = health(&channel, name).await;

            assert_eq!(status.unwrap(), ServingStatus::Serving, "{name:?} on {address}");
        }
        let unknown = health(&channel, "no.such.Service").await;
        assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn g29_a_partner_that_is_not_configured_has_no_health() {
    let settings = "[partners.trustist]\nclient_id = 'us'\nclient_secret = 'secret'\n\
        base_url = 'http://127.0.0.1:9'";
    let gateway = Gateway::configured(settings).await;
    let channel = channel(gateway.operations()).await;

    let configured = health(&channel, "gateway.partner.trustist").await;
    let other = health(&channel, "gateway.partner.trolley").await;
    let service = health(&channel, "trolley.v1.WebhookService").await;
    let readiness = health(&channel, "readiness").await;

    assert_eq!(configured.unwrap(), ServingStatus::Serving);
    assert_eq!(other.unwrap_err().code(), Code::NotFound);
    // The service is served: it answers that the partner is not configured.
    assert_eq!(service.unwrap(), ServingStatus::Serving);
    assert_eq!(readiness.unwrap(), ServingStatus::Serving);
}

#[tokio::test]
async fn g28_a_watch_tells_the_status_at_once() {
    let gateway = Gateway::simulated("").await;
    let request = HealthCheckRequest { service: LIST.split('/').next().unwrap().to_owned() };

    let mut client = HealthClient::new(channel(gateway.grpc()).await);
    let mut statuses = client.watch(request).await.unwrap().into_inner();
    let first = statuses.message().await.unwrap().unwrap();

    assert_eq!(first.status(), ServingStatus::Serving);
}

#[tokio::test]
async fn b13_a_watch_of_an_unknown_service_says_so_and_stays_open() {
    let gateway = Gateway::simulated("").await;
    let mut client = HealthClient::new(channel(gateway.grpc()).await);

    let watch = client.watch(HealthCheckRequest { service: "no.such.Service".to_owned() }).await;
    let mut statuses = watch.expect("refused").into_inner();
    let first = statuses.message().await.unwrap().expect("ended");
    let next = tokio::time::timeout(Duration::from_millis(100), statuses.message()).await;

    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    assert!(next.is_err(), "{next:?}");
}

#[tokio::test]
async fn g30_the_operations_listener_serves_probes_and_nothing_else() {
    let gateway = Gateway::simulated("").await;
    let operations = gateway.operations();
    let wire = Wire::to(operations);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = |path: &str| http.get(format!("http://{operations}{path}")).send();

    let health = wire.send(CHECK, b"", &[]).await;
    let (live, ready) = (get("/livez").await.unwrap(), get("/readyz").await.unwrap());

    assert_eq!(health.code(), Code::Ok, "{health:?}");
    assert_eq!((live.status(), ready.status()), (StatusCode::OK, StatusCode::OK));
    // A probe of a path that does not exist must not pass.
    for path in ["/", "/healthz", "/readyz/x", "/_simulator", "/debug"] {
        assert_eq!(get(path).await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
    let reflection = "ServerReflection/ServerReflectionInfo";
    for rpc in [
        LIST,
        CREATE,
        GET_PARTNER,
        &format!("grpc.reflection.v1.{reflection}"),
        &format!("grpc.reflection.v1alpha.{reflection}"),
    ] {
        let told = wire.send(rpc, b"", &[]).await;
        let is_refused =
            told.http_status == StatusCode::NOT_FOUND || told.code() == Code::Unimplemented;
        assert!(is_refused, "{rpc}: {told:?}");
    }
}

/// What reflection v1 answers to these requests, made on one stream.
async fn reflect(
    address: std::net::SocketAddr,
    requests: Vec<v1::server_reflection_request::MessageRequest>,
) -> Vec<v1::server_reflection_response::MessageResponse> {
    let requests = requests.into_iter().map(|request| v1::ServerReflectionRequest {
        message_request: Some(request),
        ..Default::default()
    });
    let requests: Vec<_> = requests.collect();
    let mut client =
        v1::server_reflection_client::ServerReflectionClient::new(channel(address).await);
    let stream = futures_util::stream::iter(requests);
    let mut stream = client.server_reflection_info(stream).await.unwrap().into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await.unwrap() {
        answers.push(answer.message_response.unwrap());
    }
    answers
}

#[tokio::test]
async fn g31_reflection_v1_and_v1alpha_list_exactly_the_services_that_are_served() {
    let gateway = Gateway::simulated("").await;
    let mut expected = contract_services();
    expected.insert("grpc.health.v1.Health".to_owned());
    let listed = |names: Vec<String>| {
        let names = names.into_iter().filter(|name| !name.starts_with("grpc.reflection."));
        names.collect::<BTreeSet<_>>()
    };

    let ask = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let answers = reflect(gateway.grpc(), vec![ask]).await;
    let mut alpha = v1alpha::server_reflection_client::ServerReflectionClient::new(
        channel(gateway.grpc()).await,
    );
    let ask = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let ask = v1alpha::ServerReflectionRequest { message_request: Some(ask), ..Default::default() };
    let stream = futures_util::stream::iter([ask]);
    let mut stream = alpha.server_reflection_info(stream).await.unwrap().into_inner();
    let alpha_answer = stream.message().await.unwrap().unwrap().message_response.unwrap();

    let [v1::server_reflection_response::MessageResponse::ListServicesResponse(list)] =
        &answers[..]
    else {
        panic!("{answers:?}")
    };
    assert_eq!(listed(list.service.iter().map(|s| s.name.clone()).collect()), expected);
    let v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list) =
        alpha_answer
    else {
        panic!("{alpha_answer:?}")
    };
    assert_eq!(listed(list.service.into_iter().map(|s| s.name).collect()), expected);
}

/// The file that declares `symbol`, and every file that it needs, through reflection.
async fn file_of(address: std::net::SocketAddr, symbol: &str) -> DescriptorPool {
    use v1::server_reflection_request::MessageRequest as Ask;
    use v1::server_reflection_response::MessageResponse as Told;
    let mut set = Vec::new();
    let mut asked = BTreeSet::new();
    let mut asks = vec![Ask::FileContainingSymbol(symbol.to_owned())];
    while !asks.is_empty() {
        let answers = reflect(address, std::mem::take(&mut asks)).await;
        for answer in answers {
            let Told::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
            for bytes in files.file_descriptor_proto {
                let file = prost_types::FileDescriptorProto::decode(&*bytes).unwrap();
                asked.insert(file.name().to_owned());
                asks.extend(file.dependency.into_iter().filter_map(|name| {
                    asked.insert(name.clone()).then_some(Ask::FileByFilename(name))
                }));
                // FileDescriptorSet.file is field 1: the bytes stay as they came.
                prost::encoding::encode_key(
                    1,
                    prost::encoding::WireType::LengthDelimited,
                    &mut set,
                );
                prost::encoding::encode_varint(u64::try_from(bytes.len()).unwrap(), &mut set);
                set.extend_from_slice(&bytes);
            }
        }
    }
    DescriptorPool::decode(&*set).unwrap()
}

#[tokio::test]
async fn g31_reflection_keeps_the_custom_options_of_the_contract() {
    let gateway = Gateway::simulated("").await;
    let (service, method) = CREATE.split_once('/').unwrap();

    let reflected = file_of(gateway.grpc(), service).await;

    let service = reflected.get_service_by_name(service).unwrap();
    let method = service.methods().find(|m| m.name() == method).unwrap();
    let option = |name: &str| {
        let extension = reflected.get_extension_by_name(name).unwrap();
        let options: DynamicMessage = method.options();
        assert!(options.has_extension(&extension), "no {name}");
        options.get_extension(&extension).into_owned()
    };
    let Reflected::Message(operation) = option("gateway.options.v1.operation") else { panic!() };
    assert_eq!(operation.get_field_by_name("effect").unwrap().as_enum_number(), Some(3));
    let Reflected::Message(http) = option("google.api.http") else { panic!() };
    assert_eq!(http.get_field_by_name("post").unwrap().as_str(), Some("/v1/profile/submerchant"));
}

#[tokio::test]
async fn g31_reflection_can_be_turned_off() {
    let gateway = Gateway::simulated("[grpc]\nreflection = false").await;
    let wire = Wire::to(gateway.grpc());
    for version in ["v1", "v1alpha"] {
        let rpc = format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");

        let told = wire.send(&rpc, b"", &[]).await;

        assert_eq!(told.code(), Code::Unimplemented, "{version}: {told:?}");
    }
    let told = wire.call(LIST, json!({}), &[]).await;
    assert_eq!(told.code(), Code::Ok, "{told:?}");
}

const READ: &str = "trolley.v1.WebhookService/ListWebhooks";
const WRITE: &str = "trolley.v1.WebhookService/CreateWebhook";

#[tokio::test(flavor = "multi_thread")]
async fn r15_calls_beyond_the_bound_are_refused_at_once_and_health_is_answered() {
    let gateway = Gateway::simulated("[grpc]\nmax_calls = 1").await;
    // Health has places of its own, and takes none of the calls'.
    let address = gateway.grpc();
    let watch = "grpc.health.v1.Health/Watch";
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    let _watched = tokio::spawn(async move { Wire::to(address).send(watch, b"", &[]).await });
    let delay = json!({"kind": "delay", "millis": 400});
    gateway.control().fault(json!({"partner": "trolley", "fault": delay})).await;
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let first = tokio::spawn(async move { Wire::to(address).call(READ, json!({}), &[]).await });
    gateway.control().until_arrived("trolley", "/v1/subscriptions").await;

    let second = Wire::to(address).call(READ, json!({}), &[]).await;
    let hook = json!({
        "action": "NOTIFICATION_ACTION_ALL",
        "model": "NOTIFICATION_TYPE_PAYMENT",
        "target": "https://example.com/hook",
    });
    let write = Wire::to(address).call(WRITE, hook, &[]).await.error_info().metadata;
    let healthy = health(&channel(address).await, "").await;
    let first = first.await.unwrap();
    let third = Wire::to(address).call(READ, json!({}), &[]).await;

    assert_eq!(
        (second.code(), second.error_info().reason.as_str()),
        (Code::ResourceExhausted, "OVERLOADED")
    );
    assert_eq!(second.metadata("grpc-retry-pushback-ms"), Some("1000"));
    // G4: whoever writes is told that nothing was sent.
    let told = ["partner", "rpc", "outcome", "attempts"].map(|key| write[key].as_str());
    assert_eq!(told, ["trolley", WRITE, "NOT_SENT", "0"]);
    assert_eq!(healthy.unwrap(), ServingStatus::Serving);
    assert_eq!((first.code(), third.code()), (Code::Ok, Code::Ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_do_not_keep_probes_out() {
    let gateway = Gateway::simulated("").await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(gateway.operations()).await.unwrap());
    }
    let probe = reqwest::Client::builder().no_proxy().build().unwrap();
    let live = probe.get(format!("http://{}/livez", gateway.operations())).send();
    let answer = tokio::time::timeout(Duration::from_secs(12), live).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
}
