//! Chromium without a window, driven over WebDriver: what a page shows is waited for, what people do is done.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use testkit::output::Output;

/// Patience with a page.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const START_LIMIT: Duration = Duration::from_secs(60);
/// Ends itself and all that it started, the browser too, once the other end of its input is closed: also when the test process dies.
const GUARD: &str = "\"$@\" & read word; kill -9 0";

/// Cargo's folder, above that of its tests.
fn target() -> PathBuf {
    let tests = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tests.parent().expect("it is in the target folder").to_owned()
}

/// The driver, and whatever it starts.
struct Driver {
    guard: Child,
    url: String,
}

impl Driver {
    /// # Panics
    ///
    /// Where it is not installed: a page that was not looked at has not passed.
    fn start(folder: &Path) -> Self {
        let version = Command::new("chromedriver").arg("--version").output();
        version.expect("chromedriver runs: install chromium and chromium-driver, which ./x test does");
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "sh", "chromedriver", "--port=0"])
            // Chromium notes its crashes there, beside the profile.
            .env("XDG_CONFIG_HOME", folder)
            .env("XDG_CACHE_HOME", folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let port = Output::of(&mut guard).find(START_LIMIT, |line| {
            let (_, rest) = line.split_once("successfully on port ")?;
            rest.trim_end_matches('.').parse::<u16>().ok()
        });
        let url = format!("http://127.0.0.1:{}", port.expect("chromedriver starts"));
        Self { guard, url }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// A browser of one test, with one page. Everything is named by CSS selectors.
///
/// # Panics
///
/// Every call does when the page is not, or does not become in time, what it is taken for; how it looked then is in `failed.png`
/// in the browser's folder.
pub struct Browser {
    client: Client,
    folder: PathBuf,
    _driver: Driver,
}

impl Browser {
    /// Starts with a new profile in `folder`, which is emptied.
    pub async fn start(folder: &Path) -> Self {
        // A folder that is not there yet is as good as an empty one.
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).expect("the folder can be made");
        let driver = Driver::start(folder);
        let args = [
            "--headless",
            // CI runs as root, where Chromium has no sandbox.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-breakpad",
            "--no-first-run",
            "--window-size=1100,900",
            &format!("--user-data-dir={}", folder.join("profile").display()),
        ];
        let capabilities = json!({"goog:chromeOptions": {"args": args}});
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = ClientBuilder::new(connector)
            .capabilities(capabilities.as_object().cloned().unwrap_or_default())
            .connect(&driver.url)
            .await;
        Self {
            client: client.expect("chromium starts"),
            folder: folder.to_owned(),
            _driver: driver,
        }
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.expect(url);
    }

    /// The first element of this selector, as soon as there is one.
    pub async fn until(&self, css: &str) -> Element {
        let found = self
            .client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(css))
            .await;
        match found {
            Ok(element) => element,
            Err(error) => self.fail(&format!("{css} ({error})")).await,
        }
    }

    /// Waits until the text of an element has this in it.
    pub async fn until_text(&self, css: &str, text: &str) -> String {
        let begun = tokio::time::Instant::now();
        loop {
            let shown = self.text(css).await;
            if shown.contains(text) {
                return shown;
            }
            if begun.elapsed() > PATIENCE {
                self.fail(&format!("{text:?} in {css}, which says {shown:?}"))
                    .await
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What axe-core finds wrong with the page: for people who see little, or use no mouse.
    pub async fn violations(&self) -> Value {
        let file = target().join("axe/node_modules/axe-core/axe.min.js");
        let axe = fs::read_to_string(&file)
            .expect("axe-core is there: scripts/axe.sh fetches it, which ./x test runs");
        self.script(&format!("{axe}; return null"), Vec::new()).await;
        let ask = "return axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((one) => \
                   [one.id, one.help, one.nodes.slice(0, 3).map((node) => [node.html, node.failureSummary])]))";
        self.script(ask, Vec::new()).await
    }

    /// What people read of an element.
    pub async fn text(&self, css: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? null";
        let text = self.script(script, vec![css.into()]).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    pub async fn click(&self, css: &str) {
        let clicked = self.until(css).await.click().await;
        clicked.unwrap_or_else(|error| panic!("{css} cannot be clicked: {error}"));
    }

    /// Types a text in the place of what a field has.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.until(css).await;
        field.clear().await.expect(css);
        field.send_keys(text).await.expect(css);
    }

    /// Chooses an option by its value.
    pub async fn choose(&self, css: &str, value: &str) {
        let chosen = self.until(css).await.select_by_value(value).await;
        chosen.unwrap_or_else(|error| panic!("{css} has no {value}: {error}"));
    }

    /// Runs a script in the page, with `arguments`; what it returns.
    pub async fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        let returned = self.client.execute(script, arguments).await;
        returned.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Makes the window so large, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.expect("a size");
    }

    /// Writes what the window shows, as PNG.
    pub async fn screenshot(&self, file: &Path) {
        let png = self.client.screenshot().await.expect("a picture");
        fs::write(file, png).expect("the picture can be written");
    }

    async fn fail(&self, missing: &str) -> ! {
        let picture = self.folder.join("failed.png");
        self.screenshot(&picture).await;
        let page = self.text("body").await;
        panic!("the page never had {missing}; {}:\n{page}", picture.display());
    }
}
