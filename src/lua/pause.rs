//! Arguments and reply of `pause`, and how a pause is written in `state`. `lua/README.md` is the ABI.

use super::Args;
use super::fence::Fence;
use super::reply::{CodecError, Reply};
use crate::campaign::{Pause, Paused};

/// What `pause` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// The shard has this now: what was put, or what came after it.
    There(Pause),
    /// The gate is closed (`None`), or the shard is another campaign's: nothing was done.
    Fenced(Option<Fence>),
}

/// As `state` has it: `<number> on <resume_at>`, 0 where somebody has to resume it, or `<number> off 0`. Empty where nobody
/// ever paused.
pub(super) fn pause_text(pause: Pause) -> String {
    match pause {
        Pause { number: 0, .. } => String::new(),
        Pause { number, paused: None } => format!("{number} off 0"),
        Pause {
            number,
            paused: Some(Paused { resume_at }),
        } => format!("{number} on {}", resume_at.unwrap_or(0)),
    }
}

/// `None` where the text is none of [`pause_text`].
pub fn parse_pause(text: &str) -> Option<Pause> {
    if text.is_empty() {
        return Some(Pause::default());
    }
    let mut words = text.splitn(3, ' ');
    let number = words.next()?.parse().ok()?;
    let paused = match (words.next()?, words.next()?) {
        ("on", resume_at) => Some(parse_paused(resume_at)?),
        ("off", "0") => None,
        _ => return None,
    };
    Some(Pause { number, paused })
}

/// Until when it is paused, as scripts answer it: a moment, or 0.
pub(super) fn parse_paused(text: &str) -> Option<Paused> {
    let resume_at: i64 = text.parse().ok()?;
    Some(Paused {
        resume_at: Some(resume_at).filter(|resume_at| *resume_at != 0),
    })
}

/// `uid` is the campaign's.
pub fn pause_args(uid: &str, pause: Pause) -> Args {
    Args::from([uid, &pause_text(pause)])
}

pub fn pause_reply(reply: Reply) -> Result<Put, CodecError> {
    let odd = |what: String| CodecError::new("pause", what);
    let Reply::Array(parts) = reply else {
        return Err(odd(format!("{reply:?}")));
    };
    match parts.as_slice() {
        [Reply::Bulk(word), Reply::Bulk(there)] if word == b"ok" => {
            let text = String::from_utf8_lossy(there);
            let there = parse_pause(&text).ok_or_else(|| odd(format!("{text:?} for a pause")))?;
            Ok(Put::There(there))
        }
        [Reply::Bulk(word), Reply::Bulk(fence)] if word == b"fence" => Ok(Put::Fenced(Fence::parse(fence))),
        _ => Err(odd(format!("{parts:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let paused = |resume_at| Some(Paused { resume_at });
        for (pause, text) in [
            (Pause::default(), ""),
            (
                Pause {
                    number: 2,
                    paused: None,
                },
                "2 off 0",
            ),
            (
                Pause {
                    number: 3,
                    paused: paused(None),
                },
                "3 on 0",
            ),
            (
                Pause {
                    number: u64::MAX,
                    paused: paused(Some(1_796_041_800_000)),
                },
                "18446744073709551615 on 1796041800000",
            ),
        ] {
            assert_eq!(pause_text(pause), text);
            assert_eq!(parse_pause(text), Some(pause));
        }
        for odd in [
            "1", "1 on", "on 1", "1 off", "1 off 5", "1 on x", "1 on 0 0", "x on 0", "1 up 0",
        ] {
            assert_eq!(parse_pause(odd), None, "{odd}");
        }
    }
}
