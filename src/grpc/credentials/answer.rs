//! What the store keeps, as the service tells it.

use jiff::Timestamp;

use crate::grpc::partners::timestamp;
use crate::pb::gateway::v1 as pb;
use crate::store::{CredentialKind, Intent, Origin, Record};

/// A credential, without its secret.
pub(super) fn credential(record: Record, now: Timestamp) -> pb::Credential {
    let is_expired = record.expires.is_some_and(|expiry| expiry <= now);
    let state = match is_expired {
        true => pb::credential::State::Expired,
        false => pb::credential::State::Active,
    };
    pb::Credential {
        id: record.id.to_string(),
        partner: record.name.partner,
        kind: kind(record.name.kind).into(),
        account: record.name.account,
        origin: origin(record.origin).into(),
        state: state.into(),
        create_time: Some(timestamp(record.created)),
        update_time: Some(timestamp(record.updated)),
        last_use_time: record.last_used.map(timestamp),
        expire_time: record.expires.map(timestamp),
    }
}

/// An intent.
pub(super) fn intent(intent: Intent) -> pb::KeyIntent {
    let state = match intent.flag {
        Some(_) => pb::key_intent::State::Flagged,
        None => pb::key_intent::State::Open,
    };
    pb::KeyIntent {
        id: intent.id.to_string(),
        partner: intent.partner,
        rpc: intent.rpc,
        call_id: intent.call_id.to_string(),
        state: state.into(),
        create_time: Some(timestamp(intent.created)),
        flag_time: intent.flag.as_ref().map(|flag| timestamp(flag.since)),
        reason: intent.flag.map(|flag| flag.reason).unwrap_or_default(),
    }
}

fn kind(kind: CredentialKind) -> pb::credential::Kind {
    match kind {
        CredentialKind::KeyPair => pb::credential::Kind::KeyPair,
        CredentialKind::UserGrant => pb::credential::Kind::UserGrant,
    }
}

fn origin(origin: Origin) -> pb::credential::Origin {
    match origin {
        Origin::Issued => pb::credential::Origin::Issued,
        Origin::Imported => pb::credential::Origin::Imported,
    }
}
