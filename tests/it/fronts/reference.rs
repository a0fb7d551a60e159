//! docs/API.md against the routes that there are, as docs/surface.txt has them, and the parameters of their queries.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hyper::Method;
use rushgate::admin::query_parameters;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).expect("the page is there")
}

/// Methods and path of each route of a plane that the surface lists.
fn listed(plane: &str) -> BTreeSet<(String, String)> {
    let surface = read("docs/surface.txt");
    let (_, section) = surface
        .split_once(&format!("\n### {plane}\n"))
        .expect("the plane");
    let lines = section.lines().take_while(|line| line.starts_with('/'));
    let routes = lines.filter_map(|line| line.split_once("  405 "));
    routes
        .flat_map(|(path, methods)| {
            let methods = methods
                .split(',')
                .map(str::trim)
                .filter(|method| *method != "HEAD");
            methods.map(|method| (method.to_owned(), path.to_owned()))
        })
        .collect()
}

/// What the page says of a plane: method, pattern, and the text of each route.
fn described(plane: &str) -> Vec<(String, String, String)> {
    let page = read("docs/API.md");
    let (_, section) = page.split_once(&format!("\n## {plane}")).expect("the plane");
    let section = section.split("\n## ").next().unwrap_or_default();
    section
        .split("\n### ")
        .skip(1)
        .flat_map(|part| {
            let heading = part.lines().next().unwrap_or_default();
            let named = heading.split('`').filter_map(|code| code.split_once(' '));
            let is_route = |(_, path): &(&str, &str)| path.starts_with('/');
            let route = |(method, path): (&str, &str)| (method.to_owned(), path.to_owned(), part.to_owned());
            named.filter(is_route).map(route).collect::<Vec<_>>()
        })
        .collect()
}

/// Whether a path is one of a pattern.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    let same = |(pattern, path): (&&str, &&str)| pattern == path || pattern.starts_with('{');
    pattern.len() == path.len() && pattern.iter().zip(&path).all(same)
}

#[test]
fn every_route_is_described_and_nothing_else() {
    for (plane, title) in [
        ("data plane", "Orders"),
        ("control plane of a gateway", "Control plane"),
    ] {
        let (listed, described) = (listed(plane), described(title));
        assert!(listed.len() >= 6, "{listed:?}");
        for (method, path) in &listed {
            // The most exact pattern: `…/members/{member}` is no `…/{id}/{version}`.
            let found = described
                .iter()
                .any(|(of, pattern, _)| of == method && fits(pattern, path));
            assert!(found, "docs/API.md does not describe {method} {path}");
        }
        for (method, pattern, text) in &described {
            let exists = listed
                .iter()
                .any(|(of, path)| of == method && fits(pattern, path));
            assert!(
                exists,
                "docs/API.md describes {method} {pattern}, which docs/surface.txt does not have"
            );
            assert!(
                text.contains("\n    curl "),
                "{method} {pattern} has no call to copy"
            );
        }
    }
}

#[test]
fn every_query_parameter_of_the_control_plane_is_described() {
    for (method, pattern, text) in described("Control plane") {
        let known = query_parameters(
            &Method::from_bytes(method.as_bytes()).expect("a method"),
            &pattern,
        );
        for name in known {
            let is_named = text.contains(&format!("`{name}`")) || text.contains(&format!("`{name}="));
            assert!(
                is_named,
                "{method} {pattern} takes {name}, of which docs/API.md says nothing"
            );
        }
        assert_eq!(text.contains("Query:"), !known.is_empty(), "{method} {pattern}");
    }
    // docs/HTTP.md has the same in a table.
    let page = read("docs/HTTP.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut rows = rows.filter_map(|row| row.split_once("` | ").filter(|(route, _)| route.contains(" /")));
    let mut seen = 0;
    assert!(rows.all(|(route, named)| {
        let (method, path) = route.split_once(' ').expect("method and path");
        if path.starts_with("/v1/") || path == "/shop" {
            return true;
        }
        seen += 1;
        let known = query_parameters(&Method::from_bytes(method.as_bytes()).expect("a method"), path);
        let named: BTreeSet<&str> = named.split('`').skip(1).step_by(2).collect();
        assert_eq!(named, known.iter().copied().collect(), "docs/HTTP.md: {route}");
        true
    }));
    assert!(
        seen >= 10,
        "{seen} routes of the control plane are in docs/HTTP.md"
    );
}
