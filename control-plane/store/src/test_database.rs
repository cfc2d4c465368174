//! Databases for tests: each test has its own, made from a template that has the schema. No part of the product.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _};
use uuid::Uuid;

use crate::StoreError;

/// The key of the advisory lock under which the template is made once.
const TEMPLATE_LOCK: i64 = 0x696f_746d_7101;

/// A database of a test's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestDatabase {
    /// Its name on the server.
    pub name: String,
    /// Its address.
    pub url: String,
}

/// Makes a database with the schema on the server at `url`; whoever asked drops it.
pub async fn create(url: &str) -> Result<TestDatabase, StoreError> {
    let options: PgConnectOptions = url.parse()?;
    let mut server = options.connect().await?;
    let template = template(&options, &mut server).await?;
    let name = format!("test_{}", Uuid::now_v7().simple());
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {template}")))
        .execute(&mut server)
        .await?;
    server.close().await?;
    let options = options.database(&name);
    let mut database = options.connect().await?;
    // A copy of the template has the template's timeline, which must be one database's alone.
    sqlx::query("UPDATE feed_head SET timeline = gen_random_uuid()").execute(&mut database).await?;
    database.close().await?;
    Ok(TestDatabase { name, url: options.to_url_lossy().to_string() })
}

/// The name of the template, which is made if it is not there: by its name it fits these migrations only.
async fn template(options: &PgConnectOptions, server: &mut sqlx::PgConnection) -> Result<String, StoreError> {
    let migrator = sqlx::migrate!("../../migrations");
    let digest = migrator
        .iter()
        .flat_map(|migration| migration.checksum.iter())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
    let name = format!("template_{digest:016x}");
    sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut *server).await?;
    let known: Option<i32> =
        sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate")
            .bind(&name)
            .fetch_optional(&mut *server)
            .await?;
    if known.is_none() {
        for statement in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *server).await?;
        }
        let mut database = options.clone().database(&name).connect().await?;
        migrator.run(&mut database).await?;
        database.close().await?;
        sqlx::query(AssertSqlSafe(format!("ALTER DATABASE {name} IS_TEMPLATE true")))
            .execute(&mut *server)
            .await?;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(&mut *server).await?;
    Ok(name)
}
