//! Secrets as they may be shown: never.

use std::fmt;
use std::path::Path;

/// A text that may hold a secret: the value of a flag such as `--redis-url`. Debug shows what may be shown of a URL.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden(pub String);

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&shown_url(&self.0), f)
    }
}

/// A URL without user, password, query and fragment; of a text that is none, nothing.
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once(':') else {
        return "(not a URL)".to_owned();
    };
    let is_scheme = !scheme.is_empty()
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if !is_scheme {
        return "(not a URL)".to_owned();
    }
    let Some(rest) = rest.strip_prefix("//") else {
        // `sqlite:name.db` has no place for a secret; `user:password` has.
        return match scheme {
            "sqlite" => url.split('?').next().unwrap_or_default().to_owned(),
            _ => "(not a URL)".to_owned(),
        };
    };
    // The last `@`: a password that should have been encoded may hold more, and a `?` or `#`, too.
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}")
}

/// The path of a file that an option names, for messages. Somebody may have written the secret where its file's name
/// belongs: what does not look like a path is not shown.
pub fn shown_path(path: &Path) -> String {
    let is_path = path.is_absolute() || path.starts_with(".") || path.starts_with("..");
    match is_path || path.exists() {
        true => path.display().to_string(),
        false => "the file it names (the name is not shown, because it may be the secret itself; give a path that begins \
                  with / or ./)"
            .to_owned(),
    }
}

/// A sentence when anybody on the machine can read the file with a secret; `key` names it in the configuration.
pub fn exposed(key: &str, path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let there = std::fs::metadata(path).ok()?;
    let mode = there.permissions().mode() & 0o777;
    (there.is_file() && mode & 0o004 != 0).then(|| {
        format!(
            "{key}: everybody on this machine can read {} (mode {mode:04o}); chmod 600 it",
            path.display()
        )
    })
}

/// Words in the name of an option that holds a secret.
const SECRET_WORDS: [&str; 7] = ["pass", "pasw", "pwd", "secret", "token", "credential", "key"];

/// Whether an option of this name holds a secret, or was to hold one.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_what_is_no_secret_is_shown() {
        for (url, shown) in [
            ("redis://shop:s3@cret@cache:6380/1", "redis://cache:6380/1"),
            (
                "mysql://me:s3cret@db:3306/sales?ssl-key=s3cret",
                "mysql://db:3306/sales",
            ),
            ("redis+unix:///run/r.sock?pass=s3cret", "redis+unix:///run/r.sock"),
            ("mysql://me:s3?cr#et@db/sales", "mysql://db/sales"),
            ("sqlite:///data/x.db", "sqlite:///data/x.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("me:s3cret@db", "(not a URL)"),
            ("s3cret", "(not a URL)"),
            ("", "(not a URL)"),
        ] {
            assert_eq!(shown_url(url), shown);
            assert_eq!(format!("{:?}", Hidden(url.to_owned())), format!("{shown:?}"));
        }
    }

    #[test]
    fn a_secret_in_the_place_of_a_path_is_not_shown() {
        for path in ["/run/secrets/x", "./x", "../x"] {
            assert_eq!(shown_path(Path::new(path)), path);
        }
        for secret in ["s3cret", "aGVsbG8/aGVsbG8="] {
            assert!(!shown_path(Path::new(secret)).contains(secret));
        }
    }

    #[test]
    fn names_of_secrets_are_known_by_their_words() {
        for name in [
            "RUSHGATE_REDIS_PASWORD",
            "sasl.passwrd",
            "admin-token",
            "ssl.key.pem",
            "pwd",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        assert!(!is_secret_name("linger.ms"));
    }
}
