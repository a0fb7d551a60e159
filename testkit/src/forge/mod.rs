//! Rule modules forged to order: components of the contract that answer what JSON says, or do what a few lines
//! of WebAssembly text do. For every test that needs a module nobody would build.
pub mod hostile;

use std::fmt::Write as _;

use rushgate::wasm::wrap_core_module;
use serde_json::{Value, json};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SizeAlign, Type, TypeDefKind};

const WIT: &str = include_str!("../../../wit/policy.wit");
/// Where the answers are laid out in the guest's memory; below is the null page.
const BASE: usize = 1024;
const PAGE_BYTES: usize = 65536;

pub const LOOP: &str = "(loop $again (br $again)) unreachable";
pub const TRAP: &str = "unreachable";
pub const PASS: &str = "(global.get $pass)";

/// Takes the next bytes of the memory, and never gives any back.
const REALLOC: &str = "(local.set $at (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $new)))
    (local.get $at)";

/// What one of the module's functions does.
#[derive(Clone, Debug)]
pub enum Body {
    /// Answers this value, laid out beforehand. Records may leave out fields: they are empty.
    Answer(Value),
    /// WebAssembly text that leaves the address of an answer. `(global.get $pass)` and `(global.get $reject0)`, …
    /// are verdicts; a precheck has the locals `$params`, `$user`, `$sku`, `$attributes`, each with a
    /// `…_len`, and `$quantity`.
    Text(String),
}

/// A module to be forged.
#[derive(Clone, Debug)]
pub struct Forge {
    pub describe: Body,
    pub compile: Body,
    /// What the optional `rule2` answers.
    pub compile2: Option<Body>,
    /// The optional precheck.
    pub check: Option<Body>,
    /// Codes of `$reject0`, `$reject1`, …
    pub verdicts: Vec<String>,
    /// Further fields of the core module: globals, functions, tables, a start section.
    pub more: String,
    /// Pages of memory beyond what the answers take.
    pub pages: usize,
    /// Body of the function that makes room for what the host hands over; a good one when left out.
    pub realloc: Option<String>,
}

impl Default for Forge {
    /// Declares the reason `no`, and compiles to a plan that admits everybody.
    fn default() -> Self {
        Self {
            describe: Body::Answer(descriptor()),
            compile: Body::Answer(json!({"ok": {}})),
            compile2: None,
            check: None,
            verdicts: vec!["no".into()],
            more: String::new(),
            pages: 1,
            realloc: None,
        }
    }
}

/// A descriptor in good order.
pub fn descriptor() -> Value {
    json!({
        "id": "forged", "version": "1.0.0", "title": "Forged", "params-schema": "{}",
        "reasons": [{"code": "no", "title": "Not this order", "retryable": false}],
    })
}

/// [`descriptor`] with these fields instead.
pub fn described(fields: Value) -> Value {
    let mut descriptor = descriptor();
    let fields = fields.as_object().expect("fields are an object").clone();
    descriptor.as_object_mut().expect("it is one").extend(fields);
    descriptor
}

impl Forge {
    pub fn describing(fields: Value) -> Self {
        Self {
            describe: Body::Answer(described(fields)),
            ..Self::default()
        }
    }

    pub fn planning(plan: Value) -> Self {
        Self {
            compile: Body::Answer(json!({ "ok": plan })),
            ..Self::default()
        }
    }

    /// With a plan of `types2`.
    pub fn planning2(plan: Value) -> Self {
        Self {
            compile2: Some(Body::Answer(json!({ "ok": plan }))),
            ..Self::default()
        }
    }

    /// With a precheck; see [`Body::Text`].
    pub fn checking(text: &str) -> Self {
        Self {
            check: Some(Body::Text(text.into())),
            ..Self::default()
        }
    }

    pub fn component(&self) -> Vec<u8> {
        let world = match (&self.check, &self.compile2) {
            (None, None) => "rule-module",
            (None, Some(_)) => "rule-module2",
            (Some(_), _) => "rule-module-with-precheck",
        };
        encode(self.core(), world)
    }

    /// The core module, still to be wrapped.
    pub fn core(&self) -> Vec<u8> {
        let mut image = Image::new();
        let describe = image.body(&self.describe, "descriptor");
        let compile = image.body_of_compile(&self.compile, "rule");
        let compile2 = self.compile2.as_ref();
        let compile2 = compile2.map(|body| image.body_of_compile(body, "rule2"));
        let check = self.check.as_ref().map(|body| image.body(body, "verdict"));
        let mut globals = format!(
            "(global $pass i32 (i32.const {}))\n",
            image.answer("verdict", &json!("pass"))
        );
        for (index, code) in self.verdicts.iter().enumerate() {
            let at = image.answer("verdict", &json!({ "reject": code }));
            let _ = writeln!(globals, "(global $reject{index} i32 (i32.const {at}))");
        }
        let heap = BASE + image.bytes.len();
        let pages = heap / PAGE_BYTES + 1 + self.pages;
        let check = check.map_or_else(String::new, |check| {
            format!(
                r#"(func (export "rushgate:policy/precheck@1.0.0#check")
                    (param $params i32) (param $params_len i32) (param $user i32) (param $user_len i32)
                    (param $sku i32) (param $sku_len i32) (param $quantity i32)
                    (param $attributes i32) (param $attributes_len i32) (result i32) {check})"#
            )
        });
        let compile2 = compile2.map_or_else(String::new, |compile| {
            format!(
                r#"(func (export "rushgate:policy/rule2@1.0.0#compile")
                    (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32) {compile})"#
            )
        });
        let text = format!(
            r#"(module
                (memory (export "memory") {pages})
                (data (i32.const {BASE}) "{data}")
                (global $heap (mut i32) (i32.const {heap}))
                {globals}
                (func (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32)
                    (result i32) (local $at i32) {realloc})
                (func (export "rushgate:policy/rule@1.0.0#describe") (result i32) {describe})
                (func (export "rushgate:policy/rule@1.0.0#compile")
                    (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32) {compile})
                {compile2}
                {check}
                {more})"#,
            data = escaped(&image.bytes),
            realloc = self.realloc.as_deref().unwrap_or(REALLOC),
            more = self.more,
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("the forged module is not valid text: {error}"))
    }
}

/// Wraps a core module that exports the functions of this world.
pub fn encode(core: Vec<u8>, world: &str) -> Vec<u8> {
    encode_with(core, WIT, world)
}

/// The same with another contract.
pub fn encode_with(core: Vec<u8>, wit: &str, world: &str) -> Vec<u8> {
    wrap_core_module(&with_world_of(core, wit, world))
        .unwrap_or_else(|error| panic!("the forged module cannot be wrapped: {error}"))
}

/// The core module with what wit-bindgen leaves in one: the world it was built against.
pub fn with_world(core: Vec<u8>, world: &str) -> Vec<u8> {
    with_world_of(core, WIT, world)
}

fn with_world_of(mut core: Vec<u8>, wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("policy.wit", wit).expect("it is valid WIT");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("the world is in it");
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)
        .expect("metadata can be written");
    core
}

/// Bytes as the text of a data segment.
fn escaped(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(3 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        })
}

/// A guest's memory with values laid out in it as the canonical ABI wants them.
struct Image {
    resolve: Resolve,
    sizes: SizeAlign,
    bytes: Vec<u8>,
}

impl Image {
    fn new() -> Self {
        let mut resolve = Resolve::default();
        resolve
            .push_str("policy.wit", WIT)
            .expect("the contract is valid WIT");
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        Self {
            resolve,
            sizes,
            bytes: Vec::new(),
        }
    }

    /// The text of a function that answers a value of this type of the contract.
    fn body(&mut self, body: &Body, type_name: &str) -> String {
        match body {
            Body::Text(text) => text.clone(),
            Body::Answer(value) => format!("(i32.const {})", self.answer(type_name, value)),
        }
    }

    /// The same for `compile`, whose result type has no name.
    fn body_of_compile(&mut self, body: &Body, interface: &str) -> String {
        let rule = self.interface(interface);
        let result = self.resolve.interfaces[rule].functions["compile"].result;
        match body {
            Body::Text(text) => text.clone(),
            Body::Answer(value) => {
                let at = self.room(&result.expect("it answers"), 1);
                self.put(at, &result.expect("it answers"), value);
                format!("(i32.const {})", BASE + at)
            }
        }
    }

    fn interface(&self, name: &str) -> wit_parser::InterfaceId {
        let named = |interface: &wit_parser::Interface| interface.name.as_deref() == Some(name);
        let mut all = self.resolve.interfaces.iter();
        all.find(|(_, interface)| named(interface))
            .expect("the contract has it")
            .0
    }

    /// Lays a value out; its address.
    fn answer(&mut self, type_name: &str, value: &Value) -> usize {
        let ty = Type::Id(self.resolve.interfaces[self.interface("types")].types[type_name]);
        let at = self.room(&ty, 1);
        self.put(at, &ty, value);
        BASE + at
    }

    fn room(&mut self, ty: &Type, count: usize) -> usize {
        let align = self.sizes.align(ty).align_wasm32();
        let at = self.bytes.len().next_multiple_of(align);
        self.bytes
            .resize(at + count * self.sizes.size(ty).size_wasm32(), 0);
        at
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put(&mut self, at: usize, ty: &Type, value: &Value) {
        let whole = || {
            value
                .as_i64()
                .or_else(|| value.as_u64().map(|n| n as i64))
                .unwrap_or_default()
        };
        match ty {
            Type::Bool => self.write(at, &[u8::from(value.as_bool().unwrap_or_default())]),
            Type::U32 => self.write(at, &(whole() as u32).to_le_bytes()),
            Type::S64 | Type::U64 => self.write(at, &whole().to_le_bytes()),
            Type::String => self.put_text(at, value.as_str().unwrap_or_default()),
            Type::Id(id) => {
                let kind = self.resolve.types[*id].kind.clone();
                self.put_defined(at, &kind, value);
            }
            other => panic!("the contract has no {other:?}"),
        }
    }

    fn put_text(&mut self, at: usize, text: &str) {
        let there = self.bytes.len();
        self.bytes.extend_from_slice(text.as_bytes());
        self.put_audience(at, there, text.len());
    }

    fn put_audience(&mut self, at: usize, there: usize, count: usize) {
        self.write(at, &((BASE + there) as u32).to_le_bytes());
        self.write(at + 4, &(count as u32).to_le_bytes());
    }

    fn put_defined(&mut self, at: usize, kind: &TypeDefKind, value: &Value) {
        match kind {
            TypeDefKind::Type(ty) => self.put(at, ty, value),
            TypeDefKind::Record(record) => {
                let types: Vec<Type> = record.fields.iter().map(|field| field.ty).collect();
                let offsets = self.offsets(&types);
                for (field, offset) in record.fields.iter().zip(offsets) {
                    self.put(
                        at + offset,
                        &field.ty,
                        value.get(&field.name).unwrap_or(&Value::Null),
                    );
                }
            }
            TypeDefKind::Tuple(tuple) => {
                for (index, offset) in self.offsets(&tuple.types).into_iter().enumerate() {
                    self.put(at + offset, &tuple.types[index], &value[index]);
                }
            }
            TypeDefKind::List(ty) => {
                let items = value.as_array().cloned().unwrap_or_default();
                let there = self.room(ty, items.len());
                let size = self.sizes.size(ty).size_wasm32();
                for (index, item) in items.iter().enumerate() {
                    self.put(there + index * size, ty, item);
                }
                self.put_audience(at, there, items.len());
            }
            TypeDefKind::Variant(variant) => {
                let cases: Vec<(String, Option<Type>)> = variant
                    .cases
                    .iter()
                    .map(|case| (case.name.clone(), case.ty))
                    .collect();
                self.put_case(at, &cases, value);
            }
            TypeDefKind::Enum(cases) => {
                let cases: Vec<_> = cases.cases.iter().map(|case| (case.name.clone(), None)).collect();
                self.put_case(at, &cases, value);
            }
            TypeDefKind::Option(ty) => {
                let some = (!value.is_null()).then(|| json!({ "some": value }));
                let cases = [("none".to_owned(), None), ("some".to_owned(), Some(*ty))];
                self.put_case(at, &cases, &some.unwrap_or_else(|| json!("none")));
            }
            TypeDefKind::Result(result) => {
                let cases = [("ok".to_owned(), result.ok), ("err".to_owned(), result.err)];
                self.put_case(at, &cases, value);
            }
            other => panic!("the contract has no {other:?}"),
        }
    }

    /// `"case"`, or `{"case": payload}`; nothing is the first case.
    fn put_case(&mut self, at: usize, cases: &[(String, Option<Type>)], value: &Value) {
        let (name, payload) = match value {
            Value::Object(one) => one
                .iter()
                .next()
                .map_or(("", &Value::Null), |(name, payload)| (name, payload)),
            other => (other.as_str().unwrap_or_default(), &Value::Null),
        };
        let index = match name {
            "" => 0,
            name => cases
                .iter()
                .position(|(case, _)| case == name)
                .unwrap_or_else(|| panic!("no case {name:?} in {cases:?}")),
        };
        self.write(at, &[index as u8]);
        if let Some(ty) = cases[index].1 {
            let align = cases.iter().filter_map(|(_, ty)| ty.as_ref());
            let align = align.map(|ty| self.sizes.align(ty).align_wasm32()).max();
            self.put(at + align.unwrap_or(1), &ty, payload);
        }
    }

    fn offsets(&self, types: &[Type]) -> Vec<usize> {
        let offsets = self.sizes.field_offsets(types);
        offsets.iter().map(|(offset, _)| offset.size_wasm32()).collect()
    }
}
