//! The page: it carries the trace whole, and hostile texts as texts.

use quorate_trace::{Letter, Recorder, Start, Trace, render_html};

use crate::stories::everything;

const DATA_BEGINS: &str = "<script type=\"application/json\" id=\"trace\">";

/// The JSON that the page's scripts will read.
fn data_of(page: &str) -> &str {
    let (_, after) = page.split_once(DATA_BEGINS).expect("the page has data");
    let (data, _) = after.split_once("</script>").expect("the data ends");
    data
}

fn hostile() -> Trace {
    let hostile =
        "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>&\"'\u{2028}{{trace}}";
    let mut recorder = Recorder::new(hostile, [hostile, "n2"]);
    recorder.about(hostile);
    recorder.started(0, 0, Start::default());
    recorder.attach(hostile);
    let letter = Letter {
        from: 0,
        to: 1,
        kind: hostile,
        term: u64::MAX,
        summary: hostile,
        routine: false,
    };
    let message = recorder.sent(1, letter);
    recorder.lost(2, message, hostile);
    recorder.note(3, None, hostile);
    recorder.finish()
}

#[test]
fn the_page_carries_the_trace_whole() {
    for trace in [everything(), hostile(), Trace::default()] {
        let page = render_html(&trace);
        let read: Trace = serde_json::from_str(data_of(&page)).expect("the data is JSON");
        assert_eq!(read, trace);
    }
}

#[test]
fn hostile_texts_add_no_markup_to_the_page() {
    let tags = |page: &str| page.matches('<').count();
    let harmless = Recorder::new("harmless", ["n1"]).finish();
    assert_eq!(
        tags(&render_html(&hostile())),
        tags(&render_html(&harmless))
    );
    assert!(!render_html(&hostile()).contains("<img"));
}

#[test]
fn the_page_needs_and_may_use_no_network() {
    let page = render_html(&everything());
    assert!(page.contains("default-src 'none'"));
    for word in [
        "http://",
        "https://",
        "//cdn",
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
    ] {
        let uses = page.matches(word).count();
        // The name of a namespace is an address that nobody visits.
        let namespaces = page.matches("http://www.w3.org/2000/svg").count();
        let allowed = if word == "http://" { namespaces } else { 0 };
        assert_eq!(uses, allowed, "{word}");
    }
    assert!(!page.contains("innerHTML"), "texts are set as texts");
}

#[test]
fn one_trace_gives_one_page() {
    assert_eq!(render_html(&everything()), render_html(&everything()));
}
