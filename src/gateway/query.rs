//! Queries of lists in pages: how many, and behind which place.

use percent_encoding::percent_decode_str;

use crate::wire::problem::MALFORMED;
use crate::wire::{Problem, check_query, echo};

/// Entries of one page unless `limit` says otherwise.
const PAGE: u32 = 50;
const PAGE_MAX: u32 = 100;
const LIMIT: &str = "limit";
const MERCHANT: &str = "merchant";

/// Which page of a list is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Entries at most, from 1.
    pub(super) limit: u32,
    /// What the page before named as `next`; `None`: the first page.
    pub(super) place: Option<String>,
    /// Of this merchant alone.
    pub(super) merchant: Option<String>,
}

/// Reads a query that takes `limit`, and a place by the name of `place`.
pub(super) fn page(query: Option<&str>, place: &str) -> Result<Page, Problem> {
    check_query(query, &[LIMIT, place])?;
    read(query)
}

/// The same, which also takes a `merchant`.
pub(super) fn page_of_merchant(query: Option<&str>, place: &str) -> Result<Page, Problem> {
    check_query(query, &[LIMIT, place, MERCHANT])?;
    read(query)
}

/// The merchant that a query names, whatever else it says.
pub(super) fn merchant(query: Option<&str>) -> Option<String> {
    let pairs = query.unwrap_or_default().split('&');
    let mut named = pairs.filter_map(|pair| pair.strip_prefix("merchant="));
    decoded(named.next()?).ok()
}

/// Whose names are known.
fn read(query: Option<&str>) -> Result<Page, Problem> {
    let mut page = Page {
        limit: PAGE,
        place: None,
        merchant: None,
    };
    let mut seen = Vec::with_capacity(3);
    for pair in query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value)?;
        if seen.contains(&name) {
            let detail = format!("query parameter {} was sent twice", echo(name));
            return Err(Problem::new(&MALFORMED, detail));
        }
        seen.push(name);
        match name {
            LIMIT => page.limit = limit(&value)?,
            MERCHANT => page.merchant = Some(value),
            _ => page.place = Some(value),
        }
    }
    Ok(page)
}

fn limit(text: &str) -> Result<u32, Problem> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text
        .parse()
        .ok()
        .filter(|limit| digits && (1..=PAGE_MAX).contains(limit));
    limit.ok_or_else(|| {
        let detail = format!("limit is {}; use 1 to {PAGE_MAX}", echo(text));
        Problem::new(&MALFORMED, detail)
    })
}

/// A name or value of a query as its sender meant it.
pub(super) fn decoded(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| {
        Problem::new(
            &MALFORMED,
            format!("the query has {}, which is not UTF-8", echo(text)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_how_many_and_from_where() {
        let read = |query| page(query, "before").expect("a page");
        let first = Page {
            limit: 50,
            place: None,
            merchant: None,
        };
        assert_eq!((read(None), read(Some("&"))), (read(Some("")), first));
        assert_eq!(
            read(Some("before=spring%2F01ab&limit=100")),
            Page {
                limit: 100,
                place: Some("spring/01ab".into()),
                merchant: None,
            }
        );
        assert_eq!(
            read(Some("before=spring/01ab")).place.as_deref(),
            Some("spring/01ab")
        );
    }

    #[test]
    fn other_queries_are_refused() {
        for query in [
            "limit=0",
            "limit=101",
            "limit=",
            "limit=+1",
            "limit=1.0",
            "limit=-1",
            "limit=1&limit=1",
            "after=a",
            "before=%ff",
            "before=a&before=a",
            "user=ada",
        ] {
            let problem = page(Some(query), "before").expect_err(query);
            assert_eq!(problem.status(), 400, "{query}");
        }
    }
}
