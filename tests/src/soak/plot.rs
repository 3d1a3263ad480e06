//! Latencies over time, as a picture.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Fault, Phase, Sample};

const WIDTH: f64 = 1_200.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 70.0;
/// Each point of a curve is of the requests that began within so long.
const SLICE: Duration = Duration::from_millis(250);
/// The axis goes from 0.1 ms to 10 s, each tenfold as high as the last.
const DECADES: [(f64, &str); 6] =
    [(-1.0, "0.1 ms"), (0.0, "1 ms"), (1.0, "10 ms"), (2.0, "0.1 s"), (3.0, "1 s"), (4.0, "10 s")];

pub(super) fn svg(samples: &[Sample], phases: &[Phase]) -> String {
    let end = phases.last().map_or(SLICE, |phase| phase.until).as_secs_f64();
    let x = |at: Duration| LEFT + at.as_secs_f64() / end * WIDTH;
    let y = |exponent: f64| TOP + HEIGHT * (1.0 - (exponent.clamp(-1.0, 4.0) + 1.0) / 5.0);
    let mut svg = String::new();
    let (width, height) = (LEFT + WIDTH + 20.0, TOP + HEIGHT + 30.0);
    let mut add = |part: String| svg.push_str(&part);
    add(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11"><rect width="{width}" height="{height}" fill="white"/>"#
    ));
    for phase in phases {
        let Some(name) = phase.fault.map(Fault::name) else { continue };
        let (from, until) = (x(phase.from), x(phase.until));
        add(format!(
            r##"<rect x="{from:.1}" y="{TOP}" width="{:.1}" height="{HEIGHT}" fill="#e4e4e4"/><text x="{:.1}" y="{:.1}" transform="rotate(-30 {:.1} {:.1})">{name}</text>"##,
            until - from,
            from + 4.0,
            TOP - 6.0,
            from + 4.0,
            TOP - 6.0,
        ));
    }
    for (exponent, label) in DECADES {
        let y = y(exponent);
        add(format!(
            r##"<line x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}" stroke="#bbb"/><text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"##,
            LEFT + WIDTH,
            LEFT - 6.0,
            y + 4.0,
        ));
    }
    for (percent, color, name, at) in [
        (50, "#1f6fb4", "median", 0.0),
        (99, "#d98310", "99 %", 70.0),
        (100, "#b02a2a", "longest", 140.0),
    ] {
        let mut points = String::new();
        for (from, times) in slices(samples) {
            let time = times[(times.len() * percent / 100).min(times.len() - 1)];
            let millis = time.as_secs_f64() * 1_000.0;
            let _ = write!(points, "{:.1},{:.1} ", x(from), y(millis.log10()));
        }
        let bottom = TOP + HEIGHT + 20.0;
        add(format!(
            r#"<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.3"/><text x="{:.1}" y="{bottom:.1}" fill="{color}">{name}</text>"#,
            LEFT + at,
        ));
    }
    add("</svg>\n".to_owned());
    svg
}

/// The times of the requests that began within each slice, in order.
fn slices(samples: &[Sample]) -> Vec<(Duration, Vec<Duration>)> {
    let mut slices = std::collections::BTreeMap::<u32, Vec<Duration>>::new();
    for sample in samples {
        let number = (sample.at.as_millis() / SLICE.as_millis()) as u32;
        slices.entry(number).or_default().push(sample.took);
    }
    let mut slices: Vec<_> =
        slices.into_iter().map(|(number, times)| (SLICE * number, times)).collect();
    slices.iter_mut().for_each(|(_, times)| times.sort_unstable());
    slices
}
