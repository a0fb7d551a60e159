//! Pages in real Chromium. Needs chromium and chromium-driver, which `./x test` installs.

mod chromium;

mod console;
mod shop;
