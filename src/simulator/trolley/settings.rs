//! What the Trolley double accepts, and the assumptions that it makes.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// The parent merchant's id.
pub const PARENT_ID: &str = "M-SimuLatedParentMercha1";
/// The parent merchant's access key.
pub const PARENT_ACCESS_KEY: &str = "SIMULATORPARENTACCESSKEY";
/// The parent merchant's secret key.
pub const PARENT_SECRET_KEY: &str = "simulatorparentsecretkey0000000000000000";
/// A sub-merchant that exists from the start.
pub const SUBMERCHANT_ID: &str = "M-SimuLatedSubMerchant1";
/// That sub-merchant's access key.
pub const SUBMERCHANT_ACCESS_KEY: &str = "SIMULATORSUBACCESSKEY000";
/// That sub-merchant's secret key.
pub const SUBMERCHANT_SECRET_KEY: &str = "simulatorsubsecretkey0000000000000000000";
/// The secret that signs webhooks, which a partner shows in its dashboard.
pub const WEBHOOK_SECRET: &str = "simulator-webhook-secret";

/// What the Trolley double accepts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The parent merchant's access key.
    pub access_key: String,
    /// Its secret key.
    pub secret_key: String,
    /// The id of the sub-merchant that exists from the start.
    pub submerchant_id: String,
    /// Its access key.
    pub submerchant_access_key: String,
    /// Its secret key.
    pub submerchant_secret_key: String,
    /// How far a signature's time may be from the clock, either way.
    pub clock_window: Duration,
    /// Requests in a window of 60 s.
    pub rate_limit: u32,
    /// The secret that signs webhooks, unless an order gives another.
    pub webhook_secret: String,
    /// The assumptions at the start and after a reset.
    pub switches: Switches,
}

/// Everything that the Trolley Partner API document does not say, or says in two ways, and a
/// double must nevertheless decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Whether funding information, bank account and widget colours need a sub-merchant's own
    /// key. The text implies it and does not say it; off, so that both keys are accepted.
    pub require_submerchant_key: bool,
    /// Whether enumerated values that the document does not list are accepted. Off.
    pub open_enums: bool,
    /// Whether request bodies may have fields that no document names. Off, so that a misspelt
    /// field is found.
    pub accept_unknown_fields: bool,
    /// Whether a bank account needs all nine fields. The table says so, but no country has all of
    /// those codes; off.
    pub require_all_bank_fields: bool,
    /// Whether widget colours are given all or not at all. Off.
    pub require_all_colors: bool,
    /// Whether the onboarding fields of a new sub-merchant must be complete. The document says
    /// that without them onboarding merely stays incomplete; off.
    pub require_all_onboarding_fields: bool,
    /// Whether an updated subscription is answered under `subscription`, as everywhere else. The
    /// document shows the answer flat; off.
    pub nested_subscription_update: bool,
    /// Whether lists and funding information carry `ok`, which the document does not show. Off.
    pub ok_in_lists: bool,
    /// What deleting an unknown sandbox answers. The document has 403 for an invalid parameter and
    /// also lists `not_found`; 403.
    pub unknown_sandbox: UnknownSandbox,
    /// Whether a path must be spelt as documented to the last slash. Both spellings are known to
    /// work elsewhere in this API; off.
    pub exact_paths: bool,
    /// The status for an `Authorization` that cannot be read. 403 is reported once; 401.
    pub malformed_authorization_status: u16,
    /// Who shares a rate limit window. Undocumented; each merchant has its own.
    pub rate_limit_scope: RateLimitScope,
    /// Whether a 429 carries `Retry-After` besides the reset time. Never seen; off.
    pub retry_after_header: bool,
    /// Whether replies carry `x-request-id`. Undocumented; on.
    pub request_id_header: bool,
    /// Whether replies have fields that no document names. Real ones do; on.
    pub undocumented_fields: bool,
    /// Whether a new subscription's target is sent an empty object first, as some receivers
    /// report. Off, so that a test need not listen.
    pub probe_new_subscriptions: bool,
}

/// The answer to the deletion of a sandbox that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownSandbox {
    /// 403 with `invalid_field`.
    Forbidden,
    /// 404 with `not_found`.
    NotFound,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateLimitScope {
    /// Those signed with one merchant's key; those of nobody are counted together.
    Merchant,
    /// All of them.
    Everyone,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_key: PARENT_ACCESS_KEY.to_owned(),
            secret_key: PARENT_SECRET_KEY.to_owned(),
            submerchant_id: SUBMERCHANT_ID.to_owned(),
            submerchant_access_key: SUBMERCHANT_ACCESS_KEY.to_owned(),
            submerchant_secret_key: SUBMERCHANT_SECRET_KEY.to_owned(),
            clock_window: Duration::from_secs(30),
            rate_limit: 600,
            webhook_secret: WEBHOOK_SECRET.to_owned(),
            switches: Switches::default(),
        }
    }
}

// === impl Switches ===

impl Switches {
    /// Refuses a status that is no refusal.
    pub(crate) fn check(&self) -> Result<(), String> {
        let status = self.malformed_authorization_status;
        let fits = StatusCode::from_u16(status).is_ok_and(|status| status.is_client_error());
        if fits { Ok(()) } else { Err(format!("status {status} is not a client error")) }
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            require_submerchant_key: false,
            open_enums: false,
            accept_unknown_fields: false,
            require_all_bank_fields: false,
            require_all_colors: false,
            require_all_onboarding_fields: false,
            nested_subscription_update: false,
            ok_in_lists: false,
            unknown_sandbox: UnknownSandbox::Forbidden,
            exact_paths: false,
            malformed_authorization_status: 401,
            rate_limit_scope: RateLimitScope::Merchant,
            retry_after_header: false,
            request_id_header: true,
            undocumented_fields: true,
            probe_new_subscriptions: false,
        }
    }
}
