//! How modules are named.

use sha2::{Digest, Sha256};

use crate::wire::hex;

/// Lower-case hex SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
