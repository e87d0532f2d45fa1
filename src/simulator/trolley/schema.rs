//! The field tables and closed value lists of the Trolley Partner API document.

use super::check::{Field, Shape};

/// A new sub-merchant's `merchant`. The document's schema has the first two, its table all four.
pub(crate) const MERCHANT: &[Field] = &[
    Field::required("name", Shape::Text),
    Field::required("currency", Shape::Currency),
    Field::optional("website", Shape::Text),
    Field::optional("country", Shape::Country),
];

/// A new sandbox's `merchant`, copied from the parent where absent.
pub(crate) const SANDBOX_MERCHANT: &[Field] =
    &[Field::optional("name", Shape::Text), Field::optional("currency", Shape::Currency)];

/// A new sub-merchant's `onboarding`. The last three are in later documentation only.
pub(crate) const ONBOARDING: &[Field] = &[
    Field::optional("businessLegalName", Shape::Text),
    Field::optional("businessPhone", Shape::Text),
    Field::optional("businessWebsite", Shape::Text),
    Field::optional("businessCategory", Shape::OneOf(CATEGORIES)),
    Field::optional("businessCountry", Shape::Country),
    Field::optional("businessCity", Shape::Text),
    Field::optional("businessAddress", Shape::Text),
    Field::optional("businessZip", Shape::Text),
    Field::optional("businessRegion", Shape::Text),
    Field::optional("businessTotalMonthly", Shape::Number),
    Field::optional("businessPpm", Shape::Digits),
    Field::optional("businessIntlPercentage", Shape::Percentage),
    Field::optional("businessAsName", Shape::Text),
    Field::optional("businessTaxId", Shape::Text),
    Field::optional("expectedPayoutCountries", Shape::Text),
];

/// The onboarding fields that the document's table calls required. `businessZip` is not among
/// them, because its description makes it depend on the country.
pub(crate) const ONBOARDING_REQUIRED: &[&str] = &[
    "businessLegalName",
    "businessPhone",
    "businessWebsite",
    "businessCategory",
    "businessCountry",
    "businessCity",
    "businessAddress",
    "businessRegion",
    "businessTotalMonthly",
    "businessPpm",
    "businessIntlPercentage",
];

/// An onboarding update, where `businessPpm` is a bucket and not a number.
pub(crate) const ONBOARDING_UPDATE: &[Field] = &[
    Field::optional("businessTotalMonthly", Shape::Number),
    Field::optional("businessPpm", Shape::OneOf(BUCKETS)),
];

/// A bank account. Those that no country needs together are not required.
pub(crate) const BANK_ACCOUNT: &[Field] = &[
    Field::required("accountName", Shape::Text),
    Field::required("currency", Shape::Currency),
    Field::required("bankCountry", Shape::Country),
    Field::optional("branchId", Shape::Digits),
    Field::optional("bankId", Shape::Digits),
    Field::optional("institution", Shape::Digits),
    Field::optional("transit", Shape::Digits),
    Field::required("accountNum", Shape::Digits),
    Field::optional("enabled", Shape::Boolean),
];

/// The widget's colours.
pub(crate) const COLORS: &[Field] = &[
    Field::optional("primary", Shape::Color),
    Field::optional("success", Shape::Color),
    Field::optional("error", Shape::Color),
    Field::optional("warning", Shape::Color),
    Field::optional("border", Shape::Color),
    Field::optional("heading", Shape::Color),
    Field::optional("text", Shape::Color),
    Field::optional("inputText", Shape::Color),
    Field::optional("inputBorder", Shape::Color),
    Field::optional("subText", Shape::Color),
    Field::optional("background", Shape::Color),
];

/// A subscription to webhooks.
pub(crate) const SUBSCRIPTION: &[Field] = &[
    Field::required("action", Shape::OneOf(ACTIONS)),
    Field::required("model", Shape::OneOf(MODELS)),
    Field::required("target", Shape::Url),
];

const CATEGORIES: &[&str] = &[
    "online_market",
    "app_store",
    "affiliate_platform",
    "ad_network",
    "crowdfunding",
    "crowdsourcing",
    "share_economy",
    "e-commerce",
    "charity",
    "surveys",
    "rebates",
    "startup",
    "publishing",
    "entertainment",
    "travel",
    "education",
    "manufacturing",
    "business_service",
    "influencer_platform",
    "online_gambling",
    "adult_entertainment",
    "multi_level_marketing",
    "firearms",
    "money_transmitter_service",
    "credit_card_processing",
    "other",
];

const BUCKETS: &[&str] = &[
    "less-10",
    "10-50",
    "50-100",
    "100-500",
    "500-1000",
    "1000-10000",
    "10000-100000",
    "100000-more",
];

const ACTIONS: &[&str] = &[
    "created",
    "updated",
    "deleted",
    "processing",
    "completed",
    "failed",
    "returned",
    "processed",
    "password-reset",
    "compliance-check",
    "upload-received",
    "upload-processing",
    "upload-completed",
    "*",
];

const MODELS: &[&str] =
    &["user", "recipient", "upload", "batch", "payment", "recipientAccount", "*"];

/// The same fields with every one of them required, or none.
pub(crate) fn all(fields: &[Field], required: bool) -> Vec<Field> {
    fields.iter().map(|field| Field { required, ..*field }).collect()
}
