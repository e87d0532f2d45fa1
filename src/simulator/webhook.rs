//! Sending what a partner sends on its own: webhooks and the probe of a new webhook's address.

use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::value::RawValue;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A webhook that the control interface was asked to send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) partner: String,
    pub(crate) url: String,
    /// An object is sent byte for byte; a text names one of the partner's samples.
    #[serde(default)]
    event: Option<Box<RawValue>>,
    /// Signs with another secret than the partner's own.
    #[serde(default)]
    pub(crate) secret: Option<String>,
    /// Repeats an earlier delivery.
    #[serde(default)]
    pub(crate) delivery_id: Option<String>,
    /// The signed time in Unix seconds, to send a stale or future delivery.
    #[serde(default)]
    pub(crate) signed_at: Option<i64>,
}

/// What an order wants sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Whatever the partner sends most.
    Usual,
    /// One of the partner's samples.
    Named(String),
    /// This text.
    Verbatim(String),
}

/// A request from a partner, signed and ready.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

// === impl Order ===

impl Order {
    /// Refuses an address that nothing can be sent to.
    pub(crate) fn check(&self) -> Result<(), String> {
        let url = reqwest::Url::parse(&self.url).map_err(|error| format!("url: {error}"))?;
        let fits = matches!(url.scheme(), "http" | "https");
        if fits { Ok(()) } else { Err("url must be http or https".to_owned()) }
    }

    /// What to send.
    pub(crate) fn event(&self) -> Result<Event, String> {
        let Some(text) = self.event.as_ref().map(|event| event.get()) else {
            return Ok(Event::Usual);
        };
        if let Ok(name) = serde_json::from_str(text) {
            return Ok(Event::Named(name));
        }
        if text.starts_with('{') {
            return Ok(Event::Verbatim(text.to_owned()));
        }
        Err("event is an object, or the name of a sample".to_owned())
    }
}

/// Sends a delivery once and returns the receiver's status.
pub(crate) async fn send(delivery: &Delivery) -> Result<u16, String> {
    // Building a client without a process-wide provider panics; losing the race to install one
    // means that there is one.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    let client = ClientBuilder::new()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| error.to_string())?;
    let request = client.post(&delivery.url).header("content-type", "application/json");
    let request = delivery
        .headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, value));
    let sent = request.body(delivery.body.clone()).send().await;
    sent.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_its_spelling() {
        let order = r#"{"partner":"p","url":"u","event":{"b": 12.10,"a":1}}"#;
        let order: Order = serde_json::from_str(order).unwrap();
        assert_eq!(order.event(), Ok(Event::Verbatim(r#"{"b": 12.10,"a":1}"#.into())));
    }

    #[test]
    fn an_event_is_an_object_or_a_name() {
        let event = |text: &str| {
            let order = format!(r#"{{"partner":"p","url":"u","event":{text}}}"#);
            serde_json::from_str::<Order>(&order).unwrap().event()
        };
        assert_eq!(event("\"probe\""), Ok(Event::Named("probe".into())));
        assert_eq!(event("null"), Ok(Event::Usual));
        assert!(event("[]").is_err());
    }
}
