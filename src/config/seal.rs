//! Reads the keys of seals from their files: secrets have no place in a file that is shared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use crate::seal::{Key, Keyring};
use crate::wire::secret::{exposed, shown_path};

const AT: &str = "seal.keys";
const ID: &str = "no id of a key: 1 to 32 letters, digits, '.', '_' or '-'";

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    /// `id:path,id:path`: the first signs, all verify.
    pub keys: Option<String>,
}

/// The keys, as the configuration names them; `None` where it names none.
pub(super) fn keyring(
    seal: &Seal,
    warnings: &mut Vec<String>,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<Option<Arc<Keyring>>, ConfigError> {
    let wrong = |message: String| ConfigError::Value {
        at: AT.to_owned(),
        message,
    };
    let text = seal.keys.as_deref().unwrap_or_default();
    let named = text.split(',').map(str::trim).filter(|key| !key.is_empty());
    let keys: Vec<Key> = named
        .enumerate()
        .map(|(at, key)| {
            // What it says is not shown: it may be the secret itself.
            let (id, path) = key
                .split_once(':')
                .ok_or_else(|| wrong(format!("entry {} is not of the form id:path,id:path", at + 1)))?;
            let id = id
                .trim()
                .parse()
                .map_err(|_| wrong(format!("the id of entry {} is {ID}", at + 1)))?;
            let path = Path::new(path.trim());
            let secret = read(path)?;
            warnings.extend(exposed(AT, path));
            files.push((AT.to_owned(), path.to_owned()));
            Key::new(id, &secret).map_err(|error| wrong(error.to_string()))
        })
        .collect::<Result<_, ConfigError>>()?;
    if keys.is_empty() {
        return Ok(None);
    }
    let keyring = Keyring::new(keys).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(Arc::new(keyring)))
}

/// Everything in the file but the white space at its end.
fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let secret = std::fs::read(path).map_err(|cause| ConfigError::UnreadableSecret {
        at: AT.to_owned(),
        path: shown_path(path),
        cause,
    })?;
    Ok(secret.trim_ascii_end().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), bytes).expect("written");
        file
    }

    fn ring(keys: String) -> Result<Option<Arc<Keyring>>, String> {
        let seal = Seal { keys: Some(keys) };
        keyring(&seal, &mut Vec::new(), &mut Vec::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_read_in_their_order_without_the_line_feed() {
        let (new, old) = (file(&[7; 32]), file(&[[8; 32].as_slice(), b"\n"].concat()));
        let named = format!("new:{}, old:{}", new.path().display(), old.path().display());
        let ring = ring(named).expect("valid").expect("keys");
        let key = |id: &str, fill| Key::new(id.parse().expect("an id"), &[fill; 32]).expect("a key");
        assert_eq!(ring.keys(), [key("new", 7), key("old", 8)]);
        assert_eq!(
            super::keyring(&Seal::default(), &mut Vec::new(), &mut Vec::new()).ok(),
            Some(None)
        );
        assert_eq!(self::ring(" , ".into()), Ok(None));
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said() {
        let short = file(&[7; 31]);
        let short = short.path().display();
        for (keys, expected) in [
            (
                "secret".to_owned(),
                "seal.keys: entry 1 is not of the form id:path,id:path",
            ),
            (
                "a b:/x".to_owned(),
                "seal.keys: the id of entry 1 is no id of a key",
            ),
            (
                "k:/no/such/file".to_owned(),
                "seal.keys: cannot read /no/such/file: No such file",
            ),
            (
                format!("k:{short}"),
                "seal.keys: the secret of key k has 31 bytes; at least 32",
            ),
        ] {
            let error = ring(keys.clone()).expect_err("wrong");
            assert!(error.starts_with(expected), "{keys}: {error}");
        }
        let long = file(&[7; 32]);
        let twice = format!("k:{0},k:{0}", long.path().display());
        assert!(ring(twice).expect_err("twice").contains("key k is given twice"));
    }
}
