//! What Trustap's error codes mean.
//!
//! The table has every code that an edition of the API description lists. One that it
//! does not have is left to the HTTP status, as are the codes that any status may carry.

use http::StatusCode;

use crate::error::Meaning;

/// Names of fields in codes that are not the fields' own.
const RENAMED: [(&str, &str); 6] = [
    ("calc_version", "charge_calculator_version"),
    ("tos_acceptance_date", "tos_acceptance.unix_timestamp"),
    ("tos_acceptance_ip", "tos_acceptance.ip"),
    ("complaint_description", "description"),
    ("account_type", "type"),
    ("id", "transaction_id"),
];

/// The request's own content is wrong, whatever the state of things.
const CONTENT: &[&str] = &[
    // Something that the request has to have.
    "bank_details_missing",
    "bank_token_missing",
    "card_details_missing",
    "currency_missing",
    "description_missing",
    "email_missing",
    "first_name_missing",
    "ids_missing",
    "join_code_missing",
    "last_name_missing",
    "missing_description",
    "missing_secret",
    "missing_shipment_details",
    "parameter_missing",
    "partial_pricing",
    "tos_acceptance_ip_missing",
    "empty_body",
    "empty_carrier",
    "empty_city",
    "empty_complaint_description",
    "empty_country",
    "empty_delivery_center_code",
    "empty_delivery_type",
    "empty_description",
    "empty_email",
    "empty_full_name",
    "empty_house_number",
    "empty_join_code",
    "empty_json",
    "empty_name",
    "empty_phone",
    "empty_pick_up_center_code",
    "empty_postal_code",
    "empty_street",
    "empty_tracking_code",
    // A value that no state of things would make good.
    "account_number_invalid",
    "bank_account_unusable",
    "duplicate_user_id",
    "feature_not_found",
    "invalid_account_type",
    "invalid_after_id",
    "invalid_before_id",
    "invalid_calc_version",
    "invalid_carrier",
    "invalid_charge_config",
    "invalid_country_code",
    "invalid_delivery_type",
    "invalid_email",
    "invalid_id",
    "invalid_image_url",
    "invalid_join_user_id",
    "invalid_limit",
    "invalid_page",
    "invalid_page_size",
    "invalid_payment_method",
    "invalid_price",
    "invalid_role",
    "invalid_tos_acceptance_date",
    "invalid_user_id",
    "join_user_id",
    "json_type_not_allowed",
    "no_guest_user",
    "routing_number_invalid",
    "sort_by_incorrect_format",
    "unsupported_carrier",
    "unsupported_combination",
    "unsupported_currency",
    "unsupported_delivery_type",
    "wrong_shipment_date_format",
    // Too much or too little of it.
    "excessive_limit",
    "excessive_page_size",
    "fee_multiplier_too_low",
    "field_name_too_long",
    "image_url_too_long",
    "negative_price",
    "page_size_value_too_low",
    "page_value_too_low",
    "price_too_low",
    "remainder_too_low",
    "too_many_ids",
    "too_many_metadata_fields",
    "value_too_long",
    // Not what the partner computes from the rest of the request, or has on record.
    "currency_mismatch",
    "incorrect_charge",
    "incorrect_charge_seller",
    "incorrect_currency",
    "incorrect_price",
];

/// The request would do at another time, or of another thing.
const STATE: &[&str] = &[
    // It has happened already.
    "already_accepted",
    "already_cancelled",
    "already_claimed",
    "already_complained",
    "already_paid",
    "already_rejected",
    "buyer_handover_already_confirmed",
    "complaint_cancelled",
    "customs_declaration_already_submitted",
    "delivery_already_set",
    "deposit_already_accepted",
    "deposit_already_captured",
    "deposit_already_paid",
    "deposit_already_refunded",
    "funds_already_released",
    "handover_already_confirmed",
    "paid_with_balance",
    "payment_already_accepted",
    "payment_method_already_set",
    "price_already_set",
    "remainder_already_paid",
    "remainder_already_skipped",
    "second_party_already_joined",
    "seller_handover_already_confirmed",
    "tracking_already_added",
    "user_already_joined",
    "values_not_changed",
    // Something has to happen first.
    "customs_declaration_required",
    "deposit_not_paid",
    "deposit_payment_in_review",
    "drop_off_details_missing",
    "handover_not_confirmed",
    "insufficient_funds",
    "missing_pricing",
    "missing_shippo_shipping_rate_id",
    "no_client_secret",
    "not_accepted",
    "not_complained",
    "not_paid",
    "payment_details_not_added",
    "pick_up_details_missing",
    "remainder_payment_in_review",
    "remainder_required",
    "second_party_not_joined",
    "seller_country_code_not_set",
    "tracking_not_added",
    "tracking_submission_window_not_started",
    "transaction_not_paid_yet",
    "transaction_not_tracked",
    "unconfirmed_delivery",
    "unconfirmed_setup_intent",
    // The time for it is over. A quote of an older version has to be asked for again.
    "complaint_period_ended_prematurely",
    "complaint_period_expired",
    "incorrect_calc_version",
    "listing_is_disabled",
    "tracking_details_deadline_expired",
    // It is not of the kind that this can be done with.
    "handover_confirmation_not_supported",
    "missing_required_feature",
    "missing_tx_feature",
    "no_listing",
    "no_listing_currency",
    "no_listing_descr",
    "no_listing_price",
    "nothing_to_declare",
    "payment_method_not_bank_transfer",
    "stripe_identity_not_available",
];

/// The users do not fit the request, or each other.
const USERS: &[&str] = &[
    "cannot_claim_own_transaction",
    "cannot_join_own_transaction",
    "cannot_reject_own_transaction",
    "incompatible_countries",
    "incompatible_platforms",
    "incompatible_users",
    "invalid_user_platform",
    "is_listing_creator",
    "unsupported_seller_client_configuration",
    "user_is_company",
    "user_not_owned_by_client",
];

/// The acting user is not the one who may do it.
const WRONG_SIDE: &[&str] =
    &["not_buyer", "not_creator", "not_seller", "subject_is_not_guest_user"];
/// A user whom the request names does not exist.
const ABSENT: &[&str] = &["guest_user_not_found", "user_not_found"];
/// The user exists already.
const DUPLICATE: &[&str] = &["email_used_for_the_client"];

const TABLES: [(&[&str], Meaning); 6] = [
    (CONTENT, Meaning::InvalidArgument),
    (STATE, Meaning::FailedPrecondition),
    (USERS, Meaning::FailedPrecondition),
    (WRONG_SIDE, Meaning::PermissionDenied),
    (ABSENT, Meaning::NotFound),
    (DUPLICATE, Meaning::AlreadyExists),
];

/// What a code means; `None` leaves it to the status.
pub(super) fn meaning(code: &str, status: StatusCode) -> Option<Meaning> {
    // A fault of the partner's is one, whatever it calls it.
    let mut known = TABLES.iter().filter(|_| status.is_client_error());
    known.find(|(codes, _)| codes.contains(&code)).map(|(_, meaning)| *meaning)
}

/// The fields that a code about a request's content may speak of, where a name is in the
/// code: `invalid_email`, `first_name_missing`. The same code is used of fields that are
/// named with more words, or are a level deeper.
pub(super) fn fields(code: &str) -> Vec<String> {
    let before = ["invalid_", "empty_", "missing_", "incorrect_", "negative_", "unsupported_"];
    let after = ["_missing", "_invalid", "_value_too_low", "_too_low", "_too_long"];
    let name = before
        .iter()
        .find_map(|prefix| code.strip_prefix(prefix))
        .or_else(|| after.iter().find_map(|suffix| code.strip_suffix(suffix)));
    let Some(name) = name else { return Vec::new() };
    let renamed = RENAMED.iter().find(|(said, _)| *said == name);
    let name = renamed.map_or(name, |(_, meant)| meant);
    vec![name.to_owned(), format!("deposit_{name}"), format!("bank_details.{name}")]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The codes that the API description lists.
    fn documented() -> BTreeSet<String> {
        let facts = include_str!("../../simulator/trustap/facts.json");
        let facts: Value = serde_json::from_str(facts).unwrap();
        let operations = facts["operations"].as_array().unwrap();
        let errors = operations.iter().flat_map(|o| o["errors"].as_object().unwrap().values());
        let codes = errors.flat_map(|codes| codes.as_array().unwrap());
        codes.map(|code| code.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_documented_code_has_one_meaning_and_no_other_code_has_any() {
        let documented = documented();
        assert_eq!(documented.len(), 171);
        for code in &documented {
            let found = TABLES.iter().filter(|(codes, _)| codes.contains(&code.as_str()));
            assert_eq!(found.count(), 1, "{code}");
        }
        let written: BTreeSet<_> =
            TABLES.iter().flat_map(|(codes, _)| *codes).map(|code| (*code).to_owned()).collect();
        assert_eq!(written, documented);
    }

    #[test]
    fn a_code_that_is_not_listed_is_left_to_the_status() {
        assert_eq!(meaning("brand_new", StatusCode::BAD_REQUEST), None);
        assert_eq!(meaning("already_paid", StatusCode::INTERNAL_SERVER_ERROR), None);
        assert_eq!(
            meaning("deposit_not_paid", StatusCode::FORBIDDEN),
            Some(Meaning::FailedPrecondition)
        );
    }

    #[test]
    fn the_fields_that_a_code_may_name_are_found_in_it() {
        for (code, name) in [
            ("invalid_email", "email"),
            ("first_name_missing", "first_name"),
            ("image_url_too_long", "image_url"),
            ("page_size_value_too_low", "page_size"),
            ("invalid_calc_version", "charge_calculator_version"),
            ("tos_acceptance_ip_missing", "tos_acceptance.ip"),
            ("price_too_low", "deposit_price"),
            ("account_number_invalid", "bank_details.account_number"),
            ("invalid_id", "transaction_id"),
        ] {
            assert!(fields(code).iter().any(|field| field == name), "{code}");
        }
        assert!(fields("duplicate_user_id").is_empty());
    }
}
