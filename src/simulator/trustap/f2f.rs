//! Face to face transactions: a deposit is paid ahead, the rest at the handover or not at all, and
//! the seller has the money once the time for complaints is over. A transaction is its history;
//! everything that it shows follows from what has happened to it.

use super::call::Route;

mod charge;
mod claim;
mod client;
mod complaint;
mod control;
mod create;
mod deposit;
mod handover;
mod history;
mod join;
mod metadata;
mod read;
mod remainder;
mod settle;
mod store;
mod transaction;

pub(crate) use self::control::control;
pub(crate) use self::store::{Store, pass_time};

/// The routes of all its parts.
pub(crate) fn routes() -> impl Iterator<Item = &'static Route> {
    let parts = [
        charge::ROUTES,
        claim::ROUTES,
        client::ROUTES,
        complaint::ROUTES,
        create::ROUTES,
        deposit::ROUTES,
        handover::ROUTES,
        join::ROUTES,
        metadata::ROUTES,
        read::ROUTES,
        remainder::ROUTES,
    ];
    parts.into_iter().flatten()
}
