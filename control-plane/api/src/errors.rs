//! What each error of the services is as an answer: the one place where a fact becomes a status.

use service::access::AccessError;
use service::alarm_rules::WriteAlarmRuleError;
use service::channels::{
    AddressForbidden, DeleteChannelError, InUse, TestChannelError, TestedLately, WriteChannelError,
};
use service::credentials::{CreateCredentialError, UpdateCredentialError};
use service::error::{
    DeleteError, GetError, Invalid, LimitReached, ListError, NameTaken, RevisionMismatch, StoreError,
    UpdateError, WrongState,
};
use service::feed::ExportError;
use service::instances::{ChangePlanError, CreateInstanceError, DeleteInstanceError, UpdateInstanceError};
use service::messages::{PublishError, QueryMessagesError};
use service::metrics::QueryMetricsError;
use service::nodes::{CreateJoinTokenError, EnrolError};
use service::plans::CreatePlanError;
use service::session::{ChangePasswordError, SignInError};
use service::shared_groups::ListSharedGroupsError;
use service::signing_keys::ChangeKeysError;
use service::tenants::CreateTenantError;
use service::tokens::{IssueBatchError, IssueTokenError, RevokeTokensError};
use service::topics::CreateTopicError;

use crate::preconditions::revision_mismatch;
use crate::problem::{self, Problem, ProblemCode};

/// How soon to come again when everything is busy for a moment.
const BUSY_SECS: u64 = 1;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            Self::database_unavailable(&error)
        } else if error.is_value() {
            let detail = "a value has a null character or is out of range";
            Self::new(ProblemCode::InvalidParameter, detail)
        } else {
            Self::internal(&error)
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let detail = error.to_string();
        match error {
            AccessError::NotFound { .. } => Self::new(ProblemCode::NotFound, detail),
            AccessError::PermissionDenied { missing } => {
                Self::new(ProblemCode::PermissionDenied, detail).with_missing_permission(missing)
            }
            AccessError::OperatorOnly => Self::new(ProblemCode::OperatorOnly, detail),
            AccessError::TenantSuspended => Self::new(ProblemCode::TenantSuspended, detail),
        }
    }
}

impl From<Invalid> for Problem {
    fn from(error: Invalid) -> Self {
        let detail = error.0.first().map_or_else(String::new, |field| field.detail.clone());
        let problem = Self::new(ProblemCode::ValidationFailed, detail);
        error
            .0
            .into_iter()
            .fold(problem, |problem, field| problem.with_error(field.pointer, field.code, field.detail))
    }
}

impl From<RevisionMismatch> for Problem {
    fn from(error: RevisionMismatch) -> Self {
        revision_mismatch(error.current)
    }
}

impl From<WrongState> for Problem {
    fn from(error: WrongState) -> Self {
        Self::new(ProblemCode::WrongState, error.0)
    }
}

impl From<NameTaken> for Problem {
    fn from(error: NameTaken) -> Self {
        let detail = error.to_string();
        Self::new(ProblemCode::NameTaken, detail.clone()).with_error(error.pointer, "taken", detail)
    }
}

impl From<&LimitReached> for problem::LimitReached {
    fn from(error: &LimitReached) -> Self {
        Self {
            name: error.name.to_owned(),
            value: error.value,
            used: error.used,
            scope: error.scope.to_owned(),
        }
    }
}

impl From<LimitReached> for Problem {
    fn from(error: LimitReached) -> Self {
        Self::new(ProblemCode::LimitReached, error.to_string()).with_limit((&error).into())
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        let detail = error.to_string();
        match error {
            ListError::Access(error) => error.into(),
            ListError::Store(error) => error.into(),
            ListError::InvalidCursor => Self::new(ProblemCode::InvalidCursor, detail),
            ListError::InvalidSort => Self::parameter("sort", detail),
            ListError::InvalidLimit(_) => Self::new(ProblemCode::InvalidParameter, detail),
        }
    }
}

/// Errors whose every case is one of the facts above.
macro_rules! answers {
    ($($error:ident { $($fact:ident),* };)*) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                match error {
                    $($error::$fact(fact) => fact.into(),)*
                }
            }
        }
    )*};
}

answers! {
    GetError { Access, Store };
    UpdateError { Access, Revision, Invalid, State, Store };
    DeleteError { Access, Revision, State, Store };
    CreateTopicError { Access, Invalid, Limit, NameTaken, State, Store };
    CreatePlanError { Access, Invalid, NameTaken, Store };
    CreateInstanceError { Access, Invalid, Limit, NameTaken, Store };
    UpdateInstanceError { Access, Invalid, Limit, NameTaken, Revision, State, Store };
    ChangeKeysError { Access, Invalid, Limit, State, Store };
    CreateJoinTokenError { Access, Store };
    IssueBatchError { Access, Invalid, State, Store };
    RevokeTokensError { Access, Invalid, Store };
    WriteAlarmRuleError { Access, Invalid, Limit, NameTaken, Revision, State, Store };
    WriteChannelError { Access, Invalid, AddressForbidden, Limit, NameTaken, Revision, State, Store };
    DeleteChannelError { Access, Revision, InUse, State, Store };
    TestChannelError { Access, Lately, Limit, State, Store };
}

impl From<AddressForbidden> for Problem {
    fn from(error: AddressForbidden) -> Self {
        let detail = error.to_string();
        Self::new(ProblemCode::AddressForbidden, detail.clone()).with_error("/url", "forbidden", detail)
    }
}

impl From<TestedLately> for Problem {
    fn from(error: TestedLately) -> Self {
        Self::new(ProblemCode::RateLimited, error.to_string()).with_retry_after_secs(error.retry_after_secs)
    }
}

impl From<InUse> for Problem {
    fn from(error: InUse) -> Self {
        Self::new(ProblemCode::InUse, error.to_string())
    }
}

impl From<QueryMetricsError> for Problem {
    fn from(error: QueryMetricsError) -> Self {
        match error {
            QueryMetricsError::Access(error) => error.into(),
            QueryMetricsError::Parameter { name, detail } => Self::parameter(name, detail),
            QueryMetricsError::Store(error) => error.into(),
            error @ QueryMetricsError::Failed(_) => Self::internal(&error),
        }
    }
}

impl From<DeleteInstanceError> for Problem {
    fn from(error: DeleteInstanceError) -> Self {
        let detail = error.to_string();
        match error {
            DeleteInstanceError::Access(error) => error.into(),
            DeleteInstanceError::Revision(error) => error.into(),
            DeleteInstanceError::State(error) => error.into(),
            DeleteInstanceError::Store(error) => error.into(),
            DeleteInstanceError::DeleteProtected => Self::new(ProblemCode::DeleteProtected, detail),
        }
    }
}

impl From<ChangePlanError> for Problem {
    fn from(error: ChangePlanError) -> Self {
        let detail = error.to_string();
        match error {
            ChangePlanError::Access(error) => error.into(),
            ChangePlanError::Invalid(error) => error.into(),
            ChangePlanError::State(error) => error.into(),
            ChangePlanError::Store(error) => error.into(),
            ChangePlanError::WouldExceedLimits { exceeded, .. } => {
                let problem = Self::new(ProblemCode::WouldExceedLimits, detail);
                let problem = exceeded.iter().fold(problem, |problem, reached| {
                    problem.with_error("/plan", reached.name, reached.to_string())
                });
                match exceeded.first() {
                    Some(first) => problem.with_limit(first.into()),
                    None => problem,
                }
            }
        }
    }
}

fn grants_too_many(detail: String) -> Problem {
    Problem::new(ProblemCode::GrantsTooMany, detail.clone()).with_error("/grants", "too_many", detail)
}

impl From<CreateCredentialError> for Problem {
    fn from(error: CreateCredentialError) -> Self {
        let detail = error.to_string();
        match error {
            CreateCredentialError::Access(error) => error.into(),
            CreateCredentialError::Invalid(error) => error.into(),
            CreateCredentialError::Limit(error) => error.into(),
            CreateCredentialError::NameTaken(error) => error.into(),
            CreateCredentialError::State(error) => error.into(),
            CreateCredentialError::Store(error) => error.into(),
            CreateCredentialError::GrantsTooMany { .. } => grants_too_many(detail),
        }
    }
}

impl From<UpdateCredentialError> for Problem {
    fn from(error: UpdateCredentialError) -> Self {
        let detail = error.to_string();
        match error {
            UpdateCredentialError::Access(error) => error.into(),
            UpdateCredentialError::Invalid(error) => error.into(),
            UpdateCredentialError::Revision(error) => error.into(),
            UpdateCredentialError::Store(error) => error.into(),
            UpdateCredentialError::GrantsTooMany { .. } => grants_too_many(detail),
        }
    }
}

impl From<IssueTokenError> for Problem {
    fn from(error: IssueTokenError) -> Self {
        let detail = error.to_string();
        match error {
            IssueTokenError::Access(error) => error.into(),
            IssueTokenError::Invalid(error) => error.into(),
            IssueTokenError::State(error) => error.into(),
            IssueTokenError::Store(error) => error.into(),
            IssueTokenError::GrantsTooMany { .. } => grants_too_many(detail),
            IssueTokenError::TtlOutOfBounds { .. } => Self::new(ProblemCode::TtlOutOfBounds, detail.clone())
                .with_error("/ttl_secs", "out_of_bounds", detail),
        }
    }
}

impl From<CreateTenantError> for Problem {
    fn from(error: CreateTenantError) -> Self {
        match error {
            CreateTenantError::Access(error) => error.into(),
            CreateTenantError::Invalid(error) => error.into(),
            CreateTenantError::Store(error) => error.into(),
            CreateTenantError::Busy => busy(),
        }
    }
}

/// The bounded pool that hashes passwords is full.
fn busy() -> Problem {
    Problem::new(ProblemCode::RateLimited, "too many passwords are being checked at this moment")
        .with_retry_after_secs(BUSY_SECS)
}

fn locked_out(secs: u64) -> Problem {
    Problem::new(ProblemCode::LockedOut, "too many failed attempts").with_retry_after_secs(secs.max(1))
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        let detail = error.to_string();
        match error {
            SignInError::CredentialsWrong => Self::new(ProblemCode::CredentialsWrong, detail),
            SignInError::LockedOut { retry_after_secs } => locked_out(retry_after_secs),
            SignInError::Busy => busy(),
            SignInError::Store(error) => error.into(),
        }
    }
}

impl From<ChangePasswordError> for Problem {
    fn from(error: ChangePasswordError) -> Self {
        let detail = error.to_string();
        match error {
            ChangePasswordError::CredentialsWrong => Self::new(ProblemCode::CredentialsWrong, detail),
            ChangePasswordError::Invalid(error) => error.into(),
            ChangePasswordError::LockedOut { retry_after_secs } => locked_out(retry_after_secs),
            ChangePasswordError::Busy => busy(),
            ChangePasswordError::Store(error) => error.into(),
        }
    }
}

impl From<EnrolError> for Problem {
    fn from(error: EnrolError) -> Self {
        let detail = error.to_string();
        match error {
            EnrolError::JoinTokenWrong => Self::new(ProblemCode::CredentialsWrong, detail),
            EnrolError::Invalid(error) => error.into(),
            EnrolError::Store(error) => error.into(),
        }
    }
}

impl From<QueryMessagesError> for Problem {
    fn from(error: QueryMessagesError) -> Self {
        let detail = error.to_string();
        match error {
            QueryMessagesError::Access(error) => error.into(),
            QueryMessagesError::State(error) => error.into(),
            QueryMessagesError::Store(error) => error.into(),
            QueryMessagesError::TopicFilter { .. } => Self::new(ProblemCode::InvalidTopicFilter, detail),
            QueryMessagesError::Window | QueryMessagesError::Limit(_) => {
                Self::new(ProblemCode::InvalidParameter, detail)
            }
            QueryMessagesError::Cursor => Self::new(ProblemCode::InvalidCursor, detail),
            QueryMessagesError::HistoryDisabled { .. } => Self::new(ProblemCode::HistoryDisabled, detail),
            QueryMessagesError::NodeUnavailable => Self::new(ProblemCode::NodeUnavailable, detail),
            QueryMessagesError::TimedOut => Self::new(ProblemCode::QueryTimeout, detail),
        }
    }
}

impl From<ListSharedGroupsError> for Problem {
    fn from(error: ListSharedGroupsError) -> Self {
        let detail = error.to_string();
        match error {
            ListSharedGroupsError::Access(error) => error.into(),
            ListSharedGroupsError::Store(error) => error.into(),
            ListSharedGroupsError::Limit(_) => Self::new(ProblemCode::InvalidParameter, detail),
            ListSharedGroupsError::Cursor => Self::new(ProblemCode::InvalidCursor, detail),
            ListSharedGroupsError::NodeUnavailable => Self::new(ProblemCode::NodeUnavailable, detail),
            ListSharedGroupsError::TimedOut => Self::new(ProblemCode::QueryTimeout, detail),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let detail = error.to_string();
        match error {
            PublishError::Access(error) => error.into(),
            PublishError::Invalid(error) => error.into(),
            PublishError::State(error) => error.into(),
            PublishError::Store(error) => error.into(),
            PublishError::Busy => {
                Self::new(ProblemCode::RateLimited, detail).with_retry_after_secs(BUSY_SECS)
            }
            PublishError::StorageUnavailable | PublishError::NodeUnavailable => {
                Self::new(ProblemCode::NodeUnavailable, detail)
            }
            PublishError::Unknown => Self::new(ProblemCode::NodeUnavailable, detail).uncertain(),
            PublishError::TimedOut => Self::new(ProblemCode::QueryTimeout, detail).uncertain(),
        }
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        let detail = error.to_string();
        match error {
            ExportError::InvalidCursor => Self::new(ProblemCode::InvalidCursor, detail),
            ExportError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use service::webhooks::target::TargetError;

    use super::*;

    #[track_caller]
    fn check(problem: impl Into<Problem>, status: u16, code: &str) -> serde_json::Value {
        let json = serde_json::to_value(problem.into().body("r")).expect("serializes");
        assert_eq!(
            (json["status"].as_u64(), json["code"].as_str()),
            (Some(status.into()), Some(code)),
            "{json}"
        );
        json
    }

    #[test]
    fn a_fact_has_its_code_wherever_it_comes_from() {
        let gone = || AccessError::not_found("topic", "cars");
        check(gone(), 404, "not_found");
        check(GetError::Access(gone()), 404, "not_found");
        check(IssueTokenError::Access(gone()), 404, "not_found");
        let denied = AccessError::PermissionDenied { missing: "topics:write" };
        let json = check(CreateTopicError::Access(denied), 403, "permission_denied");
        assert_eq!(json["missing_permission"], "topics:write");
        check(AccessError::OperatorOnly, 403, "operator_only");
        check(AccessError::TenantSuspended, 403, "tenant_suspended");
        check(WrongState("x".into()), 409, "wrong_state");
        check(DeleteInstanceError::DeleteProtected, 409, "delete_protected");
        let json = check(UpdateError::Revision(RevisionMismatch { current: 7 }), 412, "revision_mismatch");
        assert_eq!(json["revision"], 7);
        check(ListError::InvalidCursor, 400, "invalid_cursor");
        check(ListError::InvalidLimit(0), 400, "invalid_parameter");
        check(ListError::InvalidSort, 400, "invalid_parameter");
        let in_use = InUse { channel: "ops".into(), rule: "many".into() };
        check(DeleteChannelError::InUse(in_use), 409, "in_use");
        let lately = TestedLately { channel: "ops".into(), retry_after_secs: 7 };
        let lately = Problem::from(TestChannelError::Lately(lately));
        assert_eq!(lately.retry_after_secs(), Some(7));
        check(lately, 429, "rate_limited");
        let unknown = AddressForbidden(TargetError::Plain("example.com".into()));
        let json = check(WriteChannelError::AddressForbidden(unknown), 422, "address_forbidden");
        assert_eq!(json["errors"][0]["pointer"], "/url");
        check(SignInError::CredentialsWrong, 401, "credentials_wrong");
        check(SignInError::LockedOut { retry_after_secs: 60 }, 429, "locked_out");
        check(ExportError::InvalidCursor, 400, "invalid_cursor");
        check(ListSharedGroupsError::Access(gone()), 404, "not_found");
        check(ListSharedGroupsError::Limit(0), 400, "invalid_parameter");
        check(ListSharedGroupsError::Cursor, 400, "invalid_cursor");
        check(ListSharedGroupsError::NodeUnavailable, 503, "node_unavailable");
        check(ListSharedGroupsError::TimedOut, 504, "query_timeout");
    }

    #[test]
    fn a_publication_whose_outcome_is_unknown_says_so() {
        for (error, status, code) in
            [(PublishError::TimedOut, 504, "query_timeout"), (PublishError::Unknown, 503, "node_unavailable")]
        {
            let json = check(error, status, code);
            assert_eq!((&json["uncertain"], &json["retryable"]), (&true.into(), &false.into()), "{code}");
        }
        for error in [PublishError::NodeUnavailable, PublishError::StorageUnavailable] {
            let json = check(error, 503, "node_unavailable");
            assert_eq!((json.get("uncertain"), &json["retryable"]), (None, &true.into()));
        }
    }

    #[tokio::test]
    async fn a_chart_whose_making_failed_is_a_fault_of_ours() {
        let failed = tokio::spawn(std::future::pending::<()>());
        failed.abort();
        let error = failed.await.expect_err("it was stopped");
        check(QueryMetricsError::Failed(error), 500, "internal");
    }

    #[test]
    fn a_limit_says_which_and_how_much() {
        let reached = LimitReached {
            name: "topics_max",
            value: 100,
            used: 100,
            scope: "instance",
            subject: "cars".into(),
        };
        let json = check(CreateTopicError::Limit(reached.clone()), 409, "limit_reached");
        assert_eq!(
            json["limit"],
            serde_json::json!({"name": "topics_max", "value": 100, "used": 100, "scope": "instance"})
        );
        let error = ChangePlanError::WouldExceedLimits { plan: "free".into(), exceeded: vec![reached] };
        let json = check(error, 409, "would_exceed_limits");
        assert_eq!(
            (&json["limit"]["name"], &json["errors"][0]["code"]),
            (&"topics_max".into(), &"topics_max".into())
        );
    }

    #[test]
    fn bad_values_keep_their_places() {
        let mut invalid = Invalid::field("/name", "required", "a topic has a name");
        invalid.0.extend(Invalid::field("/labels/a", "too_long", "too long").0);
        let json = check(CreateTopicError::Invalid(invalid), 422, "validation_failed");
        assert_eq!(json["errors"][1]["pointer"], "/labels/a");
        let json =
            check(IssueTokenError::TtlOutOfBounds { given: 1, min: 60, max: 90 }, 422, "ttl_out_of_bounds");
        assert_eq!(json["errors"][0]["pointer"], "/ttl_secs");
        let taken = NameTaken { pointer: "/name", name: "cars".into() };
        let json = check(CreateTopicError::NameTaken(taken), 409, "name_taken");
        assert_eq!(json["errors"][0]["pointer"], "/name");
    }
}
