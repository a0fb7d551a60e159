//! Health and metrics, described.

use serde_json::json;

use crate::wire::openapi::Operation;

pub(super) fn operations() -> Vec<Operation> {
    let text = || json!({"type": "string"});
    vec![
        Operation::get("/livez", "isAlive", "Whether the process runs")
            .open()
            .answers_with(200, "text/plain", "It does.", text()),
        Operation::get("/readyz", "isReady", "Whether the process can work")
            .says("503 with a text where it cannot.")
            .open()
            .parameter(
                "verbose",
                "Lists everything that was asked.",
                &json!({"type": "string"}),
            )
            .answers_with(200, "text/plain", "It can.", text())
            .or_else_text(503),
        Operation::get("/metrics", "readMetrics", "Metrics in the OpenMetrics format")
            .open()
            .answers_with(200, "application/openmetrics-text", "All metrics.", text()),
    ]
}
