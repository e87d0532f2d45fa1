//! One call, straight through: message to call, stack, answer to message.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use secrecy::SecretString;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response};
use tower::ServiceExt as _;

use crate::call::{Call, Reply};
use crate::credentials::Authenticator;
use crate::error::{Error, Kind, Outcome};
use crate::failpoint::{self, Point};
use crate::operation::Operation;
use crate::partner::Status as PartnerStatus;
use crate::stack::{Stack, State};
use crate::telemetry::spans;
use crate::transcode;

use super::Arrival;
use super::status::insert;
use super::user_token::user_token;

/// Everything a call needs: the stack of each configured partner.
pub struct Gateway {
    partners: BTreeMap<String, PartnerSide>,
}

/// A configured partner.
#[derive(Clone)]
pub struct PartnerSide {
    /// The way to it.
    pub stack: Stack,
    /// The host that calls go to.
    pub host: String,
    /// What was last seen of it.
    pub status: Arc<PartnerStatus>,
    /// How its stack does.
    pub state: State,
    /// Holds the credentials of its calls.
    pub(crate) authenticator: Arc<Authenticator>,
    /// Whether a reply shows its caller a key that is kept.
    pub return_secrets: bool,
}

/// Who makes a call, and until when. One stream makes several.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) arrival: Arrival,
    /// The end user's own token, where the operation takes one.
    user_token: Option<SecretString>,
}

// === impl Gateway ===

impl Gateway {
    /// A gateway to these partners.
    pub fn new(partners: BTreeMap<String, PartnerSide>) -> Self {
        Self { partners }
    }

    /// The configured partner of this name.
    pub fn partner(&self, name: &str) -> Option<&PartnerSide> {
        self.partners.get(name)
    }

    /// The configured partners, by name.
    pub fn partners(&self) -> impl Iterator<Item = (&str, &PartnerSide)> + Clone {
        self.partners.iter().map(|(name, side)| (name.as_str(), side))
    }

    /// Answers the encoded `request` of `operation`.
    ///
    /// # Errors
    /// Whatever failed, with what is known of its effect at the partner.
    pub(super) async fn exchange(
        &self,
        operation: &'static Operation,
        request: Request<Bytes>,
        arrival: Arrival,
    ) -> Result<Response<Bytes>, Error> {
        let caller = Caller::of(operation, request.metadata(), arrival)?;
        let report = caller.arrival.report.clone();
        let (message, reply) = self.ask(operation, request.get_ref(), caller).await?;
        report.answered(operation, reply.attempts, reply.spent);
        let mut response = Response::new(Bytes::from(message));
        describe(&reply, response.metadata_mut());
        Ok(response)
    }

    /// Sends the encoded `message` of `operation` to its partner: the encoded reply, and
    /// the answer that it was read from.
    ///
    /// # Errors
    /// Whatever failed, with what is known of its effect at the partner.
    pub(super) async fn ask(
        &self,
        operation: &'static Operation,
        message: &[u8],
        caller: Caller,
    ) -> Result<(Vec<u8>, Reply), Error> {
        let Caller { arrival, user_token } = caller;
        let parts = transcode::request(operation, message).map_err(Error::invalid)?;
        let Some(partner) = self.partners.get(&operation.partner) else {
            let partner = operation.partner.clone();
            return Err(Error::new(Kind::NotConfigured { partner }, Outcome::NotSent));
        };
        arrival.report.note_account(operation, parts.account.as_deref());
        let call = Call {
            operation,
            id: arrival.id,
            account: parts.account,
            user_token,
            target: parts.target,
            headers: parts.headers,
            body: parts.body,
            request_id: parts.request_id,
            deadline: arrival.deadline(),
            previous_attempts: arrival.previous_attempts,
            caller: arrival.caller,
        };
        let reply = partner.stack.clone().oneshot(call).await?;
        let decoded = spans::decode()
            .in_scope(|| transcode::reply(operation, &reply.body, &parts.echo))
            .map_err(|unreadable| bad_response(&reply, &partner.host, unreadable))?;
        partner.status.record_drift(decoded.drift);
        // A key that is not durable is shown whatever is configured: it would be lost.
        let message = match reply.is_key_kept && !partner.return_secrets {
            true => transcode::without_secrets(operation, &decoded.message),
            false => decoded.message,
        };
        let _ = failpoint::reach(Point::BeforeReply).await;
        Ok((message, reply))
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("partners", &self.partners.keys()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PartnerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartnerSide").field("host", &self.host).finish_non_exhaustive()
    }
}

// === impl Caller ===

impl Caller {
    /// Whoever made the call to `operation` with this `metadata`.
    ///
    /// # Errors
    /// When it gave a token that is none.
    pub(super) fn of(
        operation: &Operation,
        metadata: &MetadataMap,
        arrival: Arrival,
    ) -> Result<Self, Error> {
        Ok(Self { arrival, user_token: user_token(operation, metadata)? })
    }
}

/// Whether the answer to `operation` can be told to its caller.
pub fn is_readable(operation: &Operation, reply: &Reply) -> bool {
    // What is echoed changes nothing about it.
    transcode::reply(operation, &reply.body, &[]).is_ok()
}

/// A success that cannot be read: a write has probably had its effect.
pub(super) fn bad_response(
    reply: &Reply,
    host: &str,
    problem: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let kind = Kind::BadResponse { status: reply.status, problem: problem.to_string() };
    Error::new(kind, Outcome::Unknown)
        .with_attempts(reply.attempts)
        .with_host(host)
        .with_partner_request_id(reply.partner_request_id.clone())
        .with_source(problem)
}

fn describe(reply: &Reply, metadata: &mut MetadataMap) {
    insert(metadata, "x-gateway-attempts", &reply.attempts.to_string());
    if reply.replayed {
        insert(metadata, "x-gateway-replayed", "true");
    }
    if let Some(id) = &reply.partner_request_id {
        insert(metadata, "x-partner-request-id", id);
    }
}
