//! A line of a terminal as cells, each with its colour, so that what is drawn over something
//! takes its place and columns stay where they are.

/// How a cell looks in a terminal that has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// The colour of this term; zero is grey.
    pub(super) term: Option<u64>,
    pub(super) bold: bool,
    pub(super) dim: bool,
    /// What goes wrong.
    pub(super) alarm: bool,
}

impl Style {
    pub(super) const PLAIN: Style = Style {
        term: None,
        bold: false,
        dim: false,
        alarm: false,
    };
    pub(super) const DIM: Style = Style {
        dim: true,
        ..Style::PLAIN
    };
    pub(super) const BOLD: Style = Style {
        bold: true,
        ..Style::PLAIN
    };
    pub(super) const ALARM: Style = Style {
        alarm: true,
        bold: true,
        ..Style::PLAIN
    };

    pub(super) const fn of_term(term: u64) -> Style {
        Style {
            term: Some(term),
            ..Style::PLAIN
        }
    }
}

/// Colours of terms among the terminal's 256: those of Okabe and Ito, which the colour-blind tell
/// apart, as near as it has them. They repeat; the number stands beside them.
const TERM_COLOURS: [u8; 7] = [33, 208, 35, 170, 178, 38, 131];

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    cells: Vec<(char, Style)>,
}

impl Line {
    pub(super) fn blank(width: usize) -> Line {
        Line {
            cells: vec![(' ', Style::PLAIN); width],
        }
    }

    /// Writes from column `x` on; what does not fit is cut.
    pub(super) fn put(&mut self, x: usize, text: &str, style: Style) {
        for (cell, one) in self.cells.iter_mut().skip(x).zip(text.chars()) {
            *cell = (narrow(one), style);
        }
    }

    /// The line as text, without blanks at its end.
    pub(super) fn finish(&self, colour: bool, out: &mut String) {
        let used = self.cells.iter().rposition(|(one, _)| *one != ' ');
        let used = used.map_or(0, |last| last + 1);
        let mut current = Style::PLAIN;
        for (one, style) in &self.cells[..used] {
            if colour && *style != current && *one != ' ' {
                write_style(*style, out);
                current = *style;
            }
            out.push(*one);
        }
        if current != Style::PLAIN {
            out.push_str("\u{1b}[0m");
        }
        out.push('\n');
    }
}

fn write_style(style: Style, out: &mut String) {
    out.push_str("\u{1b}[0");
    if style.bold {
        out.push_str(";1");
    }
    if style.dim {
        out.push_str(";2");
    }
    if style.alarm {
        out.push_str(";31");
    }
    match style.term {
        Some(0) => out.push_str(";90"),
        Some(term) => {
            let colour = TERM_COLOURS[(term - 1) as usize % TERM_COLOURS.len()];
            out.push_str(&format!(";38;5;{colour}"));
        }
        None => {}
    }
    out.push('m');
}

/// A character that takes one cell and does nothing else: control characters would drive the
/// terminal, and wide or invisible ones would move the columns.
pub(super) fn narrow(one: char) -> char {
    match one {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => '·',
        '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => '·',
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{10ffff}' => '?',
        one if one.is_control() => '·',
        one => one,
    }
}

/// Cuts `text` into lines of at most `width` cells, between words where it can.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        while word.len() > width {
            lines.push(word.drain(..width).collect());
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        used += word.len();
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}
