//! The commands the scripts use, and no others: a script that needs one more finds out here first.
//!
//! Replies and errors are those of Redis 7.

use super::keyspace::{Bytes, Keyspace, StreamId, WrongType};

/// What a command replies, before it becomes a Lua value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CommandReply {
    Nil,
    Int(i64),
    Bulk(Bytes),
    Array(Vec<CommandReply>),
    Status(&'static str),
}

type Result = std::result::Result<CommandReply, String>;

/// Every command there is, with the fewest arguments it takes and the most.
const COMMANDS: &[(&str, usize, usize, Command)] = &[
    ("DEL", 1, usize::MAX, del),
    ("EXISTS", 1, 1, exists),
    ("GET", 1, 1, get),
    ("HDEL", 2, usize::MAX, hdel),
    ("HGET", 2, 2, hget),
    ("HGETALL", 1, 1, hgetall),
    ("HINCRBY", 3, 3, hincrby),
    ("HMGET", 2, usize::MAX, hmget),
    ("HSET", 3, usize::MAX, hset),
    ("PEXPIRE", 2, 2, pexpire),
    ("PEXPIREAT", 2, 2, pexpireat),
    ("SET", 2, 5, set),
    ("TIME", 0, 0, time),
    ("UNLINK", 1, usize::MAX, del),
    ("XADD", 4, usize::MAX, xadd),
    ("XDEL", 2, usize::MAX, xdel),
    ("XLEN", 1, 1, xlen),
    ("XRANGE", 3, 5, xrange),
];

/// Their names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|command| command.0)
}

type Command = fn(&mut Keyspace, &[Bytes]) -> Result;

/// Runs one command; the error is the text of Redis' error reply.
pub(super) fn run(keys: &mut Keyspace, words: &[Bytes]) -> Result {
    let Some((name, args)) = words.split_first() else {
        return Err("ERR Please specify at least one argument for this redis.call()".into());
    };
    let known = COMMANDS
        .iter()
        .find(|each| name.eq_ignore_ascii_case(each.0.as_bytes()));
    let Some((name, fewest, most, command)) = known else {
        return Err(format!("ERR unknown command '{}'", name.escape_ascii()));
    };
    if !(*fewest..=*most).contains(&args.len()) {
        return Err(wrong_arity(name));
    }
    command(keys, args)
}

fn wrong_arity(name: &str) -> String {
    format!(
        "ERR wrong number of arguments for '{}' command",
        name.to_lowercase()
    )
}

impl From<WrongType> for String {
    fn from(_: WrongType) -> Self {
        "WRONGTYPE Operation against a key holding the wrong kind of value".into()
    }
}

/// Integers as strict as Redis takes them: no sign `+`, no leading zero, no space.
fn integer(text: &[u8]) -> Option<i64> {
    let parsed: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (parsed.to_string().as_bytes() == text).then_some(parsed)
}

fn integer_arg(text: &[u8]) -> std::result::Result<i64, String> {
    integer(text).ok_or_else(|| "ERR value is not an integer or out of range".into())
}

fn optional(value: Option<&Bytes>) -> CommandReply {
    value.map_or(CommandReply::Nil, |bytes| CommandReply::Bulk(bytes.clone()))
}

fn del(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    Ok(CommandReply::Int(
        args.iter().filter(|key| keys.remove(key)).count() as i64,
    ))
}

fn exists(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    Ok(CommandReply::Int(i64::from(keys.get(&args[0]).is_some())))
}

fn get(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    Ok(optional(keys.text(&args[0])?))
}

/// `SET key value [NX] [PX milliseconds]`.
fn set(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    let (mut only_new, mut expires_at) = (false, None);
    let mut options = args[2..].iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"NX") {
            only_new = true;
        } else if option.eq_ignore_ascii_case(b"PX") {
            let length = integer_arg(options.next().ok_or("ERR syntax error")?)?;
            if length <= 0 {
                return Err("ERR invalid expire time in 'set' command".into());
            }
            expires_at = Some(keys.now_ms() + length);
        } else {
            return Err("ERR syntax error".into());
        }
    }
    if only_new && keys.get(&args[0]).is_some() {
        return Ok(CommandReply::Nil);
    }
    keys.put_text(&args[0], args[1].clone(), expires_at);
    Ok(CommandReply::Status("OK"))
}

fn pexpire(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    let moment = keys.now_ms().saturating_add(integer_arg(&args[1])?);
    Ok(CommandReply::Int(i64::from(keys.expire_at(&args[0], moment))))
}

fn pexpireat(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    let moment = integer_arg(&args[1])?;
    Ok(CommandReply::Int(i64::from(keys.expire_at(&args[0], moment))))
}

fn hget(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    Ok(optional(keys.hash(&args[0])?.and_then(|hash| hash.get(&args[1]))))
}

fn hmget(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    let hash = keys.hash(&args[0])?;
    let field = |field| optional(hash.and_then(|hash| hash.get(field)));
    Ok(CommandReply::Array(args[1..].iter().map(field).collect()))
}

fn hgetall(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    let hash = keys.hash(&args[0])?.into_iter().flatten();
    let flat = hash.flat_map(|(field, value)| {
        [
            CommandReply::Bulk(field.clone()),
            CommandReply::Bulk(value.clone()),
        ]
    });
    Ok(CommandReply::Array(flat.collect()))
}

fn hset(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    if args.len().is_multiple_of(2) {
        return Err(wrong_arity("HSET"));
    }
    let hash = keys.hash_mut(&args[0])?;
    let pairs = args[1..].chunks_exact(2);
    let new = pairs.filter(|pair| hash.insert(pair[0].clone(), pair[1].clone()).is_none());
    Ok(CommandReply::Int(new.count() as i64))
}

fn hincrby(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    let by = integer_arg(&args[2])?;
    let before = match keys.hash(&args[0])?.and_then(|hash| hash.get(&args[1])) {
        None => 0,
        Some(text) => integer(text).ok_or("ERR hash value is not an integer")?,
    };
    let after = before
        .checked_add(by)
        .ok_or("ERR increment or decrement would overflow")?;
    keys.hash_mut(&args[0])?
        .insert(args[1].clone(), after.to_string().into_bytes());
    Ok(CommandReply::Int(after))
}

fn hdel(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    if keys.hash(&args[0])?.is_none() {
        return Ok(CommandReply::Int(0));
    }
    let hash = keys.hash_mut(&args[0])?;
    let removed = args[1..]
        .iter()
        .filter(|field| hash.remove(*field).is_some())
        .count();
    keys.remove_if_empty(&args[0]);
    Ok(CommandReply::Int(removed as i64))
}

fn time(keys: &mut Keyspace, _args: &[Bytes]) -> Result {
    let now = keys.now_us();
    let parts = [now.div_euclid(1_000_000), now.rem_euclid(1_000_000)];
    Ok(CommandReply::Array(
        parts
            .map(|part| CommandReply::Bulk(part.to_string().into_bytes()))
            .into(),
    ))
}

/// `XADD key [NOMKSTREAM] * field value …`: the scripts let the stream make its ids.
fn xadd(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    let mut args = args.to_vec();
    if args[1].eq_ignore_ascii_case(b"NOMKSTREAM") {
        if keys.stream(&args[0])?.is_none() {
            return Ok(CommandReply::Nil);
        }
        args.remove(1);
    }
    if !args.len().is_multiple_of(2) {
        return Err(wrong_arity("XADD"));
    }
    if args[1] != b"*" {
        return Err("ERR only ids made by the stream are supported".into());
    }
    let now = keys.now_ms().max(0) as u64;
    let stream = keys.stream_mut(&args[0])?;
    let id = if now > stream.last.0 {
        (now, 0)
    } else {
        (stream.last.0, stream.last.1 + 1)
    };
    stream.last = id;
    stream.entries.insert(id, args[2..].to_vec());
    Ok(CommandReply::Bulk(id_text(id)))
}

fn xdel(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    let ids = args[1..]
        .iter()
        .map(|id| stream_id(id, 0))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    if keys.stream(&args[0])?.is_none() {
        return Ok(CommandReply::Int(0));
    }
    let stream = keys.stream_mut(&args[0])?;
    let removed = ids.iter().filter(|id| stream.entries.remove(id).is_some());
    Ok(CommandReply::Int(removed.count() as i64))
}

fn xlen(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    let stream = keys.stream(&args[0])?;
    Ok(CommandReply::Int(
        stream.map_or(0, |stream| stream.entries.len() as i64),
    ))
}

/// `XRANGE key start end [COUNT n]`; `start` may be exclusive.
fn xrange(keys: &mut Keyspace, args: &[Bytes]) -> Result {
    use std::ops::Bound;
    let most = match &args[3..] {
        [] => usize::MAX,
        [word, n] if word.eq_ignore_ascii_case(b"COUNT") => integer_arg(n)?.max(0) as usize,
        _ => return Err("ERR syntax error".into()),
    };
    let start = match args[1].strip_prefix(b"(") {
        Some(id) => Bound::Excluded(stream_id(id, 0)?),
        None if args[1] == b"-" => Bound::Unbounded,
        None => Bound::Included(stream_id(&args[1], 0)?),
    };
    let end = match args[2].as_slice() {
        b"+" => Bound::Unbounded,
        id => Bound::Included(stream_id(id, u64::MAX)?),
    };
    let low = match start {
        Bound::Included(id) | Bound::Excluded(id) => id,
        Bound::Unbounded => (0, 0),
    };
    let empty =
        matches!(end, Bound::Included(high) if high < low || (high == low && start == Bound::Excluded(low)));
    let Some(stream) = keys.stream(&args[0])?.filter(|_| !empty) else {
        return Ok(CommandReply::Array(Vec::new()));
    };
    let entries = stream.entries.range((start, end)).take(most).map(|(id, fields)| {
        let fields = fields.iter().cloned().map(CommandReply::Bulk).collect();
        CommandReply::Array(vec![
            CommandReply::Bulk(id_text(*id)),
            CommandReply::Array(fields),
        ])
    });
    Ok(CommandReply::Array(entries.collect()))
}

/// An id without its sequence number takes `sequence`.
fn stream_id(text: &[u8], sequence: u64) -> std::result::Result<StreamId, String> {
    let invalid = || "ERR Invalid stream ID specified as stream command argument".to_owned();
    let text = std::str::from_utf8(text).map_err(|_| invalid())?;
    let (ms, sequence) = match text.split_once('-') {
        None => (text, Ok(sequence)),
        Some((ms, sequence)) => (ms, sequence.parse()),
    };
    Ok((
        ms.parse().map_err(|_| invalid())?,
        sequence.map_err(|_| invalid())?,
    ))
}

pub(super) fn id_text((ms, sequence): StreamId) -> Bytes {
    format!("{ms}-{sequence}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(keys: &mut Keyspace, line: &str) -> Result {
        let words: Vec<Bytes> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        run(keys, &words)
    }

    fn bulk(text: &str) -> CommandReply {
        CommandReply::Bulk(text.into())
    }

    #[test]
    fn any_other_command_is_an_error() {
        let mut keys = Keyspace::default();
        assert_eq!(
            call(&mut keys, "FLUSHALL"),
            Err("ERR unknown command 'FLUSHALL'".into())
        );
        assert_eq!(
            call(&mut keys, "HGET h"),
            Err("ERR wrong number of arguments for 'hget' command".into())
        );
        assert_eq!(
            call(&mut keys, "HSET h f v g"),
            Err("ERR wrong number of arguments for 'hset' command".into())
        );
    }

    #[test]
    fn wrong_types_are_refused() {
        let mut keys = Keyspace::default();
        call(&mut keys, "SET k v").unwrap();
        for line in ["HGET k f", "HSET k f v", "XADD k * f v", "XLEN k"] {
            assert!(
                call(&mut keys, line).unwrap_err().starts_with("WRONGTYPE"),
                "{line}"
            );
        }
    }

    #[test]
    fn integers_are_as_strict_as_in_redis() {
        let mut keys = Keyspace::default();
        for odd in ["1e+15", "01", "+1", "1.0", "-0", ""] {
            assert!(call(&mut keys, &format!("HINCRBY h f {odd}")).is_err(), "{odd:?}");
        }
        assert_eq!(
            call(&mut keys, "HINCRBY h f 9007199254740991"),
            Ok(CommandReply::Int((1 << 53) - 1))
        );
        assert!(
            call(&mut keys, "HINCRBY h f 9223372036854775807")
                .unwrap_err()
                .contains("overflow")
        );
    }

    #[test]
    fn expired_keys_are_gone_at_their_millisecond() {
        let mut keys = Keyspace::default();
        keys.set_now(1_000_000);
        call(&mut keys, "SET lease a NX PX 500").unwrap();
        keys.set_now(1_499_999);
        assert_eq!(call(&mut keys, "SET lease b NX PX 500"), Ok(CommandReply::Nil));
        keys.set_now(1_500_000);
        assert_eq!(call(&mut keys, "GET lease"), Ok(CommandReply::Nil));
        assert_eq!(
            call(&mut keys, "SET lease b NX PX 500"),
            Ok(CommandReply::Status("OK"))
        );
        assert_eq!(call(&mut keys, "PEXPIREAT lease 1"), Ok(CommandReply::Int(1)));
        assert_eq!(call(&mut keys, "EXISTS lease"), Ok(CommandReply::Int(0)));
    }

    #[test]
    fn a_stream_is_not_made_where_that_is_not_wanted() {
        let mut keys = Keyspace::default();
        assert_eq!(call(&mut keys, "XADD s NOMKSTREAM * f 1"), Ok(CommandReply::Nil));
        assert_eq!(call(&mut keys, "EXISTS s"), Ok(CommandReply::Int(0)));
        assert!(call(&mut keys, "XADD s * f 1").is_ok());
        assert!(matches!(
            call(&mut keys, "XADD s NOMKSTREAM * f 2"),
            Ok(CommandReply::Bulk(_))
        ));
        assert_eq!(call(&mut keys, "XLEN s"), Ok(CommandReply::Int(2)));
    }

    #[test]
    fn stream_ids_only_grow_and_empty_streams_stay() {
        let mut keys = Keyspace::default();
        keys.set_now(5_000);
        assert_eq!(call(&mut keys, "XADD s * f 1"), Ok(bulk("5-0")));
        keys.set_now(4_000);
        assert_eq!(call(&mut keys, "XADD s * f 2"), Ok(bulk("5-1")));
        let entry = |id: &str, value: &str| {
            CommandReply::Array(vec![bulk(id), CommandReply::Array(vec![bulk("f"), bulk(value)])])
        };
        assert_eq!(
            call(&mut keys, "XRANGE s (5-0 5"),
            Ok(CommandReply::Array(vec![entry("5-1", "2")]))
        );
        assert_eq!(
            call(&mut keys, "XRANGE s - + COUNT 1"),
            Ok(CommandReply::Array(vec![entry("5-0", "1")]))
        );
        assert_eq!(
            call(&mut keys, "XRANGE s (5-1 4"),
            Ok(CommandReply::Array(Vec::new()))
        );
        assert_eq!(call(&mut keys, "XDEL s 5-0 5-1 5-1"), Ok(CommandReply::Int(2)));
        assert_eq!(call(&mut keys, "EXISTS s"), Ok(CommandReply::Int(1)));
    }

    /// Exactly the commands of the hand-written scripts and of the parts: no more, no fewer.
    #[test]
    fn there_is_every_command_a_script_uses_and_no_other() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("lua");
        let mut used = std::collections::BTreeSet::new();
        for folder in [folder.clone(), folder.join("parts")] {
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "lua") {
                    let text = std::fs::read_to_string(path).unwrap();
                    let calls = text.split("call('").skip(1);
                    used.extend(calls.map(|call| call.split('\'').next().unwrap_or_default().to_owned()));
                }
            }
        }
        let known = COMMANDS.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(used, known);
    }
}
