//! The keyspace: what Redis would hold, with expiry looked at when a key is touched.

use std::collections::{BTreeMap, HashMap};

pub(super) type Bytes = Vec<u8>;

/// Milliseconds and sequence number.
pub(super) type StreamId = (u64, u64);

#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) entries: BTreeMap<StreamId, Vec<Bytes>>,
    pub(super) last: StreamId,
}

#[derive(Debug)]
pub(super) enum Value {
    Text(Bytes),
    Hash(BTreeMap<Bytes, Bytes>),
    Stream(Stream),
}

#[derive(Debug)]
struct Item {
    value: Value,
    /// Milliseconds since 1970-01-01 UTC.
    expires_at: Option<i64>,
}

/// The key holds another type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongType;

/// All keys, at one moment: a script sees the same time from its start to its end.
#[derive(Debug, Default)]
pub(super) struct Keyspace {
    items: HashMap<Bytes, Item>,
    /// Microseconds since 1970-01-01 UTC.
    now_us: i64,
}

macro_rules! typed {
    ($read:ident, $write:ident, $variant:ident, $type:ty) => {
        /// `None` where there is no such key.
        pub(super) fn $read(&mut self, key: &[u8]) -> Result<Option<&$type>, WrongType> {
            match self.get(key) {
                None => Ok(None),
                Some(Value::$variant(value)) => Ok(Some(value)),
                Some(_) => Err(WrongType),
            }
        }

        /// Makes the key where there is none.
        pub(super) fn $write(&mut self, key: &[u8]) -> Result<&mut $type, WrongType> {
            self.forget_expired(key);
            let fresh = || Item {
                value: Value::$variant(<$type>::default()),
                expires_at: None,
            };
            match &mut self.items.entry(key.to_vec()).or_insert_with(fresh).value {
                Value::$variant(value) => Ok(value),
                _ => Err(WrongType),
            }
        }
    };
}

impl Keyspace {
    typed!(hash, hash_mut, Hash, BTreeMap<Bytes, Bytes>);
    typed!(stream, stream_mut, Stream, Stream);

    pub(super) fn set_now(&mut self, now_us: i64) {
        self.now_us = now_us;
    }

    pub(super) fn now_us(&self) -> i64 {
        self.now_us
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now_us.div_euclid(1000)
    }

    fn forget_expired(&mut self, key: &[u8]) {
        let now = self.now_ms();
        if self.items.get(key).is_some_and(|item| is_over(item, now)) {
            self.items.remove(key);
        }
    }

    pub(super) fn get(&mut self, key: &[u8]) -> Option<&Value> {
        self.forget_expired(key);
        self.items.get(key).map(|item| &item.value)
    }

    pub(super) fn text(&mut self, key: &[u8]) -> Result<Option<&Bytes>, WrongType> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(WrongType),
        }
    }

    pub(super) fn put_text(&mut self, key: &[u8], text: Bytes, expires_at: Option<i64>) {
        let value = Value::Text(text);
        self.items.insert(key.to_vec(), Item { value, expires_at });
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        self.forget_expired(key);
        self.items.remove(key).is_some()
    }

    /// Removes a hash that has become empty, as Redis does; an empty stream stays.
    pub(super) fn remove_if_empty(&mut self, key: &[u8]) {
        let empty = match self.items.get(key).map(|item| &item.value) {
            Some(Value::Hash(hash)) => hash.is_empty(),
            _ => false,
        };
        if empty {
            self.items.remove(key);
        }
    }

    /// Says whether there is such a key.
    pub(super) fn expire_at(&mut self, key: &[u8], moment: i64) -> bool {
        self.forget_expired(key);
        let now = self.now_ms();
        let Some(item) = self.items.get_mut(key) else {
            return false;
        };
        item.expires_at = Some(moment);
        if is_over(item, now) {
            self.items.remove(key);
        }
        true
    }

    /// Every key that has not expired, with its expiry.
    pub(super) fn live(&self) -> impl Iterator<Item = (&Bytes, &Value, Option<i64>)> {
        let now = self.now_ms();
        self.items
            .iter()
            .filter(move |(_, item)| !is_over(item, now))
            .map(|(key, item)| (key, &item.value, item.expires_at))
    }
}

fn is_over(item: &Item, now_ms: i64) -> bool {
    item.expires_at.is_some_and(|moment| moment <= now_ms)
}
