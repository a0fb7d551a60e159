//! Rule modules, described.

use serde_json::json;

use super::super::modules::{ModuleAnswer, ModulesAnswer, UploadAnswer, UploadQuery};
use crate::wire::openapi::Operation;
use crate::wire::problem::{CONFLICT, MODULE_REFUSED};

pub(super) fn operations() -> Vec<Operation> {
    let bytes = json!({"type": "string", "format": "binary", "maxLength": 33_554_432});
    vec![
        Operation::post("/admin/v1/modules", "uploadModule", "Uploads a rule module")
            .query::<UploadQuery>()
            .raw_body("The component, up to 32 MiB.", &[("application/wasm", bytes)])
            .answers::<UploadAnswer>(201, "A new module.")
            .answers::<UploadAnswer>(200, "The same bytes are there.")
            .tells("Location", "The module by its digest.")
            .refuses(&[&CONFLICT, &MODULE_REFUSED]),
        Operation::get(
            "/admin/v1/modules",
            "listModules",
            "Modules, the one uploaded last first",
        )
        .answers::<ModulesAnswer>(200, "All modules."),
        Operation::get("/admin/v1/modules/{selector}", "showModule", "One module")
            .answers::<ModuleAnswer>(200, "The module.")
            .of_something(),
        Operation::delete(
            "/admin/v1/modules/{selector}",
            "deleteModule",
            "Removes a module that no revision pins",
        )
        .says("By `id@version` or digest.")
        .answers_nothing(204, "It is gone.")
        .of_something()
        .refuses(&[&CONFLICT]),
    ]
}
