//! What a child writes: a line of JSON for each phase, one with the answer, and behind it the component where
//! it wrapped one.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::super::{CallCost, Inspected, ModuleError};
use super::Phase;

/// What became of a task.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::wasm) struct TaskOutput {
    /// Where that was the task.
    pub(in crate::wasm) inspected: Option<(Inspected, CallCost)>,
    /// The component around a core module.
    pub(in crate::wasm) wrapped: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Phase(Phase),
    Done {
        inspected: Option<Box<(Inspected, CallCost)>>,
        /// Bytes of the component that follow.
        wrapped: Option<usize>,
    },
    Refused {
        code: String,
        message: String,
    },
    Misbehaved {
        function: String,
        code: String,
        message: String,
    },
}

/// Codes and functions of [`ModuleError`] that a child may answer.
const WORDS: &[&str] = &[
    "not-wasm",
    "core-module",
    "imports",
    "wrong-world",
    "precheck",
    "too-large",
    "too-complex",
    "descriptor",
    "digest",
    "host",
    "trap",
    "exception",
    "fuel",
    "time",
    "memory",
    "output",
    "describe",
    "compile",
];

fn known(word: &str) -> &'static str {
    WORDS
        .iter()
        .copied()
        .find(|known| *known == word)
        .unwrap_or("host")
}

fn write(out: &mut impl Write, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    out.write_all(&text)?;
    out.flush()
}

pub(super) fn write_phase(out: &mut impl Write, phase: Phase) -> io::Result<()> {
    write(out, &Line::Phase(phase))
}

pub(super) fn write_output(out: &mut impl Write, answer: Result<TaskOutput, ModuleError>) -> io::Result<()> {
    match answer {
        Ok(TaskOutput { inspected, wrapped }) => {
            let line = Line::Done {
                inspected: inspected.map(Box::new),
                wrapped: wrapped.as_ref().map(Vec::len),
            };
            write(out, &line)?;
            out.write_all(&wrapped.unwrap_or_default())?;
            out.flush()
        }
        Err(ModuleError::Misbehaved {
            function,
            code,
            message,
        }) => write(
            out,
            &Line::Misbehaved {
                function: function.into(),
                code: code.into(),
                message,
            },
        ),
        Err(ModuleError::Refused { code, message }) => write(
            out,
            &Line::Refused {
                code: code.into(),
                message,
            },
        ),
        Err(error @ ModuleError::Params(_)) => write(
            out,
            &Line::Refused {
                code: "descriptor".into(),
                message: error.to_string(),
            },
        ),
    }
}

/// Reads everything a child wrote. The error is the phase in which it fell silent.
pub(super) fn read(written: &[u8]) -> Result<Result<TaskOutput, ModuleError>, Phase> {
    let (mut phase, mut rest) = (Phase::Begin, written);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        match serde_json::from_slice(line) {
            Ok(Line::Phase(next)) => phase = next,
            Ok(Line::Done { inspected, wrapped }) => {
                let wrapped = match wrapped {
                    None => None,
                    Some(bytes) => Some(after.get(..bytes).ok_or(phase)?.to_vec()),
                };
                let inspected = inspected.map(|inspected| *inspected);
                return Ok(Ok(TaskOutput { inspected, wrapped }));
            }
            Ok(Line::Refused { code, message }) => {
                let code = known(&code);
                return Ok(Err(ModuleError::Refused { code, message }));
            }
            Ok(Line::Misbehaved {
                function,
                code,
                message,
            }) => {
                return Ok(Err(ModuleError::Misbehaved {
                    function: known(&function),
                    code: known(&code),
                    message,
                }));
            }
            Err(_) => return Err(phase),
        }
        rest = after;
    }
    Err(phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: Result<TaskOutput, ModuleError>) -> Vec<u8> {
        let mut out = Vec::new();
        write_phase(&mut out, Phase::Compile).expect("memory takes it");
        write_output(&mut out, answer).expect("memory takes it");
        out
    }

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let component = TaskOutput {
            inspected: None,
            wrapped: Some(b"\0asm\n\n".to_vec()),
        };
        let refused = |code| ModuleError::Refused {
            code,
            message: "a \"message\"\nof two lines".into(),
        };
        let misbehaved = ModuleError::Misbehaved {
            function: "describe",
            code: "fuel",
            message: "it did not end".into(),
        };
        for answer in [Ok(component), Err(refused("too-complex")), Err(misbehaved)] {
            assert_eq!(read(&written(answer.clone())), Ok(answer));
        }
        let unknown = read(&written(Err(refused("nobody-knows"))));
        assert_eq!(unknown, Ok(Err(refused("host"))));
    }

    #[test]
    fn every_code_the_documentation_lists_is_known() {
        for word in WORDS {
            assert_eq!(known(word), *word);
        }
    }

    #[test]
    fn silence_names_the_last_phase() {
        let answer = TaskOutput {
            inspected: None,
            wrapped: Some(vec![7; 100]),
        };
        let whole = written(Ok(answer));
        for cut in 0..whole.len() {
            let phase = read(&whole[..cut]).expect_err("it is cut");
            assert!(matches!(phase, Phase::Begin | Phase::Compile));
        }
        assert_eq!(read(b"nonsense\n"), Err(Phase::Begin));
    }
}
