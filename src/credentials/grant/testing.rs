//! A token endpoint that rotates refresh tokens as strictly as Keycloak can, and grants
//! before it with a store and a clock of the test's own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::{Grants, Means, PostForm};
use crate::call::Reply;
use crate::clock::Clock;
use crate::credentials::Client;
use crate::credentials::rotating::Rotating;
use crate::error::{Error, Kind, Outcome};
use crate::stack::testing::Example;
use crate::store::Store;

/// What the endpoint does with the next request instead of answering it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Answers 503, and has done nothing.
    Busy,
    /// Does it, and the connection breaks before the answer.
    LostAnswer,
    /// The connection breaks, and nothing was done.
    NotReached,
    /// Does it, and gives no usable access token.
    NoAccessToken,
    /// Refuses the client.
    InvalidClient,
    /// Does it, and answers when the test says so.
    Held,
    /// Never answers.
    Silence,
}

/// A token endpoint for one user, `u-1`.
#[derive(Clone, Default)]
pub(crate) struct Sso(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    issued: u64,
    /// The refresh token that counts; none if the user has taken the grant back.
    current: Option<String>,
    requests: Vec<String>,
    faults: VecDeque<Fault>,
    keeps_refresh_token: bool,
    /// The answer to what is not good, if it is not `invalid_grant`.
    unknown: Option<u16>,
    released: Arc<Notify>,
    tells_no_user: bool,
}

/// Time of day that a test moves, together with tokio's.
#[derive(Clone)]
pub(crate) struct Time(Arc<AtomicI64>);

// === impl Sso ===

impl Sso {
    /// A user logs in: the code of the redirect.
    pub(crate) fn log_in(&self) -> String {
        let mut state = self.0.lock().unwrap();
        state.issued += 1;
        let code = format!("code-{}", state.issued);
        state.current = Some(code.clone());
        code
    }

    /// The user takes the grant back.
    pub(crate) fn revoke(&self) {
        self.0.lock().unwrap().current = None;
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.0.lock().unwrap().faults.push_back(fault);
    }

    /// Refresh tokens are good for any number of uses.
    pub(crate) fn keep_refresh_tokens(&self) {
        self.0.lock().unwrap().keeps_refresh_token = true;
    }

    /// Answers with this status to what is not good.
    pub(crate) fn answer_unknown(&self, status: u16) {
        self.0.lock().unwrap().unknown = Some(status);
    }

    /// Gives the answer that is held.
    pub(crate) fn release(&self) {
        self.0.lock().unwrap().released.notify_one();
    }

    /// Answers have no ID token.
    pub(crate) fn tell_no_user(&self) {
        self.0.lock().unwrap().tells_no_user = true;
    }

    /// The forms that came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.0.lock().unwrap().requests.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().requests.len()
    }

    pub(crate) fn post(&self) -> PostForm {
        let sso = self.clone();
        Arc::new(move |body| {
            let sso = sso.clone();
            Box::pin(async move {
                let form = std::str::from_utf8(&body.bytes).unwrap();
                sso.0.lock().unwrap().requests.push(form.to_owned());
                // Long enough for others to meet it on its way.
                tokio::time::sleep(Duration::from_millis(20)).await;
                if sso.is_silent() {
                    return std::future::pending().await;
                }
                let (answer, held) = sso.answer(form);
                if let Some(released) = held {
                    released.notified().await;
                }
                answer
            })
        })
    }

    fn is_silent(&self) -> bool {
        matches!(self.0.lock().unwrap().faults.front(), Some(Fault::Silence))
    }

    fn answer(&self, form: &str) -> (Result<Reply, Error>, Option<Arc<Notify>>) {
        let mut state = self.0.lock().unwrap();
        if let Some(Fault::Held) = state.faults.front() {
            state.faults.pop_front();
            return (Ok(state.issue(form)), Some(Arc::clone(&state.released)));
        }
        let broken = || Err(Error::new(Kind::Unreachable, Outcome::Unknown));
        let answer = match state.faults.pop_front() {
            None | Some(Fault::Silence | Fault::Held) => Ok(state.issue(form)),
            Some(Fault::Busy) => Ok(reply(503, &json!({}))),
            Some(Fault::NotReached) => broken(),
            Some(Fault::InvalidClient) => Ok(reply(401, &json!({"error": "invalid_client"}))),
            Some(Fault::LostAnswer) => {
                state.issue(form);
                broken()
            }
            Some(Fault::NoAccessToken) => {
                state.issue(form);
                let refresh = &state.current;
                Ok(reply(200, &json!({"refresh_token": refresh, "token_type": "other"})))
            }
        };
        (answer, None)
    }
}

impl State {
    fn issue(&mut self, form: &str) -> Reply {
        let member = |name: &str| {
            let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
        };
        let shown = member("refresh_token").or_else(|| member("code"));
        if shown.is_none() || shown != self.current {
            return match self.unknown {
                Some(status) => reply(status, &json!({})),
                None => reply(400, &json!({"error": "invalid_grant"})),
            };
        }
        self.issued += 1;
        let number = self.issued;
        let is_code = member("code").is_some();
        let mut answer = json!({
            "access_token": format!("at-{number}"),
            "token_type": "bearer",
            "expires_in": 180,
            "refresh_expires_in": 1800,
        });
        if is_code || !self.keeps_refresh_token {
            self.current = Some(format!("rt-{number}"));
            answer["refresh_token"] = json!(self.current);
        } else if number % 2 == 1 {
            // Whether the one that still counts is repeated differs from one to the next.
            answer["refresh_token"] = json!(self.current);
        }
        if !self.tells_no_user {
            let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"u-1"}"#);
            answer["id_token"] = json!(format!("e30.{claims}.c2ln"));
        }
        reply(200, &answer)
    }
}

fn reply(status: u16, body: &serde_json::Value) -> Reply {
    Reply::new(StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body.to_string().into())
}

// === impl Time ===

impl Time {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_800_000_000)))
    }

    pub(crate) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Clock::from_fn(move || Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap())
    }

    /// Lets seconds pass for the time of day alone, as for a process that was stopped.
    pub(crate) fn jump(&self, seconds: u32) {
        self.0.fetch_add(i64::from(seconds), Ordering::SeqCst);
    }

    /// Lets seconds pass without waiting. tokio's clock stands still only for that: while
    /// it does, the database's time-outs would be over at once.
    pub(crate) async fn pass(&self, seconds: u32) {
        self.0.fetch_add(i64::from(seconds), Ordering::SeqCst);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds.into())).await;
        tokio::time::resume();
    }
}

/// One replica's grants.
pub(crate) fn grants(sso: &Sso, store: &Store, clock: Clock) -> Grants {
    grants_of(Rotating::new("test", client("cs-canary")), sso, store, clock)
}

/// The client by that secret.
pub(crate) fn client(secret: &str) -> Client {
    Client { id: "the-client".into(), secret: secret.into() }
}

/// One replica's grants, as that client.
pub(crate) fn grants_of(
    client: Rotating<Client>,
    sso: &Sso,
    store: &Store,
    clock: Clock,
) -> Grants {
    Grants::new(Means {
        partner: Arc::new(Example),
        client,
        post: sso.post(),
        store: store.clone(),
        clock,
        tasks: TaskTracker::new(),
        status: Arc::default(),
    })
}
