//! Bytes in whole MiB, as keys of the configuration whose names end in `_mb` say them.

use serde::{Deserialize, Deserializer, Serializer};

const MIB: usize = 1024 * 1024;

pub fn serialize<S: Serializer>(bytes: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64((bytes / MIB) as u64)
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    usize::deserialize(deserializer).map(|mib| mib.saturating_mul(MIB))
}
