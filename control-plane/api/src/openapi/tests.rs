//! The documents are committed, current and sound.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::*;

fn documents() -> [(&'static str, Value); 2] {
    [("control-plane.v1.json", control_plane()), ("node.v1.json", node())]
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path =
        |(path, item): (&String, &'_ Value)| (path.clone(), item.as_object().expect("a path").clone());
    paths
        .iter()
        .map(of_path)
        .flat_map(|(path, item)| item.into_iter().map(move |(method, _)| (path.clone(), method)))
        .map(|(path, method)| {
            let operation = &document["paths"][&path][&method];
            (path, method, operation)
        })
        .collect()
}

fn walk<'a>(value: &'a Value, each: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            each(members);
            members.values().for_each(|member| walk(member, each));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_committed_documents_are_current() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi"));
    for (name, document) in documents() {
        let file = folder.join(name);
        if std::env::var_os("UPDATE_OPENAPI").is_some_and(|value| value == "1") {
            std::fs::write(&file, text(&document)).expect("the document can be written");
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
        assert!(
            committed == document,
            "{name} is not current: run the tests with UPDATE_OPENAPI=1 and commit it"
        );
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for (name, document) in documents() {
        let mut count = 0;
        walk(&document, &mut |members| {
            let Some(reference) = members.get("$ref").and_then(Value::as_str) else { return };
            let pointer = reference.strip_prefix('#').expect("a reference within the document");
            assert!(document.pointer(pointer).is_some(), "{name}: {reference} leads nowhere");
            count += 1;
        });
        assert!(count > 0, "{name}");
    }
}

#[test]
fn every_operation_says_who_may_call_it_and_what_can_go_wrong() {
    for (name, document) in documents() {
        let names = |value: &Value| -> BTreeSet<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|tag| tag["name"].as_str().map(str::to_owned))
                .collect()
        };
        let tags = names(&document["tags"]);
        let schemes = document["components"]["securitySchemes"].as_object().expect("security schemes");
        let mut ids = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let place = format!("{name}: {method} {path}");
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{place} has no id"));
            assert!(ids.insert(id.to_owned()), "{place}: the id `{id}` is taken");
            assert!(operation["summary"].is_string(), "{place} has no summary");
            let of_operation = operation["tags"].as_array().expect("tags");
            assert!(
                of_operation.iter().all(|tag| tag.as_str().is_some_and(|tag| tags.contains(tag))),
                "{place}: tags"
            );
            assert!(!of_operation.is_empty(), "{place} has no tag");
            let security =
                operation["security"].as_array().unwrap_or_else(|| panic!("{place} has no security"));
            assert!(!security.is_empty(), "{place}: an empty list of security would mean the default");
            for scheme in security.iter().flat_map(|way| way.as_object().expect("a way").keys()) {
                assert!(schemes.contains_key(scheme), "{place}: no scheme `{scheme}`");
            }
            let responses = operation["responses"].as_object().expect("responses");
            for (status, response) in responses {
                assert!(
                    response["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{place}: {status}"
                );
            }
            for status in ["4XX", "5XX"] {
                let schema = &responses[status]["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{place}: {status}");
            }
        }
    }
}

#[test]
fn the_parameters_of_a_path_are_those_that_it_names() {
    for (name, document) in documents() {
        for (path, method, operation) in operations(&document) {
            let named: BTreeSet<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let mut declared = BTreeSet::new();
            for parameter in &parameters {
                let parameter_name = parameter["name"].as_str().expect("a name");
                assert!(parameter["description"].is_string(), "{name}: {method} {path}: `{parameter_name}`");
                assert!(parameter["schema"].is_object(), "{name}: {method} {path}: `{parameter_name}`");
                if parameter["in"] == "path" {
                    declared.insert(parameter_name);
                }
            }
            assert_eq!(declared, named, "{name}: {method} {path}");
        }
    }
}

#[test]
fn only_what_needs_nobody_is_open_to_everybody() {
    let open: Vec<String> = documents()
        .iter()
        .flat_map(|(_, document)| {
            operations(document).into_iter().map(|(path, method, it)| (path, method, it.clone()))
        })
        .filter(|(_, _, operation)| operation["security"] == json!([{}]))
        .map(|(path, method, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(open, ["post /v1/session", "get /v1/time", "post /node/v1/enrol"]);
}

#[test]
fn what_is_said_of_operations_is_said_of_some() {
    let document = control_plane();
    let ids: BTreeMap<String, String> = operations(&document)
        .into_iter()
        .map(|(_, method, operation)| (operation["operationId"].as_str().expect("an id").to_owned(), method))
        .collect();
    for id in WITHOUT_GENERATION {
        assert!(ids.get(*id).is_some_and(|method| method != "get"), "{id} is no operation that writes");
    }
    for (name, _) in PATH_PARAMETERS {
        let used = document["paths"]
            .as_object()
            .expect("paths")
            .keys()
            .any(|path| path.contains(&format!("{{{name}}}")));
        assert!(used, "no path has `{name}`");
    }
}

#[test]
fn a_secret_stands_in_no_answer_but_the_one_that_makes_it() {
    let document = control_plane();
    let secrets = ["secret", "one_time_password", "token", "password"];
    let mut shown = BTreeSet::new();
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        if name.ends_with("Request") {
            continue;
        }
        walk(schema, &mut |members| {
            let properties = members.get("properties").and_then(Value::as_object);
            for property in
                properties.into_iter().flat_map(Map::keys).filter(|it| secrets.contains(&it.as_str()))
            {
                shown.insert(format!("{name}.{property}"));
            }
        });
    }
    let expected = [
        "ChannelWithSecret.secret",
        "CreatedTenant.one_time_password",
        "CredentialWithSecret.secret",
        "IssuedToken.token",
        "JoinToken.token",
        "Session.token",
        "TokenBatchResult.token",
    ];
    assert_eq!(shown.into_iter().collect::<Vec<_>>(), expected);
}
