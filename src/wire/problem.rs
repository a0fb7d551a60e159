//! The one table of everything that can go wrong for a client: RFC 9457 problem documents.
//!
//! `reason` is what programs switch on; `type` resolves on both planes to the text of [`Kind::help`].

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use super::Moment;
use super::tags::quoted;

/// One row of the table.
#[derive(Debug)]
pub struct Kind {
    /// Last part of the `type`, and the `reason` unless something more exact is known.
    pub slug: &'static str,
    /// The document's `type`: a path on the plane that answered.
    pub uri: &'static str,
    pub status: u16,
    /// Whether the same request may succeed later without anybody changing anything.
    pub retryable: bool,
    pub title: &'static str,
    /// What `GET /problems/<slug>` explains.
    pub help: &'static str,
}

macro_rules! problems {
    ($($name:ident = $slug:literal $status:literal $retry:ident $title:literal $help:literal;)*) => {
        $(pub static $name: Kind = Kind {
            slug: $slug, uri: concat!("/problems/", $slug), status: $status, retryable: problems!(@$retry), title: $title, help: $help,
        };)*
        /// The table.
        pub static ALL: &[&Kind] = &[$(&$name),*];
    };
    (@retry) => { true };
    (@final) => { false };
}

problems! {
    MALFORMED = "malformed" 400 final "Malformed request"
        "The request could not be read: the body is no JSON, was cut off, or a header or query parameter has the wrong form.";
    IDEMPOTENCY_KEY = "idempotency-key" 400 final "Malformed Idempotency-Key"
        "An Idempotency-Key is 1 to 255 visible ASCII characters, bare or as a quoted string, sent once.";
    TOKEN_MISSING = "token-missing" 401 final "Authentication required"
        "Send the token in the header: Authorization: Bearer <token>.";
    TOKEN_INVALID = "token-invalid" 401 final "Token not accepted"
        "The bearer token is malformed, was signed by another key or with another algorithm, or was issued for somebody else.";
    TOKEN_EXPIRED = "token-expired" 401 final "Token expired"
        "The bearer token has expired. Get a new one and send the request again with the same Idempotency-Key.";
    TOKEN_NOT_YET_VALID = "token-not-yet-valid" 401 retry "Token not yet valid"
        "The bearer token says that it may be used only later (claim nbf).";
    FORBIDDEN = "forbidden" 403 final "Not allowed"
        "The request is understood and refused.";
    CANCEL_NOT_ALLOWED = "cancel-not-allowed" 403 final "Buyers cannot cancel"
        "Whoever runs the sale does not let buyers cancel their orders by themselves. Nothing was changed.";
    ANOTHER_PERSON = "another-person" 403 final "Another person is needed"
        "Two people have to agree: whoever approves something shows a key that names a person, who is not the one who made it, and has no key that goes back to the same person. Nothing was changed.";
    NOT_FOUND = "not-found" 404 final "No such path"
        "Nothing is served under this path.";
    UNKNOWN_SKU = "unknown-sku" 404 final "Unknown SKU"
        "The campaign does not sell this SKU.";
    UNKNOWN = "unknown" 404 final "Not found"
        "What the request names does not exist, or belongs to somebody else: the detail says what.";
    METHOD_NOT_ALLOWED = "method-not-allowed" 405 final "Method not allowed"
        "The path exists, but not with this method; the header Allow names those it has.";
    TIMEOUT = "request-timeout" 408 retry "Request too slow"
        "The body did not arrive in time.";
    SOLD_OUT = "sold-out" 409 final "Sold out"
        "Fewer units are left than the order asks for. Nothing was ordered. While orders that have not reached the database may \
         give units back, the document says retryable and the answer has Retry-After.";
    WINDOW_FULL = "window-full" 409 retry "Too many orders in the window"
        "This buyer has as many orders in a rolling window as can be counted. Nothing was ordered. Where something refuses the \
         order until the sale closes, the document does not say retryable.";
    RULE_REJECTED = "rule-rejected" 409 final "Rejected by a rule of the campaign"
        "A rule of the campaign does not allow this order; the members reason and constraint name the first that does not. Nothing \
         was ordered. Where no rule refuses it for good, the document says retryable, and retry_at when all of them allow it.";
    CONFLICT = "conflict" 409 final "Conflict"
        "The id is taken, or somebody else changed the same thing.";
    IN_PROGRESS = "in-progress" 409 retry "Request being carried out"
        "The same request, with the same Idempotency-Key, is being carried out, or the process that did so has died. Wait as long as Retry-After says, then send the request again with the same key.";
    NOT_LANDED_YET = "not-landed-yet" 409 retry "Order on its way"
        "The order was admitted and has not reached the database, where it can be changed. Nothing was changed. Wait as long as Retry-After says, then send the request again.";
    ORDER_STATE = "order-state" 409 final "Order in another state"
        "The member state says how the order stands, and from there it cannot be changed so. Nothing was changed.";
    ORDER_EXPIRED = "order-expired" 409 final "Order expired"
        "The order was not paid in time and has given back what the terms of the sale say. Nothing was paid: give the money back, or place a new order that names this one in replaces.";
    ALREADY_REPLACED = "already-replaced" 409 final "Order replaced already"
        "Another order has come in the place of the expired one that replaces names: the member replaced_by says which. Nothing was ordered. Leave replaces out to order one more.";
    ACCEPT_MISSING = "accept-missing" 409 final "Counters would lose what they hold"
        "Activating the revision changes what counters count, leaves them unread, or has a rule that decides already begin with one \
         at zero: the member changes says what becomes of their counts. Name their ids in accept to activate all the same.";
    APPROVAL_NEEDED = "approval-needed" 409 final "Approval of another person needed"
        "What decides in this campaign needs a second person: another one than its maker looks at it and approves it. The detail says what is missing. Nothing was changed.";
    APPROVAL_STALE = "approval-stale" 409 final "Not what was approved"
        "What there is is not what was looked at or approved; the member differs names the parts that are others, where that is known. Nothing was changed.";
    CLOSED = "closed" 410 final "Sale closed"
        "The sale is over. Nothing was ordered.";
    PRECONDITION_FAILED = "precondition-failed" 412 final "Changed since you looked"
        "If-Match names another ETag than the thing has by now: somebody has changed it since it was read. Nothing was changed. The members \
         etag, current and last_change say how it is and what was done to it last; look at it, and send the change again with its ETag.";
    TOO_LARGE = "too-large" 413 final "Body too large"
        "The body exceeds the limit that the detail names.";
    MEDIA_TYPE = "unsupported-media-type" 415 final "Unsupported media type"
        "The header Content-Type names another format than this path takes, or Content-Encoding another coding than Accept-Encoding of the answer.";
    INVALID = "invalid" 422 final "Invalid request"
        "The body can be read, but a value in it cannot be accepted; pointer (RFC 6901) says which.";
    ATTRIBUTE_MISSING = "attribute-missing" 422 final "Attribute missing"
        "A rule of the campaign needs an attribute that the order does not carry. Nothing was ordered.";
    ATTRIBUTE_UNREADABLE = "attribute-unreadable" 422 final "Attribute cannot be read"
        "A rule of the campaign reads a claim that the token has in a form that no rule can read: only texts of up to 256 bytes without control characters, numbers, truth values, and arrays of up to 32 of them can be. Nothing was ordered.";
    CLAIM_NOT_SINGLE = "claim-not-single" 422 final "Claim is not one value"
        "A rule of the campaign counts or decides by one value of a claim, and the token has an array of none or several. Nothing was ordered.";
    KEY_REUSED = "key-reused" 422 final "Idempotency-Key reused"
        "The same Idempotency-Key was used for something else: by this buyer for an order of another SKU, quantity or attributes, \
         or for another change of the campaign. Nothing was ordered or changed.";
    MODULE_REFUSED = "module-refused" 422 final "Rule module refused"
        "The bytes are no rule module that can be used, or the module did not keep its promises; reason and detail say why.";
    NOT_OPEN = "not-open" 425 retry "Sale not open yet"
        "The sale has not opened for this buyer. Nothing was ordered. retry_at says when nothing refuses the order any more; where \
         a rule refuses it for good, the document does not say retryable.";
    OVERLOADED = "overloaded" 429 retry "Too many orders are waiting"
        "Nothing was begun. Wait as long as Retry-After says, then send the request again with the same Idempotency-Key.";
    TOO_OFTEN = "too-often" 429 retry "Asked too often"
        "This key or this address asks the control plane more often than it may, or sent too many tokens that are none. Nothing was begun. Wait as long as Retry-After says, then send the same request again.";
    TOO_MANY_STREAMS = "too-many-streams" 429 retry "Too many streams are open"
        "This buyer, this address or the gateway has as many streams of events open as it may have. Close one, or ask with GET how \
         the order stands, and open the stream when Retry-After is over.";
    INTERNAL = "internal" 500 final "Internal error"
        "A defect of the service. If it was an order, ask again with the same Idempotency-Key before giving up.";
    PROOF_FAILED = "proof-failed" 500 final "The proof of the revision failed"
        "Over this plan the gateway's interpreter and the generated script part, a defect of the gateway: the member counterexample \
         shows where. The revision is not in force; the one that was active still is.";
    GATE_CLOSED = "gate-closed" 503 retry "Gate closed"
        "The campaign's state is missing or being rebuilt, so nothing is decided. Retry with the same Idempotency-Key.";
    BACKLOG = "backlog" 503 retry "Too many orders are on their way"
        "Orders are taken again when the database has caught up. Nothing was begun. Wait as long as Retry-After says, then send the request again with the same Idempotency-Key.";
    PAUSED = "paused" 503 retry "Sale paused"
        "Whoever runs the sale has paused it: orders are not taken for now, and those taken before go on. Nothing was ordered. Wait as long as Retry-After says, then send the request again; retry_at, where it is there, is when the pause ends by itself.";
    PRECHECK_FAILED = "precheck-failed" 503 retry "A rule could not check the order"
        "A rule of the campaign checks each order before it is decided, and failed to; an order that was not checked is not admitted. Nothing was ordered. Retry with the same Idempotency-Key.";
    DEADLINE = "deadline" 503 retry "No decision in time"
        "The order may have been admitted. Send it again with the same Idempotency-Key to find out.";
    UNAVAILABLE = "unavailable" 503 retry "Temporarily unavailable"
        "A service behind this one does not answer. If it was an order, send it again with the same Idempotency-Key.";
}

/// Where a problem's `type` resolves, on both planes.
pub const PATH: &str = "/problems/";
/// Where all of them are listed.
pub const LIST_PATH: &str = "/problems";
/// `type` of a module's own reason: `/problems/rule/<reason>`.
const RULE_PATH: &str = "/problems/rule/";

/// A problem document. Optional members are left out where they say nothing.
#[derive(Clone, Debug)]
pub struct Problem(Box<Document>);

/// Boxed, so that a `Result` that is nearly always good stays small.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// A path on the plane that answered, which explains it.
    #[serde(rename = "type")]
    uri: Cow<'static, str>,
    title: &'static str,
    status: u16,
    /// What went wrong this time, in a sentence.
    detail: Cow<'static, str>,
    /// What programs switch on; of a rule's module its own.
    reason: Cow<'static, str>,
    /// `<rule>/<reason>` of what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    constraint: Option<String>,
    /// Whether the same request may succeed later without anybody changing anything.
    retryable: bool,
    /// RFC 6901 pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
    /// When time alone would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Moment>,
    /// Everything that is wrong, where it is more than one thing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// Members of one kind of problem alone.
    #[serde(flatten)]
    #[schema(ignore)]
    more: serde_json::Map<String, serde_json::Value>,
    /// Becomes the header `Retry-After`.
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<Duration>,
    /// What the thing has by now; becomes the header `ETag`, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// Becomes the header `Accept-Encoding`.
    #[serde(skip)]
    #[schema(ignore)]
    accept_encoding: Option<&'static str>,
}

/// One of several things wrong in a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// RFC 6901 pointer into the body.
    pub pointer: String,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A 429 or 503, and what is on its way, says when to come back: a second, unless [`Self::retry_after`] knows better.
    pub fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Document {
            uri: Cow::Borrowed(kind.uri),
            title: kind.title,
            status: kind.status,
            detail: detail.into(),
            reason: Cow::Borrowed(kind.slug),
            constraint: None,
            retryable: kind.retryable,
            pointer: None,
            used: None,
            limit: None,
            retry_at: None,
            errors: Vec::new(),
            more: serde_json::Map::new(),
            retry_after: (matches!(kind.status, 429 | 503)
                || matches!(kind.slug, "not-landed-yet" | "in-progress"))
            .then_some(Duration::from_secs(1)),
            etag: None,
            accept_encoding: None,
        }))
    }

    /// A reason more exact than the kind, the `type` staying that of the kind.
    pub fn reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.0.reason = reason.into();
        self
    }

    /// A rejection by a module, under its own reason code and with a `type` of its own.
    pub fn by_rule(
        reason: &str,
        constraint: Option<&str>,
        retryable: bool,
        detail: Cow<'static, str>,
    ) -> Self {
        let mut problem = Self::new(&RULE_REJECTED, detail).constraint(constraint.map(str::to_owned));
        problem.0.uri = format!("{RULE_PATH}{reason}").into();
        problem.0.retryable = retryable;
        problem.reason(reason.to_owned())
    }

    /// Whether a retry can help, where that is known better than for all of the kind.
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// `<rule>/<reason>` of what failed.
    pub fn constraint(mut self, constraint: Option<String>) -> Self {
        self.0.constraint = constraint;
        self
    }

    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    /// So much used of so much.
    pub fn measure(mut self, used: i64, limit: i64) -> Self {
        (self.0.used, self.0.limit) = (Some(used), Some(limit));
        self
    }

    /// When time alone would help, milliseconds since 1970-01-01 UTC; `now` gives `Retry-After`.
    pub fn retry_at(mut self, at: i64, now: i64) -> Self {
        self.0.retry_at = Some(Moment(at));
        self.0.retry_after = Some(Duration::from_millis(at.saturating_sub(now).max(0) as u64));
        self
    }

    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// The codings of a body that are taken, of a 415 that is about them (RFC 9110).
    pub fn accept_encoding(mut self, codings: &'static str) -> Self {
        self.0.accept_encoding = Some(codings);
        self
    }

    /// The tag that the thing has by now.
    pub fn tag(mut self, tag: &str) -> Self {
        self.0.etag = Some(quoted(tag));
        self
    }

    /// Everything that is wrong; the first one's pointer becomes the document's.
    pub fn errors(mut self, errors: Vec<Fault>) -> Self {
        self.0.pointer = errors.first().map(|fault| fault.pointer.clone());
        self.0.errors = errors;
        self
    }

    /// A member that only this kind of problem has; one that cannot be written as JSON is left out.
    pub fn member(mut self, name: &str, value: &impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.more.insert(name.to_owned(), value);
        }
        self
    }

    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The reason code: for metrics.
    pub fn reason_code(&self) -> &Cow<'static, str> {
        &self.0.reason
    }

    /// Whole seconds for the header `Retry-After`, rounded up and at least 1.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.0
            .retry_after
            .map(|wait| (wait.as_millis().div_ceil(1000) as u64).max(1))
    }

    /// The header `ETag`.
    pub fn etag(&self) -> Option<&str> {
        self.0.etag.as_deref()
    }

    /// The header `Accept-Encoding`.
    pub fn accepted_encoding(&self) -> Option<&'static str> {
        self.0.accept_encoding
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(320);
        serde_json::to_writer(&mut json, &*self.0).expect("a problem is plain data with text keys");
        json
    }
}

/// What `GET /problems` answers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problems)]
pub(super) struct List {
    problems: Vec<Listed>,
}

/// One row of the table as `GET /problems` lists it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ProblemKind)]
pub(super) struct Listed {
    #[serde(rename = "type")]
    uri: Cow<'static, str>,
    title: &'static str,
    status: u16,
    retryable: bool,
    /// What it means, and what to do.
    help: String,
}

impl Listed {
    fn of(kind: &'static Kind, uri: impl Into<Cow<'static, str>>) -> Self {
        Self {
            uri: uri.into(),
            title: kind.title,
            status: kind.status,
            retryable: kind.retryable,
            help: format!("{} {}", kind.help, advice(kind)),
        }
    }
}

/// What `GET /problems` answers: every `type` there is, as JSON. Those of rules are as many as there are reasons.
pub fn list() -> Vec<u8> {
    let of_rules = Listed::of(&RULE_REJECTED, format!("{RULE_PATH}{{reason}}"));
    let problems: Vec<Listed> = ALL
        .iter()
        .map(|kind| Listed::of(kind, kind.uri))
        .chain([of_rules])
        .collect();
    let page = List { problems };
    serde_json::to_vec(&page).expect("the list is plain data with text keys")
}

/// The text a `type` resolves to; `slug` is what stands after [`PATH`].
pub fn explain(slug: &str) -> Option<String> {
    if let Some(code) = slug.strip_prefix("rule/") {
        let is_code = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = !code.is_empty() && code.len() <= 64 && code.chars().all(is_code);
        return named.then(|| page(&RULE_REJECTED, &format!("Reason of the rule's module: {code}.\n")));
    }
    ALL.iter()
        .find(|kind| kind.slug == slug)
        .map(|kind| page(kind, ""))
}

fn page(kind: &Kind, more: &str) -> String {
    format!(
        "{} ({})\n\n{}\n{more}{}\n",
        kind.title,
        kind.status,
        kind.help,
        advice(kind)
    )
}

fn advice(kind: &Kind) -> &'static str {
    match kind.retryable {
        _ if kind.help.contains(" retryable") => {
            "The document says whether the same request may succeed later."
        }
        true => "The same request may succeed later.",
        false => "The same request fails again until something else changes.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_clients_rely_on() {
        let expected = [
            ("malformed", 400, false),
            ("idempotency-key", 400, false),
            ("token-missing", 401, false),
            ("token-invalid", 401, false),
            ("token-expired", 401, false),
            ("token-not-yet-valid", 401, true),
            ("forbidden", 403, false),
            ("cancel-not-allowed", 403, false),
            ("another-person", 403, false),
            ("not-found", 404, false),
            ("unknown-sku", 404, false),
            ("unknown", 404, false),
            ("method-not-allowed", 405, false),
            ("request-timeout", 408, true),
            ("sold-out", 409, false),
            ("window-full", 409, true),
            ("rule-rejected", 409, false),
            ("conflict", 409, false),
            ("in-progress", 409, true),
            ("not-landed-yet", 409, true),
            ("order-state", 409, false),
            ("order-expired", 409, false),
            ("already-replaced", 409, false),
            ("accept-missing", 409, false),
            ("approval-needed", 409, false),
            ("approval-stale", 409, false),
            ("closed", 410, false),
            ("precondition-failed", 412, false),
            ("too-large", 413, false),
            ("unsupported-media-type", 415, false),
            ("invalid", 422, false),
            ("attribute-missing", 422, false),
            ("attribute-unreadable", 422, false),
            ("claim-not-single", 422, false),
            ("key-reused", 422, false),
            ("module-refused", 422, false),
            ("not-open", 425, true),
            ("overloaded", 429, true),
            ("too-often", 429, true),
            ("too-many-streams", 429, true),
            ("internal", 500, false),
            ("proof-failed", 500, false),
            ("gate-closed", 503, true),
            ("backlog", 503, true),
            ("paused", 503, true),
            ("precheck-failed", 503, true),
            ("deadline", 503, true),
            ("unavailable", 503, true),
        ];
        let table: Vec<_> = ALL.iter().map(|k| (k.slug, k.status, k.retryable)).collect();
        assert_eq!(table, expected);
    }

    #[test]
    fn every_type_resolves() {
        for kind in ALL {
            let slug = kind.uri.strip_prefix(PATH).expect("types are paths");
            assert!(explain(slug).expect(slug).starts_with(kind.title), "{slug}");
        }
        assert!(explain("rule/limit-per-user").is_some_and(|text| text.contains("limit-per-user")));
        for nothing in ["", "nope", "rule/", "rule/<script>", "rule/../x"] {
            assert_eq!(explain(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_list_has_every_type() {
        let page: serde_json::Value = serde_json::from_slice(&list()).expect("JSON");
        let listed = page["problems"].as_array().expect("a list");
        let types: Vec<&str> = listed.iter().filter_map(|row| row["type"].as_str()).collect();
        let all = ALL.iter().map(|kind| kind.uri).chain(["/problems/rule/{reason}"]);
        assert_eq!(types, all.collect::<Vec<_>>());
        for row in listed {
            assert!(
                row["title"].is_string() && row["status"].is_u64() && row["retryable"].is_boolean(),
                "{row}"
            );
            assert!(
                row["help"]
                    .as_str()
                    .is_some_and(|help| help.contains("same request")),
                "{row}"
            );
        }
    }

    #[test]
    fn documents_have_the_members_of_the_contract() {
        let json =
            |problem: Problem| serde_json::from_slice::<serde_json::Value>(&problem.to_json()).expect("JSON");
        assert_eq!(
            json(Problem::new(&INVALID, "no").pointer("/quantity")),
            serde_json::json!({"type": "/problems/invalid", "title": "Invalid request", "status": 422,
                "detail": "no", "reason": "invalid", "retryable": false, "pointer": "/quantity"})
        );
        let limit = Problem::by_rule(
            "limit-per-user",
            Some("n-per-user/limit-per-user"),
            true,
            "2 of 2".into(),
        )
        .measure(2, 2)
        .retry_at(1_795_255_200_000, 1_795_255_198_500);
        assert_eq!(limit.retry_after_seconds(), Some(2));
        assert_eq!(
            json(limit),
            serde_json::json!({"type": "/problems/rule/limit-per-user", "title": RULE_REJECTED.title,
                "status": 409, "detail": "2 of 2", "reason": "limit-per-user",
                "constraint": "n-per-user/limit-per-user", "retryable": true, "used": 2, "limit": 2,
                "retry_at": "2026-11-21T10:00:00.000Z"})
        );
        assert_eq!(Problem::new(&GATE_CLOSED, "x").retry_after_seconds(), Some(1));
        assert_eq!(Problem::new(&SOLD_OUT, "x").retry_after_seconds(), None);
    }
}
