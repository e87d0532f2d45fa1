//! The life of an access token at the boundary: real callers, a real partner, real time.
//! What takes longer than a test may is proven on a paused clock, edge by edge, in
//! `src/credentials/token/tests`.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::partners::info;
use crate::support::client::Client;
use crate::support::control::Control;
use crate::support::gateway::Gateway;

const GET: &str = "trustist.v1.InvitationService/GetInvitation";
const LIST: &str = "trustist.v1.InvitationService/ListInvitations";

/// A gateway and the partner, whose tokens live so many seconds.
struct Setting {
    gateway: Gateway,
    partner: Control,
}

impl Setting {
    async fn given(lifetime_seconds: u64) -> Self {
        Self::given_with("", lifetime_seconds).await
    }

    /// The same, with other settings of the partner.
    async fn given_with(settings: &str, lifetime_seconds: u64) -> Self {
        let partner = Control::start().await;
        let settings = format!(
            r#"
            [grpc]
            max_concurrent_streams = 3000
            default_deadline = "60s"

            [partners.trustist]
            base_url = "http://{}/trustist"
            client_id = "simulator-client"
            client_secret = "simulator-client-secret"
            {settings}
            "#,
            partner.address
        );
        let setting = Self { gateway: Gateway::configured(&settings).await, partner };
        setting.lifetime(lifetime_seconds).await;
        setting
    }

    async fn lifetime(&self, seconds: u64) {
        let body = json!({"lifetime_seconds": seconds}).to_string();
        let (status, answer) = self.partner.put("/_simulator/trustist/tokens", &body).await;
        assert!(status.is_success(), "{answer}");
    }

    /// How many tokens the partner has issued.
    async fn issued(&self) -> u64 {
        let (_, answer) = self.partner.get("/_simulator/trustist/tokens").await;
        answer["issued"].as_u64().unwrap()
    }

    /// From now on the token endpoint does this.
    async fn fault(&self, fault: Value) {
        let rule = json!({"partner": "trustist", "path": "/token", "times": null, "fault": fault});
        self.partner.fault(rule).await;
    }

    async fn call(&self) -> Result<(), tonic::Status> {
        self.gateway.client.call(LIST, json!({})).await.map(|_| ())
    }

    /// The token as operators see it.
    async fn seen(&self) -> Value {
        let request = json!({"name": "trustist"});
        let rpc = "gateway.v1.PartnerService/GetPartner";
        self.gateway.client.call(rpc, request).await.unwrap().reply["token"].clone()
    }
}

/// O1
#[tokio::test(flavor = "multi_thread")]
async fn o1_ten_thousand_callers_at_the_moment_of_expiry_cost_one_request() {
    // One connection for all of them, and time enough on a busy machine.
    let http2 = "http2_prior_knowledge = true\ntimeouts = { head = \"60s\", total = \"60s\" }";
    let setting = Setting::given_with(http2, 2).await;
    setting.call().await.unwrap();
    setting.lifetime(3600).await;
    sleep(Duration::from_secs(2)).await;
    let slow = json!({"kind": "delay", "millis": 300});
    setting.fault(slow).await;
    // Small answers: what is counted here is not bytes.
    let small = json!({"trustist": {"undocumented_fields": false}}).to_string();
    setting.partner.put("/_simulator/switches", &small).await;
    let request = json!({"id": partner_gateway::simulator::trustist::SENT_INVITATION});

    let address = setting.gateway.grpc();
    let clients = join_all((0..4).map(|_| Client::connect(address))).await;
    let calls = (0..10_000).map(|number: usize| clients[number % 4].call(GET, request.clone()));
    let answers = join_all(calls).await;

    let failed: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} failed, the first: {:?}", failed.len(), failed[0]);
    assert_eq!(setting.issued().await, 2, "the first one, and one for all of them");
}

/// O3: seconds here, ten minutes of an hour in `src/stack/tests/outage.rs`.
#[tokio::test]
async fn o3_an_outage_of_the_token_endpoint_is_seen_after_expiry_only_and_ends_with_it() {
    for fault in [json!({"kind": "status", "status": 503}), json!({"kind": "drop_before"})] {
        let setting = Setting::given(2).await;
        let start = Instant::now();
        setting.call().await.unwrap();
        setting.fault(fault).await;
        let failed = loop {
            match setting.call().await {
                Ok(()) => sleep(Duration::from_millis(20)).await,
                Err(failed) => break failed,
            }
        };
        // 90 % of its life.
        assert!(start.elapsed() >= Duration::from_millis(1800), "the token was good: {failed:?}");
        let arrived = setting.partner.arrived("trustist").await;
        assert!(
            arrived.iter().all(|request| request["status"] != 401),
            "an expired token was sent"
        );
        let told = (failed.code(), info(&failed).reason);
        assert_eq!(told, (Code::Unavailable, "PARTNER_TOKEN_UNAVAILABLE".to_owned()));
        assert_eq!(setting.seen().await["state"], "STATE_EXPIRED");

        let asked = Instant::now();
        for _ in 0..100 {
            assert_eq!(setting.call().await.unwrap_err().code(), Code::Unavailable);
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "nobody is kept waiting");

        setting.partner.delete("/_simulator/faults").await;
        let back = Instant::now();
        while setting.call().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        // Two seconds on a paused clock; here other tests are at work.
        assert!(back.elapsed() < Duration::from_secs(4), "{:?}", back.elapsed());
        assert_eq!(setting.seen().await["state"], "STATE_VALID");
    }
}

/// O4
#[tokio::test(flavor = "multi_thread")]
async fn o4_five_hundred_calls_whose_token_was_revoked_cost_one_request() {
    let setting = Setting::given(3600).await;
    setting.call().await.unwrap();
    setting.partner.delete("/_simulator/trustist/tokens").await;
    let client = &setting.gateway.client;
    let answers = join_all((0..500).map(|_| client.call(LIST, json!({})))).await;
    let mut repeated = 0;
    for answer in answers {
        let attempts = answer.unwrap().metadata.get("x-gateway-attempts").cloned().unwrap();
        repeated += usize::from(attempts == "2");
    }
    assert!(repeated > 0);
    assert_eq!(setting.issued().await, 2);
}

/// O4: within half a minute; how it goes on then is proven on a paused clock.
#[tokio::test]
async fn o4_a_partner_that_refuses_every_token_is_asked_for_another_once() {
    let setting = Setting::given(3600).await;
    let refused = json!({"kind": "status", "status": 401});
    let rule =
        json!({"partner": "trustist", "path": "/invitations", "times": null, "fault": refused});
    setting.partner.fault(rule).await;
    for number in 0..50 {
        let failed = setting.call().await.unwrap_err();
        let info = info(&failed);
        assert_eq!(
            (failed.code(), &*info.reason),
            (Code::Internal, "PARTNER_CREDENTIALS_REJECTED")
        );
        assert_eq!(info.metadata["attempts"], if number == 0 { "2" } else { "1" });
    }
    assert_eq!(setting.issued().await, 2);
}

/// O5: a client that is refused is not asked about again; operators see until when.
#[tokio::test]
async fn o5_a_refused_client_is_left_alone() {
    let setting = Setting::given(3600).await;
    assert_eq!(setting.seen().await, json!({"state": "STATE_NONE"}));
    let secrets = json!({"secrets": ["another"]}).to_string();
    setting.partner.put("/_simulator/trustist/client", &secrets).await;
    for _ in 0..20 {
        let failed = setting.call().await.unwrap_err();
        assert_eq!(
            (failed.code(), &*info(&failed).reason),
            (Code::Internal, "PARTNER_TOKEN_REFUSED")
        );
    }
    assert_eq!(setting.partner.arrived("trustist").await.len(), 1);
    let seen = setting.seen().await;
    assert_eq!(seen["state"], "STATE_NONE");
    let end: jiff::Timestamp = seen["pauseEndTime"].as_str().unwrap().parse().unwrap();
    let left = end.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((50..=60).contains(&left), "{left}");
}

/// O5, O6: torn reads and odd answers pass, and are no token.
#[tokio::test]
async fn o6_an_odd_answer_of_the_token_endpoint_is_no_token_and_not_the_end() {
    for fault in [
        json!({"kind": "truncate", "after_bytes": 20}),
        json!({"kind": "drop_after"}),
        json!({"kind": "malformed_json"}),
        json!({"kind": "status", "status": 200, "text": r#"{"access_token": "half"#}),
        json!({"kind": "status", "status": 200, "body": {"error": "temporarily_unavailable"}}),
        json!({"kind": "status", "status": 200, "body": {"access_token": "", "token_type": "Bearer"}}),
        json!({"kind": "rate_limited"}),
        json!({"kind": "oversize", "bytes": 2_000_000}),
    ] {
        let setting = Setting::given(3600).await;
        setting.fault(fault.clone()).await;
        let failed = setting.call().await.unwrap_err();
        let reason = info(&failed).reason;
        assert_eq!(
            (failed.code(), &*reason),
            (Code::Unavailable, "PARTNER_TOKEN_UNAVAILABLE"),
            "{fault}"
        );
        setting.partner.delete("/_simulator/faults").await;
        let back = Instant::now();
        while setting.call().await.is_err() {
            assert!(back.elapsed() < Duration::from_secs(4), "{fault}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}
