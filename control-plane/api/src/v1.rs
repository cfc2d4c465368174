//! For people and their programs: everything below `/v1`. One file a resource, its bodies beside its handlers.

mod alarm_rules;
mod alarms;
mod audit;
mod channels;
mod credentials;
mod durability;
mod instance_lifecycle;
mod instances;
mod me;
mod message_properties;
mod messages;
mod metrics;
mod missing;
mod nodes;
mod parameters;
mod plans;
mod session;
mod shared_groups;
mod shared_strategy;
mod signing_keys;
mod tenants;
mod time;
mod token_revocation;
mod tokens;
mod topics;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

/// Every operation of `/v1`, into `router`.
pub(crate) fn add_to(router: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
    router
        .routes(routes!(session::sign_in, session::get_session, session::sign_out))
        .routes(routes!(session::refresh_session))
        .routes(routes!(me::get_me, me::update_me))
        .routes(routes!(me::change_password))
        .routes(routes!(time::get_time))
        .routes(routes!(tenants::create_tenant, tenants::list_tenants))
        .routes(routes!(tenants::get_tenant, tenants::update_tenant))
        .routes(routes!(tenants::suspend_tenant))
        .routes(routes!(tenants::resume_tenant))
        .routes(routes!(audit::list_audit))
        .routes(routes!(plans::create_plan, plans::list_plans))
        .routes(routes!(plans::get_plan))
        .routes(routes!(plans::create_plan_version))
        .routes(routes!(plans::retire_plan))
        .merge(of_instances())
        .merge(of_alarms())
        .routes(routes!(nodes::list_nodes))
        .routes(routes!(nodes::create_join_token))
        .routes(routes!(nodes::get_node))
}

fn of_instances() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(instances::create_instance, instances::list_instances))
        .routes(routes!(instances::get_instance, instances::update_instance, instances::delete_instance))
        .routes(routes!(instance_lifecycle::suspend_instance))
        .routes(routes!(instance_lifecycle::resume_instance))
        .routes(routes!(instance_lifecycle::restore_instance))
        .routes(routes!(instance_lifecycle::change_plan))
        .routes(routes!(instances::get_endpoints))
        .routes(routes!(instances::get_limits))
        .routes(routes!(instances::get_rollout))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(topics::create_topic, topics::list_topics))
        .routes(routes!(topics::get_topic, topics::update_topic, topics::delete_topic))
        .routes(routes!(messages::list_messages))
        .routes(routes!(messages::publish_message))
        .routes(routes!(messages::get_message))
        .routes(routes!(messages::get_message_payload))
        .routes(routes!(shared_groups::list_shared_groups))
        .routes(routes!(credentials::create_credential, credentials::list_credentials))
        .routes(routes!(
            credentials::get_credential,
            credentials::update_credential,
            credentials::delete_credential
        ))
        .routes(routes!(credentials::disable_credential))
        .routes(routes!(credentials::enable_credential))
        .routes(routes!(credentials::rotate_credential))
        .routes(routes!(tokens::issue_token, tokens::list_tokens))
        .routes(routes!(tokens::issue_token_batch))
        .routes(routes!(token_revocation::revoke_tokens))
        .routes(routes!(token_revocation::introspect_token))
        .routes(routes!(tokens::get_token))
        .routes(routes!(token_revocation::revoke_token))
        .routes(routes!(signing_keys::list_signing_keys))
        .routes(routes!(signing_keys::rotate_signing_key))
        .routes(routes!(signing_keys::get_jwks))
        .routes(routes!(signing_keys::revoke_signing_key))
}

fn of_alarms() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(alarm_rules::create_alarm_rule, alarm_rules::list_alarm_rules))
        .routes(routes!(
            alarm_rules::get_alarm_rule,
            alarm_rules::update_alarm_rule,
            alarm_rules::delete_alarm_rule
        ))
        .routes(routes!(alarms::list_alarms))
        .routes(routes!(alarms::get_alarm))
        .routes(routes!(alarms::acknowledge_alarm))
        .routes(routes!(channels::create_channel, channels::list_channels))
        .routes(routes!(channels::get_channel, channels::update_channel, channels::delete_channel))
        .routes(routes!(channels::test_channel))
        .routes(routes!(channels::rotate_channel_secret))
        .routes(routes!(channels::list_deliveries))
}
