//! The buttons of a running sale: what each asks for, what it would send, and what of a form was wrong with it.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::api::{Ask, Fault, Trouble, segment};
use super::figures::Campaign;
use super::form::{Form, moment};
use super::words::{Words, fill};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Pause,
    Resume,
    End,
    Times,
    Stock,
    Sku,
    Unschedule,
}

/// How a field is filled in.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Text,
    Number,
    /// A moment in UTC.
    Moment,
    /// One of these: value and words.
    Choice(Vec<(String, String)>),
}

/// A field of a form.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its name in the form.
    pub(super) name: &'static str,
    /// Its place in the body that is sent.
    pub(super) pointer: &'static str,
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) value: String,
    pub(super) is_required: bool,
    pub(super) faults: Vec<Fault>,
}

/// The form's field that has to say the sale's id.
const NAMED: &str = "named";

impl Act {
    pub(super) const ALL: [(&'static str, Self); 7] = [
        ("pause", Self::Pause),
        ("resume", Self::Resume),
        ("end", Self::End),
        ("times", Self::Times),
        ("stock", Self::Stock),
        ("sku", Self::Sku),
        ("unschedule", Self::Unschedule),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(of, _)| *of == name);
        found.map(|(_, act)| act)
    }

    /// Whether the API can say what it would do.
    pub(super) fn can_be_tried(self) -> bool {
        matches!(self, Self::Times | Self::Stock | Self::Sku)
    }

    pub(super) fn is_dangerous(self) -> bool {
        self == Self::End
    }

    /// The fields of a sale's times.
    pub(super) const TIMES: [&str; 3] = ["title", "opens_at", "closes_at"];

    /// Whether its form shows how the sale is, and says how it is to be: then not to one that somebody has changed meanwhile. What stops
    /// a sale is not held up by that.
    pub(super) fn is_of_what_was_seen(self) -> bool {
        matches!(self, Self::Times | Self::Stock)
    }

    /// What a key needs for it.
    pub(super) fn scope(self) -> &'static str {
        "campaigns:write"
    }

    /// Its name and what it does.
    pub(super) fn words(self, words: &'static Words) -> (&'static str, &'static str) {
        match self {
            Self::Pause => (words.pause, words.pause_does),
            Self::Resume => (words.resume, words.resume_does),
            Self::End => (words.end, words.end_does),
            Self::Times => (words.times, words.times_does),
            Self::Stock => (words.change_stock, words.stock_does),
            Self::Sku => (words.add_sku, words.sku_does),
            Self::Unschedule => (words.unschedule, words.unschedule_does),
        }
    }

    /// Its fields as the form has them, or as the sale is where there is no form yet.
    pub(super) fn fields(self, words: &Words, campaign: &Campaign, form: &Form) -> Vec<Field> {
        let field =
            |name: &'static str, pointer: &'static str, label: &str, kind: Kind, first: String| Field {
                value: form.raw(name).map_or(first, str::to_owned),
                is_required: matches!(name, "units" | "id" | NAMED),
                label: label.to_owned(),
                faults: Vec::new(),
                name,
                pointer,
                kind,
            };
        let empty = String::new;
        let mut fields = match self {
            Self::Pause => vec![
                field("pause_at", "/pause_at", words.pause_at, Kind::Moment, empty()),
                field("resume_at", "/resume_at", words.resume_at, Kind::Moment, empty()),
            ],
            Self::End => {
                let label = fill(words.confirm_name, &[("name", &campaign.id)]);
                vec![field(NAMED, "", &label, Kind::Text, empty())]
            }
            Self::Times => {
                let local = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
                let (opens, closes) = (local(campaign.opens_at), local(campaign.closes_at));
                vec![
                    field("title", "/title", words.title, Kind::Text, campaign.title.clone()),
                    field("opens_at", "/opens_at", words.opens_at, Kind::Moment, opens),
                    field("closes_at", "/closes_at", words.closes_at, Kind::Moment, closes),
                ]
            }
            Self::Stock => {
                let skus = campaign.skus.iter();
                let skus = skus.map(|sku| {
                    let left = fill(
                        words.left_of,
                        &[("left", &sku.remaining.max(0)), ("stock", &sku.stock)],
                    );
                    (sku.id.clone(), format!("{} ({left})", sku.id))
                });
                let first = campaign.skus.first().map_or_else(empty, |sku| sku.id.clone());
                let ways = [
                    ("add", words.stock_add),
                    ("remove", words.stock_remove),
                    ("set", words.stock_set),
                ];
                let ways = ways.map(|(way, said)| (way.to_owned(), said.to_owned()));
                vec![
                    field("sku", "/sku", words.sku, Kind::Choice(skus.collect()), first),
                    field(
                        "way",
                        "",
                        words.change,
                        Kind::Choice(ways.into()),
                        "add".to_owned(),
                    ),
                    field("units", "/units", words.how_many, Kind::Number, empty()),
                ]
            }
            Self::Sku => vec![
                field("id", "/id", words.sku, Kind::Text, empty()),
                field("units", "/stock", words.how_many, Kind::Number, empty()),
            ],
            Self::Resume | Self::Unschedule => Vec::new(),
        };
        if self != Self::Unschedule {
            fields.push(field("note", "/note", words.note, Kind::Text, empty()));
        }
        fields
    }

    /// What it asks of the API; `is_tried`: what it would do, and nothing more.
    pub(super) fn ask(self, campaign: &Campaign, form: &Form, is_tried: bool) -> Ask {
        let path = format!("/campaigns/{}", segment(&campaign.id));
        let tried = if is_tried { "?dry_run=true" } else { "" };
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let text = |name: &str| form.get(name).map(Value::from);
        let time = |name: &str| form.get(name).map(|text| Value::from(moment(text)));
        let accept: Vec<&str> = form.all("accept").collect();
        if !accept.is_empty() {
            put("accept", Some(json!(accept)));
        }
        put("note", text("note"));
        let (method, path) = match self {
            Self::Pause => {
                put("pause_at", time("pause_at"));
                put("resume_at", time("resume_at"));
                (Method::POST, format!("{path}/pause"))
            }
            Self::Resume => (Method::POST, format!("{path}/resume")),
            Self::End => (Method::POST, format!("{path}/end")),
            Self::Times => {
                put("title", text("title").filter(|title| *title != campaign.title));
                // Fields of times have seconds; what was not touched keeps its milliseconds.
                let changed = |name: &str, now: jiff::Timestamp| {
                    let is_same =
                        |text: &str| text.starts_with(&now.strftime("%Y-%m-%dT%H:%M:%S").to_string());
                    time(name).filter(|time| !time.as_str().is_some_and(is_same))
                };
                put("opens_at", changed("opens_at", campaign.opens_at));
                put("closes_at", changed("closes_at", campaign.closes_at));
                (Method::PATCH, path)
            }
            Self::Stock => {
                put("sku", text("sku"));
                put(form.get("way").unwrap_or("add"), number(form.get("units")));
                (Method::POST, format!("{path}/stock"))
            }
            Self::Sku => {
                put("id", text("id"));
                put("stock", number(form.get("units")));
                (Method::POST, format!("{path}/skus"))
            }
            Self::Unschedule => {
                let change = segment(form.get("change").unwrap_or_default());
                let mut ask = Ask::get(format!("{path}/scheduled/{change}"));
                ask.method = Method::DELETE;
                return ask;
            }
        };
        Ask::send(method, format!("{path}{tried}"), Value::Object(body))
    }

    /// What the form lacks before anything is asked.
    pub(super) fn check(self, words: &Words, campaign: &Campaign, form: &Form) -> Option<Fault> {
        let is_named = self != Self::End || form.get(NAMED) == Some(campaign.id.as_str());
        (!is_named).then(|| Fault {
            pointer: String::new(),
            detail: fill(words.confirm_name_wrong, &[("name", &campaign.id)]),
            hint: None,
        })
    }
}

/// A whole number where the text is one; the text as it is where not, for the API to say so.
pub(super) fn number(text: Option<&str>) -> Option<Value> {
    let text = text?;
    Some(
        text.replace([',', '\u{a0}'], "")
            .parse::<i64>()
            .map_or_else(|_| text.into(), Value::from),
    )
}

/// Puts each fault to its field; those that no field has are left over.
pub(super) fn place(fields: &mut [Field], trouble: &Trouble) -> Vec<Fault> {
    let mut left = Vec::new();
    for fault in trouble.faults() {
        let is_units = matches!(fault.pointer.as_str(), "/add" | "/remove" | "/set");
        // What is wrong with the whole of it is what it lacks.
        let is_whole = fault.pointer.is_empty();
        let field = fields.iter_mut().find(|field| {
            let is_missing = is_whole && field.is_required && field.value.trim().is_empty();
            let has_place = !field.pointer.is_empty() && fault.pointer.starts_with(field.pointer);
            is_missing || has_place || (is_units && field.name == "units")
        });
        match field {
            Some(field) => field.faults.push(fault),
            None => left.push(fault),
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::super::api::Told;
    use super::*;

    fn campaign() -> Campaign {
        serde_json::from_value(json!({
            "id": "spring", "title": "Spring", "revision": 1, "state": "open", "opens_at": "2026-12-01T10:00:00.250Z",
            "closes_at": "2026-12-02T10:00:00.000Z", "rejected": {}, "orders_to_kafka": 0, "units_to_database": 0,
            "redis_whole": true, "skus": [{"id": "mug", "stock": 9, "remaining": 4, "admitted": 5, "landed": 5}],
        }))
        .expect("a campaign")
    }

    #[test]
    fn what_was_not_touched_is_not_sent() {
        let form = Form::read(b"title=Spring&opens_at=2026-12-01T10:00:00&closes_at=2026-12-03T10:00&note=");
        let ask = Act::Times.ask(&campaign(), &form, true);
        assert_eq!(ask.path, "/campaigns/spring?dry_run=true");
        assert_eq!(ask.body, Some(json!({"closes_at": "2026-12-03T10:00:00Z"})));
    }

    #[test]
    fn numbers_are_numbers_and_what_is_none_is_left_to_the_api() {
        let ask = |units: &str| {
            Act::Stock.ask(
                &campaign(),
                &Form::read(format!("sku=mug&way=add&units={units}").as_bytes()),
                false,
            )
        };
        assert_eq!(ask("1%2C000").body, Some(json!({"sku": "mug", "add": 1000})));
        assert_eq!(ask("many").body, Some(json!({"sku": "mug", "add": "many"})));
    }

    #[test]
    fn faults_stand_at_their_fields() {
        let words = Words::of(None, None);
        let mut fields = Act::Stock.fields(words, &campaign(), &Form::default());
        let fault = |pointer: &str| Fault {
            pointer: pointer.into(),
            detail: "no".into(),
            hint: None,
        };
        let trouble = Trouble::from(Told {
            errors: vec![fault("/add"), fault("/sku"), fault("/elsewhere")],
            ..Told::default()
        });
        assert_eq!(place(&mut fields, &trouble).len(), 1);
        let counts: Vec<usize> = fields.iter().map(|field| field.faults.len()).collect();
        assert_eq!(counts, [1, 0, 1, 0]);
    }

    #[test]
    fn a_sale_is_ended_by_name() {
        let words = Words::of(None, None);
        let check = |text: &str| Act::End.check(words, &campaign(), &Form::read(text.as_bytes()));
        assert!(check("named=spring").is_none() && check("named=sprung").is_some() && check("").is_some());
        assert!(Act::Pause.check(words, &campaign(), &Form::default()).is_none());
    }
}
