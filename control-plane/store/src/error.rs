//! What can go wrong below the rules, and what a broken constraint means.

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint whose meaning is known was broken.
    #[error("the database refused a row: {0:?}")]
    Constraint(Constraint),
    /// The database does not answer, or ended the connection: try again later.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// A value that the database cannot hold: a null character, a number or time out of its range.
    #[error("a value cannot be stored")]
    Value(#[source] sqlx::Error),
    /// A row that this release cannot understand, or a statement that failed: ours to mend.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

/// What a broken constraint means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Constraint {
    /// A member with this address exists.
    EmailTaken,
    /// A plan of this name and version exists.
    PlanTaken,
    /// The tenant has an instance of this name.
    InstanceNameTaken,
    /// The instance has a topic of this name.
    TopicTaken,
    /// The instance has a credential of this user name.
    UsernameTaken,
    /// The instance has an alarm rule of this name.
    AlarmRuleTaken,
    /// The rule has an open alarm.
    AlarmOpen,
    /// The instance has a channel of this name.
    ChannelTaken,
}

/// Every constraint with a meaning, by its name in the schema.
const CONSTRAINTS: &[(&str, Constraint)] = &[
    ("member_email_key", Constraint::EmailTaken),
    ("plan_name_version_key", Constraint::PlanTaken),
    ("instance_tenant_id_name_key", Constraint::InstanceNameTaken),
    ("topic_pkey", Constraint::TopicTaken),
    ("credential_instance_id_username_key", Constraint::UsernameTaken),
    ("alarm_rule_instance_id_name_key", Constraint::AlarmRuleTaken),
    ("alarm_open_key", Constraint::AlarmOpen),
    ("channel_instance_id_name_key", Constraint::ChannelTaken),
];

impl StoreError {
    /// Whether trying again later may help.
    #[must_use]
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether what was given cannot be stored, whoever tries it and however often.
    #[must_use]
    pub const fn is_value(&self) -> bool {
        matches!(self, Self::Value(_))
    }

    /// Whether this constraint was broken.
    #[must_use]
    pub fn breaks(&self, constraint: Constraint) -> bool {
        matches!(self, Self::Constraint(broken) if *broken == constraint)
    }
}

/// SQLSTATE classes that say *not now*: connection exceptions, insufficient resources, operator intervention.
const UNAVAILABLE_CLASSES: &[&str] = &["08", "53", "57"];
/// What says so besides: a lock that was not had in time, a deadlock, a read-only server (as a standby is).
const UNAVAILABLE_CODES: &[&str] = &["55P03", "40P01", "25006"];
/// What a value that cannot be held answers: null characters, texts that are no number, time or UUID, what is too large.
const VALUE_CODES: &[&str] = &["22021", "22P05", "22P02", "22007", "22008", "22003"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error {
            let known = database
                .constraint()
                .and_then(|name| CONSTRAINTS.iter().find(|(constraint, _)| *constraint == name));
            if let Some((_, constraint)) = known {
                return Self::Constraint(*constraint);
            }
            let code = database.code().unwrap_or_default();
            if VALUE_CODES.contains(&&*code) {
                return Self::Value(error);
            }
            let unavailable = UNAVAILABLE_CODES.contains(&&*code)
                || UNAVAILABLE_CLASSES.iter().any(|class| code.starts_with(class));
            return if unavailable { Self::Unavailable(error) } else { Self::Database(error) };
        }
        if matches!(error, sqlx::Error::Encode(_)) {
            return Self::Value(error);
        }
        let unavailable = matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
        );
        if unavailable { Self::Unavailable(error) } else { Self::Database(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constraint_with_a_meaning_is_one_of_the_schema() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
        let schema: String = std::fs::read_dir(folder)
            .expect("the migrations")
            .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a text"))
            .collect();
        for (name, constraint) in CONSTRAINTS {
            assert!(schema.contains(name), "`{name}`, which means {constraint:?}");
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_is_ours() {
        assert!(StoreError::from(sqlx::Error::PoolTimedOut).is_unavailable());
        assert!(StoreError::from(sqlx::Error::Io(std::io::Error::other("cut"))).is_unavailable());
        assert!(!StoreError::from(sqlx::Error::RowNotFound).is_unavailable());
        assert!(StoreError::from(sqlx::Error::Encode("a time beyond any calendar".into())).is_value());
    }
}
