//! Takes the attempt's own secrets out of what the partner said of it.
//!
//! A partner that repeats the request in its error message would otherwise put a key
//! into a caller's log.

use secrecy::{ExposeSecret, SecretString};

use crate::error::PartnerFailure;

const REDACTED: &str = "[redacted]";
/// The shortest end of a text that is taken for the beginning of a cut-off secret.
const SHORTEST_CUT: usize = 4;

/// Replaces every occurrence of `secrets` in the texts of `failure`.
pub(super) fn scrub(failure: &mut PartnerFailure, secrets: &[SecretString]) {
    let texts = [&mut failure.code, &mut failure.message].into_iter().flatten();
    let fields = failure.fields.iter_mut();
    let field_texts = fields.flat_map(|f| [&mut f.field, &mut f.code, &mut f.message]);
    for text in texts.chain(field_texts) {
        for secret in secrets.iter().map(ExposeSecret::expose_secret) {
            if !secret.is_empty() {
                scrub_text(text, secret);
            }
        }
    }
}

fn scrub_text(text: &mut String, secret: &str) {
    if text.contains(secret) {
        *text = text.replace(secret, REDACTED);
    }
    // Texts are cut to a length, perhaps in the middle of the secret.
    let ends = secret.char_indices().map(|(end, _)| end).filter(|end| *end >= SHORTEST_CUT);
    let beginnings = ends.filter_map(|end| secret.get(..end));
    let cut = beginnings.rev().find(|beginning| text.ends_with(beginning)).map(str::len);
    if let Some(cut) = cut {
        text.truncate(text.len().saturating_sub(cut));
        text.push_str(REDACTED);
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::error::FieldFailure;

    #[test]
    fn o12_secrets_leave_no_trace_in_any_text() {
        let said = "bad key s3cr3t-canary!".to_owned();
        let mut failure = PartnerFailure {
            status: StatusCode::BAD_REQUEST,
            meaning: None,
            code: Some(said.clone()),
            message: Some("s3cr3t-canarys3cr3t-canary and s3cr3t-can".to_owned()),
            fields: vec![FieldFailure {
                field: said.clone(),
                code: said.clone(),
                message: said,
                is_inferred: false,
            }],
            retry_after: None,
        };
        scrub(&mut failure, &["s3cr3t-canary".into(), "".into()]);
        assert!(!format!("{failure:?}").contains("s3cr3t"), "{failure:?}");
        assert_eq!(failure.code.as_deref(), Some("bad key [redacted]!"));
        assert_eq!(failure.message.as_deref(), Some("[redacted][redacted] and [redacted]"));
    }

    #[test]
    fn other_text_stays() {
        let mut text = "the value is secure".to_owned();
        scrub_text(&mut text, "s3cr3t-canary");
        assert_eq!(text, "the value is secure");
    }
}
