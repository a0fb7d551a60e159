//! One operation of a plane, described: what it is asked with, what it answers, and what goes wrong.

use serde_json::{Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, ToSchema};

use super::schemas::{Schemas, never_null, value_of};
use crate::wire::problem::{
    IDEMPOTENCY_KEY, IN_PROGRESS, INVALID, KEY_REUSED, Kind, MALFORMED, MEDIA_TYPE, PRECONDITION_FAILED,
    TOO_LARGE, UNKNOWN,
};

/// JSON, as nearly everything is.
pub const JSON: &str = "application/json";

/// Where the header `If-Match` is described.
pub const IF_MATCH: &str = "#/components/parameters/IfMatch";

/// A method on a path. What holds for every operation of its plane is not said here: see [`super::Plane`].
pub struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Names it for programs that make clients: `createCampaign`.
    pub(super) id: &'static str,
    /// One line.
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    /// Whether it takes no token.
    pub(super) is_open: bool,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    pub(super) answers: Vec<Answered>,
    pub(super) problems: Vec<&'static Kind>,
    /// Statuses that may come as a text as well.
    pub(super) texts: Vec<u16>,
    pub(super) schemas: Schemas,
}

/// One answer that is no problem.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) description: &'static str,
    /// (Media type, schema); none where there is no body.
    pub(super) content: Vec<(&'static str, Value)>,
    pub(super) headers: Vec<(&'static str, Value)>,
}

/// A text of a header or a parameter, with its schema.
fn named(name: &str, place: &str, required: bool, description: &str, schema: &Value) -> Value {
    json!({"name": name, "in": place, "required": required, "description": description, "schema": schema})
}

impl Operation {
    pub fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            description: "",
            is_open: false,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems: Vec::new(),
            texts: Vec::new(),
            schemas: Schemas::default(),
        }
    }

    pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("GET", path, id, summary)
    }

    pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("POST", path, id, summary)
    }

    pub fn put(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("PUT", path, id, summary)
    }

    pub fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("PATCH", path, id, summary)
    }

    pub fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("DELETE", path, id, summary)
    }

    /// What else there is to know, in sentences.
    pub fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// It takes no token.
    pub fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Its path names something that may not be there.
    pub fn of_something(self) -> Self {
        self.refuses(&[&UNKNOWN])
    }

    /// The parameters of its query, from the struct that reads them.
    pub fn query<T: IntoParams>(mut self) -> Self {
        let read = T::into_params(|| Some(ParameterIn::Query));
        self.parameters.extend(read.iter().map(|parameter| {
            let mut parameter = value_of(parameter);
            let schema = &mut parameter["schema"];
            never_null(schema);
            if schema["format"] == "uint32" && schema["maximum"].is_null() {
                schema["maximum"] = u32::MAX.into();
            }
            parameter
        }));
        self
    }

    /// One parameter of its query, where no struct reads them.
    pub fn parameter(mut self, name: &str, description: &str, schema: &Value) -> Self {
        self.parameters
            .push(named(name, "query", false, description, schema));
        self
    }

    pub fn header(mut self, name: &str, description: &str, schema: &Value) -> Self {
        self.parameters
            .push(named(name, "header", false, description, schema));
        self
    }

    /// Parameters of its query whose names fit a pattern: as OpenAPI has it, the members of an object that is exploded.
    pub fn parameters_like(mut self, name: &str, pattern: &str, most: usize, description: &str) -> Self {
        let schema = json!({"type": "object", "maxProperties": most, "propertyNames": {"pattern": pattern},
            "additionalProperties": {"type": "string", "maxLength": 256, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}});
        let mut parameter = named(name, "query", false, description, &schema);
        parameter["style"] = "form".into();
        parameter["explode"] = true.into();
        self.parameters.push(parameter);
        self
    }

    /// It takes an `Idempotency-Key` for the sake of programs that send one with every change.
    pub fn optional_key(mut self) -> Self {
        self.parameters
            .push(json!({"$ref": "#/components/parameters/IdempotencyKey"}));
        self.refuses(&[&IDEMPOTENCY_KEY])
    }

    /// It takes an `Idempotency-Key`.
    pub fn keyed(self) -> Self {
        self.with_key(false)
    }

    /// It does not go without an `Idempotency-Key`.
    pub fn needs_key(self) -> Self {
        self.with_key(true)
    }

    fn with_key(mut self, required: bool) -> Self {
        let name = if required {
            "IdempotencyKeyNeeded"
        } else {
            "IdempotencyKey"
        };
        self.parameters
            .push(json!({"$ref": format!("#/components/parameters/{name}")}));
        self.refuses(&[&IDEMPOTENCY_KEY, &IN_PROGRESS, &KEY_REUSED])
    }

    /// It takes the header `If-Match`: what its path names is to be as whoever asks has seen it.
    pub fn if_match(mut self) -> Self {
        self.parameters.push(json!({"$ref": IF_MATCH}));
        self.refuses(&[&PRECONDITION_FAILED])
    }

    /// What it answers has a tag; whoever has that already is told so.
    pub fn tagged(mut self) -> Self {
        self.parameters
            .push(json!({"$ref": "#/components/parameters/IfNoneMatch"}));
        let header = json!({"$ref": "#/components/headers/ETag"});
        self = self.answers_nothing(304, "It has the tag that If-None-Match names.");
        for answer in &mut self.answers {
            answer.headers.push(("ETag", header.clone()));
        }
        self
    }

    /// A body of JSON, of this type.
    pub fn body<T: ToSchema>(self) -> Self {
        self.json_body::<T>(true)
    }

    /// The same where all of it may be left out.
    pub fn body_if_any<T: ToSchema>(self) -> Self {
        self.json_body::<T>(false)
    }

    fn json_body<T: ToSchema>(mut self, required: bool) -> Self {
        let schema = self.schemas.add::<T>();
        let body = json!({"required": required, "content": {JSON: {"schema": schema}}});
        self.body = Some(body);
        self.refuses(&[&INVALID, &MEDIA_TYPE, &TOO_LARGE])
    }

    /// A body of other media types, each with its schema.
    pub fn raw_body(mut self, description: &str, content: &[(&str, Value)]) -> Self {
        let content: serde_json::Map<String, Value> = content
            .iter()
            .map(|(media_type, schema)| ((*media_type).to_owned(), json!({"schema": schema})))
            .collect();
        self.body = Some(json!({"required": true, "description": description, "content": content}));
        self.refuses(&[&MEDIA_TYPE, &TOO_LARGE])
    }

    /// One more media type of a body that is there: lines, which no schema describes.
    pub fn or_lines(mut self, media_type: &str) -> Self {
        if let Some(body) = &mut self.body {
            body["content"][media_type] = json!({"schema": {"type": "string"}});
        }
        self
    }

    /// An answer of JSON, of this type.
    pub fn answers<T: ToSchema>(mut self, status: u16, description: &'static str) -> Self {
        let schema = self.schemas.add::<T>();
        self.answered(status, description, Some((JSON, schema)))
    }

    /// An answer of JSON, of one of two types.
    pub fn answers_either<T: ToSchema, U: ToSchema>(
        mut self,
        status: u16,
        description: &'static str,
    ) -> Self {
        let schema = json!({"anyOf": [self.schemas.add::<T>(), self.schemas.add::<U>()]});
        self.answered(status, description, Some((JSON, schema)))
    }

    /// Besides problems of this status, a text.
    pub fn or_else_text(mut self, status: u16) -> Self {
        self.texts.push(status);
        self
    }

    /// One that is no JSON.
    pub fn answers_with(
        self,
        status: u16,
        media_type: &'static str,
        description: &'static str,
        schema: Value,
    ) -> Self {
        self.answered(status, description, Some((media_type, schema)))
    }

    /// One without a body.
    pub fn answers_nothing(self, status: u16, description: &'static str) -> Self {
        self.answered(status, description, None)
    }

    fn answered(
        mut self,
        status: u16,
        description: &'static str,
        content: Option<(&'static str, Value)>,
    ) -> Self {
        match self.answers.iter_mut().find(|one| one.status == status) {
            Some(one) => one.content.extend(content),
            None => self.answers.push(Answered {
                status,
                description,
                content: content.into_iter().collect(),
                headers: Vec::new(),
            }),
        }
        self
    }

    /// A header of every answer so far.
    pub fn tells(mut self, name: &'static str, description: &str) -> Self {
        let header = json!({"description": description, "schema": {"type": "string"}});
        for answer in &mut self.answers {
            answer.headers.push((name, header.clone()));
        }
        self
    }

    /// A retry of it says that it is one.
    pub fn replays(mut self) -> Self {
        let header = json!({"$ref": "#/components/headers/IdempotentReplayed"});
        for answer in &mut self.answers {
            answer.headers.push(("Idempotent-Replayed", header.clone()));
        }
        self
    }

    /// What may go wrong, besides what may with every operation of the plane.
    pub fn refuses(mut self, problems: &[&'static Kind]) -> Self {
        for kind in problems {
            if !self.problems.iter().any(|known| std::ptr::eq(*known, *kind)) {
                self.problems.push(kind);
            }
        }
        self
    }

    /// Method and pattern: `GET /v1/orders`.
    pub fn route(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether what is sent can be read at all is asked of every operation.
    pub(super) fn all_problems(&self, common: &[&'static Kind]) -> Vec<&'static Kind> {
        let mut all = self.problems.clone();
        for kind in common.iter().chain(&[&MALFORMED]) {
            if !all.iter().any(|known| std::ptr::eq(*known, *kind)) {
                all.push(kind);
            }
        }
        all
    }
}
