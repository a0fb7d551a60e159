//! Modules: uploaded once, known by their digest.

use std::sync::Arc;

use super::{Control, ControlError};
use crate::store::ModuleRow;
use crate::wasm::{self, Inspected};

impl Control {
    /// Stores a module after inspecting it and playing its examples; `true` when it is new. `actor` is for
    /// the audit trail.
    pub async fn upload_module(
        &self,
        actor: &str,
        bytes: Vec<u8>,
    ) -> Result<(bool, ModuleRow), ControlError> {
        let bytes: Arc<[u8]> = bytes.into();
        let inspected = self.host.inspect(bytes.clone()).await?;
        if self.store.module(&inspected.digest).await?.is_none() {
            self.play_uploaded(&inspected, bytes.clone()).await?;
        }
        self.keep_module(actor, inspected, bytes).await
    }

    async fn keep_module(
        &self,
        actor: &str,
        inspected: Inspected,
        bytes: Arc<[u8]>,
    ) -> Result<(bool, ModuleRow), ControlError> {
        let descriptor = &inspected.descriptor;
        let row = ModuleRow {
            digest: inspected.digest.clone(),
            id: descriptor.id.clone(),
            version: descriptor.version.clone(),
            descriptor: serde_json::to_value(descriptor)
                .map_err(|e| ControlError::Internal(e.to_string()))?,
            uploaded_at: (self.clock)(),
        };
        let new = self.store.insert_module(&row, &bytes).await?;
        if !new {
            return Ok((false, self.module(&row.digest).await?));
        }
        let detail = serde_json::json!({"id": row.id, "version": row.version, "bytes": bytes.len()});
        self.audit(actor, "module.upload", &row.digest, detail).await;
        Ok((true, row))
    }

    /// Stores the built-in modules that are not there yet. Their examples are played when a revision first
    /// pins them: a gateway need not wait for all of them to start.
    pub async fn install_builtin(&self) -> Result<(), ControlError> {
        for (name, bytes) in wasm::builtin() {
            if self.store.module(&wasm::digest(bytes)).await?.is_none() {
                let bytes: Arc<[u8]> = Arc::from(*bytes);
                let inspected = self.host.inspect(bytes.clone()).await?;
                let (_, row) = self.keep_module("rushgate", inspected, bytes).await?;
                tracing::debug!(
                    name,
                    id = row.id,
                    version = row.version,
                    digest = row.digest,
                    "built-in module"
                );
            }
        }
        Ok(())
    }

    /// Newest upload first.
    pub async fn modules(&self) -> Result<Vec<ModuleRow>, ControlError> {
        Ok(self.store.modules().await?)
    }

    /// By `id` (newest upload), `id@version` or digest.
    pub async fn module(&self, selector: &str) -> Result<ModuleRow, ControlError> {
        let found = self.store.module(selector).await?;
        found.ok_or_else(|| ControlError::Unknown(format!("no module {selector:?}")))
    }
}
