//! The page: one file that needs no other, no network and no server.

use serde_json::json;

use super::report::Report;

const TEMPLATE: &str = include_str!("page.html");
const PLACE: &str = "/*DATA*/null";

/// The page for this report.
pub(super) fn render(report: &Report<'_>) -> String {
    let data = json!({
        "report": report.json(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    // Inside a script element only `<` could end it.
    let data = data.to_string().replace('<', "\\u003c");
    TEMPLATE.replacen(PLACE, &data, 1)
}
