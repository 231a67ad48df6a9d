//! One page that carries everything: the trace as JSON, and the scripts in `page/` that draw it.
//!
//! Nothing in a trace is trusted. The title goes through [`escape_text`]; the JSON is escaped so
//! that no string in it can end its `script` element; the scripts put texts on the page as text
//! only; and the page's own policy forbids it every connection, so that a page from someone else
//! may be opened without fear.

use crate::Trace;

const PAGE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/style.css");
/// In the order in which they use each other.
const SCRIPTS: [&str; 7] = [
    include_str!("../page/model.js"),
    include_str!("../page/words.js"),
    include_str!("../page/layout.js"),
    include_str!("../page/draw.js"),
    include_str!("../page/bands.js"),
    include_str!("../page/panel.js"),
    include_str!("../page/controls.js"),
];

/// The whole page.
pub fn render_html(trace: &Trace) -> String {
    let json = serde_json::to_string(trace)
        .expect("a trace is numbers, strings and maps by number: all of it can be JSON");
    let scripts = SCRIPTS.join("\n");
    let title = escape_text(&trace.title);
    let data = escape_json(&json);
    // One pass, so that a mark inside a text is not taken for one of the page's.
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + scripts.len() + data.len());
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after
            .split_once("}}")
            .expect("each mark of page.html is closed");
        page.push_str(before);
        page.push_str(match name {
            "title" => &title,
            "style" => STYLE,
            "trace" => &data,
            "scripts" => &scripts,
            other => unreachable!("page.html has a mark {other} that nothing fills"),
        });
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Text between tags.
fn escape_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// JSON inside a `script` element: the same JSON, without the characters that mean something to
/// HTML. They stand in strings only, where the escapes mean the same.
fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + json.len() / 64);
    for one in json.chars() {
        match one {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}
