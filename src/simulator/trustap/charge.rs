//! What the partner charges. A quote names the version of the calculator that made it, and a
//! transaction must repeat both: a stale version is told apart from a wrong amount, so that a
//! client knows to ask again.

use super::super::json::Object;
use super::call::{Call, Input, Outcome, Route};
use super::refusal::Refusal;
use super::settings::Switches;

pub(crate) const ROUTES: &[Route] = &[
    Route("GET", "/charge", online),
    Route("GET", "/transactions/{transaction_id}/charge", online_in_transaction),
    Route("GET", "/p2p/charge", f2f),
];

/// Those of the description, and those that release notes and integrators add.
const CURRENCIES: [&str; 14] = [
    "aed", "aud", "chf", "eur", "gbp", "hkd", "huf", "inr", "myr", "pkr", "pln", "sek", "try",
    "usd",
];
const METHODS: [&str; 4] = ["card", "bank_transfer", "p24", "fpx"];
const USUAL_METHOD: &str = "card";

/// The current versions of the calculators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) online: i64,
    pub(crate) f2f: i64,
}

/// Whose prices are charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Online,
    F2f,
}

/// What a price would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) price: i64,
    pub(crate) currency: String,
    /// What the buyer pays to the partner.
    pub(crate) charge: i64,
    /// What the seller pays to the partner.
    pub(crate) charge_seller: i64,
    pub(crate) payment_method: String,
    pub(crate) postage: Option<i64>,
    pub(crate) version: i64,
}

impl Default for Versions {
    fn default() -> Self {
        Self { online: 5, f2f: 3 }
    }
}

// === impl Kind ===

impl Kind {
    fn version(self, versions: Versions) -> i64 {
        match self {
            Self::Online => versions.online,
            Self::F2f => versions.f2f,
        }
    }

    fn charges(self, switches: &Switches, price: i64) -> (i64, i64) {
        let buyer = match self {
            Self::Online => {
                share(price, switches.charge_basis_points).saturating_add(switches.charge_fixed)
            }
            Self::F2f => share(price, switches.f2f_charge_basis_points)
                .saturating_add(switches.f2f_charge_fixed),
        };
        let seller = match self {
            Self::Online => share(price, switches.charge_seller_basis_points),
            Self::F2f => 0,
        };
        (buyer.max(switches.charge_minimum), seller)
    }
}

// Hundredths of a percent, rounded up: 1234 at 3 % is 38, as in the description's example.
fn share(price: i64, basis_points: i64) -> i64 {
    let exact = i128::from(price).saturating_mul(i128::from(basis_points));
    i64::try_from(exact.saturating_add(9_999).div_euclid(10_000)).unwrap_or(i64::MAX)
}

// === impl Quote ===

impl Quote {
    /// Quotes `price`, which must be one that can be charged.
    pub(crate) fn new(
        call: &Call<'_>,
        kind: Kind,
        price: i64,
        currency: &str,
    ) -> Result<Self, Refusal> {
        let switches = &call.state.switches;
        let currency = currency.to_ascii_lowercase();
        if !CURRENCIES.contains(&currency.as_str()) {
            return Err(Refusal::invalid("unsupported_currency"));
        }
        if price < 0 {
            return Err(Refusal::invalid("negative_price"));
        }
        if price < switches.minimum_price {
            return Err(Refusal::invalid("price_too_low"));
        }
        if call.input.integer("charge_config").is_some_and(|config| config != 1) {
            return Err(Refusal::invalid("invalid_charge_config"));
        }
        let postage = call.input.integer("postage_fee");
        if postage.is_some_and(|fee| fee < 0) {
            return Err(Refusal::invalid("invalid_postage_fee"));
        }
        let (charge, charge_seller) = kind.charges(switches, price);
        Ok(Self {
            price,
            currency,
            charge,
            charge_seller,
            payment_method: payment_method(&call.input)?,
            postage,
            version: kind.version(call.state.versions),
        })
    }

    /// Holds a new transaction to this quote.
    pub(crate) fn verify(
        &self,
        charge: i64,
        charge_seller: Option<i64>,
        version: i64,
    ) -> Result<(), Refusal> {
        if !(1..=self.version).contains(&version) {
            return Err(Refusal::invalid("invalid_calc_version"));
        }
        if version != self.version {
            return Err(Refusal::invalid("incorrect_calc_version"));
        }
        self.verify_amounts(charge, charge_seller)
    }

    /// Holds amounts to this quote where no version comes with them.
    pub(crate) fn verify_amounts(
        &self,
        charge: i64,
        charge_seller: Option<i64>,
    ) -> Result<(), Refusal> {
        if charge != self.charge {
            return Err(Refusal::invalid("incorrect_charge"));
        }
        if charge_seller.unwrap_or(self.charge_seller) != self.charge_seller {
            return Err(Refusal::invalid("incorrect_charge_seller"));
        }
        Ok(())
    }

    /// As the API shows it.
    pub(crate) fn shown(&self) -> Object {
        let object = Object::new()
            .with("charge", self.charge)
            .with("charge_calculator_version", self.version)
            .with("charge_seller", self.charge_seller)
            .with("currency", &self.currency)
            .with("payment_method", &self.payment_method)
            .with("price", self.price);
        match self.postage {
            Some(fee) => object.with("charge_postage_buyer", fee).with("charge_postage_client", 0),
            None => object,
        }
    }
}

/// The payment method that was asked for, a card unless another is named.
pub(crate) fn payment_method(input: &Input) -> Result<String, Refusal> {
    let method = named_method(input, "payment_method")?;
    Ok(method.unwrap_or_else(|| USUAL_METHOD.to_owned()))
}

/// The payment method that a member names, if it is there.
pub(crate) fn named_method(input: &Input, name: &str) -> Result<Option<String>, Refusal> {
    match input.text(name) {
        Some(method) if !METHODS.contains(&method) => {
            Err(Refusal::invalid("invalid_payment_method"))
        }
        method => Ok(method.map(str::to_owned)),
    }
}

fn online(call: &mut Call<'_>) -> Outcome {
    let currency = call.input.query("currency").unwrap_or_default();
    let quote = Quote::new(call, Kind::Online, asked_price(&call.input), currency)?;
    call.found(quote.shown())
}

/// The currency is the transaction's.
fn online_in_transaction(call: &mut Call<'_>) -> Outcome {
    let id = call.input.id()?;
    let transaction = call.state.online.find(id).ok_or_else(Refusal::absent)?;
    if call.caller.user().is_some_and(|user| !transaction.concerns(user)) {
        return Err(Refusal::denied());
    }
    let currency = transaction.currency.clone();
    let quote = Quote::new(call, Kind::Online, asked_price(&call.input), &currency)?;
    call.found(quote.shown())
}

fn f2f(call: &mut Call<'_>) -> Outcome {
    let currency = call.input.query("currency").unwrap_or_default();
    let quote = Quote::new(call, Kind::F2f, asked_price(&call.input), currency)?;
    call.found(quote.shown())
}

// A price that would overflow with its quantity is as good as the highest one.
fn asked_price(input: &Input) -> i64 {
    let quantity = input.integer("quantity").unwrap_or(1);
    input.integer("price").unwrap_or_default().saturating_mul(quantity)
}
