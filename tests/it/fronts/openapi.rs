//! The contracts of both planes against what there is: routes, methods, parameters, problems, and the files that are made of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hyper::Method;
use rushgate::admin::{ROUTES, query_parameters};
use rushgate::wire::problem;
use serde_json::Value;
use testkit::openapi::{Documents, followed, operations};

use crate::fronts::wire::{Reply, call};
use crate::fronts::{control, stage};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn names(document: &Value, operation: &Value, place: &str) -> BTreeSet<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let of = parameters
        .map(|one| followed(document, one))
        .filter(|one| one["in"] == place);
    of.map(|one| match one["schema"]["propertyNames"].is_object() {
        true => "client.<name>".to_owned(),
        false => one["name"].as_str().unwrap_or_default().to_owned(),
    })
    .collect()
}

#[test]
fn the_files_are_those_of_this_build() {
    for (path, text) in Documents::of_this_build().files(&read("docs/API.md"), &read("docs/ACCESS.md")) {
        assert!(
            read(path) == text,
            "{path} is not current: ./x openapi makes it anew"
        );
    }
}

/// What is asked of whoever comes stands in one table, which has every route and no other.
#[test]
fn every_operation_of_the_control_plane_says_what_a_key_needs() {
    let document = Documents::of_this_build().admin;
    let mut described = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let Some(path) = path.strip_prefix("/admin/v1") else {
            continue;
        };
        described.insert(format!("{method} {path}"));
        let scopes = operation["security"].as_array().into_iter().flatten();
        let scopes: Vec<&str> = scopes.filter_map(|one| one["bearer"][0].as_str()).collect();
        let route = ROUTES
            .iter()
            .find(|route| route.method == method && route.path == path);
        let route = route.unwrap_or_else(|| panic!("{method} {path} has no row in src/admin/routes.rs"));
        let asked: Vec<&str> = route.scopes.iter().map(|scope| scope.as_str()).collect();
        assert_eq!(scopes, asked, "{method} {path}");
    }
    let rows: BTreeSet<String> = ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(described, rows);
}

#[test]
fn every_operation_has_a_name_of_its_own_and_every_reference_something_behind_it() {
    let Documents { orders, admin } = Documents::of_this_build();
    for document in [orders, admin] {
        let mut seen = BTreeSet::new();
        for (method, path, operation) in operations(&document) {
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(
                !id.is_empty() && seen.insert(id.to_owned()),
                "{method} {path}: {id:?}"
            );
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|said| !said.ends_with('.')),
                "{method} {path}"
            );
            for one in operation["parameters"].as_array().into_iter().flatten() {
                let said = &followed(&document, one)["description"];
                assert!(
                    said.as_str().is_some_and(|said| !said.is_empty()),
                    "{method} {path}: {one}"
                );
            }
        }
        references(&document, &document);
    }
}

fn references(value: &Value, document: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, document)),
        Value::Object(members) => {
            if let Some(named) = members.get("$ref").and_then(Value::as_str) {
                let there = named.strip_prefix('#').and_then(|path| document.pointer(path));
                assert!(there.is_some(), "{named} names nothing");
            }
            members.values().for_each(|member| references(member, document));
        }
        _ => {}
    }
}

/// Patterns of routes as the sources of the control plane have them.
fn routed() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let files = fs::read_dir(root().join("src/admin")).expect("the control plane");
    for file in files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.is_file())
    {
        let text = fs::read_to_string(&file).expect("text");
        for rest in text.split(".route(").skip(1) {
            if let Some(rest) = rest.trim_start().strip_prefix('"')
                && let Some((path, _)) = rest.split_once('"')
            {
                found.insert(path.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_route_of_the_control_plane_is_described() {
    let document = Documents::of_this_build().admin;
    let described: BTreeSet<&str> = operations(&document).iter().map(|(_, path, _)| *path).collect();
    let routes = routed();
    assert!(routes.len() > 40, "{routes:?}");
    for path in routes {
        let path = path.replace("{*slug}", "{slug}");
        let whole = format!("/admin/v1{path}");
        assert!(
            described.contains(path.as_str()) || described.contains(whole.as_str()),
            "{path} is a route that no contract describes: src/wire/openapi/README.md says how"
        );
    }
}

/// The path of a pattern.
fn filled(pattern: &str) -> String {
    let of = |part: &str| {
        match part {
            "{campaign}" => "spring",
            "{slug}" => "sold-out",
            "{order}" => "00000000000000000000000000000001",
            "{version}" | "{revision}" => "1",
            part if part.starts_with('{') => "spring",
            part => return part.to_owned(),
        }
        .to_owned()
    };
    pattern.split('/').map(of).collect::<Vec<_>>().join("/")
}

/// Methods that a path takes, `HEAD` aside, as it says itself.
async fn taken(address: std::net::SocketAddr, token: (&str, &str), path: &str) -> BTreeSet<String> {
    let reply: Reply = call(address, "TRACE", path, &[token], b"").await;
    assert_eq!(reply.status, 405, "{path}");
    let allowed = reply.header("allow").unwrap_or_default().to_owned();
    let methods = allowed.split(',').map(|method| method.trim().to_owned());
    methods.filter(|method| method != "HEAD").collect()
}

#[tokio::test]
async fn every_method_of_both_planes_is_described_and_no_other() {
    let Documents { orders, admin } = Documents::of_this_build();
    let gateway = stage::Running::start();
    let plane = control::start(Some("secret"));
    for (document, address, token) in [
        (orders, gateway.address, ("authorization", "Bearer dev:ada")),
        (admin, plane.address, ("authorization", "Bearer secret")),
    ] {
        let paths: BTreeSet<&str> = operations(&document).iter().map(|(_, path, _)| *path).collect();
        for path in paths {
            let described: BTreeSet<String> = operations(&document)
                .into_iter()
                .filter(|(_, of, _)| *of == path)
                .map(|(method, _, _)| method)
                .collect();
            assert_eq!(taken(address, token, &filled(path)).await, described, "{path}");
        }
    }
}

#[test]
fn every_query_parameter_is_described_and_no_other() {
    let Documents { orders, admin } = Documents::of_this_build();
    for (method, path, operation) in operations(&admin) {
        let known = query_parameters(&Method::from_bytes(method.as_bytes()).expect("a method"), path);
        let known: BTreeSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(names(&admin, operation, "query"), known, "{method} {path}");
    }
    // docs/HTTP.md, which its own tests hold against the data plane.
    let page = read("docs/HTTP.md");
    for (method, path, operation) in operations(&orders) {
        let row = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| `{method} {path}` | ")));
        let known: BTreeSet<String> = row.map_or_else(BTreeSet::new, |row| {
            row.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        });
        assert_eq!(names(&orders, operation, "query"), known, "{method} {path}");
    }
}

/// Problems that any path may have, and that no operation of a path that is there does.
const OF_ANY_PATH: [&str; 1] = ["method-not-allowed"];

#[test]
fn every_problem_is_named_by_an_operation_and_has_an_example() {
    let Documents { orders, admin } = Documents::of_this_build();
    let mut named = BTreeSet::new();
    for document in [&orders, &admin] {
        for (_, _, operation) in operations(document) {
            for (_, answer) in operation["responses"].as_object().into_iter().flatten() {
                let examples =
                    followed(document, answer)["content"]["application/problem+json"]["examples"].as_object();
                named.extend(examples.into_iter().flatten().map(|(slug, _)| slug.clone()));
            }
        }
        for kind in problem::ALL {
            let example = &document["components"]["examples"][kind.slug]["value"];
            assert_eq!(
                (example["type"].as_str(), example["status"].as_u64()),
                (Some(kind.uri), Some(kind.status.into()))
            );
        }
    }
    for kind in problem::ALL
        .iter()
        .filter(|kind| !OF_ANY_PATH.contains(&kind.slug))
    {
        assert!(
            named.contains(kind.slug),
            "no operation says that it may answer {}",
            kind.slug
        );
    }
}

#[tokio::test]
async fn both_planes_serve_their_contract_without_a_token() {
    let gateway = stage::Running::start();
    let plane = control::start(Some("secret"));
    for (address, file) in [
        (gateway.address, "docs/openapi/orders.json"),
        (plane.address, "docs/openapi/admin.json"),
    ] {
        let served = call(address, "GET", "/openapi.json", &[], b"").await;
        assert_eq!(
            (served.status, served.header("content-type")),
            (200, Some("application/json"))
        );
        assert!(served.body == read(file), "{file}");
        let page = call(address, "GET", "/docs", &[], b"").await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let html = &page.body;
        assert!(!html.contains("<script") && html.contains("/problems"), "{html}");
    }
}
