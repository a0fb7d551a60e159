//! What a form sends: names and values, in the order of its fields.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::api::segment;

/// The fields of a form or of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// As a browser sends it: `application/x-www-form-urlencoded`.
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first value of a field, blanks around it taken away; `None` where it is empty or missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// The same as it was sent, empty or not.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Every value of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = self.0.iter().filter(move |(field, _)| field == name);
        of_name.map(|(_, value)| value.as_str())
    }

    /// Those of these fields that say something, as members of a body.
    pub(super) fn members(&self, names: &[&str]) -> Map<String, Value> {
        let said = names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.get(name)?.into())));
        said.collect()
    }

    /// Those of these fields that say something, as the API reads them: `from` and `to` are times.
    pub(super) fn filter(&self, names: &[&'static str]) -> Vec<(&'static str, String)> {
        let said = names.iter().filter_map(|name| Some((*name, self.get(name)?)));
        said.map(|(name, value)| match name {
            "from" | "to" => (name, moment(value)),
            _ => (name, value.to_owned()),
        })
        .collect()
    }

    /// The same as a query.
    pub(super) fn filter_query(&self, names: &[&'static str]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.filter(names));
        query.finish()
    }

    /// Where a page of a list goes on: `before=…`; empty on the first.
    pub(super) fn before(&self) -> String {
        let before = self.get("before").map(segment);
        before.map_or_else(String::new, |before| format!("before={before}"))
    }

    /// Takes these fields out.
    pub(super) fn forget(&mut self, names: &[&str]) {
        self.0.retain(|(field, _)| !names.contains(&field.as_str()));
    }

    /// Sets a field to one value.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.0.retain(|(field, _)| field != name);
        self.0.push((name.to_owned(), value));
    }

    /// The fields that say something, as a query; those that `left_out` says yes to are not in it.
    pub(super) fn query(&self, left_out: impl Fn(&str) -> bool) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            if !value.is_empty() && !left_out(name) {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// A path with those of these queries that are not empty.
pub(super) fn linked(path: &str, queries: &[&str]) -> String {
    let said = queries.iter().filter(|query| !query.is_empty());
    let queries: Vec<&str> = said.copied().collect();
    match queries.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", queries.join("&")),
    }
}

/// A time as a form or a person writes it, as RFC 3339: `2026-12-01T10:00` and `2026-12-01 10:00` are meant in UTC. What is none is
/// left as it is, for the control plane to say so.
pub(super) fn moment(text: &str) -> String {
    let text = text.trim();
    let local = text.parse::<jiff::civil::DateTime>();
    match local {
        Ok(time) if text.parse::<jiff::Timestamp>().is_err() => format!("{time}Z"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_written() {
        let form = Form::read(b"a=1&b=+x%26y+&c=&a=2");
        assert_eq!(
            (form.get("a"), form.get("b"), form.get("c")),
            (Some("1"), Some("x&y"), None)
        );
        assert!(form.has("c") && !form.has("d"));
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(form.query(|name| name == "a"), "b=+x%26y+");
        let form = Form::read(b"from=2026-12-01T10:00&user=a%26b&sku=&before=x/y");
        assert_eq!(
            form.filter_query(&["user", "sku", "from"]),
            "user=a%26b&from=2026-12-01T10%3A00%3A00Z"
        );
        assert_eq!(
            linked("/a", &["limit=1", "", &form.before()]),
            "/a?limit=1&before=x%2Fy"
        );
        assert_eq!(linked("/a", &["", ""]), "/a");
    }

    #[test]
    fn times_without_an_offset_are_utc() {
        for (written, meant) in [
            ("2026-12-01T10:00", "2026-12-01T10:00:00Z"),
            (" 2026-12-01 10:00:30 ", "2026-12-01T10:00:30Z"),
            ("2026-12-01T10:00:00+08:00", "2026-12-01T10:00:00+08:00"),
            ("tomorrow", "tomorrow"),
        ] {
            assert_eq!(moment(written), meant);
        }
    }
}
