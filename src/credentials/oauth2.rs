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

use super::token::{Fetch, Refusal, Token};
use super::{Carried, Client, Used};
use crate::call::{Body, Call, Reply};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::partner::Partner;

/// Posts a body to a path below the partner's base URL and gives the answer, whatever
/// its status. The time it takes is bounded.
pub(crate) type Post =
    Box<dyn Fn(&'static str, Body) -> BoxFuture<'static, Result<Reply, Error>> + Send + Sync>;

const NO_TOKEN: &str = "the partner gave no access token";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
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
pub(super) fn put_client(client: &Client, call: &mut Call) -> Carried {
    call.body = Some(form(client, call.body.as_ref()));
    let escaped = escape(client.secret.expose_secret());
    Carried { used: Used::Fixed, secrets: vec![client.secret.clone(), escaped.into()] }
}

/// Asks the token endpoint at `path` with `client`'s secret.
pub(super) fn fetch(
    partner: Arc<dyn Partner>,
    clock: Clock,
    client: Client,
    path: &'static str,
    post: Post,
) -> Fetch {
    Box::new(move || {
        let answer = post(path, form(&client, None));
        let (partner, clock) = (Arc::clone(&partner), clock.clone());
        let span = tracing::info_span!("token_request", partner = partner.name());
        let fetched = async move {
            let reply = answer.await.map_err(|error| unanswered(&error))?;
            let wait = partner.retry_after(reply.status, &reply.headers, clock.now());
            answer::read(reply.status, &reply.body).map_err(|refusal| {
                let Refusal { permanent, problem, .. } = refusal;
                let status = reply.status.as_u16();
                tracing::warn!(permanent, problem, http.response.status_code = status, NO_TOKEN);
                Refusal { retry_after: wait, ..refusal }
            })
        };
        Box::pin(fetched.instrument(span))
    })
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

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string().replace(' ', "+")
}

/// A request that got no answer. It may be tried again: asking for a token does nothing.
fn unanswered(error: &Error) -> Refusal {
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
    use super::*;

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

    #[test]
    fn o12_a_header_with_a_secret_is_not_shown() {
        let value = sensitive("Bearer canary").unwrap();
        assert!(!format!("{value:?}").contains("canary"));
    }
}
