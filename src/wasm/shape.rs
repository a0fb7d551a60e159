//! Looks at a module before it is compiled: compiling cannot be stopped half-way, and some code takes the
//! square of its size. What takes no more than its size is bounded by the size alone.

use wasmparser::{FunctionBody, Operator, Parser, Payload};

use super::ModuleError;
use super::bounds::{COMPONENT_DEPTH_MAX, LOOP_LOCALS_MAX, LOOP_LOCALS_TOTAL_MAX};
use super::contract::refused;

/// What is not valid is left to the validation, which says where.
pub(super) fn check(bytes: &[u8]) -> Result<(), ModuleError> {
    let (mut depth, mut total) = (0, 0_u64);
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return Ok(()) };
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            // The outermost one ends too, and was not counted.
            Payload::End(_) => depth = usize::saturating_sub(depth, 1),
            Payload::CodeSectionEntry(body) => {
                let weight = weight(&body).unwrap_or_default();
                total += weight;
                if weight > LOOP_LOCALS_MAX || total > LOOP_LOCALS_TOTAL_MAX {
                    return Err(slow_to_compile());
                }
            }
            _ => {}
        }
        if depth > COMPONENT_DEPTH_MAX {
            let message = format!("components are inside each other more than {COMPONENT_DEPTH_MAX} deep");
            return Err(refused("too-complex", message));
        }
    }
    Ok(())
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
        match check(&bytes) {
            Ok(()) => None,
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
    fn what_is_garbled_is_left_alone() {
        let bytes = wat::parse_str("(component (core module (func (loop))))").expect("valid text");
        for cut in 0..bytes.len() {
            assert_eq!(check(&bytes[..cut]), Ok(()));
        }
        assert_eq!(check(&[0xff; 64]), Ok(()));
    }

    #[test]
    fn modules_of_compilers_are_far_from_the_bounds() {
        for (name, bytes) in super::super::builtin() {
            assert_eq!(check(bytes), Ok(()), "{name}");
        }
    }
}
