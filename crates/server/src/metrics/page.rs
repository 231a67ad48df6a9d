//! The page in the format that is asked for: Prometheus' own text format (0.0.4), or OpenMetrics (1.0).
//!
//! The two differ in little: OpenMetrics names a family of counters without the `_total` of its samples, and ends with
//! a mark. Prometheus 2 asks for either and takes what it prefers; older scrapers and people's scripts know the first.

use std::fmt::Write as _;

/// A format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
}

const OPEN_METRICS: &str = "application/openmetrics-text";

impl Format {
    /// What an `Accept` header asks for: OpenMetrics only by its name, and when nothing that the text format satisfies is
    /// preferred.
    pub(crate) fn asked_for(accept: &str) -> Format {
        let mut open_metrics: f64 = 0.0;
        let mut text: f64 = 0.0;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let quality = quality.unwrap_or(1.0);
            match kind.to_ascii_lowercase().as_str() {
                OPEN_METRICS => open_metrics = open_metrics.max(quality),
                "text/plain" | "text/*" | "*/*" => text = text.max(quality),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text {
            Format::OpenMetrics
        } else {
            Format::Text
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// `page` is OpenMetrics.
    pub(crate) fn of(self, page: String) -> String {
        match self {
            Format::OpenMetrics => page,
            Format::Text => to_text(&page),
        }
    }
}

fn to_text(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    // The help of a family comes before its type.
    let mut help = None;
    for line in page.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        if let Some(of) = line.strip_prefix("# HELP ") {
            help = of.split_once(' ');
            continue;
        }
        let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|of| of.split_once(' '))
        else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let (suffix, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "unknown" => ("", "untyped"),
            other => ("", other),
        };
        if let Some((_, help)) = help.take() {
            let _ = writeln!(text, "# HELP {name}{suffix} {help}");
        }
        let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_served_to_those_who_ask_for_it() {
        for accept in ["", "*/*", "text/plain", "text/html, */*;q=0.1"] {
            assert_eq!(Format::asked_for(accept), Format::Text, "{accept}");
        }
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::asked_for(prometheus), Format::OpenMetrics);
        let other = "application/openmetrics-text; version=1.0.0; q=0.2, text/plain; q=0.9";
        assert_eq!(Format::asked_for(other), Format::Text);
    }

    #[test]
    fn in_the_text_format_a_counter_is_named_as_its_samples_are() {
        let page = "\
# HELP a_seen Things seen.
# TYPE a_seen counter
a_seen_total 3
# HELP b_bytes Bytes.
# TYPE b_bytes gauge
b_bytes{To=\"1\"} 4
# EOF
";
        let expected = "\
# HELP a_seen_total Things seen.
# TYPE a_seen_total counter
a_seen_total 3
# HELP b_bytes Bytes.
# TYPE b_bytes gauge
b_bytes{To=\"1\"} 4
";
        assert_eq!(to_text(page), expected);
    }
}
