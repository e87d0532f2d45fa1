//! The single sign-on that Trustap's users log in with: the token endpoint of a Keycloak realm. A
//! code is good for one exchange and a refresh token, as long as tokens rotate, for one refresh, so
//! that a gateway which loses an answer here finds itself locked out, as it would be for real.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::Timestamp;

use super::super::json::Object;
use super::super::partner::{Answer, Received};
use super::super::random;
use super::settings::Settings;
use super::state::{State, later};

mod request;

use self::request::{Form, Refusal, bad, client_of, invalid_grant, invalid_request};

/// The token endpoint of the stage realm, below the partner's mount.
pub(crate) const TOKEN_PATH: &str = "/auth/realms/trustap-stage/protocol/openid-connect/token";

// Keycloak's default for a code.
const CODE_SECONDS: i64 = 60;

/// The only client that gets tokens, and how they are given out.
#[derive(Clone, Copy, Debug)]
struct Client<'a> {
    id: &'a str,
    secret: &'a str,
    access_seconds: i64,
    refresh_seconds: i64,
    /// Whether a refresh token is refused once it has been used.
    rotates: bool,
}

/// Who has logged in, by what they were given for it.
#[derive(Debug, Default)]
pub(crate) struct Sso {
    codes: HashMap<String, Code>,
    access: HashMap<String, Grant>,
    refresh: HashMap<String, Grant>,
}

#[derive(Clone, Debug)]
struct Code {
    grant: Grant,
    redirect_uri: Option<String>,
}

/// A user's session, as one token knows it.
#[derive(Clone, Debug)]
struct Grant {
    user: String,
    session: String,
    scope: String,
    expiry: Timestamp,
}

/// Answers the token endpoint.
pub(crate) fn handle(
    settings: &Settings,
    state: &mut State,
    now: Timestamp,
    request: &Received,
) -> Answer {
    let seconds = |lifetime: Duration| i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    let client = Client {
        id: &settings.client_id,
        secret: &settings.client_secret,
        access_seconds: seconds(settings.access_token_lifetime),
        refresh_seconds: seconds(settings.refresh_token_lifetime),
        rotates: state.switches.rotate_refresh_tokens,
    };
    state.sso.answer(client, now, request)
}

// === impl Sso ===

impl Sso {
    /// The code with which a browser comes back after `user` has logged in. An exchange must name
    /// the same `redirect_uri`, if there is one.
    pub(crate) fn log_in(
        &mut self,
        user: &str,
        redirect_uri: Option<&str>,
        now: Timestamp,
    ) -> String {
        let code = format!("{}.{}.{}", random::guid(), random::guid(), random::guid());
        let grant = Grant {
            user: user.to_owned(),
            session: random::guid(),
            scope: "openid profile email".to_owned(),
            expiry: later(now, CODE_SECONDS),
        };
        let redirect_uri = redirect_uri.map(str::to_owned);
        self.codes.insert(code.clone(), Code { grant, redirect_uri });
        code
    }

    /// Whom an access token speaks for; nobody once it has expired.
    pub(crate) fn user_of(&self, token: &str, now: Timestamp) -> Option<&str> {
        let grant = self.access.get(token)?;
        (now < grant.expiry).then_some(grant.user.as_str())
    }

    /// Makes every access token invalid and leaves the refresh tokens.
    pub(crate) fn expire_access_tokens(&mut self) {
        self.access.clear();
    }

    fn answer(&mut self, client: Client<'_>, now: Timestamp, request: &Received) -> Answer {
        match self.exchange(client, now, request) {
            Ok(grant) => self.issue(client, &grant, now),
            Err(refusal) => refusal.answer(),
        }
    }

    fn exchange(
        &mut self,
        client: Client<'_>,
        now: Timestamp,
        request: &Received,
    ) -> Result<Grant, Refusal> {
        if request.method != http::Method::POST {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Refusal { status, ..invalid_request("HTTP 405 Method Not Allowed") });
        }
        let form = Form::read(request)?;
        let (id, secret) = client_of(request, &form)?;
        if id != client.id || secret != client.secret {
            return Err(Refusal {
                status: StatusCode::UNAUTHORIZED,
                code: "invalid_client",
                description: "Invalid client or Invalid client credentials",
            });
        }
        let missing = || invalid_request("Missing form parameter: grant_type");
        match form.one("grant_type")?.ok_or_else(missing)? {
            "authorization_code" => self.redeem(&form, now),
            "refresh_token" => self.renew(client, &form, now),
            _ => Err(bad("unsupported_grant_type", "Unsupported grant_type")),
        }
    }

    /// The code is used up by the attempt, whatever comes of it.
    fn redeem(&mut self, form: &Form, now: Timestamp) -> Result<Grant, Refusal> {
        let missing = || invalid_request("Missing parameter: code");
        let code = form.one("code")?.ok_or_else(missing)?;
        let code = self.codes.remove(code).filter(|code| now < code.grant.expiry);
        let code = code.ok_or_else(|| invalid_grant("Code not valid"))?;
        let given = form.one("redirect_uri")?;
        if code.redirect_uri.is_some() && code.redirect_uri.as_deref() != given {
            return Err(invalid_grant("Incorrect redirect_uri"));
        }
        Ok(code.grant)
    }

    fn renew(&mut self, client: Client<'_>, form: &Form, now: Timestamp) -> Result<Grant, Refusal> {
        let missing = || invalid_request("No refresh token");
        let token = form.one("refresh_token")?.ok_or_else(missing)?;
        let grant = self.refresh.get(token).cloned();
        let grant = grant.ok_or_else(|| invalid_grant("Invalid refresh token"))?;
        if grant.expiry <= now {
            return Err(invalid_grant("Token is not active"));
        }
        if client.rotates {
            self.refresh.remove(token);
        }
        Ok(grant)
    }

    fn issue(&mut self, client: Client<'_>, grant: &Grant, now: Timestamp) -> Answer {
        let access = Grant { expiry: later(now, client.access_seconds), ..grant.clone() };
        let refresh = Grant { expiry: later(now, client.refresh_seconds), ..grant.clone() };
        let access_token = jwt("Bearer", client.id, &access, now);
        let refresh_token = jwt("Refresh", client.id, &refresh, now);
        let body = Object::new()
            .with("access_token", &access_token)
            .with("expires_in", client.access_seconds)
            .with("refresh_expires_in", client.refresh_seconds)
            .with("refresh_token", &refresh_token)
            .with("token_type", "bearer")
            .with("id_token", jwt("ID", client.id, &access, now))
            .with("not-before-policy", 0)
            .with("session_state", &grant.session)
            .with("scope", &grant.scope);
        self.access.retain(|_, kept| now < kept.expiry);
        self.access.insert(access_token, access);
        self.refresh.insert(refresh_token, refresh);
        Answer::done(StatusCode::OK, &body)
            .with_header("cache-control", "no-store")
            .with_header("pragma", "no-cache")
    }
}

// A token in the form of a signed JWT. Nobody can check the signature: there is no key.
fn jwt(kind: &str, client: &str, grant: &Grant, now: Timestamp) -> String {
    let part = |object: Object| URL_SAFE_NO_PAD.encode(object.to_bytes());
    let header = Object::new().with("alg", "RS256").with("typ", "JWT").with("kid", "simulator");
    let claims = Object::new()
        .with("exp", grant.expiry.as_second())
        .with("iat", now.as_second())
        .with("jti", random::guid())
        .with("iss", "https://sso.trustap.com/auth/realms/trustap-stage")
        .with("aud", client)
        .with("sub", &grant.user)
        .with("typ", kind)
        .with("azp", client)
        .with("session_state", &grant.session);
    let signature = URL_SAFE_NO_PAD.encode(random::base58(256));
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[cfg(test)]
mod tests;
