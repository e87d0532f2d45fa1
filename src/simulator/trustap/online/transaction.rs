//! An online transaction and how the API shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::super::json::Object;
use super::super::refusal::Refusal;
use super::super::settings::Switches;
use super::super::state::time;

/// Goods that are sent by registered mail, and the money for them.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) id: i64,
    pub(crate) client_id: String,
    /// The role of whoever made it.
    pub(crate) creator: Role,
    pub(crate) buyer: Option<String>,
    pub(crate) seller: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) status: Status,
    /// When what happened.
    pub(crate) moments: BTreeMap<Moment, Timestamp>,
    pub(crate) description: String,
    pub(crate) image_url: Option<String>,
    pub(crate) pricing: Pricing,
    pub(crate) currency: String,
    pub(crate) payment: Payment,
    pub(crate) features: Vec<String>,
    pub(crate) join_code: String,
    /// E-mailed to a guest, who claims the transaction with it as a full user.
    pub(crate) claim_secret: String,
    pub(crate) complaint: Option<String>,
    /// When the seller conceded the complaint.
    pub(crate) conceded: Option<Timestamp>,
    pub(crate) order_issue: Option<String>,
    pub(crate) tracking: Option<Tracking>,
    pub(crate) shipping: Option<Map<String, Value>>,
}

/// Amounts in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pricing {
    pub(crate) price: i64,
    pub(crate) charge: i64,
    pub(crate) charge_seller: i64,
    pub(crate) postage: Option<i64>,
}

/// How the buyer pays.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) method: String,
    /// Whether the buyer has settled on the method.
    pub(crate) is_method_set: bool,
    /// Whether a slow payment is under way.
    pub(crate) is_in_progress: bool,
    pub(crate) with_balance: bool,
}

/// The parcel, as its carrier knows it.
#[derive(Clone, Debug)]
pub(crate) struct Tracking {
    pub(crate) carrier: String,
    pub(crate) code: String,
}

/// What somebody is in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Buyer,
    Seller,
}

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    Joined,
    Rejected,
    Cancelled,
    Paid,
    PaymentAccepted,
    CancelledWithPayment,
    PaymentRefunded,
    Tracked,
    Delivered,
    Complained,
    ComplaintPeriodEnded,
    FundsReleased,
}

/// Events and deadlines that are shown with their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    Cancelled,
    ClaimedByBuyer,
    Complained,
    ComplaintPeriodDeadline,
    ComplaintPeriodEnded,
    Delivered,
    FundsReleased,
    Joined,
    OrderIssueRaised,
    Paid,
    PaymentAccepted,
    PaymentRefunded,
    Tracked,
    TrackingDetailsDeadline,
    TrackingDetailsWindowStarted,
}

// === impl Transaction ===

impl Transaction {
    pub(crate) fn party(&self, role: Role) -> Option<&str> {
        match role {
            Role::Buyer => self.buyer.as_deref(),
            Role::Seller => self.seller.as_deref(),
        }
    }

    pub(crate) fn party_mut(&mut self, role: Role) -> &mut Option<String> {
        match role {
            Role::Buyer => &mut self.buyer,
            Role::Seller => &mut self.seller,
        }
    }

    pub(crate) fn parties(&self) -> Vec<String> {
        self.buyer.iter().chain(&self.seller).cloned().collect()
    }

    /// Whether a user is one of the parties.
    pub(crate) fn concerns(&self, user: &str) -> bool {
        [Role::Buyer, Role::Seller].into_iter().any(|role| self.party(role) == Some(user))
    }

    /// Only a party may see or do anything.
    pub(crate) fn require_party(&self, user: &str) -> Result<(), Refusal> {
        if self.concerns(user) { Ok(()) } else { Err(Refusal::denied()) }
    }

    /// Only one of the parties may do this.
    pub(crate) fn require(&self, role: Role, user: &str) -> Result<(), Refusal> {
        if self.party(role) == Some(user) {
            return Ok(());
        }
        Err(Refusal::forbidden(match role {
            Role::Buyer => "not_buyer",
            Role::Seller => "not_seller",
        }))
    }

    pub(crate) fn at(&self, moment: Moment) -> Option<Timestamp> {
        self.moments.get(&moment).copied()
    }

    pub(crate) fn has(&self, moment: Moment) -> bool {
        self.moments.contains_key(&moment)
    }

    pub(crate) fn note(&mut self, moment: Moment, time: Timestamp) {
        self.moments.insert(moment, time);
    }

    pub(crate) fn needs_acceptance(&self) -> bool {
        self.features.iter().any(|feature| feature == "require_seller_acceptance")
    }

    /// All that the buyer pays.
    pub(crate) fn total(&self) -> i64 {
        let Pricing { price, charge, postage, .. } = self.pricing;
        price.saturating_add(charge).saturating_add(postage.unwrap_or_default())
    }

    /// As the API shows it, without the fields that no edition names.
    pub(crate) fn shown(&self, switches: &Switches) -> Object {
        let end = |object: Object| object.with_undocumented(switches.undocumented_fields);
        let description = |text: &String| end(Object::new().with("description", text));
        let tracking = self.tracking.as_ref().map(Tracking::shown).map(end);
        let mut object = self.amounts();
        for moment in Moment::ALL {
            match self.at(moment) {
                Some(at) => object = object.with(moment.name(), time(at)),
                None if switches.undocumented_nulls => object = object.with(moment.name(), ()),
                None => {}
            }
        }
        let optional = [
            ("buyer_id", &self.buyer),
            ("seller_id", &self.seller),
            ("image_url", &self.image_url),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                object = object.with(name, value);
            }
        }
        let parts = [
            ("complaint", self.complaint.as_ref().map(description)),
            ("order_issue", self.order_issue.as_ref().map(description)),
            ("tracking", tracking),
        ];
        for (name, part) in parts {
            if let Some(part) = part {
                object = object.with(name, part);
            }
        }
        object
    }

    // What every transaction has, and what became of the money.
    fn amounts(&self) -> Object {
        let Pricing { price, charge, charge_seller, postage } = self.pricing;
        let object = Object::new()
            .with("id", self.id)
            .with("status", self.status.name())
            .with("client_id", &self.client_id)
            .with("created", time(self.created))
            .with("description", &self.description)
            .with("currency", &self.currency)
            .with("price", price)
            .with("charge", charge)
            .with("charge_seller", charge_seller)
            .with("quantity", 1)
            .with("is_payment_in_progress", self.payment.is_in_progress)
            .with("join_code", &self.join_code);
        let object = match postage {
            Some(fee) => object.with("charge_postage_buyer", fee).with("charge_postage_client", 0),
            None => object,
        };
        match self.status {
            Status::PaymentRefunded => object.with("amount_refunded", self.total()),
            Status::FundsReleased => object
                .with("amount_released", price.saturating_sub(charge_seller))
                .with("released_to_seller", true),
            _ => object,
        }
    }
}

// === impl Tracking ===

impl Tracking {
    fn shown(&self) -> Object {
        Object::new().with("carrier", &self.carrier).with("tracking_code", &self.code)
    }
}

// === impl Role ===

impl Role {
    pub(crate) fn read(word: &str) -> Result<Self, Refusal> {
        match word {
            "buyer" => Ok(Self::Buyer),
            "seller" => Ok(Self::Seller),
            _ => Err(Refusal::invalid("invalid_role")),
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Buyer => Self::Seller,
            Self::Seller => Self::Buyer,
        }
    }
}

// === impl Status ===

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Joined => "joined",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Paid => "paid",
            Self::PaymentAccepted => "payment_accepted",
            Self::CancelledWithPayment => "cancelled_with_payment",
            Self::PaymentRefunded => "payment_refunded",
            Self::Tracked => "tracked",
            Self::Delivered => "delivered",
            Self::Complained => "complained",
            Self::ComplaintPeriodEnded => "complaint_period_ended",
            Self::FundsReleased => "funds_released",
        }
    }
}

// === impl Moment ===

impl Moment {
    const ALL: [Self; 15] = [
        Self::Cancelled,
        Self::ClaimedByBuyer,
        Self::Complained,
        Self::ComplaintPeriodDeadline,
        Self::ComplaintPeriodEnded,
        Self::Delivered,
        Self::FundsReleased,
        Self::Joined,
        Self::OrderIssueRaised,
        Self::Paid,
        Self::PaymentAccepted,
        Self::PaymentRefunded,
        Self::Tracked,
        Self::TrackingDetailsDeadline,
        Self::TrackingDetailsWindowStarted,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::ClaimedByBuyer => "claimed_by_buyer",
            Self::Complained => "complained",
            Self::ComplaintPeriodDeadline => "complaint_period_deadline",
            Self::ComplaintPeriodEnded => "complaint_period_ended",
            Self::Delivered => "delivered",
            Self::FundsReleased => "funds_released",
            Self::Joined => "joined",
            Self::OrderIssueRaised => "order_issue_raised",
            Self::Paid => "paid",
            Self::PaymentAccepted => "payment_accepted",
            Self::PaymentRefunded => "payment_refunded",
            Self::Tracked => "tracked",
            Self::TrackingDetailsDeadline => "tracking_details_deadline",
            Self::TrackingDetailsWindowStarted => "tracking_details_window_started",
        }
    }
}
