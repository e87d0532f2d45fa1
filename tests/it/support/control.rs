//! The simulators' control interface at an address, whoever runs them.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use partner_gateway::simulator::{Settings, Simulator};
use serde_json::Value;

/// Running simulators.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
}

// === impl Control ===

impl Control {
    pub(crate) fn of(address: SocketAddr) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        Self { address, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Simulators of the test's own, without a gateway.
    pub(crate) async fn start() -> Self {
        Self::on(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// The same on a listener of the test's own.
    pub(crate) fn on(listener: tokio::net::TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let serving = Simulator::new(Settings::default()).serve(listener, std::future::pending());
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(serving);
        Self::of(address)
    }

    /// Orders a fault.
    pub(crate) async fn fault(&self, rule: Value) {
        let (status, answer) = self.post("/_simulator/faults", &rule.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{rule}: {answer}");
    }

    /// The journal of what arrived at `partner`.
    pub(crate) async fn arrived(&self, partner: &str) -> Vec<Value> {
        let (_, answer) = self.get(&format!("/_simulator/requests?partner={partner}")).await;
        answer.as_array().unwrap().clone()
    }

    /// Waits until a request to this path of `partner` has arrived.
    pub(crate) async fn until_arrived(&self, partner: &str, path: &str) {
        let arrived = async {
            while !self.arrived(partner).await.iter().any(|entry| entry["path"] == path) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, arrived).await.expect("nothing arrives at the partner");
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.http.get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> (StatusCode, Value) {
        answer(self.http.post(self.url(path)).body(body.to_owned())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (StatusCode, Value) {
        answer(self.http.delete(self.url(path))).await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> (StatusCode, Value) {
        answer(self.http.put(self.url(path)).body(body.to_owned())).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}
