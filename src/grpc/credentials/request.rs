//! What callers ask of the kept credentials, checked.

use std::fmt::Debug;

use aws_lc_rs::digest;
use uuid::Uuid;

use super::audit::Subject;
use crate::credentials::{Grant, KeyPair};
use crate::error::{Error, Violation};
use crate::partner;
use crate::pb::gateway::v1 as pb;
use crate::pb::gateway::v1::put_credential_request::Credential;
use crate::pb::gateway::v1::user_grant;
use crate::store::{CredentialKind, Cursor};

const MAX_ACCOUNT: usize = 256;
/// Longer than any partner's, and shorter than what would fill the database.
const MAX_SECRET: usize = 16 * 1024;
const DEFAULT_PAGE: i32 = 100;
const MAX_PAGE: i32 = 1000;

/// A credential to keep.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) partner: String,
    pub(super) admitted: Admitted,
}

/// What it is.
#[derive(Debug)]
pub(super) enum Admitted {
    KeyPair { account: String, pair: KeyPair },
    Grant { user: Option<String>, grant: Grant },
}

/// A page of a list. Its token is good for the same list only.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) size: u32,
    pub(super) after: Option<Cursor>,
    list: String,
}

/// Collects what is wrong with a request.
#[derive(Default)]
struct Findings(Vec<Violation>);

// === impl Put ===

impl Put {
    /// # Errors
    /// Every field that cannot be used.
    pub(super) fn read(request: pb::PutCredentialRequest) -> Result<Self, Error> {
        let pb::PutCredentialRequest { partner, account, credential } = request;
        let mut findings = Findings::default();
        findings.text("account", &account, MAX_ACCOUNT);
        let admitted = match credential {
            Some(Credential::KeyPair(pair)) => {
                findings.partner(&partner, "key_pair", CredentialKind::KeyPair);
                findings.given("account", &account);
                Some(Admitted::KeyPair { account, pair: findings.key_pair(pair) })
            }
            Some(Credential::UserGrant(pb::UserGrant { grant })) => {
                findings.partner(&partner, "user_grant", CredentialKind::UserGrant);
                let user = Some(account).filter(|user| !user.is_empty());
                findings.grant(grant).map(|grant| Admitted::Grant { user, grant })
            }
            None => {
                findings.add("credential", "is required", "REQUIRED");
                None
            }
        };
        match admitted {
            Some(admitted) if findings.0.is_empty() => Ok(Self { partner, admitted }),
            _ => Err(Error::invalid(findings.0)),
        }
    }

    /// Whose credential it is, as far as the request says.
    pub(super) fn subject(&self) -> Subject {
        let account = match &self.admitted {
            Admitted::KeyPair { account, .. } => Some(account.clone()),
            Admitted::Grant { user, .. } => user.clone(),
        };
        Subject::Account { partner: self.partner.clone(), account }
    }
}

// === impl Findings ===

impl Findings {
    fn add(&mut self, field: &str, description: &str, reason: &'static str) {
        let (field, description) = (field.to_owned(), description.to_owned());
        self.0.push(Violation { field, description, reason });
    }

    fn partner(&mut self, name: &str, field: &str, kind: CredentialKind) {
        match partner::by_name(name) {
            None => self.add("partner", "is no partner", "UNKNOWN_PARTNER"),
            Some(partner) if !partner.kept_credentials().contains(&kind) => {
                self.add(field, "the partner has no such credentials", "UNKNOWN_KIND");
            }
            Some(_) => {}
        }
    }

    fn given(&mut self, field: &str, value: &str) {
        if value.is_empty() {
            self.add(field, "is required", "REQUIRED");
        }
    }

    fn text(&mut self, field: &str, value: &str, max: usize) {
        if value.len() > max {
            self.add(field, &format!("must have at most {max} bytes"), "TOO_LONG");
        }
        if value.chars().any(char::is_control) {
            self.add(field, "must not have control characters", "CONTROL_CHARACTER");
        }
    }

    fn secret(&mut self, field: &str, value: &str) {
        self.given(field, value);
        self.text(field, value, MAX_SECRET);
    }

    fn key_pair(&mut self, pair: pb::KeyPair) -> KeyPair {
        let pb::KeyPair { access_key, secret_key } = pair;
        self.given("key_pair.access_key", &access_key);
        // It is part of a header, with a colon after it.
        if !access_key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            let description = "must be visible ASCII without colons";
            self.add("key_pair.access_key", description, "INVALID_CHARACTER");
        }
        self.text("key_pair.access_key", &access_key, MAX_SECRET);
        self.secret("key_pair.secret_key", &secret_key);
        KeyPair { access_key, secret_key: secret_key.into() }
    }

    fn grant(&mut self, grant: Option<user_grant::Grant>) -> Option<Grant> {
        match grant {
            Some(user_grant::Grant::RefreshToken(token)) => {
                self.secret("user_grant.refresh_token", &token);
                Some(Grant::RefreshToken(token.into()))
            }
            Some(user_grant::Grant::AuthorizationCode(code)) => Some(self.code(code)),
            None => {
                self.add("user_grant.grant", "is required", "REQUIRED");
                None
            }
        }
    }

    fn code(&mut self, code: pb::AuthorizationCode) -> Grant {
        let pb::AuthorizationCode { code, redirect_uri, code_verifier } = code;
        let within = |field| format!("user_grant.authorization_code.{field}");
        self.secret(&within("code"), &code);
        self.secret(&within("redirect_uri"), &redirect_uri);
        self.text(&within("code_verifier"), &code_verifier, MAX_SECRET);
        let code_verifier = Some(code_verifier).filter(|verifier| !verifier.is_empty());
        let code_verifier = code_verifier.map(Into::into);
        Grant::AuthorizationCode { code: code.into(), redirect_uri, code_verifier }
    }
}

// === impl Page ===

impl Page {
    /// The page that is asked for of the list that `filter` makes.
    ///
    /// # Errors
    /// A size below 0, or a token that is none of this list.
    pub(super) fn read(size: i32, token: &str, filter: &impl Debug) -> Result<Self, Error> {
        let size = match size {
            ..0 => return Err(violation("page_size", "must not be below 0", "OUT_OF_RANGE")),
            0 => DEFAULT_PAGE,
            size => size.min(MAX_PAGE),
        };
        let size = u32::try_from(size).unwrap_or_default();
        let list = digest(filter);
        let after = match token {
            "" => None,
            token => Some(place(token, &list).ok_or_else(|| {
                violation("page_token", "is none of a list with these filters", "INVALID")
            })?),
        };
        Ok(Self { size, after, list })
    }

    /// What asks for the page after this; empty if there is none.
    pub(super) fn token_of(&self, next: Option<Cursor>) -> String {
        next.map(|next| format!("{next}{}", self.list)).unwrap_or_default()
    }
}

/// The place in the list that a token stands for.
fn place(token: &str, list: &str) -> Option<Cursor> {
    token.strip_suffix(list)?.parse().ok()
}

/// Tells a list from one with other filters.
fn digest(filter: &impl Debug) -> String {
    let digest = digest::digest(&digest::SHA256, format!("{filter:?}").as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The id of a credential or an intent.
///
/// # Errors
/// If it has not the form of one.
pub(super) fn id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| violation("id", "is not the form of an id", "INVALID"))
}

/// The kind that a list is of; `None` for all.
///
/// # Errors
/// A number that is no kind.
pub(super) fn kind(kind: i32) -> Result<Option<CredentialKind>, Error> {
    match pb::credential::Kind::try_from(kind) {
        Ok(pb::credential::Kind::Unspecified) => Ok(None),
        Ok(pb::credential::Kind::KeyPair) => Ok(Some(CredentialKind::KeyPair)),
        Ok(pb::credential::Kind::UserGrant) => Ok(Some(CredentialKind::UserGrant)),
        Err(_) => Err(violation("kind", "is no kind", "UNKNOWN_VALUE")),
    }
}

/// Whether a list is of flagged intents; `None` for all.
///
/// # Errors
/// A number that is no state.
pub(super) fn flagged(state: i32) -> Result<Option<bool>, Error> {
    match pb::key_intent::State::try_from(state) {
        Ok(pb::key_intent::State::Unspecified) => Ok(None),
        Ok(pb::key_intent::State::Open) => Ok(Some(false)),
        Ok(pb::key_intent::State::Flagged) => Ok(Some(true)),
        Err(_) => Err(violation("state", "is no state", "UNKNOWN_VALUE")),
    }
}

/// A request in which one field cannot be used.
pub(super) fn violation(field: &str, description: &str, reason: &'static str) -> Error {
    let mut findings = Findings::default();
    findings.add(field, description, reason);
    Error::invalid(findings.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Kind;
    use crate::store::Filter;

    fn fields(error: &Error) -> Vec<&str> {
        let Kind::InvalidRequest(violations) = error.kind() else { panic!("{error:?}") };
        violations.iter().map(|violation| violation.field.as_str()).collect()
    }

    fn put(partner: &str, account: &str, access_key: &str, secret_key: &str) -> Result<Put, Error> {
        let (access_key, secret_key) = (access_key.to_owned(), secret_key.to_owned());
        Put::read(pb::PutCredentialRequest {
            partner: partner.to_owned(),
            account: account.to_owned(),
            credential: Some(Credential::KeyPair(pb::KeyPair { access_key, secret_key })),
        })
    }

    #[test]
    fn every_field_that_cannot_be_used_is_named() {
        assert!(put("trolley", "M-1", "AS1", "s").is_ok());
        for (request, expected) in [
            (put("nobody", "M-1", "AS1", "s"), vec!["partner"]),
            (put("trustist", "M-1", "AS1", "s"), vec!["key_pair"]),
            (
                put("trolley", "", "", ""),
                vec!["account", "key_pair.access_key", "key_pair.secret_key"],
            ),
            (put("trolley", "a\nb", "AS1", "s"), vec!["account"]),
            (put("trolley", &"a".repeat(257), "AS1", "s"), vec!["account"]),
            (put("trolley", "M-1", "A:S", "s"), vec!["key_pair.access_key"]),
            (put("trolley", "M-1", "A S", "s"), vec!["key_pair.access_key"]),
            (put("trolley", "M-1", "AS", "s\0"), vec!["key_pair.secret_key"]),
        ] {
            let error = request.unwrap_err();
            assert_eq!(fields(&error), expected);
            assert!(!format!("{error:?}").contains("AS1"));
        }
        let nothing = Put::read(pb::PutCredentialRequest::default()).unwrap_err();
        assert_eq!(fields(&nothing), ["credential"]);
    }

    #[test]
    fn a_page_is_of_a_bounded_size() {
        let size = |size| Page::read(size, "", &Filter::default()).map(|page| page.size);
        assert_eq!([0, 1, 1000, 5000].map(|asked| size(asked).unwrap()), [100, 1, 1000, 1000]);
        assert_eq!(fields(&size(-1).unwrap_err()), ["page_size"]);
    }

    #[test]
    fn a_page_token_is_good_for_its_own_list_only() {
        let cursor: Cursor = Uuid::from_u128(7).to_string().parse().unwrap();
        let filter = Filter { partner: Some("trolley".to_owned()), ..Filter::default() };
        let token = Page::read(1, "", &filter).unwrap().token_of(Some(cursor));
        assert_eq!(Page::read(1, &token, &filter).unwrap().after, Some(cursor));
        assert!(Page::read(1, &token, &Filter::default()).is_err());
        assert!(Page::read(1, &token[1..], &filter).is_err());
    }

    proptest! {
        // S29: a parser of outside bytes.
        #[test]
        fn no_page_token_panics(token in ".{0,80}") {
            let _ = Page::read(1, &token, &Filter::default());
        }
    }
}
