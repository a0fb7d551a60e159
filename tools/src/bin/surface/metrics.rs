//! Metrics by name: their type, help text and labels.

use std::collections::{BTreeMap, BTreeSet};

use testkit::deployment::Member;
use testkit::http::Http;

use crate::Page;

/// What is known of one metric.
#[derive(Default)]
struct Metric {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

pub async fn write(page: &mut Page, gateway: &Member, lander: &Member) {
    for (role, member) in [("serve", gateway), ("land", lander)] {
        page.section(&format!("metrics of {role}"));
        let url = format!("http://{}/metrics", member.admin);
        let reply = Http::new().get(&url, &[]).await;
        for (name, metric) in read(&reply.text()) {
            let labels: Vec<&str> = metric.labels.iter().map(String::as_str).collect();
            page.line(format!(
                "{name} {} {{{}}}  {}",
                metric.kind,
                labels.join(","),
                metric.help
            ));
        }
    }
}

fn read(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            current = name.to_owned();
            metrics.entry(current.clone()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            current = name.to_owned();
            metrics.entry(current.clone()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') && !current.is_empty() {
            metrics
                .entry(current.clone())
                .or_default()
                .labels
                .extend(labels(line));
        }
    }
    metrics
}

/// Names of the labels of a sample.
fn labels(sample: &str) -> Vec<String> {
    let Some((_, rest)) = sample.split_once('{') else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let mut rest = rest;
    while let Some((name, after)) = rest.split_once("=\"") {
        names.push(name.trim_start_matches(',').to_owned());
        match after.split_once('"') {
            Some((_, after)) => rest = after,
            None => break,
        }
    }
    names
}
