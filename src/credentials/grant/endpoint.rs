//! The token endpoint, as users' grants need it (RFC 6749 sections 4.1.3 and 6).
//!
//! An answer is read in two halves: the refresh token that it may hold is taken even if
//! the access token beside it is of no use, for the one before may be used up.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::Grant;
use super::gate::Gate;
use crate::call::{Body, Reply};
use crate::clock::Clock;
use crate::credentials::oauth2::NO_TOKEN;
use crate::credentials::rotating::Rotating;
use crate::credentials::subject;
use crate::credentials::token::{Issued, Refusal};
use crate::credentials::{Client, oauth2};
use crate::error::{Error, Kind, Outcome};
use crate::partner::{Partner, Status, TokenRequest};

/// Posts a form to the token endpoint and gives the answer, whatever its status.
pub(crate) type PostForm =
    Arc<dyn Fn(Body) -> BoxFuture<'static, Result<Reply, Error>> + Send + Sync>;

/// The longest that asking may take: leases are sized by it.
pub(super) const REQUEST: Duration = Duration::from_secs(10);
/// The longest life of a grant that is believed.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A partner's token endpoint for grants.
pub(super) struct Endpoint {
    pub(super) partner: Arc<dyn Partner>,
    pub(super) clock: Clock,
    pub(super) client: Rotating<Client>,
    pub(super) post: PostForm,
    pub(super) gate: Gate,
    /// Counts the requests, for operators.
    pub(super) status: Arc<Status>,
}

/// What the endpoint gave for a grant.
#[derive(Debug)]
pub(super) struct Granted {
    /// The access token, or why there is none beside a refresh token.
    pub(super) access: Result<Issued, Refusal>,
    /// The refresh token that counts from now on; `None` if the last one still does.
    pub(super) refresh_token: Option<SecretString>,
    /// How long the grant lives if it is not used; `None` if that is not told.
    pub(super) life: Option<Duration>,
    /// Who granted it, if the answer tells.
    pub(super) user: Option<String>,
}

/// Why it gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The grant is not good, and will not be.
    Grant,
    /// Anything else.
    Other(Refusal),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    refresh_token: Option<SecretString>,
    refresh_expires_in: Option<Value>,
    id_token: Option<SecretString>,
    error: Option<Value>,
}

// === impl Endpoint ===

impl Endpoint {
    /// Uses a grant for the first time. A code is good for one use, so that it is asked
    /// with once.
    pub(super) async fn admit(&self, grant: &Grant) -> Result<Granted, Failure> {
        match grant {
            Grant::AuthorizationCode { code, redirect_uri, code_verifier } => {
                let mut members =
                    vec![("code", code.expose_secret()), ("redirect_uri", redirect_uri)];
                members.extend(code_verifier.iter().map(|v| ("code_verifier", v.expose_secret())));
                self.in_time(self.ask("authorization_code", &members)).await
            }
            Grant::RefreshToken(token) => self.refresh(token).await,
        }
    }

    /// Asks for an access token by a refresh token. When the connection broke before the
    /// answer came it asks once more: nobody knows whether the token is used up, and if
    /// it is not, all is well.
    pub(super) async fn refresh(&self, token: &SecretString) -> Result<Granted, Failure> {
        let members = [("refresh_token", token.expose_secret())];
        self.in_time(async {
            match self.ask("refresh_token", &members).await {
                Err(error) if matches!(error.kind(), Kind::Unreachable) => {
                    self.ask("refresh_token", &members).await
                }
                asked => asked,
            }
        })
        .await
    }

    /// Bounds the time for all tries together, if any may be made just now. What gets no
    /// answer may be tried again.
    async fn in_time(
        &self,
        asked: impl Future<Output = Result<Result<Granted, Failure>, Error>>,
    ) -> Result<Granted, Failure> {
        if let Some(refusal) = self.gate.refusal(Instant::now()) {
            return Err(Failure::Other(refusal));
        }
        let late = |_| Err(Error::new(Kind::Timeout, Outcome::Unknown));
        let asked = timeout(REQUEST, asked).await.unwrap_or_else(late);
        let answered =
            asked.unwrap_or_else(|error| Err(Failure::Other(oauth2::unanswered(&error))));
        if let Err(Failure::Other(refusal)) = &answered {
            self.gate.note(refusal, Instant::now());
        }
        self.status.grant_used(end(&answered));
        answered
    }

    /// Asks, and once more with the client's other secret when one is refused.
    async fn ask(
        &self,
        grant_type: &str,
        members: &[(&str, &str)],
    ) -> Result<Result<Granted, Failure>, Error> {
        let client = self.client.held();
        let answered = self.ask_as(client.get(), grant_type, members).await?;
        if !refuses_client(&answered) || !client.refused() {
            return Ok(answered);
        }
        let other = self.client.held();
        let answered = self.ask_as(other.get(), grant_type, members).await?;
        if refuses_client(&answered) {
            // Neither is taken: the next time begins with the first again.
            other.refused();
        }
        Ok(answered)
    }

    async fn ask_as(
        &self,
        client: &Client,
        grant_type: &str,
        members: &[(&str, &str)],
    ) -> Result<Result<Granted, Failure>, Error> {
        let body = form(grant_type, client, members);
        let span = tracing::info_span!("token_request", partner = self.partner.name(), grant_type);
        let reply = (self.post)(body).instrument(span.clone()).await?;
        let wait = self.partner.retry_after(reply.status, &reply.headers, self.clock.now());
        Ok(span.in_scope(|| read(reply.status, &reply.body, wait)))
    }
}

/// How a request ended, as it is counted. What a grant itself is refused for is between its
/// user and the partner: no alarm is to come of it.
fn end(answered: &Result<Granted, Failure>) -> TokenRequest {
    match answered {
        Ok(Granted { access: Ok(_), .. }) => TokenRequest::Issued,
        Ok(Granted { access: Err(refusal), .. }) | Err(Failure::Other(refusal)) => {
            TokenRequest::failure(refusal.permanent)
        }
        Err(Failure::Grant) => TokenRequest::Ended,
    }
}

fn refuses_client(answered: &Result<Granted, Failure>) -> bool {
    matches!(answered, Err(Failure::Other(refusal)) if refusal.refuses_client)
}

fn form(grant_type: &str, client: &Client, members: &[(&str, &str)]) -> Body {
    let own = [
        ("grant_type", grant_type),
        ("client_id", &*client.id),
        ("client_secret", client.secret.expose_secret()),
    ];
    let all = own.iter().chain(members);
    let pairs: Vec<_> =
        all.map(|(name, value)| format!("{name}={}", oauth2::escape(value))).collect();
    Body { content_type: oauth2::FORM, bytes: pairs.join("&").into() }
}

/// Reads an answer. Nothing of its text is kept but the tokens and the user's id.
fn read(status: StatusCode, body: &[u8], wait: Option<Duration>) -> Result<Granted, Failure> {
    let access = oauth2::read_answer(status, body).map_err(|refusal| {
        let Refusal { permanent, problem, .. } = refusal;
        let status = status.as_u16();
        tracing::warn!(permanent, problem, http.response.status_code = status, NO_TOKEN);
        Refusal { retry_after: wait, ..refusal }
    });
    let mut answer = serde_json::from_slice::<Answer>(body).unwrap_or_default();
    answer.refresh_token = answer.refresh_token.filter(|token| !token.expose_secret().is_empty());
    let granted = |access| Granted {
        access,
        life: life(answer.refresh_expires_in.as_ref()),
        user: answer.id_token.as_ref().and_then(subject::of),
        refresh_token: answer.refresh_token.clone(),
    };
    let refusal = match access {
        Ok(issued) => return Ok(granted(Ok(issued))),
        Err(refusal) => refusal,
    };
    match &answer.error {
        Some(error) if error == "invalid_grant" => Err(Failure::Grant),
        None if status.is_success() && answer.refresh_token.is_some() => Ok(granted(Err(refusal))),
        Some(_) | None => Err(Failure::Other(refusal)),
    }
}

/// How long a grant lives. Zero is Keycloak's word for one that has no end.
fn life(expires_in: Option<&Value>) -> Option<Duration> {
    let seconds = match expires_in? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds: &f64| *seconds >= 1.0)?;
    Some(Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, body: &str) -> Result<Granted, Failure> {
        read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), None)
    }

    #[test]
    fn a_keycloak_answer_is_read_whole() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"iss":"x","sub":"u-1"}"#);
        let granted = answer(
            200,
            &format!(
                r#"{{"access_token":"at","expires_in":180,"refresh_expires_in":1800,
                    "refresh_token":"rt","token_type":"bearer","id_token":"h.{claims}.s",
                    "not-before-policy":0,"session_state":"s","scope":"openid"}}"#
            ),
        );
        let granted = granted.unwrap();
        assert_eq!(granted.access.unwrap().lifetime, Some(Duration::from_secs(180)));
        assert_eq!(granted.refresh_token.unwrap().expose_secret(), "rt");
        assert_eq!(granted.life, Some(Duration::from_secs(1800)));
        assert_eq!(granted.user.as_deref(), Some("u-1"));
    }

    #[test]
    fn what_is_not_told_is_not_known() {
        for more in [
            "",
            r#","refresh_token":"","id_token":"","refresh_expires_in":0"#,
            r#","refresh_token":null,"id_token":"a.b.c","refresh_expires_in":"x""#,
            r#","id_token":"a.e30.c","refresh_expires_in":-1"#,
            r#","id_token":"a.eyJzdWIiOiIifQ.c","refresh_expires_in":{}"#,
        ] {
            let body = format!(r#"{{"access_token":"at","token_type":"Bearer"{more}}}"#);
            let granted = answer(200, &body).unwrap();
            let told = (granted.refresh_token.is_some(), granted.life, granted.user);
            assert_eq!(told, (false, None, None), "{more}");
        }
    }

    #[test]
    fn only_invalid_grant_ends_a_grant() {
        let ends = |status, body| matches!(answer(status, body), Err(Failure::Grant));
        assert!(ends(400, r#"{"error":"invalid_grant","error_description":"Session not active"}"#));
        assert!(ends(401, r#"{"error":"invalid_grant"}"#));
        for (status, body) in [
            (400, r#"{"error":"invalid_client"}"#),
            (400, r#"{"error":"invalid_request"}"#),
            (401, ""),
            (400, ""),
            (404, "<html>"),
            (500, r#"{"error":"unknown_error"}"#),
            (503, ""),
            (200, "{}"),
        ] {
            assert!(!ends(status, body) && answer(status, body).is_err(), "{status} {body}");
        }
    }

    #[test]
    fn a_refresh_token_is_taken_whatever_is_beside_it() {
        let granted = answer(200, r#"{"refresh_token":"rt","token_type":"mac"}"#).unwrap();
        assert!(granted.access.is_err() && granted.refresh_token.is_some());
        assert!(answer(500, r#"{"refresh_token":"rt"}"#).is_err());
        assert!(answer(200, r#"{"refresh_token":"rt","error":"x"}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_answer_panics(status in 100_u16..1000, body in any::<Vec<u8>>(), token in ".*") {
            let status = StatusCode::from_u16(status).unwrap();
            let _ = read(status, &body, None);
            let _ = subject::of(&token.into());
        }
    }
}
