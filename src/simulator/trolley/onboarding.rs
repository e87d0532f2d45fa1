//! Changing a sub-merchant's onboarding answers.

use http::StatusCode;

use super::super::json::Object;
use super::check;
use super::refusal::Refusal;
use super::{Context, Outcome, schema};

/// `POST /v1/onboarding/update`.
pub(crate) fn update(context: &mut Context<'_>) -> Outcome {
    let switches = &context.state.switches;
    let offences = check::check("", &context.body, schema::ONBOARDING_UPDATE, switches);
    Refusal::unless_clean(offences)?;
    let merchant = context.state.merchant(&context.merchant);
    let merchant = merchant.ok_or_else(|| Refusal::of(StatusCode::NOT_FOUND))?;
    // Only what is given changes: absent is not empty.
    merchant.onboarding.extend(std::mem::take(&mut context.body));
    Ok(Object::new().with("ok", true))
}
