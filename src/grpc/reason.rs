//! The closed set of error reasons: with a domain, they are what callers program
//! against, so none is ever renamed or reused (AIP-193).

use tonic::Code;

use crate::error::{Error, Kind, Meaning};
use crate::operation::Operation;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal => $code:ident;)*) => {
        /// Why a call failed: `google.rpc.ErrorInfo.reason`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[doc = $doc])* $name,)* }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The reason as callers read it.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $text,)* }
            }

            /// The status code that goes with it.
            pub fn code(self) -> Code {
                match self { $(Reason::$name => Code::$code,)* }
            }

            /// What it means, for the documentation.
            pub fn description(self) -> &'static str {
                match self { $(Reason::$name => concat!($($doc,)*).trim_ascii(),)* }
            }
        }
    };
}

reasons! {
    /// The request breaks a rule of the contract; nothing was sent.
    InvalidRequest = "INVALID_REQUEST" => InvalidArgument;
    /// `grpc-timeout` is not of the form that gRPC defines.
    InvalidTimeout = "INVALID_TIMEOUT" => InvalidArgument;
    /// The message is larger than the gateway accepts.
    MessageTooLarge = "MESSAGE_TOO_LARGE" => ResourceExhausted;
    /// The gateway serves no such rpc.
    UnknownRpc = "UNKNOWN_RPC" => Unimplemented;
    /// The call is encoded in a way the gateway does not serve.
    UnsupportedEncoding = "UNSUPPORTED_ENCODING" => Unimplemented;
    /// The request id was used for another request.
    RequestIdReused = "REQUEST_ID_REUSED" => InvalidArgument;
    /// The first call with the same request id is still under way.
    RequestInFlight = "REQUEST_IN_FLIGHT" => Aborted;
    /// The first call with the same request id may have had its effect: read before writing again.
    OutcomeUnknown = "OUTCOME_UNKNOWN" => FailedPrecondition;
    /// The deadline passed.
    DeadlineExceeded = "DEADLINE_EXCEEDED" => DeadlineExceeded;
    /// No such resource of the gateway's own.
    NotFound = "NOT_FOUND" => NotFound;
    /// The gateway has no room for the call just now; nothing was sent.
    Overloaded = "OVERLOADED" => ResourceExhausted;
    /// The gateway's own limit for the partner's quota is reached; nothing was sent.
    RateLimited = "RATE_LIMITED" => ResourceExhausted;
    /// The partner fails so often that the gateway leaves it alone for a while; nothing was sent.
    CircuitOpen = "CIRCUIT_OPEN" => Unavailable;
    /// The caller did not say who it is, or is not known.
    UnknownCaller = "UNKNOWN_CALLER" => Unauthenticated;
    /// The gateway's store cannot be reached just now; this call was not sent to the partner.
    StoreUnavailable = "STORE_UNAVAILABLE" => Unavailable;
    /// The configuration does not allow it.
    NotAllowed = "NOT_ALLOWED" => PermissionDenied;
    /// The gateway is shutting down; another replica will answer.
    ShuttingDown = "SHUTTING_DOWN" => Unavailable;
    /// A fault of the gateway itself.
    Internal = "INTERNAL" => Internal;
    /// The gateway has no configuration for the partner.
    PartnerNotConfigured = "PARTNER_NOT_CONFIGURED" => FailedPrecondition;
    /// The gateway keeps no credential that the call could be made with.
    PartnerCredentialMissing = "PARTNER_CREDENTIAL_MISSING" => FailedPrecondition;
    /// The partner refused the credential, a fresh one too if there was one.
    PartnerCredentialsRejected = "PARTNER_CREDENTIALS_REJECTED" => Internal;
    /// The partner's token endpoint cannot give a token just now.
    PartnerTokenUnavailable = "PARTNER_TOKEN_UNAVAILABLE" => Unavailable;
    /// The partner's token endpoint refuses the gateway's client: its configuration is wrong.
    PartnerTokenRefused = "PARTNER_TOKEN_REFUSED" => Internal;
    /// The partner finds the request's content wrong.
    PartnerInvalidArgument = "PARTNER_INVALID_ARGUMENT" => InvalidArgument;
    /// The state of the resource does not allow it.
    PartnerFailedPrecondition = "PARTNER_FAILED_PRECONDITION" => FailedPrecondition;
    /// The partner does not allow it for the credential that was used.
    PartnerPermissionDenied = "PARTNER_PERMISSION_DENIED" => PermissionDenied;
    /// The partner knows no such resource.
    PartnerNotFound = "PARTNER_NOT_FOUND" => NotFound;
    /// The partner has the resource already.
    PartnerAlreadyExists = "PARTNER_ALREADY_EXISTS" => AlreadyExists;
    /// Something else changed the resource at the same time.
    PartnerConflict = "PARTNER_CONFLICT" => Aborted;
    /// The partner's rate limit is used up.
    PartnerRateLimited = "PARTNER_RATE_LIMITED" => ResourceExhausted;
    /// A fault of the partner's.
    PartnerInternal = "PARTNER_INTERNAL" => Internal;
    /// The partner cannot serve just now, or cannot be reached.
    PartnerUnavailable = "PARTNER_UNAVAILABLE" => Unavailable;
    /// The partner did not answer in time.
    PartnerTimeout = "PARTNER_TIMEOUT" => DeadlineExceeded;
    /// The partner says that it does not do this.
    PartnerUnimplemented = "PARTNER_UNIMPLEMENTED" => Unimplemented;
    /// The partner did not understand how it was called: a fault of the gateway or of its configuration.
    PartnerMisdirected = "PARTNER_MISDIRECTED" => Internal;
    /// The partner's answer cannot be read.
    PartnerBadResponse = "PARTNER_BAD_RESPONSE" => Internal;
    /// The partner answered with a status that HTTP does not define.
    PartnerUnknown = "PARTNER_UNKNOWN" => Unknown;
}

impl Reason {
    /// Why `error` failed a call to `operation`.
    pub fn of(error: &Error, operation: &Operation) -> Self {
        Self::of_call(error, operation.names_a_resource())
    }

    /// Why `error` failed a call of the gateway's own services.
    pub fn of_own(error: &Error) -> Self {
        Self::of_call(error, false)
    }

    fn of_call(error: &Error, names_a_resource: bool) -> Self {
        match error.kind() {
            Kind::InvalidRequest(_) => Reason::InvalidRequest,
            Kind::Partner(failure) => {
                let by_status = || {
                    let has_fields = !failure.fields.is_empty();
                    meaning_of_status(failure.status.as_u16(), names_a_resource, has_fields)
                };
                Reason::of_meaning(failure.meaning.unwrap_or_else(by_status))
            }
            Kind::Unreachable => Reason::PartnerUnavailable,
            // Nothing was sent: it was the caller's time that ran out, not the partner's.
            Kind::Timeout if error.attempts() == 0 => Reason::DeadlineExceeded,
            Kind::Timeout => Reason::PartnerTimeout,
            Kind::BadResponse { .. } => Reason::PartnerBadResponse,
            Kind::CredentialsRejected(..) => Reason::PartnerCredentialsRejected,
            Kind::CredentialMissing { .. } => Reason::PartnerCredentialMissing,
            Kind::TokenUnavailable { permanent: true } => Reason::PartnerTokenRefused,
            Kind::TokenUnavailable { permanent: false } => Reason::PartnerTokenUnavailable,
            Kind::NotConfigured { .. } => Reason::PartnerNotConfigured,
            Kind::StoreUnavailable => Reason::StoreUnavailable,
            Kind::RequestIdReused => Reason::RequestIdReused,
            Kind::RequestInFlight => Reason::RequestInFlight,
            Kind::OutcomeUnknown => Reason::OutcomeUnknown,
            Kind::Overloaded => Reason::Overloaded,
            Kind::RateLimited { .. } => Reason::RateLimited,
            Kind::CircuitOpen { .. } => Reason::CircuitOpen,
            Kind::ShuttingDown => Reason::ShuttingDown,
            Kind::Internal => Reason::Internal,
        }
    }

    fn of_meaning(meaning: Meaning) -> Self {
        match meaning {
            Meaning::InvalidArgument => Reason::PartnerInvalidArgument,
            Meaning::FailedPrecondition => Reason::PartnerFailedPrecondition,
            Meaning::Unauthenticated => Reason::PartnerCredentialsRejected,
            Meaning::PermissionDenied => Reason::PartnerPermissionDenied,
            Meaning::NotFound => Reason::PartnerNotFound,
            Meaning::AlreadyExists => Reason::PartnerAlreadyExists,
            Meaning::Conflict => Reason::PartnerConflict,
            Meaning::RateLimited => Reason::PartnerRateLimited,
            Meaning::Internal => Reason::PartnerInternal,
            Meaning::Unavailable => Reason::PartnerUnavailable,
            Meaning::Timeout => Reason::PartnerTimeout,
            Meaning::Unimplemented => Reason::PartnerUnimplemented,
            Meaning::Misdirected => Reason::PartnerMisdirected,
            Meaning::Unknown => Reason::PartnerUnknown,
        }
    }
}

/// What an HTTP status means when no error code of the partner's says more (G1).
pub fn meaning_of_status(status: u16, names_a_resource: bool, has_fields: bool) -> Meaning {
    match status {
        400 | 413 => Meaning::InvalidArgument,
        422 if has_fields => Meaning::InvalidArgument,
        401 => Meaning::Unauthenticated,
        403 => Meaning::PermissionDenied,
        404 | 410 if names_a_resource => Meaning::NotFound,
        404 | 405 | 410 | 415 => Meaning::Misdirected,
        408 | 504 => Meaning::Timeout,
        409 => Meaning::Conflict,
        429 => Meaning::RateLimited,
        500 => Meaning::Internal,
        501 => Meaning::Unimplemented,
        // A redirect is never followed, and told as an answer that cannot be read.
        300..=399 => Meaning::Misdirected,
        status if (400..500).contains(&status) => Meaning::FailedPrecondition,
        status if (500..600).contains(&status) => Meaning::Unavailable,
        _ => Meaning::Unknown,
    }
}
