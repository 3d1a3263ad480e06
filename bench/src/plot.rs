//! Plots of ratios: bars in panels, with the spread of the rounds.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::statistic::Spread;

/// One measure of all contenders.
pub struct Panel {
    pub title: String,
    /// Which way is better, and what 1 is.
    pub note: &'static str,
    pub rows: Vec<(String, Spread)>,
    /// Where the axis ends; what is longer is cut there, and its number says so.
    pub end: f64,
}

const ROW: i32 = 24;
const HEAD: i32 = 74;
const FOOT: i32 = 34;
const NAMES: i32 = 290;
const PANEL: i32 = 250;
/// At the right of a panel, for the number behind the longest bar.
const GAP: i32 = 50;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT: RGBColor = RGBColor(0x77, 0x77, 0x77);
const LINE: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const THEIRS: RGBColor = RGBColor(0xb8, 0xbf, 0xc6);

/// Writes an SVG. All panels have the same rows; `is_ours` tells which stand out.
pub fn bars(path: &Path, title: &str, panels: &[Panel], is_ours: impl Fn(&str) -> bool) {
    let rows = panels.first().map_or(0, |panel| panel.rows.len()) as i32;
    let width = NAMES + PANEL * panels.len() as i32;
    let height = HEAD + ROW * rows + FOOT;
    let area = SVGBackend::new(path, (width as u32, height as u32)).into_drawing_area();
    area.fill(&WHITE).expect("a picture");
    let draw = Draw { area: &area };
    draw.text(title, (12, 20), 17.0, &INK, HPos::Left);
    for (at, panel) in panels.iter().enumerate() {
        let left = NAMES + PANEL * at as i32;
        draw.text(&panel.title, (left, 42), 14.0, &INK, HPos::Left);
        draw.text(panel.note, (left, 58), 11.0, &FAINT, HPos::Left);
        draw.axis(left, rows, panel.end);
        for (row, (name, spread)) in panel.rows.iter().enumerate() {
            let middle = HEAD + ROW * row as i32 + ROW / 2;
            if at == 0 {
                draw.text(name, (NAMES - 10, middle), 13.0, &INK, HPos::Right);
            }
            let color = if is_ours(name) { OURS } else { THEIRS };
            draw.bar(left, middle, spread, panel.end, color);
        }
    }
    area.present().expect("a writable file");
}

struct Draw<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, plotters::coord::Shift>,
}

impl<B: DrawingBackend> Draw<'_, B> {
    fn text(&self, text: &str, at: (i32, i32), size: f64, color: &RGBColor, side: HPos) {
        let style = ("sans-serif", size).into_font().color(color);
        let style = style.pos(Pos::new(side, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), at, style)).expect("a picture");
    }

    fn line(&self, from: (i32, i32), to: (i32, i32), color: &RGBColor) {
        let line = PathElement::new(vec![from, to], color.stroke_width(1));
        self.area.draw(&line).expect("a picture");
    }

    /// Lines and numbers under a panel; the line at 1 is darker.
    fn axis(&self, left: i32, rows: i32, end: f64) {
        let bottom = HEAD + ROW * rows;
        let step = [0.25, 0.5, 1.0, 2.0, 5.0, 10.0].into_iter().find(|step| end / step <= 6.0);
        let step = step.unwrap_or(end / 4.0);
        let mut value = 0.0;
        while value <= end + 1e-9 {
            let x = place(left, value, end);
            let is_one = (value - 1.0_f64).abs() < 1e-9;
            self.line((x, HEAD), (x, bottom), if is_one { &FAINT } else { &LINE });
            self.text(&format!("{value}"), (x, bottom + 14), 11.0, &FAINT, HPos::Center);
            value += step;
        }
    }

    /// A bar as long as the median, a thin line from the lowest round to the highest.
    fn bar(&self, left: i32, middle: i32, spread: &Spread, end: f64, color: RGBColor) {
        let x = place(left, spread.median, end);
        let bar = Rectangle::new([(left, middle - 7), (x, middle + 7)], color.filled());
        self.area.draw(&bar).expect("a picture");
        let reach = [spread.min, spread.max].map(|value| place(left, value, end));
        self.line((reach[0], middle), (reach[1], middle), &INK);
        for x in reach {
            self.line((x, middle - 3), (x, middle + 3), &INK);
        }
        let number = format!("{:.2}", spread.median);
        self.text(&number, (x.max(reach[1]) + 5, middle), 12.0, &INK, HPos::Left);
    }
}

fn place(left: i32, value: f64, end: f64) -> i32 {
    left + (value.min(end) / end * f64::from(PANEL - GAP)) as i32
}
