//! What was found: a line per step, for people and as JSON.

use serde::Serialize;
use serde_json::{Value, json};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingLevel {
    Ok,
    /// Orders flow, and somebody should look at it.
    Warning,
    /// A role does not start so, or takes no orders.
    Failed,
}

impl FindingLevel {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        }
    }
}

/// What one step found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub step: &'static str,
    #[serde(rename = "verdict")]
    pub level: FindingLevel,
    /// What is there. Never a secret.
    pub found: String,
    /// A command to run or a key to set; none where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Finding {
    pub(super) fn ok(step: &'static str, found: impl Into<String>) -> Self {
        Self {
            step,
            level: FindingLevel::Ok,
            found: found.into(),
            todo: None,
        }
    }

    pub(super) fn warning(step: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self {
            step,
            level: FindingLevel::Warning,
            found: found.into(),
            todo: Some(todo.into()),
        }
    }

    pub(super) fn failed(step: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self {
            level: FindingLevel::Failed,
            ..Self::warning(step, found, todo)
        }
    }
}

/// One leg: its steps in order, up to the one that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LegReport {
    pub leg: &'static str,
    pub findings: Vec<Finding>,
    /// Steps behind the one that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_tried: Vec<&'static str>,
}

impl LegReport {
    fn failed(&self) -> Option<&Finding> {
        let mut findings = self.findings.iter();
        findings.find(|finding| finding.level == FindingLevel::Failed)
    }
}

/// All legs, in the order in which they need each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub legs: Vec<LegReport>,
}

impl Report {
    /// The worst of all findings.
    pub fn level(&self) -> FindingLevel {
        let findings = self.legs.iter().flat_map(|leg| &leg.findings);
        findings
            .map(|finding| finding.level)
            .max()
            .unwrap_or(FindingLevel::Ok)
    }

    /// A line per finding, then one that says which leg fails first.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for leg in &self.legs {
            for Finding {
                step,
                level,
                found,
                todo,
            } in &leg.findings
            {
                let todo = todo
                    .as_deref()
                    .map(|todo| format!(" -> {todo}"))
                    .unwrap_or_default();
                text += &format!("{:<8} {:<13} {step:<12} {found}{todo}\n", level.word(), leg.leg);
            }
            if !leg.not_tried.is_empty() {
                text += &format!("{:<8} {:<13} {}\n", "-", leg.leg, not_tried(&leg.not_tried));
            }
        }
        text + &self.summary() + "\n"
    }

    fn summary(&self) -> String {
        let count = |wanted: FindingLevel| {
            let findings = self.legs.iter().flat_map(|leg| &leg.findings);
            findings.filter(|finding| finding.level == wanted).count()
        };
        let warnings = match count(FindingLevel::Warning) {
            0 => String::new(),
            1 => "; 1 warning".to_owned(),
            n => format!("; {n} warnings"),
        };
        let mut failed = self
            .legs
            .iter()
            .filter_map(|leg| Some((leg.leg, leg.failed()?.step)));
        let Some((leg, step)) = failed.next() else {
            return format!("all legs are well{warnings}");
        };
        let others: Vec<String> = failed.map(|(leg, step)| format!("{leg} at {step}")).collect();
        let others = match others.is_empty() {
            true => String::new(),
            false => format!("; then {}", others.join(", ")),
        };
        format!("{leg} fails first, at {step}{others}{warnings}")
    }

    pub fn json(&self) -> Value {
        let failed = self
            .legs
            .iter()
            .find_map(|leg| Some((leg.leg, leg.failed()?.step)));
        json!({
            "verdict": self.level(),
            "fails_first": failed.map(|(leg, step)| json!({"leg": leg, "step": step})),
            "legs": self.legs,
        })
    }
}

fn not_tried(steps: &[&str]) -> String {
    format!("not tried: {}", steps.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let leg = |leg, findings, not_tried| LegReport {
            leg,
            findings,
            not_tried,
        };
        let redis = [
            Finding::ok("address", "r:6379"),
            Finding::failed("login", "WRONGPASS", "set the password in redis.url"),
        ];
        let kafka = [Finding::warning("settings", "one replica", "add replicas")];
        Report {
            legs: vec![
                leg("redis", redis.into(), vec!["server", "rights"]),
                leg("kafka", kafka.into(), Vec::new()),
            ],
        }
    }

    #[test]
    fn a_line_says_what_was_found_and_what_to_do() {
        assert_eq!(
            report().text(),
            "ok       redis         address      r:6379\n\
             FAILED   redis         login        WRONGPASS -> set the password in redis.url\n\
             -        redis         not tried: server, rights\n\
             warning  kafka         settings     one replica -> add replicas\n\
             redis fails first, at login; 1 warning\n"
        );
    }

    #[test]
    fn the_worst_finding_decides() {
        let mut report = report();
        assert_eq!(report.level(), FindingLevel::Failed);
        assert_eq!(
            report.json()["fails_first"],
            json!({"leg": "redis", "step": "login"})
        );
        assert_eq!(report.json()["legs"][0]["findings"][1]["verdict"], "failed");
        report.legs.remove(0);
        assert_eq!(report.level(), FindingLevel::Warning);
        assert_eq!(report.json()["fails_first"], Value::Null);
        assert!(report.text().ends_with("\nall legs are well; 1 warning\n"));
    }
}
