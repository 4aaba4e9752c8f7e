//! The dashboard: one page, embedded with all its parts, so that it needs nothing but the recorder.
//!
//! The page itself holds no data and is given to anyone who may speak to the server; what it shows it asks for as any
//! client does (`/history`, `/events`), with the token where there is one.

mod history;

use crate::admin::Page;
pub(crate) use history::{History, Look};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file of `assets/`: where it is asked for, its media type, its bytes.
type Asset = (&'static str, &'static str, &'static [u8]);

/// A row of [`ASSETS`].
macro_rules! asset {
    ($file:literal, $kind:expr) => {
        (concat!("/dashboard/", $file), $kind, include_bytes!(concat!("assets/", $file)))
    };
}

const ASSETS: [Asset; 23] = [
    ("/", HTML, include_bytes!("assets/index.html")),
    asset!("alerts.js", SCRIPT),
    asset!("analysis.js", SCRIPT),
    asset!("app.css", STYLE),
    asset!("app.js", SCRIPT),
    asset!("charts.js", SCRIPT),
    asset!("connection.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("flow.js", SCRIPT),
    asset!("latency.js", SCRIPT),
    asset!("ledger.js", SCRIPT),
    asset!("log.js", SCRIPT),
    asset!("numbers.js", SCRIPT),
    asset!("sinks.js", SCRIPT),
    asset!("table.js", SCRIPT),
    asset!("tables.js", SCRIPT),
    asset!("theme.js", SCRIPT),
    asset!("token.js", SCRIPT),
    asset!("trend.js", SCRIPT),
    asset!("verdict.js", SCRIPT),
    asset!("waits.js", SCRIPT),
    asset!("uplot/uPlot.iife.min.js", SCRIPT),
    asset!("uplot/uPlot.min.css", STYLE),
];

/// Binaries carry it with what it covers.
const LICENCE: Asset = asset!("uplot/LICENSE", TEXT);

/// The file at this path, if it is one of the dashboard's.
pub(crate) fn page(path: &str) -> Option<Page> {
    let (_, kind, bytes) = find(path)?;
    Some(Page::Whole { status: 200, kind, body: bytes.to_vec() })
}

/// Whether this path is a file of the dashboard: the same for everyone.
pub(crate) fn is_asset(path: &str) -> bool {
    find(path).is_some()
}

fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().chain([&LICENCE]).find(|(at, ..)| *at == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn files(folder: &Path, within: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{within}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    fn text(path: &str) -> &'static str {
        std::str::from_utf8(find(path).unwrap().2).unwrap()
    }

    #[test]
    fn every_file_is_served_and_each_is_asked_for() {
        let mut found = BTreeSet::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard/assets"), "", &mut found);
        let served = ASSETS.iter().chain([&LICENCE]).map(|(path, ..)| match *path {
            "/" => "index.html".to_owned(),
            path => path.strip_prefix("/dashboard/").unwrap().to_owned(),
        });
        assert_eq!(served.collect::<BTreeSet<_>>(), found);
        let index = text("/");
        for (path, kind, _) in &ASSETS[1..] {
            let is_imported = ASSETS.iter().any(|(from, kind, _)| {
                *kind == SCRIPT && text(from).contains(&format!("from \".{}\"", path.trim_start_matches("/dashboard")))
            });
            assert!(index.contains(&format!("\"{path}\"")) || (*kind == SCRIPT && is_imported), "{path} is not used");
        }
    }

    #[test]
    fn the_page_names_no_other_place_and_takes_no_markup() {
        for (path, ..) in ASSETS.iter().filter(|(path, ..)| !path.contains("/uplot/")) {
            let text = text(path).replace("http://www.w3.org/2000/svg", "");
            for foreign in ["http://", "https://", "//cdn", "@import", "innerHTML", "outerHTML", "insertAdjacentHTML"] {
                assert!(!text.contains(foreign), "{foreign} in {path}");
            }
        }
        // What the content security policy would not let run.
        let index = text("/");
        let scripts = index.matches("<script").count();
        assert_eq!(index.matches("></script>").count(), scripts, "a script of its own lines");
        for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!index.contains(inline), "{inline}");
        }
    }

    #[test]
    fn other_paths_are_not_the_dashboards() {
        for path in ["", "/dashboard", "/dashboard/", "/dashboard/../mod.rs", "/dashboard/index.html", "/status"] {
            assert!(!is_asset(path) && page(path).is_none(), "{path:?}");
        }
    }
}
