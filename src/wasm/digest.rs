//! How modules are named.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Lower-case hex SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}
