//! Golden examples played: through the interpreter and through the generated script, with what each
//! attempt came to and which constraints were seen at work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::scripted::{Scripted, compact};
use crate::lua::emit::emit;
use crate::order::Attempt;
use crate::plan::decision::{Decision, Rejection};
use crate::plan::eval::{decide, evaluate_constraints};
use crate::plan::merge::merge;
use crate::plan::{CheckedPlan, check};
use crate::rejection::Own;
use crate::ruleset::{Asked, Precheck, Verdict};
use crate::wasm::examples::{check_context, outcome, rule_plan, state, steps};
use crate::wasm::{Descriptor, Example, Expected, Host, Inspected, ModuleError};

/// All examples of one module together: compiling their parameters and playing them.
pub const EXAMPLES_TIME_MAX: Duration = Duration::from_secs(8);
/// Revision number in the scripts of examples.
const REVISION: u32 = 1;

/// What came of all examples of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleReport {
    pub module: String,
    pub version: String,
    pub digest: String,
    pub examples: Vec<ExampleReport>,
    /// One per reason of the descriptor, in its order.
    pub reasons: Vec<ReasonSeen>,
}

/// What came of one example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExampleReport {
    pub name: String,
    /// Why it could not be played to its end: parameters or plan refused, the script failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// In order; fewer than the example has where it failed.
    pub attempts: Vec<AttemptReport>,
    /// One per constraint of the plan, in its order; then one per reason that a precheck gave.
    pub constraints: Vec<ConstraintSeen>,
}

/// One attempt: `admitted` or a reason code, three times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttemptReport {
    /// What the module promises.
    pub expected: String,
    /// What the interpreter says.
    pub oracle: String,
    /// What the generated script does.
    pub script: String,
    /// Where interpreter and script give the same code with other numbers: both in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
}

/// A constraint at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConstraintSeen {
    pub reason: String,
    pub sentence: String,
    /// Attempts it applied to and let pass.
    pub passed: usize,
    pub rejected: usize,
}

/// A declared reason over all examples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReasonSeen {
    pub reason: String,
    /// Attempts that a constraint with this reason applied to and let pass.
    pub passed: usize,
    pub rejected: usize,
}

impl AttemptReport {
    pub fn holds(&self) -> bool {
        self.expected == self.oracle && self.expected == self.script && self.difference.is_none()
    }
}

impl ExampleReport {
    fn failed(name: &str, failure: String) -> Self {
        Self {
            name: name.to_owned(),
            failure: Some(failure),
            attempts: Vec::new(),
            constraints: Vec::new(),
        }
    }

    /// An attempt that came no further than the precheck, which counts as a constraint of its reason.
    fn refuse(&mut self, promised: &Expected, (reason, title): (String, String)) {
        self.attempts.push(AttemptReport {
            expected: word(promised.clone()),
            oracle: reason.clone(),
            script: reason.clone(),
            difference: None,
        });
        let sentence = format!("precheck: {title}");
        let known = |seen: &&mut ConstraintSeen| seen.reason == reason && seen.sentence == sentence;
        match self.constraints.iter_mut().find(known) {
            Some(seen) => seen.rejected += 1,
            None => self.constraints.push(ConstraintSeen {
                reason,
                sentence,
                passed: 0,
                rejected: 1,
            }),
        }
    }

    pub fn holds(&self) -> bool {
        self.failure.is_none() && self.attempts.iter().all(AttemptReport::holds)
    }

    /// The first thing that is not as promised, as a sentence.
    pub fn lie(&self) -> Option<String> {
        let wrong = self.attempts.iter().position(|attempt| !attempt.holds());
        if let Some(index) = wrong {
            let AttemptReport {
                expected,
                oracle,
                script,
                difference,
            } = &self.attempts[index];
            let found = match difference {
                Some(difference) => difference.clone(),
                None if oracle == script => format!("the plan gives {oracle}"),
                None => format!("the interpreter gives {oracle} and the script {script}"),
            };
            return Some(format!(
                "example {:?}, attempt {index}: promised {expected}, {found}",
                self.name
            ));
        }
        let failure = self.failure.as_ref()?;
        Some(format!("example {:?}: {failure}", self.name))
    }
}

impl ModuleReport {
    fn new(module: &Inspected, examples: Vec<ExampleReport>) -> Self {
        let Descriptor {
            id, version, reasons, ..
        } = &module.descriptor;
        let seen = |reason: &str| {
            let constraints = examples.iter().flat_map(|example| &example.constraints);
            let (passed, rejected) = constraints
                .filter(|constraint| constraint.reason == reason)
                .fold((0, 0), |(passed, rejected), constraint| {
                    (passed + constraint.passed, rejected + constraint.rejected)
                });
            ReasonSeen {
                reason: reason.to_owned(),
                passed,
                rejected,
            }
        };
        let reasons = reasons.iter().map(|reason| seen(&reason.code)).collect();
        Self {
            module: id.clone(),
            version: version.clone(),
            digest: module.digest.clone(),
            reasons,
            examples,
        }
    }

    /// What does not hold, one sentence per example.
    pub fn lies(&self) -> Vec<String> {
        self.examples.iter().filter_map(ExampleReport::lie).collect()
    }

    /// Declared reasons that no attempt of any example is rejected with.
    pub fn unseen(&self) -> Vec<&str> {
        let unseen = self.reasons.iter().filter(|seen| seen.rejected == 0);
        unseen.map(|seen| seen.reason.as_str()).collect()
    }

    /// Attempts played.
    pub fn attempts(&self) -> usize {
        self.examples.iter().map(|example| example.attempts.len()).sum()
    }
}

/// Compiles and plays every example of a module, off the serving threads. Ends early at an example whose
/// parameters make the module trap or overrun, and when [`EXAMPLES_TIME_MAX`] is over. The error is the
/// host's own, or the bytes are not those that were inspected.
pub async fn play_module(
    host: &Host,
    module: &Inspected,
    bytes: Arc<[u8]>,
) -> Result<ModuleReport, ModuleError> {
    let deadline = Instant::now() + EXAMPLES_TIME_MAX;
    let mut reports = Vec::new();
    for example in &module.descriptor.examples {
        if Instant::now() >= deadline {
            reports.push(ExampleReport::failed(&example.name, too_slow()));
            break;
        }
        let compiled = host
            .compile(module, bytes.clone(), &example.context, &example.params)
            .await;
        let plan = match compiled {
            Ok(compiled) => compiled.plan,
            Err(ModuleError::Params(found)) => {
                let first = found
                    .first()
                    .map_or(String::new(), |d| format!(" at {:?}: {}", d.pointer, d.message));
                let failure = format!("the module refuses its own parameters{first}");
                reports.push(ExampleReport::failed(&example.name, failure));
                continue;
            }
            Err(error @ ModuleError::Misbehaved { .. }) => {
                reports.push(ExampleReport::failed(&example.name, error.to_string()));
                break;
            }
            Err(error @ ModuleError::Refused { .. }) => return Err(error),
        };
        let rule = rule_plan(&module.descriptor, plan);
        let precheck = match module.descriptor.precheck {
            false => None,
            true => {
                let ready = host.precheck(module, bytes.clone(), &rule.name, &example.params);
                Some(ready.await?)
            }
        };
        let example = example.clone();
        let played = tokio::task::spawn_blocking(move || {
            let checked = merge(vec![rule]).and_then(|merged| check(merged, check_context(&example)));
            match checked {
                Ok(plan) => play(&example, &plan, precheck.as_deref()),
                Err(error) => ExampleReport::failed(&example.name, format!("its plan is refused: {error}")),
            }
        });
        reports.push(played.await.map_err(|error| ModuleError::Refused {
            code: "host",
            message: format!("an example could not be played: {error}"),
        })?);
    }
    Ok(ModuleReport::new(module, reports))
}

fn too_slow() -> String {
    format!(
        "not reached: the examples before it took {} seconds, which is all there is for a module's examples",
        EXAMPLES_TIME_MAX.as_secs()
    )
}

/// Plays an example through interpreter and script. `plan` is the example's own: compiled from its
/// parameters and checked against [`check_context`]. A precheck has its say before either.
pub fn play(example: &Example, plan: &CheckedPlan, precheck: Option<&dyn Precheck>) -> ExampleReport {
    let mut oracle = state(example);
    let opened = compact(plan)
        .and_then(|plan| emit(Arc::new(plan), REVISION))
        .map_err(|error| format!("its plan is refused: {error}"))
        .and_then(|family| Scripted::open(family, &oracle));
    let scripted = match opened {
        Ok(scripted) => scripted,
        Err(failure) => return ExampleReport::failed(&example.name, failure),
    };
    let mut report = ExampleReport {
        name: example.name.clone(),
        failure: None,
        attempts: Vec::new(),
        constraints: plan.plan().constraints.iter().map(unseen).collect(),
    };
    for (index, step) in steps(example).into_iter().enumerate() {
        if let Some(found) = precheck.and_then(|precheck| refused(precheck, &step.attempt)) {
            report.refuse(&step.expect, found);
            continue;
        }
        let applied = evaluate_constraints(plan, &oracle, &step.attempt, step.now);
        let expected = decide(plan, REVISION, &mut oracle, &step.attempt, step.now);
        see(&mut report.constraints, &applied, &expected);
        match scripted.admit(step.now, std::slice::from_ref(&step.attempt)) {
            Ok(found) => report
                .attempts
                .push(compare(plan, &step.expect, &expected, &found[0])),
            Err(error) => {
                report.failure = Some(format!("attempt {index}: the script failed: {error}"));
                break;
            }
        }
    }
    report
}

/// What a precheck refuses an attempt with: code, and what it stands for.
fn refused(precheck: &dyn Precheck, attempt: &Attempt) -> Option<(String, String)> {
    let asked = Asked {
        attempt,
        unread: &BTreeMap::new(),
    };
    match precheck.check(&asked) {
        Verdict::Pass => None,
        Verdict::Reject(objection) => Some((objection.code, objection.title)),
        Verdict::Failed => Some((Own::PrecheckFailed.name().into(), "The precheck failed".into())),
    }
}

fn word(expected: Expected) -> String {
    match expected {
        Expected::Admitted => "admitted".to_owned(),
        Expected::Rejected(reason) => reason,
    }
}

fn unseen(constraint: &crate::plan::Constraint) -> ConstraintSeen {
    ConstraintSeen {
        reason: constraint.reason.clone(),
        sentence: constraint.sentence.clone(),
        passed: 0,
        rejected: 0,
    }
}

/// Counts the constraints that had a say: those before the one that failed, and that one.
fn see(seen: &mut [ConstraintSeen], applied: &[Option<bool>], decision: &Decision) {
    let reached = match decision {
        Decision::Admitted | Decision::Rejected(Rejection::WindowFull { .. }) => seen.len(),
        Decision::Rejected(Rejection::Constraint { index, .. }) => {
            seen[*index as usize].rejected += 1;
            *index as usize
        }
        _ => 0,
    };
    for (constraint, applied) in seen.iter_mut().zip(applied).take(reached) {
        constraint.passed += usize::from(applied.is_some());
    }
}

fn compare(plan: &CheckedPlan, promised: &Expected, oracle: &Decision, script: &Decision) -> AttemptReport {
    let (says, does) = (word(outcome(plan, oracle)), word(outcome(plan, script)));
    let difference = (says == does && oracle != script)
        .then(|| format!("the interpreter gives {oracle:?} and the script {script:?}"));
    AttemptReport {
        expected: word(promised.clone()),
        oracle: says,
        script: does,
        difference,
    }
}
