//! What becomes of a program that cannot print.
//!
//! `println!` panics when its words cannot be written. Nobody is at fault then: whoever reads has seen
//! enough (`| head`), or the disk behind the output is full. So the program ends as others do, and
//! not with the trace of a panic.

use std::panic::PanicHookInfo;

/// What a shell calls the end by SIGPIPE.
const EXIT_BROKEN_PIPE: i32 = 141;
const EXIT_CANNOT_WRITE: i32 = 1;

/// From now on words that cannot be written end the process quietly, or with one line that says why.
pub(crate) fn end_quietly_when_closed() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let Some(reason) = failed_print(panic) else {
            return usual(panic);
        };
        if reason.starts_with("Broken pipe") {
            std::process::exit(EXIT_BROKEN_PIPE);
        }
        // Not `eprintln!`, which would panic in its turn.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("quorate: standard output: {reason}\n").as_bytes(),
        );
        std::process::exit(EXIT_CANNOT_WRITE);
    }));
}

/// Why `println!` or `eprintln!` failed, if that is what the panic is about.
fn failed_print(panic: &PanicHookInfo<'_>) -> Option<String> {
    let words = panic.payload().downcast_ref::<String>()?;
    let outputs = ["stdout", "stderr"];
    let starts = outputs.map(|output| format!("failed printing to {output}: "));
    let mut reasons = starts
        .iter()
        .filter_map(|start| words.strip_prefix(start.as_str()));
    reasons.next().map(str::to_owned)
}
