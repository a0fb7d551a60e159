//! Counts the parts of a component as often as they are instantiated. Components are taken apart while they
//! are compiled, so twenty that instantiate the one before twice are a million.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef,
    Encoding, Instance, Payload,
};

use super::ModuleError;
use super::bounds::PARTS_MAX;
use super::refused;
use super::sections::{each, too_many};

/// The components being read, the innermost last.
#[derive(Default)]
pub(super) struct Parts {
    open: Vec<Level>,
}

/// A component or core module that was begun.
#[derive(Default)]
struct Level {
    core: bool,
    /// Parts of an instance of it, so far.
    parts: u64,
    /// Its index space of components: parts of an instance of each.
    components: Vec<u64>,
}

impl Parts {
    pub(super) fn add(&mut self, payload: &Payload<'_>) -> Result<(), ModuleError> {
        match payload {
            Payload::Version { encoding, .. } => self.open.push(Level {
                core: *encoding == Encoding::Module,
                ..Level::default()
            }),
            Payload::End(_) => self.close(),
            _ => {
                let Some((level, outer)) = self.open.split_last_mut() else {
                    return Ok(());
                };
                if !level.core {
                    level.add(outer, payload)?;
                }
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some(closed) = self.open.pop() else { return };
        if let Some(parent) = self.open.last_mut()
            && !closed.core
        {
            parent.components.push(closed.parts);
        }
    }
}

impl Level {
    fn add(&mut self, outer: &[Level], payload: &Payload<'_>) -> Result<(), ModuleError> {
        match payload {
            Payload::InstanceSection(section) => each(section, |instance| {
                self.count(
                    1 + match instance {
                        Instance::Instantiate { args, .. } => args.len() as u64,
                        Instance::FromExports(exports) => exports.len() as u64,
                    },
                )
            }),
            Payload::ComponentInstanceSection(section) => each(section, |instance| match instance {
                ComponentInstance::Instantiate {
                    component_index,
                    args,
                } => {
                    let inner = self.components.get(component_index as usize).copied();
                    self.count(inner.unwrap_or_default().saturating_add(1 + args.len() as u64))
                }
                ComponentInstance::FromExports(exports) => self.count(1 + exports.len() as u64),
            }),
            Payload::ComponentAliasSection(section) => each(section, |alias| self.alias(outer, &alias)),
            Payload::ComponentImportSection(section) => each(section, |import| match import.ty {
                ComponentTypeRef::Component(_) => Err(handed_over()),
                _ => self.count(1),
            }),
            Payload::ComponentExportSection(section) => each(section, |export| {
                if export.kind == ComponentExternalKind::Component {
                    let known = self.components.get(export.index as usize).copied();
                    self.components.push(known.unwrap_or_default());
                }
                self.count(1)
            }),
            Payload::ComponentTypeSection(section) => self.count(u64::from(section.count())),
            Payload::CoreTypeSection(section) => self.count(u64::from(section.count())),
            Payload::ComponentCanonicalSection(section) => self.count(u64::from(section.count())),
            _ => Ok(()),
        }
    }

    fn alias(&mut self, outer: &[Level], alias: &ComponentAlias<'_>) -> Result<(), ModuleError> {
        match alias {
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Component,
                ..
            } => {
                return Err(handed_over());
            }
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::Component,
                count,
                index,
            } => {
                // None outward is the component itself; further out than there are is not valid.
                let from = match *count {
                    0 => Some(&self.components),
                    count => outer
                        .len()
                        .checked_sub(count as usize)
                        .map(|at| &outer[at].components),
                };
                let known = from.and_then(|components| components.get(*index as usize).copied());
                self.components.push(known.unwrap_or_default());
            }
            _ => {}
        }
        self.count(1)
    }

    fn count(&mut self, more: u64) -> Result<(), ModuleError> {
        self.parts = self.parts.saturating_add(more);
        match self.parts > PARTS_MAX {
            true => Err(too_many(
                "parts, those of components counted as often as they are instantiated",
                PARTS_MAX,
            )),
            false => Ok(()),
        }
    }
}

/// What such a component has inside is not known before it is compiled.
fn handed_over() -> ModuleError {
    let message = "it hands components to components, which no compiler of rule modules does";
    refused("too-complex", message.into())
}

#[cfg(test)]
mod tests {
    use super::super::shape::look;

    fn answer(text: &str) -> Result<(), String> {
        let bytes = wat::parse_str(text).expect("valid text");
        look(&bytes).map(drop).map_err(|error| error.to_string())
    }

    /// Each component instantiates the one before it twice.
    fn doubling(levels: usize) -> String {
        let level = |n: usize| {
            let before = n - 1;
            format!(
                "(component $c{n} (alias outer 1 $c{before} (component $b)) (instance (instantiate $b)) (instance (instantiate $b)))"
            )
        };
        let rest: String = (1..=levels).map(level).collect();
        format!("(component (component $c0) {rest} (instance (instantiate $c{levels})))")
    }

    #[test]
    fn parts_multiply() {
        assert_eq!(answer(&doubling(8)), Ok(()));
        let error = answer(&doubling(20)).expect_err("a million instances");
        assert!(error.contains("as often as they are instantiated"), "{error}");
    }

    #[test]
    fn components_inside_each_other_multiply_too() {
        let inner = (0..5).fold("(component)".to_owned(), |inner, _| {
            let ten = "(instance (instantiate 0))".repeat(10);
            format!("(component {inner} {ten})")
        });
        let error = answer(&inner).expect_err("10^5 instances");
        assert!(error.contains("too many parts"), "{error}");
    }

    #[test]
    fn a_component_under_another_name_is_still_that_component() {
        let level = |n: usize| {
            let before = n - 1;
            format!(
                "(component $c{n} (alias outer 1 $c{before} (component $b)) (export $e \"e\" (component $b))
                 (instance (instantiate $e)) (instance (instantiate $e)))"
            )
        };
        let rest: String = (1..=20).map(level).collect();
        let text = format!("(component (component $c0) {rest} (instance (instantiate $c20)))");
        let error = answer(&text).expect_err("a million instances");
        assert!(error.contains("too many parts"), "{error}");
    }

    #[test]
    fn components_that_come_from_elsewhere_are_refused() {
        let error = answer("(component (component (import \"c\" (component))))").expect_err("handed over");
        assert!(error.contains("hands components"), "{error}");
        let text = "(component (component $c (component $d) (export \"d\" (component $d)))
            (instance $i (instantiate $c)) (alias export $i \"d\" (component)))";
        let error = answer(text).expect_err("handed over");
        assert!(error.contains("hands components"), "{error}");
    }
}
