//! One listing, and how its group shows it.

use jiff::Timestamp;

use super::super::super::json::Object;
use super::super::charge::Kind;
use super::super::facts::Operation;
use super::super::state::time;

/// Which listings: those of one group are unknown to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    is_face_to_face: bool,
    is_multi_use: bool,
}

/// What is offered, to buyers or, by a buyer, to sellers.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) group: Group,
    pub(crate) id: i64,
    pub(crate) creator: String,
    pub(crate) role: String,
    pub(crate) created: Timestamp,
    pub(crate) disabled: Option<Timestamp>,
    pub(crate) description: String,
    pub(crate) currency: String,
    /// Of the deposit, face to face.
    pub(crate) price: i64,
    pub(crate) charge: i64,
    pub(crate) charge_seller: i64,
    pub(crate) skip_remainder: bool,
}

// === impl Group ===

impl Group {
    /// The group whose operation it is.
    pub(crate) fn of(operation: &Operation) -> Self {
        Self {
            is_face_to_face: operation.path.starts_with("/p2p/"),
            is_multi_use: operation.path.contains("/multi_use_listings/"),
        }
    }

    pub(crate) fn kind(self) -> Kind {
        if self.is_face_to_face { Kind::F2f } else { Kind::Online }
    }
}

// === impl Offer ===

impl Offer {
    /// The id as a path has it: text online, a number face to face.
    pub(crate) fn spelt_id(&self) -> String {
        match self.group.kind() {
            Kind::Online => format!("ls-{:08x}", self.id),
            Kind::F2f => self.id.to_string(),
        }
    }

    pub(crate) fn shown(&self, undocumented: bool) -> Object {
        let pricing = Object::new()
            .with("charge", self.charge)
            .with("charge_seller", self.charge_seller)
            .with("price", self.price)
            .with_undocumented(undocumented);
        let object = Object::new()
            .with("created", time(self.created))
            .with("creator_id", &self.creator)
            .with("creator_role", &self.role)
            .with("currency", &self.currency)
            .with("description", &self.description);
        let object = match self.group.kind() {
            Kind::Online => object.with("id", self.spelt_id()).with("pricing", pricing),
            Kind::F2f => object
                .with("id", self.id)
                .with("deposit_pricing", pricing)
                .with("allows_multi_use", self.group.is_multi_use)
                .with("skip_remainder", self.skip_remainder),
        };
        match self.disabled {
            Some(disabled) => object.with("disabled", time(disabled)),
            None => object,
        }
    }
}
