//! Modules: uploaded once, known by their digest, and named for good by `id@version`.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Control, ControlError};
use crate::audit::{AskedBy, AuditLine, OWN};
use crate::store::{ModuleOrigin, ModuleRow, is_digest, taken};
use crate::wasm::{self, Descriptor, Inspected};

/// Bytes of a version.
const VERSION_BYTES_MAX: usize = 64;
/// Work on a built-in module that takes longer is told.
const AT_ONCE: Duration = Duration::from_millis(300);

/// What became of an upload.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadedModule {
    /// `false` for bytes that are there already.
    pub new: bool,
    pub row: ModuleRow,
    /// It stands for a built-in module, whose id it has.
    pub replaces_builtin: bool,
    /// The version that its id alone stands for.
    pub highest: String,
}

impl Control {
    /// Stores a module after inspecting it and playing its examples. `replace_builtin` lets it have the id of a
    /// built-in one. `by` is for the audit trail; `merchant` says whose it is, and all share it where that is nobody.
    pub async fn upload_module(
        &self,
        by: impl Into<AskedBy<'_>>,
        merchant: Option<&str>,
        bytes: Vec<u8>,
        replace_builtin: bool,
    ) -> Result<UploadedModule, ControlError> {
        let by = by.into();
        let bytes: Arc<[u8]> = bytes.into();
        if let Some(row) = self.store.module(&wasm::digest(&bytes)).await?
            && (merchant.is_none() || is_seen(&row, merchant))
        {
            return self.uploaded_module(false, row).await;
        }
        let inspected = self.host.inspect(bytes.clone()).await?;
        let origin = check_name(&inspected.descriptor, replace_builtin)?;
        if origin == ModuleOrigin::Replacement {
            // The built-in one has its name first.
            self.installed().await;
        }
        let row = ModuleRow {
            merchant: merchant.map(str::to_owned),
            ..self.row_of(&inspected)?
        };
        // What is going to be refused is refused before its examples are played.
        if let Some(there) = self.store.module_name(&row.id, &row.version).await?
            && there.digest != row.digest
        {
            return Err(taken(&row, &there).into());
        }
        self.play_uploaded(&inspected, bytes.clone()).await?;
        let new = self.keep_module(by, &row, &bytes, origin).await?;
        self.uploaded_module(new, row).await
    }

    async fn uploaded_module(&self, new: bool, row: ModuleRow) -> Result<UploadedModule, ControlError> {
        let name = self.store.module_name(&row.id, &row.version).await?;
        let highest = self.store.module(&row.id).await?;
        Ok(UploadedModule {
            new,
            replaces_builtin: name
                .is_some_and(|name| name.digest == row.digest && name.origin == ModuleOrigin::Replacement),
            highest: highest.map_or_else(|| row.version.clone(), |row| row.version),
            row,
        })
    }

    fn row_of(&self, inspected: &Inspected) -> Result<ModuleRow, ControlError> {
        let descriptor = &inspected.descriptor;
        Ok(ModuleRow {
            digest: inspected.digest.clone(),
            id: descriptor.id.clone(),
            version: descriptor.version.clone(),
            descriptor: serde_json::to_value(descriptor)
                .map_err(|e| ControlError::Internal(e.to_string()))?,
            uploaded_at: (self.clock)(),
            merchant: None,
        })
    }

    async fn keep_module(
        &self,
        by: AskedBy<'_>,
        row: &ModuleRow,
        bytes: &[u8],
        origin: ModuleOrigin,
    ) -> Result<bool, ControlError> {
        let mut detail = serde_json::json!({"id": row.id, "version": row.version, "bytes": bytes.len()});
        if origin == ModuleOrigin::Replacement {
            detail["replaces_builtin"] = true.into();
        }
        let line = AuditLine::new((self.clock)(), by, "module.upload", row.digest.as_str(), detail);
        Ok(self.store.insert_module(row, bytes, origin, &[line]).await?)
    }

    /// Stores the newest version of each built-in module where it is not there yet. Their examples are played when a
    /// revision first pins them: a gateway need not wait for all of them to start. A name that was given to other bytes to
    /// stand for a built-in module, or by a gateway of another build, stays as it is.
    pub async fn install_builtin(&self) -> Result<(), ControlError> {
        self.install(|name| !is_earlier(name)).await
    }

    /// Stores the earlier versions in the same way, beside what else goes on, until the answer is dropped. Whoever asks
    /// for a module that is not there, or for all, waits for it. A revision that pins one has brought it along, so that
    /// none that is there already needs this.
    pub fn install_earlier(self: &Arc<Self>) -> JoinSet<()> {
        let (control, mut installing) = (self.clone(), JoinSet::new());
        // From now on, not from when the task first runs.
        let turn = self.installing.clone().try_lock_owned();
        installing.spawn(async move {
            let _turn = turn;
            if let Err(error) = control.install(is_earlier).await {
                tracing::warn!(
                    %error,
                    "earlier versions of built-in modules are missing until the next start"
                );
            }
        });
        installing
    }

    /// Waits until the built-in modules are there.
    async fn installed(&self) {
        drop(self.installing.lock().await);
    }

    async fn install(&self, is_wanted: impl Fn(&str) -> bool) -> Result<(), ControlError> {
        let known = self.store.builtin_modules().await?;
        let wanted: Vec<_> = wasm::builtin()
            .iter()
            .filter(|(name, _)| is_wanted(name))
            .collect();
        let of = wanted.len();
        for (number, (name, bytes)) in (1..).zip(wanted) {
            let digest = wasm::digest(bytes);
            if known.contains(&digest) {
                continue;
            }
            let row = match self.store.module(&digest).await? {
                Some(row) => row,
                None => {
                    let inspect = self.host.inspect(Arc::from(*bytes));
                    let inspected = told(inspect, || {
                        tracing::info!(
                            name,
                            number,
                            of,
                            "compiling a built-in module, as a first start does"
                        );
                    });
                    self.row_of(&inspected.await?)?
                }
            };
            match self
                .keep_module(OWN.into(), &row, bytes, ModuleOrigin::Builtin)
                .await
            {
                Ok(_) => tracing::debug!(name, version = row.version, digest, "built-in module"),
                Err(ControlError::Conflict(why)) => {
                    tracing::warn!(name, digest, why, "the built-in module does not have its name")
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Newest upload first; as one merchant sees them, where it is named.
    pub async fn modules(&self, merchant: Option<&str>) -> Result<Vec<ModuleRow>, ControlError> {
        self.installed().await;
        let mut rows = self.store.modules().await?;
        rows.retain(|row| merchant.is_none() || is_seen(row, merchant));
        Ok(rows)
    }

    /// By `id` (its highest version), `id@version` or digest.
    pub async fn module(&self, selector: &str) -> Result<ModuleRow, ControlError> {
        match self.find_module(selector).await? {
            Some(row) => Ok(row),
            None => Err(ControlError::Unknown(
                self.no_module(selector, None).await?.told(),
            )),
        }
    }

    /// The same, where there may be none.
    pub(super) async fn find_module(&self, selector: &str) -> Result<Option<ModuleRow>, ControlError> {
        if let Some(row) = self.store.module(selector).await? {
            return Ok(Some(row));
        }
        self.installed().await;
        Ok(self.store.module(selector).await?)
    }

    /// Removes a module, named by `id@version` or digest, that no revision pins and that does not come with this
    /// gateway. Its name stays taken.
    pub async fn delete_module(
        &self,
        by: impl Into<AskedBy<'_>>,
        selector: &str,
    ) -> Result<(), ControlError> {
        let by = by.into();
        if !is_digest(selector) && !selector.contains('@') {
            return Err(ControlError::Malformed(format!(
                "{selector:?} may stand for several versions; name one as id@version, or by its digest"
            )));
        }
        let row = self.module(selector).await?;
        let mut builtin = wasm::builtin().iter();
        if builtin.any(|(_, bytes)| wasm::digest(bytes) == row.digest) {
            return Err(ControlError::Conflict(format!(
                "module {}@{} comes with the gateway and stays",
                row.id, row.version
            )));
        }
        let (now, detail) = (
            (self.clock)(),
            serde_json::json!({"id": row.id, "version": row.version}),
        );
        let line = AuditLine::new(now, by, "module.delete", row.digest.as_str(), detail);
        if !self.store.delete_module(&row.digest, now, &[line]).await? {
            return Err(ControlError::Unknown(format!("no module {selector:?}")));
        }
        Ok(())
    }
}

/// Whether a merchant sees a module: its own, and those that all share.
pub(super) fn is_seen(row: &ModuleRow, merchant: Option<&str>) -> bool {
    row.merchant.is_none() || row.merchant.as_deref() == merchant
}

/// Whether an upload may have its id and version, and where the name comes from.
fn check_name(descriptor: &Descriptor, replace_builtin: bool) -> Result<ModuleOrigin, ControlError> {
    let refused = |message: String| ControlError::Module {
        code: "descriptor",
        message,
    };
    let (id, version) = (&descriptor.id, &descriptor.version);
    if is_digest(id) {
        return Err(refused(format!(
            "describe: the id {id:?} reads as a digest; use words"
        )));
    }
    if version.len() > VERSION_BYTES_MAX {
        return Err(refused(format!(
            "describe: the version has {} bytes; at most {VERSION_BYTES_MAX} are allowed",
            version.len()
        )));
    }
    let parsed = semver::Version::parse(version).map_err(|error| refused(error.to_string()))?;
    if !parsed.build.is_empty() {
        return Err(refused(format!(
            "describe: version {version:?} has build metadata, by which no version is higher than another: leave \
             out +{} and raise the number",
            parsed.build
        )));
    }
    match wasm::resembles_builtin(id) {
        None => Ok(ModuleOrigin::Upload),
        Some(builtin) if builtin != id => Err(ControlError::Conflict(format!(
            "the id {id:?} could be taken for that of the built-in module {builtin:?}: give yours another id"
        ))),
        Some(_) if replace_builtin => Ok(ModuleOrigin::Replacement),
        Some(_) => Err(ControlError::Conflict(format!(
            "the id {id:?} is that of a built-in module: give yours another id, or say that it is to stand for the \
             built-in one (?replace_builtin=true, rushgate module push --replace-builtin)"
        ))),
    }
}

/// Whether a built-in module, by its file's name, is an earlier version of one.
fn is_earlier(name: &str) -> bool {
    name.contains('@')
}

/// Does the work, and says so where it is not done at once: machine code that is kept is there in no time.
async fn told<T>(work: impl Future<Output = T>, tell: impl FnOnce()) -> T {
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(AT_ONCE, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            tell();
            work.await
        }
    }
}
