//! Looks at a module before it is compiled, as far as that costs no more than reading it: what it imports and
//! exports, how much code it has, and whether its parts multiply. What is left is bounded by the child that compiles it.

use wasmparser::{FunctionBody, Operator, Parser, Payload};

use super::ModuleError;
use super::bounds::{
    COMPONENT_DEPTH_MAX, EXPORTS_MAX, FUNCTIONS_MAX, LOOP_LOCALS_MAX, LOOP_LOCALS_TOTAL_MAX,
};
use super::parts::Parts;
use super::refused;
use super::sections::{each, invalid, too_many};
use crate::wire::echo;

/// Imports that are named in an error; the others are counted.
const NAMED_MAX: usize = 8;
/// Begins the name of the section in which a core module says which world it was built against; wit-bindgen writes it.
pub(super) const WORLD_SECTION: &str = "component-type";

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// The first of the outermost imports, quoted.
    pub(super) imports: Vec<String>,
    /// Imports beyond those.
    pub(super) more_imports: usize,
    /// Names the component exports; a core module has none of these.
    pub(super) exports: Vec<String>,
    /// The first names that a core module exports, quoted.
    pub(super) core_exports: Vec<String>,
    /// Exports beyond those.
    pub(super) more_exports: usize,
    /// Whether a core module says which world it was built against.
    pub(super) has_world: bool,
    /// Bytes of all function bodies, of every core module inside.
    pub(super) code_bytes: u64,
    functions: u64,
    loop_locals: u64,
}

/// Reads the module once, section by section. What is not valid further down is left to the validation.
pub(super) fn look(bytes: &[u8]) -> Result<Look, ModuleError> {
    let (mut look, mut parts, mut depth) = (Look::default(), Parts::default(), 0_usize);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            // The outermost one ends too, and was not counted.
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > COMPONENT_DEPTH_MAX {
            let message = format!("components are inside each other more than {COMPONENT_DEPTH_MAX} deep");
            return Err(refused("too-complex", message));
        }
        if depth == 0 {
            look.outermost(&payload)?;
        }
        look.code(&payload)?;
        parts.add(&payload)?;
    }
    Ok(look)
}

impl Look {
    fn outermost(&mut self, payload: &Payload<'_>) -> Result<(), ModuleError> {
        match payload {
            Payload::ComponentImportSection(section) => each(section, |import| {
                self.import(import.name.name.to_owned());
                Ok(())
            }),
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let import = import.map_err(invalid)?;
                    self.import(format!("{}/{}", import.module, import.name));
                }
                Ok(())
            }
            Payload::ExportSection(section) => each(section, |export| {
                let name = echo(export.name);
                match self.core_exports.len() < NAMED_MAX {
                    true => self.core_exports.push(name),
                    false => self.more_exports += 1,
                }
                Ok(())
            }),
            Payload::CustomSection(section) => {
                self.has_world |= section.name().starts_with(WORLD_SECTION);
                Ok(())
            }
            Payload::ComponentExportSection(section) => each(section, |export| {
                self.exports.push(export.name.name.to_owned());
                match self.exports.len() > EXPORTS_MAX {
                    true => Err(too_many("exports", EXPORTS_MAX as u64)),
                    false => Ok(()),
                }
            }),
            _ => Ok(()),
        }
    }

    fn import(&mut self, name: String) {
        match self.imports.len() < NAMED_MAX {
            true => self.imports.push(echo(&name)),
            false => self.more_imports += 1,
        }
    }

    fn code(&mut self, payload: &Payload<'_>) -> Result<(), ModuleError> {
        match payload {
            Payload::FunctionSection(section) => {
                self.functions += u64::from(section.count());
                match self.functions > FUNCTIONS_MAX {
                    true => Err(too_many("functions", FUNCTIONS_MAX)),
                    false => Ok(()),
                }
            }
            Payload::CodeSectionEntry(body) => {
                self.code_bytes += body.range().len() as u64;
                let weight = weight(body).unwrap_or_default();
                self.loop_locals = self.loop_locals.saturating_add(weight);
                match weight > LOOP_LOCALS_MAX || self.loop_locals > LOOP_LOCALS_TOTAL_MAX {
                    true => Err(slow_to_compile()),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

fn slow_to_compile() -> ModuleError {
    let message = format!(
        "it has functions of so many loops and local variables that compiling them would take minutes: their product \
         may be {LOOP_LOCALS_MAX} in one function and {LOOP_LOCALS_TOTAL_MAX} in all. Was it built without optimisation?"
    );
    refused("too-complex", message)
}

/// Loops times local variables: for each pair the compiler keeps a value. `None` where it cannot be read.
fn weight(body: &FunctionBody<'_>) -> Option<u64> {
    let locals = body
        .get_locals_reader()
        .ok()?
        .into_iter()
        .map(|local| Some(u64::from(local.ok()?.0)));
    let locals: u64 = locals.sum::<Option<u64>>()?;
    let mut loops = 0_u64;
    for operator in body.get_operators_reader().ok()? {
        loops += u64::from(matches!(operator.ok()?, Operator::Loop { .. }));
    }
    Some(loops.saturating_mul(locals))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(text: &str) -> Option<&'static str> {
        let bytes = wat::parse_str(text).expect("valid text");
        match look(&bytes) {
            Ok(_) => None,
            Err(ModuleError::Refused { code, .. }) => Some(code),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "(component ".repeat(depth), ")".repeat(depth));
        assert_eq!(code_of(&nested(COMPONENT_DEPTH_MAX + 1)), None);
        assert_eq!(code_of(&nested(COMPONENT_DEPTH_MAX + 2)), Some("too-complex"));
    }

    #[test]
    fn loops_times_locals_are_bounded_per_function() {
        let function = |loops: u64, locals: u64| {
            format!(
                "(func {} {} {})",
                "(local i32)".repeat(locals as usize),
                "(loop ".repeat(loops as usize),
                ")".repeat(loops as usize)
            )
        };
        let fits = function(50, LOOP_LOCALS_MAX / 50);
        assert_eq!(code_of(&format!("(module {fits}{fits})")), None);
        let over = function(50, LOOP_LOCALS_MAX / 50 + 1);
        assert_eq!(
            code_of(&format!("(component (core module {fits}{over}))")),
            Some("too-complex")
        );
    }

    #[test]
    fn functions_are_counted_over_all_modules() {
        let half = "(func)".repeat(FUNCTIONS_MAX as usize / 2);
        let two = format!("(core module {half})(core module {half}");
        assert_eq!(code_of(&format!("(component {two}))")), None);
        assert_eq!(code_of(&format!("(component {two}(func)))")), Some("too-complex"));
    }

    #[test]
    fn imports_and_exports_of_the_outermost_are_named() {
        let text = r#"(component
            (import "wasi:clocks/wall-clock@0.2.0" (instance))
            (component (import "inner" (func)))
            (instance $i) (export "acme:rules/limit@1.0.0" (instance $i)))"#;
        let seen = look(&wat::parse_str(text).expect("valid text")).expect("small");
        assert_eq!(seen.imports, ["\"wasi:clocks/wall-clock@0.2.0\""]);
        assert_eq!(seen.exports, ["acme:rules/limit@1.0.0"]);
        let many: String = (0..NAMED_MAX + 3)
            .map(|n| format!("(import \"wasi\" \"f{n}\" (func))"))
            .collect();
        let seen = look(&wat::parse_str(format!("(module {many})")).expect("valid text")).expect("small");
        assert_eq!((seen.imports[0].as_str(), seen.more_imports), ("\"wasi/f0\"", 3));
    }

    #[test]
    fn what_is_garbled_is_refused_or_left_to_the_validation() {
        let bytes = wat::parse_str("(component (core module (func (loop))))").expect("valid text");
        for cut in 8..bytes.len() {
            if let Err(error) = look(&bytes[..cut]) {
                assert!(error.to_string().contains("not valid"), "{error}");
            }
        }
        assert!(look(&[0xff; 64]).is_err());
    }

    #[test]
    fn modules_of_compilers_are_far_from_the_bounds() {
        for (name, bytes) in super::super::builtin() {
            let seen = look(bytes).expect(name);
            assert!(seen.functions < FUNCTIONS_MAX / 50, "{name}: {seen:?}");
            assert!(
                seen.code_bytes > 10_000 && seen.imports.is_empty(),
                "{name}: {seen:?}"
            );
        }
    }
}
