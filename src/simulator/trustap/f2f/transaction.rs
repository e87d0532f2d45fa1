//! One face to face transaction, and how the API shows it.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::super::json::Object;
use super::super::settings::Switches;
use super::super::state::{later, time};
use super::super::user;
use super::history::{Event, History};

/// Whether a party sells or buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Buyer,
    Seller,
}

/// A price and what the parties pay to the partner for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pricing {
    pub(crate) price: i64,
    pub(crate) charge: i64,
    pub(crate) charge_seller: i64,
    /// Shown for deposits, where it was seen for real.
    pub(crate) fee_multiplier: Option<f64>,
}

/// When the remainder of a transaction that skips it counts as skipped: a moment after the deposit
/// was accepted, so that whoever hurries finds that it is still owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    At(Timestamp),
    /// With that many more requests.
    After(u32),
}

/// What somebody complained of.
#[derive(Clone, Debug)]
pub(crate) struct Complaint {
    pub(crate) description: String,
    pub(crate) category: Option<String>,
}

/// The secrets in the e-mails with which guests hand their part to a full user.
#[derive(Clone, Debug)]
pub(crate) struct ClaimSecrets {
    pub(crate) buyer: String,
    pub(crate) seller: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) id: i64,
    pub(crate) client_id: String,
    pub(crate) creator: String,
    pub(crate) buyer: Option<String>,
    pub(crate) seller: Option<String>,
    pub(crate) join_code: String,
    pub(crate) description: String,
    pub(crate) currency: String,
    pub(crate) image_url: Option<String>,
    pub(crate) contains_shipping: Option<bool>,
    pub(crate) skip_remainder: bool,
    pub(crate) skip: Option<Skip>,
    pub(crate) deposit: Pricing,
    pub(crate) deposit_payment_method: Option<String>,
    pub(crate) pricing: Option<Pricing>,
    pub(crate) cancellation: Option<String>,
    pub(crate) complaint: Option<Complaint>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) secrets: ClaimSecrets,
    pub(crate) history: History,
}

// === impl Role ===

impl Role {
    /// Reads the word; the facts allow no third.
    pub(crate) fn read(word: &str) -> Self {
        if word == "seller" { Self::Seller } else { Self::Buyer }
    }
}

// === impl Pricing ===

impl Pricing {
    fn shown(&self) -> Object {
        let object = Object::new()
            .with("charge", self.charge)
            .with("charge_seller", self.charge_seller)
            .with("price", self.price);
        match self.fee_multiplier {
            Some(multiplier) => {
                let multiplier = Object::new().with("fee_multiplier", multiplier);
                object.with("deposit_fee_multiplier", multiplier)
            }
            None => object,
        }
    }
}

// === impl Transaction ===

impl Transaction {
    pub(crate) fn has(&self, event: Event) -> bool {
        self.history.has(event)
    }

    /// Whether a user is a party, or made it.
    pub(crate) fn concerns(&self, user: &str) -> bool {
        self.creator == user || self.role_of(user).is_some()
    }

    pub(crate) fn role_of(&self, user: &str) -> Option<Role> {
        if self.buyer.as_deref() == Some(user) {
            Some(Role::Buyer)
        } else if self.seller.as_deref() == Some(user) {
            Some(Role::Seller)
        } else {
            None
        }
    }

    pub(crate) fn party(&self, role: Role) -> Option<&str> {
        match role {
            Role::Buyer => self.buyer.as_deref(),
            Role::Seller => self.seller.as_deref(),
        }
    }

    /// Sets a party that was open, or a guest's place that is claimed.
    pub(crate) fn seat(&mut self, role: Role, user: String) {
        match role {
            Role::Buyer => self.buyer = Some(user),
            Role::Seller => self.seller = Some(user),
        }
    }

    /// The part that nobody has taken yet.
    pub(crate) fn open_role(&self) -> Option<Role> {
        match (&self.buyer, &self.seller) {
            (None, _) => Some(Role::Buyer),
            (_, None) => Some(Role::Seller),
            _ => None,
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.history.has_any(&[Event::Cancelled, Event::CancelledWithDeposit, Event::Rejected])
    }

    /// Whether nothing more is owed before the handover.
    pub(crate) fn remainder_is_settled(&self) -> bool {
        self.history.has_any(&[Event::RemainderPaid, Event::RemainderSkipped])
    }

    /// Whether it is sent instead of handed over.
    pub(crate) fn is_shipped(&self) -> bool {
        self.contains_shipping.unwrap_or_default()
    }

    /// When the time for complaints began: with the seller's confirmation of the handover, or
    /// with the delivery of what is shipped.
    pub(crate) fn complaints_since(&self) -> Option<Timestamp> {
        let handed_over = self.history.when(Event::SellerHandoverConfirmed);
        handed_over.or_else(|| self.history.when(Event::Delivered))
    }

    /// The end of that time.
    pub(crate) fn complaint_deadline(&self, switches: &Switches) -> Option<Timestamp> {
        let begun = self.complaints_since()?;
        Some(later(begun, switches.complaint_window_seconds))
    }

    /// As the API shows it to either party.
    pub(crate) fn shown(&self, switches: &Switches) -> Object {
        let whole = |object: Object| object.with_undocumented(switches.undocumented_fields);
        let mut object = Object::new()
            .with("id", self.id)
            .with("status", self.history.status())
            .with("client_id", &self.client_id)
            .with("currency", &self.currency)
            .with("description", &self.description)
            .with("quantity", 1)
            .with("deposit_pricing", whole(self.deposit.shown()))
            .with("is_deposit_payment_in_progress", false)
            .with("is_remainder_payment_in_progress", false)
            .with("skip_remainder", self.skip_remainder)
            .with("join_code", &self.join_code)
            .with("metadata", &self.metadata)
            .with_all(self.parties());
        if let Some(pricing) = &self.pricing {
            object = object.with("pricing", whole(pricing.shown()));
        }
        if let Some(deadline) = self.complaint_deadline(switches) {
            object = object.with("complaint_period_deadline", time(deadline));
        }
        object = optional(object, "image_url", self.image_url.as_ref());
        object = optional(object, "contains_shipping", self.contains_shipping);
        let cancellation = self.cancellation.as_ref();
        let cancellation = cancellation.map(|reason| whole(Object::new().with("reason", reason)));
        object = optional(object, "cancellation", cancellation);
        object = optional(object, "complaint", self.shown_complaint().map(whole));
        // A real reply had this null, which no edition knows.
        if switches.undocumented_fields {
            object = object.with("deposit_payment_capture", None::<bool>);
        }
        whole(object.with_all(self.times()))
    }

    fn parties(&self) -> Object {
        let named = |object: Object, id: Option<&String>, name: &str| match id {
            Some(id) => object
                .with(&format!("{name}_id"), id)
                .with(&format!("{name}_is_guest"), user::is_guest(id)),
            None => object,
        };
        let object = named(Object::new(), self.buyer.as_ref(), "buyer");
        named(object, self.seller.as_ref(), "seller")
    }

    fn shown_complaint(&self) -> Option<Object> {
        let complaint = self.complaint.as_ref()?;
        let object = Object::new().with("description", &complaint.description);
        let object = optional(object, "category", complaint.category.as_ref());
        Some(optional(object, "accepted", self.history.when(Event::ComplaintAccepted).map(time)))
    }

    /// When everything happened, and what became of the money.
    fn times(&self) -> Object {
        let told = self.history.events().filter(|(event, _)| *event != Event::ComplaintAccepted);
        let object =
            told.fold(Object::new(), |object, (event, at)| object.with(event.field(), time(at)));
        let object = match self.history.when(Event::FundsReleased) {
            // The misspelt member of the early editions beside the one that took its place.
            Some(at) => object
                .with("released_to_seller", true)
                .with("relased_to_seller", time(at))
                .with("amount_released", self.total()),
            None => object,
        };
        match self.history.when(Event::DepositRefunded) {
            Some(at) => object.with("refunded", time(at)).with("amount_refunded", self.total()),
            None => object,
        }
    }

    /// What the buyer has paid apart from charges: these stay with the partner.
    fn total(&self) -> i64 {
        match &self.pricing {
            Some(pricing) if self.has(Event::RemainderPaid) => pricing.price,
            _ => self.deposit.price,
        }
    }
}

fn optional(object: Object, name: &str, value: Option<impl serde::Serialize>) -> Object {
    match value {
        Some(value) => object.with(name, value),
        None => object,
    }
}
