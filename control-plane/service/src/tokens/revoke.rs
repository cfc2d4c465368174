//! Taking tokens back.

use chrono::{DateTime, Utc};
use contract::ids::InstanceId;
use contract::revocation::{Revocation, TokenSelector};
use serde_json::json;
use store::StoreError;
use store::tokens::Token;

use super::{BATCH_MAX, RevokeTokens, RevokeTokensError, Revoked, Tokens};
use crate::access::{Action, Caller};
use crate::clock::millis;
use crate::error::Invalid;
use crate::revocations;
use crate::validate::Check;
use crate::write::{Audited, Write, Written};

impl Tokens {
    pub(super) async fn revoke_selected(
        &self,
        caller: &Caller,
        instance: InstanceId,
        revoke: RevokeTokens,
    ) -> Result<(Revoked, Written), RevokeTokensError> {
        let mut write = Write::begin(&self.core, caller).await?;
        let instance = write.instance(caller, instance, Action::RevokeTokens).await?;
        check(&revoke, write.now)?;
        if nothing_to_revoke(&mut write, instance.id, &revoke.selector).await? {
            return Ok((Revoked { revocation: None, revoked: 0 }, Written::default()));
        }
        let selector = revoke.selector.clone();
        let (id, revoked) = revocations::make(&mut write, &instance, selector, revoke.issued_before).await?;
        let after = json!({
            "selector": revoke.selector,
            "issued_before": revoke.issued_before,
            "reason": revoke.reason,
            "revoked": revoked,
        });
        let audited = Audited {
            action: "revoke_tokens",
            resource: "revocation",
            id: &id.to_string(),
            before: None,
            after: Some(after),
        };
        write.audit_in(&instance, audited);
        Ok((Revoked { revocation: Some(id), revoked }, write.commit().await?))
    }
}

/// Whether the selector names tokens that are all known and no longer good.
async fn nothing_to_revoke(
    write: &mut Write<'_>,
    instance: InstanceId,
    selector: &TokenSelector,
) -> Result<bool, RevokeTokensError> {
    let TokenSelector::Ids(ids) = selector else { return Ok(false) };
    for id in ids {
        let over = match store::tokens::find(&mut write.tx, instance, *id).await? {
            Some(token) => token.expires_at <= write.now || is_covered(write, &token).await?,
            // Issued before a restore, perhaps: no row here, but good at the nodes.
            None => false,
        };
        if !over {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a revocation in force means this token. That its row is marked is not enough: what marked it is merged or
/// forgotten some day.
async fn is_covered(write: &mut Write<'_>, token: &Token) -> Result<bool, StoreError> {
    if token.revoked_at.is_none() {
        return Ok(false);
    }
    if let Some(marked_by) = token.revocation {
        let marked_by = store::revocations::find(&mut write.tx, token.instance, marked_by).await?;
        if marked_by.is_some_and(|revocation| means(&revocation, token)) {
            return Ok(true);
        }
    }
    let (client_id, subject) = (token.client_id.as_deref(), token.subject.as_deref());
    let (instance, kid) = (token.instance, token.signing_key.as_str());
    let listed = store::revocations::list_meaning(&mut write.tx, instance, client_id, subject, kid).await?;
    Ok(listed.iter().any(|revocation| means(revocation, token)))
}

/// Whether this revocation, which has marked the token or was listed as one that may mean it, does mean it.
fn means(revocation: &Revocation, token: &Token) -> bool {
    let selected = match &revocation.selector {
        TokenSelector::Ids(ids) => ids.contains(&token.id),
        TokenSelector::Labels(labels) => {
            labels.iter().all(|(name, value)| token.labels.get(name) == Some(value))
        }
        // What names something else of a token is not listed.
        TokenSelector::ClientId(_)
        | TokenSelector::Subject(_)
        | TokenSelector::SigningKey(_)
        | TokenSelector::All => true,
    };
    selected && millis(token.issued_at) < revocation.issued_before
}

fn check(revoke: &RevokeTokens, now: DateTime<Utc>) -> Result<(), Invalid> {
    let mut check = Check::default();
    match &revoke.selector {
        TokenSelector::Ids(ids) if ids.is_empty() || ids.len() > BATCH_MAX => {
            check.fail("/ids", "out_of_bounds", format!("1 to {BATCH_MAX} ids"));
        }
        TokenSelector::Labels(labels) if labels.is_empty() => {
            check.fail("/labels", "required", "at least one label");
        }
        TokenSelector::Labels(labels) => check.labels(labels),
        TokenSelector::ClientId(text) | TokenSelector::Subject(text) | TokenSelector::SigningKey(text)
            if text.is_empty() =>
        {
            check.fail("", "required", "at least one character");
        }
        TokenSelector::Ids(_)
        | TokenSelector::ClientId(_)
        | TokenSelector::Subject(_)
        | TokenSelector::SigningKey(_)
        | TokenSelector::All => {}
    }
    if revoke.issued_before.is_some_and(|before| before > now) {
        check.fail("/issued_before", "out_of_bounds", "not later than now");
    }
    check.description("/reason", revoke.reason.as_deref().unwrap_or_default());
    check.finish()
}
