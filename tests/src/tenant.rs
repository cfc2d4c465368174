//! A tenant, its instances and their tokens, as a test speaks of them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::http_client::{Answer, Api, text};
use crate::mqtt_client::{Client, ClientBuilder};

/// How long a test's token is good, unless told.
const TOKEN_TTL_SECS: u64 = 3_600;

/// A tenant, with its owner signed in.
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The owner's address to sign in with.
    pub email: String,
    /// The owner.
    pub api: Api,
    /// Where each broker listens.
    pub mqtt: Vec<SocketAddr>,
}

/// An instance, reached as its owner.
#[derive(Clone)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// The first label of its server name.
    pub label: String,
    /// The owner.
    pub api: Api,
    /// Where each broker listens.
    pub mqtt: Vec<SocketAddr>,
}

/// A temporary token.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its id.
    pub id: String,
    /// The token itself.
    pub text: String,
}

impl Tenant {
    /// An instance that accepts any topic, on the plan `standard`.
    pub async fn open_instance(&self, name: &str) -> Instance {
        self.instance(json!({"name": name, "plan": "standard", "topic_mode": "open"})).await
    }

    /// An instance that accepts provisioned topics alone, on the plan `standard`.
    pub async fn provisioned_instance(&self, name: &str) -> Instance {
        self.instance(json!({"name": name, "plan": "standard", "topic_mode": "provisioned"})).await
    }

    /// An instance on a plan of this name, which accepts any topic.
    pub async fn instance_on_plan(&self, name: &str, plan: &str) -> Instance {
        self.instance(json!({"name": name, "plan": plan, "topic_mode": "open"})).await
    }

    /// An instance made of this body; it accepts passwords and tokens unless the body says otherwise. It is on every
    /// node when it comes.
    pub async fn instance(&self, mut body: Value) -> Instance {
        if body["authentication"].is_null() {
            body["authentication"] = json!(["password", "token"]);
        }
        let answer = self.api.waiting().post(&format!("/v1/tenants/{}/instances", self.id), body).await;
        answer.created();
        Instance {
            id: answer.text("id"),
            label: answer.text("label"),
            api: self.api.clone(),
            mqtt: self.mqtt.clone(),
        }
    }
}

impl Instance {
    /// The path of something in this instance: `path` begins with a slash or is empty.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("/v1/instances/{}{path}", self.id)
    }

    /// Creates a topic; every node has it when this returns.
    pub async fn topic(&self, body: Value) -> Answer {
        let answer = self.api.waiting().post(&self.path("/topics"), body).await;
        answer.created();
        answer
    }

    /// Creates a credential; every node has it when this returns. Answers the API's answer, with the secret in it.
    pub async fn credential(&self, username: &str, more: Value) -> Answer {
        let mut body = json!({"kind": "password", "username": username, "grants": everything()});
        merge(&mut body, more);
        let answer = self.api.waiting().post(&self.path("/credentials"), body).await;
        answer.created();
        answer
    }

    /// A token for this client identifier that may do everything.
    pub async fn token(&self, client_id: &str) -> Token {
        self.token_of(json!({"client_id": client_id})).await
    }

    /// A token for this client identifier with these grants.
    pub async fn token_with_grants(&self, client_id: &str, grants: Value) -> Token {
        self.token_of(json!({"client_id": client_id, "grants": grants})).await
    }

    /// A token of this body; what is left out is an hour and everything.
    pub async fn token_of(&self, body: Value) -> Token {
        let answer = self.issue(body).await;
        answer.created();
        Token { id: answer.text("id"), text: answer.text("token") }
    }

    /// The answer to issuing a token of this body; what is left out is an hour and everything.
    pub async fn issue(&self, more: Value) -> Answer {
        let mut body = json!({"ttl_secs": TOKEN_TTL_SECS, "grants": everything()});
        merge(&mut body, more);
        self.api.post(&self.path("/tokens"), body).await
    }

    /// Takes tokens back; every node has done so when this returns.
    pub async fn revoke(&self, selector: Value) -> Answer {
        let answer = self.api.waiting().post(&self.path("/tokens/revoke"), selector).await;
        answer.ok();
        answer
    }

    /// A client without any proof yet.
    #[must_use]
    pub fn client(&self, client_id: &str) -> ClientBuilder {
        ClientBuilder::new(self.mqtt[0], client_id)
    }

    /// A client with a token of its own that may do everything.
    pub async fn client_with_token(&self, client_id: &str) -> ClientBuilder {
        self.client(client_id).token(&self.token(client_id).await.text)
    }

    /// A connected client that may do everything.
    pub async fn connect(&self, client_id: &str) -> Client {
        self.client_with_token(client_id).await.connect().await
    }

    /// The same at another broker.
    pub async fn connect_at(&self, broker: usize, client_id: &str) -> Client {
        self.client_with_token(client_id).await.at(self.mqtt[broker]).connect().await
    }

    /// A connected client with these grants.
    pub async fn connect_with_grants(&self, client_id: &str, grants: Value) -> Client {
        let token = self.token_with_grants(client_id, grants).await;
        self.client(client_id).token(&token.text).connect().await
    }
}

/// Grants for everything that is served.
#[must_use]
pub fn everything() -> Value {
    json!([{"actions": ["publish", "subscribe", "replay"], "topic_filter": "#", "qos_max": 2, "retain": true}])
}

/// Grants for publishing alone.
#[must_use]
pub fn publish_only(filter: &str) -> Value {
    json!([{"actions": ["publish"], "topic_filter": filter}])
}

/// Grants for subscribing alone.
#[must_use]
pub fn subscribe_only(filter: &str) -> Value {
    json!([{"actions": ["subscribe"], "topic_filter": filter}])
}

/// The ids of the items of a list.
#[track_caller]
#[must_use]
pub fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().expect("a list").iter().map(|item| text(item, "id")).collect()
}

/// Puts the members of `more` over those of `body`.
fn merge(body: &mut Value, more: Value) {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
}
