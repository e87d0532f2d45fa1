//! OAuth2 client credentials (RFC 6749 section 4.4): the form, the token endpoint's
//! answer, and the bearer token on a call.
//!
//! Nothing of the answer's text is kept but the token: an endpoint may repeat what it
//! was sent.

mod answer;

use std::error::Error as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;
use tracing::Instrument as _;

pub(super) use answer::read as read_answer;

use super::rotating::{Held, Rotating};
use super::token::{Fetch, Issued, Refusal, Token};
use super::{Carried, Client, Used};
use crate::call::{Body, Call, Reply};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::partner::Partner;

/// Posts a body to a path below the partner's base URL and gives the answer, whatever
/// its status. The time it takes is bounded.
pub(crate) type Post =
    Box<dyn Fn(&'static str, Body) -> BoxFuture<'static, Result<Reply, Error>> + Send + Sync>;

pub(super) const NO_TOKEN: &str = "the partner gave no access token";
pub(super) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// What a form does not escape (the URL standard's `application/x-www-form-urlencoded`
/// percent-encode set), but for the space, which becomes a plus.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');

/// Puts a bearer token on `call`.
pub(super) fn put_token(token: Arc<Token>, call: &mut Call) -> Result<Carried, Error> {
    let value = sensitive(&format!("Bearer {}", token.secret.expose_secret()))?;
    call.headers.insert(AUTHORIZATION, value);
    let secrets = vec![token.secret.clone()];
    Ok(Carried { used: Used::Token(token), secrets })
}

/// Puts the client's id and secret into the form of `call`, before its own members.
pub(super) fn put_client(client: Held<Client>, call: &mut Call) -> Carried {
    let secret = &client.get().secret;
    call.body = Some(form(client.get(), call.body.as_ref()));
    let secrets = vec![secret.clone(), escape(secret.expose_secret()).into()];
    Carried { used: Used::Client(client), secrets }
}

/// Asks the token endpoint at `path` with `client`'s secret.
pub(super) fn fetch(
    partner: Arc<dyn Partner>,
    clock: Clock,
    client: Rotating<Client>,
    path: &'static str,
    post: Post,
) -> Fetch {
    let endpoint = Arc::new(Endpoint { partner, clock, client, path, post });
    Box::new(move || {
        let endpoint = Arc::clone(&endpoint);
        let span = tracing::info_span!("token_request", partner = endpoint.partner.name());
        Box::pin(async move { endpoint.token().await }.instrument(span))
    })
}

/// A token endpoint, and the client that asks there.
struct Endpoint {
    partner: Arc<dyn Partner>,
    clock: Clock,
    client: Rotating<Client>,
    path: &'static str,
    post: Post,
}

// === impl Endpoint ===

impl Endpoint {
    /// Asks for a token, and once more with the secret before this one if this one is
    /// refused.
    async fn token(&self) -> Result<Issued, Refusal> {
        let client = self.client.held();
        let refused = match self.ask(client.get()).await {
            Err(refusal) if refusal.refuses_client => refusal,
            result => return result,
        };
        if !client.refused() {
            return Err(refused);
        }
        let other = self.client.held();
        let result = self.ask(other.get()).await;
        if matches!(&result, Err(refusal) if refusal.refuses_client) {
            // Neither is taken: the next time begins with the first again.
            other.refused();
        }
        result
    }

    async fn ask(&self, client: &Client) -> Result<Issued, Refusal> {
        let answer = (self.post)(self.path, form(client, None)).await;
        let reply = answer.map_err(|error| unanswered(&error))?;
        let wait = self.partner.retry_after(reply.status, &reply.headers, self.clock.now());
        answer::read(reply.status, &reply.body).map_err(|refusal| {
            let Refusal { permanent, problem, .. } = refusal;
            let status = reply.status.as_u16();
            tracing::warn!(permanent, problem, http.response.status_code = status, NO_TOKEN);
            Refusal { retry_after: wait, ..refusal }
        })
    }
}

/// A header value that no Debug shows.
pub(super) fn sensitive(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(Error::internal)?;
    value.set_sensitive(true);
    Ok(value)
}

fn form(client: &Client, more: Option<&Body>) -> Body {
    let mut form = String::from("grant_type=client_credentials");
    for (name, value) in
        [("client_id", &*client.id), ("client_secret", client.secret.expose_secret())]
    {
        form.extend(["&", name, "=", &escape(value)]);
    }
    let mut bytes = form.into_bytes();
    if let Some(more) = more.filter(|more| !more.bytes.is_empty()) {
        bytes.push(b'&');
        bytes.extend_from_slice(&more.bytes);
    }
    Body { content_type: FORM, bytes: Bytes::from(bytes) }
}

pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string().replace(' ', "+")
}

/// A request that got no answer. It may be tried again: asking for a token does nothing.
pub(super) fn unanswered(error: &Error) -> Refusal {
    let problem = match error.kind() {
        Kind::Timeout => "the token endpoint did not answer in time",
        Kind::BadResponse { .. } => "the token endpoint's answer cannot be read",
        _ => "the token endpoint cannot be reached",
    };
    tracing::warn!(permanent = false, problem, cause = ?error.source(), NO_TOKEN);
    Refusal { status: error.http_status(), ..Refusal::transient(problem) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::stack::testing::Example;

    fn client(id: &str, secret: &str) -> Client {
        Client { id: id.to_owned(), secret: secret.into() }
    }

    #[test]
    fn o9_id_and_secret_are_escaped_byte_for_byte() {
        let form = form(&client("i:d%+ é&=", "s*e-c.r_e~t/"), None);
        assert_eq!(form.content_type, "application/x-www-form-urlencoded");
        assert_eq!(
            form.bytes,
            "grant_type=client_credentials&client_id=i%3Ad%25%2B+%C3%A9%26%3D\
             &client_secret=s*e-c.r_e%7Et%2F"
        );
    }

    #[test]
    fn the_calls_own_members_come_last() {
        let more = Body { content_type: FORM, bytes: Bytes::from_static(b"scope=all") };
        let form = form(&client("i", "s"), Some(&more));
        assert_eq!(
            form.bytes,
            "grant_type=client_credentials&client_id=i&client_secret=s&scope=all"
        );
    }

    /// A token endpoint that takes some secrets, and what it was asked with.
    fn endpoint(
        takes: &'static [&'static str],
        refusal: u16,
    ) -> (Endpoint, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let all = Arc::clone(&asked);
        let post: Post = Box::new(move |_, body| {
            let form = String::from_utf8(body.bytes.to_vec()).unwrap();
            let secret = form.rsplit_once('=').unwrap().1.to_owned();
            let (status, body) = match takes.contains(&&*secret) {
                true => (200, r#"{"access_token":"t","token_type":"Bearer"}"#),
                false => (refusal, ""),
            };
            all.lock().unwrap().push(secret);
            let reply = Reply::new(
                http::StatusCode::from_u16(status).unwrap(),
                http::HeaderMap::new(),
                Bytes::from_static(body.as_bytes()),
            );
            Box::pin(std::future::ready(Ok(reply)))
        });
        let rotating = Rotating::new("test", client("i", "old"));
        rotating.replace(client("i", "new"));
        let (partner, clock) = (Arc::new(Example), Clock::system());
        (Endpoint { partner, clock, client: rotating, path: "/token", post }, asked)
    }

    #[tokio::test]
    async fn s19_a_refused_client_asks_once_more_with_the_secret_before() {
        let (endpoint, asked) = endpoint(&["old"], 401);
        assert!(endpoint.token().await.is_ok());
        assert!(endpoint.token().await.is_ok());
        assert_eq!(*asked.lock().unwrap(), ["new", "old", "old"], "what worked is preferred");
    }

    #[tokio::test]
    async fn s19_two_refused_secrets_are_refused_in_the_same_order_again() {
        let (endpoint, asked) = endpoint(&[], 401);
        for _ in 0..2 {
            let refusal = endpoint.token().await.unwrap_err();
            assert!(refusal.permanent && refusal.refuses_client);
        }
        assert_eq!(*asked.lock().unwrap(), ["new", "old", "new", "old"]);
    }

    #[tokio::test]
    async fn s19_another_failure_is_no_reason_to_try_the_secret_before() {
        for status in [400, 403, 500, 503] {
            let (endpoint, asked) = endpoint(&["old"], status);
            assert!(!endpoint.token().await.unwrap_err().refuses_client);
            assert_eq!(*asked.lock().unwrap(), ["new"], "{status}");
        }
    }

    #[test]
    fn o12_a_header_with_a_secret_is_not_shown() {
        let value = sensitive("Bearer canary").unwrap();
        assert!(!format!("{value:?}").contains("canary"));
    }
}
