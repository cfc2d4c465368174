//! The OpenAPI documents: what the handlers say, and what holds for all of them and is said once, here.

use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use crate::caller::{CSRF_HEADER, SESSION_COOKIE};
use crate::problem::ProblemBody;
use crate::state::AppState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "IoT MQ control plane",
        description = "Tenants, instances, topics, credentials and temporary tokens of an MQTT cloud. An error is a problem (RFC 9457) with a stable code: see /docs/errors.",
        version = "1",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "session", description = "Signing in and out"),
        (name = "me", description = "The caller's own account"),
        (name = "time", description = "What time it is"),
        (name = "tenants", description = "Organisations"),
        (name = "audit", description = "Who changed what"),
        (name = "plans", description = "Named, versioned sets of limits"),
        (name = "instances", description = "Isolated MQTT namespaces"),
        (name = "topics", description = "Provisioned topics and their rules"),
        (name = "messages", description = "Messages that topics keep, and publishing without a device"),
        (name = "shared-groups", description = "Shared subscriptions: their members and what waits for them"),
        (name = "credentials", description = "How devices prove themselves for long"),
        (name = "tokens", description = "Temporary rights of devices to connect and act"),
        (name = "signing-keys", description = "The keys that sign temporary tokens"),
        (name = "metrics", description = "What is counted of an instance"),
        (name = "alarms", description = "Rules that watch metrics, and the alarms that they raise"),
        (name = "channels", description = "Where alarms are told"),
        (name = "nodes", description = "Broker processes, for operators"),
    )
)]
struct ControlPlane;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "IoT MQ node",
        description = "How nodes get their configuration and report. Nodes and controllers may be one release apart: unknown members are passed over on both sides.",
        version = "1",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemBody)),
    tags((name = "node", description = "For broker processes"))
)]
struct Node;

/// The operations of `/v1` and their document, not yet finished.
pub(crate) fn control_plane_router() -> OpenApiRouter<AppState> {
    let mut document = ControlPlane::openapi();
    let components = document.components.get_or_insert_default();
    let cookie = ApiKeyValue::with_description(SESSION_COOKIE, "The session, for browsers");
    components.add_security_scheme("session_cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let csrf = ApiKeyValue::with_description(CSRF_HEADER, "The session's CSRF token, beside the cookie");
    components.add_security_scheme("csrf_token", SecurityScheme::ApiKey(ApiKey::Header(csrf)));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The session's token, for programs"));
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    crate::v1::add_to(OpenApiRouter::with_openapi(document))
}

/// The operations of `/node/v1` and their document, not yet finished.
pub(crate) fn node_router() -> OpenApiRouter<AppState> {
    let mut document = Node::openapi();
    let components = document.components.get_or_insert_default();
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("`<node id>.<secret>`"));
    components.add_security_scheme("node_key", SecurityScheme::Http(key.build()));
    crate::node::add_to(OpenApiRouter::with_openapi(document))
}

/// The document of `/v1`.
#[must_use]
pub fn control_plane() -> Value {
    finish(control_plane_router().into_openapi(), control_plane_operation)
}

/// The document of `/node/v1`.
#[must_use]
pub fn node() -> Value {
    finish(node_router().into_openapi(), |_, _, operation| {
        operation.entry("security").or_insert_with(|| json!([{"node_key": []}]));
    })
}

/// A document as it is kept in a file and served.
#[must_use]
pub fn text(document: &Value) -> String {
    serde_json::to_string_pretty(document).expect("a JSON value serializes") + "\n"
}

type Operation = Map<String, Value>;

fn finish(document: utoipa::openapi::OpenApi, each: fn(&str, &str, &mut Operation)) -> Value {
    let mut document = serde_json::to_value(document).expect("a document serializes");
    document["components"]["headers"] = json!({
        "RequestId": {"description": "The id of this request", "schema": {"type": "string", "format": "uuid"}},
        "RateLimit": {"description": "What the caller may still ask", "schema": {"type": "string"},
            "example": "\"key\";r=42;t=1"},
    });
    let paths = document["paths"].as_object_mut().expect("a document has paths");
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().expect("a path has operations") {
            let operation = operation.as_object_mut().expect("an operation is an object");
            each(path, method, operation);
            finish_operation(path, operation);
        }
    }
    plain_descriptions(&mut document);
    document
}

/// The code's own cross references mean nothing to readers of a document.
fn plain_descriptions(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text
                    .replace("[`", "`")
                    .replace("`]", "`")
                    .replace("crate::feed::", "")
                    .replace('\n', " ");
            }
            members.values_mut().for_each(plain_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(plain_descriptions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn finish_operation(path: &str, operation: &mut Operation) {
    let responses = operation["responses"].as_object_mut().expect("responses are an object");
    for (status, description) in
        [("4XX", "The request is not done: see `code`"), ("5XX", "A fault: see `code`")]
    {
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        let content = json!({"application/problem+json": {"schema": schema}});
        responses.insert(status.to_owned(), json!({"description": description, "content": content}));
    }
    for response in responses.values_mut() {
        response["headers"]["Request-Id"] = json!({"$ref": "#/components/headers/RequestId"});
        if path.starts_with("/v1/") {
            response["headers"]["RateLimit"] = json!({"$ref": "#/components/headers/RateLimit"});
        }
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        if let (true, Some((_, description))) =
            (parameter.get("description").is_none(), PATH_PARAMETERS.iter().find(|(known, _)| *known == name))
        {
            parameter["description"] = json!(description);
        }
    }
}

/// What the parts of paths name.
const PATH_PARAMETERS: &[(&str, &str)] = &[
    ("tenant_id", "The tenant"),
    ("instance_id", "The instance"),
    ("credential_id", "The credential"),
    ("token_id", "The temporary token"),
    ("alarm_rule_id", "The alarm rule"),
    ("alarm_id", "The alarm"),
    ("channel_id", "The channel"),
    ("node_id", "The node"),
    ("message_id", "The message"),
    ("topic", "The topic's name; `/` as `%2F`"),
    ("plan", "The plan's name"),
    ("kid", "The signing key's name"),
];

/// What is written without any node having to know, so that there is nothing to wait for.
const WITHOUT_GENERATION: &[&str] = &[
    "sign_in",
    "sign_out",
    "refresh_session",
    "update_me",
    "change_password",
    "create_tenant",
    "update_tenant",
    "create_plan",
    "create_plan_version",
    "retire_plan",
    "create_join_token",
    "issue_token",
    "issue_token_batch",
    "introspect_token",
    "create_alarm_rule",
    "update_alarm_rule",
    "delete_alarm_rule",
    "acknowledge_alarm",
    "create_channel",
    "update_channel",
    "delete_channel",
    "test_channel",
    "rotate_channel_secret",
    "publish_message",
];

fn control_plane_operation(path: &str, method: &str, operation: &mut Operation) {
    let reads = method == "get";
    let public = operation.contains_key("security");
    operation.entry("security").or_insert_with(|| {
        if reads {
            json!([{"session_cookie": []}, {"bearer": []}])
        } else {
            json!([{"session_cookie": [], "csrf_token": []}, {"bearer": []}])
        }
    });
    if reads {
        return;
    }
    let mut more = Vec::new();
    if method == "post" && !public {
        more.push(json!({"name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same key with the same request gets the first answer again, for 24 hours",
            "schema": {"type": "string", "minLength": 16, "maxLength": 64}}));
    }
    if matches!(method, "patch" | "delete") && path != "/v1/session" {
        more.push(json!({"name": "If-Match", "in": "header", "required": false,
            "description": "The `ETag` last seen; what has changed since is left alone (412)",
            "schema": {"type": "string"}}));
    }
    let id = operation["operationId"].as_str().unwrap_or_default();
    if !WITHOUT_GENERATION.contains(&id) {
        more.push(json!({"name": "Prefer", "in": "header", "required": false,
            "description": "`wait=<seconds>`, at most 10: hold the answer until every reachable node has applied it",
            "schema": {"type": "string"}, "example": "wait=2"}));
        for (status, response) in operation["responses"].as_object_mut().expect("responses are an object") {
            if status.starts_with('2') {
                response["headers"]["Iotmq-Generation"] = json!({"description": "The generation that carries it to the nodes", "schema": {"type": "integer"}});
                response["headers"]["Iotmq-Applied"] = json!({"schema": {"type": "string"}, "example": "3/3",
                    "description": "How many of the reachable nodes have it; only with `Prefer: wait`"});
            }
        }
    }
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    parameters.as_array_mut().expect("parameters are a list").extend(more);
}

#[cfg(test)]
mod tests;
