//! The audit log, as members read it.

use std::sync::Arc;

use contract::ids::TenantId;
pub use store::audit::AuditEntry;

use crate::access::{Action, Caller};
use crate::core::Core;
use crate::error::ListError;
use crate::page::{ListQuery, Page};

/// Shows the audit log.
#[derive(Clone)]
pub struct Audit {
    core: Arc<Core>,
}

impl Audit {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The audit log of a tenant. Its name is the action (`create_topic`).
    pub async fn list(
        &self,
        caller: &Caller,
        tenant: TenantId,
        query: &ListQuery,
    ) -> Result<Page<AuditEntry>, ListError> {
        let tenant = self.core.tenant(caller, tenant, Action::ReadAudit).await?;
        let listing = query.listing()?;
        let mut connection = self.core.store.read().await?;
        query.page(store::audit::list(&mut connection, tenant.id, &listing).await)
    }
}
