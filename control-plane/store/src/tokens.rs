//! Issued temporary tokens. The row is the record of the issue; the token itself is not kept.

use chrono::{DateTime, Utc};
use contract::grant::Grants;
use contract::ids::{InstanceId, RevocationId, TokenId};
use contract::revocation::TokenSelector;
use sqlx::types::Json;
use uuid::Uuid;

use crate::actor::Actor;
use crate::named::Written;
use crate::page::{self, Listing, Rows, Source};
use crate::{Labels, PgConnection, StoreError, unsigned};

/// One issued temporary token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its id, the claim `jti`; its time of issue is in it.
    pub id: TokenId,
    /// The instance.
    pub instance: InstanceId,
    /// The one client identifier that may use it.
    pub client_id: Option<String>,
    /// The subject, when any client identifier may use it.
    pub subject: Option<String>,
    /// What sorts it for people and revocations.
    pub labels: Labels,
    /// What its holder may do.
    pub grants: Grants,
    /// The `kid` of the key that signed it.
    pub signing_key: String,
    /// Not good before.
    pub not_before: DateTime<Utc>,
    /// Not good from then on.
    pub expires_at: DateTime<Utc>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// Who issued it.
    pub issued_by: Actor,
    /// In which request.
    pub request_id: String,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// By which revocation; none once that is forgotten or merged.
    pub revocation: Option<RevocationId>,
}

struct Row {
    token_id: Uuid,
    instance_id: Uuid,
    client_id: Option<String>,
    subject: Option<String>,
    labels: Json<Labels>,
    grants: Json<Grants>,
    signing_key: String,
    not_before: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    issued_at: DateTime<Utc>,
    issued_by: Written<Actor>,
    request_id: String,
    revoked_at: Option<DateTime<Utc>>,
    revocation_id: Option<Uuid>,
}

impl From<Row> for Token {
    fn from(row: Row) -> Self {
        Self {
            id: TokenId(row.token_id),
            instance: InstanceId(row.instance_id),
            client_id: row.client_id,
            subject: row.subject,
            labels: row.labels.0,
            grants: row.grants.0,
            signing_key: row.signing_key,
            not_before: row.not_before,
            expires_at: row.expires_at,
            issued_at: row.issued_at,
            issued_by: row.issued_by.0,
            request_id: row.request_id,
            revoked_at: row.revoked_at,
            revocation: row.revocation_id.map(RevocationId),
        }
    }
}

macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT token_id, instance_id, client_id, subject, labels AS "labels: Json<Labels>",
                      grants AS "grants: Json<Grants>", signing_key, not_before, expires_at, issued_at,
                      issued_by AS "issued_by: Written<Actor>", request_id, revoked_at, revocation_id
               FROM token "# + $tail
            $(, $arg)*
        )
    };
}

const SOURCE: Source = Source {
    from: "token",
    filter: "true",
    owner: "instance_id",
    id: "token_id",
    id_type: "uuid",
    name: "coalesce(client_id, subject)",
    created_at: "issued_at",
    labels: Some("labels"),
};

/// Records issued tokens, in one statement.
pub async fn insert(
    connection: &mut PgConnection,
    instance: InstanceId,
    tokens: &[Token],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = tokens.iter().map(|it| it.id.0).collect();
    let client_ids: Vec<Option<String>> = tokens.iter().map(|it| it.client_id.clone()).collect();
    let subjects: Vec<Option<String>> = tokens.iter().map(|it| it.subject.clone()).collect();
    let labels: Vec<Json<&Labels>> = tokens.iter().map(|it| Json(&it.labels)).collect();
    let grants: Vec<Json<&Grants>> = tokens.iter().map(|it| Json(&it.grants)).collect();
    let keys: Vec<String> = tokens.iter().map(|it| it.signing_key.clone()).collect();
    let not_before: Vec<DateTime<Utc>> = tokens.iter().map(|it| it.not_before).collect();
    let expires_at: Vec<DateTime<Utc>> = tokens.iter().map(|it| it.expires_at).collect();
    let issued_at: Vec<DateTime<Utc>> = tokens.iter().map(|it| it.issued_at).collect();
    let issued_by: Vec<String> = tokens.iter().map(|it| it.issued_by.to_string()).collect();
    let request_ids: Vec<String> = tokens.iter().map(|it| it.request_id.clone()).collect();
    sqlx::query!(
        "INSERT INTO token (instance_id, token_id, client_id, subject, labels, grants, signing_key,
             not_before, expires_at, issued_at, issued_by, request_id)
         SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::text[],
             $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[])",
        instance.0,
        &ids,
        &client_ids as _,
        &subjects as _,
        &labels as _,
        &grants as _,
        &keys,
        &not_before,
        &expires_at,
        &issued_at,
        &issued_by,
        &request_ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The token with this id.
pub async fn find(
    connection: &mut PgConnection,
    instance: InstanceId,
    token: TokenId,
) -> Result<Option<Token>, StoreError> {
    let row = select!("WHERE instance_id = $1 AND token_id = $2", instance.0, token.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(Token::from))
}

/// The tokens of an instance.
pub async fn list(
    connection: &mut PgConnection,
    instance: InstanceId,
    listing: &Listing,
) -> Result<Rows<Token>, StoreError> {
    let keys = page::keys(connection, &SOURCE, Some(instance.0), listing).await?;
    let ids = keys.uuids();
    let rows = select!("WHERE instance_id = $1 AND token_id = ANY($2)", instance.0, &ids)
        .fetch_all(connection)
        .await?;
    Ok(keys.order(rows.into_iter().map(Token::from), |token| token.id.to_string()))
}

/// What marking tokens as taken back has met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marked {
    /// How many were still good.
    pub tokens: u64,
    /// When the last of them would have expired.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Marks the tokens that a revocation means, as far as they are recorded and still good at `now`.
pub async fn mark_revoked(
    connection: &mut PgConnection,
    instance: InstanceId,
    revocation: RevocationId,
    selector: &TokenSelector,
    issued_before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Marked, StoreError> {
    let mut ids: Option<Vec<Uuid>> = None;
    let (mut client_id, mut subject, mut key, mut labels) = (None, None, None, None);
    match selector {
        TokenSelector::Ids(tokens) => ids = Some(tokens.iter().map(|token| token.0).collect()),
        TokenSelector::ClientId(name) => client_id = Some(name.as_str()),
        TokenSelector::Subject(name) => subject = Some(name.as_str()),
        TokenSelector::SigningKey(kid) => key = Some(kid.as_str()),
        TokenSelector::Labels(of) => labels = Some(Json(of)),
        TokenSelector::All => {}
    }
    let row = sqlx::query!(
        r#"WITH marked AS (
               UPDATE token SET revoked_at = $4, revocation_id = $2
               WHERE instance_id = $1 AND issued_at < $3 AND expires_at > $4 AND revoked_at IS NULL
                 AND ($5::uuid[] IS NULL OR token_id = ANY($5))
                 AND ($6::text IS NULL OR (coalesce(client_id, subject) = $6 AND client_id = $6))
                 AND ($7::text IS NULL OR (coalesce(client_id, subject) = $7 AND subject = $7))
                 AND ($8::text IS NULL OR signing_key = $8)
                 AND ($9::jsonb IS NULL OR labels @> $9)
               RETURNING expires_at)
           SELECT count(*) AS "tokens!", max(expires_at) AS expires_at FROM marked"#,
        instance.0,
        revocation.0,
        issued_before,
        now,
        ids.as_deref(),
        client_id,
        subject,
        key,
        labels as _,
    )
    .fetch_one(connection)
    .await?;
    Ok(Marked { tokens: unsigned(row.tokens), expires_at: row.expires_at })
}

/// Whose these tokens are: client identifiers, and subjects.
pub async fn list_principals(
    connection: &mut PgConnection,
    instance: InstanceId,
    tokens: &[TokenId],
) -> Result<Vec<(TokenId, Option<String>, Option<String>)>, StoreError> {
    let ids: Vec<Uuid> = tokens.iter().map(|token| token.0).collect();
    let rows = sqlx::query!(
        "SELECT token_id, client_id, subject FROM token WHERE instance_id = $1 AND token_id = ANY($2)",
        instance.0,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (TokenId(row.token_id), row.client_id, row.subject)).collect())
}

/// Forgets some tokens, of any instance, that expired before this; answers how many.
pub async fn delete_expired_of_all_tenants(
    connection: &mut PgConnection,
    expired_before: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        "DELETE FROM token WHERE (instance_id, token_id) IN
             (SELECT instance_id, token_id FROM token WHERE expires_at < $1 LIMIT $2)",
        expired_before,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

/// Forgets the tokens of an instance.
pub async fn delete_all(connection: &mut PgConnection, instance: InstanceId) -> Result<u64, StoreError> {
    let deleted =
        sqlx::query!("DELETE FROM token WHERE instance_id = $1", instance.0).execute(connection).await?;
    Ok(deleted.rows_affected())
}
