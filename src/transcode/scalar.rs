//! Single values, both ways: protobuf's scalars, enums and timestamps, and their JSON.
//!
//! Numbers are carried by their digits, so that none passes through a double that the
//! contract does not call a double.

mod bits;
mod put;
mod quoted;
mod time;
mod write;

pub(super) use bits::{enum_number, is_zero};
pub(super) use put::{put, put_flag, put_integer, put_text};
pub(super) use quoted::quoted;
pub(super) use write::{approximate, text, utf8, write_double, write_json, write_string};

/// Why a request's value has no JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoForm {
    /// The bytes are not a value of the field's type.
    Malformed,
    /// An enum number that the contract does not know.
    UnknownEnum,
    /// A double that JSON has no number for.
    NotFinite,
    /// A timestamp outside of the years 1 to 9999.
    OutOfRange,
    /// Text that is no JSON number, in a field that is one on the wire.
    NotANumber,
}

/// Whether a value from JSON could be held by its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Fit {
    /// It was written.
    Written,
    /// It is no value of the field's type; nothing was written.
    Misfit,
}

/// `Fit::Written` for what could be written.
fn fit(written: Option<()>) -> Fit {
    written.map_or(Fit::Misfit, |()| Fit::Written)
}
