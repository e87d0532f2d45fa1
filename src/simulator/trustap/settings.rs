//! What the Trustap double accepts, and the assumptions that it makes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The API key, sent as the user of Basic authentication with an empty password.
pub const API_KEY: &str = "simulator-trustap-api-key";
/// The client that the key and the users' tokens belong to.
pub const CLIENT_ID: &str = "simulator-trustap-client";
/// That client's secret at the token endpoint.
pub const CLIENT_SECRET: &str = "simulator-trustap-client-secret";
/// A full user who exists from the start and has granted the client everything.
pub const SELLER_ID: &str = "5e11e200-0000-4000-8000-000000000001";
/// Another such user.
pub const BUYER_ID: &str = "b07e2000-0000-4000-8000-000000000002";
/// A full user who never connected to the client, so that the key cannot act for them.
pub const UNCONNECTED_ID: &str = "0ddba110-0000-4000-8000-000000000003";

/// What the Trustap double accepts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The only API key.
    pub api_key: String,
    /// The client that the key belongs to.
    pub client_id: String,
    /// Its secret at the token endpoint.
    pub client_secret: String,
    /// How long an access token is valid, sent as `expires_in`.
    pub access_token_lifetime: Duration,
    /// How long a refresh token is valid, sent as `refresh_expires_in`.
    pub refresh_token_lifetime: Duration,
    /// The assumptions at the start and after a reset.
    pub switches: Switches,
}

/// Everything that the published descriptions do not say, say differently from edition to
/// edition or leave to a client's own terms, and a double must nevertheless decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Which credentials an operation takes. The editions differ; the newest's.
    pub credentials: Credentials,
    /// Whether creating a transaction with guests needs `Trustap-User`. One integrator leaves it
    /// out and succeeds; off.
    pub require_user_on_guest_creation: bool,
    /// Whether a guest must have a first and a last name. Editions up to 2025 say so, later ones
    /// do not; off.
    pub require_guest_names: bool,
    /// The name of the text in an error body. The descriptions have `error`, the newer services
    /// of this partner `message`.
    pub error_text: ErrorText,
    /// What the body of a 401, 403 or 404 without a code of its own is. No edition shows one; JSON.
    pub bare_errors: BareErrors,
    /// Whether request bodies may have fields that no edition names. Off, so that a misspelt
    /// field is found.
    pub accept_unknown_fields: bool,
    /// Whether enumerated values that no edition lists are accepted. Off.
    pub open_enums: bool,
    /// Whether replies have fields that no edition names. Real ones do; on.
    pub undocumented_fields: bool,
    /// Whether optional values that are not set are sent as null. Seen once on a real reply; off.
    pub undocumented_nulls: bool,
    /// Hundredths of a percent of an online price that the buyer pays. Terms differ by client.
    pub charge_basis_points: i64,
    /// What is added to that share, in minor units.
    pub charge_fixed: i64,
    /// The least charge, in minor units.
    pub charge_minimum: i64,
    /// Hundredths of a percent of an online price that the seller pays.
    pub charge_seller_basis_points: i64,
    /// The least price, in minor units.
    pub minimum_price: i64,
    /// Money in minor units that every buyer has to pay with, in every currency.
    pub balance: i64,
    /// From payment, or from its acceptance where that is required, to the end of the time for
    /// tracking details. Four days were seen on stage.
    pub tracking_window_seconds: i64,
    /// From delivery or handover to the end of the time for a complaint. 24 hours in production.
    pub complaint_window_seconds: i64,
    /// From the end of that time to the release of the money. Unknown; a minute.
    pub release_delay_seconds: i64,
    /// From a cancellation or a conceded complaint to the refund. Usually within an hour.
    pub refund_delay_seconds: i64,
    /// The same share for face to face prices.
    pub f2f_charge_basis_points: i64,
    /// The same addition for face to face prices.
    pub f2f_charge_fixed: i64,
    /// When the remainder of a face to face transaction that skips it counts as skipped. A moment
    /// after the deposit was accepted, so that an immediate handover is refused; a second.
    pub remainder_skipped: SkipAfter,
    /// Whether a face to face transaction can be cancelled before anybody joined. A life cycle
    /// says so, and a code of the operation denies it; off.
    pub f2f_cancel_before_join: bool,
    /// Whether a refresh token is refused once it has been used. Off in some realms; on.
    pub rotate_refresh_tokens: bool,
}

/// The credentials that an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// Those of the newest edition that has the operation.
    Newest,
    /// Those of the earliest edition that has it.
    Earliest,
    /// Those of any edition.
    AnyEdition,
    /// Either kind everywhere.
    Either,
}

/// The name of an error's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorText {
    /// `{"code", "error"}`.
    Error,
    /// `{"code", "message"}`.
    Message,
}

/// The body of an error that has no code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BareErrors {
    /// The usual object, with a code made of the status.
    Json,
    /// No body at all.
    Empty,
    /// Plain text.
    Text,
}

/// When the remainder is skipped, counted from the acceptance of the deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipAfter {
    /// So many seconds later.
    Seconds(i64),
    /// In time for this request for the transaction, counted from one.
    Requests(u32),
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_key: API_KEY.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            access_token_lifetime: Duration::from_secs(180),
            refresh_token_lifetime: Duration::from_secs(1800),
            switches: Switches::default(),
        }
    }
}

// === impl Switches ===

impl Switches {
    /// Refuses amounts and times that would run backwards.
    pub(crate) fn check(&self) -> Result<(), String> {
        let numbers = [
            ("charge_basis_points", self.charge_basis_points),
            ("charge_fixed", self.charge_fixed),
            ("charge_minimum", self.charge_minimum),
            ("charge_seller_basis_points", self.charge_seller_basis_points),
            ("minimum_price", self.minimum_price),
            ("balance", self.balance),
            ("tracking_window_seconds", self.tracking_window_seconds),
            ("complaint_window_seconds", self.complaint_window_seconds),
            ("release_delay_seconds", self.release_delay_seconds),
            ("refund_delay_seconds", self.refund_delay_seconds),
            ("f2f_charge_basis_points", self.f2f_charge_basis_points),
            ("f2f_charge_fixed", self.f2f_charge_fixed),
        ];
        let skipped = match self.remainder_skipped {
            SkipAfter::Seconds(seconds) => Some(("remainder_skipped", seconds)),
            SkipAfter::Requests(_) => None,
        };
        let bad = numbers.into_iter().chain(skipped).find(|(_, number)| *number < 0);
        bad.map_or(Ok(()), |(name, number)| Err(format!("{name} is {number}, less than 0")))
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            credentials: Credentials::Newest,
            require_user_on_guest_creation: false,
            require_guest_names: false,
            error_text: ErrorText::Error,
            bare_errors: BareErrors::Json,
            accept_unknown_fields: false,
            open_enums: false,
            undocumented_fields: true,
            undocumented_nulls: false,
            charge_basis_points: 300,
            charge_fixed: 40,
            charge_minimum: 0,
            charge_seller_basis_points: 0,
            minimum_price: 100,
            balance: 1_000_000,
            tracking_window_seconds: 4 * 24 * 60 * 60,
            complaint_window_seconds: 24 * 60 * 60,
            release_delay_seconds: 60,
            refund_delay_seconds: 60 * 60,
            f2f_charge_basis_points: 520,
            f2f_charge_fixed: 40,
            remainder_skipped: SkipAfter::Seconds(1),
            f2f_cancel_before_join: false,
            rotate_refresh_tokens: true,
        }
    }
}
