//! What buyers show: a token for each request.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hyper::header::HeaderValue;

/// Makes the token of a user, anew for every request, so that keys may change while a run lasts.
#[derive(Clone)]
pub struct Tokens(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Tokens {
    /// `of` is called from many workers at once and must not block for long.
    pub fn new(of: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(of))
    }

    /// One token per line, with or without `Bearer` before it: buyer n of `prefix` shows line n, counted from 0. Answers how
    /// many there are, too. The error is a sentence that shows no token.
    pub fn read(path: &Path, prefix: &str) -> Result<(Self, u64), String> {
        let at = |what: String| format!("--tokens {}: {what}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
        let mut tokens = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let token = line.trim();
            let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
            if token.contains(char::is_whitespace) || HeaderValue::from_str(token).is_err() {
                return Err(at(format!("line {number} is not a token")));
            }
            if !token.is_empty() {
                tokens.push(token.to_owned());
            }
        }
        let count = tokens.len() as u64;
        if count == 0 {
            return Err(at("there is no token in it".to_owned()));
        }
        let prefix = prefix.to_owned();
        let of = move |user: &str| {
            let number = user
                .strip_prefix(&prefix)
                .and_then(|number| number.parse::<usize>().ok());
            number
                .and_then(|number| tokens.get(number))
                .cloned()
                .unwrap_or_default()
        };
        Ok((Self::new(of), count))
    }

    /// The value of `Authorization`.
    pub(super) fn bearer(&self, user: &str) -> String {
        format!("Bearer {}", (self.0)(user))
    }
}

/// Tokens for trying, which a gateway takes with `--insecure-dev-auth`.
impl Default for Tokens {
    fn default() -> Self {
        Self::new(|user| format!("dev:{user}"))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Tokens, u64), String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        Tokens::read(file.path(), "u")
    }

    #[test]
    fn each_buyer_shows_a_line() {
        let (tokens, count) = read("a.b.c\n\nBearer d.e.f\r\n").expect("tokens");
        assert_eq!(count, 2);
        assert_eq!(tokens.bearer("u0"), "Bearer a.b.c");
        assert_eq!(tokens.bearer("u1"), "Bearer d.e.f");
    }

    #[test]
    fn what_is_no_token_is_named_by_its_line_and_not_shown() {
        for (text, said) in [
            ("", "there is no token in it"),
            ("\n \n", "there is no token in it"),
            ("a.b.c\ns3cret s3cret\n", "line 2 is not a token"),
            ("s3cr\u{e9}t\u{1}\n", "line 1 is not a token"),
        ] {
            let error = read(text).expect_err(said);
            assert!(error.ends_with(said) && !error.contains("s3cr"), "{error}");
        }
        let error = Tokens::read(Path::new("/nowhere/tokens"), "u").expect_err("no file");
        assert!(error.starts_with("--tokens /nowhere/tokens: "), "{error}");
    }
}
